"""Make holds, and extend them."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any, TypeVar
from uuid import UUID

import msgspec
from django.conf import settings
from msgspec.structs import replace
from uuid_utils.compat import uuid7

from audit import idempotency
from audit.actors import Actor
from audit.db.statements import one_statement
from audit.errors import DomainError
from audit.events import OutboxRow
from audit.idempotency import Claim, StoredAnswer
from audit.publishing import publish
from audit.recording import Entry, record
from inventory import transactions
from inventory.errors import InsufficientStock
from inventory.locking import LockedLevels, lock_levels, lock_sellable_levels, read_clock
from inventory.services.catalogue.lookup import Catalogue, StoreFacts, read_catalogue, recall_catalogue
from inventory.services.stock.ledger import Ledger
from inventory.transactions import PATIENT, Patience
from reservations import actions
from reservations.errors import (
    AlreadyExtended,
    HoldLimitExceeded,
    ReservationConsumed,
    ReservationExpired,
    ReservationNotFound,
    ReservationReleased,
    TimeoutTooLong,
)
from reservations.events import InventoryExtendedEvent, InventoryReservedEvent
from reservations.services.availability import availability
from reservations.services.holds import documents, expiry, limits, sourcing
from reservations.services.holds.documents import Hold, Status
from reservations.services.holds.sourcing import RequestLine, SummedLine


class HoldRequest(msgspec.Struct, frozen=True, gc=False):
    """One request to hold stock, with its own actor and claim. ``id`` is made before the first try
    (docs/explanation/rules.md, rule 25).

    ``store`` is a code, or None for the actor's only store, else the default; ``timeout_minutes`` None means the
    store's.
    """

    actor: Actor
    lines: tuple[RequestLine, ...]
    store: str | None = None
    cart_id: str | None = None
    order_id: str | None = None
    customer_id: str | None = None
    timeout_minutes: int | None = None
    claim: Claim | None = None
    id: UUID = msgspec.field(default_factory=uuid7)


class PlacedHold(msgspec.Struct, frozen=True, gc=False):
    """A hold as it is after a command, and the database's clock when that was decided."""

    hold: Hold
    now: datetime
    is_new: bool = True


HoldOutcome = PlacedHold | StoredAnswer | DomainError
R = TypeVar("R", bound=Any)


class _Prepared(msgspec.Struct, frozen=True, gc=False):
    request: HoldRequest
    store: StoreFacts
    lifetime: timedelta
    wanted: list[SummedLine]
    asked: limits.Asked | None
    """What is to be checked against limits, if one is set."""


def place_holds(requests: Sequence[HoldRequest], patience: Patience = PATIENT) -> list[HoldOutcome]:
    """Decide each request on its own, in order, all in one transaction: a PlacedHold, the stored answer, or why not.

    A refused request writes nothing. Errors among the outcomes: InsufficientStock with what was sellable,
    UnknownStore, UnknownProduct, UnknownWarehouse, WarehouseNotInStore, ProductInactive, ListingExpired,
    WarehouseInactive, ProductFrozen, WarehouseFrozen, StoreFrozen, HoldLimitExceeded, Invalid, TimeoutTooLong,
    IdempotencyKeyReused, IdempotencyInProgress. Raises Busy for the batch as a whole.

    Locks: claims (never waiting), where a limit is set the shoppers (``limits.lock_allowances``), then all the levels
    that may serve the batch, once, by id.
    """
    reading = partial(hold_all, may_recall=False)
    try:
        return expiry.with_due_holds_freed(hold_all, requests, patience, again=reading)
    except _CatalogueChanged:
        return expiry.with_due_holds_freed(reading, requests, patience)


def place_hold(request: HoldRequest) -> PlacedHold | StoredAnswer:
    """A batch of one. Raises what ``place_holds`` returns as an error."""
    held: PlacedHold | StoredAnswer = raise_refusal(place_holds([request])[0])
    return held


def raise_refusal(outcome: Any) -> Any:
    """The outcome of a batch of one, raised if it is an error."""
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


def hold_all(requests: Sequence[HoldRequest], *, may_recall: bool = True) -> list[HoldOutcome]:
    """The inner service of ``place_holds``; requires an open transaction. Due holds still count as reserved here.

    Raises _CatalogueChanged, with nothing written, if what was recalled of the catalogue no longer holds.
    """
    verdicts = idempotency.claim_all([request.claim for request in requests])
    open_requests = [request for request, verdict in zip(requests, verdicts, strict=True) if verdict is None]
    prepared, catalogue, is_recalled = _prepare_all(open_requests, may_recall=may_recall)
    plans = {id_: plan for id_, plan in prepared.items() if isinstance(plan, _Prepared)}
    outcomes: dict[UUID, HoldOutcome] = {}
    if plans:
        candidates: set[UUID] = set()
        for plan in plans.values():
            candidates.update(sourcing.candidate_levels(plan.wanted, plan.store, catalogue).values())
        allowances = limits.lock_allowances([plan.asked for plan in plans.values() if plan.asked])
        levels = lock_sellable_levels(candidates) if is_recalled and candidates else lock_levels(candidates)
        if levels is None:
            raise _CatalogueChanged
        ledger = Ledger(levels)
        for id_, plan in plans.items():
            outcomes[id_] = _decide(plan, catalogue, levels, ledger, allowances)
        _write(open_requests, outcomes, ledger, levels.now)
    outcomes |= {id_: plan for id_, plan in prepared.items() if isinstance(plan, DomainError)}
    return [verdict or outcomes[request.id] for request, verdict in zip(requests, verdicts, strict=True)]


class _CatalogueChanged(Exception):
    """What a batch recalled of the catalogue no longer holds."""


def _prepare_all(
    requests: Sequence[HoldRequest], *, may_recall: bool
) -> tuple[dict[UUID, "_Prepared | DomainError"], Catalogue, bool]:
    """The requests with their names resolved, by the catalogue that is returned, and whether that is a recalled one:
    only if it refuses nothing."""
    if may_recall and (catalogue := recall_catalogue(*_names(requests))):
        prepared = {request.id: _prepare(request, catalogue) for request in requests}
        if all(isinstance(plan, _Prepared) for plan in prepared.values()):
            return prepared, catalogue, True
    catalogue = _catalogue(requests)
    return {request.id: _prepare(request, catalogue) for request in requests}, catalogue, False


def plan_hold(request: HoldRequest) -> PlacedHold:
    """What ``place_hold`` would do now: the same decision on the same figures, nothing locked, nothing written.

    Due holds count as free. Raises what ``place_hold`` raises, but Busy and the errors of claims.
    """
    catalogue = _catalogue([request])
    plan = raise_refusal(_prepare(request, catalogue))
    if plan.asked:
        limits.read_allowances([plan.asked]).require(plan.asked)
    candidates = sourcing.candidate_levels(plan.wanted, plan.store, catalogue).values()
    now, sellable = availability.read_sellable(candidates)
    return PlacedHold(_new_hold(plan, catalogue, sellable, now), now)


def _catalogue(requests: Sequence[HoldRequest]) -> Catalogue:
    return read_catalogue(*_names(requests))


def _names(requests: Sequence[HoldRequest]) -> tuple[list[tuple[Actor, str | None]], set[UUID]]:
    """What requests call their stores and products."""
    return (
        [(request.actor, request.store) for request in requests],
        {line.variant_id or line.product_id for request in requests for line in request.lines},
    )


def _prepare(request: HoldRequest, catalogue: Catalogue) -> _Prepared | DomainError:
    """The request with its names resolved, or why it can't be met whatever the stock."""
    try:
        request.actor.require_all_warehouses()  # Units are taken wherever the store sells from.
        store = catalogue.store_for(request.actor, request.store)
        lifetime = hold_lifetime(request.timeout_minutes, store)
        wanted = sourcing.resolve_lines(request.lines, store, catalogue)
        sourcing.require_all_sellable(wanted, store)
    except DomainError as error:
        return error
    shopper = limits.Shopper(store.id, request.customer_id, request.cart_id, request.order_id)
    return _Prepared(request, store, lifetime, wanted, limits.asked(shopper, store, wanted))


def hold_lifetime(timeout_minutes: int | None, store: StoreFacts) -> timedelta:
    """How long a new hold lives. Raises TimeoutTooLong, never clamps."""
    minutes = timeout_minutes or store.ttl_minutes or settings.RESERVATION_TTL_MINUTES
    if minutes > settings.RESERVATION_MAX_TTL_MINUTES:
        detail = f"A hold lives at most {settings.RESERVATION_MAX_TTL_MINUTES} minutes."
        raise TimeoutTooLong.at("/timeoutMinutes", detail)
    return timedelta(minutes=minutes)


def _decide(
    plan: _Prepared, catalogue: Catalogue, levels: LockedLevels, ledger: Ledger, allowances: limits.Allowances
) -> HoldOutcome:
    try:
        if plan.asked:
            allowances.require(plan.asked)
        hold = _new_hold(plan, catalogue, levels.sellable(), levels.now)
    except (InsufficientStock, HoldLimitExceeded) as error:
        return error
    if plan.asked:
        allowances.take(plan.asked)
    for item in hold.items:
        ledger.reserve(item.level_id, item.quantity)
    return PlacedHold(hold, levels.now)


def _new_hold(plan: _Prepared, catalogue: Catalogue, sellable: Mapping[UUID, int], now: datetime) -> Hold:
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
    """Write what was accepted: the number of statements doesn't depend on how much that is."""
    made = [(request, held) for request in requests if isinstance(held := outcomes.get(request.id), PlacedHold)]
    if not made:
        return
    with one_statement():
        ledger.write(now)
        documents.insert([held.hold for _, held in made])
        record([created_entry(request.actor, held.hold) for request, held in made], now=now)
        publish([reserved_event(held.hold) for _, held in made], now=now)
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
    """What a hold holds from now on; told when it is made and when its basket changes."""
    return InventoryReservedEvent(**hold.facts(), expires_at=hold.expires_at).row()


class ExtendRequest(msgspec.Struct, frozen=True, gc=False):
    """One request to give a hold more time, once."""

    actor: Actor
    reservation_id: UUID
    minutes: int
    claim: Claim | None = None


def extend_hold(request: ExtendRequest) -> PlacedHold | StoredAnswer:
    """Move ``expires_at`` by ``minutes`` from where it was.

    Raises ReservationNotFound, ReservationExpired (also for a due one: docs/explanation/rules.md, rule 3),
    ReservationConsumed, ReservationReleased, AlreadyExtended, IdempotencyKeyReused, IdempotencyInProgress, Busy. Locks
    the reservation.
    """
    held: PlacedHold | StoredAnswer = raise_refusal(extend_holds([request])[0])
    return held


def extend_holds(requests: Sequence[ExtendRequest]) -> list[HoldOutcome]:
    """``extend_hold`` for many requests, each decided on its own, in order, in one transaction. Raises Busy."""
    return transactions.run(partial(_extend_all, requests))


def _extend_all(requests: Sequence[ExtendRequest]) -> list[HoldOutcome]:
    verdicts = idempotency.claim_all([request.claim for request in requests])
    open_requests = [request for request, verdict in zip(requests, verdicts, strict=True) if verdict is None]
    known = documents.lock_holds({request.reservation_id for request in open_requests})
    now = read_clock()
    decided: list[HoldOutcome] = []
    entries: list[Entry] = []
    for request in open_requests:
        try:
            before = visible(known.get(request.reservation_id), request.actor)
            extended = _extended(before, request.minutes, now)
        except DomainError as error:
            decided.append(error)
            continue
        known[before.id] = extended
        changes = {"expiresAt": [before.expires_at, extended.expires_at]}
        entries.append(Entry(request.actor, actions.RESERVATION_EXTENDED, before.id, changes, store=before.store))
        decided.append(PlacedHold(extended, now, is_new=False))
    _write_extended(open_requests, decided, entries, now)
    outcomes = iter(decided)
    return [verdict or next(outcomes) for verdict in verdicts]


def _extended(hold: Hold, minutes: int, now: datetime) -> Hold:
    require_active(hold, now)
    if hold.extended_at is not None:
        raise AlreadyExtended(f"{hold.public_id} was extended before, and a hold is extended once.")
    return replace(hold, expires_at=hold.expires_at + timedelta(minutes=minutes), extended_at=now)


def _write_extended(
    requests: Sequence[ExtendRequest], outcomes: Sequence[HoldOutcome], entries: Sequence[Entry], now: datetime
) -> None:
    made = [(request, held) for request, held in zip(requests, outcomes, strict=True) if isinstance(held, PlacedHold)]
    if not made:
        return
    extended = [held.hold for _, held in made]
    with one_statement():
        documents.extend(extended)
        record(entries, now=now)
        publish([_extended_event(hold) for hold in extended], now=now)
        idempotency.store_all(((request.claim, held) for request, held in made), now=now)


def _extended_event(hold: Hold) -> OutboxRow:
    return InventoryExtendedEvent(**hold.facts(), expires_at=hold.expires_at).row()


def visible(hold: Hold | None, actor: Actor) -> Hold:
    """The hold, if there is one in the actor's reach. Raises ReservationNotFound."""
    if hold is None or not hold.is_within_reach_of(actor):
        raise ReservationNotFound("There is no such reservation.")
    return hold


def require_active(hold: Hold, now: datetime) -> None:
    """Raise ReservationConsumed, ReservationReleased or ReservationExpired for a hold that holds nothing any more."""
    if hold.status == Status.CONSUMED:
        raise ReservationConsumed(f"{hold.public_id} was consumed for order {hold.order_id}.")
    if hold.status == Status.RELEASED:
        raise ReservationReleased(f"{hold.public_id} was released.")
    if not hold.is_active(now):
        raise ReservationExpired(f"{hold.public_id} expired at {hold.expires_at:%Y-%m-%dT%H:%M:%SZ}.")
