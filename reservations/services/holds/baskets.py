"""Put and empty baskets: one step makes a cart's hold equal to its basket (docs/explanation/rules.md, rule 10).

Additional units are held and surplus units are given back; the units that the cart holds already count as available to
it. All active holds of the cart in the store are merged into the oldest one, which keeps its ``expires_at``: changing a
basket never resets the clock.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from uuid import UUID

from django.db import connection
from django.db.models import BooleanField, ExpressionWrapper, Q
from django.db.models.functions import Now
from msgspec.structs import replace

from audit import idempotency
from audit.db.statements import one_statement
from audit.errors import DomainError, raise_refusal
from audit.events import OutboxRow
from audit.idempotency import StoredAnswer
from audit.recording import Entry, record
from inventory import transactions
from inventory.errors import InsufficientStock
from inventory.locking import LockedLevels, lock_levels
from inventory.services.catalogue.lookup import StoreFacts, read_catalogue
from inventory.services.stock.ledger import Ledger
from reservations import actions
from reservations.models import Reservation
from reservations.services.holds import counting, documents, expiry, limits, sourcing
from reservations.services.holds.counting import CART_EMPTIED, MERGED_INTO
from reservations.services.holds.documents import HeldItem, Hold, Status
from reservations.services.holds.placing import (
    HoldOutcome,
    HoldRequest,
    PlacedHold,
    created_entry,
    hold_lifetime,
    reserved_event,
)
from reservations.services.holds.resolution import ReleaseRequest, Resolved, released_entry, resolve_claimed
from reservations.services.holds.sourcing import SummedLine


@dataclass(frozen=True, slots=True)
class Emptied:
    """A cart that holds nothing in a store (a code)."""

    cart_id: str
    store: str


def put_basket(request: HoldRequest) -> PlacedHold | Emptied | StoredAnswer:
    """Make the cart's hold in the store equal to the request's lines; without lines, release it. Requires ``cart_id``.

    ``timeout_minutes`` is used only if the cart holds nothing yet. Limits are checked only for products whose units
    increase. Raises the errors of ``place_hold``; the old hold is unchanged then. Locks: claim, the cart, its customer
    if a limit is set, its reservations by id, all their levels and the candidate levels by id.
    """
    put = partial(expiry.with_due_holds_freed, _put, [request])
    outcome: PlacedHold | Emptied | StoredAnswer = raise_refusal(counting.with_refusals_counted(put, 1)[0])
    return outcome


def empty_basket(request: ReleaseRequest) -> Resolved | StoredAnswer:
    """Release all holds of a cart. Raises the errors of ``release_hold``. Locks: claim, the cart, then its locks."""

    def work() -> Resolved | StoredAnswer:
        verdict = idempotency.claim_all([request.claim])[0]
        if verdict is None:
            _lock_cart(str(request.selector.cart_id))
        outcome: Resolved | StoredAnswer = raise_refusal(verdict or resolve_claimed([request])[0])
        return outcome

    return transactions.run(work)


def _put(requests: Sequence[HoldRequest]) -> list[HoldOutcome | Emptied]:
    """The inner service of ``put_basket``, for a batch of one; requires an open transaction."""
    (request,) = requests
    verdict = idempotency.claim_all([request.claim])[0]
    if verdict is not None:
        return [verdict]
    try:
        return [_replace(request)]
    except DomainError as error:
        return [error]


def _lock_cart(cart_id: str) -> None:
    """Take the cart's advisory lock, so that concurrent requests for one cart run one after the other."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [limits.cart_lock(cart_id)])


def _replace(request: HoldRequest) -> PlacedHold | Emptied:
    _lock_cart(str(request.cart_id))
    stock_ids = {line.variant_id or line.product_id for line in request.lines}
    catalogue = read_catalogue([(request.actor, request.store)], stock_ids)
    request.actor.require_all_warehouses()  # Units may come from any of the store's warehouses.
    store = catalogue.store_for(request.actor, request.store)
    lifetime = hold_lifetime(request.timeout_minutes, store)
    wanted = sourcing.resolve_lines(request.lines, store, catalogue)
    ids, customer_id = _find_active(str(request.cart_id), store)
    shopper = limits.Shopper(store.id, request.customer_id or customer_id, request.cart_id, None)
    asked = limits.asked(shopper, store, wanted)
    allowances = limits.lock_allowances([asked] if asked else [], without=ids)
    old = _lock_active(ids)
    levels = lock_levels(
        set(sourcing.candidate_levels(wanted, store, catalogue).values())
        | {item.level_id for hold in old for item in hold.items}
    )
    live = [hold for hold in old if hold.is_active(levels.now)]
    kept, growth = keep(wanted, [item for hold in live for item in hold.items], store)
    sourcing.require_all_sellable(growth, store)
    if asked and growth:
        allowances.require(asked, growing={want.product.id for want in growth}, opens=not live)
    own = [(item.level_id, item.quantity) for hold in live for item in hold.items]
    sellable = levels.sellable([*own, *((item.level_id, -item.quantity) for item in kept)])
    try:
        grown = sourcing.choose_items(growth, store, catalogue, sellable)
    except InsufficientStock as error:
        raise as_asked(error, wanted, growth) from error
    basket = _Basket(request, levels, live, due=[hold for hold in old if hold.is_due(levels.now)])
    return basket.write(summed(kept, grown), store, lifetime)


def _find_active(cart_id: str, store: StoreFacts) -> tuple[list[UUID], str | None]:
    """The ids of the cart's ACTIVE reservations in the store, and the customer of the oldest one that isn't due."""
    found = Reservation.objects.filter(cart_id=cart_id, store=store.id, status=Status.ACTIVE)
    is_live = ExpressionWrapper(Q(expires_at__gt=Now()), output_field=BooleanField())
    rows = list(found.order_by("created_at", "id").values_list("id", "customer_id", is_live))
    return [id_ for id_, *_ in rows], next((customer_id for _, customer_id, live in rows if live), None)


def _lock_active(ids: Sequence[UUID]) -> list[Hold]:
    """Lock these reservations and return the ACTIVE ones, the oldest first."""
    holds = documents.lock_holds(ids).values()
    return sorted((h for h in holds if h.status == Status.ACTIVE), key=lambda hold: (hold.created_at, hold.id))


def keep(
    wanted: Sequence[SummedLine], own: Sequence[HeldItem], store: StoreFacts
) -> tuple[list[HeldItem], list[SummedLine]]:
    """Match the wanted lines with the cart's own items. Returns the items to keep and the lines to hold in addition.

    Lines that name a warehouse are matched first; the others keep the items in the store's preferred warehouses.
    """
    rank = {source.id: index for index, source in enumerate(store.sources)}
    left = {item.level_id: item for item in summed([], own)}
    kept: list[HeldItem] = []
    growth: list[SummedLine] = []
    for want in sorted(wanted, key=lambda w: w.source is None):
        missing = want.quantity
        for item in sorted(left.values(), key=lambda i: rank.get(i.warehouse_id, len(rank))):
            fits = want.source is None or want.source.id == item.warehouse_id
            if missing and fits and item.stock_id == want.product.id:
                taken = min(missing, item.quantity)
                missing -= taken
                kept.append(replace(item, quantity=taken, unit_price=want.unit_price, pinned=want.source is not None))
                left[item.level_id] = replace(item, quantity=item.quantity - taken)
        if missing:
            growth.append(replace(want, quantity=missing))
    return kept, growth


def as_asked(error: InsufficientStock, wanted: Sequence[SummedLine], growth: Sequence[SummedLine]) -> InsufficientStock:
    """The error with the units that the cart keeps added: they are requested and available, too."""
    own = {want.pointer: want.quantity for want in wanted}
    for want in growth:
        own[want.pointer] -= want.quantity
    shortages = [
        replace(short, requested=short.requested + own[short.pointer], available=short.available + own[short.pointer])
        for short in error.shortages
    ]
    return InsufficientStock(shortages, levels=error.levels)


def summed(first: Iterable[HeldItem], second: Iterable[HeldItem]) -> list[HeldItem]:
    """Merge items of the same level into one."""
    items: dict[UUID, HeldItem] = {}
    for item in (*first, *second):
        items[item.level_id] = sourcing.merged(items.get(item.level_id), item)
    return [item for item in items.values() if item.quantity]


@dataclass(frozen=True, slots=True)
class _Basket:
    """A cart's locked holds, about to be merged into one."""

    request: HoldRequest
    levels: LockedLevels
    live: Sequence[Hold]
    due: Sequence[Hold]

    def write(self, items: Sequence[HeldItem], store: StoreFacts, lifetime: timedelta) -> PlacedHold | Emptied:
        """Write the basket as the oldest live hold, or as a new one, and end the others; all of them if it is empty."""
        if not items:
            return self._write_empty(store)
        now = self.levels.now
        hold = self._target(items, store, lifetime)
        ledger = Ledger(self.levels)
        merged = [
            documents.ended(other, Status.RELEASED, now=now, reason=f"{MERGED_INTO} {hold.public_id}")
            for other in self.live[1:]
        ]
        self._give_back(ledger)
        for item in items:
            ledger.reserve(item.level_id, item.quantity)
        expired = expiry.expire(self.due, ledger, now)
        held = PlacedHold(hold, now, is_new=not self.live)
        actor = self.request.actor
        events = [*map(expiry.released_event, (*expired, *merged)), self._event(hold)]
        with one_statement():
            documents.close([*merged, *expired], now=now)
            ledger.write(now, events)
            if self.live:
                documents.rewrite([hold])
            else:
                documents.insert([hold])
            record(
                [
                    *(expiry.expired_entry(ended, actor) for ended in expired),
                    *(released_entry(actor, ended) for ended in merged),
                    self._entry(hold),
                ],
                now=now,
            )
            idempotency.store_all([(self.request.claim, held)], now=now)
        return held

    def _write_empty(self, store: StoreFacts) -> Emptied:
        now, actor = self.levels.now, self.request.actor
        ledger = Ledger(self.levels)
        self._give_back(ledger)
        expired = expiry.expire(self.due, ledger, now)
        released = [documents.ended(hold, Status.RELEASED, now=now, reason=CART_EMPTIED) for hold in self.live]
        emptied = Emptied(str(self.request.cart_id), store.code)
        with one_statement():
            documents.close([*released, *expired], now=now)
            ledger.write(now, [expiry.released_event(ended) for ended in (*expired, *released)])
            entries = [expiry.expired_entry(ended, actor) for ended in expired]
            record([*entries, *(released_entry(actor, ended) for ended in released)], now=now)
            idempotency.store_all([(self.request.claim, emptied)], now=now)
        return emptied

    def _give_back(self, ledger: Ledger) -> None:
        for item in (item for hold in self.live for item in hold.items):
            ledger.reserve(item.level_id, -item.quantity)

    def _target(self, items: Sequence[HeldItem], store: StoreFacts, lifetime: timedelta) -> Hold:
        request = self.request
        if self.live:
            oldest = self.live[0]
            return replace(oldest, items=tuple(items), customer_id=request.customer_id or oldest.customer_id)
        now = self.levels.now
        return Hold(
            id=request.id,
            store_id=store.id,
            store=store.code,
            status=str(Status.ACTIVE),
            cart_id=request.cart_id,
            order_id=None,
            customer_id=request.customer_id,
            created_at=now,
            expires_at=now + lifetime,
            client_id=request.actor.client_id,
            items=tuple(items),
        )

    def _event(self, hold: Hold) -> OutboxRow:
        """The event of the basket, which is also about the levels that it no longer holds."""
        event = reserved_event(hold)
        before = (level_id for old in self.live[:1] for level_id in old.level_ids)
        return replace(event, about=tuple(dict.fromkeys((*event.about, *before))))

    def _entry(self, hold: Hold) -> Entry:
        if not self.live:
            return created_entry(self.request.actor, hold)
        changes = {
            "items": [[item.facts() for item in self.live[0].items], [item.facts() for item in hold.items]],
            "merged": [other.public_id for other in self.live[1:]],
        }
        return Entry(self.request.actor, actions.RESERVATION_CHANGED, hold.id, changes, store=hold.store)
