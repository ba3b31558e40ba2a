"""Reservations with their items and the database's time, all as of one moment: one statement, without locks."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.db import connection

from audit.db import columns
from reservations.services.holds import documents
from reservations.services.holds.documents import HeldItem, Hold

_OF_ITEM: Final = 8
"""The number of an item's columns."""
_OF_HOLD: Final = 1 + documents.COLUMNS.count(",")


def statement(ids: str) -> str:
    """The statement for ``fetch``: ``ids`` is a subquery that returns the reservations' ids.

    It returns a row for each reservation, or one with only the time if there is none, then a row for each item. Rows of
    items leave out the columns of their reservation, which took most of the time for 200 items.
    """
    return f"""
WITH held AS MATERIALIZED (
    SELECT {documents.COLUMNS} FROM reservations_reservation r JOIN inventory_store s ON s.id = r.store_id
    WHERE r.id = ANY(ARRAY({ids}))
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


def fetch(sql: str, parameters: Sequence[Any]) -> tuple[list[Hold], datetime]:
    """The reservations that a ``statement`` finds, the oldest first, and the database's time."""
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        rows = cursor.fetchall()
    holds: list[Sequence[Any]] = []
    items: dict[UUID, list[HeldItem]] = {}
    for row in rows:
        if row[0] is None:
            items.setdefault(row[1], []).append(documents.item_of(row[1 + _OF_HOLD : -1]))
        elif row[1] is not None:
            holds.append(row[1 : 1 + _OF_HOLD])
    return [Hold(*(*row, tuple(items.get(row[0], ())))) for row in holds], rows[0][0]


_OF_IDS: Final = statement("SELECT unnest(%s::uuid[])")


def read(ids: Collection[UUID]) -> tuple[dict[UUID, Hold], datetime]:
    """Reservations by id, without unknown ones, and the database's time. One statement."""
    holds, now = fetch(_OF_IDS, [columns.uuids(ids)])
    return {hold.id: hold for hold in holds}, now
