"""Archiving moves old rows from the database to files without losing any."""

import gzip
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.conf import LazySettings
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from uuid_utils.compat import uuid7

from audit.models import AuditEntry
from config.celery import app
from inventory.errors import ArchiveRefused
from inventory.models import ArchivedFile, LedgerOpening, Movement, StockLevel
from inventory.services.bookkeeping import archiving
from reservations.models import BrokenHold, Reservation, ReservationItem, ShortageIncident
from reservations.services.bookkeeping.archiving import every_series, reservations
from reservations.services.holds.resolution import ConsumeRequest, ReleaseRequest, consume_hold, release_hold
from reservations.services.holds.selecting import Selector
from reservations.tasks import archive as archive_task
from tests.archives import archived_rows, files, let_days_pass
from tests.books import assert_books_balance
from tests.conftest import Api, body_of
from tests.factories import ACTOR, hold, make_due, make_level, receive, recorded
from tests.reservations.archives import archive, enter_without_deleting

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("store", "archive_folder")]


def sold(level: StockLevel, order: str, **fields: Any) -> Any:
    made = hold((level, 1), **fields)
    consume_hold(ConsumeRequest(ACTOR, order, Selector(reservation_id=made.id)))
    return made


def test_old_movements_go_to_a_file_and_on_hand_stays_explained() -> None:
    level, other = make_level(10), make_level(5)
    receive(level.product_id, 3)
    kept = {str(m.id): (str(m.level_id), m.quantity) for m in Movement.objects.all()}
    let_days_pass(400)
    receive(level.product_id, 4)
    assert "3 movements archived" in archive()
    assert {row["id"]: (row["level_id"], row["quantity"]) for row in archived_rows("movements")} == kept
    assert list(Movement.objects.values_list("quantity", "quantity_before")) == [(4, 13)]
    openings = dict(LedgerOpening.objects.values_list("level", "on_hand"))
    assert openings == {level.id: 13, other.id: 5}
    assert dict(StockLevel.objects.with_ledger_balance().values_list("id", "ledger_on_hand")) == {
        level.id: 17,
        other.id: 5,
    }
    assert_books_balance()


def test_an_opening_moves_on_with_each_archive() -> None:
    level = make_level(10)
    let_days_pass(200)
    receive(level.product_id, 5)
    let_days_pass(200)
    receive(level.product_id, 7)
    archive()
    first = LedgerOpening.objects.get()
    assert first.on_hand == 10
    let_days_pass(200)
    archive()
    second = LedgerOpening.objects.get()
    assert (second.on_hand, second.as_of > first.as_of) == (15, True)
    assert Movement.objects.get().quantity == 7
    assert_books_balance()


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_batches_are_bounded_and_never_part_what_happened_at_once(settings: LazySettings, size: int) -> None:
    settings.ARCHIVE_BATCH_SIZE = size
    level = make_level(10)
    for quantity in range(1, 5):
        receive(level.product_id, quantity)
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute("UPDATE inventory_movement SET created_at = (SELECT min(created_at) FROM inventory_movement)")
        cursor.execute("SET LOCAL session_replication_role = origin")
    for _ in range(2):
        receive(level.product_id, 1)
    let_days_pass(400)
    archive()
    rows = list(ArchivedFile.objects.filter(kind="MOVEMENTS").order_by("from_at").values_list("rows", flat=True))
    assert rows == {1: [5, 1, 1], 2: [5, 2], 3: [5, 2], 100: [7]}[size]
    assert LedgerOpening.objects.get().on_hand == 22
    assert len(archived_rows("movements")) == 7


def test_closed_reservations_go_with_their_items_and_active_ones_stay() -> None:
    level = make_level(100)
    done = sold(level, "order-1", customer_id="ada")
    given_back = hold((level, 2), (make_level(9), 1))
    release_hold(ReleaseRequest(ACTOR, Selector(reservation_id=given_back.id), "changed my mind"))
    let_days_pass(400)
    kept = [hold((level, 3)).id, sold(level, "order-2").id]
    assert "2 reservations archived" in archive()
    assert set(Reservation.objects.values_list("id", flat=True)) == set(kept)
    assert set(ReservationItem.objects.values_list("reservation", flat=True)) == set(kept)
    first, second = archived_rows("reservations")
    assert (first["id"], first["order_id"], first["customer_id"]) == (str(done.id), "order-1", "ada")
    assert [(item["quantity"], item["level_id"]) for item in first["items"]] == [(1, str(level.id))]
    assert (second["reason"], len(second["items"])) == ("changed my mind", 2)
    assert_books_balance()


def test_a_dead_hold_and_the_sale_that_was_made_of_it_go_together() -> None:
    level = make_level(100)
    dead = hold((level, 1))
    make_due(dead.id)
    release_hold(ReleaseRequest(ACTOR, Selector(reservation_id=dead.id)))
    let_days_pass(400)
    again = ConsumeRequest(ACTOR, "order-1", Selector(reservation_id=dead.id), reacquire=True)
    consume_hold(again)
    archive()
    assert Reservation.objects.count() == 2
    let_days_pass(400)
    archive()
    assert Reservation.objects.count() == 0
    assert [row["reacquired_from_id"] for row in archived_rows("reservations")] == [None, str(dead.id)]


def test_a_hold_that_was_reacquired_after_its_file_was_written_stays() -> None:
    level = make_level(100)
    dead, gone = hold((level, 1)), hold((level, 1))
    make_due(dead.id, gone.id)
    for made in (dead, gone):
        release_hold(ReleaseRequest(ACTOR, Selector(reservation_id=made.id)))
    let_days_pass(400)
    enter_without_deleting(reservations())
    consume_hold(ConsumeRequest(ACTOR, "order-1", Selector(reservation_id=dead.id), reacquire=True))
    assert "1 reservations archived" in archive()
    assert Reservation.objects.filter(pk=dead.id).exists()
    assert not Reservation.objects.filter(pk=gone.id).exists()
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")


def test_reservations_of_an_open_incident_stay_until_it_is_resolved() -> None:
    level = make_level(10)
    broken = hold((level, 1))
    release_hold(ReleaseRequest(ACTOR, Selector(reservation_id=broken.id), "shortage"))
    incident = ShortageIncident.objects.create(
        level=level,
        missing_units=1,
        cause_type="COUNT",
        cause_id=uuid7(),
        created_at=level.created_at,
        created_by="ada",
        request_id="r",
    )
    BrokenHold.objects.create(incident=incident, reservation_id=broken.id, quantity=1)
    let_days_pass(400)
    archive()
    assert Reservation.objects.filter(pk=broken.id).exists()
    ShortageIncident.objects.update(
        status="RESOLVED", resolved_at=level.created_at, resolved_by="ada", resolution="called the customer"
    )
    archive()
    assert not Reservation.objects.filter(pk=broken.id).exists()
    assert BrokenHold.objects.get().reservation_id == broken.id


def test_audit_entries_go_and_the_archive_leaves_its_own() -> None:
    make_level(10)
    let_days_pass(400)
    old = set(AuditEntry.objects.values_list("id", flat=True))
    archive()
    assert {row["id"] for row in archived_rows("audit_entries")} == {str(id_) for id_ in old}
    entries = recorded("inventory_rows_archived")
    assert set(AuditEntry.objects.all()) == set(entries)
    rows_by_file = {entry.changes["file"]: (entry.changes["rows"], entry.changes["deleted"]) for entry in entries}
    for file in ArchivedFile.objects.all():
        assert rows_by_file.pop(file.name) == (file.rows, file.rows)
        assert file.deleted_at
    assert not rows_by_file


def test_a_line_is_a_row_that_the_database_takes_back() -> None:
    level = make_level(10)
    Movement.objects.filter(level=level).get()
    let_days_pass(400)
    before = Movement.objects.values().get()
    archive()
    (path,) = files("movements")
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO inventory_movement SELECT * FROM json_populate_record(null::inventory_movement, %s::json)",
            [gzip.decompress(path.read_bytes()).decode()],
        )
    assert Movement.objects.values().get() == before
    assert before["cost_per_unit"] is None or isinstance(before["cost_per_unit"], Decimal)


# --- options ---------------------------------------------------------------------------------------------------------


def test_a_dry_run_counts_and_does_nothing(archive_folder: Path) -> None:
    sold(make_level(10), "order-1")
    let_days_pass(400)
    printed = archive(dry_run=True)
    assert printed.splitlines() == [
        "2 movements would be archived",
        "1 reservations would be archived",
        "3 audit entries would be archived",
    ]
    assert (Movement.objects.count(), ArchivedFile.objects.count(), archive_folder.exists()) == (2, 0, False)
    archived = archive().splitlines()
    assert [line for line in archived if line.endswith("archived")] == [
        "2 movements archived",
        "1 reservations archived",
        "3 audit entries archived",
    ]


def test_each_series_has_its_own_retention_and_0_keeps_for_ever(settings: LazySettings) -> None:
    settings.MOVEMENT_RETENTION_DAYS, settings.RESERVATION_RETENTION_DAYS, settings.AUDIT_RETENTION_DAYS = 50, 70, 0
    sold(make_level(10), "order-1")
    let_days_pass(60)
    assert [archiving.count(series) for series in every_series()] == [2, 0, 0]
    archive()
    assert (Movement.objects.count(), Reservation.objects.count()) == (0, 1)
    let_days_pass(5000)
    archive()
    assert Reservation.objects.count() == 0
    assert AuditEntry.objects.count() >= 3


def test_a_day_can_be_named_and_must_be_long_ago() -> None:
    make_level(10)
    let_days_pass(100)
    make_level(5)
    today = datetime.now(UTC).date()
    archive(before=today - timedelta(days=50))
    assert Movement.objects.get().quantity == 5
    with pytest.raises(CommandError, match="too young"):
        archive(before=today - timedelta(days=30))
    with pytest.raises(ArchiveRefused, match="too young"):
        next(archiving.archive(archiving.movements(), before=datetime.now(UTC)))
    for text in ("0001-01-01", "1999-12-31", "20200101", "2020-W01-1", "1700000000", "2020-13-01", "9999-12-31"):
        with pytest.raises(CommandError, match="--before"):
            call_command("archive", "--before", text)


def test_a_retention_that_is_too_short_archives_nothing(settings: LazySettings) -> None:
    settings.MOVEMENT_RETENTION_DAYS = 30
    make_level(10)
    let_days_pass(400)
    with pytest.raises(CommandError, match="too young"):
        archive()
    assert Movement.objects.count() == 1


def test_without_old_rows_nothing_is_archived(archive_folder: Path) -> None:
    make_level(10)
    assert archive().splitlines() == ["0 movements archived", "0 reservations archived", "0 audit entries archived"]
    assert [path.name for path in archive_folder.iterdir()] == [".lock"]


def test_the_task_is_the_command_once_a_month() -> None:
    make_level(10)
    let_days_pass(400)
    assert archive_task() == 2
    schedule = app.conf.beat_schedule["archive"]["schedule"]
    assert (len(schedule.day_of_month), len(schedule.hour), len(schedule.minute)) == (1, 1, 1)
    assert app.conf.beat_schedule["archive"]["task"] == archive_task.name


@pytest.mark.parametrize("kind", ["MOVEMENTS", "RESERVATIONS", "AUDIT_ENTRIES"])
def test_a_file_takes_the_same_statements_however_many_rows(settings: LazySettings, kind: str) -> None:
    settings.ARCHIVE_BATCH_SIZE = 1000

    def statements(rows: int) -> int:
        for number in range(rows):
            sold(make_level(10), f"order-{number}")
        let_days_pass(400)
        (series,) = (series for series in every_series() if series.kind == kind)
        with CaptureQueriesContext(connection) as queries:
            assert sum(file.deleted for file in archiving.archive(series)) >= rows
        return len(queries)

    assert statements(1) == statements(5)


def test_a_page_leaves_out_what_is_archived_while_it_is_read(api: Api) -> None:
    level = make_level(10)
    sold(level, "order-old")
    let_days_pass(400)
    kept = hold((level, 1))
    found: list[str] = []

    def archiving_before(execute: Any, sql: str, *arguments: Any) -> Any:
        if "WITH held" in sql and not found:
            found.append(sql)
            archive()
        return execute(sql, *arguments)

    with connection.execute_wrapper(archiving_before):
        page = api.get("/api/v1/inventory/reservations?storeId=main")
    assert (len(found), page.status_code) == (1, 200)
    assert [item["reservationId"] for item in body_of(page)["items"]] == [kept.public_id]
