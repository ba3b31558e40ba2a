"""Decide baskets under the locks of their carts, holds and levels, and write the decisions of a batch at once."""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec
from msgspec.structs import replace

from audit import idempotency
from audit.actors import Actor
from audit.db.statements import one_statement
from audit.errors import DomainError
from audit.events import OutboxRow
from audit.idempotency import Claim
from audit.publishing import traced
from audit.recording import Entry, record
from inventory.errors import InsufficientStock
from inventory.locking import LockedLevels
from inventory.services.catalogue.lookup import Catalogue
from inventory.services.stock.ledger import Ledger
from reservations import actions
from reservations.services.holds import basket_items, documents, expiry, limits, rewriting, sourcing
from reservations.services.holds.counting import CART_EMPTIED, MERGED_INTO
from reservations.services.holds.documents import HeldItem, Hold, Status
from reservations.services.holds.placing import PlacedHold, Prepared, created_entry, reserved_event
from reservations.services.holds.resolution import released_entry
from reservations.services.holds.sourcing import SummedLine


class Emptied(msgspec.Struct, frozen=True, gc=False):
    """A cart that holds nothing in a store (a code)."""

    cart_id: str
    store: str


def cart_of(plan: Prepared) -> str:
    """The cart whose basket it is."""
    return str(plan.request.cart_id)


class _Held(msgspec.Struct, frozen=True, gc=False):
    """What a cart holds in the store of its basket: its ACTIVE holds, the oldest first."""

    live: list[Hold]
    due: list[Hold]

    @property
    def items(self) -> list[HeldItem]:
        """The items of the live holds."""
        return [item for hold in self.live for item in hold.items]

    @property
    def ids(self) -> list[UUID]:
        """The ids of all holds."""
        return [hold.id for hold in (*self.live, *self.due)]


class BasketBatch:
    """Locked holds and levels of a batch of baskets, each of another cart, with the decisions made so far and the rows
    to write for them."""

    def __init__(
        self, holds: Iterable[Hold], levels: LockedLevels, catalogue: Catalogue, allowances: limits.Allowances
    ) -> None:
        self._levels = levels
        self._catalogue = catalogue
        self._allowances = allowances
        self._now = levels.now
        self._ledger = Ledger(levels)
        self._holds: dict[tuple[str | None, UUID], list[Hold]] = {}
        for hold in sorted(holds, key=lambda hold: (hold.created_at, hold.id)):
            self._holds.setdefault((hold.cart_id, hold.store_id), []).append(hold)
        self._ended: list[Hold] = []
        self._made: list[Hold] = []
        self._changed: list[rewriting.Change] = []
        self._entries: list[Entry] = []
        self._events: list[OutboxRow] = []
        self._results: list[tuple[Claim | None, Any]] = []

    def decide(self, plan: Prepared) -> PlacedHold | Emptied | DomainError:
        """Decide one basket, given the decisions before it. A refused one changes nothing."""
        found = self._holds.get((cart_of(plan), plan.store.id), [])
        held = _Held(
            [hold for hold in found if hold.is_active(self._now)], [hold for hold in found if hold.is_due(self._now)]
        )
        try:
            items = self._choose(plan, held)
        except DomainError as error:
            return error
        entries, events = len(self._entries), len(self._events)
        self._move(held, items)
        outcome = self._put(plan, held, items) if items else self._empty(plan, held)
        if len(self._entries) > entries:
            self._results.append((plan.request.claim, outcome))
        self._events[events:] = traced(self._events[events:], plan.request.actor)
        return outcome

    def write(self) -> None:
        """Write all decisions, and the stored answers of the requests that changed something."""
        with one_statement():
            documents.close(self._ended, now=self._now)
            self._ledger.write(self._now, self._events)
            rewriting.rewrite(self._changed)
            documents.insert(self._made)
            record(self._entries, now=self._now)
            idempotency.store_all(self._results, now=self._now)

    def _choose(self, plan: Prepared, held: _Held) -> list[HeldItem]:
        """The items of the basket. Raises its refusal; counts what it holds for its shopper's later requests."""
        kept, growth = basket_items.keep(plan.wanted, held.items, plan.store)
        grown: list[HeldItem] = []
        if growth:
            sourcing.require_all_sellable(growth, plan.store)
            if plan.asked:
                growing = {want.product.id for want in growth}
                self._allowances.require(plan.asked, growing=growing, opens=not held.live, replaces=held.ids)
            grown = self._grow(plan, held, kept, growth)
        items = basket_items.summed(kept, grown)
        self._take(plan, held, items)
        return items

    def _take(self, plan: Prepared, held: _Held, items: Sequence[HeldItem]) -> None:
        """Count what the basket holds for its shopper, instead of what the cart held."""
        oldest = held.live[0] if held.live and items else None
        self._allowances.replace(held.ids, moved=oldest.id if oldest else None)
        if plan.asked:
            window = timedelta(minutes=plan.store.hold_window_minutes or 0)
            is_recent = oldest is None or oldest.created_at > self._now - window
            self._allowances.take(plan.asked, opens=bool(items) and is_recent)

    def _grow(
        self, plan: Prepared, held: _Held, kept: Sequence[HeldItem], growth: Sequence[SummedLine]
    ) -> list[HeldItem]:
        given_back = [(item.level_id, item.quantity) for item in held.items]
        given_back += ((item.level_id, -item.quantity) for item in kept)
        candidates = sourcing.candidate_levels(growth, plan.store, self._catalogue).values()
        sellable = self._levels.sellable(given_back, of=candidates)
        try:
            return sourcing.choose_items(growth, plan.store, self._catalogue, sellable)
        except InsufficientStock as error:
            raise basket_items.as_asked(error, plan.wanted, growth) from error

    def _move(self, held: _Held, items: Sequence[HeldItem]) -> None:
        """Change the levels' counters by the basket. A level of which it holds as much as before is left alone:
        otherwise its version would count this basket, too, once another basket of the batch changes the level."""
        moves = [(item.level_id, -item.quantity) for item in held.items]
        moves += ((item.level_id, item.quantity) for item in items)
        moves += ((item.level_id, -item.quantity) for hold in held.due for item in hold.items)
        sums: dict[UUID, int] = {}
        for level_id, quantity in moves:
            sums[level_id] = sums.get(level_id, 0) + quantity
        for level_id, quantity in moves:
            if sums[level_id]:
                self._ledger.reserve(level_id, quantity)

    def _put(self, plan: Prepared, held: _Held, items: Sequence[HeldItem]) -> PlacedHold:
        """Make the basket the oldest live hold, or a new one, and end the others."""
        actor, now = plan.request.actor, self._now
        hold = self._target(plan, held, items)
        merged = [
            documents.ended(other, Status.RELEASED, now=now, reason=f"{MERGED_INTO} {hold.public_id}")
            for other in held.live[1:]
        ]
        self._end(held.due, merged, actor)
        event = reserved_event(hold)
        if held.live:
            oldest = held.live[0]
            self._changed.append((oldest, hold))
            self._entries.append(_changed_entry(actor, held, hold))
            event = replace(event, about=tuple(dict.fromkeys((*event.about, *oldest.level_ids))))
        else:
            self._made.append(hold)
            self._entries.append(created_entry(actor, hold))
        self._events.append(event)
        return PlacedHold(hold, now, is_new=not held.live)

    def _empty(self, plan: Prepared, held: _Held) -> Emptied:
        released = [documents.ended(hold, Status.RELEASED, now=self._now, reason=CART_EMPTIED) for hold in held.live]
        self._end(held.due, released, plan.request.actor)
        return Emptied(cart_of(plan), plan.store.code)

    def _end(self, due: Sequence[Hold], released: Sequence[Hold], actor: Actor) -> None:
        """Note holds as ended. Their units are given back already."""
        expired = [documents.ended(hold, Status.EXPIRED, now=self._now, reason=expiry.REASON) for hold in due]
        self._ended += [*released, *expired]
        self._entries += [expiry.expired_entry(ended, actor) for ended in expired]
        self._entries += [released_entry(actor, ended) for ended in released]
        self._events += map(expiry.released_event, (*expired, *released))

    def _target(self, plan: Prepared, held: _Held, items: Sequence[HeldItem]) -> Hold:
        request, now = plan.request, self._now
        if held.live:
            oldest = held.live[0]
            return replace(oldest, items=tuple(items), customer_id=request.customer_id or oldest.customer_id)
        return Hold(
            id=request.id,
            store_id=plan.store.id,
            store=plan.store.code,
            status=str(Status.ACTIVE),
            cart_id=request.cart_id,
            order_id=None,
            customer_id=request.customer_id,
            created_at=now,
            expires_at=now + plan.lifetime,
            client_id=request.actor.client_id,
            items=tuple(items),
        )


def _changed_entry(actor: Actor, held: _Held, hold: Hold) -> Entry:
    """The audit entry of a cart's hold whose items a basket replaced."""
    changes = {
        "items": [[item.facts() for item in held.live[0].items], [item.facts() for item in hold.items]],
        "merged": [other.public_id for other in held.live[1:]],
    }
    return Entry(actor, actions.RESERVATION_CHANGED, hold.id, changes, store=hold.store)
