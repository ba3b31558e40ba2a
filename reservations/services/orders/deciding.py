"""Decide the events of orders under their locks: hold, release, sell (docs/explanation/rules.md, rule 41)."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from msgspec.structs import replace

from audit.actors import Actor
from audit.db.statements import one_statement
from audit.errors import DomainError
from audit.events import OutboxRow
from audit.metrics.definitions import RESERVATION_FAILED
from audit.publishing import traced
from audit.recording import Entry, record
from inventory.errors import InsufficientStock, UnknownStore
from inventory.services.catalogue.lookup import Catalogue
from reservations import actions
from reservations.errors import ReservationNotFound
from reservations.models.orders import Result
from reservations.services.holds import basket_items, documents, expiry, limits, refusals, rewriting, sourcing
from reservations.services.holds.counting import MERGED_INTO, PAYMENT_EXPIRED
from reservations.services.holds.documents import HeldItem, Hold, Status
from reservations.services.holds.placing import created_entry, reserved_event
from reservations.services.holds.resolution import (
    Batch,
    ConsumeRequest,
    Locked,
    ReleaseRequest,
    released_entry,
)
from reservations.services.holds.selecting import Selector
from reservations.services.holds.sourcing import SummedLine
from reservations.services.orders import memory
from reservations.services.orders.creating import Plan
from reservations.services.orders.incoming import (
    OrderCancelledEvent,
    OrderCompletedEvent,
    OrderCreatedEvent,
    OrderEvent,
    PaymentExpiredEvent,
)
from reservations.services.orders.memory import Kind, Notes, Outcome
from reservations.services.orders.messages import Received

_CANCELLED: Final = "order cancelled"


class DueHolds(Exception):
    """An order is short, and there are due holds on its levels: record them as expired before anything is decided."""

    def __init__(self, level_ids: frozenset[UUID]) -> None:
        super().__init__()
        self.level_ids = level_ids


def request_of(each: Received) -> ReleaseRequest | ConsumeRequest:
    """The sale of a completed order; for other events the release of the order's holds."""
    event = each.event
    actor, selector = _actor_of(each), Selector(order_id=event.subject)
    if isinstance(event, OrderCompletedEvent):
        return ConsumeRequest(actor, event.subject, selector, reacquire=True)
    reason = PAYMENT_EXPIRED
    if isinstance(event, OrderCancelledEvent):
        reason = event.reason or _CANCELLED
    return ReleaseRequest(actor, selector, reason)


def _actor_of(each: Received) -> Actor:
    """The actor of an event, limited to the store that the event names, if it names one."""
    store = each.event.store_id if isinstance(each.event, OrderEvent) else None
    return replace(each.actor, store_codes=(store,)) if store else each.actor


class OrderBatch(Batch):
    """Locked holds and levels of a batch of events, with the decisions made so far and the rows to write for them."""

    def __init__(
        self,
        locked: Locked,
        catalogue: Catalogue,
        notes: Notes,
        plans: Mapping[tuple[UUID, str, str], Plan | DomainError],
        allowances: limits.Allowances,
        *,
        may_free_due: bool,
    ) -> None:
        super().__init__(*locked)
        self._may_free_due = may_free_due
        self._names = catalogue
        self._notes = notes
        self._plans = plans
        self._allowances = allowances
        self._changed: dict[UUID, Hold] = {}
        self._before: dict[UUID, Hold] = {}

    def apply(self, each: Received) -> Outcome:
        """Decide one event, given the decisions before it. A refused one changes nothing, but is stored as received.

        Raises DueHolds for an order that is short, if due holds may be ended and there are some on its levels.
        """
        events = len(self._events)
        outcome = self._decided(each)
        self._events[events:] = traced(self._events[events:], each.actor)
        return outcome

    def _decided(self, each: Received) -> Outcome:
        try:
            if isinstance(each.event, OrderCreatedEvent):
                return self._created(each, each.event)
            if isinstance(each.event, OrderEvent) and each.event.store_id:
                self._names.store_for(each.actor, each.event.store_id)
            if isinstance(each.event, OrderCompletedEvent):
                return self._completed(each)
            return self._released(each)
        except InsufficientStock as error:
            if self._may_free_due and expiry.has_due(error.levels):
                raise DueHolds(error.levels) from error
            return self._refused(each, error)
        except DomainError as error:
            return self._refused(each, error)

    # --- release and sell --------------------------------------------------------------------------------------------

    def _released(self, each: Received) -> Outcome:
        request = request_of(each)
        assert isinstance(request, ReleaseRequest)  # noqa: S101 - for the type checker
        kind = Kind.PAYMENT_EXPIRED if isinstance(each.event, PaymentExpiredEvent) else Kind.CANCELLED
        self._notes.add(each.event.subject, kind, request.actor.store_codes, request.reason)
        try:
            return self._changing(lambda: self._release(request))
        except ReservationNotFound:
            return Outcome(result=Result.REMEMBERED, detail="Nothing is held for the order: if it comes, it won't be.")

    def _completed(self, each: Received) -> Outcome:
        request = request_of(each)
        assert isinstance(request, ConsumeRequest)  # noqa: S101 - for the type checker
        try:
            return self._changing(lambda: self._consume(request))
        except ReservationNotFound:
            self._notes.add(each.event.subject, Kind.COMPLETED, request.actor.store_codes)
            return Outcome(result=Result.REMEMBERED, detail="Nothing is held for the order yet: it is sold when it is.")

    def _changing(self, work: Callable[[], Sequence[Hold]]) -> Outcome:
        """The outcome of a decision that returns holds: unchanged if it has written nothing."""
        before = len(self._entries)
        holds = work()
        result = Result.APPLIED if len(self._entries) > before else Result.UNCHANGED
        return Outcome(result=result, reservation_ids=tuple(hold.public_id for hold in holds))

    # --- create ------------------------------------------------------------------------------------------------------

    def _created(self, each: Received, event: OrderCreatedEvent) -> Outcome:
        plan = self._plans[each.key]
        store = plan.store.code if isinstance(plan, Plan) else None
        cancelled = self._notes.find(event.order_id, store, Kind.CANCELLED, Kind.PAYMENT_EXPIRED)
        if isinstance(plan, DomainError):
            if cancelled is None:
                raise plan
            return Outcome(result=Result.UNCHANGED, detail="The order was cancelled before.")
        if self._notes.find(event.order_id, store, Kind.CREATED) is not None:
            return self._as_it_is(plan, "The order was created before.")
        if cancelled is not None:
            self._notes.add(event.order_id, Kind.CREATED, [plan.store.code])
            return self._give_up(plan, cancelled)
        if any(hold.status == Status.CONSUMED for hold in self._of_order(plan)):
            self._notes.add(event.order_id, Kind.CREATED, [plan.store.code])
            return self._as_it_is(plan, "The order was sold before.")
        completed = self._notes.find(event.order_id, store, Kind.COMPLETED)
        hold = self._hold(plan)
        self._notes.add(event.order_id, Kind.CREATED, [plan.store.code])
        if completed is not None:
            self._sell(hold, ConsumeRequest(plan.actor, event.order_id, Selector(reservation_id=hold.id)))
        return Outcome(result=Result.APPLIED, reservation_ids=(hold.public_id,))

    def _of_order(self, plan: Plan) -> list[Hold]:
        """The order's reservations in the store, the oldest first."""
        found = [h for h in self._holds.values() if h.order_id == plan.event.order_id and h.store_id == plan.store.id]
        return sorted(found, key=lambda hold: (hold.created_at, hold.id))

    def _as_it_is(self, plan: Plan, detail: str) -> Outcome:
        ids = tuple(hold.public_id for hold in self._of_order(plan))
        return Outcome(result=Result.UNCHANGED, detail=detail, reservation_ids=ids)

    def _give_up(self, plan: Plan, reason: str) -> Outcome:
        """Release the holds that the order would have adopted, as if it had been created before it was cancelled."""
        found = self._adoptable(plan)
        for hold in found:
            if hold.is_due(self._now):
                self._expire(hold, plan.actor)
                continue
            for item in hold.items:
                self._ledger.reserve(item.level_id, -item.quantity)
            ended = documents.ended(hold, Status.RELEASED, now=self._now, reason=reason, order_id=plan.event.order_id)
            self._end(ended, released_entry(plan.actor, ended), expiry.released_event(ended))
        result = Result.APPLIED if found else Result.UNCHANGED
        ids = tuple(hold.public_id for hold in found)
        return Outcome(result=result, detail="The order was cancelled before.", reservation_ids=ids)

    def _adoptable(self, plan: Plan) -> list[Hold]:
        """The active holds that become the order's, due ones included, the oldest first."""
        found = [
            hold
            for hold in self._holds.values()
            if hold.status == Status.ACTIVE
            and plan.may_adopt(store_id=hold.store_id, cart_id=hold.cart_id, order_id=hold.order_id)
        ]
        return sorted(found, key=lambda hold: (hold.created_at, hold.id))

    def _hold(self, plan: Plan) -> Hold:
        """Make the order's holds equal to its lines. Errors are raised before the first change."""
        old = self._adoptable(plan)
        live = [hold for hold in old if hold.is_active(self._now)]
        try:
            items = self._choose(plan, live)
        except DomainError:
            if plan.asked and live:  # What the cart keeps was left out of its shopper's allowance.
                self._allowances.take(replace(plan.asked, wanted=self._lines_of(live)), opens=False)
            raise
        for hold in old:
            if hold.is_due(self._now):
                self._expire(hold, plan.actor)
        return self._adopt(plan, live, items) if live else self._make(plan, items)

    def _lines_of(self, holds: Sequence[Hold]) -> list[SummedLine]:
        """The lines of holds, as limits count them, without products that no order of the batch names."""
        return [
            SummedLine("", product, None, item.quantity, None)
            for hold in holds
            for item in hold.items
            if (product := self._names.products.get(item.stock_id))
        ]

    def _choose(self, plan: Plan, live: Sequence[Hold]) -> list[HeldItem]:
        own = [item for hold in live for item in hold.items]
        kept, growth = basket_items.keep(plan.wanted, own, plan.store)
        sourcing.require_all_sellable(growth, plan.store)
        if plan.asked and growth:
            self._allowances.require(plan.asked, growing={want.product.id for want in growth}, opens=not live)
        freed = [(item.level_id, item.quantity) for item in own]
        sellable = self._levels.sellable([*freed, *((item.level_id, -item.quantity) for item in kept)])
        try:
            grown = sourcing.choose_items(growth, plan.store, self._names, sellable)
        except InsufficientStock as error:
            raise basket_items.as_asked(error, plan.wanted, growth) from error
        if plan.asked:
            self._allowances.take(plan.asked, opens=not live)
        return basket_items.summed(kept, grown)

    def _make(self, plan: Plan, items: Sequence[HeldItem]) -> Hold:
        event = plan.event
        hold = Hold(
            id=plan.id,
            store_id=plan.store.id,
            store=plan.store.code,
            status=str(Status.ACTIVE),
            cart_id=event.cart_id,
            order_id=event.order_id,
            customer_id=event.customer_id,
            created_at=self._now,
            expires_at=self._now + plan.lifetime,
            client_id=plan.actor.client_id,
            items=tuple(items),
        )
        for item in items:
            self._ledger.reserve(item.level_id, item.quantity)
        self._holds[hold.id] = hold
        self._made.append(hold)
        self._entries.append(created_entry(plan.actor, hold))
        self._events.append(reserved_event(hold))
        return hold

    def _adopt(self, plan: Plan, live: Sequence[Hold], items: Sequence[HeldItem]) -> Hold:
        """Merge the holds into the oldest, which gets the order's items."""
        oldest = live[0]
        hold = replace(
            oldest,
            items=tuple(items),
            order_id=plan.event.order_id,
            customer_id=plan.event.customer_id or oldest.customer_id,
            expires_at=max(oldest.expires_at, self._now + plan.lifetime),
        )
        for item in oldest.items:
            self._ledger.reserve(item.level_id, -item.quantity)
        request = ReleaseRequest(plan.actor, Selector(), f"{MERGED_INTO} {hold.public_id}")
        for other in live[1:]:
            self._give_back(other, request)
        for item in items:
            self._ledger.reserve(item.level_id, item.quantity)
        self._before.setdefault(hold.id, oldest)
        self._holds[hold.id] = self._changed[hold.id] = hold
        changes = {
            "items": [[item.facts() for item in oldest.items], [item.facts() for item in hold.items]],
            "orderId": [oldest.order_id, hold.order_id],
            "expiresAt": [oldest.expires_at, hold.expires_at],
            "merged": [other.public_id for other in live[1:]],
        }
        self._entries.append(Entry(plan.actor, actions.RESERVATION_CHANGED, hold.id, changes, store=hold.store))
        event = reserved_event(hold)
        self._events.append(replace(event, about=tuple(dict.fromkeys((*event.about, *oldest.level_ids)))))
        return hold

    # --- refuse, write -----------------------------------------------------------------------------------------------

    def _refused(self, each: Received, error: DomainError) -> Outcome:
        if isinstance(each.event, OrderCreatedEvent | OrderCompletedEvent):
            self._events.append(self._failed_event(each, each.event, error))
            RESERVATION_FAILED.add_after_commit(1, error.code)
        return memory.refusal(error)

    def _failed_event(self, each: Received, event: OrderEvent, error: DomainError) -> OutboxRow:
        cart_id = event.cart_id if isinstance(event, OrderCreatedEvent) else None
        try:
            store = self._names.store_for(each.actor, event.store_id).code
        except UnknownStore:
            store = event.store_id or ""
        return refusals.failed_event(event.order_id, cart_id, store, error, each.event_id)

    def write_with(self, decided: Sequence[tuple[Received, Outcome]]) -> datetime:
        """Write all decisions, the received events and the notes of orders. Returns the time."""
        fresh = {hold.id for hold in self._made} | self._changed.keys()
        with one_statement():
            self._ledger.write(self._now, self._events)
            documents.close([hold for hold in self._ended if hold.id not in fresh], now=self._now)
            documents.insert(self._made)
            rewriting.rewrite([(self._before[hold.id], hold) for hold in self._changed.values()])
            record(self._entries, now=self._now)
            self._notes.write(self._now)
            memory.remember(decided, now=self._now)
        with one_statement():  # The parts of a statement don't see the rows that other parts write.
            documents.close([hold for hold in self._ended if hold.id in fresh], now=self._now)
        return self._now
