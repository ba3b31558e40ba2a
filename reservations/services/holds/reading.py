"""Read reservations for those who may see them. Takes no locks."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from audit.actors import Actor
from audit.errors import DomainError, raise_refusal
from reservations.errors import ReservationNotFound
from reservations.services.holds import cart_holds, snapshots
from reservations.services.holds.documents import Hold


class ReadRequest(msgspec.Struct, frozen=True, gc=False):
    """A request to read one reservation."""

    actor: Actor
    reservation_id: UUID


def read_hold(actor: Actor, id_: UUID) -> tuple[Hold, datetime]:
    """A reservation, and the database's time. Raises ReservationNotFound, also for one out of the actor's reach."""
    found: tuple[Hold, datetime] = raise_refusal(read_holds([ReadRequest(actor, id_)])[0])
    return found


def read_holds(requests: Sequence[ReadRequest]) -> list[tuple[Hold, datetime] | DomainError]:
    """``read_hold`` for many requests, each answered on its own, in order. One statement for all."""
    read, now = snapshots.read({request.reservation_id for request in requests})
    outcomes: list[tuple[Hold, datetime] | DomainError] = []
    for request in requests:
        hold = read.get(request.reservation_id)
        if hold is None or not hold.is_within_reach_of(request.actor):
            outcomes.append(ReservationNotFound("There is no such reservation."))
        else:
            outcomes.append((hold, now))
    return outcomes


class CartRequest(msgspec.Struct, frozen=True, gc=False):
    """Which active reservations of a cart to read: those that the actor may see; with a ``store`` (a code), those of
    that store alone."""

    actor: Actor
    cart_id: str
    store: str | None = None

    def selects(self, hold: Hold) -> bool:
        """Whether this is one of them, if it is active."""
        return hold.cart_id == self.cart_id and self.store in (None, hold.store) and hold.is_within_reach_of(self.actor)


class CartRead(msgspec.Struct, frozen=True, gc=False):
    """What a cart holds: its active reservations, the oldest first, and the database's time."""

    cart_id: str
    holds: list[Hold]
    now: datetime


def read_carts(requests: Sequence[CartRequest]) -> list[CartRead | ReservationNotFound]:
    """Read carts: one query for all. An outcome is ReservationNotFound if the cart holds nothing that the actor may
    see."""
    holds, now = cart_holds.read({request.cart_id for request in requests})
    of_carts: dict[str | None, list[Hold]] = {}
    for hold in holds:
        if hold.is_active(now):
            of_carts.setdefault(hold.cart_id, []).append(hold)
    return [_of_cart(request, of_carts.get(request.cart_id, []), now) for request in requests]


def _of_cart(request: CartRequest, holds: Sequence[Hold], now: datetime) -> CartRead | ReservationNotFound:
    selected = [hold for hold in holds if request.selects(hold)]
    if not selected:
        return ReservationNotFound("Nothing is held for this cart.")
    return CartRead(request.cart_id, sorted(selected, key=lambda hold: (hold.created_at, hold.id)), now)
