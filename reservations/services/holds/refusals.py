"""The refusals of a consume: holds that are dead, for another order, or ended before."""

from collections.abc import Sequence
from typing import NoReturn

from audit.errors import DomainError, Fault
from reservations.errors import (
    ReservationConsumed,
    ReservationExpired,
    ReservationReleased,
    ReservedForAnotherOrder,
)
from reservations.services.holds.documents import Hold, Status


def expired(dead: Sequence[Hold]) -> ReservationExpired:
    """The error for dead holds, with a fault for each."""
    details = [f"{hold.public_id} expired at {hold.expires_at:%Y-%m-%dT%H:%M:%SZ}." for hold in dead]
    return ReservationExpired(details[0], _faults(ReservationExpired, dead, details))


def require_for(holds: Sequence[Hold], order_id: str) -> None:
    """Raise ReservedForAnotherOrder if one of the holds was made for another order."""
    others = [hold for hold in holds if hold.order_id not in (None, order_id)]
    if others:
        details = [f"{hold.public_id} was reserved for order {hold.order_id}." for hold in others]
        raise ReservedForAnotherOrder(details[0], _faults(ReservedForAnotherOrder, others, details))


def _faults(kind: type[DomainError], holds: Sequence[Hold], details: Sequence[str]) -> list[Fault]:
    """A fault for each hold, with its detail."""
    return [
        Fault("/reservationId", kind.code, detail, {"reservationId": hold.public_id})
        for hold, detail in zip(holds, details, strict=True)
    ]


def refuse(hold: Hold) -> NoReturn:
    """Raise ReservationConsumed or ReservationReleased for a hold that has ended."""
    if hold.status == Status.CONSUMED:
        raise ReservationConsumed(f"{hold.public_id} was consumed for order {hold.order_id}.")
    raise ReservationReleased(f"{hold.public_id} was released.")
