"""The number of statements of a command doesn't depend on the number of its lines or requests."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from uuid_utils.compat import uuid7

from audit.idempotency import Claim, StoredAnswer
from inventory.models import Product, StockLevel, Store
from inventory.services.catalogue.lookup import forget_catalogue
from inventory.services.stock.adjustments import Adjustment, AdjustRequest, apply_adjustments
from reservations.services.holds.baskets import empty_baskets, put_basket, put_baskets
from reservations.services.holds.placing import HoldRequest, PlacedHold, place_holds
from reservations.services.holds.resolution import (
    ConsumeRequest,
    ReleaseRequest,
    Resolved,
    consume_holds,
    release_holds,
)
from reservations.services.holds.selecting import Selector
from tests.factories import ACTOR, hold, hold_request, make_due, make_warehouse

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("store")]
CLIENT = uuid7()


def statements(work: Callable[[], Any]) -> list[str]:
    """The statements that the work sends, without savepoints."""
    sent: list[str] = []

    def note(execute: Any, sql: Any, parameters: Any, many: bool, context: Any) -> Any:
        assert not many
        if "SAVEPOINT" not in sql:
            sent.append(re.sub(r"\(%s(, %s)*\)", "(%s)", sql))
        return execute(sql, parameters, many, context)

    with connection.execute_wrapper(note):
        work()
    return sent


def claim() -> Claim:
    return Claim(CLIENT, str(uuid7()), b"print", lambda result: StoredAnswer(200, b"{}"))


@pytest.fixture
def levels() -> list[StockLevel]:
    make_warehouse()
    products = Product.objects.bulk_create(Product(sku=f"S{number}", name="n") for number in range(200))
    received = tuple(Adjustment(product.id, None, "wh-001", 1000, "RECEIPT", "r") for product in products)
    apply_adjustments(AdjustRequest(ACTOR, received))
    return list(StockLevel.objects.all())


def held(outcomes: list[Any]) -> None:
    assert all(isinstance(outcome, PlacedHold) for outcome in outcomes), outcomes


@pytest.mark.parametrize("keyed", [False, True])
def test_a_hold_of_1_20_or_200_lines_is_the_same_statements(levels: list[StockLevel], *, keyed: bool) -> None:
    def place(count: int) -> list[str]:
        request = hold_request(*((level, 1) for level in levels[:count]), claim=claim() if keyed else None)
        return statements(lambda: held(place_holds([request])))

    assert place(1) == place(20) == place(200)


@pytest.mark.parametrize("keyed", [False, True])
def test_a_batch_of_1_or_32_holds_is_the_same_statements(levels: list[StockLevel], *, keyed: bool) -> None:
    def place(count: int) -> list[str]:
        requests = [
            hold_request(*((level, 1) for level in levels[index : index + 3]), claim=claim() if keyed else None)
            for index in range(count)
        ]
        return statements(lambda: held(place_holds(requests)))

    assert place(1) == place(32)
    # Catalogue and stores, one lock, two for the documents, one each for counters, audit and outbox; three for keys.
    assert len(place(1)) <= (12 if keyed else 9)


@pytest.mark.parametrize("recalled", [False, True])
def test_limits_cost_nothing_where_none_is_set_and_three_statements_where_they_are(
    levels: list[StockLevel], *, recalled: bool
) -> None:
    def place(count: int) -> list[str]:
        if not recalled:
            forget_catalogue()
        requests = [hold_request((level, 1), customer_id=f"{number}") for number, level in enumerate(levels[:count])]
        return statements(lambda: held(place_holds(requests)))

    place(32)
    without = place(1)
    assert not [sql for sql in without if "pg_advisory_xact_lock" in sql or "FROM reservations_reservation" in sql]
    Store.objects.update(max_units_per_customer=100, max_holds_per_customer=100, hold_window_minutes=60)
    forget_catalogue()
    place(32)
    limited = place(1)
    assert limited == place(32)
    assert len(limited) == len(without) + 3


def test_a_limited_basket_of_1_or_200_lines_is_the_same_statements(levels: list[StockLevel]) -> None:
    def put(count: int) -> list[str]:
        request = hold_request(*((level, 1) for level in levels[:count]), cart_id=f"c{count}", customer_id="x")
        return statements(lambda: put_basket(request))

    put(200)
    without = put(1)
    Store.objects.update(max_units_per_customer=100, max_holds_per_customer=100, hold_window_minutes=60)
    forget_catalogue()
    put(199)
    assert put(2) == put(198)
    assert len(put(3)) == len(without) + 4


def test_1_or_32_baskets_are_the_same_statements(levels: list[StockLevel]) -> None:
    def put(count: int, units: int) -> list[str]:
        requests = [hold_request((level, units), cart_id=f"c{number}") for number, level in enumerate(levels[:count])]
        return statements(lambda: held(put_baskets(requests)))

    put(32, 1)
    assert put(1, 2) == put(32, 2)


def test_1_or_32_emptied_baskets_are_the_same_statements(levels: list[StockLevel]) -> None:
    def empty(count: int) -> list[str]:
        carts = [hold((level, 1)).cart_id for level in levels[:count]]
        requests = [ReleaseRequest(ACTOR, Selector(cart_id=cart)) for cart in carts]
        return statements(lambda: empty_baskets(requests))

    assert empty(1) == empty(32)


def test_what_is_replayed_costs_no_more_for_many(levels: list[StockLevel]) -> None:
    def replay(count: int) -> list[str]:
        requests = [hold_request((level, 1), claim=claim()) for level in levels[:count]]
        held(place_holds(requests))
        again = [HoldRequest(ACTOR, each.lines, cart_id=each.cart_id, claim=each.claim) for each in requests]
        return statements(lambda: place_holds(again))

    assert replay(1) == replay(32)


def test_what_is_short_costs_no_more_for_many(levels: list[StockLevel]) -> None:
    def short(count: int) -> list[str]:
        requests = [hold_request((level, 1001)) for level in levels[:count]]
        return statements(lambda: place_holds(requests))

    assert short(1) == short(32)


def test_due_holds_that_stand_in_the_way_are_freed_with_the_same_statements(levels: list[StockLevel]) -> None:
    def free(count: int) -> list[str]:
        make_due(*(hold((level, 1000)).id for level in levels[:count]))
        requests = [hold_request((level, 1000)) for level in levels[:count]]
        sent = statements(lambda: held(place_holds(requests)))
        make_due(*(held_by.id for held_by in (hold_ for hold_ in requests)))
        return sent

    assert free(1) == free(32)


@pytest.mark.parametrize("keyed", [False, True])
@pytest.mark.parametrize("verb", ["consume", "release", "reacquire"])
def test_a_batch_of_1_or_32_ends_is_the_same_statements(levels: list[StockLevel], verb: str, *, keyed: bool) -> None:
    def end(count: int) -> list[str]:
        made = [hold((level, 1), (levels[-1], 1)) for level in levels[:count]]
        if verb == "reacquire":
            make_due(*(each.id for each in made))
        selectors = [Selector(reservation_id=each.id) for each in made]
        claims = [claim() if keyed else None for _ in made]

        def work() -> None:
            if verb == "release":
                pairs = zip(selectors, claims, strict=True)
                outcomes = release_holds([ReleaseRequest(ACTOR, selector, "", key) for selector, key in pairs])
            else:
                late = verb == "reacquire"
                pairs = zip(selectors, claims, strict=True)
                outcomes = consume_holds(
                    [
                        ConsumeRequest(ACTOR, f"o-{selector.reservation_id}", selector, late, key)
                        for selector, key in pairs
                    ]
                )
            assert all(isinstance(outcome, Resolved) for outcome in outcomes), outcomes

        return statements(work)

    assert end(1) == end(32)


@pytest.mark.parametrize("verb", ["consume", "release"])
def test_an_end_of_1_or_200_lines_is_the_same_statements(levels: list[StockLevel], verb: str) -> None:
    def end(count: int) -> list[str]:
        selector = Selector(reservation_id=hold(*((level, 1) for level in levels[:count])).id)
        if verb == "release":
            return statements(lambda: release_holds([ReleaseRequest(ACTOR, selector)]))
        return statements(lambda: consume_holds([ConsumeRequest(ACTOR, "o", selector)]))

    assert end(1) == end(200)


def test_a_basket_of_1_or_200_lines_is_the_same_statements(levels: list[StockLevel]) -> None:
    def put(count: int, quantity: int) -> list[str]:
        request = hold_request(*((level, quantity) for level in levels[:count]), cart_id=f"c{count}")
        return statements(lambda: put_basket(request))

    assert put(1, 1) == put(200, 1)
    assert put(1, 2) == put(200, 2)
    assert put(1, 1) == put(200, 1)


def test_an_adjustment_of_1_or_200_lines_is_the_same_statements(levels: list[StockLevel]) -> None:
    def adjust(count: int) -> list[str]:
        lines = tuple(Adjustment(level.product_id, None, "wh-001", 1, "RECEIPT", "r") for level in levels[:count])
        return statements(lambda: apply_adjustments(AdjustRequest(ACTOR, lines)))

    assert adjust(1) == adjust(200)
