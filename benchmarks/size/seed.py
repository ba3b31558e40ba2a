"""Fills a database at size by set-based SQL: the same rows for the same scale, their times counted back from now.

Some of it is rare, and only in the oldest fifth of the history, because that is what a list without an index finds
last: the store and the warehouse ``RARE``, transfers, one actor, one type of event.
"""

from dataclasses import dataclass
from typing import Any, Final

from benchmarks.cluster import Cluster, Connection
from benchmarks.service import LEVEL, PRODUCT, Service, numbered

WAREHOUSES: Final = 10
STORES: Final = 5
RARE: Final = 4
"""The number of the store whose rows are few and old; the warehouse with this meaning is ``RARE_WAREHOUSE``."""
RARE_WAREHOUSE: Final = 8
EMPTY_WAREHOUSE: Final = 9
"""A warehouse without reservations."""
DAYS: Final = 300
EVENT_DAYS: Final = 30
_WAREHOUSE: Final = "c0000000-0000-7000-8000-"
_STORE: Final = "d0000000-0000-7000-8000-"
_CLIENT: Final = "e0000000-0000-7000-8000-000000000001"


@dataclass(frozen=True)
class Scale:
    """How many rows there are of each kind. Levels are products times ``WAREHOUSES``."""

    products: int = 100_000
    reservations: int = 10_000_000
    active: int = 20_000
    movements: int = 5_000_000
    entries: int = 3_000_000
    events: int = 3_000_000

    @classmethod
    def part(cls, divisor: int) -> "Scale":
        """One part of the full size."""
        full = cls()
        names = ("products", "reservations", "active", "movements", "entries", "events")
        return cls(*(getattr(full, name) // divisor for name in names))

    def values(self) -> dict[str, int]:
        """The parameters of the statements."""
        return {**vars(self), "levels": self.products * WAREHOUSES}


def made_at(moment: str, number: str, kind: int) -> str:
    """The SQL of a UUIDv7 that begins with a moment and ends with a number; ``kind`` tells tables apart."""
    return (
        f"(lpad(to_hex((extract(epoch FROM {moment}) * 1000)::bigint), 12, '0') || '7{kind:03x}8'"
        f" || lpad(to_hex({number}), 15, '0'))::uuid"
    )


def _spread(rows: str, days: int = DAYS) -> str:
    """The SQL of numbers ``n`` from 1 on, each with its time ``at``, evenly spread up to now."""
    return (
        f"(SELECT n, now() - interval '{days} days' + interval '{days} days' * (n / %({rows})s::float8) AS at"
        f" FROM generate_series(%(first)s::bigint, %(last)s::bigint) n) numbers"
    )


def _level(number: str, warehouse: str) -> str:
    return numbered(LEVEL, f"(mod({number} * 7919, %(products)s::bigint) * {WAREHOUSES} + {warehouse})")


_OLD: Final = "n < %(reservations)s::bigint / 5"
_ON_HAND: Final = "100 + mod(n * 7919, 200)"

CATALOGUE: Final = (
    f"""
    INSERT INTO inventory_warehouse (id, code, name, type, address, is_active)
    SELECT {numbered(_WAREHOUSE, "n")}, 'wh-' || lpad(n::text, 3, '0'), 'Warehouse ' || n, 'MAIN', '{{}}', true
    FROM generate_series(0, {WAREHOUSES} - 1) n
    """,
    f"""
    INSERT INTO inventory_store (id, code, name, is_default)
    SELECT {numbered(_STORE, "n")}, 'store-' || n, 'Store ' || n, n = 1 FROM generate_series(1, {STORES}) n
    """,
    f"""
    INSERT INTO inventory_storewarehouse (id, store_id, warehouse_id, priority)
    SELECT gen_random_uuid(), {numbered(_STORE, "s")}, {numbered(_WAREHOUSE, "w")}, w
    FROM generate_series(1, {STORES}) s, generate_series(0, {WAREHOUSES} - 1) w WHERE s < {RARE} OR w < 2
    """,
    f"""
    INSERT INTO inventory_product (id, sku, sku_key, name, barcode, barcode_key, is_active, parent_id)
    SELECT {numbered(PRODUCT, "n")}, 'SKU-' || n, 'sku-' || n,
        (ARRAY['Rain', 'Winter', 'Running', 'Trail', 'City'])[1 + mod(n, 5)] || ' '
        || (ARRAY['jacket', 'shoe', 'shirt', 'bag'])[1 + mod(n, 4)] || ' ' || n, '', '', mod(n, 997) <> 0,
        CASE mod(n, 20) WHEN 1 THEN {numbered(PRODUCT, "n - 1")} END
    FROM generate_series(0, %(products)s::bigint - 1) n
    """,
    # One level in three is watched. On hand is what the movements below add up to.
    f"""
    INSERT INTO inventory_stocklevel (id, product_id, warehouse_id, on_hand, reserved, reorder_point, reorder_quantity,
        min_stock_level, zone, aisle, shelf, version, last_movement_at)
    SELECT {numbered(LEVEL, "n")}, {numbered(PRODUCT, f"n / {WAREHOUSES}")},
        {numbered(_WAREHOUSE, f"mod(n, {WAREHOUSES})")}, {_ON_HAND} - 5
            + (%(movements)s::bigint / %(levels)s::bigint - 2) * CASE WHEN mod(n, 100) = 3 THEN 1 ELSE -3 END,
        0, CASE WHEN mod(n, 3) = 0 THEN 110 END, CASE WHEN mod(n, 3) = 0 THEN 200 END, 0,
        (ARRAY['', 'A', 'B', 'C'])[1 + mod(n, 4)], mod(n, 50)::text, mod(n, 9)::text, 1, now() - interval '1 day'
    FROM generate_series(0, %(levels)s::bigint - 1) n
    """,
)

# The oldest of each level is a receipt, then come what left it, and what left or came back in each further turn.
MOVEMENTS: Final = f"""
INSERT INTO inventory_movement (id, level_id, type, quantity, quantity_before, quantity_after, reason,
    reference_type, reference, actor, store, created_at)
SELECT {made_at("at", "n", 1)}, {numbered(LEVEL, "level")}, type, quantity, before, before + quantity,
    CASE type WHEN 'SHIPMENT' THEN 'sold' ELSE 'stock' END, CASE type WHEN 'SHIPMENT' THEN 'order'
    WHEN 'TRANSFER' THEN 'transfer' ELSE '' END, CASE type WHEN 'SHIPMENT' THEN 'order-' || n ELSE '' END,
    CASE WHEN mod(n, 3000) = 7 THEN 'rare' ELSE 'clerk-' || mod(n, 20) END,
    CASE type WHEN 'SHIPMENT' THEN 'store-' || 1 + mod(n, 3) ELSE '' END, at
FROM (
    SELECT *, CASE turn WHEN 0 THEN first WHEN 1 THEN -5 ELSE change END AS quantity,
        CASE turn WHEN 0 THEN 0 WHEN 1 THEN first ELSE first - 5 + (turn - 2) * change END AS before
    FROM (SELECT *, CASE type WHEN 'RETURN' THEN 1 ELSE -3 END AS change FROM (
        SELECT n, at, level, turn, 100 + mod(level * 7919, 200) AS first, CASE turn WHEN 0 THEN 'RECEIPT'
            WHEN 1 THEN CASE WHEN mod(level, 1000) = 7 AND level < %(levels)s::bigint / 5 THEN 'TRANSFER'
            ELSE 'SHIPMENT' END
            ELSE CASE WHEN mod(level, 100) = 3 THEN 'RETURN' WHEN mod(level, 50) = 1 THEN 'ADJUSTMENT'
            ELSE 'SHIPMENT' END END AS type
        FROM (SELECT n, at, mod(n - 1, %(levels)s::bigint) AS level, (n - 1) / %(levels)s::bigint AS turn
            FROM {_spread("movements")}) numbered
    ) typed) changed
) counted
"""

RESERVATIONS: Final = f"""
WITH made AS MATERIALIZED (
    SELECT n, at, {made_at("at", "n", 2)} AS id,
        CASE WHEN n > %(reservations)s::bigint - %(active)s::bigint THEN 'ACTIVE' WHEN mod(n, 100) < 60 THEN 'CONSUMED'
            WHEN mod(n, 100) < 85 THEN 'EXPIRED' ELSE 'RELEASED' END AS status,
        CASE WHEN mod(n, 1000) = 7 AND {_OLD} THEN {RARE} WHEN mod(n, 20) < 12 THEN 1 WHEN mod(n, 20) < 17 THEN 2
            ELSE 3 END AS store,
        CASE WHEN mod(n, 1000) = 3 AND {_OLD} THEN {RARE_WAREHOUSE} ELSE mod(n / 7, {RARE_WAREHOUSE}) END AS warehouse,
        now() + (mod(n * 7919, 20000) - 50) * interval '30 seconds' AS ends
    FROM {_spread("reservations")}
), reservation AS (
    INSERT INTO reservations_reservation (id, store_id, status, cart_id, order_id, customer_id, created_at, expires_at,
        consumed_at, released_at, reason, client_id)
    SELECT id, {numbered(_STORE, "store")}, status, 'cart-' || n,
        CASE WHEN status = 'CONSUMED' OR mod(n, 7) = 0 THEN 'order-' || n END,
        CASE WHEN mod(n, 3) > 0 THEN 'customer-' || mod(n * 31, 500000) END, at,
        CASE status WHEN 'ACTIVE' THEN ends ELSE at + interval '15 minutes' END,
        CASE status WHEN 'CONSUMED' THEN at + interval '5 minutes' END,
        CASE status WHEN 'EXPIRED' THEN at + interval '16 minutes' WHEN 'RELEASED' THEN at + interval '7 minutes' END,
        CASE status WHEN 'EXPIRED' THEN 'expired' ELSE '' END, '{_CLIENT}' FROM made
)
INSERT INTO reservations_reservationitem (id, reservation_id, level_id, quantity, pinned, held_until)
SELECT {made_at("at", "n * 2 + line", 3)}, id, {_level("(n + line * 3)", "warehouse")}, 1, false,
    CASE status WHEN 'ACTIVE' THEN ends END
FROM made, generate_series(0, 1) line WHERE line = 0 OR mod(n, 5) = 0
"""

RESERVED: Final = """
UPDATE inventory_stocklevel level SET reserved = held.quantity
FROM (SELECT level_id, sum(quantity) AS quantity FROM reservations_reservationitem WHERE held_until IS NOT NULL
    GROUP BY 1) held
WHERE level.id = held.level_id
"""

# Nearly all by the API; a command and a person are rare and old.
ENTRIES: Final = f"""
INSERT INTO audit_auditentry (id, at, action, actor, client_id, source, request_id, store, subject_id, changes)
SELECT {made_at("at", "n", 4)}, at, CASE WHEN rare THEN 'stock_imported' ELSE
    (ARRAY['inventory_reservation_created', 'inventory_reservation_consumed', 'inventory_reservation_expired',
    'inventory_reservation_released'])[1 + mod(n, 4)] END, CASE WHEN rare THEN 'rare' ELSE 'shop' END,
    CASE WHEN NOT rare THEN '{_CLIENT}'::uuid END, CASE WHEN rare THEN 'command' WHEN mod(n, 4) = 2 THEN 'sweeper'
    WHEN mod(n, 1000) = 9 THEN 'admin' ELSE 'api' END, 'request-' || n, 'store-' || 1 + mod(n, 3),
    {made_at("at - interval '1 minute'", "n", 2)}, jsonb_build_object('items', jsonb_build_array(
        jsonb_build_object('productId', {numbered(PRODUCT, "mod(n, %(products)s::bigint)")}, 'quantity', 1,
        'warehouseId', 'wh-001')))
FROM (SELECT *, mod(n, 3000) = 7 AND n < %(entries)s::bigint / 5 AS rare FROM {_spread("entries")}) told
"""

EVENTS: Final = f"""
INSERT INTO audit_outboxevent (id, created_at, aggregatetype, type, aggregateid, payload)
SELECT {made_at("at", "n", 5)}, at, 'reservation', CASE WHEN mod(n, 3000) = 7 AND n < %(events)s::bigint / 5
    THEN 'InventoryFrozenEvent' ELSE 'InventoryReservedEvent' END, 'res-' || {made_at("at", "n", 2)},
    jsonb_build_object('reservationId', 'res-' || n, 'storeId', 'store-1', 'cartId', 'cart-' || n, 'items',
    jsonb_build_array(jsonb_build_object('productId', {numbered(PRODUCT, "mod(n, %(products)s::bigint)")}, 'quantity',
    1, 'warehouseId', 'wh-001')))
FROM {_spread("events", EVENT_DAYS)}
"""
_PARTITIONS: Final = """
DO $$ DECLARE day date; BEGIN
    FOR day IN SELECT current_date - n FROM generate_series(1, %s) n LOOP
        EXECUTE format('CREATE TABLE IF NOT EXISTS %%I PARTITION OF audit_outboxevent FOR VALUES FROM (%%L) TO (%%L)',
            'audit_outboxevent_' || to_char(day, 'YYYYMMDD'), day::text || ' 00:00+00', (day + 1)::text || ' 00:00+00');
    END LOOP;
END $$
"""

# Many of most documents, and few of what is open.
DOCUMENTS: Final = (
    f"""
    INSERT INTO inventory_lowstockalert (id, level_id, severity, available, reorder_point, opened_at, resolved_at)
    SELECT {made_at("at", "n", 6)}, {numbered(LEVEL, "n * 3 * 2")}, CASE WHEN mod(n, 3) = 0 THEN 'CRITICAL' ELSE 'LOW'
        END, 20, 110, at, CASE WHEN mod(n, 4) > 0 THEN at + interval '1 day' END
    FROM (SELECT n, now() - interval '{DAYS} days' + interval '{DAYS} days' * (n * 6 / %(levels)s::float8) AS at
        FROM generate_series(0, (%(levels)s::bigint - 1) / 6) n) numbers
    """,
    f"""
    INSERT INTO inventory_transfer (id, status, from_warehouse_id, to_warehouse_id, reason, reference, initiated_by,
        initiated_at, shipped_at, closed_at)
    SELECT {made_at("at", "n", 7)}, CASE WHEN mod(n, 20) = 0 THEN 'IN_TRANSIT' ELSE 'RECEIVED' END,
        {numbered(_WAREHOUSE, "mod(n, 8)")}, {numbered(_WAREHOUSE, "mod(n + 1, 8)")}, '', '', 'clerk-' || mod(n, 20),
        at, at, CASE WHEN mod(n, 20) > 0 THEN at + interval '1 day' END
    FROM (SELECT n, now() - interval '{DAYS} days' + interval '{DAYS} days' * (n * 100 / %(movements)s::float8) AS at
        FROM generate_series(1, %(movements)s::bigint / 100) n) numbers
    """,
    f"""
    INSERT INTO inventory_transferline (id, transfer_id, product_id, source_level_id, destination_level_id, quantity,
        quantity_shipped, quantity_received, quantity_returned, quantity_lost)
    SELECT gen_random_uuid(), transfer.id, {numbered(PRODUCT, "product")}, {numbered(LEVEL, "product * 10 + place")},
        {numbered(LEVEL, "product * 10 + mod(place + 1, 8)")}, 2, 2, CASE status WHEN 'RECEIVED' THEN 2 ELSE 0 END, 0, 0
    FROM (SELECT *, row_number() OVER (ORDER BY id) AS n FROM inventory_transfer) transfer,
        LATERAL (SELECT mod(n * 7919 + line, %(products)s::bigint) AS product, mod(n, 8) AS place
            FROM generate_series(0, 2) line) lines
    """,
    f"""
    INSERT INTO inventory_stockdocument (id, kind, number, warehouse_codes, reference, reason, actor, created_at)
    SELECT {made_at("at", "n", 8)}, (ARRAY['RC', 'SH', 'AD', 'RT'])[1 + mod(n, 4)], 1000 + n,
        ARRAY['wh-' || lpad(mod(n, 8)::text, 3, '0')], 'paper-' || n, '', 'clerk-' || mod(n, 20), at
    FROM (SELECT n, now() - interval '{DAYS} days' + interval '{DAYS} days' * (n * 20 / %(movements)s::float8) AS at
        FROM generate_series(1, %(movements)s::bigint / 20) n) numbers
    """,
    f"""
    INSERT INTO inventory_stockcount (id, warehouse_id, scope, zone, status, note, opened_by, opened_at, posted_by,
        posted_at, cancelled_by)
    SELECT {made_at("at", "n", 9)}, {numbered(_WAREHOUSE, "mod(n, 8)")}, 'ALL', '', 'POSTED', '', 'clerk-1', at,
        'clerk-1', at + interval '1 hour', ''
    FROM (SELECT n, now() - interval '{DAYS} days' + interval '{DAYS} days' * (n * 1000 / %(movements)s::float8) AS at
        FROM generate_series(1, %(movements)s::bigint / 1000) n) numbers
    """,
    f"""
    INSERT INTO inventory_stockcountline (id, count_id, level_id, counted, counted_at, counted_by, expected,
        needs_recount, recounted_by, is_open, posted_difference)
    SELECT gen_random_uuid(), id, {_level("(n + line * 3)", "mod(n, 8)")}, 10, posted_at,
        'clerk-1', 10, false, '', false, 0
    FROM (SELECT *, row_number() OVER (ORDER BY id) AS n FROM inventory_stockcount) count, generate_series(0, 99) line
    """,
    f"""
    INSERT INTO reservations_shortageincident (id, level_id, missing_units, cause_type, cause_id, created_at,
        created_by, request_id, status, resolved_at, resolved_by, resolution)
    SELECT {made_at("at", "n", 10)}, {numbered(LEVEL, "n")}, 1, 'COUNT', gen_random_uuid(), at, 'clerk-1',
        'request-' || n, CASE WHEN mod(n, 50) = 0 THEN 'OPEN' ELSE 'RESOLVED' END,
        CASE WHEN mod(n, 50) > 0 THEN at + interval '1 day' END,
        CASE WHEN mod(n, 50) > 0 THEN 'clerk-2' ELSE '' END, CASE WHEN mod(n, 50) > 0 THEN 'told them' ELSE '' END
    FROM (SELECT n, now() - interval '{DAYS} days' + interval '{DAYS} days' * (n * 100 / %(movements)s::float8) AS at
        FROM generate_series(1, %(movements)s::bigint / 100) n) numbers
    """,
    f"""
    INSERT INTO audit_idempotencykey (id, client_id, key, fingerprint, status, body, created_at)
    SELECT {made_at("at", "n", 11)}, '{_CLIENT}', 'key-' || n, '',
        CASE WHEN mod(n, 100) = 0 THEN 409 ELSE 200 END, '{{}}', at
    FROM (SELECT n, now() - interval '1 day' + interval '1 day' * (n * 5 / %(entries)s::float8) AS at
        FROM generate_series(1, %(entries)s::bigint / 5) n) numbers
    """,
)

_AT_A_TIME: Final = 250_000


class SizedService(Service):
    """This service with a catalogue and a history at size. It is only read, so there is nothing to undo."""

    def __init__(self, cluster: Cluster, database: str, scale: Scale) -> None:
        super().__init__(cluster, database)
        self.scale = scale

    def insert_catalogue(self, connection: Connection) -> None:
        for statement in CATALOGUE:
            self._run(connection, statement)

    def insert_closed(self, connection: Connection, first: int, last: int) -> None:
        """Insert the whole history, however many rows were asked for."""
        connection.execute((_PARTITIONS % EVENT_DAYS).replace("%%", "%").encode())
        for statement, rows in (
            (MOVEMENTS, self.scale.movements),
            (RESERVATIONS, self.scale.reservations),
            (ENTRIES, self.scale.entries),
            (EVENTS, self.scale.events),
        ):
            for start in range(1, rows + 1, _AT_A_TIME):
                self._run(connection, statement, first=start, last=min(rows, start + _AT_A_TIME - 1))
        for statement in (RESERVED, *DOCUMENTS):
            self._run(connection, statement)

    def _run(self, connection: Connection, statement: str, **more: int) -> None:
        wanted: dict[str, Any] = {**self.scale.values(), **more}
        connection.execute(statement.encode(), wanted if "%(" in statement else None)
