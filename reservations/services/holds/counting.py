"""What the metrics say of holds: made, ended in which way, and refused (``audit.metrics``)."""

from collections.abc import Callable, Iterable, Sequence, Sized
from datetime import datetime
from typing import Any, Final, Protocol, TypeVar

from audit.errors import Busy, DomainError, OutcomeUnknown
from audit.metrics.definitions import (
    EXPIRY_DELAY,
    RESERVATION_CONSUMED,
    RESERVATION_CREATED,
    RESERVATION_EXPIRED,
    RESERVATION_FAILED,
    RESERVATION_RELEASED,
)
from audit.metrics.kinds import OTHER
from inventory.errors import Frozen, InsufficientStock, ListingExpired, ProductInactive, WarehouseInactive
from inventory.transactions import PATIENT, Patience
from reservations.models import Reservation

R = TypeVar("R")
Status = Reservation.Status
NOT_HELD: Final = (InsufficientStock, ProductInactive, ListingExpired, WarehouseInactive, Frozen)
"""The errors of a late payment that say that its units can't be held again."""
CART_EMPTIED: Final = "cart emptied"
MERGED_INTO: Final = "merged into"
PAYMENT_EXPIRED: Final = "payment expired"
SHORTAGE: Final = "shortage"
"""The reasons for which the service itself releases holds; ``MERGED_INTO`` is followed by a hold's id."""
_COUNTED_AS: Final = {
    CART_EMPTIED: "cart_emptied",
    PAYMENT_EXPIRED: "payment_expired",
    SHORTAGE: "shortage",
}


class CountedHold(Protocol):
    """What is counted of a hold (``documents.Hold``, whose module counts with this one)."""

    @property
    def status(self) -> str: ...
    @property
    def reason(self) -> str: ...
    @property
    def expires_at(self) -> datetime: ...
    @property
    def released_at(self) -> datetime | None: ...


def count_made(holds: Sequence[CountedHold]) -> None:
    """Count new holds, and those that were sold at once, once this transaction is committed."""
    RESERVATION_CREATED.add_after_commit(len(holds))
    if sold := [hold for hold in holds if hold.status != Status.ACTIVE]:
        count_ended(sold)


def count_ended(holds: Sequence[CountedHold]) -> None:
    """Count the holds among these that have ended, by how they did, once this transaction is committed."""
    if not RESERVATION_CONSUMED.is_on:
        return
    released = (hold.reason for hold in holds if hold.status == Status.RELEASED)
    expired = (hold for hold in holds if hold.status == Status.EXPIRED)
    RESERVATION_CONSUMED.add_after_commit(sum(hold.status == Status.CONSUMED for hold in holds))
    RESERVATION_RELEASED.add_each_after_commit(map(released_as, released))
    count_expired([(hold.released_at - hold.expires_at).total_seconds() for hold in expired if hold.released_at])


def count_expired(delays_seconds: Sequence[float]) -> None:
    """Count holds that were recorded EXPIRED, each by the time since its end, once this transaction is committed."""
    RESERVATION_EXPIRED.add_after_commit(len(delays_seconds))
    EXPIRY_DELAY.observe_after_commit(delays_seconds)


def released_as(reason: str) -> str:
    """The label of a release, by its reason. All reasons that callers word themselves are ``requested``."""
    return "cart_merged" if reason.startswith(f"{MERGED_INTO} ") else _COUNTED_AS.get(reason, "requested")


def with_refusals_counted(decide: Callable[[], list[R]], requests: Sized, patience: Patience = PATIENT) -> list[R]:
    """Decide requests to hold stock and count those that are refused. ``requests`` may grow meanwhile.

    With a short ``patience``, neither Busy nor the failure of the whole batch is counted: those requests are decided
    once more, alone (``reservations.group_commit``). OutcomeUnknown is counted always: it is final.
    """
    try:
        outcomes = decide()
    except Exception as error:
        if patience.is_last or isinstance(error, OutcomeUnknown):
            count_refused([error] * len(requests), PATIENT)
        raise
    count_refused(outcomes, patience)
    return outcomes


def count_refused(outcomes: Iterable[Any], patience: Patience) -> None:
    """Count the refusals among outcomes, as ``with_refusals_counted`` does."""
    for outcome in outcomes:
        if isinstance(outcome, Exception) and (patience.is_last or not _is_decided_again(outcome)):
            RESERVATION_FAILED.add(1, outcome.code if isinstance(outcome, DomainError) else OTHER)


def _is_decided_again(outcome: Exception) -> bool:
    return isinstance(outcome, Busy) and not isinstance(outcome, OutcomeUnknown)
