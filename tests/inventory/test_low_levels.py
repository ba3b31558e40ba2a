"""Low levels are found by the index of those that may be low, as a scan of all levels finds them."""

import random
from importlib import import_module
from typing import Any

import pytest
from django.apps import apps
from django.db import connection
from django.db.models import F

from inventory import planning
from inventory.models import Product, StockLevel
from inventory.services.low_stock import alerts as low_stock
from tests.conftest import Api
from tests.factories import make_level, make_product, make_variant, make_warehouse
from tests.inventory.test_movements import explained

pytestmark = pytest.mark.django_db

_PARTS = (50_000, planning.CRITICAL_PARTS, 150_000, planning.LOW_PARTS, 500_000)


def _settings(dice: random.Random) -> dict[str, Any]:
    """Random settings, and counters around the lines that they make."""
    most = dice.choice((5, 40, 2_000_000_000))
    point, maximum = sorted((dice.randint(0, most), dice.randint(1, most)))
    on_hand = dice.randint(0, most // dice.choice((1, 4, 20)) or 1)
    return {
        "reorder_point": dice.choice((None, point)),
        "max_stock_level": dice.choice((None, None, maximum or 1)),
        "reorder_quantity": dice.choice((None, dice.randint(1, most))),
        "min_stock_level": dice.choice((0, 0, dice.randint(0, most))),
        "on_hand": on_hand,
        "reserved": dice.choice((0, dice.randint(0, on_hand))),
    }


def _found(parts: int) -> list[tuple[Any, float, bool]]:
    rows = StockLevel.objects.low(parts).order_by("rank", "pk").values_list("pk", "rank", "is_critical")
    return list(rows)


def _expected(parts: int, retired: set[Any]) -> set[tuple[Any, bool]]:
    severities = {
        level.pk: planning.severity(level, level.available, max(parts, planning.CRITICAL_PARTS))
        for level in StockLevel.objects.exclude(pk__in=retired)
    }
    return {(key, severity is planning.Severity.CRITICAL) for key, severity in severities.items() if severity}


def _levels(dice: random.Random, number: int) -> set[Any]:
    """Random levels of three warehouses, one of which is inactive. Returns those that are retired."""
    places = [make_warehouse(f"wh-00{n}", is_active=n < 3) for n in (1, 2, 3)]
    parents = [make_product(), make_product(is_active=False)]
    parents += [make_variant(parent) for parent in parents]
    parents += [make_product(is_active=dice.random() > 0.1) for _ in range(number // 3)]
    made = [StockLevel(product=product, warehouse=place, **_settings(dice)) for product in parents for place in places]
    StockLevel.objects.bulk_create(made)
    gone = {parents[1].pk, parents[3].pk} | {product.pk for product in parents if not product.is_active}
    return {level.pk for level in made if level.product_id in gone or level.warehouse_id == places[2].pk}


def test_index_finds_what_a_scan_finds_after_any_change() -> None:
    dice = random.Random(20)
    retired = _levels(dice, 120)
    for _ in range(4):
        for parts in _PARTS:
            found = _found(parts)
            assert {(key, is_critical) for key, _, is_critical in found} == _expected(parts, retired), parts
            assert found == sorted(found, key=lambda row: (row[1], row[0]))
        marked = set(StockLevel.objects.filter(may_be_low=True))
        assert all(level.available <= _unmarked_above(level) for level in marked), "nothing is marked without reason"
        for level in StockLevel.objects.order_by("pk"):
            if dice.random() < 0.6:
                changed = _settings(dice)
                some = {name: changed[name] for name in ("on_hand", "reserved")} if dice.random() < 0.7 else changed
                StockLevel.objects.filter(pk=level.pk).update(**some)


def _unmarked_above(level: StockLevel) -> int:
    line = planning.low_line(level)
    assert line is not None, "a level that isn't watched is not marked"
    return line + line // planning.SLACK_DIVISOR + 1


def test_a_level_that_stays_around_its_line_stays_marked() -> None:
    level = make_level(100, reorder_point=20)

    def is_marked(available: int) -> bool:
        StockLevel.objects.filter(pk=level.pk).update(on_hand=available + 5, reserved=5)
        level.refresh_from_db()
        return level.may_be_low

    steps = [(21, False), (20, True), (21, True), (23, True), (22, True), (24, False), (23, False), (0, True)]
    assert [is_marked(available) for available, _ in steps] == [expected for _, expected in steps]
    StockLevel.objects.filter(pk=level.pk).update(reorder_point=None)
    assert not StockLevel.objects.filter(may_be_low=True).exists()
    StockLevel.objects.filter(pk=level.pk).update(max_stock_level=1000)
    assert StockLevel.objects.filter(may_be_low=True).exists()
    level.on_hand = 900
    level.save()  # With the mark as it was when the level was read.
    assert not StockLevel.objects.filter(may_be_low=True).exists()


def test_levels_are_marked_also_where_other_triggers_are_off() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        _levels(random.Random(3), 60)
        cursor.execute("SET LOCAL session_replication_role = origin")
    assert {(key, is_critical) for key, _, is_critical in _found(planning.LOW_PARTS)}
    assert set(StockLevel.objects.filter(may_be_low=True)) == {
        level for level in StockLevel.objects.all() if planning.severity(level, level.available)
    }


def test_levels_that_were_low_before_the_upgrade_are_marked_by_it(monkeypatch: pytest.MonkeyPatch) -> None:
    migration: Any = import_module("inventory.migrations.0031_find_low_levels")
    _levels(random.Random(7), 60)
    expected = {parts: _found(parts) for parts in _PARTS}
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("ALTER TABLE inventory_stocklevel DISABLE TRIGGER USER")
        cursor.execute("UPDATE inventory_stocklevel SET may_be_low = false")
        cursor.execute("ALTER TABLE inventory_stocklevel ENABLE TRIGGER USER")
    assert _found(planning.LOW_PARTS) == []
    monkeypatch.setattr(migration, "_MARK", migration._MARK.replace("LIMIT 1000", "LIMIT 7"))
    with connection.schema_editor() as editor:
        migration.mark_low_levels(apps, editor)
    assert {parts: _found(parts) for parts in _PARTS} == expected


_FILL = """
WITH made AS (
    INSERT INTO inventory_product (id, sku, sku_key, name, barcode, barcode_key, is_active, freeze_reason)
    SELECT gen_random_uuid(), 'P-' || i, 'p-' || i, 'Mug ' || i, '', '', i % 500 > 0, '' FROM generate_series(1, 3000) i
    RETURNING id
)
INSERT INTO inventory_stocklevel (id, product_id, warehouse_id, on_hand, reserved, min_stock_level, reorder_point, zone,
    aisle, shelf, version)
SELECT gen_random_uuid(), made.id, warehouse.id, CASE WHEN random() < 0.02 THEN 3 ELSE 90 END, 0, 0, 5, '', '', '', 1
FROM made, inventory_warehouse warehouse
"""


@pytest.mark.parametrize("severity", ["", "?severity=CRITICAL", "?warehouseId=wh-002"])
def test_low_stock_reads_the_levels_that_may_be_low(api: Api, severity: str) -> None:
    for code in ("wh-001", "wh-002", "wh-003", "wh-004"):
        make_warehouse(code)
    plans: list[str] = []
    with connection.cursor() as cursor:
        cursor.execute(_FILL)
        cursor.execute("ANALYZE inventory_stocklevel, inventory_product, inventory_warehouse")
    with connection.execute_wrapper(explained(plans)):
        assert api.get(f"low-stock{severity}").status_code == 200
        assert low_stock.raise_missed(StockLevel.objects.filter(on_hand__lt=F("reserved"))) == 0
    (page, *others) = [plan for plan in plans if "inventory_stocklevel" in plan]
    assert "level_may_be_low" in page, page
    assert any("level_may_be_low" in plan for plan in others), "the periodic task"
    for plan in (page, *others):
        assert "Seq Scan on inventory_stocklevel" not in plan, plan
        assert "level_watched" not in plan, plan
    assert Product.objects.retired().count() == 6


def test_retired_products_are_read_by_their_index() -> None:
    with connection.cursor() as cursor:
        make_warehouse()
        cursor.execute(_FILL)
        cursor.execute("ANALYZE inventory_product")
    parent = make_product(is_active=False)
    variant = make_variant(parent)
    plans: list[str] = []
    with connection.execute_wrapper(explained(plans)):
        retired = set(Product.objects.retired().values_list("pk", flat=True))
    assert {parent.pk, variant.pk} < retired
    assert len(retired) == 8
    assert "product_may_be_retired" in plans[0], plans[0]
    assert "Seq Scan on inventory_product" not in plans[0], plans[0]
