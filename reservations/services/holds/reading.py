"""Read reservations for those who may see them. Takes no locks."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from audit.actors import Actor
from inventory.locking import read_clock
from reservations.errors import ReservationNotFound
from reservations.models import Reservation
from reservations.services.holds import documents
from reservations.services.holds.documents import Hold


def read_hold(actor: Actor, id_: UUID) -> tuple[Hold, datetime]:
    """A reservation, and the database's time. Raises ReservationNotFound, also for one out of the actor's reach."""
    hold = documents.read_holds([id_]).get(id_)
    if hold is None or not hold.is_within_reach_of(actor):
        raise ReservationNotFound("There is no such reservation.")
    return hold, read_clock()


def read_cart(actor: Actor, cart_id: str, store: str | None = None) -> tuple[Sequence[Hold], datetime]:
    """The active reservations of a cart that the actor may see, the oldest first, and the database's time.

    With the code of a ``store``, of that store alone. Raises ReservationNotFound if there are none.
    """
    found = Reservation.objects.filter(cart_id=cart_id).values_list("id", "status")
    read = documents.read_holds([id_ for id_, status in found if status == documents.Status.ACTIVE])
    now = read_clock()
    holds = [
        hold
        for hold in read.values()
        if hold.is_active(now) and hold.is_within_reach_of(actor) and store in (None, hold.store)
    ]
    if not holds:
        raise ReservationNotFound("Nothing is held for this cart.")
    return sorted(holds, key=lambda hold: (hold.created_at, hold.id)), now
