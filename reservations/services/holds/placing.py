"""Place holds."""

import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any, TypeVar
from uuid import UUID

import msgspec
from django.conf import settings
from uuid_utils.compat import uuid7

from audit import idempotency
from audit.actors import Actor
from audit.db.statements import one_statement
from audit.errors import DomainError, raise_refusal
from audit.events import OutboxRow
from audit.idempotency import Claim, StoredAnswer
from audit.publishing import traced
from audit.recording import Entry, record
from inventory.errors import InsufficientStock
from inventory.locking import LockedLevels, lock_levels, lock_sellable_levels
from inventory.services.catalogue.lookup import Catalogue, StoreFacts, read_catalogue, recall_catalogue
from inventory.services.stock import known_levels
from inventory.services.stock.ledger import Ledger
from inventory.transactions import PATIENT, Patience
from reservations import actions
from reservations.errors import (
    HoldLimitExceeded,
    OrderAlreadyHeld,
    TimeoutTooLong,
)
from reservations.events import InventoryReservedEvent
from reservations.services.availability import availability
from reservations.services.holds import counting, documents, due, limits, sourcing, turns
from reservations.services.holds.documents import Hold, Status
from reservations.services.holds.orders_held import HeldOrders, Order, Question
from reservations.services.holds.recalling import CatalogueChanged, with_cached_catalogue
from reservations.services.holds.sourcing import RequestLine, SummedLine


class HoldRequest(msgspec.Struct, frozen=True, gc=False):
    """One request to hold stock, with its own actor and claim. ``id`` is made before the first try
    (docs/explanation/rules.md, rule 25).

    ``store`` is a code; None means the actor's only store, or else the default store. ``timeout_minutes`` None means
    the store's hold time. Unless it is ``additional``, it is refused if its order has an active hold in the store.
    """

    actor: Actor
    lines: tuple[RequestLine, ...]
    store: str | None = None
    cart_id: str | None = None
    order_id: str | None = None
    customer_id: str | None = None
    timeout_minutes: int | None = None
    claim: Claim | None = None
    additional: bool = False
    id: UUID = msgspec.field(default_factory=uuid7)


class PlacedHold(msgspec.Struct, frozen=True, gc=False):
    """A hold after a command, and the database's time at which the command was decided."""

    hold: Hold
    now: datetime
    is_new: bool = True


HoldOutcome = PlacedHold | StoredAnswer | DomainError
R = TypeVar("R", bound=Any)


class Prepared(msgspec.Struct, frozen=True, gc=False):
    """A request whose names are resolved, and that is refused only for stock, a limit or its order."""

    request: HoldRequest
    store: StoreFacts
    lifetime: timedelta
    wanted: list[SummedLine]
    asked: limits.Asked | None
    """The request to check against limits, if any limit is set."""

    @property
    def order(self) -> Order | None:
        """The order that the request is for."""
        return None if self.request.order_id is None else Order(self.store.id, self.request.order_id)


def place_holds(requests: Sequence[HoldRequest], patience: Patience = PATIENT) -> list[HoldOutcome]:
    """Decide each request on its own, in order, all in one transaction. An outcome is a PlacedHold, the stored answer
    of a replay, or an error.

    A refused request writes nothing. Errors among the outcomes: InsufficientStock with the sellable units,
    UnknownStore, UnknownProduct, UnknownWarehouse, WarehouseNotInStore, ProductInactive, ListingExpired,
    WarehouseInactive, ProductFrozen, WarehouseFrozen, StoreFrozen, OrderAlreadyHeld, HoldLimitExceeded, Invalid,
    TimeoutTooLong, IdempotencyKeyReused, IdempotencyInProgress. Raises Busy for the batch as a whole.

    Locks: claims (never waiting), the orders, and the shoppers if a limit is set (``limits.lock_allowances``), then all
    candidate levels of the batch, once, by id.
    """
    decide = partial(with_cached_catalogue, hold_all, requests, patience)
    return counting.with_refusals_counted(decide, requests, patience)


def place_hold(request: HoldRequest) -> PlacedHold | StoredAnswer:
    """Place one hold. Raises the errors that ``place_holds`` returns, and Busy."""
    held: PlacedHold | StoredAnswer = raise_refusal(place_holds([request])[0])
    return held


def hold_all(requests: Sequence[HoldRequest], *, may_recall: bool = True) -> list[HoldOutcome]:
    """The inner service of ``place_holds``; requires an open transaction. Due holds still count as reserved here.

    With ``may_recall`` the catalogue may come from the cache. Raises CatalogueChanged, with nothing written, if the
    cached catalogue turns out to be out of date.
    """
    turns.await_turn(requests, requests[0].lines)
    verdicts = idempotency.claim_all([request.claim for request in requests])
    open_requests = [request for request, verdict in zip(requests, verdicts, strict=True) if verdict is None]
    prepared, catalogue, is_recalled = prepare_all(open_requests, may_recall=may_recall)
    plans = {id_: plan for id_, plan in prepared.items() if isinstance(plan, Prepared)}
    outcomes: dict[UUID, HoldOutcome] = {}
    if plans:
        candidates: set[UUID] = set()
        for plan in plans.values():
            candidates.update(sourcing.candidate_levels(plan.wanted, plan.store, catalogue).values())
        orders = [plan.order for plan in plans.values() if plan.order and not plan.request.additional]
        allowances = limits.lock_allowances([plan.asked for plan in plans.values() if plan.asked], orders=orders)
        question = Question(orders) if orders else None
        began = time.monotonic()
        levels = lock_sellable_levels(candidates) if is_recalled and candidates else lock_levels(candidates)
        turns.note_wait(time.monotonic() - began)
        if levels is None:
            raise CatalogueChanged
        ledger = Ledger(levels)
        held = question.answer() if question else HeldOrders()
        for id_, plan in plans.items():
            outcomes[id_] = _decide(plan, catalogue, levels, ledger, allowances, held=held)
        _write(open_requests, outcomes, ledger, levels.now)
        _remember_short(outcomes.values(), levels, ledger)
    outcomes |= {id_: plan for id_, plan in prepared.items() if isinstance(plan, DomainError)}
    return [verdict or outcomes[request.id] for request, verdict in zip(requests, verdicts, strict=True)]


def _remember_short(outcomes: Iterable[HoldOutcome], levels: LockedLevels, ledger: Ledger) -> None:
    """Remember the levels of refused requests, each until its first hold ends (``sold_out``). Requires their locks.

    Levels that this transaction changed are left out: it may be rolled back. This also reads which levels have due
    holds, and reduces the levels of each error to those.
    """
    seconds = known_levels.lasts_seconds()
    short = [outcome for outcome in outcomes if isinstance(outcome, InsufficientStock)]
    considered = {level_id for error in short for level_id in error.levels if level_id in levels.by_id}
    if not seconds or not considered:
        return
    known_levels.note_short({each.variant_id or each.product_id for error in short for each in error.shortages})
    if known_levels.recall(considered) is not None:
        return
    now, sellable = time.monotonic(), levels.sellable()
    ends = due.first_ends(considered, within_seconds=seconds)
    known = {level_id: now + ends.get(level_id, seconds) for level_id in considered if not ledger.has_changed(level_id)}
    known_levels.remember({level_id: sellable[level_id] for level_id in known}, known)
    due_now = {level_id for level_id, end in ends.items() if end <= 0}
    for error in short:
        error.levels &= due_now


def prepare_all(
    requests: Sequence[HoldRequest], *, may_recall: bool, requires_sellable: bool = True
) -> tuple[dict[UUID, "Prepared | DomainError"], Catalogue, bool]:
    """Resolve the names in the requests. Returns the prepared requests or errors, the catalogue they were resolved
    with, and whether it is the cached one. The cached one is used only if it causes no error, and all lines may be
    sold. Without ``requires_sellable`` they needn't be: a cart keeps what it holds."""
    if may_recall and (catalogue := recall_catalogue(*names_in(requests))):
        prepared = {request.id: prepare(request, catalogue) for request in requests}
        if all(isinstance(plan, Prepared) for plan in prepared.values()):
            return prepared, catalogue, True
    catalogue = _catalogue(requests)
    anew = {request.id: prepare(request, catalogue, requires_sellable=requires_sellable) for request in requests}
    return anew, catalogue, False


def plan_hold(request: HoldRequest) -> PlacedHold:
    """Compute the hold that ``place_hold`` would make now, without locks or writes: a dry run.

    Due holds count as free. Raises the errors of ``place_hold`` except Busy and the errors of claims.
    """
    catalogue = _catalogue([request])
    plan = raise_refusal(prepare(request, catalogue))
    if plan.asked:
        limits.read_allowances([plan.asked]).require(plan.asked)
    candidates = sourcing.candidate_levels(plan.wanted, plan.store, catalogue).values()
    now, sellable = availability.read_sellable(candidates)
    if plan.order and not request.additional:
        Question([plan.order]).answer().require_none(plan.order, now)
    return PlacedHold(_new_hold(plan, catalogue, sellable, now), now)


def plan_holds(requests: Sequence[HoldRequest]) -> list[PlacedHold]:
    """``plan_hold`` for each of these requests, by itself. Raises its errors."""
    return [plan_hold(request) for request in requests]


def _catalogue(requests: Sequence[HoldRequest]) -> Catalogue:
    return read_catalogue(*names_in(requests))


def names_in(requests: Sequence[HoldRequest]) -> tuple[list[tuple[Actor, str | None]], set[UUID]]:
    """The stores and products that the requests name, as ``read_catalogue`` expects them."""
    return (
        [(request.actor, request.store) for request in requests],
        {line.variant_id or line.product_id for request in requests for line in request.lines},
    )


def prepare(request: HoldRequest, catalogue: Catalogue, *, requires_sellable: bool = True) -> Prepared | DomainError:
    """Resolve the names in a request. Returns an error if it must be refused whatever the stock.

    Sends a query only for a warehouse that the store doesn't sell from."""
    try:
        request.actor.require_all_warehouses()  # Units may come from any of the store's warehouses.
        store = catalogue.store_for(request.actor, request.store)
        lifetime = hold_lifetime(request.timeout_minutes, store)
        wanted = sourcing.resolve_lines(request.lines, store, catalogue)
        if requires_sellable:
            sourcing.require_all_sellable(wanted, store)
    except DomainError as error:
        return error
    shopper = limits.Shopper(store.id, request.customer_id, request.cart_id, request.order_id)
    return Prepared(request, store, lifetime, wanted, limits.asked(shopper, store, wanted))


def hold_lifetime(timeout_minutes: int | None, store: StoreFacts) -> timedelta:
    """The lifetime of a new hold. Raises TimeoutTooLong above the maximum instead of clamping."""
    minutes = timeout_minutes or store.ttl_minutes or settings.RESERVATION_TTL_MINUTES
    if minutes > settings.RESERVATION_MAX_TTL_MINUTES:
        detail = f"A reservation lasts at most {settings.RESERVATION_MAX_TTL_MINUTES} minutes."
        raise TimeoutTooLong.at("/timeoutMinutes", detail)
    return timedelta(minutes=minutes)


def _decide(
    plan: Prepared,
    catalogue: Catalogue,
    levels: LockedLevels,
    ledger: Ledger,
    allowances: limits.Allowances,
    *,
    held: HeldOrders,
) -> HoldOutcome:
    order = plan.order
    try:
        if order and not plan.request.additional:
            held.require_none(order, levels.now)
        if plan.asked:
            allowances.require(plan.asked)
        hold = _new_hold(plan, catalogue, levels.sellable_now, levels.now)
    except (InsufficientStock, HoldLimitExceeded, OrderAlreadyHeld) as error:
        return error
    if order:
        held.note(order, hold)
    if plan.asked:
        allowances.take(plan.asked)
    for item in hold.items:
        ledger.reserve(item.level_id, item.quantity)
    return PlacedHold(hold, levels.now)


def _new_hold(plan: Prepared, catalogue: Catalogue, sellable: Mapping[UUID, int], now: datetime) -> Hold:
    request = plan.request
    return Hold(
        id=request.id,
        store_id=plan.store.id,
        store=plan.store.code,
        status=str(Status.ACTIVE),
        cart_id=request.cart_id,
        order_id=request.order_id,
        customer_id=request.customer_id,
        created_at=now,
        expires_at=now + plan.lifetime,
        client_id=request.actor.client_id,
        items=tuple(sourcing.choose_items(plan.wanted, plan.store, catalogue, sellable)),
    )


def _write(
    requests: Sequence[HoldRequest], outcomes: Mapping[UUID, HoldOutcome], ledger: Ledger, now: datetime
) -> None:
    """Write the accepted holds; the number of statements doesn't depend on the number of holds."""
    made = [(request, held) for request in requests if isinstance(held := outcomes.get(request.id), PlacedHold)]
    if not made:
        return
    events = [event for request, held in made for event in traced([reserved_event(held.hold)], request.actor)]
    with one_statement():
        ledger.write(now, events)
        documents.insert([held.hold for _, held in made])
        record([created_entry(request.actor, held.hold) for request, held in made], now=now)
        idempotency.store_all(((request.claim, held) for request, held in made), now=now)


def created_entry(actor: Actor, hold: Hold) -> Entry:
    """The audit entry of a new hold."""
    changes = {
        "cartId": hold.cart_id,
        "orderId": hold.order_id,
        "expiresAt": hold.expires_at,
        "items": [item.facts() for item in hold.items],
    }
    return Entry(actor, actions.RESERVATION_CREATED, hold.id, changes, store=hold.store)


def reserved_event(hold: Hold) -> OutboxRow:
    """The event of a hold that was made, or whose items a basket replaced."""
    return InventoryReservedEvent(**hold.facts(), expires_at=hold.expires_at).row(hold.level_ids)
