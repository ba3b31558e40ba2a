"""Constraints of the database on transfers, counts, alerts, incidents and other documents."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction
from uuid_utils.compat import uuid7

from inventory.models import (
    AlertSubscription,
    ArchivedFile,
    LedgerOpening,
    LowStockAlert,
    Movement,
    ReconciliationFinding,
    ReconciliationRun,
    StockCount,
    StockCountLine,
    Transfer,
    TransferLine,
)
from reservations.models import BrokenHold, ShortageIncident
from tests.factories import ACTOR, hold, make_level, make_store, make_warehouse, receive
from tests.inventory.test_database import refusal
from tests.rolling_back import shared_by_module

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("rows")]
NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def rows(django_db_setup: None, django_db_blocker: Any) -> Iterator[dict[str, Any]]:
    """One of everything: a transfer on its way, a count with a line, an alert, an incident and the rest."""
    with shared_by_module(django_db_blocker):
        yield make_rows()


def make_rows() -> dict[str, Any]:
    make_store("main", "wh-001", "wh-002")
    level = make_level(10)
    there = receive(level.product_id, 1, "wh-002")
    made = hold((level, 3))
    transfer = Transfer.objects.create(
        status="IN_TRANSIT",
        from_warehouse=level.warehouse,
        to_warehouse=there.warehouse,
        initiated_by="ada",
        initiated_at=NOW,
        shipped_at=NOW,
        expected_delivery=NOW,
    )
    TransferLine.objects.create(
        transfer=transfer,
        product=level.product,
        source_level=level,
        destination_level=there,
        quantity=5,
        quantity_shipped=5,
    )
    count = StockCount.objects.create(warehouse=level.warehouse, scope="ALL", opened_by="ada", opened_at=NOW)
    StockCountLine.objects.create(count=count, level=level)
    LowStockAlert.objects.create(level=level, severity="LOW", available=1, opened_at=NOW)
    AlertSubscription.objects.create(warehouse=level.warehouse, email="ada@example.com")
    LedgerOpening.objects.create(level=level, as_of=NOW, on_hand=0)
    run = ReconciliationRun.objects.create(started_at=NOW, actor="ada")
    ReconciliationFinding.objects.create(run=run, kind="ON_HAND", subject_id=level.id, level=level)
    ArchivedFile.objects.create(
        kind="MOVEMENTS", name="m.jsonl.gz", rows=1, sha256="0" * 64, from_at=NOW, to_at=NOW, written_at=NOW
    )
    incident = ShortageIncident.objects.create(
        level=level, missing_units=3, cause_type="COUNT", cause_id=count.id, created_at=NOW, created_by="ada"
    )
    BrokenHold.objects.create(incident=incident, reservation_id=made.id, cart_id=made.cart_id, quantity=3)
    return {"level": level.id, "there": there.id, "transfer": transfer.id, "count": count.id, "run": run.id}


def again(table: str, *columns: str, **changed: str) -> str:
    """A statement that copies each row of a table under a new id."""
    values = [changed.get(column, column) for column in columns]
    return f"INSERT INTO {table} (id, {', '.join(columns)}) SELECT gen_random_uuid(), {', '.join(values)} FROM {table}"


TRANSFER = "UPDATE inventory_transfer SET {}"
LINE = "UPDATE inventory_transferline SET {}"
COUNT = "UPDATE inventory_stockcount SET {}"
COUNTED = "UPDATE inventory_stockcountline SET {}"
ALERT = "UPDATE inventory_lowstockalert SET {}"
OPENING = "UPDATE inventory_ledgeropening SET {}"
RUN = "UPDATE inventory_reconciliationrun SET {}"
FINDING = "UPDATE inventory_reconciliationfinding SET {}"
ARCHIVED = "UPDATE inventory_archivedfile SET {}"
STORE = "UPDATE inventory_store SET {}"
INCIDENT = "UPDATE reservations_shortageincident SET {}"
COUNT_LINE_COLUMNS = ("count_id", "level_id", "counted_by", "needs_recount", "recounted_by", "is_open")


@pytest.mark.parametrize(
    ("constraint", "sql"),
    [
        ("transfer_goes_elsewhere", TRANSFER.format("to_warehouse_id = from_warehouse_id")),
        ("transfer_status_agrees", TRANSFER.format("status = 'PENDING'")),
        ("transfer_status_agrees", TRANSFER.format("shipped_at = NULL")),
        ("transfer_status_agrees", TRANSFER.format("closed_at = now()")),
        ("transfer_status_agrees", TRANSFER.format("status = 'PARTIALLY_RECEIVED', shipped_at = NULL")),
        ("transfer_status_agrees", TRANSFER.format("status = 'RECEIVED'")),
        ("transfer_status_agrees", TRANSFER.format("status = 'RECEIVED', shipped_at = NULL, closed_at = now()")),
        ("transfer_status_agrees", TRANSFER.format("status = 'CANCELLED'")),
        ("transfer_status_agrees", TRANSFER.format("status = 'LOST'")),
        ("transfer_line_quantities", LINE.format("quantity = 4")),
        ("transfer_line_quantities", LINE.format("quantity = 0, quantity_shipped = 0")),
        ("transfer_line_quantities", LINE.format("quantity_shipped = -1")),
        ("transfer_line_quantities", LINE.format("quantity_received = -1")),
        ("transfer_line_quantities", LINE.format("quantity_returned = -1")),
        ("transfer_line_quantities", LINE.format("quantity_lost = -1")),
        (
            "transfer_line_within_shipped",
            LINE.format("quantity_received = 3, quantity_returned = 2, quantity_lost = 1"),
        ),
        ("transfer_line_shipped_has_levels", LINE.format("source_level_id = NULL")),
        ("transfer_line_shipped_has_levels", LINE.format("destination_level_id = NULL")),
        (
            "transfer_line_once",
            again(
                "inventory_transferline",
                *("transfer_id", "product_id", "quantity", "quantity_shipped", "quantity_received"),
                *("quantity_returned", "quantity_lost"),
                quantity_shipped="0",
            ),
        ),
        ("count_status_agrees", COUNT.format("posted_at = now()")),
        ("count_status_agrees", COUNT.format("cancelled_at = now()")),
        ("count_status_agrees", COUNT.format("status = 'POSTED'")),
        ("count_status_agrees", COUNT.format("status = 'CANCELLED', posted_at = now(), cancelled_at = now()")),
        ("count_status_agrees", COUNT.format("status = 'DONE'")),
        ("count_scope_agrees", COUNT.format("zone = 'A'")),
        ("count_scope_agrees", COUNT.format("scope = 'ZONE'")),
        ("count_scope_agrees", COUNT.format("stale_days = 30")),
        ("count_scope_agrees", COUNT.format("scope = 'STALE', stale_days = 0")),
        ("count_scope_agrees", COUNT.format("scope = 'SHELF'")),
        ("count_recount_share", COUNT.format("recount_share = 1.1")),
        ("count_recount_share", COUNT.format("recount_share = -0.1")),
        ("count_line_once", again("inventory_stockcountline", *COUNT_LINE_COLUMNS, is_open="false")),
        (
            "count_line_one_open",
            """WITH other AS (INSERT INTO inventory_stockcount
               (id, warehouse_id, scope, zone, status, note, opened_by, opened_at, posted_by, cancelled_by)
               SELECT gen_random_uuid(), warehouse_id, 'ALL', '', 'OPEN', '', '', now(), '', ''
               FROM inventory_stockcount RETURNING id)
               INSERT INTO inventory_stockcountline
               (id, count_id, level_id, counted_by, needs_recount, recounted_by, is_open)
               SELECT gen_random_uuid(), id, %(level)s, '', false, '', true FROM other""",
        ),
        ("count_line_counted_agrees", COUNTED.format("counted = 3")),
        ("count_line_counted_agrees", COUNTED.format("counted_at = now(), expected = 3")),
        ("count_line_counted_agrees", COUNTED.format("counted = 3, counted_at = now()")),
        ("count_line_within_limits", COUNTED.format("counted = -1, counted_at = now(), expected = 3")),
        ("count_line_within_limits", COUNTED.format("counted = 2000000001, counted_at = now(), expected = 3")),
        (
            "count_line_recounted_agrees",
            COUNTED.format("recounted = 3, recounted_at = now(), recount_expected = 3"),
        ),
        (
            "count_line_recounted_agrees",
            COUNTED.format("counted = 3, counted_at = now(), expected = 3, recounted_at = now(), recount_expected = 3"),
        ),
        (
            "count_line_recount_within_limits",
            COUNTED.format(
                """counted = 3, counted_at = now(), expected = 3, recounted = -1, recounted_at = now(),
                recount_expected = 3"""
            ),
        ),
        ("count_line_open_is_not_posted", COUNTED.format("posted_difference = 0")),
        (
            "alert_one_open",
            again(
                "inventory_lowstockalert",
                *("level_id", "severity", "available", "opened_at"),
            ),
        ),
        ("alert_severity_is_known", ALERT.format("severity = 'MILD'")),
        ("alert_severity_is_known", ALERT.format("worsened_at = now()")),
        ("alert_acknowledged_agrees", ALERT.format("acknowledged_at = now()")),
        ("alert_acknowledged_agrees", ALERT.format("acknowledged_by = 'ada'")),
        ("alert_resolved_after_opened", ALERT.format("resolved_at = opened_at - interval '1 second'")),
        (
            "alert_subscription_once",
            again("inventory_alertsubscription", "warehouse_id", "email", email="upper(email)"),
        ),
        ("opening_within_limits", OPENING.format("on_hand = -1")),
        ("opening_within_limits", OPENING.format("on_hand = 2000000001")),
        ("inventory_ledgeropening_pkey", "INSERT INTO inventory_ledgeropening SELECT * FROM inventory_ledgeropening"),
        ("reconciliation_run_counts", RUN.format("levels_checked = -1")),
        ("reconciliation_run_counts", RUN.format("finding_count = -1")),
        ("reconciliation_run_ends_later", RUN.format("finished_at = started_at - interval '1 second'")),
        ("finding_kind_is_known", FINDING.format("kind = 'THEFT'")),
        ("finding_repaired_agrees", FINDING.format("repaired_at = now(), repaired_by = 'ada'")),
        ("finding_repaired_agrees", FINDING.format("repaired_at = now(), repair_reason = 'typing error'")),
        ("finding_repaired_agrees", FINDING.format("repaired_by = 'ada', repair_reason = 'typing error'")),
        ("archived_kind_is_known", ARCHIVED.format("kind = 'SECRETS'")),
        ("archived_something", ARCHIVED.format("rows = 0")),
        ("archived_span", ARCHIVED.format("to_at = from_at - interval '1 second'")),
        ("archived_sha256", ARCHIVED.format("sha256 = 'abc'")),
        ("archived_before_deleted", ARCHIVED.format("deleted_at = written_at - interval '1 second'")),
        (
            "inventory_archivedfile_name",
            again("inventory_archivedfile", *("kind", "name", "rows", "sha256", "from_at", "to_at", "written_at")),
        ),
        ("store_limits_positive", STORE.format("max_units_per_customer = 0")),
        ("store_limits_positive", STORE.format("max_holds_per_customer = 0, hold_window_minutes = 5")),
        ("store_limits_positive", STORE.format("max_holds_per_customer = 5, hold_window_minutes = 0")),
        ("store_hold_limit_has_window", STORE.format("max_holds_per_customer = 5")),
        ("store_hold_limit_has_window", STORE.format("hold_window_minutes = 5")),
        ("product_limit_positive", "UPDATE inventory_product SET max_units_per_customer = 0"),
        ("incident_misses_something", INCIDENT.format("missing_units = 0")),
        ("incident_cause_is_known", INCIDENT.format("cause_type = 'THEFT'")),
        ("incident_status_agrees", INCIDENT.format("status = 'RESOLVED'")),
        ("incident_status_agrees", INCIDENT.format("resolved_at = now()")),
        ("incident_status_agrees", INCIDENT.format("status = 'RESOLVED', resolved_at = now(), resolved_by = 'ada'")),
        (
            "incident_once",
            again(
                "reservations_shortageincident",
                *("level_id", "missing_units", "cause_type", "cause_id", "created_at", "created_by", "request_id"),
                "status",
            ),
        ),
        ("broken_hold_held_something", "UPDATE reservations_brokenhold SET quantity = 0"),
        ("broken_hold_once", again("reservations_brokenhold", "incident_id", "reservation_id", "quantity")),
    ],
)
def test_a_named_constraint_refuses_what_breaks_it(rows: dict[str, Any], constraint: str, sql: str) -> None:
    assert constraint in refusal(sql, rows)


@pytest.mark.parametrize("table", ["product", "warehouse", "store"])
@pytest.mark.parametrize(
    "change",
    [
        "freeze_reason = 'recall'",
        "frozen_until = now()",
        "frozen_at = now(), frozen_until = now() - interval '1 second'",
    ],
)
def test_only_what_is_frozen_has_a_reason_and_a_later_end(rows: dict[str, Any], table: str, change: str) -> None:
    assert f"{table}_freeze_agrees" in refusal(f"UPDATE inventory_{table} SET {change}", rows)


def run(*statements: str) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        for sql in statements:
            cursor.execute(sql)


def test_states_that_agree_are_accepted(rows: dict[str, Any]) -> None:
    for change in (
        "status = 'PARTIALLY_RECEIVED'",
        "status = 'RECEIVED', closed_at = now()",
        "status = 'CANCELLED'",
        "shipped_at = NULL",
        "status = 'PENDING', closed_at = NULL",
    ):
        run(TRANSFER.format(change))
    for change in ("scope = 'ZONE', zone = 'A'", "scope = 'STALE', zone = ''", "stale_days = 30, recount_share = 0.05"):
        run(COUNT.format(change))
    for change in ("frozen_at = now()", "frozen_until = now() + interval '1 hour', freeze_reason = 'recall'"):
        run(STORE.format(change), f"UPDATE inventory_product SET {change}", f"UPDATE inventory_warehouse SET {change}")
    run(ALERT.format("severity = 'CRITICAL', worsened_at = now()"), ALERT.format("resolved_at = now()"))
    run(COUNTED.format("is_open = false, counted = 3, counted_at = now(), expected = 10, posted_difference = -7"))
    run(STORE.format("max_holds_per_customer = 5, hold_window_minutes = 60, max_units_per_customer = 1"))
    run(INCIDENT.format("status = 'RESOLVED', resolved_at = now(), resolved_by = 'ada', resolution = 'refunded'"))
    run(FINDING.format("repaired_at = now(), repaired_by = 'ada', repair_reason = 'typing error'"))


def test_in_transit_is_the_databases_own_sum(rows: dict[str, Any]) -> None:
    TransferLine.objects.update(quantity_received=2, quantity_returned=1, quantity_lost=1)
    assert TransferLine.objects.get().in_transit == 1
    assert "in_transit" in refusal(LINE.format("in_transit = 5"), rows)


def test_a_level_is_counted_again_once_its_count_is_closed(rows: dict[str, Any]) -> None:
    StockCountLine.objects.update(is_open=False)
    StockCount.objects.update(status="POSTED", posted_at=NOW)
    count = StockCount.objects.create(warehouse=make_warehouse(), scope="ALL", opened_by="ada", opened_at=NOW)
    StockCountLine.objects.create(count=count, level_id=rows["level"])
    assert StockCountLine.objects.filter(level=rows["level"]).count() == 2


HISTORY = ["inventory_movement", "audit_auditentry"]


@pytest.mark.parametrize("table", HISTORY)
def test_history_is_deleted_under_the_archives_setting_and_in_its_transaction_alone(
    rows: dict[str, Any], table: str
) -> None:
    assert "pgtrigger: Cannot delete" in refusal(f"DELETE FROM {table}", rows)
    assert "pgtrigger: Cannot delete" in refusal(f"SET LOCAL inventory.archiving = 'off'; DELETE FROM {table}", {})
    with connection.cursor() as cursor:
        sid = transaction.savepoint()
        cursor.execute("SET LOCAL inventory.archiving = 'on'")
        cursor.execute(f"DELETE FROM {table}")
        assert cursor.rowcount >= 1
        transaction.savepoint_rollback(sid)
    assert "pgtrigger: Cannot delete" in refusal(f"DELETE FROM {table}", rows)


@pytest.mark.parametrize(
    "sql", ["UPDATE inventory_movement SET reason = 'x'", "UPDATE audit_auditentry SET actor = ''"]
)
def test_not_even_the_archive_changes_history(rows: dict[str, Any], sql: str) -> None:
    assert "pgtrigger: Cannot update" in refusal(f"SET LOCAL inventory.archiving = 'on'; {sql}", {})


def test_documents_are_seen_by_the_stores_that_sell_from_their_warehouses(rows: dict[str, Any]) -> None:
    make_store("outlet", "wh-002", is_default=False)
    make_store("abroad", "wh-003", is_default=False)

    def seen(*stores: str) -> list[int]:
        models = (Movement, Transfer, StockCount, LowStockAlert, ShortageIncident)
        return [
            model.objects.visible_to(msgspec.structs.replace(ACTOR, store_codes=stores)).count() for model in models
        ]

    assert seen() == seen("main") == seen("main", "outlet") == [2, 1, 1, 1, 1]
    assert seen("outlet") == [1, 1, 0, 0, 0]
    assert seen("abroad") == [0, 0, 0, 0, 0]


def test_a_transfer_is_overdue_while_it_is_on_its_way_past_its_day(rows: dict[str, Any]) -> None:
    assert Transfer.objects.overdue().get().public_id == f"tr-{rows['transfer']}"
    Transfer.objects.update(expected_delivery=datetime.now(UTC) + timedelta(days=1))
    assert not Transfer.objects.overdue().exists()
    Transfer.objects.update(expected_delivery=NOW, status="RECEIVED", closed_at=NOW)
    assert not Transfer.objects.overdue().exists()


def test_what_is_open_reads_so_until_it_is_closed(rows: dict[str, Any]) -> None:
    assert LowStockAlert.objects.unresolved().count() == ShortageIncident.objects.unresolved().count() == 1
    LowStockAlert.objects.update(resolved_at=datetime.now(UTC))
    ShortageIncident.objects.update(status="RESOLVED", resolved_at=NOW, resolved_by="ada", resolution="refunded")
    assert not LowStockAlert.objects.unresolved().exists()
    assert not ShortageIncident.objects.unresolved().exists()


def test_public_ids_name_what_they_are_of(rows: dict[str, Any]) -> None:
    assert StockCount.objects.get().public_id == f"cnt-{rows['count']}"
    incident = ShortageIncident.objects.get()
    assert incident.public_id == f"inc-{incident.id}"


def test_deleted_users_get_no_alerts(rows: dict[str, Any]) -> None:
    user = User.objects.create_user("bob", email="bob@example.com")
    AlertSubscription.objects.create(warehouse=make_warehouse(), email=user.email, user=user)
    user.delete()
    assert list(AlertSubscription.objects.values_list("email", flat=True)) == ["ada@example.com"]


def test_an_incident_outlives_the_reservation_that_it_broke(rows: dict[str, Any]) -> None:
    BrokenHold.objects.update(reservation=uuid7())
    run("SET CONSTRAINTS ALL IMMEDIATE")
    assert BrokenHold.objects.get().cart_id


@pytest.mark.parametrize(
    ("index", "sql"),
    [
        (
            "movement_reference",
            "SELECT id FROM inventory_movement WHERE reference_type = 'order' AND reference = 'o-1'",
        ),
        ("movement_time", "SELECT id FROM inventory_movement ORDER BY created_at DESC, id DESC LIMIT 50"),
        (
            "transfer_line_incoming",
            """SELECT sum(in_transit) FROM inventory_transferline WHERE in_transit > 0
               AND destination_level_id = '00000000-0000-0000-0000-000000000000'""",
        ),
        (
            "transfer_expected",
            """SELECT id FROM inventory_transfer WHERE status IN ('IN_TRANSIT', 'PARTIALLY_RECEIVED')
               AND expected_delivery < now()""",
        ),
        (
            "transfer_open_to",
            """SELECT id FROM inventory_transfer WHERE closed_at IS NULL
               AND to_warehouse_id = '00000000-0000-0000-0000-000000000000'""",
        ),
    ],
)
def test_questions_of_every_day_have_an_index(index: str, sql: str) -> None:
    run("SET LOCAL enable_seqscan = off")
    run("SET LOCAL enable_sort = off")  # A table without rows is sorted sooner than its index is read.
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {sql}")
        assert index in "\n".join(line for (line,) in cursor.fetchall())
