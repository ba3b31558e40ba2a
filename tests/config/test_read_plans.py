"""The statements of combined reads find their rows by indexes, at a few thousand rows as at millions.

PostgreSQL keeps one plan of each for all batches (``plan_cache_mode``), without knowing how many rows a batch reads.
These tests look at that plan.
"""

import re
from collections.abc import Callable
from itertools import count
from typing import Any, Final

import pytest
from django.db import connection
from uuid_utils.compat import uuid7

from inventory.services.stock.reading import LevelRequest, ProductLevelsRequest, read_one_level, read_product_levels
from reservations.services.availability.availability import CheckRequest, Query, check_all
from reservations.services.holds.reading import CartRequest, ReadRequest, read_carts, read_holds
from tests.factories import ACTOR, make_store, make_warehouse

pytestmark = pytest.mark.django_db

BIG: Final = {
    "inventory_product",
    "inventory_stocklevel",
    "inventory_movement",
    "inventory_transferline",
    "inventory_warehouse",
    "reservations_reservation",
    "reservations_reservationitem",
}
WAREHOUSES: Final = """
INSERT INTO inventory_warehouse (id, code, name, type, address, is_active)
SELECT gen_random_uuid(), 'far-' || i, 'Far', 'MAIN', '{}', true FROM generate_series(1, 5000) i
"""
PRODUCTS: Final = """
INSERT INTO inventory_product (id, sku, sku_key, name, barcode, barcode_key, is_active, freeze_reason)
SELECT gen_random_uuid(), 'P-' || i, 'p-' || i, 'Mug ' || i, '', '', true, '' FROM generate_series(1, 5000) i
"""
LEVELS: Final = """
INSERT INTO inventory_stocklevel
    (id, product_id, warehouse_id, on_hand, reserved, min_stock_level, zone, aisle, shelf, version)
SELECT gen_random_uuid(), product.id, warehouse.id, 10, 0, 0, '', '', '', 1
FROM inventory_product product, inventory_warehouse warehouse WHERE warehouse.code IN ('wh-001', 'wh-002')
"""
MOVEMENTS: Final = """
INSERT INTO inventory_movement (id, level_id, type, quantity, quantity_before, quantity_after, reason, reference_type,
    reference, actor, created_at)
SELECT uuidv7(), id, 'RECEIPT', 10, 0, 10, 'stock', '', '', 'x', now() FROM inventory_stocklevel
"""
TRANSFERS: Final = """
WITH sent AS (
    INSERT INTO inventory_transfer (id, status, from_warehouse_id, to_warehouse_id, reason, reference, initiated_by,
        initiated_at, shipped_at)
    SELECT gen_random_uuid(), 'IN_TRANSIT', source.id, destination.id, '', '', 'x', now(), now()
    FROM inventory_warehouse source, inventory_warehouse destination
    WHERE source.code = 'wh-001' AND destination.code = 'wh-002' RETURNING id
)
INSERT INTO inventory_transferline (id, transfer_id, product_id, source_level_id, destination_level_id, quantity,
    quantity_shipped, quantity_received, quantity_returned, quantity_lost)
SELECT gen_random_uuid(), sent.id, source.product_id, source.id, destination.id, 1, 1, 0, 0, 0
FROM sent, inventory_stocklevel source JOIN inventory_stocklevel destination USING (product_id)
WHERE source.warehouse_id <> destination.warehouse_id AND destination.warehouse_id = (
    SELECT id FROM inventory_warehouse WHERE code = 'wh-002')
"""
RESERVATIONS: Final = """
WITH made AS (
    INSERT INTO reservations_reservation (id, store_id, status, cart_id, created_at, expires_at, reason)
    SELECT gen_random_uuid(), store.id, 'ACTIVE', 'cart-' || i, now(), now() + interval '1 hour', ''
    FROM inventory_store store, generate_series(1, 10000) i RETURNING id, expires_at
), numbered AS (SELECT *, row_number() OVER () AS n FROM made)
INSERT INTO reservations_reservationitem (id, reservation_id, level_id, quantity, pinned, held_until)
SELECT gen_random_uuid(), numbered.id, level.id, 1, false, numbered.expires_at
FROM numbered JOIN (SELECT id, row_number() OVER () AS n FROM inventory_stocklevel) level USING (n)
"""
QUERY: Final = (Query(uuid7(), None, 1, None),)
READS: Final[dict[str, tuple[Callable[[Any], list[Any]], Any]]] = {
    "product": (read_product_levels, ProductLevelsRequest(ACTOR, uuid7())),
    "level": (read_one_level, LevelRequest(ACTOR, uuid7(), "wh-001")),
    "check": (check_all, CheckRequest(ACTOR, None, QUERY)),
    "check for a cart": (check_all, CheckRequest(ACTOR, None, QUERY, "cart-7")),
    "cart": (read_carts, CartRequest(ACTOR, "cart-7")),
    "reservation": (read_holds, ReadRequest(ACTOR, uuid7())),
}


@pytest.fixture
def _many_rows() -> None:
    """A few thousand rows of each table, with statistics: enough for a plan to prefer an index."""
    make_warehouse("wh-001")
    make_warehouse("wh-002")
    make_store("main", "wh-001", "wh-002")
    with connection.cursor() as cursor:
        for insert in (WAREHOUSES, PRODUCTS, LEVELS, MOVEMENTS, TRANSFERS, RESERVATIONS):
            cursor.execute(insert)
        cursor.execute(f"ANALYZE {', '.join(sorted(BIG))}, inventory_store, inventory_storewarehouse")


@pytest.mark.usefixtures("_many_rows")
def test_no_combined_read_reads_a_big_table_whole() -> None:
    for name, (read, request) in READS.items():
        found: list[str] = []
        with connection.execute_wrapper(planned(found)):
            read([request])
        plans = "\n".join(found)
        assert found, name
        assert set(re.findall(r"Seq Scan on (\w+)", plans)).isdisjoint(BIG), f"{name}\n{plans}"


def planned(found: list[str]) -> Callable[..., Any]:
    """Collect the generic plan of each statement, then execute it."""

    def execute(run: Callable[..., Any], sql: str, parameters: Any, many: bool, context: Any) -> Any:
        if parameters:
            numbers = count(1)
            with connection.connection.cursor() as cursor:
                numbered = re.sub(r"%s", lambda _: f"${next(numbers)}", sql)
                cursor.execute(f"EXPLAIN (GENERIC_PLAN) {numbered}")
                found.append("\n".join(row[0] for row in cursor.fetchall()))
        return run(sql, parameters, many, context)

    return execute
