"""A large catalogue for low stock: up to a million levels, a third of them watched, in databases of their own."""

from typing import ClassVar, Final

from benchmarks.cluster import Cluster, Connection
from benchmarks.peer import Peer
from benchmarks.service import LEVEL, PRODUCT, STORE_ID, Service, numbered

LEVELS: Final = 1_000_000
QUICK_LEVELS: Final = 100_000
WAREHOUSES: Final = 10

# One level in three is watched, with a full level of 100, and low from 20 units down; on hand varies from 0 to 199.
_WATCHED_EACH: Final = 3
_REORDER_POINT: Final = 20
_REORDER_QUANTITY: Final = 80
_LESS: Final = 5
_ON_HAND: Final = "mod(n * 7919, 200)"
_TAKEN: Final = "CASE WHEN mod(n, 5) = 0 THEN 'SHIPMENT' ELSE 'ADJUSTMENT' END"
_SETTING: Final = f"CASE WHEN mod(n, {_WATCHED_EACH}) = 0 THEN "
# Triggers are off while the rows are inserted, so the insert of a level does what the trigger of may_be_low would.
_NUMBERS: Final = "generate_series(0, %(levels)s::bigint - 1) n"


def low_levels(levels: int) -> int:
    """The number of low levels among this many levels."""
    return sum(number * 7919 % 200 <= _REORDER_POINT for number in range(0, levels, _WATCHED_EACH))


_WAREHOUSE: Final = "c0000000-0000-7000-8000-"
_SERVICE: Final = (
    f"""
    INSERT INTO inventory_warehouse (id, code, name, type, address, is_active)
    SELECT {numbered(_WAREHOUSE, "n")}, 'wh-' || lpad(n::text, 3, '0'), 'Warehouse ' || n, 'MAIN', '{{}}', true
    FROM generate_series(0, {WAREHOUSES} - 1) n
    """,
    f"INSERT INTO inventory_store (id, code, name, is_default) VALUES ('{STORE_ID}', 'main', 'Main', true)",
    f"""
    INSERT INTO inventory_storewarehouse (id, store_id, warehouse_id, priority)
    SELECT uuidv7(), '{STORE_ID}', {numbered(_WAREHOUSE, "n")}, n FROM generate_series(0, {WAREHOUSES} - 1) n
    """,
    f"""
    INSERT INTO inventory_product (id, sku, sku_key, name, barcode, barcode_key, is_active)
    SELECT {numbered(PRODUCT, "n")}, 'SKU-' || n, 'sku-' || n, 'Product ' || n, '', '', true
    FROM generate_series(0, %(levels)s::bigint / {WAREHOUSES} - 1) n
    """,
    f"""
    INSERT INTO inventory_stocklevel (id, product_id, warehouse_id, on_hand, reserved, reorder_point, reorder_quantity,
        min_stock_level, zone, aisle, shelf, version, may_be_low)
    SELECT {numbered(LEVEL, "n")}, {numbered(PRODUCT, f"n / {WAREHOUSES}")},
        {numbered(_WAREHOUSE, f"mod(n, {WAREHOUSES})")}, {_ON_HAND}, 0, {_SETTING} {_REORDER_POINT} END,
        {_SETTING} {_REORDER_QUANTITY} END, 0, '', '', '', 1,
        mod(n, {_WATCHED_EACH}) = 0 AND {_ON_HAND} <= {_REORDER_POINT}
    FROM {_NUMBERS}
    """,
    f"""
    INSERT INTO inventory_movement (id, level_id, type, quantity, quantity_before, quantity_after, reason,
        reference_type, reference, actor, created_at)
    SELECT uuidv7(interval '-60 days'), {numbered(LEVEL, "n")}, 'RECEIPT', {_ON_HAND} + {_LESS}, 0,
        {_ON_HAND} + {_LESS}, 'stock', '', '', 'benchmark', now() - interval '60 days'
    FROM {_NUMBERS}
    """,
    f"""
    INSERT INTO inventory_movement (id, level_id, type, quantity, quantity_before, quantity_after, reason,
        reference_type, reference, actor, created_at)
    SELECT uuidv7(interval '-10 days'), {numbered(LEVEL, "n")}, {_TAKEN}, -{_LESS},
         {_ON_HAND} + {_LESS}, {_ON_HAND}, 'taken', '', '', 'benchmark', now() - interval '10 days'
    FROM {_NUMBERS}
    """,
)

_PLAIN: Final = (
    f"""
    INSERT INTO plain_warehouse (id, code, name)
    SELECT n + 1, 'wh-' || lpad(n::text, 3, '0'), 'Warehouse ' || n FROM generate_series(0, {WAREHOUSES} - 1) n
    """,
    f"""
    INSERT INTO plain_product (id, sku, name, is_active)
    SELECT n + 1, 'SKU-' || n, 'Product ' || n, true FROM generate_series(0, %(levels)s::bigint / {WAREHOUSES} - 1) n
    """,
    f"""
    INSERT INTO plain_stocklevel (id, product_id, warehouse_id, on_hand, reserved, safety_stock, reorder_point,
        reorder_quantity, updated_at)
    SELECT n + 1, n / {WAREHOUSES} + 1, mod(n, {WAREHOUSES}) + 1, {_ON_HAND}, 0, 0, {_SETTING} {_REORDER_POINT} END,
        {_SETTING} {_REORDER_QUANTITY} END, now()
    FROM {_NUMBERS}
    """,
    f"""
    INSERT INTO plain_movement (id, level_id, type, quantity, reason, reference, actor, created_at)
    SELECT n + 1, n + 1, 'RECEIPT', {_ON_HAND} + {_LESS}, 'stock', '', 'benchmark', now() - interval '60 days'
    FROM {_NUMBERS}
    """,
    f"""
    INSERT INTO plain_movement (id, level_id, type, quantity, reason, reference, actor, created_at)
    SELECT %(levels)s::bigint + n + 1, n + 1, {_TAKEN}, -{_LESS}, 'taken', '', 'benchmark', now() - interval '10 days'
    FROM {_NUMBERS}
    """,
)


def _balance(levels: str, movements: str) -> dict[str, str]:
    return {
        "on hand is what the movements add up to": f"""
            SELECT level.id, level.on_hand, moved.quantity FROM {levels} level
            LEFT JOIN (SELECT level_id, sum(quantity) AS quantity FROM {movements} GROUP BY 1) moved
            ON moved.level_id = level.id WHERE level.on_hand IS DISTINCT FROM moved.quantity OR level.reserved <> 0
        """
    }


class LargeService(Service):
    """This service with a large catalogue. It is only read, so there is nothing to undo."""

    broken: ClassVar = _balance("inventory_stocklevel", "inventory_movement")
    undo: ClassVar = ()

    def __init__(self, cluster: Cluster, database: str, levels: int) -> None:
        super().__init__(cluster, database)
        self.levels = levels

    def insert_catalogue(self, connection: Connection) -> None:
        _insert(connection, _SERVICE, self.levels)


class LargePeer(Peer):
    """The plain peer with a large catalogue."""

    broken: ClassVar = _balance("plain_stocklevel", "plain_movement")
    undo: ClassVar = ()

    def __init__(self, cluster: Cluster, database: str, levels: int) -> None:
        super().__init__(cluster, database)
        self.levels = levels

    def insert_catalogue(self, connection: Connection) -> None:
        _insert(connection, _PLAIN, self.levels)


def _insert(connection: Connection, statements: tuple[str, ...], levels: int) -> None:
    for statement in statements:
        connection.execute(statement.encode(), {"levels": levels} if "%(levels)s" in statement else None)
