"""Commands that place, extend and expire holds."""

from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import hypothesis.strategies as st
from hypothesis.stateful import (
    precondition,
    rule,
)
from msgspec.structs import replace

from audit.idempotency import Claim, StoredAnswer, fingerprint
from inventory.errors import (
    InsufficientStock,
)
from inventory.models import Movement
from inventory.services.bookkeeping import archiving
from reservations.errors import (
    AlreadyExtended,
    OrderAlreadyHeld,
    ReservationConsumed,
    ReservationExpired,
    ReservationNotFound,
    ReservationReleased,
)
from reservations.models import BrokenHold
from reservations.services.bookkeeping.archiving import every_series
from reservations.services.holds import documents
from reservations.services.holds.baskets import Emptied, put_basket
from reservations.services.holds.expiry import expire_due_holds
from reservations.services.holds.extending import Extended, ExtendRequest, extend_hold
from reservations.services.holds.placing import HoldRequest, PlacedHold, place_hold, place_holds
from reservations.services.holds.selecting import Selector
from reservations.services.holds.sourcing import RequestLine
from tests.archives import archived_rows, let_days_pass
from tests.factories import ACTOR, make_due
from tests.properties.house import BECOMES, STORES, House, carts, orders, outcome_of, picks, stores, wanted_lines
from tests.properties.model import ModelHold


class HoldRules(House):
    """Holds and baskets, and the time that passes."""

    @rule(store=stores, cart=carts, order=st.none() | orders, lines=wanted_lines, additional=st.booleans())
    def hold(
        self, store: str, cart: str, order: str | None, lines: list[tuple[int, int, int | None]], additional: bool
    ) -> None:
        """Reserve: for an order that has an active hold in the store, only what is additional."""
        request = replace(self.request(store, cart, lines, order), additional=additional)
        held = [id_ for id_ in self.model.of_order(order or "", "ACTIVE") if self.model.holds[id_].store == store]
        is_possible = self.fits(request)
        expected = PlacedHold if is_possible else InsufficientStock
        if held and not additional:
            expected, is_possible = OrderAlreadyHeld, False
        outcome = outcome_of(lambda: place_hold(request))
        assert isinstance(outcome, expected), outcome
        if isinstance(outcome, OrderAlreadyHeld):
            assert {fault.facts["reservationId"] for fault in outcome.faults} == {f"res-{id_}" for id_ in held}
        self.learn(made={request.id} if is_possible else set())
        self.assert_serves(outcome, request)

    @rule(store=stores, cart=carts, batch=st.lists(wanted_lines, min_size=2, max_size=5))
    def hold_many(self, store: str, cart: str, batch: list[list[tuple[int, int, int | None]]]) -> None:
        requests = [self.request(store, cart, lines) for lines in batch]
        outcomes = place_holds(requests)
        self.learn(made={outcome.hold.id for outcome in outcomes if isinstance(outcome, PlacedHold)})
        for request, outcome in zip(requests, outcomes, strict=True):
            assert isinstance(outcome, PlacedHold | InsufficientStock), outcome
            self.assert_serves(outcome, request)
            if isinstance(outcome, InsufficientStock):
                assert not self.fits(request), "what was refused would fit even beside the others"

    @rule(store=stores, cart=carts, lines=wanted_lines)
    def hold_twice_with_one_key(self, store: str, cart: str, lines: list[tuple[int, int, int | None]]) -> None:
        claim = Claim(uuid4(), "key", fingerprint("POST", "/", b""), lambda held: StoredAnswer(201, held.hold.id.bytes))
        first, second = (replace(self.request(store, cart, lines), claim=claim) for _ in range(2))
        outcome = outcome_of(lambda: place_hold(first))
        self.learn(made={first.id} if isinstance(outcome, PlacedHold) else set())
        again = outcome_of(lambda: place_hold(second))
        if isinstance(outcome, PlacedHold):
            assert again == StoredAnswer(201, first.id.bytes)
        else:
            assert isinstance(again, InsufficientStock)
        self.learn()

    def request(
        self, store: str, cart: str, lines: list[tuple[int, int, int | None]], order: str | None = None
    ) -> HoldRequest:
        pinned = STORES[store]
        asked = tuple(
            RequestLine(self.products[product], None, units, None if place is None else pinned[place])
            for product, units, place in lines
        )
        return HoldRequest(actor=ACTOR, lines=asked, store=store, cart_id=cart, order_id=order)

    def fits(self, request: HoldRequest, own: dict[UUID, int] | None = None) -> bool:
        """Whether all lines can be held; ``own`` are the units that the cart holds already."""
        sources = STORES[request.store or "main"]
        for product, id_ in enumerate(self.products):
            left = {}
            for code in sources:
                level = self.levels.get((product, code))
                left[code] = self.model.sellable(level) + (own or {}).get(level, 0) if level else 0
            sourced = 0
            for line in request.lines:
                if line.product_id == id_ and line.warehouse:
                    left[line.warehouse] -= line.quantity
                elif line.product_id == id_:
                    sourced += line.quantity
            if min(left.values()) < 0 or sum(left.values()) < sourced:
                return False
        return True

    def assert_serves(self, outcome: Any, request: HoldRequest) -> None:
        """Check that the items sum up to the request, in the store's warehouses, with pinned lines in theirs."""
        if not isinstance(outcome, PlacedHold):
            return
        asked: Counter[UUID] = Counter()
        pinned: Counter[tuple[UUID, str]] = Counter()
        for line in request.lines:
            asked[line.product_id] += line.quantity
            if line.warehouse:
                pinned[line.product_id, line.warehouse] += line.quantity
        held: Counter[UUID] = Counter()
        where: Counter[tuple[UUID, str]] = Counter()
        for item in outcome.hold.items:
            held[item.product_id] += item.quantity
            where[item.product_id, item.warehouse] += item.quantity
        assert held == asked
        assert all(where[place] >= units for place, units in pinned.items())
        assert {code for _, code in where} <= set(STORES[request.store or "main"])

    @rule(pick=picks)
    @precondition(lambda self: self.model.holds)
    def extend(self, pick: int) -> None:
        id_, hold = self.pick(pick)
        outcome = outcome_of(lambda: extend_hold(ExtendRequest(ACTOR, Selector(id_), 5)))
        expected = {
            "ACTIVE": AlreadyExtended if hold.is_extended else Extended,
            "DUE": ReservationExpired,
            "EXPIRED": ReservationExpired,
            "CONSUMED": ReservationConsumed,
            "RELEASED": ReservationReleased,
        }[hold.state]
        assert isinstance(outcome, expected), outcome
        hold.is_extended |= isinstance(outcome, Extended)
        self.learn()

    @rule(cart=carts, order=orders, is_by_order=st.booleans())
    def extend_all(self, cart: str, order: str, is_by_order: bool) -> None:
        """Extend what a cart or an order holds: all active holds or none, each at most once."""
        of_name = (self.model.of_order, order) if is_by_order else (self.model.of_cart, cart)
        found = of_name[0](of_name[1], *BECOMES)
        active = of_name[0](of_name[1], "ACTIVE")
        before = documents.read_holds(found)
        selector = Selector(order_id=order) if is_by_order else Selector(cart_id=cart)
        outcome = outcome_of(lambda: extend_hold(ExtendRequest(ACTOR, selector, 5)))
        if not found:
            expected: type = ReservationNotFound
        elif not active:
            newest = max(found, key=lambda id_: (before[id_].created_at, id_))
            state = self.model.holds[newest].state
            expected = {"CONSUMED": ReservationConsumed, "RELEASED": ReservationReleased}.get(state, ReservationExpired)
        else:
            is_again = any(self.model.holds[id_].is_extended for id_ in active)
            expected = AlreadyExtended if is_again else Extended
        assert isinstance(outcome, expected), outcome
        extended = active if isinstance(outcome, Extended) else []
        for id_, hold in documents.read_holds(found).items():
            longer = timedelta(minutes=5) if id_ in extended else timedelta()
            assert hold.expires_at == before[id_].expires_at + longer
            self.model.holds[id_].is_extended |= id_ in extended
        self.learn()

    def pick(self, number: int) -> tuple[UUID, ModelHold]:
        """Pick a hold, most often the newest."""
        ids = list(self.model.holds)[::-1]
        id_ = ids[number % len(ids)]
        return id_, self.model.holds[id_]

    @rule(pick=picks)
    @precondition(lambda self: any(hold.state == "ACTIVE" for hold in self.model.holds.values()))
    def let_time_pass(self, pick: int) -> None:
        ids = [id_ for id_, hold in self.model.holds.items() if hold.state == "ACTIVE"]
        id_ = ids[pick % len(ids)]
        make_due(id_)
        self.model.holds[id_].state = "DUE"

    @rule()
    def sweep(self) -> None:
        due = [id_ for id_, hold in self.model.holds.items() if hold.state == "DUE"]
        assert expire_due_holds(batch_size=2) == len(due)
        self.learn()
        assert all(self.model.holds[id_].state == "EXPIRED" for id_ in due)

    @rule()
    def let_a_year_pass(self) -> None:
        """Make all holds due and archive history, except for reservations of open incidents."""
        let_days_pass(400)
        for hold in self.model.holds.values():
            hold.state = "DUE" if hold.state == "ACTIVE" else hold.state
        kept = set(BrokenHold.objects.filter(incident__status="OPEN").values_list("reservation", flat=True))
        moved = set(Movement.objects.values_list("id", flat=True))
        folder = Path(self.folder.name)
        for series in every_series():
            gone = sum(file.deleted for file in archiving.archive(series, folder=folder))
            assert archiving.count(series) == 0
            assert gone >= (len(moved) if series.kind == "MOVEMENTS" else 0)
        assert not Movement.objects.exists()
        assert moved <= {UUID(row["id"]) for row in archived_rows("movements", folder)}
        self.model.holds = {id_: h for id_, h in self.model.holds.items() if h.is_standing or id_ in kept}
        self.learn()

    @rule(store=stores, cart=carts, lines=wanted_lines | st.just([]))
    def put_a_basket(self, store: str, cart: str, lines: list[tuple[int, int, int | None]]) -> None:
        request = self.request(store, cart, lines)
        mine = documents.read_holds(self.model.of_cart(cart, "ACTIVE"))
        old = sorted((h for h in mine.values() if h.store == store), key=lambda h: (h.created_at, h.id))
        own: Counter[UUID] = Counter()
        for hold in old:
            own.update(self.model.holds[hold.id].items)
        is_possible = self.fits(request, dict(own))
        outcome = outcome_of(lambda: put_basket(request))
        if not lines:
            assert outcome == Emptied(cart, store)
            self.learn()
            assert all(self.model.holds[hold.id].state == "RELEASED" for hold in old)
            return
        assert isinstance(outcome, PlacedHold if is_possible else InsufficientStock), outcome
        if not is_possible:
            self.learn()
            assert all(self.model.holds[hold.id].state == "ACTIVE" for hold in old)
            return
        self.learn(made=set() if old else {request.id}, rewritten={old[0].id} if old else set())
        assert outcome.is_new is not bool(old)
        assert outcome.hold.id == (old[0].id if old else request.id)
        assert not old or outcome.hold.expires_at == old[0].expires_at
        assert all(self.model.holds[hold.id].state == "RELEASED" for hold in old[1:])
        self.assert_serves(outcome, request)
