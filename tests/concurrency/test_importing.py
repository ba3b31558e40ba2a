"""Imports beside each other and beside shoppers, and imports that are interrupted."""

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection

from audit.actors import Actor
from audit.errors import IdempotencyInProgress, OutcomeUnknown
from inventory.errors import InsufficientStock
from inventory.models import Product, StockLevel
from inventory.services.stock import imports
from inventory.services.stock.import_files import COLUMNS, ImportFile, read_file
from inventory.services.stock.imports import Imported, import_stock
from reservations.services.holds.placing import PlacedHold, place_hold
from tests.concurrency.threads import stranger, together
from tests.factories import ACTOR, counters, hold_request, make_level

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("store")]


def file_of(levels: list[StockLevel], quantity: int, kind: str) -> ImportFile:
    skus = dict(Product.objects.values_list("id", "sku"))
    lines = [f"{skus[level.product_id]},wh-001,{quantity},{kind},r," for level in levels]
    return read_file("stock.csv", "\n".join([",".join(COLUMNS), *lines]).encode())


@pytest.mark.parametrize("skip_bad", [False, True])
def test_one_file_imported_by_several_at_once_is_applied_once(
    monkeypatch: pytest.MonkeyPatch, *, skip_bad: bool
) -> None:
    monkeypatch.setattr(imports, "BATCH", 5)
    levels = [make_level(10) for _ in range(20)]
    file = file_of(levels, 1, "RECEIPT")
    outcomes = together(*(lambda: import_stock(ACTOR, file, skip_bad=skip_bad) for _ in range(3)))
    assert all(isinstance(outcome, Imported | IdempotencyInProgress) for outcome in outcomes)
    import_stock(ACTOR, file, skip_bad=skip_bad)
    assert {counters(level) for level in levels} == {(11, 0)}


def test_two_files_in_opposite_order_do_not_deadlock() -> None:
    levels = [make_level(10) for _ in range(30)]
    files = [file_of(levels, 1, "RECEIPT"), file_of(levels[::-1], 2, "RECEIPT")]
    outcomes = together(*(lambda file=file: import_stock(ACTOR, file) for file in files))
    assert outcomes == [Imported(30, 0, ())] * 2
    assert {counters(level) for level in levels} == {(13, 0)}


def test_what_is_shipped_by_a_file_and_what_shoppers_hold_is_never_more_than_there_is() -> None:
    levels = [make_level(10) for _ in range(5)]
    file = file_of(levels, 7, "SHIPMENT")
    requests = [hold_request((level, 7)) for level in levels]

    def shop() -> int:
        held = 0
        for request in requests:
            try:
                held += isinstance(place_hold(request), PlacedHold)
            except InsufficientStock:
                continue
        return held

    held, imported = together(shop, lambda: import_stock(ACTOR, file, skip_bad=True))
    assert held + imported.applied == len(levels) == held + 5 - len(imported.bad)
    assert {counters(level) for level in levels} <= {(10, 7), (3, 0)}


class Killed(Exception):
    """Simulates the end of the process."""


def test_a_run_cut_off_half_way_is_finished_by_the_next_and_nothing_is_doubled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(imports, "BATCH", 5)
    levels = [make_level(10) for _ in range(20)]
    file = file_of(levels, 1, "RECEIPT")

    def die(written: int) -> None:
        if written >= 12:
            raise Killed

    with pytest.raises(Killed):
        import_stock(ACTOR, file, skip_bad=True, progress=die)
    assert sum(level.on_hand for level in StockLevel.objects.all()) == 210
    assert import_stock(ACTOR, file, skip_bad=True) == Imported(10, 10, ())
    assert {counters(level) for level in levels} == {(11, 0)}


def test_a_run_of_all_or_nothing_cut_off_half_way_has_done_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imports, "BATCH", 5)
    levels = [make_level(10) for _ in range(20)]
    file = file_of(levels, 1, "RECEIPT")

    def die(written: int) -> None:
        if written >= 12:
            raise Killed

    with pytest.raises(Killed):
        import_stock(ACTOR, file, progress=die)
    assert {counters(level) for level in levels} == {(10, 0)}
    assert import_stock(ACTOR, file) == Imported(20, 0, ())


def test_a_connection_that_breaks_while_it_writes_loses_and_doubles_nothing() -> None:
    levels = [make_level(10) for _ in range(20)]
    file = file_of(levels, 1, "RECEIPT")
    actor = Actor("tests", None, "", "command")
    broken: list[int] = []

    def cut(_: int) -> None:
        if not broken:
            broken.append(1)
            with stranger() as other:
                other.execute("SELECT pg_terminate_backend(%s)", [connection.connection.info.backend_pid])

    try:
        import_stock(actor, file, progress=cut)
    except OutcomeUnknown:
        broken.append(2)
    import_stock(actor, file)
    assert broken
    assert {counters(level) for level in levels} == {(11, 0)}


def test_the_command_says_that_another_run_imports_the_file(tmp_path) -> None:  # type: ignore[no-untyped-def]
    level = make_level(10)
    sku = Product.objects.get(pk=level.product_id).sku
    path = tmp_path / "stock.csv"
    path.write_text(f"{','.join(COLUMNS)}\n{sku},wh-001,1,RECEIPT,r,\n")
    file = read_file("stock.csv", path.read_bytes())
    with stranger() as other:
        other.execute("SELECT pg_advisory_xact_lock(%s)", [imports.lock_of(file.id)])
        with pytest.raises(CommandError, match="Another run") as refused:
            call_command("import_stock", str(path))
    assert refused.value.returncode == 3
    assert counters(level) == (10, 0)
