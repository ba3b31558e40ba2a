"""The refusals of a consume: holds that are dead, for another order, or ended before; and the event of a refusal."""

from collections.abc import Sequence
from typing import NoReturn

from msgspec import UNSET

from audit.errors import DomainError, Fault
from audit.events import OutboxRow
from inventory.errors import InsufficientStock
from reservations.errors import (
    ReservationConsumed,
    ReservationExpired,
    ReservationReleased,
    ReservedForAnotherOrder,
)
from reservations.events import InventoryReservationFailedEvent, ShortLine
from reservations.services.holds.documents import Hold, Status


def expired(dead: Sequence[Hold], pointer: str) -> ReservationExpired:
    """The error for dead holds, with a fault for each. ``pointer`` is that of what the request selects them by."""
    ends = [(hold, min(hold.expires_at, hold.released_at or hold.expires_at)) for hold in dead]
    details = [f"{hold.public_id} expired at {end:%Y-%m-%dT%H:%M:%SZ}." for hold, end in ends]
    return ReservationExpired(details[0], faults(ReservationExpired, dead, details, pointer))


def require_for(holds: Sequence[Hold], order_id: str, pointer: str) -> None:
    """Raise ReservedForAnotherOrder if one of the holds was made for another order."""
    others = [hold for hold in holds if hold.order_id not in (None, order_id)]
    if others:
        details = [f"{hold.public_id} was reserved for order {hold.order_id}." for hold in others]
        raise ReservedForAnotherOrder(details[0], faults(ReservedForAnotherOrder, others, details, pointer))


def faults(kind: type[DomainError], holds: Sequence[Hold], details: Sequence[str], pointer: str) -> list[Fault]:
    """A fault of this kind for each hold, with its detail."""
    return [
        Fault(pointer, kind.code, detail, {"reservationId": hold.public_id})
        for hold, detail in zip(holds, details, strict=True)
    ]


def refuse(hold: Hold, pointer: str) -> NoReturn:
    """Raise ReservationConsumed or ReservationReleased for a hold that has ended."""
    raise ended(hold, pointer)


def ended(hold: Hold, pointer: str) -> ReservationConsumed | ReservationReleased:
    """The error for a hold that was consumed or released."""
    if hold.status == Status.CONSUMED:
        detail = f"{hold.public_id} was consumed for order {hold.order_id}."
        return ReservationConsumed(detail, faults(ReservationConsumed, [hold], [detail], pointer))
    detail = f"{hold.public_id} was released."
    return ReservationReleased(detail, faults(ReservationReleased, [hold], [detail], pointer))


def failed_event(
    order_id: str, cart_id: str | None, store: str, error: DomainError, cause: str | None = None
) -> OutboxRow:
    """The event of an order that came as an event and was refused. ``store`` is a code, ``cause`` the event's id."""
    shortages = error.shortages if isinstance(error, InsufficientStock) else ()
    lines = [
        ShortLine(
            product_id=short.product_id,
            variant_id=short.variant_id or UNSET,
            warehouse_id=short.warehouse or UNSET,
            requested=short.requested,
            available=short.available,
        )
        for short in shortages
    ]
    return InventoryReservationFailedEvent(
        order_id=order_id,
        cart_id=cart_id or UNSET,
        store_id=store,
        code=error.code,
        reason=error.detail,
        lines=lines,
        cause=cause or UNSET,
    ).row()
