"""The errors of holds and shortage incidents."""

from audit.errors import DomainError


class ReservationNotFound(DomainError):
    """The reservation doesn't exist, or is out of the actor's reach."""


class ReservationExpired(DomainError):
    """The hold has passed its ``expiresAt``, swept or not (docs/explanation/rules.md, rule 3)."""


class ReservationReleased(DomainError):
    """The hold was released before."""


class ReservationConsumed(DomainError):
    """The hold was consumed before; when consuming, raised only if it was for another order."""


class ReservedForAnotherOrder(DomainError):
    """The hold was made for another order, which would silently lose its stock to this one."""


class OrderAlreadyHeld(DomainError):
    """The order has an active reservation, and the request doesn't say that it wants an additional one."""


class AlreadyExtended(DomainError):
    """The hold was extended before. A hold can be extended once."""


class TimeoutTooLong(DomainError):
    """The hold time is over the maximum. It is never clamped: a shop must not show a shopper a time that isn't kept."""


class HoldLimitExceeded(DomainError):
    """The shopper would hold more units, or open more holds, than a limit of the store or product allows."""


class HoldNotInTheWay(DomainError):
    """A reservation that staff chose to break holds none of the missing units."""


class ReservedUnexplained(DomainError):
    """A level's reserved is more than its reservations hold. Reconcile the counters before holds can give way."""


class IncidentResolved(DomainError):
    """The incident was resolved before."""
