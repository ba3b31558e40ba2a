"""Limits against hoarding: units held by a shopper at a time, and holds opened within a window."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from uuid_utils.compat import uuid7

from audit.errors import Fault
from inventory.models import Product, StockLevel, Store
from inventory.services.catalogue.lookup import forget_catalogue
from reservations.errors import HoldLimitExceeded
from reservations.models import Reservation
from reservations.services.holds.baskets import put_basket
from reservations.services.holds.limits import Shopper
from reservations.services.holds.placing import HoldRequest, PlacedHold, place_hold, place_holds, plan_hold
from reservations.services.holds.resolution import ConsumeRequest, ReleaseRequest, consume_hold, release_hold
from reservations.services.holds.selecting import Selector
from reservations.services.holds.sourcing import RequestLine
from tests.conftest import Api
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
    receive,
)

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("store")]


@pytest.fixture
def level() -> StockLevel:
    return make_level(100)


@pytest.fixture(params=["store", "product"])
def most_units(request: Any, level: StockLevel) -> Callable[[int], None]:
    """Set the limit of units of ``level``, on the store or on the product."""

    def limit(units: int) -> None:
        rows: Any = Store.objects if request.param == "store" else Product.objects
        rows.update(max_units_per_customer=units)
        forget_catalogue()

    return limit


def most_holds(count: int, minutes: int = 60) -> None:
    Store.objects.update(max_holds_per_customer=count, hold_window_minutes=minutes)
    forget_catalogue()


def refused(work: Callable[[], Any]) -> list[dict[str, Any]]:
    """Check that the work is refused over a limit. Returns the facts of the faults."""
    with pytest.raises(HoldLimitExceeded) as error:
        work()
    return [facts(fault) for fault in error.value.faults]


def facts(fault: Fault) -> dict[str, Any]:
    return {"pointer": fault.pointer, **fault.facts}


# --- units -----------------------------------------------------------------------------------------------------------


def test_a_customer_holds_so_many_of_a_product_at_a_time(level: StockLevel, most_units: Callable[[int], None]) -> None:
    most_units(3)
    hold((level, 2), customer_id="x")
    (fault,) = refused(lambda: hold((level, 2), customer_id="x"))
    of_level = {"pointer": "/items/0", "productId": str(level.product_id)}
    assert fault == {**of_level, "limit": 3, "held": 2, "requested": 2}
    hold((level, 1), customer_id="x")
    hold((level, 3), customer_id="y")
    assert counters(level) == (100, 6)


@pytest.mark.parametrize("owner", ["cart_id", "order_id"])
def test_without_a_customer_it_is_the_cart_or_the_order(
    level: StockLevel, most_units: Callable[[int], None], owner: str
) -> None:
    most_units(3)
    who = {"cart_id": None, owner: "mine"}
    hold((level, 2), **who)
    assert [fault["held"] for fault in refused(lambda: hold((level, 2), **who))] == [2]
    hold((level, 3), **{**who, owner: "other"})


def test_what_a_cart_held_before_its_shopper_had_a_name_counts(
    level: StockLevel, most_units: Callable[[int], None]
) -> None:
    most_units(3)
    hold((level, 2), cart_id="c")
    assert refused(lambda: hold((level, 2), cart_id="c", customer_id="x"))
    hold((level, 1), cart_id="c", customer_id="x")
    assert refused(lambda: hold((level, 1), cart_id="c"))
    hold((level, 2), cart_id="d", customer_id="x")
    assert refused(lambda: hold((level, 1), cart_id="d", customer_id="x"))


def test_another_stores_customer_of_the_same_name_is_another(
    level: StockLevel, most_units: Callable[[int], None]
) -> None:
    make_store("outlet", "wh-001", is_default=False)
    most_units(3)
    hold((level, 3), customer_id="x")
    hold((level, 3), customer_id="x", store="outlet")


@pytest.mark.parametrize("end", ["release", "consume", "due"])
def test_only_what_is_held_now_counts(level: StockLevel, most_units: Callable[[int], None], end: str) -> None:
    most_units(3)
    made = hold((level, 3), customer_id="x")
    assert refused(lambda: hold((level, 1), customer_id="x"))
    match end:
        case "release":
            release_hold(ReleaseRequest(ACTOR, Selector(made.id)))
        case "consume":
            consume_hold(ConsumeRequest(ACTOR, "order", Selector(made.id)))
        case _:
            make_due(made.id)
    hold((level, 3), customer_id="x")


def test_lines_and_warehouses_of_one_product_count_together(
    level: StockLevel, most_units: Callable[[int], None]
) -> None:
    receive(level.product_id, 10, "wh-002")
    most_units(3)
    both = tuple(RequestLine(level.product_id, None, 2, code) for code in ("wh-001", "wh-002"))
    assert [fault["requested"] for fault in refused(lambda: place_hold(HoldRequest(ACTOR, both, cart_id="c")))] == [4]


def test_each_product_over_its_limit_is_returned_with_its_pointer(
    level: StockLevel, most_units: Callable[[int], None]
) -> None:
    free, other = make_level(10), make_level(10)
    most_units(3)
    faults = refused(lambda: hold((free, 3), (level, 4), (other, 5)))
    assert [(each["pointer"], each["requested"]) for each in faults] == [("/items/1", 4), ("/items/2", 5)]


@pytest.mark.parametrize(("of_store", "of_product"), [(2, 5), (5, 2)])
def test_the_tighter_limit_counts(level: StockLevel, of_store: int, of_product: int) -> None:
    Store.objects.update(max_units_per_customer=of_store)
    Product.objects.update(max_units_per_customer=of_product)
    hold((level, 2), cart_id="c")
    assert [fault["limit"] for fault in refused(lambda: hold((level, 1), cart_id="c"))] == [2]


def test_a_products_limit_is_for_all_its_variants_a_stores_for_each() -> None:
    parent = make_product()
    one, two = (receive(make_product(parent=parent), 10) for _ in range(2))
    Store.objects.update(max_units_per_customer=3)
    hold((one, 3), (two, 3), customer_id="x")
    (fault,) = refused(lambda: hold((one, 1), customer_id="x"))
    assert (fault["productId"], fault["variantId"]) == (str(parent.id), str(one.product_id))
    Product.objects.filter(pk=parent.pk).update(max_units_per_customer=7)
    forget_catalogue()
    hold((one, 3), (two, 3), customer_id="y")
    Store.objects.update(max_units_per_customer=None)
    forget_catalogue()
    (fault,) = refused(lambda: hold((one, 2), customer_id="y"))
    assert (fault["productId"], fault["limit"], fault["held"]) == (str(parent.id), 7, 6)
    assert "variantId" not in fault
    hold((one, 1), customer_id="y")


def test_a_limit_of_a_variant_is_its_own() -> None:
    parent = make_product()
    one, two = (receive(make_product(parent=parent), 10) for _ in range(2))
    Product.objects.filter(pk=one.product_id).update(max_units_per_customer=2)
    hold((one, 2), (two, 9), customer_id="x")
    assert refused(lambda: hold((one, 1), customer_id="x"))


def test_requests_of_one_batch_count_each_other(level: StockLevel, most_units: Callable[[int], None]) -> None:
    most_units(3)
    quantities = (2, 2, 1, 1)
    outcomes = place_holds([hold_request((level, quantity), customer_id="x") for quantity in quantities])
    assert [isinstance(outcome, PlacedHold) for outcome in outcomes] == [True, False, True, False]
    assert isinstance(outcomes[1], HoldLimitExceeded)
    assert counters(level) == (100, 3)


def test_what_was_short_in_a_batch_does_not_count(level: StockLevel, most_units: Callable[[int], None]) -> None:
    scarce = make_level(1)
    most_units(3)
    short, held = place_holds(
        [hold_request((level, 3), (scarce, 2), customer_id="x"), hold_request((level, 3), customer_id="x")]
    )
    assert not isinstance(short, PlacedHold)
    assert isinstance(held, PlacedHold)


def test_a_plan_is_refused_as_the_hold_would_be(level: StockLevel, most_units: Callable[[int], None]) -> None:
    most_units(3)
    hold((level, 2), customer_id="x")
    request = hold_request((level, 2), customer_id="x")
    assert refused(lambda: plan_hold(request)) == refused(lambda: place_hold(request))
    assert plan_hold(hold_request((level, 1), customer_id="x"))


def test_a_late_payment_is_never_over_a_limit(level: StockLevel, most_units: Callable[[int], None]) -> None:
    late = hold((level, 3), customer_id="x")
    make_due(late.id)
    most_units(1)
    most_holds(1)
    assert consume_hold(ConsumeRequest(ACTOR, "order", Selector(late.id), reacquire=True))
    assert counters(level) == (97, 0)


def test_shoppers_own_what_their_names_share() -> None:
    here, there = uuid7(), uuid7()
    named, anonymous = Shopper(here, "x", "c", None), Shopper(here, None, "c", None)
    assert all(a.owns(b) for a in (named, anonymous) for b in (named, anonymous))
    assert not named.owns(Shopper(here, "y", "c", None))
    assert not named.owns(Shopper(there, "x", "c", None))
    assert not Shopper(here, "x", None, "o").owns(Shopper(here, None, None, "o"))
    assert Shopper(here, None, None, "o").owns(Shopper(here, "x", "c", "o"))


# --- baskets ---------------------------------------------------------------------------------------------------------


def basket(level: StockLevel, quantity: int, **fields: Any) -> HoldRequest:
    return hold_request((level, quantity), **{"cart_id": "c", **fields})


def test_a_basket_grows_to_the_limit_and_its_own_units_count_once(
    level: StockLevel, most_units: Callable[[int], None]
) -> None:
    most_units(3)
    put_basket(basket(level, 2, customer_id="x"))
    put_basket(basket(level, 3))
    (fault,) = refused(lambda: put_basket(basket(level, 4)))
    assert (fault["limit"], fault["held"], fault["requested"]) == (3, 0, 4)
    assert counters(level) == (100, 3)


def test_a_basket_counts_what_its_customer_holds_elsewhere(
    level: StockLevel, most_units: Callable[[int], None]
) -> None:
    most_units(3)
    hold((level, 2), customer_id="x")
    put_basket(basket(level, 1, customer_id="x"))
    for again in (basket(level, 2, customer_id="x"), basket(level, 2)):
        assert [fault["held"] for fault in refused(partial_put(again))] == [2]


def partial_put(request: HoldRequest) -> Callable[[], Any]:
    return lambda: put_basket(request)


def test_a_basket_over_a_new_limit_shrinks_and_keeps_what_it_has(
    level: StockLevel, most_units: Callable[[int], None]
) -> None:
    other = make_level(10)
    put_basket(basket(level, 9))
    most_units(3)
    put_basket(basket(level, 8))
    put_basket(hold_request((level, 8), (other, 3), cart_id="c"))
    assert [fault["requested"] for fault in refused(lambda: put_basket(basket(level, 9)))] == [9]
    assert counters(level) == (100, 8)


# --- holds opened ----------------------------------------------------------------------------------------------------


def test_a_customer_opens_so_many_holds_in_a_while(level: StockLevel) -> None:
    most_holds(2)
    first = hold((level, 1), customer_id="x")
    release_hold(ReleaseRequest(ACTOR, Selector(first.id)))
    hold((level, 1), customer_id="x")
    (fault,) = refused(lambda: hold((level, 1), customer_id="x"))
    assert fault == {"pointer": "/customerId", "limit": 2, "held": 2, "requested": 1, "windowMinutes": 60}
    hold((level, 1), customer_id="y")
    Reservation.objects.filter(pk=first.id).update(created_at=first.created_at - timedelta(minutes=61))
    hold((level, 1), customer_id="x")


def test_holds_of_one_batch_count_each_other(level: StockLevel) -> None:
    most_holds(2)
    outcomes = place_holds([hold_request((level, 1), customer_id="x") for _ in range(4)])
    assert [isinstance(outcome, PlacedHold) for outcome in outcomes] == [True, True, False, False]


def test_changing_a_basket_opens_no_hold(level: StockLevel) -> None:
    most_holds(1)
    for quantity in (1, 2, 3):
        put_basket(basket(level, quantity))
    make_due(*Reservation.objects.values_list("id", flat=True))
    (fault,) = refused(lambda: put_basket(basket(level, 1)))
    assert (fault["pointer"], fault["held"]) == ("/cartId", 1)


# --- over HTTP -------------------------------------------------------------------------------------------------------


def test_a_limit_is_set_and_returned_over_http(api: Api, level: StockLevel) -> None:
    path = f"/api/v1/products/{level.product_id}"
    body = {"cartId": "c", "customerId": "x", "items": lines((level, 3))}
    assert api.post("reserve", body).status_code == 201
    assert api.put(path, {"sku": "s", "name": "n", "maxUnitsPerCustomer": 4}).status_code == 200
    for send, to in ((api.post, "reserve"), (api.post, "reserve?dryRun=true"), (api.put, "carts/d")):
        sent = (
            {"customerId": "x", "items": lines((level, 2))} if to == "carts/d" else {**body, "items": lines((level, 2))}
        )
        answer = send(to, sent)
        problem = answer.json()  # type: ignore[attr-defined]
        assert (answer.status_code, problem["code"]) == (409, "hold_limit_exceeded")
        (error,) = problem["errors"]
        assert (error["pointer"], error["limit"], error["held"], error["requested"]) == ("/items/0", 4, 3, 2)
    assert counters(level) == (100, 3)


@pytest.mark.parametrize("limit", [0, -1, 1.5, "3"])
def test_a_limit_is_a_positive_number(api: Api, level: StockLevel, limit: Any) -> None:
    path = f"/api/v1/products/{level.product_id}"
    assert api.put(path, {"sku": "s", "name": "n", "maxUnitsPerCustomer": limit}).status_code == 400
    store: dict[str, Any] = {"name": "n", "warehouses": [], "maxHoldsPerCustomer": limit, "holdWindowMinutes": 5}
    assert api.put("/api/v1/stores/main", store).status_code == 400
