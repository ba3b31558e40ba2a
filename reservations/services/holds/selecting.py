"""Select reservations: one, all of a cart, or all of an order."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec
from django.db import connection

from audit.db import columns
from audit.identifiers import RESERVATION, public_id
from inventory.locking import read_clock
from reservations.services.holds import documents
from reservations.services.holds.documents import Hold


class Selector(msgspec.Struct, frozen=True, gc=False):
    """Selects one reservation, all of a cart, or all of an order. Exactly one field is set."""

    reservation_id: UUID | None = None
    cart_id: str | None = None
    order_id: str | None = None

    @property
    def pointer(self) -> str:
        """The JSON pointer of the field that selects."""
        return "/reservationId" if self.reservation_id else "/cartId" if self.cart_id else "/orderId"

    def __str__(self) -> str:
        if self.reservation_id:
            return f"reservation {public_id(RESERVATION, self.reservation_id)}"
        return f"reservation of cart {self.cart_id}" if self.cart_id else f"reservation of order {self.order_id}"


_FIND: Final = """
SELECT id FROM reservations_reservation WHERE cart_id = ANY(%s::text[])
UNION SELECT id FROM reservations_reservation WHERE order_id = ANY(%s::text[])
"""


def find(selectors: Iterable[Selector]) -> set[UUID]:
    """The ids of the reservations that these select. At most one statement."""
    ids, carts, orders = _named(selectors)
    if carts or orders:
        with connection.cursor() as cursor:
            cursor.execute(_FIND, [columns.texts(carts), columns.texts(orders)])
            ids.update(row[0] for row in cursor.fetchall())
    return ids


def _named(selectors: Iterable[Selector]) -> tuple[set[UUID], set[str], set[str]]:
    """The ids of the reservations, carts and orders that these name."""
    selectors = list(selectors)
    return (
        {selector.reservation_id for selector in selectors if selector.reservation_id},
        {selector.cart_id for selector in selectors if selector.cart_id},
        {selector.order_id for selector in selectors if selector.order_id},
    )


_SELECTED: Final = """ANY(ARRAY(
    SELECT unnest(%s::uuid[])
    UNION ALL SELECT id FROM reservations_reservation WHERE cart_id = ANY(%s::text[])
    UNION ALL SELECT id FROM reservations_reservation WHERE order_id = ANY(%s::text[])
))"""
_LOCK: Final = f"""
WITH locked AS MATERIALIZED ({documents.LOCK.replace("ANY(%s)", _SELECTED)})
SELECT clock_timestamp(), * FROM locked
"""  # noqa: S608 - constants only
_ITEMS: Final = documents.ITEMS.replace("ANY(%s)", _SELECTED)
"""Finds the items of all that ``_LOCK`` has locked: while it is locked, a reservation keeps its cart and its order."""


def lock(selectors: Iterable[Selector]) -> tuple[dict[UUID, Hold], datetime]:
    """``documents.lock_holds`` for what these select, and the database's time when all of it was locked.

    Two statements, in a pipelined transaction one round trip. As in ``inventory.locking.lock_levels``, the clock is
    read for each row as its lock is acquired; the newest value counts.
    """
    ids, carts, orders = _named(selectors)
    parameters = [columns.uuids(ids), columns.texts(carts), columns.texts(orders)]
    with connection.cursor() as of_holds, connection.cursor() as of_items:
        of_holds.execute(_LOCK, parameters)
        of_items.execute(_ITEMS, parameters)
        rows = of_holds.fetchall()
        holds = documents.with_items([row[1:] for row in rows], of_items.fetchall())
    return holds, max(row[0] for row in rows) if rows else read_clock()


def matching(selector: Selector, holds: Mapping[UUID, Hold]) -> list[Hold]:
    """The holds that match a selector, the oldest first."""
    if selector.reservation_id:
        return [holds[selector.reservation_id]] if selector.reservation_id in holds else []
    found = [
        hold
        for hold in holds.values()
        if (hold.cart_id == selector.cart_id if selector.cart_id else hold.order_id == selector.order_id)
    ]
    return sorted(found, key=lambda hold: (hold.created_at, hold.id))
