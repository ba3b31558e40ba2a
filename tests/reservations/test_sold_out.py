"""What is known to be short is refused without the database, and exactly as the database would have it refused."""

import random
import time
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final
from uuid import UUID, uuid4

import msgspec
import pytest
from django.db import connection
from django.db.models.functions import Now
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from audit.errors import DomainError, IdempotencyKeyReused
from audit.idempotency import Claim, StoredAnswer, fingerprint, lifetime
from audit.models import IdempotencyKey
from inventory.errors import InsufficientStock, ProductFrozen, ProductInactive, StoreFrozen, WarehouseFrozen
from inventory.models import Product, StockLevel
from inventory.services.catalogue import freezing
from inventory.services.catalogue.lookup import forget_catalogue
from inventory.services.stock.adjustments import Adjustment, AdjustRequest, apply_adjustments
from inventory.services.stock.level_settings import LevelChange, change_levels
from inventory.services.transfers.commands import (
    MoveLine,
    ReceiveRequest,
    TransferRequest,
    receive_transfer,
    start_transfer,
)
from inventory.services.transfers.moves import Transferred
from reservations import group_commit
from reservations.errors import HoldLimitExceeded, OrderAlreadyHeld
from reservations.services.holds import sold_out
from reservations.services.holds.baskets import put_basket
from reservations.services.holds.documents import Hold
from reservations.services.holds.expiry import expire_due_holds, expire_these
from reservations.services.holds.placing import HoldRequest, PlacedHold, place_holds
from reservations.services.holds.resolution import ConsumeRequest, ReleaseRequest, consume_hold, release_hold
from reservations.services.holds.selecting import Selector
from reservations.services.holds.sourcing import RequestLine
from tests.books import assert_books_balance
from tests.conftest import Api, body_of
from tests.counts import counted as count_levels
from tests.counts import post
from tests.factories import (
    ACTOR,
    counters,
    hold,
    hold_request,
    lines,
    make_due,
    make_level,
    make_product,
    make_store,
    make_warehouse,
    receive,
)
from tests.loops import run
from tests.metrics import Counted, counted

__all__ = ["counted"]
SOON: Final = timedelta(seconds=0.3)
CLIENT: Final = UUID("00000000-0000-7000-8000-000000000001")


def make_claim(key: str, body: str = "") -> Claim:
    """The claim on a key by a request with this body."""
    return Claim(CLIENT, key, fingerprint("POST", "/reserve", body.encode()), lambda _: StoredAnswer(201, b"{}"))


pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("store", "_long_memory")]


@pytest.fixture
def _long_memory(settings: Settings) -> None:
    """Remember for longer than any of these tests takes."""
    settings.SOLD_OUT_CACHE_SECONDS = 60


def reserve(request: HoldRequest) -> Any:
    """The outcome of a request as the API hands it in; a refusal is returned."""
    try:
        return group_commit.place_hold(request).outcome()
    except DomainError as error:
        return error


def refused_at_once(request: HoldRequest) -> InsufficientStock:
    """The refusal of a request that is answered without a statement, in a thread and on an event loop."""
    with CaptureQueriesContext(connection) as statements:
        refusal = reserve(request)
        with pytest.raises(InsufficientStock) as on_loop:
            run(group_commit.place_hold(request).outcome_on_loop())
    assert isinstance(refusal, InsufficientStock)
    assert not statements.captured_queries
    assert on_loop.value.faults == refusal.faults
    return refusal


def sell_out(level: StockLevel) -> Hold:
    """Hold all available units of a level, and have it remembered as sold out."""
    held = hold((level, level.on_hand - level.min_stock_level))
    assert isinstance(reserve(hold_request((level, 1))), InsufficientStock)
    refused_at_once(hold_request((level, 1)))
    return held


def test_refusals_of_many_lines_are_decided_each_time_and_not_kept() -> None:
    levels = [make_level(1) for _ in range(6)]
    for requested in range(2, 5):
        request = hold_request(*((level, requested) for level in levels))
        assert isinstance(reserve(request), InsufficientStock)
        kept = len(sold_out._refused)
        assert len(refused_at_once(request).faults) == len(levels)
        assert len(sold_out._refused) == kept


def test_the_problem_is_the_same_without_a_statement(api: Api, settings: Settings) -> None:
    level, other = make_level(5), make_level(3)
    body = {"cartId": "c", "items": [*lines((level, 6)), *lines((other, 9), (level, 1), warehouseId="wh-001")]}
    settings.SOLD_OUT_CACHE_SECONDS = 0
    slow = [api.post("reserve", body, X_Request_ID="same") for _ in range(2)]
    settings.SOLD_OUT_CACHE_SECONDS = 60
    slow.append(api.post("reserve", body, X_Request_ID="same"))
    with CaptureQueriesContext(connection) as statements:
        fast = api.post("reserve", body, X_Request_ID="same")
    assert not statements.captured_queries
    assert {(each.status_code, each.content) for each in (*slow, fast)} == {(409, slow[0].content)}
    assert {tuple(each.headers) for each in slow} == {tuple(fast.headers)}


def test_what_is_not_short_is_held_as_ever() -> None:
    level = make_level(5)
    assert isinstance(reserve(hold_request((level, 6))), InsufficientStock)
    refused_at_once(hold_request((level, 6)))
    assert isinstance(reserve(hold_request((level, 5))), PlacedHold)
    assert isinstance(reserve(hold_request((level, 1))), InsufficientStock)
    assert counters(level) == (5, 5)


def test_refusals_at_once_are_counted_as_others(counted: Counted) -> None:
    level = make_level(1)
    sell_out(level)
    assert counted.of("inventory_reservation_failed_total", reason="insufficient_stock") == 3
    before = counted.series()
    assert isinstance(reserve(hold_request((level, 1))), InsufficientStock)
    name = ("inventory_reservation_failed_total", frozenset({("reason", "insufficient_stock")}))
    changed = {key for key, value in counted.series().items() if value != before.get(key)}
    assert {key for key in changed if not key[0].startswith("process_")} == {name}


def adjusted(level: StockLevel, _: Hold) -> None:
    receive(level.product_id, 1)


def released(_: StockLevel, held: Hold) -> None:
    release_hold(ReleaseRequest(ACTOR, Selector(held.id)))


def swept(_: StockLevel, held: Hold) -> None:
    make_due(held.id)
    expire_due_holds()


def expired(_: StockLevel, held: Hold) -> None:
    make_due(held.id)
    expire_these([held.id])


def basket_shrunk(level: StockLevel, held: Hold) -> None:
    put_basket(hold_request((level, 1), cart_id=held.cart_id))


def basket_emptied(_: StockLevel, held: Hold) -> None:
    put_basket(hold_request(cart_id=held.cart_id))


def posted(level: StockLevel, _: Hold) -> None:
    post(count_levels((level, 12)))


def arrived(level: StockLevel, _: Hold) -> None:
    receive(level.product_id, 3, "wh-003")
    move = MoveLine(level.product_id, None, 3, "wh-003", "wh-001")
    transferred = start_transfer(TransferRequest(ACTOR, (move,)))
    assert isinstance(transferred, Transferred)
    refused_again = reserve(hold_request((level, 1)))
    assert isinstance(refused_again, InsufficientStock)
    receive_transfer(ReceiveRequest(ACTOR, transferred.document.id))


def without_safety_stock(level: StockLevel, _: Hold) -> None:
    change_levels(ACTOR, [LevelChange(level.product_id, "wh-001", {"min_stock_level": 0})])


def stocked_elsewhere(level: StockLevel, _: Hold) -> None:
    receive(level.product_id, 2, "wh-002")


@pytest.mark.parametrize(
    "bring_back",
    [
        adjusted,
        released,
        swept,
        expired,
        basket_shrunk,
        basket_emptied,
        posted,
        arrived,
        without_safety_stock,
        stocked_elsewhere,
    ],
)
def test_stock_that_comes_back_through_this_process_is_seen_at_once(
    bring_back: Callable[[StockLevel, Hold], None],
) -> None:
    make_warehouse("wh-003")
    level = make_level(10, min_stock_level=2)
    held = sell_out(level)
    bring_back(level, held)
    assert isinstance(reserve(hold_request((level, 1))), PlacedHold)
    assert_books_balance()


def test_stock_that_comes_back_elsewhere_is_seen_after_a_while(settings: Settings) -> None:
    settings.SOLD_OUT_CACHE_SECONDS = 0.25
    level = make_level(1)
    assert isinstance(reserve(hold_request((level, 2))), InsufficientStock)
    StockLevel.objects.filter(pk=level.pk).update(on_hand=2)
    time.sleep(0.25)
    assert isinstance(reserve(hold_request((level, 2))), PlacedHold)


def test_a_level_is_remembered_until_its_next_hold_ends() -> None:
    level = make_level(5)
    later, soon = hold((level, 2)), hold((level, 3))
    make_due(soon.id, ago=-SOON)
    assert isinstance(reserve(hold_request((level, 3))), InsufficientStock)
    time.sleep(SOON.total_seconds())
    assert isinstance(reserve(hold_request((level, 3))), PlacedHold)
    make_due(later.id)
    assert isinstance(reserve(hold_request((level, 2))), PlacedHold)


@pytest.mark.parametrize("seconds", [0, 60])
def test_memory_can_be_switched_off(settings: Settings, seconds: float) -> None:
    settings.SOLD_OUT_CACHE_SECONDS = seconds
    level = make_level(1)
    assert isinstance(reserve(hold_request((level, 2))), InsufficientStock)
    assert bool(sold_out.known_shortage(hold_request((level, 2)))) is (seconds > 0)


def refused_from_a_read(request: HoldRequest) -> None:
    """Assert that a request is refused without a lock: its key and order are only looked up."""
    with CaptureQueriesContext(connection) as statements:
        assert isinstance(reserve(request), InsufficientStock)
    assert 0 < len(statements) <= 3
    assert not _locks(statements)


def test_a_request_with_a_key_is_refused_without_a_lock_unless_its_key_is_known(api: Api) -> None:
    level = make_level(3)
    body = {"cartId": "c", "items": lines((level, 3))}
    first = body_of(api.post("reserve", body, Idempotency_Key="k"), 201)
    assert [api.post("reserve", {**body, "cartId": "d"}).status_code for _ in range(2)] == [409, 409]
    assert body_of(api.post("reserve", body, Idempotency_Key="k"), 201)["reservationId"] == first["reservationId"]
    reused = api.post("reserve", {**body, "cartId": "e"}, Idempotency_Key="k")
    assert body_of(reused, 422)["code"] == "idempotency_key_reused"
    with CaptureQueriesContext(connection) as statements:
        assert body_of(api.post("reserve", body, Idempotency_Key="other"), 409)["code"] == "insufficient_stock"
    assert not _locks(statements)
    receive(level.product_id, 3)
    again = api.post("reserve", body, Idempotency_Key="other")
    assert (
        body_of(again, 201)["reservationId"]
        == body_of(api.post("reserve", body, Idempotency_Key="other"), 201)["reservationId"]
    )
    assert "Idempotent-Replayed" not in again.headers


def test_a_refusal_uses_up_no_key() -> None:
    level = make_level(1)
    sell_out(level)
    request = hold_request((level, 1), claim=make_claim("k"))
    refused_from_a_read(request)
    refused_from_a_read(hold_request((level, 1), claim=make_claim("k", "another body")))
    assert not IdempotencyKey.objects.exists()
    receive(level.product_id, 1)
    assert isinstance(reserve(request), PlacedHold)
    assert isinstance(reserve(request), StoredAnswer)
    assert isinstance(reserve(hold_request((level, 1), claim=make_claim("k", "another body"))), IdempotencyKeyReused)


def test_a_key_past_its_lifetime_is_unknown() -> None:
    level = make_level(1)
    request = hold_request((level, 1), claim=make_claim("k"))
    assert isinstance(reserve(request), PlacedHold)
    assert isinstance(reserve(hold_request((level, 1))), InsufficientStock)
    assert isinstance(reserve(request), StoredAnswer)
    IdempotencyKey.objects.update(created_at=Now() - lifetime())
    refused_from_a_read(request)


def test_an_order_is_refused_without_a_lock_unless_it_holds_something() -> None:
    make_store("second", "wh-002", is_default=False)
    level = make_level(3)
    held = hold((level, 3), cart_id=None, order_id="o")
    assert isinstance(reserve(hold_request((level, 1))), InsufficientStock)
    assert isinstance(reserve(hold_request((level, 1), cart_id=None, order_id="o")), OrderAlreadyHeld)
    refused_from_a_read(hold_request((level, 1), cart_id=None, order_id="other"))
    refused_from_a_read(hold_request((level, 1), order_id="other", claim=make_claim("k")))
    refused_at_once(hold_request((level, 1), cart_id=None, order_id="o", additional=True))
    assert isinstance(reserve(hold_request((level, 1), order_id="o", store="second")), InsufficientStock)
    consume_hold(ConsumeRequest(ACTOR, "o", Selector(held.id)))
    assert isinstance(reserve(hold_request((level, 1))), InsufficientStock)
    refused_from_a_read(hold_request((level, 1), cart_id=None, order_id="o"))


@pytest.mark.parametrize("fields", [{"claim": make_claim("k")}, {"order_id": "o"}])
def test_a_repetition_waits_for_a_request_that_this_process_is_deciding(fields: dict[str, Any]) -> None:
    level = make_level(1)
    sell_out(level)
    with sold_out.Deciding(hold_request((level, 1), **fields)):
        with sold_out.Deciding(hold_request((level, 2), **fields)):
            assert sold_out.known_shortage(hold_request((level, 1), **fields)) is None
        assert sold_out.known_shortage(hold_request((level, 1), **fields)) is None
        assert sold_out.known_shortage(hold_request((level, 1)))
    refused_from_a_read(hold_request((level, 1), **fields))


def test_limits_come_before(settings: Settings) -> None:
    level = make_level(3)
    Product.objects.filter(pk=level.product_id).update(max_units_per_customer=2)
    assert isinstance(reserve(hold_request((level, 4), customer_id="anna")), HoldLimitExceeded)
    hold((level, 2), customer_id="anna")
    assert isinstance(reserve(hold_request((level, 2), customer_id="berta")), InsufficientStock)
    assert isinstance(reserve(hold_request((level, 2), customer_id="anna")), HoldLimitExceeded)


@pytest.mark.parametrize(
    ("subject", "error"),
    [("product", ProductFrozen), ("warehouse", WarehouseFrozen), ("store", StoreFrozen)],
)
def test_freezes_come_before(subject: str, error: type[DomainError]) -> None:
    level = make_level(1)
    line = RequestLine(level.product_id, None, 2, "wh-001")
    request = HoldRequest(ACTOR, (line,), cart_id="c")
    assert isinstance(reserve(request), InsufficientStock)
    refused_at_once(request)
    subjects = {
        "product": freezing.product(level.product_id),
        "warehouse": freezing.warehouse("wh-001"),
        "store": freezing.store("main"),
    }
    freezing.freeze(ACTOR, subjects[subject], reason="a recall")
    assert type(reserve(request)) is error
    freezing.unfreeze(ACTOR, subjects[subject])
    assert type(reserve(request)) is InsufficientStock


def test_other_refusals_are_those_of_the_slow_way() -> None:
    level, other = make_level(1), make_level(1)
    Product.objects.filter(pk=other.product_id).update(is_active=False)
    foreign = make_level(1, "wh-003")
    assert isinstance(reserve(hold_request((level, 2))), InsufficientStock)
    requests = [
        hold_request((level, 2), (other, 1)),
        hold_request((level, 2), store="nowhere"),
        hold_request((level, 2), timeout_minutes=10_000),
        hold_request((level, 2), lines=(RequestLine(level.product_id, None, 2, "wh-003"),)),
        hold_request((level, 2), lines=(RequestLine(level.product_id, None, 2, "nowhere"),)),
        hold_request((level, 2), lines=(RequestLine(level.product_id, foreign.product_id, 2),)),
        hold_request((level, 2), lines=(RequestLine(level.product_id, None, 1), RequestLine(foreign.id, None, 1))),
    ]
    for request in requests:
        assert type(reserve(request)) is type(place_holds([request])[0])
        assert not isinstance(reserve(request), InsufficientStock | PlacedHold)
    assert isinstance(reserve(requests[0]), ProductInactive)


def test_a_store_is_refused_by_its_own_warehouses_alone() -> None:
    make_store("second", "wh-002", is_default=False)
    level = make_level(1)
    receive(level.product_id, 5, "wh-002")
    assert isinstance(reserve(hold_request((level, 7))), InsufficientStock)
    refusal = refused_at_once(hold_request((level, 7)))
    assert [shortage.available for shortage in refusal.shortages] == [6]
    assert isinstance(reserve(hold_request((level, 6), store="second")), InsufficientStock)
    refusal = refused_at_once(hold_request((level, 6), store="second"))
    assert [shortage.available for shortage in refusal.shortages] == [5]
    assert isinstance(reserve(hold_request((level, 5), store="second")), PlacedHold)


def test_units_that_the_same_transaction_holds_are_not_remembered() -> None:
    level = make_level(5)
    held, short = place_holds([hold_request((level, 3)), hold_request((level, 3))])
    assert isinstance(held, PlacedHold)
    assert isinstance(short, InsufficientStock)
    assert sold_out.known_shortage(hold_request((level, 3))) is None


class _Shop:
    """Random stock, random requests, and random changes of both by this process."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        make_store("second", "wh-002", "wh-003", is_default=False)
        make_warehouse("wh-003")
        parent = make_product()
        self.products = [make_product(), make_product(), parent, make_product(parent=parent)]
        self.levels = [
            receive(product, self.random.randint(1, 4), warehouse)
            for product in self.products
            for warehouse in ("wh-001", "wh-002", "wh-003")
            if self.random.random() < 0.7
        ]
        self.holds: list[Hold] = []
        self.asked = [hold_request((self.levels[0], 1))]

    def request(self) -> HoldRequest:
        def line() -> RequestLine:
            product = self.random.choice(self.products)
            variant = product.id if product.parent_id and self.random.random() < 0.5 else None
            warehouse = self.random.choice([None, None, "wh-002"])
            return RequestLine(product.parent_id if variant else product.id, variant, self._units(), warehouse)

        if self.random.random() < 0.2:
            return msgspec.structs.replace(self.random.choice(self.asked), id=uuid4())
        asked = tuple(line() for _ in range(self.random.randint(1, 3)))
        store = self.random.choice([None, "main", "second"])
        order = self.random.choice([None, f"order-{self.random.randrange(30)}"])
        request = hold_request(lines=asked, store=store, order_id=order, claim=self._claim(asked))
        self.asked.append(request)
        return request

    def _claim(self, asked: tuple[RequestLine, ...]) -> Claim | None:
        """No key, a new one, or one that was used before, mostly for other lines."""
        key = self.random.choice([None, uuid4().hex, str(self.random.randrange(30))])
        return make_claim(key, repr(asked)) if key else None

    def _units(self) -> int:
        return self.random.choice([1, 1, 2, 3, 5, 9])

    def change(self) -> None:
        level, units = self.random.choice(self.levels), self._units()
        code = level.warehouse.code
        kind = self.random.choice(["receive", "ship", "release", "sell", "due", "safety", "freeze", "unfreeze"])
        held = self.holds.pop(self.random.randrange(len(self.holds))) if self.holds else None
        try:
            if kind in ("receive", "ship"):
                what = {"receive": "RECEIPT", "ship": "SHIPMENT"}[kind]
                apply_adjustments(AdjustRequest(ACTOR, (Adjustment(level.product_id, None, code, 1, what, "test"),)))
            elif kind == "safety":
                change_levels(ACTOR, [LevelChange(level.product_id, code, {"min_stock_level": units % 3})])
            elif kind == "freeze" and self.random.random() < 0.3:
                freezing.freeze(ACTOR, freezing.product(level.product_id), reason="test")
            elif kind in ("freeze", "unfreeze"):
                freezing.unfreeze(ACTOR, freezing.product(level.product_id))
            elif held and kind == "release":
                release_hold(ReleaseRequest(ACTOR, Selector(held.id)))
            elif held and kind == "sell":
                consume_hold(ConsumeRequest(ACTOR, f"order-{held.id}", Selector(held.id)))
            elif held and kind == "due":
                make_due(held.id)
        except DomainError:
            pass


@pytest.mark.parametrize("seed", range(3))
def test_random_requests_are_refused_exactly_as_the_database_would_have_it(seed: int) -> None:
    shop, at_once, held = _Shop(seed), Counter[tuple[bool, bool]](), 0
    for _ in range(250):
        request = shop.request()
        short = sold_out.known_shortage(request)
        with CaptureQueriesContext(connection) as statements:
            outcome = reserve(request)
        if short is not None:
            (slow,) = place_holds([request])
            assert _told(outcome) == _told(slow)
            if isinstance(outcome, InsufficientStock) and not _locks(statements):
                at_once[request.claim is not None, request.order_id is not None] += 1
        if isinstance(outcome, PlacedHold):
            held += 1
            shop.holds.append(outcome.hold)
        if shop.random.random() < 0.2:
            shop.change()
    assert len(at_once) == 4, at_once
    assert held > 5
    assert_books_balance()


def _told(outcome: Any) -> Any:
    """What a client gets for an outcome that isn't a new hold."""
    return outcome if isinstance(outcome, StoredAnswer) else (type(outcome), outcome.detail, outcome.faults)


def _locks(statements: CaptureQueriesContext) -> bool:
    """Whether one of the statements waits for a lock, or begins a transaction."""
    waits = ("FOR NO KEY UPDATE", "pg_advisory_xact_lock", "pg_current_xact_id", "SAVEPOINT")
    return any(word in statement["sql"] for statement in statements.captured_queries for word in waits)


def test_a_catalogue_that_was_forgotten_is_read_again() -> None:
    level = make_level(1)
    sell_out(level)
    forget_catalogue()
    with CaptureQueriesContext(connection) as statements:
        assert isinstance(reserve(hold_request((level, 1))), InsufficientStock)
    assert statements.captured_queries
