"""End holds exactly once: consume them as a sale, or release them."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from audit import idempotency
from audit.actors import Actor
from audit.db.statements import one_statement
from audit.errors import DomainError, raise_refusal
from audit.events import OutboxRow
from audit.idempotency import Claim, StoredAnswer
from audit.publishing import traced
from audit.recording import Entry, record
from inventory import transactions
from inventory.locking import LockedLevels, lock_levels
from inventory.models import Movement
from inventory.services.catalogue.lookup import Catalogue
from inventory.services.stock.ledger import Ledger, MovementCause
from inventory.transactions import PATIENT, Patience
from reservations import actions
from reservations.errors import ReservationConsumed, ReservationNotFound
from reservations.events import InventoryConsumedEvent
from reservations.services.holds import counting, documents, expiry, reacquiring, refusals
from reservations.services.holds.documents import Hold, Status, is_lapsed
from reservations.services.holds.placing import created_entry, reserved_event
from reservations.services.holds.selecting import Selector, find, matching


class ReleaseRequest(msgspec.Struct, frozen=True, gc=False):
    """One request to release holds."""

    actor: Actor
    selector: Selector
    reason: str = ""
    claim: Claim | None = None


class ConsumeRequest(msgspec.Struct, frozen=True, gc=False):
    """One request to consume holds for ``order_id``. ``reacquire`` allows to re-acquire expired ones (late payment).

    ``freeze_override`` is why somebody sells frozen goods by hand (``selling_by_hand``); it is recorded.
    """

    actor: Actor
    order_id: str
    selector: Selector
    reacquire: bool = False
    claim: Claim | None = None
    freeze_override: str = ""


class Resolved(msgspec.Struct, frozen=True, gc=False):
    """The current state of the holds that a command ended or found ended, the oldest first."""

    holds: tuple[Hold, ...]
    now: datetime


ResolutionOutcome = Resolved | StoredAnswer | DomainError
Request = ReleaseRequest | ConsumeRequest


def release_hold(request: ReleaseRequest) -> Resolved | StoredAnswer:
    """Release a reservation, or all active ones of a cart or order; a due one is recorded EXPIRED instead.

    A reservation that has ended already is not changed. Raises ReservationNotFound, ReservationConsumed,
    IdempotencyKeyReused, IdempotencyInProgress, Busy. Locks: claim, the reservations by id, their levels by id.
    """
    outcome: Resolved | StoredAnswer = raise_refusal(release_holds([request])[0])
    return outcome


def release_holds(requests: Sequence[ReleaseRequest], patience: Patience = PATIENT) -> list[ResolutionOutcome]:
    """``release_hold`` for many requests, each decided on its own, in order, in one transaction."""
    return transactions.run(lambda: resolve_all(requests), patience)


def consume_hold(request: ConsumeRequest) -> Resolved | StoredAnswer:
    """Consume a reservation, or all of a cart or order, as one sale: exactly once, all or nothing.

    On hand and reserved both fall, with a SHIPMENT movement per item. Repeating it for the same order changes nothing.

    Raises ReservationNotFound, ReservationConsumed (by another order), ReservedForAnotherOrder (with a fault for every
    such hold), ReservationReleased, ReservationExpired (with a fault for every expired hold), IdempotencyKeyReused,
    IdempotencyInProgress, Busy; with ``reacquire`` also InsufficientStock and the errors of
    ``sourcing.require_all_sellable``. Locks: claim, the reservations by id, their levels by id.
    """
    outcome: Resolved | StoredAnswer = raise_refusal(consume_holds([request])[0])
    return outcome


def consume_holds(requests: Sequence[ConsumeRequest], patience: Patience = PATIENT) -> list[ResolutionOutcome]:
    """``consume_hold`` for many requests, each decided on its own, in order, in one transaction."""
    outcomes: list[ResolutionOutcome] = expiry.with_due_holds_freed(resolve_all, requests, patience)
    late = [outcome for request, outcome in zip(requests, outcomes, strict=True) if request.reacquire]
    counting.count_refused((outcome for outcome in late if isinstance(outcome, counting.NOT_HELD)), patience)
    return outcomes


def resolve_all(requests: Sequence[Request]) -> list[ResolutionOutcome]:
    """The inner service of ``release_holds`` and ``consume_holds``; requires an open transaction."""
    verdicts = idempotency.claim_all([request.claim for request in requests])
    open_requests = [request for request, verdict in zip(requests, verdicts, strict=True) if verdict is None]
    outcomes = iter(resolve_claimed(open_requests))
    return [verdict or next(outcomes) for verdict in verdicts]


def resolve_claimed(requests: Sequence[Request]) -> list[ResolutionOutcome]:
    """``resolve_all`` for requests whose idempotency keys are claimed already."""
    if not requests:
        return []
    batch = Batch(*lock_for(requests, find(request.selector for request in requests)))
    outcomes = [batch.decide(request) for request in requests]
    batch.write()
    return outcomes


Locked = tuple[dict[UUID, Hold], LockedLevels, Catalogue, Mapping[UUID, Hold]]
"""What a ``Batch`` is made of."""


def lock_for(requests: Sequence[Request], ids: Collection[UUID], level_ids: Collection[UUID] = ()) -> Locked:
    """Lock these reservations, then their levels and those in ``level_ids``. The number of statements doesn't depend on
    the batch.

    Reservations that re-acquired expired ones are read after the locks: a repetition of the same late payment may have
    made them after the holds of its cart or order were looked up.
    """
    holds = documents.lock_holds(ids)
    late = [
        (request.actor, hold)
        for request in requests
        if isinstance(request, ConsumeRequest) and request.reacquire
        for hold in matching(request.selector, holds)
        if (hold.status == Status.ACTIVE or is_lapsed(hold)) and hold.is_within_reach_of(request.actor)
    ]
    lapsed = [hold.id for hold in holds.values() if is_lapsed(hold)]
    successors = reacquiring.successors_of(lapsed) if any(isinstance(r, ConsumeRequest) for r in requests) else {}
    holds |= {successor.id: successor for successor in successors.values()}
    catalogue = reacquiring.read_catalogue_of(late)
    wanted = {item.level_id for hold in holds.values() if hold.status == Status.ACTIVE for item in hold.items}
    wanted.update(level_ids)
    for _, hold in late:
        wanted |= reacquiring.candidate_levels(hold, catalogue)
    return holds, lock_levels(wanted), catalogue, successors


class Batch:
    """Locked holds and levels of a batch, with the decisions made so far and the rows to write for them."""

    def __init__(
        self, holds: dict[UUID, Hold], levels: LockedLevels, catalogue: Catalogue, successors: Mapping[UUID, Hold]
    ) -> None:
        self._holds = holds
        self._levels = levels
        self._catalogue = catalogue
        self._successors = successors
        self._now = levels.now
        self._ledger = Ledger(levels)
        self._ended: list[Hold] = []
        self._made: list[Hold] = []
        self._entries: list[Entry] = []
        self._events: list[OutboxRow] = []
        self._results: list[tuple[Claim | None, Resolved]] = []

    def decide(self, request: Request) -> ResolutionOutcome:
        """Decide one request, given the decisions before it. A refused request changes nothing."""
        entries, events = len(self._entries), len(self._events)
        try:
            holds = self._release(request) if isinstance(request, ReleaseRequest) else self._consume(request)
        except DomainError as error:
            return error
        resolved = Resolved(tuple(holds), self._now)
        if len(self._entries) > entries:
            self._results.append((request.claim, resolved))
        self._events[events:] = traced(self._events[events:], request.actor)
        return resolved

    def write(self) -> None:
        """Write all decisions, and the stored answers of the requests that changed something."""
        with one_statement():
            self._ledger.write(self._now, self._events)
            documents.close(self._ended, now=self._now)
            documents.insert(self._made)
            record(self._entries, now=self._now)
            idempotency.store_all(self._results, now=self._now)

    def _selected(self, request: Request) -> list[Hold]:
        found = [hold for hold in matching(request.selector, self._holds) if hold.is_within_reach_of(request.actor)]
        if not found:
            raise ReservationNotFound(f"There is no {request.selector}.")
        return found

    # --- release -----------------------------------------------------------------------------------------------------

    def _release(self, request: ReleaseRequest) -> list[Hold]:
        found = self._selected(request)
        active = [hold for hold in found if hold.status == Status.ACTIVE]
        if not active and found[-1].status == Status.CONSUMED:
            raise ReservationConsumed(f"{found[-1].public_id} was consumed for order {found[-1].order_id}.")
        if request.selector.reservation_id and not active:
            return found
        return [
            self._expire(hold, request.actor) if hold.is_due(self._now) else self._give_back(hold, request)
            for hold in active
        ]

    def _give_back(self, hold: Hold, request: ReleaseRequest) -> Hold:
        for item in hold.items:
            self._ledger.reserve(item.level_id, -item.quantity)
        ended = documents.ended(hold, Status.RELEASED, now=self._now, reason=request.reason)
        self._end(ended, released_entry(request.actor, ended), expiry.released_event(ended))
        return ended

    def _expire(self, hold: Hold, actor: Actor) -> Hold:
        (ended,) = expiry.expire([hold], self._ledger, self._now)
        self._end(ended, expiry.expired_entry(ended, actor), expiry.released_event(ended))
        return ended

    def _end(self, ended: Hold, entry: Entry, event: OutboxRow) -> None:
        self._holds[ended.id] = ended
        self._ended.append(ended)
        self._entries.append(entry)
        self._events.append(event)

    # --- consume -----------------------------------------------------------------------------------------------------

    def _consume(self, request: ConsumeRequest) -> list[Hold]:
        if request.reacquire:
            request.actor.require_all_warehouses()  # Units may come from any of the store's warehouses.
        found = self._selected(request)
        sold = [hold for hold in found if hold.status == Status.CONSUMED and hold.order_id == request.order_id]
        if request.selector.reservation_id and sold:
            return sold
        if sold:
            # A late repetition must not sell newer holds of the cart, unless they are for the same order.
            found = [hold for hold in found if hold.order_id == request.order_id]
        live = [hold for hold in found if hold.is_active(self._now)]
        dead = [hold for hold in found if self._is_dead(hold) and not _is_superseded(hold, found)]
        pointer = request.selector.pointer
        refusals.require_for([*live, *dead], request.order_id, pointer)
        if request.selector.reservation_id and dead and (successor := self._successor(dead[0], request)):
            return [successor]
        if dead and not request.reacquire:
            raise refusals.expired(dead, pointer)
        if not live and not dead:
            return sold or refusals.refuse(found[-1], pointer)
        return self._sell_all(request, sold, live, dead)

    def _sell_all(
        self, request: ConsumeRequest, sold: Sequence[Hold], live: Sequence[Hold], dead: Sequence[Hold]
    ) -> list[Hold]:
        """Sell the live holds and re-acquire the dead ones. Errors are raised before the first change."""
        reacquired = self._reacquire(request, dead)
        for hold in dead:
            if hold.status == Status.ACTIVE:
                self._expire(hold, request.actor)
        consumed = [self._sell(hold, request) for hold in live]
        for hold in reacquired:
            self._make_sold(hold, request.actor)
        return sorted([*sold, *consumed, *reacquired], key=lambda hold: (hold.created_at, hold.id))

    def _sell(self, hold: Hold, request: ConsumeRequest) -> Hold:
        ended = documents.ended(hold, Status.CONSUMED, now=self._now, order_id=request.order_id)
        self._ship(ended, request.actor)
        self._end(ended, consumed_entry(request.actor, ended, request.freeze_override), consumed_event(ended))
        return ended

    def _ship(self, hold: Hold, actor: Actor) -> None:
        cause = MovementCause(
            type=Movement.Type.SHIPMENT.value,
            actor=actor.name,
            reason="sold",
            reference_type="order",
            reference=hold.order_id or "",
            store=hold.store,
        )
        for item in hold.items:
            self._ledger.reserve(item.level_id, -item.quantity)
            self._ledger.move(item.level_id, -item.quantity, cause)

    def _make_sold(self, hold: Hold, actor: Actor) -> None:
        for item in hold.items:
            self._ledger.reserve(item.level_id, item.quantity)
        self._ship(hold, actor)
        self._holds[hold.id] = hold
        self._made.append(hold)
        self._entries += [created_entry(actor, hold), consumed_entry(actor, hold)]
        self._events += [reserved_event(hold), consumed_event(hold)]

    def _reacquire(self, request: ConsumeRequest, dead: Sequence[Hold]) -> list[Hold]:
        due = [hold for hold in dead if hold.status == Status.ACTIVE]
        sellable = self._levels.sellable((item.level_id, item.quantity) for hold in due for item in hold.items)
        reacquired: list[Hold] = []
        for hold in dead:
            new = reacquiring.reacquired(
                hold,
                order_id=request.order_id,
                catalogue=self._catalogue,
                sellable=sellable,
                actor=request.actor,
                now=self._now,
                pointer=request.selector.pointer,
            )
            for item in new.items:
                sellable[item.level_id] -= item.quantity
            reacquired.append(new)
        return reacquired

    def _is_dead(self, hold: Hold) -> bool:
        return is_lapsed(hold) or hold.is_due(self._now)

    def _successor(self, hold: Hold, request: ConsumeRequest) -> Hold | None:
        """The reservation that re-acquired a dead hold before. Raises ReservationConsumed if it is another order's."""
        made = [new for new in self._made if new.reacquired_from == hold.id]
        successor = made[0] if made else self._successors.get(hold.id)
        if successor and successor.order_id != request.order_id:
            raise ReservationConsumed(f"{hold.public_id} was consumed for order {successor.order_id}.")
        return successor


def _is_superseded(hold: Hold, others: Iterable[Hold]) -> bool:
    """Whether a newer hold was made after this one had expired: the shopper came back, and the newer one is sold."""
    ended_at = min(hold.expires_at, hold.released_at or hold.expires_at)
    return any(other.created_at >= ended_at for other in others if other.id != hold.id)


def released_entry(actor: Actor, hold: Hold) -> Entry:
    """The audit entry of a hold that was released."""
    changes = {"reason": hold.reason, "items": [item.facts() for item in hold.items]}
    return Entry(actor, actions.RESERVATION_RELEASED, hold.id, changes, store=hold.store)


def consumed_entry(actor: Actor, hold: Hold, freeze_override: str = "") -> Entry:
    """The audit entry of a hold that was consumed, with the reason for selling frozen goods, if any."""
    changes: dict[str, Any] = {"orderId": hold.order_id, "items": [item.facts() for item in hold.items]}
    if hold.reacquired_from:
        changes["reacquiredFrom"] = hold.reacquired_from
    if freeze_override:
        changes["freezeOverride"] = freeze_override
    return Entry(actor, actions.RESERVATION_CONSUMED, hold.id, changes, store=hold.store)


def consumed_event(hold: Hold) -> OutboxRow:
    """The event of a hold that was consumed."""
    return InventoryConsumedEvent(**hold.facts()).row(hold.level_ids)
