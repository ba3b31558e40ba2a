"""What is checked before a request is refused for lack of stock: its key, its order, limits, freezes, its faults."""

from typing import Any

import pytest
from django.db import connection
from django.db.models.functions import Now
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from audit.errors import DomainError, IdempotencyKeyReused
from audit.idempotency import StoredAnswer, lifetime
from audit.models import IdempotencyKey
from inventory.errors import InsufficientStock, ProductFrozen, ProductInactive, StoreFrozen, WarehouseFrozen
from inventory.models import Product
from inventory.services.catalogue import freezing
from reservations.errors import HoldLimitExceeded, OrderAlreadyHeld
from reservations.services.holds import sold_out
from reservations.services.holds.placing import HoldRequest, PlacedHold, place_holds
from reservations.services.holds.resolution import ConsumeRequest, consume_hold
from reservations.services.holds.selecting import Selector
from reservations.services.holds.sourcing import RequestLine
from tests.conftest import Api, body_of
from tests.factories import (
    ACTOR,
    hold,
    hold_request,
    lines,
    make_level,
    make_store,
    receive,
)
from tests.sold_out import (
    long_memory,
    make_claim,
    refused_at_once,
    refused_from_a_read,
    reserve,
    sell_out,
    waits_for_locks,
)

__all__ = ["long_memory"]
pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("store", "long_memory")]


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
    assert not waits_for_locks(statements)
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


def test_limits_are_checked_before_stock(settings: Settings) -> None:
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
def test_freezes_are_checked_before_stock(subject: str, error: type[DomainError]) -> None:
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


def test_other_refusals_are_those_of_the_database() -> None:
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
