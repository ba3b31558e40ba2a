"""The cached catalogue never decides whether stock may be sold."""

from collections.abc import Callable
from typing import Any

import pytest
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, Settings

from inventory.errors import ListingExpired, ProductInactive, UnknownProduct, WarehouseInactive
from inventory.models import Product, StockLevel, StoreWarehouse, Warehouse
from reservations.services.holds import expiry
from reservations.services.holds.placing import HoldRequest, place_hold, place_holds
from reservations.services.holds.sourcing import RequestLine
from tests.factories import ACTOR, hold, hold_request, make_due, make_level, make_product, receive

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("store")]
STATEMENTS = 5
"""The number of statements: savepoint and its release (a test is a transaction), lock timeout, lock, write."""


def sourced(level: StockLevel, quantity: int = 1) -> HoldRequest:
    """A request without a warehouse."""
    return HoldRequest(ACTOR, (RequestLine(level.product_id, None, quantity),), cart_id="cart")


def pinned(level: StockLevel) -> HoldRequest:
    """A request that names its warehouse."""
    return HoldRequest(ACTOR, (RequestLine(level.product_id, None, 1, "wh-001"),), cart_id="cart")


def test_what_was_read_is_not_read_again(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    level = make_level(10)
    with django_assert_num_queries(STATEMENTS + 2):
        place_hold(sourced(level))
    with django_assert_num_queries(STATEMENTS):
        place_holds([sourced(level), hold_request((level, 1))])


def test_nothing_is_remembered_for_longer_than_it_may_be(
    settings: Settings, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    settings.CATALOGUE_CACHE_SECONDS = 0
    level = make_level(10)
    for _ in range(2):
        with django_assert_num_queries(STATEMENTS + 2):
            place_hold(sourced(level))


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda level: Product.objects.filter(pk=level.product_id).update(is_active=False), ProductInactive),
        (
            lambda level: Product.objects.filter(pk=level.product_id).update(listing_expires_at=timezone.now()),
            ListingExpired,
        ),
        (lambda level: Warehouse.objects.filter(pk=level.warehouse_id).update(is_active=False), WarehouseInactive),
    ],
    ids=["product", "listing", "warehouse"],
)
def test_what_may_no_longer_be_sold_is_refused_at_once(
    change: Callable[[StockLevel], object], error: type[Exception]
) -> None:
    level = make_level(10)
    place_hold(pinned(level))
    change(level)
    with pytest.raises(error):
        place_hold(pinned(level))


def test_variant_follows_its_parent_at_once() -> None:
    parent = make_product()
    variant = make_product(parent=parent)
    receive(variant.id, 10)
    request = HoldRequest(ACTOR, (RequestLine(variant.id, None, 1),), cart_id="cart")
    place_hold(request)
    Product.objects.filter(pk=parent.pk).update(is_active=False)
    with pytest.raises(ProductInactive):
        place_hold(HoldRequest(ACTOR, request.lines, cart_id="other"))


def test_a_closed_warehouse_gives_way_to_the_next_at_once() -> None:
    level = make_level(10)
    receive(level.product_id, 10, "wh-002")
    place_hold(sourced(level))
    Warehouse.objects.filter(pk=level.warehouse_id).update(is_active=False)
    held = place_hold(sourced(level)).hold  # type: ignore[union-attr]
    assert [item.warehouse for item in held.items] == ["wh-002"]


def test_a_warehouse_that_opens_again_sells_again_though_it_is_remembered_as_closed() -> None:
    level = make_level(10)
    Warehouse.objects.filter(pk=level.warehouse_id).update(is_active=False)
    with pytest.raises(WarehouseInactive):
        place_hold(pinned(level))
    Warehouse.objects.filter(pk=level.warehouse_id).update(is_active=True)
    assert place_hold(pinned(level))


def test_a_product_that_was_unknown_is_found_once_it_is_there() -> None:
    with pytest.raises(UnknownProduct):
        place_hold(HoldRequest(ACTOR, (RequestLine(make_product_id := Product().id, None, 1),), cart_id="cart"))
    Product.objects.create(id=make_product_id, sku="NEW", name="New")
    receive(make_product_id, 1)
    assert place_hold(HoldRequest(ACTOR, (RequestLine(make_product_id, None, 1),), cart_id="cart"))


def test_a_first_receipt_elsewhere_is_sold_from_at_once() -> None:
    level = make_level(1)
    place_hold(sourced(level))
    receive(level.product_id, 5, "wh-002")
    assert place_hold(sourced(level, 5))


def test_a_warehouse_that_was_closed_when_it_was_read_sells_as_soon_as_it_opens() -> None:
    level = make_level(10)
    receive(level.product_id, 1, "wh-002")
    closed = Warehouse.objects.filter(pk=level.warehouse_id)
    closed.update(is_active=False)
    place_hold(sourced(level))
    closed.update(is_active=True)
    assert place_hold(sourced(level, 5)).hold.items[0].warehouse == "wh-001"  # type: ignore[union-attr]


def test_what_closes_while_due_holds_are_freed_is_refused_as_what_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    level = make_level(1)
    make_due(hold((level, 1)).id)
    free = expiry.free_due_holds

    def free_and_close(*arguments: Any) -> None:
        free(*arguments)
        Product.objects.filter(pk=level.product_id).update(is_active=False)

    monkeypatch.setattr(expiry, "free_due_holds", free_and_close)
    with pytest.raises(ProductInactive):
        place_hold(sourced(level))


def test_a_store_that_changed_is_followed_after_the_time() -> None:
    level = make_level(10)
    receive(level.product_id, 10, "wh-002")
    place_hold(sourced(level))
    StoreWarehouse.objects.filter(warehouse__code="wh-001").update(priority=99)
    assert place_hold(sourced(level)).hold.items[0].warehouse == "wh-001"  # type: ignore[union-attr]
