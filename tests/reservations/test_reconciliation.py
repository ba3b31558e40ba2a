"""Reconciliation finds and reports every difference in the books, and repairs those that it safely can."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from io import StringIO
from typing import Any
from uuid import UUID

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError, OutputWrapper
from django.db import connection, transaction
from django.utils import timezone
from uuid_utils.compat import uuid7

from audit.roles import Role
from inventory.management.progress import progress_bar
from inventory.models import (
    LedgerOpening,
    LowStockAlert,
    Movement,
    Product,
    ReconciliationFinding,
    ReconciliationRun,
    StockCount,
    StockCountLine,
    StockLevel,
    Transfer,
    TransferLine,
)
from inventory.services.bookkeeping import reconciliation as stock
from inventory.services.bookkeeping.reconciliation import ReconciliationScope, Repair, Run
from inventory.services.transfers.commands import (
    Arrived,
    MoveLine,
    ReceiveRequest,
    TransferRequest,
    receive_transfer,
    start_transfer,
)
from reservations.models import Reservation, ReservationItem
from reservations.services.bookkeeping.reconciliation import NIGHTLY, reconcile
from reservations.tasks import reconcile as task
from tests.books import broken_rules
from tests.conftest import Api
from tests.contract.problems import problem
from tests.factories import (
    ACTOR,
    counters,
    hold,
    make_due,
    make_level,
    make_product,
    make_variant,
    make_warehouse,
    published,
    receive,
    recorded,
)

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("store")]
LATER = timedelta(minutes=30)


def sql(statement: str, *parameters: Any) -> None:
    """Break the books with SQL, bypassing triggers and foreign keys."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(statement, parameters)
        cursor.execute("SET LOCAL session_replication_role = origin")


def found(run: Run) -> list[tuple[str, UUID, int | None, int | None]]:
    rows = ReconciliationFinding.objects.filter(run_id=run.id).order_by("kind", "pk")
    return list(rows.values_list("kind", "subject_id", "expected", "actual"))


def repair(**fields: Any) -> Run:
    return reconcile(ACTOR, repair=Repair("drill"), **fields)


def assert_clean() -> None:
    assert found(reconcile(ACTOR)) == []
    assert not broken_rules()


def command(*arguments: str) -> tuple[int, str]:
    """Run the command. Returns its exit status and its output."""
    output = StringIO()
    try:
        call_command("reconcile", *arguments, stdout=output)
    except SystemExit as exit_:
        return int(exit_.code or 0), output.getvalue()
    except CommandError as error:
        return error.returncode, str(error)
    return 0, output.getvalue()


@contextmanager
def in_chunks_of(monkeypatch: pytest.MonkeyPatch, size: int) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setattr(stock, "CHUNK", size)
        patch.setattr(stock, "LOCKED_AT_ONCE", size)
        patch.setattr("reservations.services.bookkeeping.reconciliation.CHUNK", size)
        patch.setattr("inventory.services.bookkeeping.orphans.CHUNK", size)
        yield


def test_books_that_balance_have_no_findings() -> None:
    level = make_level(10)
    hold((level, 3))
    make_due(hold((level, 2)).id)
    run = reconcile(ACTOR)
    assert (found(run), run.levels_checked) == ([], 1)
    kept = ReconciliationRun.objects.get(pk=run.id)
    assert (kept.levels_checked, kept.finding_count, kept.actor, kept.scope) == (1, 0, "tests", "everything")
    assert kept.finished_at is not None


# ------------------------------------------------------------------------------------------------------------ on hand


def test_on_hand_changed_from_outside_is_found_and_set_to_the_ledger() -> None:
    level = make_level(10)
    sql("UPDATE inventory_stocklevel SET on_hand = 17 WHERE id = %s", level.id)
    assert found(reconcile(ACTOR)) == [("ON_HAND", level.id, 10, 17)]
    assert counters(level) == (17, 0)
    run = repair()
    assert (counters(level), run.unrepaired, Movement.objects.count()) == ((10, 0), 0, 1)
    (entry,) = recorded("inventory_stock_reconciled")
    assert (entry.subject_id, entry.actor, entry.changes["reason"]) == (level.id, "tests", "drill")
    assert (entry.changes["onHand"], entry.changes["ledger"]) == ([17, 10], [10, 10])
    (event,) = published("StockReconciledEvent")
    assert (event["previousStock"], event["newStock"], event["reason"]) == (17, 10, "drill")
    assert (event["productId"], event["warehouseId"]) == (str(level.product_id), "wh-001")
    finding = ReconciliationFinding.objects.get(run_id=run.id)
    assert (finding.repaired_by, finding.repair_reason, finding.repaired_at is not None) == ("tests", "drill", True)
    assert_clean()


def test_a_lost_movement_is_found_and_supplied() -> None:
    level = make_level(10)
    receive(level.product_id, 5)
    sql("DELETE FROM inventory_movement WHERE level_id = %s AND quantity = 10", level.id)
    assert found(reconcile(ACTOR)) == [("ON_HAND", level.id, 5, 15)]
    run = repair()
    assert counters(level) == (15, 0)
    supplied = Movement.objects.get(level=level, reference_type="reconciliation")
    assert (supplied.type, supplied.quantity) == ("ADJUSTMENT", 10)
    assert (supplied.quantity_before, supplied.quantity_after) == (5, 15)
    assert (supplied.reason, supplied.actor, supplied.reference) == ("drill", "tests", str(run.id))
    assert recorded("inventory_stock_reconciled")[0].changes["ledger"] == [5, 15]
    assert found(reconcile(ACTOR)) == []


def test_all_movements_lost_are_taken_for_the_truth_unless_holds_need_the_stock() -> None:
    free, promised = make_level(10), make_level(10)
    hold((promised, 4))
    sql("DELETE FROM inventory_movement")
    repair()
    assert (counters(free), counters(promised)) == ((0, 0), (10, 4))
    assert Movement.objects.get().quantity == 10
    assert found(reconcile(ACTOR)) == []


def forge(level: StockLevel, quantity: int) -> None:
    sql(
        "INSERT INTO inventory_movement (id, level_id, type, quantity, quantity_before, quantity_after, reason,"
        " reference_type, reference, actor, created_at)"
        " VALUES (%s, %s, 'ADJUSTMENT', %s, 0, %s, '', '', '', 'x', clock_timestamp())",
        uuid7(),
        level.id,
        quantity,
        quantity,
    )


@pytest.mark.parametrize("quantity", [-15, 2_000_000_000])
def test_an_impossible_ledger_gets_the_missing_movement(quantity: int) -> None:
    level = make_level(10)
    forge(level, quantity)
    repair()
    assert counters(level) == (10, 0)
    assert sum(Movement.objects.values_list("quantity", flat=True)) == 10
    assert found(reconcile(ACTOR)) == []


def test_a_ledger_out_of_all_range_is_reported_and_left() -> None:
    level = make_level(10)
    forge(level, 2_000_000_000)
    forge(level, 2_000_000_000)
    run = repair()
    assert (run.unrepaired, counters(level)) == (1, (10, 0))
    assert "no movement can be so large" in ReconciliationFinding.objects.get().detail


def test_the_opening_replaces_archived_movements() -> None:
    level = make_level(10)
    receive(level.product_id, 5)
    first = Movement.objects.order_by("created_at").first()
    assert first is not None
    LedgerOpening.objects.create(level=level, as_of=first.created_at, on_hand=10)
    assert found(reconcile(ACTOR)) == []
    sql("DELETE FROM inventory_movement WHERE id = %s", first.id)
    assert found(reconcile(ACTOR)) == []
    LedgerOpening.objects.update(on_hand=9)
    assert found(reconcile(ACTOR)) == [("ON_HAND", level.id, 14, 15)]


# ----------------------------------------------------------------------------------------------------------- reserved


def test_reserved_changed_from_outside_is_found_and_recomputed() -> None:
    level, variant = make_level(10), receive(make_variant(make_product()), 10)
    hold((level, 3))
    hold((variant, 3))
    sql("UPDATE inventory_stocklevel SET reserved = CASE id WHEN %s THEN 5 ELSE 0 END", level.id)
    assert set(found(reconcile(ACTOR))) == {("RESERVED", level.id, 3, 5), ("RESERVED", variant.id, 3, 0)}
    version = StockLevel.objects.get(pk=level.pk).version
    run = repair()
    assert (counters(level), counters(variant), run.unrepaired) == ((10, 3), (10, 3), 0)
    assert StockLevel.objects.get(pk=level.pk).version == version + 1
    assert {tuple(entry.changes["reserved"]) for entry in recorded("inventory_stock_reconciled")} == {(5, 3), (0, 3)}
    assert {(e["previousReserved"], e["newReserved"]) for e in published("StockReconciledEvent")} == {(5, 3), (0, 3)}
    assert_clean()


def test_both_counters_of_a_level_are_put_right_together() -> None:
    level = make_level(10)
    hold((level, 8))
    sql("UPDATE inventory_stocklevel SET on_hand = 3, reserved = 1")
    assert [kind for kind, *_ in found(reconcile(ACTOR))] == ["ON_HAND", "RESERVED"]
    repair()
    assert counters(level) == (10, 8)
    assert len(recorded("inventory_stock_reconciled")) == len(published("StockReconciledEvent")) == 1
    assert_clean()


def test_more_held_than_on_hand_is_left_to_a_count() -> None:
    level = make_level(10)
    held = hold((level, 8))
    sql("UPDATE reservations_reservationitem SET quantity = 50 WHERE reservation_id = %s", held.id)
    run = repair()
    assert (run.unrepaired, counters(level)) == (1, (10, 8))
    assert "count the stock" in ReconciliationFinding.objects.get().detail
    assert not recorded("inventory_stock_reconciled")


# ------------------------------------------------------------------------------------------------------ items and holds


def test_an_active_hold_whose_item_is_not_held_is_found_and_still_counts() -> None:
    level = make_level(10)
    item = ReservationItem.objects.get(reservation=hold((level, 3)).id)
    sql("UPDATE reservations_reservationitem SET held_until = NULL")
    assert found(reconcile(ACTOR)) == [("ORPHAN", item.id, None, None)]
    repair()
    (entry,) = recorded("inventory_reservation_reconciled")
    assert (entry.subject_id, entry.changes["reason"]) == (item.reservation_id, "drill")
    assert_clean()


def test_an_item_held_until_another_moment_is_found() -> None:
    level = make_level(10)
    hold((level, 3))
    sql("UPDATE reservations_reservationitem SET held_until = held_until + interval '1 day'")
    repair()
    assert_clean()


@pytest.mark.parametrize("status", ["RELEASED", "EXPIRED"])
def test_an_item_of_a_closed_hold_that_is_still_held_is_found_and_let_go(status: str) -> None:
    level = make_level(10)
    item = ReservationItem.objects.get(reservation=hold((level, 3)).id)
    sql("UPDATE reservations_reservation SET status = %s, released_at = now()", status)
    findings = found(reconcile(ACTOR))
    assert findings == [("ORPHAN", item.id, None, None), ("RESERVED", level.id, 0, 3)]
    run = repair()
    assert (run.unrepaired, counters(level)) == (0, (10, 0))
    assert found(reconcile(ACTOR)) == []


@pytest.mark.django_db(transaction=True)
def test_an_item_whose_hold_is_gone_is_found_and_let_go() -> None:
    level = make_level(10)
    held = hold((level, 3))
    sql("DELETE FROM reservations_reservation WHERE id = %s", held.id)
    assert [kind for kind, *_ in found(reconcile(ACTOR))] == ["ORPHAN", "RESERVED"]
    repair()
    assert (counters(level), found(reconcile(ACTOR))) == ((10, 0), [])


def test_an_active_hold_without_items_is_reported() -> None:
    level = make_level(10)
    held = hold((level, 3))
    sql("DELETE FROM reservations_reservationitem")
    assert ("ORPHAN", held.id, None, None) in found(reconcile(ACTOR))
    run = repair()
    assert (run.unrepaired, counters(level)) == (1, (10, 0))


@pytest.mark.django_db(transaction=True)
def test_a_held_item_of_a_level_that_is_gone_is_reported() -> None:
    level = make_level(10)
    item = ReservationItem.objects.get(reservation=hold((level, 3)).id)
    sql("DELETE FROM inventory_movement")
    sql("DELETE FROM inventory_stocklevel")
    assert found(reconcile(ACTOR)) == [("ORPHAN", item.id, None, None)]
    assert ReconciliationFinding.objects.get().level_id is None


# ----------------------------------------------------------------------------------------------------------- long due


def test_a_hold_long_past_its_end_is_reported() -> None:
    level = make_level(10)
    dead, just = hold((level, 3)), hold((level, 2))
    make_due(dead.id, ago=LATER)
    make_due(just.id)
    assert found(reconcile(ACTOR)) == [("LONG_DUE", dead.id, None, None)]
    run = repair()
    assert (run.unrepaired, counters(level)) == (0, (10, 2))
    assert Reservation.objects.get(pk=dead.id).status == "EXPIRED"
    assert_clean()


def test_a_wrong_counter_that_stops_the_sweeper_is_mended_before_it_sweeps() -> None:
    level = make_level(10)
    make_due(hold((level, 3)).id, ago=LATER)
    sql("UPDATE inventory_stocklevel SET reserved = 1")
    run = repair()
    assert (run.counts, run.unrepaired, counters(level)) == ({"RESERVED": 1, "LONG_DUE": 1}, 0, (10, 0))
    assert_clean()


# ------------------------------------------------------------------------------------------- transfers and other owners


def ship(level: StockLevel, quantity: int, *, received: int = 0, close: bool = False) -> Transfer:
    """Send a transfer to wh-002, and receive a part of it."""
    request = TransferRequest(ACTOR, (MoveLine(level.product_id, None, quantity, "wh-001", "wh-002"),))
    start_transfer(request)
    if received:
        arrived = (Arrived(level.product_id, None, received),)
        receive_transfer(ReceiveRequest(ACTOR, request.id, arrived, close))
    return Transfer.objects.get(pk=request.id)


def test_transfers_that_agree_with_their_movements_are_no_finding() -> None:
    level = make_level(10)
    ship(level, 4)
    ship(make_level(10), 4, received=3)
    ship(make_level(10), 4, received=4)
    ship(make_level(10), 4, received=3, close=True)
    assert_clean()


def test_units_in_transit_that_no_movement_explains_are_reported_and_left() -> None:
    transfer = ship(make_level(10), 4)
    sql("UPDATE inventory_transferline SET quantity = 6, quantity_shipped = 6")
    assert found(reconcile(ACTOR)) == [("IN_TRANSIT", transfer.id, 4, 6)]
    assert repair().unrepaired == 1
    assert TransferLine.objects.get().in_transit == 6


def test_a_closed_transfer_has_nothing_in_transit() -> None:
    transfer = ship(make_level(10), 4)
    sql("UPDATE inventory_transfer SET status = 'CANCELLED', closed_at = now()")
    assert found(reconcile(ACTOR)) == [("IN_TRANSIT", transfer.id, 0, 4)]


def test_a_transfer_whose_movements_are_archived_is_not_compared() -> None:
    level = make_level(10)
    ship(level, 4)
    LedgerOpening.objects.create(level=level, as_of=timezone.now(), on_hand=6)
    sql("DELETE FROM inventory_movement WHERE level_id = %s", level.id)
    assert found(reconcile(ACTOR)) == []


@pytest.mark.django_db(transaction=True)
def test_movements_of_a_transfer_or_level_that_is_gone_are_reported() -> None:
    transfer, lone = ship(make_level(10), 4), make_level(10)
    sql("DELETE FROM inventory_transferline")
    sql("DELETE FROM inventory_transfer")
    sql("DELETE FROM inventory_stocklevel WHERE id = %s", lone.id)
    movement = Movement.objects.get(reference=transfer.public_id)
    assert set(found(reconcile(ACTOR))) == {("ORPHAN", movement.id, None, None), ("ORPHAN", lone.id, None, None)}


def test_an_open_line_of_a_closed_count_is_found_and_closed() -> None:
    level = make_level(10)
    now = timezone.now()
    count = StockCount.objects.create(warehouse=level.warehouse, scope="ALL", opened_by="t", opened_at=now)
    line = StockCountLine.objects.create(count=count, level=level)
    assert_clean()
    StockCount.objects.update(status="CANCELLED", cancelled_at=now)
    assert found(reconcile(ACTOR)) == [("ORPHAN", line.id, None, None)]
    assert repair().unrepaired == 0
    (entry,) = recorded("inventory_count_line_closed")
    assert (entry.subject_id, entry.changes["reason"]) == (count.id, "drill")
    assert_clean()


def test_an_alert_of_an_unwatched_level_is_reported_after_an_hour() -> None:
    level = make_level(1)
    alert = LowStockAlert.objects.create(level=level, severity="LOW", available=1, opened_at=timezone.now())
    assert_clean()
    StockLevel.objects.update(updated_at=timezone.now() - timedelta(hours=2))
    assert found(reconcile(ACTOR)) == [("ORPHAN", alert.id, None, None)]
    StockLevel.objects.update(reorder_point=5)
    assert_clean()


# -------------------------------------------------------------------------------------------------------- many and some


def break_everything() -> set[tuple[str, UUID]]:
    broken = set()
    for _ in range(5):
        level = make_level(10)
        held = hold((level, 2))
        sql("UPDATE inventory_stocklevel SET on_hand = 12, reserved = 5 WHERE id = %s", level.id)
        sql("UPDATE reservations_reservationitem SET held_until = NULL WHERE reservation_id = %s", held.id)
        broken |= {("ON_HAND", level.id), ("RESERVED", level.id)}
        broken.add(("ORPHAN", ReservationItem.objects.get(reservation=held.id).id))
        late = hold((make_level(3), 1))
        make_due(late.id, ago=LATER)
        broken.add(("LONG_DUE", late.id))
        transfer = ship(make_level(10), 4)
        sql("UPDATE inventory_transferline SET quantity_lost = 1 WHERE transfer_id = %s", transfer.id)
        broken.add(("IN_TRANSIT", transfer.id))
    return broken


@pytest.mark.parametrize("size", [1, 2, 3, 1000])
def test_chunks_leave_nothing_out_and_find_nothing_twice(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    broken = break_everything()
    with in_chunks_of(monkeypatch, size):
        rows = [(kind, subject) for kind, subject, _, _ in found(reconcile(ACTOR))]
        assert (len(rows), set(rows)) == (len(broken), broken)
        assert repair().counts["ON_HAND"] == 5
        assert {kind for kind, *_ in found(reconcile(ACTOR))} == {"IN_TRANSIT"}


def test_findings_past_the_limit_are_counted_and_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stock, "_KEPT_OF_A_KIND", 3)
    break_everything()
    run = reconcile(ACTOR)
    assert run.finding_count == ReconciliationRun.objects.get(pk=run.id).finding_count == 25
    assert ReconciliationFinding.objects.filter(run_id=run.id).count() == 15
    assert "… and 10 more." in command()[1]


def test_a_scope_is_a_warehouse_or_a_product_with_its_variants() -> None:
    parent = make_product()
    one, other = receive(make_variant(parent), 10), make_level(10, "wh-002")
    held = hold((one, 1))
    make_due(held.id, ago=LATER)
    make_due(hold((make_level(10), 1)).id, ago=LATER)
    sql("UPDATE inventory_stocklevel SET on_hand = 11")
    of_parent = reconcile(ACTOR, ReconciliationScope(product_id=parent.id))
    assert found(of_parent) == [("LONG_DUE", held.id, None, None), ("ON_HAND", one.id, 10, 11)]
    assert of_parent.levels_checked == stock.count_levels(of_parent.scope) == 1
    of_warehouse = reconcile(ACTOR, ReconciliationScope(warehouse_id=other.warehouse_id))
    assert found(of_warehouse) == [("ON_HAND", other.id, 10, 11)]


# ------------------------------------------------------------------------------------------- command, task and HTTP


def test_the_command_says_that_nothing_is_wrong() -> None:
    make_level(10)
    assert command() == (0, "1 levels checked (everything), 0 findings.\n")


def test_the_command_prints_a_table_and_its_status_says_that_something_is_wrong() -> None:
    level = make_level(10)
    sql("UPDATE inventory_stocklevel SET on_hand = 11")
    status, text = command()
    sku = Product.objects.get(pk=level.product_id).sku
    heading, row, last = text.splitlines()
    assert status == 1
    assert heading.split() == ["KIND", "SKU", "WAREHOUSE", "EXPECTED", "ACTUAL", "REPAIRED", "DETAIL"]
    assert row.split()[:6] == ["ON_HAND", sku, "wh-001", "10", "11", "no"]
    assert last == "1 levels checked (everything), 1 findings."


def test_the_command_repairs_with_a_reason_and_then_nothing_is_wrong() -> None:
    level = make_level(10)
    sql("UPDATE inventory_stocklevel SET on_hand = 11")
    status, text = command("--repair", "--reason", "after the restore", "--actor", "olga")
    assert (status, counters(level)) == (0, (10, 0))
    assert text.endswith("1 findings, 1 repaired.\n")
    entry = recorded("inventory_stock_reconciled")[0]
    assert (entry.actor, entry.source, entry.changes["reason"]) == ("olga", "command", "after the restore")
    assert command()[0] == 0


def test_the_command_takes_a_warehouse_and_a_product_by_either_name() -> None:
    level = make_level(10)
    sku = Product.objects.get(pk=level.product_id).sku
    make_level(10, "wh-002")
    assert command("--warehouse", "wh-002")[1].startswith("1 levels checked (warehouse wh-002)")
    for name in (sku, str(level.product_id)):
        assert command("--product", name)[1].startswith(f"1 levels checked (product {sku})")
    assert command("--product", sku, "--warehouse", "wh-002")[1].startswith("0 levels")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--repair"], "--reason"),
        (["--repair", "--reason", "  "], "--reason"),
        (["--reason", "why"], "--repair"),
        (["--repair", "--reason", "x" * 501], "500"),
        (["--warehouse", "nowhere"], "no warehouse nowhere"),
        (["--product", "nothing"], "no product nothing"),
        (["--actor", " "], "--actor"),
    ],
)
def test_wrong_usage_has_a_status_of_its_own_and_does_nothing(arguments: list[str], says: str) -> None:
    status, text = command(*arguments)
    assert status == 2
    assert says in text
    assert not ReconciliationRun.objects.exists()


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_is_shown_on_a_terminal_alone() -> None:
    screen, log = Terminal(), StringIO()
    for out in (screen, log):
        with progress_bar(OutputWrapper(out), "levels", 2000) as progress:
            progress(1000)
            progress(2000)
    assert log.getvalue() == ""
    assert re.findall(r"[\d,]+ of [\d,]+ levels", screen.getvalue())[-1] == "2,000 of 2,000 levels"
    assert screen.getvalue().endswith("\r\033[K")


def test_the_nightly_task_repairs_nothing_and_says_how_much_is_wrong() -> None:
    from config.celery import app  # noqa: PLC0415 - the settings must be ready

    level = make_level(10)
    assert task() == 0
    sql("UPDATE inventory_stocklevel SET on_hand = 11")
    assert (task(), counters(level)) == (1, (11, 0))
    assert ReconciliationRun.objects.latest("started_at").actor == NIGHTLY.name
    assert app.conf.beat_schedule["reconcile"]["task"] == task.name


def test_over_http_the_last_finished_run_and_its_findings(api: Api) -> None:
    assert api.get("reconciliation").json() == {"run": None, "items": [], "next": None}  # type: ignore[attr-defined]
    parent = make_product()
    level, variant = make_level(10), receive(make_variant(parent), 10)
    reconcile(ACTOR)
    sql("UPDATE inventory_stocklevel SET on_hand = 11")
    run = reconcile(ACTOR)
    ReconciliationRun.objects.create(started_at=timezone.now(), actor="not finished")
    first = api.get("reconciliation?limit=1").json()  # type: ignore[attr-defined]
    assert first["run"]["reconciliationId"] == str(run.id)
    assert (first["run"]["findingCount"], first["run"]["levelsChecked"], first["run"]["scope"]) == (2, 2, "everything")
    second = api.get(f"reconciliation?limit=1&cursor={first['next']}").json()  # type: ignore[attr-defined]
    assert second["next"] is None
    items = {item["subjectId"]: item for item in first["items"] + second["items"]}
    assert set(items) == {str(level.id), str(variant.id)}
    of_variant = items[str(variant.id)]
    assert (of_variant["productId"], of_variant["variantId"]) == (str(parent.id), str(variant.product_id))
    assert (of_variant["expected"], of_variant["actual"], of_variant["warehouseId"]) == (10, 11, "wh-001")
    assert "repairedAt" not in of_variant
    repair()
    (one, _) = api.get("reconciliation?kind=ON_HAND").json()["items"]  # type: ignore[attr-defined]
    assert (one["repairedBy"], one["repairReason"]) == ("tests", "drill")
    assert api.get("reconciliation?kind=RESERVED").json()["items"] == []  # type: ignore[attr-defined]


def test_over_http_for_managers_of_all_stores_alone(make_api: Callable[..., Api]) -> None:
    make_warehouse()
    problem(make_api(Role.WAREHOUSE).get("reconciliation"), 403, "permission_denied")
    problem(make_api(Role.MANAGER, stores=("main",)).get("reconciliation"), 403, "permission_denied")
