"""Why a hold can't be made, kept or turned into a sale."""

from audit.errors import DomainError


class ReservationNotFound(DomainError):
    """There is no such reservation, or it is another store's and not for this caller."""


class ReservationExpired(DomainError):
    """The hold is past its ``expiresAt`` (docs/explanation/rules.md, rule 3), swept or not."""


class ReservationReleased(DomainError):
    """The stock was given back before."""


class ReservationConsumed(DomainError):
    """The hold was turned into a sale before (where that matters: for another order)."""


class ReservedForAnotherOrder(DomainError):
    """The hold was made for another order, whose stock a sale to this one would take without a word."""


class AlreadyExtended(DomainError):
    """A hold is extended once."""


class TimeoutTooLong(DomainError):
    """A hold may not live that long. Never clamped: a shopper must not be told a time that isn't kept."""


class HoldLimitExceeded(DomainError):
    """The shopper would hold more units of a product, or have opened more holds, than store or product allow."""


class HoldNotInTheWay(DomainError):
    """A reservation that staff chose to break holds nothing of what is missing."""


class ReservedUnexplained(DomainError):
    """More is reserved than reservations hold: the counters are to be reconciled before holds can give way."""


class IncidentResolved(DomainError):
    """Somebody has resolved the incident before."""
