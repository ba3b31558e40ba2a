"""What orders hold already: a reserve for one that is sent again must not hold its units twice.

Requests for one order are decided one after the other, under the order's advisory lock (``limits.lock_allowances``).
What the order holds is read by the statement after the lock, which is sent together with the one that locks the levels.
"""

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

from django.db import connection

from audit.db import columns
from audit.errors import Fault
from audit.identifiers import RESERVATION, public_id
from reservations.errors import OrderAlreadyHeld
from reservations.services.holds.documents import Hold


class Order(NamedTuple):
    """An order in a store."""

    store_id: UUID
    order_id: str


_ACTIVE: Final = """
SELECT store_id, order_id, id, expires_at FROM (
    SELECT * FROM reservations_reservation WHERE order_id = ANY(%s::text[]) OFFSET 0
) AS of_orders
WHERE status = 'ACTIVE' ORDER BY created_at, id
"""
"""``OFFSET 0`` makes the planner search by order, and then by status. Otherwise a plan that was made while few
reservations were active would search all active ones, also when they have become many."""
Row = tuple[UUID, str, UUID, datetime]


class Question:
    """A query of what orders hold, which is sent at once and read later. Within a pipelined transaction it costs no
    round trip of its own if another statement is sent before its rows are read."""

    def __init__(self, orders: Collection[Order]) -> None:
        self._cursor: Any = connection.cursor()
        self._cursor.execute(_ACTIVE, [columns.texts({order.order_id for order in orders})])

    def answer(self) -> "HeldOrders":
        """What the orders hold."""
        with self._cursor as cursor:
            return HeldOrders(cursor.fetchall())


class HeldOrders:
    """The reservations of a batch's orders, updated as the batch is decided."""

    def __init__(self, rows: Iterable[Row] = ()) -> None:
        self._ends: dict[Order, dict[UUID, datetime]] = {}
        for store_id, order_id, id_, expires_at in rows:
            self._ends.setdefault(Order(store_id, order_id), {})[id_] = expires_at

    def knows(self, order: Order) -> bool:
        """Whether the order has an active reservation, due or not."""
        return order in self._ends

    def require_none(self, order: Order, now: datetime) -> None:
        """Raise OrderAlreadyHeld, with a fault for each active reservation of the order."""
        held = [public_id(RESERVATION, id_) for id_, end in self._ends.get(order, {}).items() if end > now]
        if not held:
            return
        details = [f"Order {order.order_id} holds {id_} already." for id_ in held]
        faults = [
            Fault("/orderId", OrderAlreadyHeld.code, detail, {"reservationId": id_})
            for id_, detail in zip(held, details, strict=True)
        ]
        raise OrderAlreadyHeld(f'{details[0]} To hold more for it, send "additional": true.', faults)

    def note(self, order: Order, hold: Hold) -> None:
        """Note a reservation that was made, for the later requests of the batch."""
        self._ends.setdefault(order, {})[hold.id] = hold.expires_at
