"""Archives beside live writes and each other: no command waits for them, and no row is archived twice."""

from pathlib import Path
from typing import Any

import pytest
from django.conf import LazySettings
from django.db import connection, transaction

from inventory.errors import ArchiveRefused
from inventory.models import ArchivedFile, LedgerOpening, Movement, StockLevel
from inventory.services.bookkeeping import archiving
from reservations.services.bookkeeping.archiving import every_series
from reservations.services.holds.resolution import ConsumeRequest, ReleaseRequest, consume_hold, release_hold
from reservations.services.holds.selecting import Selector
from tests.archives import archived_rows, let_days_pass
from tests.concurrency.threads import stranger, together
from tests.factories import ACTOR, counters, hold, make_due, make_level, receive

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("store", "folder")]


@pytest.fixture
def folder(settings: LazySettings, tmp_path: Path) -> None:
    settings.ARCHIVE_DIR = tmp_path
    settings.ARCHIVE_BATCH_SIZE = 3


def archive() -> int:
    """Archive; the number of rows, or -1 if another archive was running."""
    try:
        return sum(file.deleted for series in every_series() for file in archiving.archive(series))
    except ArchiveRefused:
        return -1


def grow_old() -> None:
    with transaction.atomic():
        let_days_pass(400)


def sell(level: StockLevel, order: str) -> None:
    made = hold((level, 1))
    consume_hold(ConsumeRequest(ACTOR, order, Selector(reservation_id=made.id)))


def test_stock_moves_on_while_its_history_goes() -> None:
    levels = [make_level(100) for _ in range(3)]
    for number in range(8):
        for level in levels:
            sell(level, f"old-{level.id}-{number}")
    grow_old()

    def shop(level: StockLevel) -> int:
        for number in range(10):
            receive(level.product_id, 1)
            sell(level, f"new-{level.id}-{number}")
        return 0

    gone, *_ = together(archive, *(lambda level=level: shop(level) for level in levels))  # type: ignore[misc]
    assert gone == 3 * 9 + 3 * 8 + 3 * 17
    assert len({row["id"] for row in archived_rows()}) == gone == len(archived_rows())
    assert Movement.objects.count() == 60
    for level in levels:
        assert counters(level) == (92, 0)
        assert LedgerOpening.objects.get(level=level).on_hand == 92


def test_an_archive_waits_for_no_level() -> None:
    level = make_level(10)
    grow_old()
    with stranger() as other:
        other.execute("SELECT FROM inventory_stocklevel WHERE id = %s FOR NO KEY UPDATE", [level.id])
        assert together(archive, seconds=10) == [2]
    assert LedgerOpening.objects.get().on_hand == 10


def test_no_command_waits_for_an_archive_that_has_not_committed() -> None:
    level = make_level(10)
    grow_old()
    with stranger() as other:
        other.execute("SET LOCAL inventory.archiving = 'on'")
        other.execute("DELETE FROM inventory_movement")
        other.execute(
            "INSERT INTO inventory_ledgeropening (level_id, as_of, on_hand) VALUES (%s, now(), 10)", [level.id]
        )
        together(lambda: sell(level, "order"), lambda: receive(level.product_id, 5), seconds=10)
        assert counters(level) == (14, 0)


@pytest.mark.parametrize("has_own_folder", [False, True])
def test_two_archives_at_once_take_each_row_once(settings: LazySettings, tmp_path: Path, has_own_folder: bool) -> None:
    for number in range(6):
        sell(make_level(10), f"order-{number}")
    grow_old()
    wanted = Movement.objects.count()
    folders = [tmp_path / name for name in (("one", "two") if has_own_folder else ("one", "one"))]

    def movements(folder: Path) -> int:
        """``archive`` for movements only, to a folder of this thread."""
        try:
            return sum(file.deleted for file in archiving.archive(archiving.movements(), folder=folder))
        except ArchiveRefused:
            return -1

    outcomes = together(*(lambda folder=folder: movements(folder) for folder in folders))  # type: ignore[misc]
    assert max(outcomes) >= 0
    for folder in folders:
        movements(folder)
    entered = {file.name: file.rows for file in ArchivedFile.objects.exclude(deleted_at=None)}
    assert sum(entered.values()) == wanted
    assert Movement.objects.count() == 0


def test_a_late_payment_meets_the_archive_of_its_dead_hold() -> None:
    level = make_level(100)
    dead = [hold((level, 1)) for _ in range(6)]
    make_due(*(made.id for made in dead))
    for made in dead:
        release_hold(ReleaseRequest(ACTOR, Selector(reservation_id=made.id)))
    grow_old()

    def pay(made: Any) -> Any:
        request = ConsumeRequest(ACTOR, f"order-{made.id}", Selector(reservation_id=made.id), reacquire=True)
        return consume_hold(request)

    gone, *paid = together(archive, *(lambda made=made: pay(made) for made in dead))  # type: ignore[misc]
    sold = sum(not isinstance(outcome, Exception) for outcome in paid)
    assert counters(level) == (100 - sold, 0)
    assert gone >= 6 - sold
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM reservations_reservation WHERE reacquired_from_id IS NOT NULL")
        assert cursor.fetchone() == (sold,)
