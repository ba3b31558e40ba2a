"""A hold ends once: consumed or released."""

from datetime import timedelta
from typing import Any

import pytest
from uuid_utils.compat import uuid7

from audit.actors import Actor
from audit.errors import DomainError
from inventory.models import Movement, Product, StockLevel, Warehouse
from reservations.errors import (
    ReservationConsumed,
    ReservationExpired,
    ReservationNotFound,
    ReservationReleased,
    ReservedForAnotherOrder,
)
from reservations.models import Reservation, ReservationItem
from reservations.services.holds.documents import Hold
from reservations.services.holds.extending import ExtendRequest, extend_hold
from reservations.services.holds.resolution import (
    ConsumeRequest,
    ReleaseRequest,
    Resolved,
    consume_hold,
    consume_holds,
    release_hold,
    release_holds,
)
from reservations.services.holds.selecting import Selector
from tests.conftest import Api
from tests.factories import ACTOR, counters, hold, lines, make_due, make_level, make_store, published, recorded

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("store")]


def by(made: Hold) -> Selector:
    return Selector(reservation_id=made.id)


def release(selector: Selector, actor: Actor = ACTOR, reason: str = "") -> list[Hold]:
    resolved = release_hold(ReleaseRequest(actor, selector, reason))
    assert isinstance(resolved, Resolved)
    return list(resolved.holds)


def consume(selector: Selector, order: str = "order", actor: Actor = ACTOR, *, reacquire: bool = False) -> list[Hold]:
    resolved = consume_hold(ConsumeRequest(actor, order, selector, reacquire))
    assert isinstance(resolved, Resolved)
    return list(resolved.holds)


def status(made: Hold) -> str:
    return str(Reservation.objects.get(pk=made.id).status)


def shipped(level: StockLevel) -> list[int]:
    return list(Movement.objects.filter(level=level, type="SHIPMENT").values_list("quantity", flat=True))


# --- release ---------------------------------------------------------------------------------------------------------


def test_a_release_gives_the_stock_back_with_its_reason() -> None:
    level = make_level(10)
    made = hold((level, 4))
    (ended,) = release(by(made), reason="changed their mind")
    assert (ended.status, ended.reason, counters(level)) == ("RELEASED", "changed their mind", (10, 0))
    row = Reservation.objects.get(pk=made.id)
    assert (row.status, row.reason, row.released_at) == ("RELEASED", "changed their mind", ended.released_at)
    assert ReservationItem.objects.get(reservation=made.id).held_until is None
    (entry,) = recorded("inventory_reservation_released")
    assert (entry.subject_id, entry.changes["reason"]) == (made.id, "changed their mind")
    (event,) = published("InventoryReleasedEvent")
    assert (event["reservationId"], event["reason"]) == (made.public_id, "changed their mind")
    assert shipped(level) == []


@pytest.mark.parametrize("owner", ["cart_id", "order_id"])
def test_a_release_by_cart_or_order_ends_all_that_were_active(owner: str) -> None:
    level = make_level(20)
    ours = [hold((level, 2), **{"cart_id": None, owner: "mine"}) for _ in range(3)]
    other = hold((level, 5), **{"cart_id": None, owner: "other"})
    release(by(ours[0]))
    make_due(ours[1].id)
    ended = release(Selector(**{owner: "mine"}))
    assert [(hold.id, hold.status) for hold in ended] == [(ours[1].id, "EXPIRED"), (ours[2].id, "RELEASED")]
    assert (status(other), counters(level)) == ("ACTIVE", (20, 5))


def test_a_due_hold_is_recorded_and_returned_as_expired() -> None:
    level = make_level(10)
    made = hold((level, 4))
    make_due(made.id)
    (ended,) = release(by(made), reason="too late")
    assert (ended.status, status(made), counters(level)) == ("EXPIRED", "EXPIRED", (10, 0))
    assert [entry.subject_id for entry in recorded("inventory_reservation_expired")] == [made.id]
    assert recorded("inventory_reservation_released") == []
    assert published("InventoryReleasedEvent")[0]["reason"] == "expired"


@pytest.mark.parametrize("first", ["RELEASED", "EXPIRED"])
def test_a_second_release_changes_nothing_and_returns_the_first_result(first: str) -> None:
    level = make_level(10)
    made = hold((level, 4))
    if first == "EXPIRED":
        make_due(made.id)
    (once,) = release(by(made), reason="first")
    (again,) = release(by(made), reason="second")
    assert again == once
    assert (again.status, counters(level)) == (first, (10, 0))
    assert len(published("InventoryReleasedEvent")) == 1
    assert level.version == StockLevel.objects.get(pk=level.pk).version


def test_what_was_sold_is_not_released() -> None:
    level = make_level(10)
    made = hold((level, 4), cart_id="c", order_id="order")
    consume(by(made))
    for selector in (by(made), Selector(cart_id="c"), Selector(order_id="order")):
        with pytest.raises(ReservationConsumed):
            release(selector)
    assert counters(level) == (6, 0)


def test_only_holds_in_the_actors_reach_are_ended() -> None:
    make_store("outlet", "wh-001", is_default=False)
    level = make_level(10)
    made = hold((level, 1), cart_id="c", order_id="o")
    outsider = Actor("x", None, "", "api", ("outlet",))
    for selector in (by(made), Selector(cart_id="c"), Selector(order_id="o")):
        with pytest.raises(ReservationNotFound):
            release(selector, outsider)
        with pytest.raises(ReservationNotFound):
            consume(selector, "o", outsider)
    for selector in (Selector(reservation_id=uuid7()), Selector(cart_id="none"), Selector(order_id="none")):
        with pytest.raises(ReservationNotFound):
            release(selector)
        with pytest.raises(ReservationNotFound):
            consume(selector)
    mine = hold((level, 1), cart_id="c", store="outlet")
    assert [ended.id for ended in release(Selector(cart_id="c"), outsider)] == [mine.id]
    assert status(made) == "ACTIVE"


# --- consume ---------------------------------------------------------------------------------------------------------


def test_a_sale_lowers_on_hand_and_reserved_with_a_shipment_an_item() -> None:
    level, other = make_level(10), make_level(5, "wh-002")
    made = hold((level, 4), (other, 5))
    (sold,) = consume(by(made), "order-1", Actor("till", None, "", "api"))
    assert (counters(level), counters(other)) == ((6, 0), (0, 0))
    assert (sold.status, sold.order_id) == ("CONSUMED", "order-1")
    row = Reservation.objects.get(pk=made.id)
    assert (row.status, row.order_id, row.consumed_at, row.released_at) == (
        "CONSUMED",
        "order-1",
        sold.consumed_at,
        None,
    )
    movement = Movement.objects.get(level=level, type="SHIPMENT")
    assert (movement.quantity, movement.quantity_before, movement.quantity_after) == (-4, 10, 6)
    assert (movement.reference_type, movement.reference, movement.actor) == ("order", "order-1", "till")
    assert shipped(other) == [-5]
    (entry,) = recorded("inventory_reservation_consumed")
    assert (entry.subject_id, entry.actor, entry.changes["orderId"]) == (made.id, "till", "order-1")
    (event,) = published("InventoryConsumedEvent")
    assert (event["reservationId"], event["orderId"], len(event["items"])) == (made.public_id, "order-1", 2)


@pytest.mark.parametrize("selector", [Selector(cart_id="c"), Selector(order_id="order")])
def test_a_sale_by_cart_or_order_takes_all_of_it(selector: Selector) -> None:
    level = make_level(20)
    ours = [hold((level, 2), cart_id="c", order_id="order") for _ in range(2)]
    hold((level, 3))
    assert [hold.id for hold in consume(selector)] == [hold.id for hold in ours]
    assert counters(level) == (16, 3)
    assert shipped(level) == [-2, -2]


@pytest.mark.parametrize("selector", ["reservation", "cart", "order"])
def test_the_same_order_again_gets_the_same_answer_and_sells_nothing(selector: str) -> None:
    level = make_level(10)
    made = hold((level, 4), cart_id="c", order_id="order")
    chosen = {"reservation": by(made), "cart": Selector(cart_id="c"), "order": Selector(order_id="order")}[selector]
    first = consume(chosen)
    for _ in range(2):
        assert consume(chosen) == first
        assert consume(chosen, reacquire=True) == first
    assert (counters(level), shipped(level)) == ((6, 0), [-4])
    assert len(published("InventoryConsumedEvent")) == 1


@pytest.mark.parametrize("selector", ["reservation", "cart"])
@pytest.mark.parametrize("reacquire", [False, True])
def test_another_order_is_refused(selector: str, *, reacquire: bool) -> None:
    made = hold((make_level(10), 4), cart_id="c")
    consume(by(made), "first")
    chosen = by(made) if selector == "reservation" else Selector(cart_id="c")
    with pytest.raises(ReservationConsumed):
        consume(chosen, "second", reacquire=reacquire)


@pytest.mark.parametrize("is_dead", [False, True])
@pytest.mark.parametrize("selector", ["reservation", "cart"])
def test_what_was_reserved_for_another_order_is_not_sold_to_this_one(selector: str, *, is_dead: bool) -> None:
    level = make_level(10)
    made = hold((level, 4), cart_id="c", order_id="theirs")
    if is_dead:
        make_due(made.id)
    chosen = by(made) if selector == "reservation" else Selector(cart_id="c")
    with pytest.raises(ReservedForAnotherOrder, match="theirs") as refused:
        consume(chosen, "ours", reacquire=is_dead)
    assert [fault.facts for fault in refused.value.faults] == [{"reservationId": made.public_id}]
    assert (status(made), counters(level)) == ("ACTIVE", (10, 4))
    (sold,) = consume(chosen, "theirs", reacquire=is_dead)
    assert (sold.order_id, counters(level)) == ("theirs", (6, 0))


def test_one_hold_of_another_order_refuses_the_whole_cart() -> None:
    level = make_level(10)
    free = hold((level, 1), cart_id="c")
    theirs = hold((level, 2), cart_id="c", order_id="theirs")
    with pytest.raises(ReservedForAnotherOrder):
        consume(Selector(cart_id="c"), "ours")
    assert ([status(free), status(theirs)], shipped(level)) == (["ACTIVE"] * 2, [])


@pytest.mark.parametrize("reacquire", [False, True])
def test_what_was_released_is_not_sold(*, reacquire: bool) -> None:
    level = make_level(10)
    made = hold((level, 4), cart_id="c")
    release(by(made))
    for selector in (by(made), Selector(cart_id="c")):
        with pytest.raises(ReservationReleased):
            consume(selector, reacquire=reacquire)
    assert counters(level) == (10, 0)


@pytest.mark.parametrize("recorded_as", ["due", "expired"])
def test_a_dead_hold_is_not_sold(recorded_as: str) -> None:
    level = make_level(10)
    made = hold((level, 4))
    make_due(made.id)
    if recorded_as == "expired":
        release(by(made))
    with pytest.raises(ReservationExpired) as refused:
        consume(by(made))
    assert [fault.facts for fault in refused.value.faults] == [{"reservationId": made.public_id}]
    assert counters(level)[0] == 10


def test_one_dead_hold_refuses_all_and_is_named() -> None:
    level = make_level(20)
    live, dead, later = (hold((level, 2), cart_id="c") for _ in range(3))
    make_due(dead.id, ago=timedelta(0))  # It expired after the last one was made, so none has replaced it.
    with pytest.raises(ReservationExpired) as refused:
        consume(Selector(cart_id="c"))
    assert [fault.facts["reservationId"] for fault in refused.value.faults] == [dead.public_id]
    assert [status(hold) for hold in (live, dead, later)] == ["ACTIVE"] * 3
    assert (counters(level), shipped(level)) == ((20, 6), [])


def test_a_dead_hold_that_the_shopper_replaced_does_not_prevent_a_sale() -> None:
    level = make_level(20)
    dead = hold((level, 2), cart_id="c")
    make_due(dead.id)
    fresh = hold((level, 3), cart_id="c")
    assert [sold.id for sold in consume(Selector(cart_id="c"))] == [fresh.id]
    assert (counters(level)[0], shipped(level)) == (17, [-3])


def test_a_late_repetition_does_not_sell_what_the_cart_holds_since() -> None:
    level = make_level(20)
    first = hold((level, 2), cart_id="c")
    sold = consume(Selector(cart_id="c"), "order")
    since = hold((level, 5), cart_id="c")
    assert consume(Selector(cart_id="c"), "order") == sold
    assert (status(first), status(since), counters(level)) == ("CONSUMED", "ACTIVE", (18, 5))
    assert [hold.id for hold in consume(Selector(cart_id="c"), "next")] == [since.id]
    assert counters(level) == (13, 0)


def test_a_hold_is_honoured_whatever_becomes_inactive_later() -> None:
    level = make_level(10)
    made = hold((level, 4))
    Product.objects.update(is_active=False)
    Warehouse.objects.update(is_active=False)
    StockLevel.objects.update(min_stock_level=10)
    extend_hold(ExtendRequest(ACTOR, Selector(made.id), 1))
    consume(by(made))
    assert counters(level) == (6, 0)


def test_each_request_of_a_batch_is_decided_on_what_the_ones_before_left() -> None:
    level = make_level(20)
    one, two = hold((level, 2)), hold((level, 3))
    outcomes = consume_holds(
        [
            ConsumeRequest(ACTOR, "a", by(one)),
            ConsumeRequest(ACTOR, "a", by(one)),
            ConsumeRequest(ACTOR, "b", by(one)),
            ConsumeRequest(ACTOR, "b", by(two)),
            ConsumeRequest(ACTOR, "c", Selector(cart_id="none")),
        ]
    )
    kinds = [outcome.code if isinstance(outcome, DomainError) else "sold" for outcome in outcomes]
    assert kinds == ["sold", "sold", "reservation_consumed", "sold", "reservation_not_found"]
    assert (counters(level), sorted(shipped(level))) == ((15, 0), [-3, -2])


def test_a_batch_of_releases_gives_back_once() -> None:
    level = make_level(20)
    one, two = hold((level, 2)), hold((level, 3))
    outcomes = release_holds([ReleaseRequest(ACTOR, by(made)) for made in (one, one, two)])
    assert all(isinstance(outcome, Resolved) for outcome in outcomes)
    assert (counters(level), len(published("InventoryReleasedEvent"))) == ((20, 0), 2)


# --- HTTP ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("release", {}),
        ("release", {"cartId": "c", "orderId": "o"}),
        ("release", {"cartId": "c", "reservationId": "res-01900000-0000-7000-8000-000000000001"}),
        ("consume", {"orderId": "o", "cartId": "c", "reservationId": "res-01900000-0000-7000-8000-000000000001"}),
        ("consume", {"cartId": "c"}),
    ],
)
def test_a_command_means_one_thing(api: Api, path: str, body: dict[str, Any]) -> None:
    assert api.post(path, body).status_code == 400


def test_the_answer_is_a_list_with_the_fields_of_a_named_reservation_beside_it(api: Api) -> None:
    level = make_level(20)
    one = api.post("reserve", {"cartId": "c", "items": lines((level, 2))}).json()  # type: ignore[attr-defined]
    two = api.post("reserve", {"orderId": "o", "items": lines((level, 3))}).json()  # type: ignore[attr-defined]
    released = api.post("release", {"reservationId": one["reservationId"], "reason": "r"}).json()  # type: ignore[attr-defined]
    assert (released["status"], released["reason"], released["items"][0]["released"]) == ("RELEASED", "r", True)
    assert released["reservations"] == [beside(released)]
    again = api.post("release", {"reservationId": one["reservationId"]}).json()  # type: ignore[attr-defined]
    assert again == released
    assert api.post("release", {"cartId": "c"}).json() == {"status": "RELEASED", "reservations": []}  # type: ignore[attr-defined]
    sold = api.post("consume", {"orderId": "o"}).json()  # type: ignore[attr-defined]
    assert (sold["status"], sold["orderId"]) == ("CONSUMED", "o")
    assert [each["reservationId"] for each in sold["reservations"]] == [two["reservationId"]]
    alone = api.post("consume", {"orderId": "o", "reservationId": two["reservationId"]}).json()  # type: ignore[attr-defined]
    assert alone == {**sold["reservations"][0], "reservations": sold["reservations"]}
    assert alone["items"][0]["consumed"] is True


def beside(answer: dict[str, Any]) -> dict[str, Any]:
    """The fields beside the list of reservations."""
    return {name: value for name, value in answer.items() if name != "reservations"}


def test_a_dead_hold_is_named_in_the_problem(api: Api) -> None:
    made = hold((make_level(10), 1), cart_id="c")
    make_due(made.id)
    response = api.post("consume", {"orderId": "o", "cartId": "c"})
    document = response.json()  # type: ignore[attr-defined]
    assert (response.status_code, document["code"]) == (409, "reservation_expired")
    assert document["errors"][0]["reservationId"] == made.public_id


def test_a_cart_whose_latest_hold_was_given_back_is_given_back_though_an_earlier_one_was_sold() -> None:
    level = make_level(10)
    sold = hold((level, 1), cart_id="cart-1")
    consume_hold(ConsumeRequest(ACTOR, "order-1", Selector(reservation_id=sold.id)))
    hold((level, 2), cart_id="cart-1")
    request = ReleaseRequest(ACTOR, Selector(cart_id="cart-1"))
    first, second = release_hold(request), release_hold(request)
    assert isinstance(first, Resolved)
    assert isinstance(second, Resolved)
    assert (len(first.holds), len(second.holds)) == (1, 0)
    assert counters(level) == (9, 0)
