"""The plain peer as a subject: the project in benchmarks/plain, with a database of its own."""

import sys
from collections.abc import Sequence
from typing import Any, ClassVar, Final

from benchmarks.cluster import Connection, call
from benchmarks.subject import (
    BASKET,
    BASKET_SUMS,
    BASKETS,
    ON_HAND,
    ROUTES,
    SKUS,
    Subject,
)

HOLD: Final = 1_000_000_000
"""The first id of prepared holds. Holds made by requests get ids from the sequence, which continues after the seed."""

_CATALOGUE: Final = (
    "INSERT INTO plain_warehouse (id, code, name) VALUES (1, 'wh-001', 'Main')",
    f"""
    INSERT INTO plain_product (id, sku, name, is_active)
    SELECT n + 1, 'SKU-' || n, 'Product ' || n, true FROM generate_series(0, {SKUS}) n
    """,
    f"""
    INSERT INTO plain_stocklevel (id, product_id, warehouse_id, on_hand, reserved, safety_stock, updated_at)
    SELECT n + 1, n + 1, 1, {ON_HAND}, 0, 0, now() FROM generate_series(0, {SKUS}) n
    """,
)

_CLOSED: Final = (
    """
    INSERT INTO plain_reservation (id, status, cart_id, order_id, created_at, expires_at, closed_at, reason)
    SELECT n, CASE WHEN mod(n, 100) < 60 THEN 'CONSUMED' WHEN mod(n, 100) < 85 THEN 'EXPIRED' ELSE 'RELEASED' END,
        'cart-' || n, 'order-' || n, at, at + interval '15 minutes', at + interval '16 minutes', ''
    FROM (SELECT n, now() - interval '120 days' + n * interval '1 second' AS at
        FROM generate_series(%(first)s::bigint, %(last)s::bigint) n) made
    """,
    f"""
    INSERT INTO plain_reservationitem (id, reservation_id, level_id, quantity)
    SELECT n, n, mod(n * 7919, {SKUS}) + 2, 1 FROM generate_series(%(first)s::bigint, %(last)s::bigint) n
    """,
    f"""
    INSERT INTO plain_movement (id, level_id, type, quantity, reason, reference, actor, created_at)
    SELECT n, mod(n * 7919, {SKUS}) + 2, 'SHIPMENT', -1, 'sold', 'order-' || n, 'benchmark', now()
    FROM generate_series(%(first)s::bigint, %(last)s::bigint) n WHERE mod(n, 100) < 60
    """,
    """
    INSERT INTO plain_auditentry (id, at, action, actor, subject, changes)
    SELECT 2 * n + k, now(), CASE k WHEN 0 THEN 'reservation_created' ELSE 'reservation_closed' END, 'benchmark',
        'reservation-' || n, jsonb_build_object('items', jsonb_build_array(jsonb_build_object('product_id', n)))
    FROM generate_series(%(first)s::bigint, %(last)s::bigint) n, generate_series(0, 1) k
    """,
    """
    INSERT INTO plain_outboxevent (id, type, key, payload, created_at)
    SELECT n, 'InventoryReservedEvent', 'reservation-' || n, jsonb_build_object('reservation_id', n), now()
    FROM generate_series(%(first)s::bigint, %(last)s::bigint) n
    """,
)

_GROWING: Final = ("reservation", "reservationitem", "movement", "auditentry", "outboxevent")

_HOLDS: Final = (
    f"""
    INSERT INTO plain_reservation (id, status, cart_id, order_id, created_at, expires_at, reason)
    SELECT {HOLD} + n, 'ACTIVE', 'cart-' || n, '', now(),
        now() + CASE WHEN %(due)s THEN interval '-1 minute' ELSE interval '1 hour' END, ''
    FROM generate_series(%(first)s::bigint, %(last)s::bigint) n
    """,
    f"""
    INSERT INTO plain_reservationitem (id, reservation_id, level_id, quantity)
    SELECT {HOLD} + n, {HOLD} + n, CASE WHEN %(hot)s THEN 1 ELSE 2 + mod(n * 3989, {SKUS}) END, 1
    FROM generate_series(%(first)s::bigint, %(last)s::bigint) n
    """,
    f"""
    UPDATE plain_stocklevel level SET reserved = reserved + held.quantity
    FROM (SELECT CASE WHEN %(hot)s THEN 1 ELSE 2 + mod(n * 3989, {SKUS}) END AS id, count(*) AS quantity
        FROM generate_series(%(first)s::bigint, %(last)s::bigint) n GROUP BY 1) held WHERE level.id = held.id
    """,
)

_BASKET_ITEMS: Final = f"""
SELECT basket, basket * %(lines)s::int + line AS item,
    2 + mod((basket * %(lines)s::int + line) * 3989, {SKUS}) AS level_id, 1 + mod(line + 2, 3) AS quantity
FROM generate_series(0, {BASKETS} - 1) basket, generate_series(0, %(lines)s::int - 1) line
"""
_BASKETS: Final = (
    f"""
    INSERT INTO plain_reservation (id, status, cart_id, order_id, created_at, expires_at, reason)
    SELECT {HOLD} + n, 'ACTIVE', '{BASKET}' || n, '', now(), now() + interval '1 hour', ''
    FROM generate_series(0, {BASKETS} - 1) n
    """,
    f"""
    INSERT INTO plain_reservationitem (id, reservation_id, level_id, quantity)
    SELECT {HOLD} + item, {HOLD} + basket, level_id, quantity FROM ({_BASKET_ITEMS}) made
    """,
    f"""
    UPDATE plain_stocklevel level SET reserved = reserved + held.quantity
    FROM (SELECT level_id AS id, sum(quantity) AS quantity FROM ({_BASKET_ITEMS}) made GROUP BY 1) held
    WHERE level.id = held.id
    """,
)

_PRINT_NEW_KEY: Final = """
import django
django.setup()
from django.contrib.auth import get_user_model
from rest_framework.authtoken.models import Token
print(Token.objects.create(user=get_user_model().objects.create_user("benchmark")).key)
"""


def _since(table: str) -> str:
    return f"id > %({table})s"


def _execute(connection: Connection, statements: Sequence[str], given: dict[str, Any]) -> None:
    """Execute the statements, of which not every one uses all parameters."""
    for statement in statements:
        connection.execute(statement.encode(), {name: given[name] for name in given if f"%({name})s" in statement})


class Peer(Subject):
    """The plain peer."""

    application: ClassVar = "benchmarks.plain.wsgi:application"
    wsgi_workers: ClassVar = 2
    settings: ClassVar = "benchmarks.plain.settings"

    hold_tables: ClassVar = ("plain_reservation", "plain_reservationitem", "plain_stocklevel")
    broken: ClassVar = {
        "0 <= reserved <= on hand": """
            SELECT id, on_hand, reserved FROM plain_stocklevel WHERE NOT (0 <= reserved AND reserved <= on_hand)
        """,
        "reserved is the sum of what is held": """
            SELECT level.id, level.reserved, held.quantity FROM plain_stocklevel level
            LEFT JOIN (SELECT item.level_id, sum(item.quantity) AS quantity FROM plain_reservationitem item
                JOIN plain_reservation r ON r.id = item.reservation_id AND r.status = 'ACTIVE' GROUP BY 1) held
            ON held.level_id = level.id WHERE level.reserved <> coalesce(held.quantity, 0)
        """,
        "on hand is the seed and the movements since": f"""
            SELECT level.id, level.on_hand, moved.quantity FROM plain_stocklevel level
            LEFT JOIN (SELECT level_id, sum(quantity) AS quantity FROM plain_movement WHERE {_since("movement")}
                GROUP BY 1) moved ON moved.level_id = level.id
            WHERE level.on_hand <> {ON_HAND} + coalesce(moved.quantity, 0)
        """,
        "a basket is one hold of its lines": f"""
            SELECT r.cart_id, count(*), sum(item.quantity) FROM plain_reservation r
            JOIN plain_reservationitem item ON item.reservation_id = r.id
            WHERE r.{_since("reservation")} AND r.status = 'ACTIVE' AND starts_with(r.cart_id, '{BASKET}') GROUP BY 1
            HAVING (count(*), sum(item.quantity)) NOT IN ({BASKET_SUMS})
        """,
    }
    rows: ClassVar = {
        "sold-out": f"SELECT count(*) FROM plain_reservation WHERE {_since('reservation')}",
        "reserve": f"SELECT count(*) FROM plain_reservation WHERE {_since('reservation')} AND id < {HOLD}",
        "extend": f"SELECT count(*) FROM plain_reservation WHERE {_since('reservation')} AND extended_at IS NOT NULL",
        "release": f"SELECT count(*) FROM plain_reservation WHERE {_since('reservation')} AND status = 'RELEASED'",
        "consume": f"SELECT count(*) FROM plain_reservation WHERE {_since('reservation')} AND status = 'CONSUMED'",
        "adjust": f"SELECT count(*) / 200 FROM plain_movement WHERE {_since('movement')}",
        "basket": f"SELECT count(*) FROM plain_auditentry WHERE {_since('auditentry')} AND action = 'basket_changed'",
        "import": f"SELECT count(*) FROM plain_movement WHERE {_since('movement')}",
        "expire": f"SELECT count(*) FROM plain_reservation WHERE {_since('reservation')} AND status = 'EXPIRED'",
    }
    sold_out: ClassVar = (
        "UPDATE plain_stocklevel SET on_hand = 0 WHERE id = 1",
        f"""
        INSERT INTO plain_movement (level_id, type, quantity, reason, reference, actor, created_at)
        VALUES (1, 'SHIPMENT', -{ON_HAND}, 'sold', '', 'benchmark', now())
        """,
    )
    answers: ClassVar = {
        "product": {"total_quantity": ON_HAND, "total_reserved": 0},
        "cart": {"status": "ACTIVE"},
        "reservation": {"status": "ACTIVE"},
        "check": {"available": True},
        "sold-out": {"detail": "Not enough stock."},
    }
    undo: ClassVar[tuple[str, ...]] = (
        *(f"DELETE FROM plain_{table} WHERE {_since(table)}" for table in reversed(_GROWING)),
        f"UPDATE plain_stocklevel SET on_hand = {ON_HAND}, reserved = 0 WHERE on_hand <> {ON_HAND} OR reserved <> 0",
        f"VACUUM plain_stocklevel, {', '.join(f'plain_{table}' for table in _GROWING)}",
    )

    def migrate(self) -> None:
        self.manage("migrate", "--run-syncdb", "--verbosity", "0", "--no-input")

    def issue_token(self) -> str:
        return call([sys.executable, "-c", _PRINT_NEW_KEY], self.environment()).strip()

    def insert_catalogue(self, connection: Connection) -> None:
        for statement in _CATALOGUE:
            connection.execute(statement.encode())

    def insert_closed(self, connection: Connection, first: int, last: int) -> None:
        for statement in _CLOSED:
            connection.execute(statement.encode(), {"first": first, "last": last})

    def read_marks(self, connection: Connection) -> dict[str, Any]:
        marks: dict[str, Any] = {}
        for table in _GROWING:
            # Continue the sequence after the rows that SQL inserted with ids of its own.
            query = f"SELECT setval(pg_get_serial_sequence('plain_{table}', 'id'), max(id)) FROM plain_{table}"
            row = connection.execute(query.encode()).fetchone()
            marks[table] = row[0] if row else 0
        return marks

    def insert_holds(self, connection: Connection, first: int, last: int, *, hot: bool, due: bool) -> None:
        _execute(connection, _HOLDS, {"first": first, "last": last, "hot": hot, "due": due})

    def insert_baskets(self, connection: Connection, lines: int) -> None:
        _execute(connection, _BASKETS, {"lines": lines})

    def path(self, verb: str) -> str:
        return f"/{ROUTES.get(verb, verb)}"

    def read_path(self, verb: str, number: int) -> str:
        return f"/products/{number + 1}" if verb == "product" else f"{self.path(verb)}/{HOLD + number}"

    def authorization(self) -> str:
        return f"Token {self.token}"

    def basket(self, products: Sequence[int], quantities: Sequence[int]) -> dict[str, Any]:
        asked = zip(products, quantities, strict=True)
        return {"items": [{"product_id": product + 1, "quantity": quantity} for product, quantity in asked]}

    def body(self, verb: str, number: int, products: Sequence[int]) -> dict[str, Any]:
        hold = HOLD + number
        match verb:
            case "reserve" | "sold-out":
                items = [{"product_id": product + 1, "quantity": 1} for product in products]
                return {"cart_id": f"cart-{number}", "items": items}
            case "check":
                return {"items": [{"product_id": product + 1, "quantity": 1} for product in products]}
            case "adjust":
                line = {"quantity": 1, "type": "RECEIPT", "reason": "delivery"}
                return {"adjustments": [{"product_id": product + 1, **line} for product in products]}
            case "extend":
                return {"reservation_id": hold, "minutes": 10}
            case "release":
                return {"reservation_id": hold, "reason": "removed from the cart"}
            case _:
                return {"reservation_id": hold, "order_id": f"order-{number}"}
