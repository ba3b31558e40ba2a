"""Generate the demonstration's holds of the last day: those that became its sales, and those that ended without one.

Returns unsaved rows, the same for the same seed. Each sale gets a consumed hold that ends at the time of the sale's
movement; other holds of the same products, some hours before or after, are released or expire.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from uuid_utils.compat import uuid7

from inventory.models import Movement, Store
from reservations.models import Reservation, ReservationItem

DAY: Final = timedelta(hours=24)
REASONS: Final = ("removed from the cart", "payment declined", "customer cancelled")
_FORGOTTEN, _GIVEN_BACK = 0.35, 0.2
_HOURS_APART: Final = 6
_OVER: Final = timedelta(minutes=30)
"""Generated holds ended at least this long ago: newer ones are made by the services."""

PastHold = tuple[Reservation, ReservationItem]


@dataclass(frozen=True, slots=True)
class Shoppers:
    """Generates the holds of a shop. ``stores`` are by the id of a warehouse that they sell from."""

    stores: Mapping[UUID, Sequence[Store]]
    now: datetime
    chance: random.Random

    def holds(self, movements: Sequence[Movement]) -> Iterator[PastHold]:
        """The holds of the last day for the sales among these movements, each with its item."""
        for sale in movements:
            if sale.type != Movement.Type.SHIPMENT or sale.created_at <= self.now - DAY + _OVER:
                continue
            yield self._sold(sale)
            if self.chance.random() < _FORGOTTEN and (made := self._moment_near(sale)):
                yield self._ended(sale, made, Reservation.Status.EXPIRED)
            if self.chance.random() < _GIVEN_BACK and (made := self._moment_near(sale)):
                yield self._ended(sale, made, Reservation.Status.RELEASED)

    def _moment_near(self, sale: Movement) -> datetime | None:
        """A random time near a sale; None if it isn't within the last day or is too recent."""
        hours = self.chance.uniform(-_HOURS_APART, _HOURS_APART)
        moment = sale.created_at + timedelta(hours=hours)
        return moment if self.now - DAY < moment < self.now - 2 * _OVER else None

    def _sold(self, sale: Movement) -> PastHold:
        made = sale.created_at - timedelta(seconds=self.chance.uniform(40, 540))
        hold, item = self._hold(sale, made, Reservation.Status.CONSUMED, -sale.quantity)
        hold.order_id, hold.consumed_at = sale.reference, sale.created_at
        return hold, item

    def _ended(self, sale: Movement, made: datetime, status: Reservation.Status) -> PastHold:
        hold, item = self._hold(sale, made, status, 1)
        if status == Reservation.Status.EXPIRED:
            hold.released_at = hold.expires_at + timedelta(seconds=self.chance.uniform(1, 15))
        else:
            hold.released_at = made + timedelta(seconds=self.chance.uniform(30, 560))
            hold.reason = self.chance.choice(REASONS)
        return hold, item

    def _hold(self, sale: Movement, made: datetime, status: Reservation.Status, units: int) -> PastHold:
        store = self.chance.choice(self.stores[sale.level.warehouse_id])
        seconds, nanos = int(made.timestamp()), made.microsecond * 1000
        hold = Reservation(
            id=uuid7(timestamp=seconds, nanos=nanos),
            store=store,
            status=status,
            cart_id=f"cart-{self.chance.randrange(16**6):06x}",
            customer_id=f"customer-{self.chance.randrange(1000, 2000)}",
            created_at=made,
            expires_at=made + timedelta(minutes=store.ttl_minutes or 15),
        )
        item = ReservationItem(
            id=uuid7(timestamp=seconds, nanos=nanos), reservation=hold, level=sale.level, quantity=units, pinned=False
        )
        return hold, item
