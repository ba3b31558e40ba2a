"""Extend holds: move their ends later, once each."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

import msgspec
from msgspec.structs import replace

from audit import idempotency
from audit.actors import Actor
from audit.db.statements import one_statement
from audit.errors import DomainError, raise_refusal
from audit.events import OutboxRow
from audit.idempotency import Claim, StoredAnswer
from audit.publishing import publish, traced
from audit.recording import Entry, record
from inventory import transactions
from inventory.transactions import PATIENT, Patience
from reservations import actions
from reservations.errors import AlreadyExtended, ReservationNotFound
from reservations.events import InventoryExtendedEvent
from reservations.services.holds import documents, refusals
from reservations.services.holds.documents import Hold, Status
from reservations.services.holds.selecting import Selector, lock, matching


class ExtendRequest(msgspec.Struct, frozen=True, gc=False):
    """One request to extend a reservation, or all active ones of a cart or order."""

    actor: Actor
    selector: Selector
    minutes: int
    claim: Claim | None = None


class Extended(msgspec.Struct, frozen=True, gc=False):
    """The holds that a command extended, the oldest first, and the database's time at which it was decided."""

    holds: tuple[Hold, ...]
    now: datetime


ExtendOutcome = Extended | StoredAnswer | DomainError


def extend_hold(request: ExtendRequest) -> Extended | StoredAnswer:
    """Move ``expires_at`` later by ``minutes``, counted from the old end, once per hold: all selected holds or none.

    Of a cart or an order those holds are extended that are active; ended ones count only if none is active. Raises
    ReservationNotFound, ReservationExpired (also for a due one: docs/explanation/rules.md, rule 3),
    ReservationConsumed, ReservationReleased, AlreadyExtended (with a fault for every such hold), IdempotencyKeyReused,
    IdempotencyInProgress, Busy. Locks: claim, the reservations by id.
    """
    extended: Extended | StoredAnswer = raise_refusal(extend_holds([request])[0])
    return extended


def extend_holds(requests: Sequence[ExtendRequest], patience: Patience = PATIENT) -> list[ExtendOutcome]:
    """``extend_hold`` for many requests, each decided on its own, in order, in one transaction. Raises Busy."""
    return transactions.run(lambda: _extend_all(requests), patience)


def _extend_all(requests: Sequence[ExtendRequest]) -> list[ExtendOutcome]:
    verdicts = idempotency.claim_all([request.claim for request in requests])
    open_requests = [request for request, verdict in zip(requests, verdicts, strict=True) if verdict is None]
    if not open_requests:
        return [verdict for verdict in verdicts if verdict is not None]
    known, now = lock(request.selector for request in open_requests)
    decided: list[ExtendOutcome] = []
    entries: list[Entry] = []
    for request in open_requests:
        try:
            before = _extendable(request, known, now)
        except DomainError as error:
            decided.append(error)
            continue
        longer = timedelta(minutes=request.minutes)
        after = [replace(hold, expires_at=hold.expires_at + longer, extended_at=now) for hold in before]
        known |= {hold.id: hold for hold in after}
        entries += [_entry(request.actor, *pair) for pair in zip(before, after, strict=True)]
        decided.append(Extended(tuple(after), now))
    _write(open_requests, decided, entries, now)
    outcomes = iter(decided)
    return [verdict or next(outcomes) for verdict in verdicts]


def _extendable(request: ExtendRequest, known: dict[UUID, Hold], now: datetime) -> list[Hold]:
    """The holds that a request extends, the oldest first. Raises the errors of ``extend_hold``."""
    selector = request.selector
    found = [hold for hold in matching(selector, known) if hold.is_within_reach_of(request.actor)]
    if not found:
        raise ReservationNotFound(f"There is no {selector}.")
    active = [hold for hold in found if hold.is_active(now)]
    if not active:
        raise _ended(found[-1], selector.pointer)
    if again := [hold for hold in active if hold.extended_at is not None]:
        details = [f"{hold.public_id} was extended before, and can be extended only once." for hold in again]
        raise AlreadyExtended(details[0], refusals.faults(AlreadyExtended, again, details, selector.pointer))
    return active


def _ended(hold: Hold, pointer: str) -> DomainError:
    """The error of a hold that isn't active."""
    if hold.status in (Status.CONSUMED, Status.RELEASED):
        return refusals.ended(hold, pointer)
    return refusals.expired([hold], pointer)


def _write(
    requests: Sequence[ExtendRequest], outcomes: Sequence[ExtendOutcome], entries: Sequence[Entry], now: datetime
) -> None:
    made = [(request, each) for request, each in zip(requests, outcomes, strict=True) if isinstance(each, Extended)]
    if not made:
        return
    holds = [hold for _, extended in made for hold in extended.holds]
    with one_statement():
        documents.extend(holds)
        record(entries, now=now)
        publish([event for request, extended in made for event in _events(request.actor, extended)], now=now)
        idempotency.store_all(((request.claim, extended) for request, extended in made), now=now)


def _entry(actor: Actor, before: Hold, after: Hold) -> Entry:
    changes = {"expiresAt": [before.expires_at, after.expires_at]}
    return Entry(actor, actions.RESERVATION_EXTENDED, before.id, changes, store=before.store)


def _events(actor: Actor, extended: Extended) -> list[OutboxRow]:
    """The events of one request, in the trace of its caller."""
    events = [
        InventoryExtendedEvent(**hold.facts(), expires_at=hold.expires_at).row(hold.level_ids)
        for hold in extended.holds
    ]
    return traced(events, actor)
