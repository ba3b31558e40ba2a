"""Late payments make a new, sold reservation and never revive the dead one (docs/explanation/rules.md, rule 9)."""

from datetime import timedelta
from typing import Any

import pytest

from inventory.errors import InsufficientStock, ListingExpired, ProductInactive, WarehouseInactive
from inventory.models import Movement, Product, StockLevel, Warehouse
from reservations.errors import ReservationConsumed, ReservationExpired
from reservations.models import Reservation
from reservations.services.holds.documents import Hold
from reservations.services.holds.resolution import (
    ConsumeRequest,
    ReleaseRequest,
    Resolved,
    consume_hold,
    consume_holds,
    release_hold,
)
from reservations.services.holds.selecting import Selector
from reservations.services.holds.sourcing import RequestLine
from tests.conftest import Api
from tests.factories import ACTOR, counters, hold, make_due, make_level, published, receive, recorded

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("store")]


@pytest.fixture(params=["due", "expired"])
def dead(request: Any) -> Any:
    """Make an expired hold, recorded as such or still due."""

    def make(*lines: tuple[StockLevel, int], **fields: Any) -> Hold:
        made = hold(*lines, **fields)
        make_due(made.id)
        if request.param == "expired":
            release_hold(ReleaseRequest(ACTOR, Selector(reservation_id=made.id)))
        return made

    return make


def reacquire(selector: Selector, order: str = "order") -> tuple[Hold, ...]:
    resolved = consume_hold(ConsumeRequest(ACTOR, order, selector, reacquire=True))
    assert isinstance(resolved, Resolved)
    return resolved.holds


def test_the_dead_one_is_expired_and_a_new_one_is_sold(dead: Any) -> None:
    level = make_level(10)
    old = dead((level, 4), cart_id="c")
    (new,) = reacquire(Selector(reservation_id=old.id))
    assert (new.status, new.reacquired_from, new.order_id, new.cart_id) == ("CONSUMED", old.id, "order", "c")
    assert new.id != old.id
    assert counters(level) == (6, 0)
    assert Reservation.objects.get(pk=old.id).status == "EXPIRED"
    row = Reservation.objects.get(pk=new.id)
    assert (row.status, row.reacquired_from_id) == ("CONSUMED", old.id)
    assert list(Movement.objects.filter(type="SHIPMENT").values_list("quantity", flat=True)) == [-4]
    assert [entry.subject_id for entry in recorded("inventory_reservation_expired")] == [old.id]
    assert [entry.subject_id for entry in recorded("inventory_reservation_created")] == [old.id, new.id]
    assert recorded("inventory_reservation_consumed")[0].changes["reacquiredFrom"] == str(old.id)
    assert published("InventoryConsumedEvent")[0]["reservationId"] == new.public_id


@pytest.mark.parametrize("how", ["reservation", "cart", "order"])
def test_the_same_order_again_gets_the_same_answer(dead: Any, how: str) -> None:
    level = make_level(10)
    old = dead((level, 4), cart_id="c", order_id="order")
    selectors = {
        "reservation": Selector(reservation_id=old.id),
        "cart": Selector(cart_id="c"),
        "order": Selector(order_id="order"),
    }
    first = reacquire(selectors[how])
    assert reacquire(selectors[how]) == first
    for again in selectors.values():
        resolved = consume_hold(ConsumeRequest(ACTOR, "order", again))
        assert isinstance(resolved, Resolved)
        assert [hold.id for hold in resolved.holds] == [hold.id for hold in first]
    assert counters(level) == (6, 0)


def test_another_order_is_refused(dead: Any) -> None:
    level = make_level(10)
    old = dead((level, 4), cart_id="c")
    reacquire(Selector(reservation_id=old.id), "first")
    for selector in (Selector(reservation_id=old.id), Selector(cart_id="c")):
        with pytest.raises(ReservationConsumed):
            reacquire(selector, "second")
    assert counters(level) == (6, 0)


def test_twice_in_one_batch_sells_once(dead: Any) -> None:
    level = make_level(10)
    selector = Selector(reservation_id=dead((level, 4)).id)
    first, again, other = consume_holds(
        [ConsumeRequest(ACTOR, order, selector, reacquire=True) for order in ("a", "a", "b")]
    )
    assert isinstance(first, Resolved)
    assert first == again
    assert isinstance(other, ReservationConsumed)
    assert counters(level) == (6, 0)


def test_it_comes_from_the_same_warehouse_though_another_is_preferred(dead: Any) -> None:
    level = make_level(5, "wh-002")
    old = dead((level, 4))
    preferred = receive(level.product_id, 50, "wh-001")
    (new,) = reacquire(Selector(reservation_id=old.id))
    assert [(item.warehouse, item.quantity) for item in new.items] == [("wh-002", 4)]
    assert counters(preferred) == (50, 0)


def test_a_sourced_line_is_sourced_again_if_its_warehouse_has_sold_out(dead: Any) -> None:
    level, stays = make_level(4, "wh-001"), make_level(5, "wh-001")
    old = dead((level, 4), (stays, 1))
    hold((level, 1))
    other = receive(level.product_id, 4, "wh-002")
    (new,) = reacquire(Selector(reservation_id=old.id))
    assert sorted((item.stock_id, item.warehouse, item.quantity) for item in new.items) == sorted(
        [(level.product_id, "wh-002", 4), (stays.product_id, "wh-001", 1)]
    )
    assert (counters(level), counters(other), counters(stays)) == ((4, 1), (0, 0), (4, 0))


def test_a_named_warehouse_is_not_given_up(dead: Any) -> None:
    level = make_level(4, "wh-001")
    old = dead(lines=(RequestLine(level.product_id, None, 4, "wh-001"),))
    hold((level, 1))
    receive(level.product_id, 50, "wh-002")
    with pytest.raises(InsufficientStock) as refused:
        reacquire(Selector(reservation_id=old.id))
    assert [(short.warehouse, short.requested, short.available) for short in refused.value.shortages] == [
        ("wh-001", 4, 3)
    ]


def test_too_little_writes_nothing(dead: Any) -> None:
    level = make_level(4)
    old = dead((level, 4))
    hold((level, 2))
    before = Reservation.objects.get(pk=old.id).status
    with pytest.raises(InsufficientStock):
        reacquire(Selector(reservation_id=old.id))
    assert Reservation.objects.filter(reacquired_from__isnull=False).count() == 0
    assert counters(level)[0] == 4
    assert Reservation.objects.get(pk=old.id).status in {before, "EXPIRED"}
    assert not Movement.objects.filter(type="SHIPMENT").exists()


def test_due_holds_of_others_do_not_count_as_reserved(dead: Any) -> None:
    level = make_level(4)
    old = dead((level, 4))
    release_hold(ReleaseRequest(ACTOR, Selector(reservation_id=old.id)))
    squatter = hold((level, 3))
    make_due(squatter.id)
    reacquire(Selector(reservation_id=old.id))
    assert counters(level) == (0, 0)
    assert Reservation.objects.get(pk=squatter.id).status == "EXPIRED"


@pytest.mark.parametrize("how", ["cart", "order"])
def test_living_and_dead_ones_of_a_cart_or_order_are_sold_together(how: str) -> None:
    level = make_level(10)
    alive = hold((level, 2), cart_id="c", order_id="order")
    old = hold((level, 3), cart_id="c", order_id="order")
    make_due(old.id, ago=timedelta(0))  # It expired after the active one was made, so neither replaced the other.
    sold = reacquire(Selector(cart_id="c") if how == "cart" else Selector(order_id="order"))
    assert {hold.reacquired_from or hold.id for hold in sold} == {alive.id, old.id}
    assert counters(level) == (5, 0)


def test_a_sourced_line_leaves_a_warehouse_that_was_switched_off(dead: Any) -> None:
    level = make_level(4, "wh-001")
    old = dead((level, 4))
    receive(level.product_id, 4, "wh-002")
    Warehouse.objects.filter(code="wh-001").update(is_active=False)
    (new,) = reacquire(Selector(reservation_id=old.id))
    assert [(item.warehouse, item.quantity) for item in new.items] == [("wh-002", 4)]


@pytest.mark.parametrize(("on_hand", "enough"), [(6, True), (5, False)])
def test_two_dead_holds_do_not_get_the_same_units(on_hand: int, *, enough: bool) -> None:
    level = make_level(6)
    both = [hold((level, 3), cart_id=None, order_id="order") for _ in range(2)]
    make_due(*(made.id for made in both), ago=timedelta(0))
    if not enough:
        release_hold(ReleaseRequest(ACTOR, Selector(order_id="order")))
        hold((level, 6 - on_hand))
        with pytest.raises(InsufficientStock):
            reacquire(Selector(order_id="order"))
        assert counters(level) == (6, 1)
        return
    assert {new.reacquired_from for new in reacquire(Selector(order_id="order"))} == {made.id for made in both}
    assert counters(level) == (0, 0)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda: Product.objects.update(is_active=False), ProductInactive),
        (lambda: Product.objects.update(listing_expires_at="2020-01-01T00:00:00Z"), ListingExpired),
        (lambda: Warehouse.objects.update(is_active=False), WarehouseInactive),
    ],
)
def test_what_may_not_be_sold_gets_no_new_hold(dead: Any, change: Any, error: type[Exception]) -> None:
    level = make_level(10)
    old = dead(lines=(RequestLine(level.product_id, None, 4, "wh-001"),))
    change()
    with pytest.raises(error):
        reacquire(Selector(reservation_id=old.id))
    assert counters(level)[0] == 10


def test_the_answer_carries_both_ids(api: Api, dead: Any) -> None:
    old = dead((make_level(10), 4), cart_id="c")
    body = {"orderId": "o", "reservationId": old.public_id}
    assert api.post("consume", body).status_code == 409
    answer = api.post("consume", {**body, "reacquire": True})
    sold = answer.json()  # type: ignore[attr-defined]
    assert (answer.status_code, sold["reacquiredFrom"]) == (200, old.public_id)
    assert sold["reservationId"] != old.public_id
    assert api.get(f"reservations/{sold['reservationId']}").json()["reacquiredFrom"] == old.public_id  # type: ignore[attr-defined]
    assert api.post("consume", {**body, "reacquire": True}).json() == sold  # type: ignore[attr-defined]


def test_without_being_asked_nothing_is_reacquired(dead: Any) -> None:
    old = dead((make_level(10), 4))
    with pytest.raises(ReservationExpired):
        consume_hold(ConsumeRequest(ACTOR, "order", Selector(reservation_id=old.id)))
