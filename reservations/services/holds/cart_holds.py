"""What carts hold: their ACTIVE reservations, locked for a basket or read for an answer."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.db import connection

from audit import hidden
from audit.db import columns
from reservations.services.holds import documents
from reservations.services.holds.documents import HeldItem, Hold

_ACTIVE: Final = """
SELECT id FROM (SELECT * FROM reservations_reservation WHERE cart_id = ANY(%s::text[]) OFFSET 0) AS of_carts
WHERE status = 'ACTIVE' AND store_id {stores}
"""
"""``OFFSET 0`` makes the planner search by cart, as in ``orders_held``."""

_OF_STORES: Final = f"ANY(ARRAY({_ACTIVE.format(stores='= ANY(%s)')}))"
_LOCK: Final = documents.LOCK.replace("ANY(%s)", f"{_OF_STORES} AND r.status = 'ACTIVE'")
_ITEMS: Final = documents.ITEMS.replace("ANY(%s)", _OF_STORES)


def lock(cart_ids: Collection[str], store_ids: Collection[UUID]) -> dict[UUID, Hold]:
    """``documents.lock_holds`` for the ACTIVE reservations of carts in stores: due ones, too. Two statements.

    Requires the carts' advisory locks (``limits.lock_carts``): the reservations are looked up after them.
    """
    return documents.read_with_items(_LOCK, _ITEMS, [columns.texts(cart_ids), columns.uuids(store_ids)])


_OWNERS: Final = f"""
SELECT r.id, r.cart_id, r.store_id, r.customer_id, r.expires_at > statement_timestamp()
FROM reservations_reservation r WHERE r.id = {_OF_STORES} ORDER BY r.created_at, r.id
"""  # noqa: S608 - constants only
Owners = dict[tuple[str, UUID], str | None]
"""The customer of a cart in a store: that of its oldest reservation that isn't due."""


def read_owners(cart_ids: Collection[str], store_ids: Collection[UUID]) -> tuple[list[UUID], Owners]:
    """The ids of the ACTIVE reservations of carts in stores, and the carts' customers. No locks; one statement."""
    with connection.cursor() as cursor:
        cursor.execute(_OWNERS, [columns.texts(cart_ids), columns.uuids(store_ids)])
        rows = cursor.fetchall()
    owners: Owners = {}
    for _, cart_id, store_id, customer_id, is_live in rows:
        if is_live:
            owners.setdefault((cart_id, store_id), customer_id)
    return [row[0] for row in rows], owners


_OF_ITEM: Final = 8
"""The number of an item's columns."""
_OF_HOLD: Final = 1 + documents.COLUMNS.count(",")
_READ: Final = f"""
WITH held AS MATERIALIZED (
    SELECT {documents.COLUMNS} FROM reservations_reservation r JOIN inventory_store s ON s.id = r.store_id
    WHERE r.id = ANY(ARRAY({_ACTIVE.format(stores=f"<> '{hidden.STORE_ID}'")}))
)
SELECT statement_timestamp(), held.*, {"NULL, " * _OF_ITEM} NULL AS item_id
FROM (SELECT) AS once LEFT JOIN held ON true
UNION ALL
SELECT NULL, item.reservation_id, {"NULL, " * (_OF_HOLD - 1)} item.level_id, product.id, product.parent_id,
    level.warehouse_id, warehouse.code, item.quantity, item.unit_price, item.pinned, item.id
FROM reservations_reservationitem item
JOIN inventory_stocklevel level ON level.id = item.level_id
JOIN inventory_product product ON product.id = level.product_id
JOIN inventory_warehouse warehouse ON warehouse.id = level.warehouse_id
WHERE item.reservation_id = ANY(ARRAY(SELECT id FROM held))
ORDER BY item_id NULLS FIRST, created_at, id
"""  # noqa: S608 - constants only
"""Returns a row for each reservation, or one with only the time if there is none, then a row for each item. Rows of
items leave out the columns of their reservation, which took most of the time for 200 items."""


def read(cart_ids: Collection[str]) -> tuple[list[Hold], datetime]:
    """The ACTIVE reservations of carts, due ones, too, the oldest first, and the database's time. One statement."""
    with connection.cursor() as cursor:
        cursor.execute(_READ, [columns.texts(cart_ids)])
        rows = cursor.fetchall()
    holds: list[Sequence[Any]] = []
    items: dict[UUID, list[HeldItem]] = {}
    for row in rows:
        if row[0] is None:
            items.setdefault(row[1], []).append(documents.item_of(row[1 + _OF_HOLD : -1]))
        elif row[1] is not None:
            holds.append(row[1 : 1 + _OF_HOLD])
    return [Hold(*(*row, tuple(items.get(row[0], ())))) for row in holds], rows[0][0]
