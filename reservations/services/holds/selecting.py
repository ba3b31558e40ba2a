"""Select reservations: one, all of a cart, or all of an order."""

from collections.abc import Iterable, Mapping
from typing import Final
from uuid import UUID

import msgspec
from django.db import connection

from audit.db import columns
from audit.identifiers import RESERVATION, public_id
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
    selectors = list(selectors)
    ids = {selector.reservation_id for selector in selectors if selector.reservation_id}
    carts = [selector.cart_id for selector in selectors if selector.cart_id]
    orders = [selector.order_id for selector in selectors if selector.order_id]
    if carts or orders:
        with connection.cursor() as cursor:
            cursor.execute(_FIND, [columns.texts(carts), columns.texts(orders)])
            ids.update(row[0] for row in cursor.fetchall())
    return ids


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
