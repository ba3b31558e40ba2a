"""This service as a subject: SQL fills its tables, and its routes are called as a checkout would."""

from collections.abc import Sequence
from typing import Any, ClassVar, Final

from benchmarks.cluster import Connection
from benchmarks.subject import (
    BASKET,
    BASKET_SUMS,
    BASKETS,
    ON_HAND,
    ROUTES,
    SKUS,
    Subject,
)

# Prefixes of ids that SQL, Lua and Python can compute from a number: level, product, hold, item.
LEVEL: Final = "a0000000-0000-7000-8000-"
PRODUCT: Final = "b0000000-0000-7000-8000-"
HOLD: Final = "f0000000-0000-7000-8000-"
ITEM: Final = "f1000000-0000-7000-8000-"
WAREHOUSE_ID: Final = "c0000000-0000-7000-8000-000000000001"
STORE_ID: Final = "d0000000-0000-7000-8000-000000000001"
CLIENT_ID: Final = "e0000000-0000-7000-8000-000000000001"


def numbered(prefix: str, number: str) -> str:
    """The SQL that computes an id from a number."""
    return f"('{prefix}' || lpad(to_hex({number}), 12, '0'))::uuid"


_CATALOGUE: Final = (
    f"""
    INSERT INTO inventory_warehouse (id, code, name, type, address, is_active)
    VALUES ('{WAREHOUSE_ID}', 'wh-001', 'Main', 'MAIN', '{{}}', true)
    """,
    f"INSERT INTO inventory_store (id, code, name, is_default) VALUES ('{STORE_ID}', 'main', 'Main', true)",
    f"""
    INSERT INTO inventory_storewarehouse (id, store_id, warehouse_id, priority)
    VALUES (uuidv7(), '{STORE_ID}', '{WAREHOUSE_ID}', 1)
    """,
    f"""
    INSERT INTO inventory_product (id, sku, sku_key, name, barcode, barcode_key, is_active)
    SELECT {numbered(PRODUCT, "n")}, 'SKU-' || n, 'sku-' || n, 'Product ' || n, '', '', true
    FROM generate_series(0, {SKUS}) n
    """,
    f"""
    INSERT INTO inventory_stocklevel (id, product_id, warehouse_id, on_hand, reserved, min_stock_level, zone, aisle,
        shelf, version)
    SELECT {numbered(LEVEL, "n")}, {numbered(PRODUCT, "n")}, '{WAREHOUSE_ID}', {ON_HAND}, 0, 0, '', '', '', 1
    FROM generate_series(0, {SKUS}) n
    """,
    f"""
    INSERT INTO inventory_movement (id, level_id, type, quantity, quantity_before, quantity_after, reason,
        reference_type, reference, actor, created_at)
    SELECT uuidv7(interval '-400 days'), id, 'RECEIPT', {ON_HAND}, 0, {ON_HAND}, 'stock', '', '', 'benchmark',
        now() - interval '400 days' FROM inventory_stocklevel
    """,
)

# Six in ten were sold, a quarter expired, the rest was released.
_CLOSED: Final = f"""
WITH made AS MATERIALIZED (
    SELECT n, at, uuidv7(at - clock_timestamp()) AS id, {numbered(LEVEL, f"mod(n * 7919, {SKUS}) + 1")} AS level_id,
        {numbered(PRODUCT, f"mod(n * 7919, {SKUS}) + 1")} AS product_id,
        CASE WHEN mod(n, 100) < 60 THEN 'CONSUMED' WHEN mod(n, 100) < 85 THEN 'EXPIRED' ELSE 'RELEASED' END AS status
    FROM (SELECT n, now() - interval '120 days' + n * interval '1 second' AS at
        FROM generate_series(%(first)s::bigint, %(last)s::bigint) n) numbers
), reservation AS (
    INSERT INTO reservations_reservation (id, store_id, status, cart_id, order_id, created_at, expires_at, consumed_at,
        released_at, reason, client_id)
    SELECT id, '{STORE_ID}', status, 'cart-' || n, CASE status WHEN 'CONSUMED' THEN 'order-' || n END, at,
        at + interval '15 minutes', CASE status WHEN 'CONSUMED' THEN at + interval '5 minutes' END,
        CASE status WHEN 'EXPIRED' THEN at + interval '16 minutes' WHEN 'RELEASED' THEN at + interval '7 minutes' END,
        CASE status WHEN 'EXPIRED' THEN 'expired' ELSE '' END, '{CLIENT_ID}' FROM made
), item AS (
    INSERT INTO reservations_reservationitem (id, reservation_id, level_id, quantity, pinned)
    SELECT uuidv7(at - clock_timestamp()), id, level_id, 1, false FROM made
), movement AS (
    INSERT INTO inventory_movement (id, level_id, type, quantity, quantity_before, quantity_after, reason,
        reference_type, reference, actor, created_at)
    SELECT uuidv7(at - clock_timestamp()), level_id, 'SHIPMENT', -1, {ON_HAND}, {ON_HAND} - 1, 'sold', 'order',
        'order-' || n, 'benchmark', at + interval '5 minutes' FROM made WHERE status = 'CONSUMED'
)
INSERT INTO audit_auditentry (id, at, action, actor, client_id, source, request_id, store, subject_id, changes)
SELECT uuidv7(at - clock_timestamp()), at, 'inventory_reservation_' || action, 'benchmark', '{CLIENT_ID}', 'api',
    'request-' || n, 'main', id, jsonb_build_object('items', jsonb_build_array(
        jsonb_build_object('productId', product_id, 'quantity', 1, 'warehouseId', 'wh-001')))
FROM made, unnest(ARRAY['created', lower(status)]) AS action
"""

_OUTBOX: Final = f"""
INSERT INTO audit_outboxevent (id, aggregatetype, type, aggregateid, payload)
SELECT uuidv7(), 'reservation', 'InventoryReservedEvent', 'res-' || n, jsonb_build_object('reservationId',
    'res-' || n, 'storeId', 'main', 'cartId', 'cart-' || n, 'items', jsonb_build_array(jsonb_build_object('productId',
    {numbered(PRODUCT, f"mod(n * 7919, {SKUS}) + 1")}, 'quantity', 1, 'warehouseId', 'wh-001')))
FROM generate_series(%(first)s::bigint, %(last)s::bigint) n
"""

_HOLDS: Final = f"""
WITH made AS MATERIALIZED (
    SELECT n, {numbered(HOLD, "n")} AS id, CASE WHEN %(hot)s THEN 0 ELSE 1 + mod(n * 3989, {SKUS}) END AS product,
        now() + CASE WHEN %(due)s THEN interval '-1 minute' ELSE interval '1 hour' END AS expires_at
    FROM generate_series(%(first)s::bigint, %(last)s::bigint) n
), reservation AS (
    INSERT INTO reservations_reservation (id, store_id, status, cart_id, created_at, expires_at, reason, client_id)
    SELECT id, '{STORE_ID}', 'ACTIVE', 'cart-' || n, expires_at - interval '15 minutes', expires_at, '', '{CLIENT_ID}'
    FROM made
), item AS (
    INSERT INTO reservations_reservationitem (id, reservation_id, level_id, quantity, pinned, held_until)
    SELECT {numbered(ITEM, "n")}, id, {numbered(LEVEL, "product")}, 1, false, expires_at FROM made
)
UPDATE inventory_stocklevel level SET reserved = reserved + held.quantity
FROM (SELECT {numbered(LEVEL, "product")} AS id, count(*) AS quantity FROM made GROUP BY product) held
WHERE level.id = held.id
"""

_BASKETS: Final = f"""
WITH made AS MATERIALIZED (
    SELECT basket, {numbered(HOLD, "basket")} AS id, basket * %(lines)s::int + line AS item,
        1 + mod((basket * %(lines)s::int + line) * 3989, {SKUS}) AS product, 1 + mod(line + 2, 3) AS quantity
    FROM generate_series(0, {BASKETS} - 1) basket, generate_series(0, %(lines)s::int - 1) line
), reservation AS (
    INSERT INTO reservations_reservation (id, store_id, status, cart_id, created_at, expires_at, reason, client_id)
    SELECT DISTINCT id, '{STORE_ID}'::uuid, 'ACTIVE', '{BASKET}' || basket, now(), now() + interval '1 hour', '',
        '{CLIENT_ID}'::uuid FROM made
), held AS (
    INSERT INTO reservations_reservationitem (id, reservation_id, level_id, quantity, pinned, held_until)
    SELECT {numbered(ITEM, "item")}, id, {numbered(LEVEL, "product")}, quantity, false, now() + interval '1 hour'
    FROM made
)
UPDATE inventory_stocklevel level SET reserved = reserved + taken.quantity
FROM (SELECT {numbered(LEVEL, "product")} AS id, sum(quantity) AS quantity FROM made GROUP BY product) taken
WHERE level.id = taken.id
"""

# A literal value instead of a subquery, so that the index is used.
_SINCE: Final = "id > %(since)s"


class Service(Subject):
    """This service."""

    application: ClassVar = "config.asgi:application"
    settings: ClassVar = "config.settings"

    hold_tables: ClassVar = ("reservations_reservation", "reservations_reservationitem", "inventory_stocklevel")
    broken: ClassVar = {
        "0 <= reserved <= on hand": """
            SELECT id, on_hand, reserved FROM inventory_stocklevel WHERE NOT (0 <= reserved AND reserved <= on_hand)
        """,
        "reserved is the sum of what is held": """
            SELECT level.id, level.reserved, held.quantity FROM inventory_stocklevel level
            LEFT JOIN (SELECT item.level_id, sum(item.quantity) AS quantity FROM reservations_reservationitem item
                JOIN reservations_reservation r ON r.id = item.reservation_id AND r.status = 'ACTIVE'
                WHERE item.held_until IS NOT NULL GROUP BY 1) held ON held.level_id = level.id
            WHERE level.reserved <> coalesce(held.quantity, 0)
        """,
        "on hand is the seed and the movements since": f"""
            SELECT level.id, level.on_hand, moved.quantity FROM inventory_stocklevel level
            LEFT JOIN (SELECT level_id, sum(quantity) AS quantity FROM inventory_movement WHERE {_SINCE} GROUP BY 1)
            moved ON moved.level_id = level.id WHERE level.on_hand <> {ON_HAND} + coalesce(moved.quantity, 0)
        """,
        "a basket is one hold of its lines": f"""
            SELECT r.cart_id, count(*), sum(item.quantity) FROM reservations_reservation r
            JOIN reservations_reservationitem item ON item.reservation_id = r.id AND item.held_until IS NOT NULL
            WHERE r.{_SINCE} AND r.status = 'ACTIVE' AND starts_with(r.cart_id, '{BASKET}') GROUP BY 1
            HAVING (count(*), sum(item.quantity)) NOT IN ({BASKET_SUMS})
        """,
        # A whole import has a single audit entry; changed levels have events of their own.
        "each change has its audit entry and its event": f"""
            SELECT entries, events FROM (SELECT count(*) AS entries FROM audit_auditentry
                WHERE {_SINCE} AND action <> 'inventory_stock_imported') a,
            (SELECT count(*) AS events FROM audit_outboxevent
                WHERE id > %(since)s AND type <> 'InventoryLevelChangedEvent') e WHERE entries <> events
        """,
    }
    rows: ClassVar = {
        "sold-out": f"SELECT count(*) FROM reservations_reservation WHERE {_SINCE}",
        "reserve": f"SELECT count(*) FROM reservations_reservation WHERE {_SINCE} AND id < '{HOLD}000000000000'",
        "extend": f"SELECT count(*) FROM reservations_reservation WHERE {_SINCE} AND extended_at IS NOT NULL",
        "release": f"SELECT count(*) FROM reservations_reservation WHERE {_SINCE} AND status = 'RELEASED'",
        "consume": f"SELECT count(*) FROM reservations_reservation WHERE {_SINCE} AND status = 'CONSUMED'",
        "adjust": f"SELECT count(DISTINCT adjustment_id) FROM inventory_movement WHERE {_SINCE}",
        "basket": f"SELECT count(*) FROM audit_auditentry WHERE {_SINCE} AND action = 'inventory_reservation_changed'",
        "import": f"SELECT count(*) FROM inventory_movement WHERE {_SINCE}",
        "expire": f"SELECT count(*) FROM reservations_reservation WHERE {_SINCE} AND status = 'EXPIRED'",
    }
    sold_out: ClassVar = (
        f"""
        UPDATE inventory_stocklevel SET on_hand = 0, version = version + 1
        WHERE id = '{LEVEL}000000000000' AND on_hand = {ON_HAND}
        """,
        f"""
        INSERT INTO inventory_movement (id, level_id, type, quantity, quantity_before, quantity_after, reason,
            reference_type, reference, actor, created_at)
        VALUES (uuidv7(), '{LEVEL}000000000000', 'SHIPMENT', -{ON_HAND}, {ON_HAND}, 0, 'sold', '', '', 'benchmark',
            now())
        """,
    )
    answers: ClassVar = {
        "product": {"totalQuantity": ON_HAND, "totalReserved": 0},
        "cart": {"status": "ACTIVE"},
        "reservation": {"status": "ACTIVE"},
        "check": {"available": True},
        "sold-out": {"code": "insufficient_stock"},
    }
    undo: ClassVar[tuple[str, ...]] = (
        f"DELETE FROM audit_auditentry WHERE {_SINCE}",
        "DELETE FROM audit_outboxevent WHERE id > %(since)s",
        f"DELETE FROM inventory_movement WHERE {_SINCE}",
        f"DELETE FROM reservations_reservationitem WHERE {_SINCE}",
        f"DELETE FROM reservations_reservation WHERE {_SINCE}",
        f"""
        UPDATE inventory_stocklevel SET on_hand = {ON_HAND}, reserved = 0 WHERE on_hand <> {ON_HAND} OR reserved <> 0
        """,
        """
        VACUUM audit_auditentry, audit_outboxevent, inventory_movement, inventory_stocklevel,
            reservations_reservation, reservations_reservationitem
        """,
    )

    def migrate(self) -> None:
        self.manage("migrate", "--verbosity", "0", "--no-input")

    def issue_token(self) -> str:
        return self.manage("issue_token", "benchmark", "--role", "manager").strip()

    def insert_catalogue(self, connection: Connection) -> None:
        for statement in _CATALOGUE:
            connection.execute(statement.encode())

    def insert_history(self, connection: Connection, first: int, last: int) -> None:
        """Insert closed reservations without events, as those were published long ago."""
        connection.execute(_CLOSED.encode(), {"first": first, "last": last})

    def read_marks(self, connection: Connection) -> dict[str, Any]:
        row = connection.execute("SELECT uuidv7() FROM pg_sleep(0.005)").fetchone()
        # Ids of later milliseconds are greater, whichever process makes them.
        connection.execute("SELECT pg_sleep(0.005)")
        return {"since": row[0] if row else None}

    def insert_closed(self, connection: Connection, first: int, last: int) -> None:
        self.insert_history(connection, first, last)
        connection.execute(_OUTBOX.encode(), {"first": first, "last": last})

    def insert_holds(self, connection: Connection, first: int, last: int, *, hot: bool, due: bool) -> None:
        connection.execute(_HOLDS.encode(), {"first": first, "last": last, "hot": hot, "due": due})

    def insert_baskets(self, connection: Connection, lines: int) -> None:
        connection.execute(_BASKETS.encode(), {"lines": lines})

    def path(self, verb: str) -> str:
        return f"/api/v1/inventory/{ROUTES.get(verb, verb)}"

    def read_path(self, verb: str, number: int) -> str:
        if verb == "product":
            return f"/api/v1/inventory/{PRODUCT}{number:012x}"
        return f"{self.path(verb)}/res-{HOLD}{number:012x}"

    def authorization(self) -> str:
        return f"Bearer {self.token}"

    def basket(self, products: Sequence[int], quantities: Sequence[int]) -> dict[str, Any]:
        asked = zip(products, quantities, strict=True)
        return {"items": [{"productId": f"{PRODUCT}{n:012x}", "quantity": quantity} for n, quantity in asked]}

    def body(self, verb: str, number: int, products: Sequence[int]) -> dict[str, Any]:
        hold = f"res-{HOLD}{number:012x}"
        ids = [f"{PRODUCT}{product:012x}" for product in products]
        match verb:
            case "reserve" | "sold-out":
                return {"cartId": f"cart-{number}", "items": [{"productId": id_, "quantity": 1} for id_ in ids]}
            case "check":
                return {"items": [{"productId": id_, "quantity": 1} for id_ in ids]}
            case "adjust":
                line = {"warehouseId": "wh-001", "quantity": 1, "type": "RECEIPT", "reason": "delivery"}
                return {"adjustments": [{"productId": id_, **line} for id_ in ids]}
            case "extend":
                return {"reservationId": hold, "minutes": 10}
            case "release":
                return {"reservationId": hold, "reason": "removed from the cart"}
            case _:
                return {"reservationId": hold, "orderId": f"order-{number}"}
