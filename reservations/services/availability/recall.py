"""The recall of a product: its places, active holds, and the orders that it was sold to lately."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from django.db.models import Value
from django.db.models.functions import Now

from audit.actors import Actor
from inventory.models import Movement, Product, StockLevel
from reservations.models import Reservation, ReservationItem

MOST_ROWS: Final = 2000
"""The most holds, and the most shipments, that a recall lists."""


@dataclass(frozen=True, slots=True)
class RecalledHold:
    """Units that an active reservation holds of a product or variant."""

    reservation: Reservation
    sku: str
    warehouse: str
    units: int


@dataclass(frozen=True, slots=True)
class RecalledShipment:
    """Units that left. ``order`` is empty for what was shipped by hand; then ``reference`` may say to whom."""

    at: datetime
    sku: str
    warehouse: str
    units: int
    order: str
    customer: str
    reference: str
    reason: str


@dataclass(frozen=True, slots=True)
class Recall:
    """A recall as it was read. ``has_more`` means that holds or shipments were left out beyond ``MOST_ROWS``."""

    levels: tuple[Any, ...]
    holds: tuple[RecalledHold, ...]
    shipments: tuple[RecalledShipment, ...]
    has_more: bool

    @property
    def on_hand(self) -> int:
        """The units in all places."""
        return sum(level.on_hand for level in self.levels)

    @property
    def held(self) -> int:
        """The units of the active reservations."""
        return sum(hold.units for hold in self.holds)

    @property
    def shipped(self) -> int:
        """The units that left."""
        return sum(shipment.units for shipment in self.shipments)


def read_recall(actor: Actor, product: Product, *, days: int) -> Recall:
    """A product with its variants in the actor's reach: its places, active holds, and shipments of the last days.

    Archived movements are left out. Six queries, whatever the number of rows.
    """
    family = [product.pk, *Product.objects.filter(parent=product.pk).values_list("pk", flat=True)]
    found = (
        StockLevel.objects.visible_to(actor)
        .filter(product__in=family)
        .select_related("product", "warehouse")
        .with_incoming()
    )
    levels = {level.pk: level for level in found.order_by("product__sku", "warehouse__code")}
    holds = list(_holds(actor, levels))
    shipments = list(_shipments(levels, days))
    has_more = len(holds) > MOST_ROWS or len(shipments) > MOST_ROWS
    return Recall(tuple(levels.values()), tuple(holds[:MOST_ROWS]), tuple(shipments[:MOST_ROWS]), has_more)


def _holds(actor: Actor, levels: dict[UUID, Any]) -> Iterator[RecalledHold]:
    seen = Reservation.objects.visible_to(actor).filter(status=Reservation.Status.ACTIVE)
    items = ReservationItem.objects.filter(level__in=levels, held_until__isnull=False, reservation__in=seen)
    for item in items.select_related("reservation__store").order_by("held_until", "id")[: MOST_ROWS + 1]:
        level = levels[item.level_id]
        yield RecalledHold(item.reservation, level.product.sku, level.warehouse.code, item.quantity)


def _shipments(levels: dict[UUID, Any], days: int) -> Iterator[RecalledShipment]:
    since = Now() - Value(timedelta(days=days))
    moved = Movement.objects.filter(level__in=levels, type=Movement.Type.SHIPMENT, created_at__gte=since)
    rows = list(moved.order_by("-created_at", "-id")[: MOST_ROWS + 1])
    orders = {row.reference for row in rows if row.reference_type == "order"}
    sold = Reservation.objects.filter(status=Reservation.Status.CONSUMED, order_id__in=orders)
    customers = {order: customer or "" for order, customer in sold.values_list("order_id", "customer_id")}
    for row in rows:
        level, order = levels[row.level_id], row.reference if row.reference_type == "order" else ""
        yield RecalledShipment(
            at=row.created_at,
            sku=level.product.sku,
            warehouse=level.warehouse.code,
            units=-row.quantity,
            order=order,
            customer=customers.get(order, ""),
            reference="" if order else row.reference,
            reason=row.reason,
        )
