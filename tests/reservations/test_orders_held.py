"""A reserve that is sent again for its order doesn't hold twice (docs/explanation/rules.md, rule 11)."""

from collections.abc import Callable

import pytest

from audit.roles import Role
from reservations.errors import OrderAlreadyHeld
from reservations.models import Reservation
from reservations.services.holds.extending import ExtendRequest, extend_hold
from reservations.services.holds.placing import HoldRequest, PlacedHold, place_hold, place_holds, plan_hold
from reservations.services.holds.resolution import ConsumeRequest, ReleaseRequest, consume_hold, release_hold
from reservations.services.holds.selecting import Selector
from tests.books import assert_books_balance
from tests.conftest import Api, body_of
from tests.contract.problems import problem
from tests.factories import ACTOR, counters, hold, hold_request, lines, make_due, make_level, make_store, status

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("store")]


@pytest.mark.parametrize("base", ["/api/v1/inventory/", "/api/inventory/"])
def test_an_order_is_held_once_unless_more_is_asked_for(api: Api, base: str) -> None:
    level = make_level(10)
    body = {"orderId": "o-1", "items": lines((level, 2))}
    made = body_of(api.post(f"{base}reserve", body, Idempotency_Key="one"), 201)
    assert body_of(api.post(f"{base}reserve", body, Idempotency_Key="one"), 201) == made
    for again in (body, {**body, "cartId": "c"}, {**body, "additional": False}):
        for path, key in (("reserve", None), ("reserve", "two"), ("reserve?dryRun=true", None)):
            headers = {"Idempotency_Key": key} if key else {}
            refused = problem(api.post(base + path, again, **headers), 409, "order_already_held")
            (fault,) = refused["errors"]
            assert (fault["pointer"], fault["code"]) == ("/orderId", "order_already_held")
            assert fault["reservationId"] == made["reservationId"]
            assert made["reservationId"] in refused["detail"]
    assert counters(level) == (10, 2)
    more = body_of(api.post(f"{base}reserve", {**body, "additional": True}), 201)
    assert counters(level) == (10, 4)
    ids = [fault["reservationId"] for fault in problem(api.post(f"{base}reserve", body), 409)["errors"]]
    assert ids == [made["reservationId"], more["reservationId"]]
    assert_books_balance()


def test_other_orders_carts_and_what_has_ended_do_not_stand_in_the_way() -> None:
    level = make_level(20)
    hold((level, 1), order_id="other")
    place_hold(hold_request((level, 1), cart_id="o"))
    for end in ("due", "expired", "released", "consumed"):
        made = place_hold(hold_request((level, 1), cart_id=None, order_id="o"))
        assert isinstance(made, PlacedHold)
        with pytest.raises(OrderAlreadyHeld):
            place_hold(hold_request((level, 1), order_id="o"))
        if end in ("due", "expired"):
            make_due(made.hold.id)
        if end in ("expired", "released"):
            release_hold(ReleaseRequest(ACTOR, Selector(made.hold.id)))
        if end == "consumed":
            consume_hold(ConsumeRequest(ACTOR, "o", Selector(made.hold.id)))
    assert isinstance(place_hold(hold_request((level, 1), order_id="o")), PlacedHold)
    assert isinstance(place_hold(hold_request((level, 1), order_id="o", cart_id="o", additional=True)), PlacedHold)
    assert_books_balance()


def test_an_extended_hold_stands_in_the_way_until_its_new_end() -> None:
    level = make_level(10)
    made = hold((level, 1), order_id="o", timeout_minutes=1)
    extend_hold(ExtendRequest(ACTOR, Selector(order_id="o"), 15))
    with pytest.raises(OrderAlreadyHeld) as refused:
        plan_hold(hold_request((level, 1), order_id="o"))
    assert refused.value.faults[0].facts == {"reservationId": made.public_id}


def test_a_store_sees_its_own_reservations_of_an_order_alone(make_api: Callable[..., Api]) -> None:
    make_store("outlet", "wh-001", is_default=False)
    level = make_level(10)
    hold((level, 1), order_id="o", store="outlet")
    api = make_api(Role.CHECKOUT, stores=("main",))
    body = {"orderId": "o", "items": lines((level, 1))}
    made = body_of(api.post("reserve", body), 201)
    refused = problem(api.post("reserve", body), 409, "order_already_held")
    assert [fault["reservationId"] for fault in refused["errors"]] == [made["reservationId"]]


def test_requests_of_one_batch_count_those_before_them() -> None:
    level, scarce = make_level(10), make_level(1)

    def asked(units: int = 1, order: str | None = "o", **fields: object) -> HoldRequest:
        return hold_request((level, units), order_id=order, **fields)

    requests = [
        hold_request((scarce, 2), order_id="o"),  # Short: it holds nothing.
        asked(),
        asked(),
        asked(additional=True),
        asked(order="p", additional=True),
        asked(order="p"),
        asked(order=None),
        asked(order=None),
    ]
    kinds = [type(outcome).__name__ for outcome in place_holds(requests)]
    held, refused = "PlacedHold", "OrderAlreadyHeld"
    assert kinds == ["InsufficientStock", held, refused, held, held, refused, held, held]
    assert counters(level) == (10, 5)
    assert_books_balance()


def test_a_refused_order_says_so_even_if_it_is_short_too() -> None:
    level = make_level(3)
    made = hold((level, 3), order_id="o")
    with pytest.raises(OrderAlreadyHeld):
        place_hold(hold_request((level, 3), order_id="o"))
    assert (Reservation.objects.count(), status(made)) == (1, "ACTIVE")
