"""All commands in any order: the books balance after each step, and every answer matches a simple model."""

import os
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final
from uuid import UUID, uuid4

import hypothesis.strategies as st
import pytest
from django.db import transaction
from hypothesis import HealthCheck, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from msgspec.structs import replace

from audit.errors import DomainError, Invalid
from audit.idempotency import Claim, StoredAnswer, fingerprint
from inventory.errors import (
    AlreadyInCount,
    CountBelowZero,
    InsufficientStock,
    MoreThanInTransit,
    TransferAlreadySent,
    TransferClosed,
    TransferNotSent,
    UnknownProduct,
)
from inventory.holds_port import Preference
from inventory.models import Movement, StockLevel, Transfer, Warehouse
from inventory.services.bookkeeping import archiving
from inventory.services.counts.documents import ProductRef
from inventory.services.counts.entering import (
    CancelCountRequest,
    Counted,
    EnteredCount,
    EnterRequest,
    cancel_count,
    enter_counts,
)
from inventory.services.counts.opening import Opened, OpenRequest, open_count
from inventory.services.counts.posting import Posted, PostRequest, post_count
from inventory.services.stock.adjustments import Adjusted, Adjustment, AdjustRequest, apply_adjustments
from inventory.services.transfers.commands import (
    Arrived,
    CancelTransferRequest,
    MoveLine,
    ReceiveRequest,
    SendRequest,
    TransferRequest,
    cancel_transfer,
    draft_transfer,
    receive_transfer,
    send_transfer,
    start_transfer,
)
from inventory.services.transfers.moves import Transferred
from reservations.errors import (
    AlreadyExtended,
    OrderAlreadyHeld,
    ReservationConsumed,
    ReservationExpired,
    ReservationNotFound,
    ReservationReleased,
    ReservedForAnotherOrder,
)
from reservations.models import BrokenHold, Reservation
from reservations.services.bookkeeping.archiving import every_series
from reservations.services.bookkeeping.reconciliation import reconcile
from reservations.services.holds import documents
from reservations.services.holds.baskets import Emptied, empty_basket, put_basket
from reservations.services.holds.expiry import expire_due_holds
from reservations.services.holds.extending import Extended, ExtendRequest, extend_hold
from reservations.services.holds.placing import HoldRequest, PlacedHold, place_hold, place_holds
from reservations.services.holds.resolution import ConsumeRequest, ReleaseRequest, Resolved, consume_hold, release_hold
from reservations.services.holds.selecting import Selector
from reservations.services.holds.sourcing import RequestLine
from tests.archives import archived_rows, let_days_pass
from tests.books import assert_books_balance
from tests.factories import ACTOR, make_due, make_product, make_store, make_warehouse
from tests.properties.model import Model, ModelHold, ModelTransfer
from tests.replica import Replica

PRODUCTS: Final = 3
STORES: Final = {"main": ("wh-001", "wh-002"), "outlet": ("wh-003", "wh-002")}
WAREHOUSES: Final = ("wh-001", "wh-002", "wh-003")
_BECOMES: Final = {
    "ACTIVE": {"ACTIVE", "CONSUMED", "RELEASED"},
    "DUE": {"DUE", "EXPIRED"},
    "CONSUMED": {"CONSUMED"},
    "RELEASED": {"RELEASED"},
    "EXPIRED": {"EXPIRED"},
}

products = st.integers(0, PRODUCTS - 1)
quantities = st.integers(1, 9)
carts = st.sampled_from(["cart-1", "cart-2"])
orders = st.sampled_from(["order-1", "order-2"])
stores = st.sampled_from(["main", "main", "outlet"])
picks = st.integers(0, 5)
wanted_lines = st.lists(st.tuples(products, quantities, st.sampled_from([None, None, 0, 1])), min_size=1, max_size=4)
routes = st.permutations(WAREHOUSES).map(lambda codes: (codes[0], codes[1]))
moved_lines = st.lists(st.tuples(products, quantities), min_size=1, max_size=3)
arrived_lines = st.lists(st.tuples(products, st.integers(0, 9)), min_size=1, max_size=3)
changes = st.lists(
    st.tuples(
        products,
        st.sampled_from(WAREHOUSES),
        st.sampled_from(["RECEIPT", "RETURN", "SHIPMENT", "ADJUSTMENT"]),
        st.integers(-9, 9).filter(bool),
    ),
    min_size=1,
    max_size=4,
)


def outcome_of(work: Callable[[], Any]) -> Any:
    """The result of the work, or the domain error that it raises."""
    try:
        return work()
    except DomainError as error:
        return error


class Stock(RuleBasedStateMachine):
    """The service and its model, compared after each step. Each example is rolled back."""

    def __init__(self) -> None:
        super().__init__()
        self.example = transaction.atomic()
        self.example._from_testcase = (
            True  # As in a TestCase, so that the service's durable transactions may run inside.
        )
        self.example.__enter__()
        self.model = Model()
        self.levels: dict[tuple[int, str], UUID] = {}
        self.folder = TemporaryDirectory()
        self.replica = Replica()

    def teardown(self) -> None:
        transaction.set_rollback(True)
        self.example.__exit__(None, None, None)
        self.folder.cleanup()

    @initialize(first=st.lists(st.integers(0, 12), min_size=PRODUCTS * 3, max_size=PRODUCTS * 3))
    def open_the_house(self, first: list[int]) -> None:
        for code, warehouses in STORES.items():
            make_store(code, *warehouses, is_default=code == "main")
        for code in WAREHOUSES:
            make_warehouse(code)
        self.products = [make_product().id for _ in range(PRODUCTS)]
        self.warehouses = dict(Warehouse.objects.values_list("code", "id"))
        places = [(product, code) for product in range(PRODUCTS) for code in WAREHOUSES]
        self.change([(*place, "RECEIPT", units) for place, units in zip(places, first, strict=True) if units])

    # --- stock -------------------------------------------------------------------------------------------------------

    @rule(lines=changes)
    def change(self, lines: list[tuple[int, str, str, int]]) -> None:
        """Receive, ship, return and correct: on hand of a level never falls below the units of its live holds."""
        if not lines:
            return
        lines = [(p, w, kind, n if kind == "ADJUSTMENT" else abs(n)) for p, w, kind, n in lines]
        total: Counter[tuple[int, str]] = Counter()
        for product, warehouse, kind, units in lines:
            total[product, warehouse] += -units if kind == "SHIPMENT" else units
        is_possible = all(change >= -self.free(place) for place, change in total.items())
        adjustments = tuple(Adjustment(self.products[p], None, w, n, kind, "because") for p, w, kind, n in lines)
        outcome = outcome_of(lambda: apply_adjustments(AdjustRequest(actor=ACTOR, adjustments=adjustments)))
        assert isinstance(outcome, Adjusted if is_possible else InsufficientStock), (outcome, total)
        self.learn()
        if is_possible:
            self.model.units += sum(total.values())
            for place, change in total.items():
                if place in self.levels:
                    self.model.on_hand[self.levels[place]] += change

    def free(self, place: tuple[int, str]) -> int:
        level = self.levels.get(place)
        return self.model.sellable(level) if level else 0

    # --- counts ------------------------------------------------------------------------------------------------------

    @rule(
        warehouse=st.sampled_from(WAREHOUSES),
        counted=st.dictionaries(products, st.integers(0, 14), min_size=1),
    )
    def count(self, warehouse: str, counted: dict[int, int]) -> None:
        """Open a count and enter it; other rules may run before it is posted."""
        levels = {self.levels.get((product, warehouse)): units for product, units in counted.items()}
        is_taken = any(level in entered for entered in self.model.counts.values() for level in levels)
        refs = tuple(ProductRef(self.products[product]) for product in counted)
        request = OpenRequest(ACTOR, warehouse, "PRODUCTS", products=refs)
        outcome = outcome_of(lambda: open_count(request))
        expected = UnknownProduct if None in levels else AlreadyInCount if is_taken else Opened
        assert isinstance(outcome, expected), outcome
        if isinstance(outcome, Opened):
            self.model.counts[request.id] = {}
            self.enter(request.id, list(counted.items()))

    @rule(pick=picks, units=st.integers(0, 14))
    @precondition(lambda self: self.model.counts)
    def count_again(self, pick: int, units: int) -> None:
        count_id, entered = self.pick_count(pick)
        products = {level: product for (product, _), level in self.levels.items()}
        self.enter(count_id, [(products[next(iter(entered))], units)])

    def enter(self, count_id: UUID, counted: list[tuple[int, int]]) -> None:
        entries = tuple(EnteredCount(ProductRef(self.products[product]), units) for product, units in counted)
        entered = enter_counts(EnterRequest(ACTOR, count_id, entries))
        assert isinstance(entered, Counted)
        for line, (_, units) in zip(entered.lines, counted, strict=True):
            assert line.expected == self.model.on_hand[line.level_id]
            self.model.counts[count_id][line.level_id] = units - self.model.on_hand[line.level_id]

    def pick_count(self, number: int) -> tuple[UUID, dict[UUID, int]]:
        ids = list(self.model.counts)
        id_ = ids[number % len(ids)]
        return id_, self.model.counts[id_]

    @rule(pick=picks, chosen=st.none() | picks)
    @precondition(lambda self: self.model.counts)
    def post(self, pick: int, chosen: int | None) -> None:
        """Post a count: on hand becomes what was counted, and holds give way if fewer units are left than they hold."""
        count_id, changes = self.pick_count(pick)
        missing = self.model.missing({level: max(n, -self.model.on_hand[level]) for level, n in changes.items()})
        in_the_way = [
            id_ for id_, hold in self.model.holds.items() if hold.state == "ACTIVE" and hold.items.keys() & missing
        ]
        preferred = () if chosen is None or not in_the_way else (in_the_way[chosen % len(in_the_way)],)
        is_possible = all(self.model.on_hand[level] + change >= 0 for level, change in changes.items())
        order = self.newest_first()
        states = {id_: hold.state for id_, hold in self.model.holds.items()}
        outcome = outcome_of(lambda: post_count(PostRequest(ACTOR, count_id, preferred=Preference(preferred))))
        assert isinstance(outcome, Posted if is_possible else CountBelowZero), outcome
        self.learn()
        if not is_possible:
            assert {id_: hold.state for id_, hold in self.model.holds.items()} == states
            cancel_count(CancelCountRequest(ACTOR, count_id))
        else:
            self.model.units += sum(changes.values())
            for level, change in changes.items():
                self.model.on_hand[level] += change
            self.assert_gave_way([hold.id for hold in outcome.broken], missing, states, [*preferred, *order])
        del self.model.counts[count_id]

    @rule(product=products, warehouse=st.sampled_from(WAREHOUSES), units=st.integers(1, 14))
    def force(self, product: int, warehouse: str, units: int) -> None:
        level = self.levels.get((product, warehouse))
        line = Adjustment(self.products[product], None, warehouse, -units, "ADJUSTMENT", "because", force=True)
        missing = self.model.missing({level: -units}) if level else {}
        is_possible = level is not None and self.model.on_hand[level] >= units
        order = self.newest_first()
        states = {id_: hold.state for id_, hold in self.model.holds.items()}
        outcome = outcome_of(lambda: apply_adjustments(AdjustRequest(actor=ACTOR, adjustments=(line,))))
        assert isinstance(outcome, Adjusted if is_possible else InsufficientStock), outcome
        self.learn()
        after = {id_: hold.state for id_, hold in self.model.holds.items()}
        if level is None or not is_possible:
            assert all(
                after[id_] == state or (state, after[id_]) == ("DUE", "EXPIRED") for id_, state in states.items()
            )
            return
        self.model.units -= units
        self.model.on_hand[level] -= units
        broken = [id_ for id_ in order if (states[id_], after[id_]) == ("ACTIVE", "RELEASED")]
        self.assert_gave_way(broken, missing, states, order)

    def newest_first(self) -> list[UUID]:
        read = documents.read_holds(list(self.model.holds))
        return sorted(read, key=lambda id_: (read[id_].created_at, id_), reverse=True)

    def assert_gave_way(
        self, broken: list[UUID], missing: dict[UUID, int], states: dict[UUID, str], order: list[UUID]
    ) -> None:
        """Check that just enough holds gave way, in the right order, and no others."""
        after = {id_: hold.state for id_, hold in self.model.holds.items()}
        assert set(broken) == {id_ for id_, state in states.items() if state == "ACTIVE" != after[id_]}
        lost: Counter[UUID] = Counter()
        for id_ in broken:
            assert any(lost[level] < missing.get(level, 0) for level in self.model.holds[id_].items), "not needed"
            lost.update(self.model.holds[id_].items)
        assert all(lost[level] >= units for level, units in missing.items())
        if len(missing) == 1:
            (level,) = missing
            in_the_way = [i for i in order if states[i] == "ACTIVE" and level in self.model.holds[i].items]
            assert broken == list(dict.fromkeys(in_the_way))[: len(broken)]

    # --- transfers ---------------------------------------------------------------------------------------------------

    @rule(ends=routes, lines=moved_lines, is_draft=st.booleans())
    def transfer(self, ends: tuple[str, str], lines: list[tuple[int, int]], is_draft: bool) -> None:
        """Send a transfer: only units without a live hold may leave, all or nothing."""
        source, target = ends
        wanted = tuple(MoveLine(self.products[product], None, units, source, target) for product, units in lines)
        request = TransferRequest(ACTOR, wanted)
        total: Counter[int] = Counter()
        for product, units in lines:
            total[product] += units
        transfer = ModelTransfer(source, target, dict(total))
        if is_draft:
            assert isinstance(draft_transfer(request), Transferred)
            self.model.transfers[request.id] = transfer
            return
        is_possible = self.may_leave(transfer)
        outcome = outcome_of(lambda: start_transfer(request))
        assert isinstance(outcome, Transferred if is_possible else InsufficientStock), outcome
        self.learn()
        if is_possible:
            self.model.transfers[request.id] = transfer
            self.leave(transfer, outcome)

    def may_leave(self, transfer: ModelTransfer) -> bool:
        return all(self.free((product, transfer.source)) >= units for product, units in transfer.wanted.items())

    def leave(self, transfer: ModelTransfer, outcome: Transferred) -> None:
        for product, units in transfer.wanted.items():
            self.model.on_hand[self.levels[product, transfer.source]] -= units
        transfer.away, transfer.state = dict(transfer.wanted), "IN_TRANSIT"
        for item in outcome.document.items:
            product = self.products.index(item.product_id)
            expected = self.model.on_hand[self.levels[product, transfer.target]]
            assert outcome.expected[item.id] == expected + self.model.incoming(product, transfer.target)

    def pick_transfer(self, number: int) -> tuple[UUID, ModelTransfer]:
        """Pick a transfer, most often the newest."""
        ids = list(self.model.transfers)[::-1]
        id_ = ids[number % len(ids)]
        return id_, self.model.transfers[id_]

    @rule(pick=picks)
    @precondition(lambda self: self.model.transfers)
    def send(self, pick: int) -> None:
        id_, transfer = self.pick_transfer(pick)
        if transfer.state == "PENDING":
            expected: type = Transferred if self.may_leave(transfer) else InsufficientStock
        else:
            expected = TransferAlreadySent if any(transfer.away.values()) else TransferClosed
        outcome = outcome_of(lambda: send_transfer(SendRequest(ACTOR, id_)))
        assert isinstance(outcome, expected), (transfer, outcome)
        self.learn()
        if isinstance(outcome, Transferred):
            self.leave(transfer, outcome)

    @rule(pick=picks, lines=st.none() | arrived_lines, close=st.booleans())
    @precondition(lambda self: self.model.transfers)
    def receive(self, pick: int, lines: list[tuple[int, int]] | None, close: bool) -> None:
        """Receive a transfer: at most what is in transit; closing it writes off the rest."""
        id_, transfer = self.pick_transfer(pick)
        arrived: Counter[int] = Counter()
        for product, units in lines or transfer.away.items():
            arrived[product] += units
        items = lines and tuple(Arrived(self.products[product], None, units) for product, units in lines)
        outcome = outcome_of(lambda: receive_transfer(ReceiveRequest(ACTOR, id_, items or None, close)))
        expected: type = Transferred
        if transfer.state == "PENDING":
            expected = TransferNotSent
        elif not any(transfer.away.values()):
            expected = TransferClosed
        elif any(product not in transfer.away for product in arrived):
            expected = UnknownProduct
        elif any(units > transfer.away[product] for product, units in arrived.items()):
            expected = MoreThanInTransit
        elif not any(arrived.values()) and not close:
            expected = Invalid
        assert isinstance(outcome, expected), (transfer, outcome)
        if isinstance(outcome, Transferred):
            self.arrive(transfer, arrived, close)
            assert outcome.document.status == transfer.state

    def arrive(self, transfer: ModelTransfer, arrived: Counter[int], close: bool) -> None:
        for product, units in arrived.items():
            self.model.on_hand[self.levels[product, transfer.target]] += units
            transfer.away[product] -= units
        transfer.has_arrived |= any(arrived.values())
        if close:
            self.model.units -= sum(transfer.away.values())
            transfer.away = dict.fromkeys(transfer.away, 0)
        transfer.state = "PARTIALLY_RECEIVED" if any(transfer.away.values()) else "RECEIVED"

    @rule(pick=picks)
    @precondition(lambda self: self.model.transfers)
    def cancel(self, pick: int) -> None:
        id_, transfer = self.pick_transfer(pick)
        is_open = transfer.state == "PENDING" or any(transfer.away.values())
        outcome = outcome_of(lambda: cancel_transfer(CancelTransferRequest(ACTOR, id_)))
        assert isinstance(outcome, Transferred if is_open else TransferClosed), (transfer, outcome)
        if is_open:
            for product, units in transfer.away.items():
                self.model.on_hand[self.levels[product, transfer.source]] += units
            transfer.away = dict.fromkeys(transfer.away, 0)
            transfer.state = "RECEIVED" if transfer.has_arrived else "CANCELLED"
            assert outcome.document.status == transfer.state

    # --- holds -------------------------------------------------------------------------------------------------------

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
        found = of_name[0](of_name[1], *_BECOMES)
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

    # --- ends --------------------------------------------------------------------------------------------------------

    @rule(pick=picks)
    @precondition(lambda self: self.model.holds)
    def release(self, pick: int) -> None:
        id_, hold = self.pick(pick)
        before = hold.state
        outcome = outcome_of(lambda: release_hold(ReleaseRequest(ACTOR, Selector(reservation_id=id_))))
        assert isinstance(outcome, ReservationConsumed if before == "CONSUMED" else Resolved), outcome
        self.learn()
        assert hold.state == {"ACTIVE": "RELEASED", "DUE": "EXPIRED"}.get(before, before)

    @rule(cart=carts, is_basket=st.booleans())
    def release_a_cart(self, cart: str, is_basket: bool) -> None:
        standing = self.model.of_cart(cart, "ACTIVE", "DUE")
        states = [hold.state for hold in self.model.holds.values() if hold.cart == cart]
        verb = empty_basket if is_basket else release_hold
        outcome = outcome_of(lambda: verb(ReleaseRequest(ACTOR, Selector(cart_id=cart))))
        if not states:
            expected: type = ReservationNotFound
        else:
            expected = ReservationConsumed if not standing and states[-1] == "CONSUMED" else Resolved
        assert isinstance(outcome, expected), (states, outcome)
        self.learn()
        assert not self.model.of_cart(cart, "ACTIVE", "DUE")

    @rule(pick=picks, order=orders, reacquire=st.booleans())
    @precondition(lambda self: self.model.holds)
    def consume(self, pick: int, order: str, reacquire: bool) -> None:
        id_, hold = self.pick(pick)
        before = hold.state
        successor = self.successor(id_)
        must_fit = all(self.model.sellable(level) >= units for level, units in hold.items.items())
        request = ConsumeRequest(ACTOR, order, Selector(reservation_id=id_), reacquire)
        outcome = outcome_of(lambda: consume_hold(request))
        if before == "CONSUMED":
            expected: tuple[type, ...] = (Resolved if hold.order == order else ReservationConsumed,)
        elif before == "RELEASED":
            expected = (ReservationReleased,)
        elif hold.order not in (None, order):
            expected = (ReservedForAnotherOrder,)
        elif before == "ACTIVE":
            expected = (Resolved,)
        elif successor:
            expected = (Resolved if self.model.holds[successor].order == order else ReservationConsumed,)
        elif not reacquire:
            expected = (ReservationExpired,)
        else:
            expected = (Resolved,) if must_fit else (Resolved, InsufficientStock)
        assert isinstance(outcome, expected), (before, outcome)
        sold = {h.id for h in outcome.holds} - self.model.holds.keys() if isinstance(outcome, Resolved) else set()
        self.learn(made=sold)
        if isinstance(outcome, Resolved):
            assert outcome_of(lambda: consume_hold(request)).holds == outcome.holds
            assert [h.status for h in outcome.holds] == ["CONSUMED"]
            self.learn()

    def successor(self, id_: UUID) -> UUID | None:
        return Reservation.objects.filter(reacquired_from=id_).values_list("id", flat=True).first()

    @rule(cart=carts, order=orders, reacquire=st.booleans(), is_by_order=st.booleans())
    def consume_all(self, cart: str, order: str, reacquire: bool, is_by_order: bool) -> None:
        selector = Selector(order_id=order) if is_by_order else Selector(cart_id=cart)
        found = {
            id_: hold.state
            for id_, hold in self.model.holds.items()
            if (hold.order == order if is_by_order else hold.cart == cart)
        }
        expected = self.expected_of_all(list(found), order, reacquire)
        request = ConsumeRequest(ACTOR, order, selector, reacquire)
        outcome = outcome_of(lambda: consume_hold(request))
        assert isinstance(outcome, expected), (found, outcome)
        is_done = isinstance(outcome, Resolved)
        self.learn(made={h.id for h in outcome.holds} - self.model.holds.keys() if is_done else set())
        if is_done:
            assert {h.order_id for h in outcome.holds} == {order}
            assert all(self.model.holds[h.id].state == "CONSUMED" for h in outcome.holds)
            later = self.request("main", cart, [(0, 1, None)])
            self.learn(made={later.id} if isinstance(outcome_of(lambda: place_hold(later)), PlacedHold) else set())
            again = outcome_of(lambda: consume_hold(request))
            assert isinstance(again, Resolved), again
            assert again.holds == outcome.holds, "told again, it is not sold again, nor what came later"
            self.learn()
            assert later.id not in self.model.holds or self.model.holds[later.id].state == "ACTIVE"
        else:
            after = {id_: self.model.holds[id_].state for id_ in found}
            assert all(after[id_] == state or (state, after[id_]) == ("DUE", "EXPIRED") for id_, state in found.items())

    def expected_of_all(self, ids: list[UUID], order: str, reacquire: bool) -> tuple[type, ...]:
        """The expected outcomes of consuming these holds of a cart or order: all or nothing; sold holds stay sold."""
        if not ids:
            return (ReservationNotFound,)
        is_sold = any(self.model.holds[id_].state == "CONSUMED" and self.model.holds[id_].order == order for id_ in ids)
        if is_sold:
            ids = [id_ for id_ in ids if self.model.holds[id_].order == order]
        read = documents.read_holds(ids)
        oldest_first = sorted(ids, key=lambda id_: (read[id_].created_at, id_))
        states = {id_: self.model.holds[id_].state for id_ in oldest_first}
        dead = [
            id_
            for id_, state in states.items()
            if state in {"DUE", "EXPIRED"}
            and not any(other.created_at >= read[id_].expires_at for other in read.values() if other.id != id_)
        ]
        alive = [id_ for id_, state in states.items() if state == "ACTIVE"]
        if any(self.model.holds[id_].order not in (None, order) for id_ in (*alive, *dead)):
            return (ReservedForAnotherOrder,)
        if dead:
            return (Resolved, InsufficientStock) if reacquire else (ReservationExpired,)
        if is_sold or alive:
            return (Resolved,)
        return (ReservationConsumed if states[oldest_first[-1]] == "CONSUMED" else ReservationReleased,)

    # --- baskets -----------------------------------------------------------------------------------------------------

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

    # --- what is true after each step --------------------------------------------------------------------------------

    def learn(self, made: set[UUID] = frozenset(), rewritten: set[UUID] = frozenset()) -> None:  # type: ignore[assignment]
        """Copy to the model what only the service decides, and check that nothing else has changed."""
        known = set(self.model.on_hand)
        for id_, product, code in StockLevel.objects.values_list("id", "product_id", "warehouse__code"):
            self.levels[self.products.index(product), code] = id_
            if id_ not in known:
                self.model.on_hand[id_] = 0
        holds = documents.read_holds(list(Reservation.objects.values_list("id", flat=True)))
        assert holds.keys() == self.model.holds.keys() | made
        for id_ in sorted(holds):
            hold = holds[id_]
            items = {item.level_id: item.quantity for item in hold.items}
            mine = self.model.holds.get(id_)
            if mine is None:
                mine = self.model.holds[id_] = ModelHold(items, hold.cart_id or "", hold.order_id, hold.store)
            elif id_ in rewritten:
                mine.items = items
            assert mine.items == items
            state = "DUE" if mine.state == "DUE" and hold.status == "ACTIVE" else hold.status
            assert state in _BECOMES[mine.state], (mine.state, state)
            if state == "CONSUMED" != mine.state:
                self.model.units -= sum(items.values())
                for level, units in items.items():
                    self.model.on_hand[level] -= units
            mine.state, mine.order = state, hold.order_id

    @rule()
    def reconcile(self) -> None:
        """Reconcile: there are no findings but holds that are long due, as no sweeper runs here."""
        assert set(reconcile(ACTOR).counts) <= {"LONG_DUE"}

    @invariant()
    def books_balance(self) -> None:
        assert_books_balance()

    @invariant()
    def a_replica_made_of_events_equals_the_levels(self) -> None:
        """Check that the events of each level are a chain without gaps, one for each transaction, that ends here."""
        self.replica.assert_equals_the_levels()
        self.replica.assert_causes_exist()

    @invariant()
    def counters_are_those_of_the_model(self) -> None:
        counted = {
            id_: (on_hand, reserved)
            for id_, on_hand, reserved in StockLevel.objects.values_list("id", "on_hand", "reserved")
        }
        assert counted == {level: (units, self.model.reserved(level)) for level, units in self.model.on_hand.items()}
        assert all(self.model.sellable(level) >= 0 for level in self.model.on_hand)

    @invariant()
    def no_unit_is_made_or_lost_on_the_way(self) -> None:
        """Check that units in warehouses and in transit equal the sum of receipts, shipments and adjustments."""
        incoming = dict(StockLevel.objects.with_incoming().values_list("id", "incoming_quantity"))
        assert incoming == {id_: self.model.incoming(*place) for place, id_ in self.levels.items()}
        assert sum(self.model.on_hand.values()) + sum(incoming.values()) == self.model.units
        states = dict(Transfer.objects.values_list("id", "status"))
        assert states == {id_: transfer.state for id_, transfer in self.model.transfers.items()}


@pytest.mark.django_db
def test_any_order_of_verbs_keeps_the_books() -> None:
    run_state_machine_as_test(
        Stock,
        settings=settings(
            max_examples=25 if "CI_RUN" in os.environ else 10,
            stateful_step_count=40,
            derandomize=True,
            print_blob=False,
            suppress_health_check=list(HealthCheck),
        ),
    )
