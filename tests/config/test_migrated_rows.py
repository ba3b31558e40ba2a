"""What migrations make of rows that were there before: their statements run on rows as they were."""

from importlib import import_module
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import User
from django.db import IntegrityError, connection
from django.db.migrations.loader import MigrationLoader
from django.utils import timezone

from audit.models import StaffAccess
from inventory.models import LowStockAlert, ReceivingDraft, StockCount, StockLevel, Transfer, Warehouse
from tests.config.test_admin import MAKE_ONE
from tests.factories import make_level, make_warehouse, recorded

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("store")]
POINTS: Any = import_module("inventory.migrations.0013_reorder_point_within_maximum")
ACCESS: Any = import_module("audit.migrations.0006_all_warehouses_are_given")
NUMBERS: Any = import_module("inventory.migrations.0019_documents_have_numbers")
ALERTS: Any = import_module("inventory.migrations.0036_find_alerts_of_a_warehouse")
DRAFTS: Any = import_module("inventory.migrations.0023_drafts_of_accounts")


def run(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


def test_reorder_points_above_the_maximum_are_lowered_and_listed() -> None:
    wrong, full, plain = make_level(1), make_level(1), make_level(1)
    run("SET CONSTRAINTS ALL IMMEDIATE")
    run("ALTER TABLE inventory_stocklevel DROP CONSTRAINT level_reorder_point_within_maximum")
    StockLevel.objects.filter(pk=wrong.pk).update(reorder_point=50, max_stock_level=40)
    StockLevel.objects.filter(pk=full.pk).update(reorder_point=40, max_stock_level=40)
    StockLevel.objects.filter(pk=plain.pk).update(reorder_point=50)
    run(POINTS.LOWER)
    points = dict(StockLevel.objects.values_list("pk", "reorder_point"))
    assert points == {wrong.pk: 40, full.pk: 40, plain.pk: 50}
    (entry,) = recorded("inventory_level_changed")
    assert (entry.subject_id, entry.actor) == (wrong.pk, "migration")
    assert entry.changes == {"reorder_point": [50, 40]}
    assert StockLevel.objects.get(pk=wrong.pk).version == wrong.version + 1


def test_whoever_had_all_warehouses_keeps_them_and_limits_stay() -> None:
    every, some, without = (User.objects.create_user(name) for name in ("every", "some", "without"))
    StaffAccess.objects.create(user=every)
    StaffAccess.objects.create(user=some, warehouse_codes=["wh-001"])
    run(ACCESS.KEEP_ALL)
    ACCESS.give_all_to_accounts_without_access(apps, None)
    assert {access.user.username: access.codes for access in StaffAccess.objects.select_related("user")} == {
        "every": None,
        "some": ("wh-001",),
        "without": None,
    }
    assert StaffAccess.objects.get(user=without).all_warehouses


def test_drafts_are_given_to_the_accounts_that_have_their_names() -> None:
    anna, now, place = User.objects.create_user("anna"), timezone.now(), make_level(1).warehouse
    make_warehouse("wh-002")
    dates = {"created_at": now, "changed_at": now}
    for owner in ("anna", "gone"):
        ReceivingDraft.objects.create(owner=owner, warehouse=place, reference="PO-1", **dates)
        ends = (place, Warehouse.objects.get(code="wh-002"))
        for status, times in (("PENDING", {}), ("IN_TRANSIT", {"shipped_at": now})):
            Transfer.objects.create(
                status=status,
                from_warehouse=ends[0],
                to_warehouse=ends[1],
                initiated_by=owner,
                initiated_at=now,
                **times,
            )
    run(DRAFTS.FIND)
    assert dict(ReceivingDraft.objects.values_list("owner", "account_id")) == {"anna": anna.pk, "gone": None}
    found = Transfer.objects.filter(account_id=anna.pk)
    assert [(row.initiated_by, row.status) for row in found] == [("anna", "PENDING")]


@pytest.mark.parametrize("model", [Transfer, StockCount], ids=lambda model: model.__name__)
def test_documents_are_numbered_in_the_order_in_which_they_were_made(model: Any) -> None:
    for _ in range(3):
        MAKE_ONE[model]()
    table, constraint = model._meta.db_table, f"{'transfer' if model is Transfer else 'count'}_number_once"
    run("SET CONSTRAINTS ALL IMMEDIATE")
    run(f"ALTER TABLE {table} DROP CONSTRAINT {constraint}")
    run(f"ALTER TABLE {table} ADD COLUMN rewritten uuid NOT NULL DEFAULT gen_random_uuid()")
    run("SET CONSTRAINTS ALL DEFERRED")
    model.objects.update(number=7)
    for statement in NUMBERS.in_order(table).sql:
        run(statement)
    run(f"ALTER TABLE {table} ADD CONSTRAINT {constraint} UNIQUE (number)")
    assert list(model.objects.order_by("pk").values_list("number", flat=True)) == [1001, 1002, 1003]


def test_alerts_are_given_the_warehouses_of_their_levels() -> None:
    levels = [make_level(1, "wh-001"), make_level(1, "wh-002")]
    for level in levels:
        LowStockAlert.objects.create(level=level, severity="LOW", available=1, opened_at=timezone.now())
    expected = [(level.pk, level.warehouse_id) for level in levels]
    rows = LowStockAlert.objects.order_by("pk").values_list("level", "level_warehouse")
    assert list(rows) == expected, "set by the trigger"
    LowStockAlert.objects.update(level_warehouse=None)
    ALERTS.fill_warehouses(apps, connection.schema_editor())
    assert list(rows.all()) == expected


def alert_indexes() -> list[tuple[str, bool]]:
    """The definition of each index of alerts, and whether it is used."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_get_indexdef(indexrelid), indisvalid FROM pg_index"
            " WHERE indrelid = 'inventory_lowstockalert'::regclass ORDER BY 1"
        )
        found: list[tuple[str, bool]] = cursor.fetchall()
    return found


@pytest.mark.django_db(transaction=True)
def test_migration_that_failed_half_way_makes_its_indexes_when_it_is_run_again() -> None:
    before = alert_indexes()
    for _ in range(2):
        LowStockAlert.objects.create(level=make_level(1), severity="LOW", available=1, opened_at=timezone.now())
    run("DROP INDEX CONCURRENTLY alert_open_in_warehouse")
    with pytest.raises(IntegrityError):
        run("CREATE UNIQUE INDEX CONCURRENTLY alert_open_in_warehouse ON inventory_lowstockalert (severity)")
    assert alert_indexes() != before, "the index of the failed statement is there"
    state = MigrationLoader(connection).project_state(("inventory", "0035_alerts_have_warehouses"))
    with connection.schema_editor(atomic=False) as editor:
        ALERTS.Migration("0036_find_alerts_of_a_warehouse", "inventory").apply(state, editor)
    assert alert_indexes() == before
