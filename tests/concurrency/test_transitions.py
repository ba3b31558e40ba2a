"""A hold ends exactly once, also beside concurrent commands that end, extend or change it."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from itertools import chain
from typing import Any

import pytest
from django.db import connection

from audit.errors import DomainError
from inventory.combining import GroupCommit
from inventory.models import Movement
from reservations.errors import (
    AlreadyExtended,
    ReservationConsumed,
    ReservationExpired,
    ReservationNotFound,
    ReservationReleased,
)
from reservations.models import Reservation, ReservationItem
from reservations.services.holds.baskets import empty_basket, put_basket
from reservations.services.holds.documents import Hold
from reservations.services.holds.expiry import expire_due_holds
from reservations.services.holds.extending import Extended, ExtendRequest, extend_hold, extend_holds
from reservations.services.holds.placing import PlacedHold
from reservations.services.holds.resolution import ConsumeRequest, ReleaseRequest, Resolved, consume_hold, release_hold
from reservations.services.holds.selecting import Selector
from tests.books import assert_books_balance
from tests.concurrency.threads import Crew, await_moment, await_waiting, stranger, together
from tests.factories import ACTOR, counters, hold, hold_request, make_due, make_level, published, recorded, status

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("store")]
ROUNDS = 8


def consume(held: Hold, order: str = "order-1", *, reacquire: bool = False) -> Callable[[], Any]:
    request = ConsumeRequest(ACTOR, order, Selector(reservation_id=held.id), reacquire)
    return partial(consume_hold, request)


def release(held: Hold) -> Callable[[], Any]:
    return partial(release_hold, ReleaseRequest(ACTOR, Selector(reservation_id=held.id)))


def extend(held: Hold) -> Callable[[], Any]:
    return partial(extend_hold, ExtendRequest(ACTOR, Selector(held.id), 5))


def end_soon(held: Hold) -> datetime:
    """Let a hold end in a second. Returns its new end."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        end: datetime = cursor.fetchone()[0] + timedelta(seconds=1)
    Reservation.objects.filter(id=held.id).update(expires_at=end)
    ReservationItem.objects.filter(reservation=held.id).update(held_until=end)
    return end


def across_the_end(held: Hold, table: str, work: Callable[[], Any]) -> Any:
    """The outcome of work that starts before the hold's end and waits for a row of ``table`` until after it."""
    locks = {
        "reservation": ("reservations_reservation", held.id),
        "level": ("inventory_stocklevel", held.items[0].level_id),
    }
    name, row_id = locks[table]
    with stranger() as other:
        end = end_soon(held)
        other.execute(f"SELECT FROM {name} WHERE id = %s FOR NO KEY UPDATE", [row_id])
        crew = Crew(work)
        await_waiting()
        await_moment(end)
        other.rollback()
    return crew.join()[0]


def test_20_consumes_of_one_hold_ship_it_once_and_answer_alike() -> None:
    level = make_level(10)
    held = hold((level, 3))
    outcomes = together(*(consume(held) for _ in range(20)))
    assert {type(outcome) for outcome in outcomes} == {Resolved}
    assert len({outcome.holds for outcome in outcomes}) == 1
    assert Movement.objects.filter(type="SHIPMENT").count() == 1
    assert counters(level) == (7, 0)


def test_20_consumes_of_one_order_ship_all_of_it_once() -> None:
    level = make_level(10)
    for _ in range(3):
        hold((level, 2), order_id="order-1")
    request = ConsumeRequest(ACTOR, "order-1", Selector(order_id="order-1"))
    outcomes = together(*(partial(consume_hold, request) for _ in range(20)))
    assert len({outcome.holds for outcome in outcomes}) == 1
    assert counters(level) == (4, 0)


def test_of_two_orders_one_gets_the_hold() -> None:
    level = make_level(10)
    held = hold((level, 3))
    outcomes = together(*(consume(held, f"order-{number}") for number in range(6)))
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["ReservationConsumed"] * 5 + ["Resolved"]
    assert counters(level) == (7, 0)


def test_a_hold_is_consumed_or_released() -> None:
    for _ in range(ROUNDS):
        level = make_level(10)
        held = hold((level, 3))
        sale, given_back = together(consume(held), release(held))
        if status(held) == "CONSUMED":
            assert isinstance(sale, Resolved)
            assert isinstance(given_back, ReservationConsumed)
            assert counters(level) == (7, 0)
        else:
            assert isinstance(sale, ReservationReleased)
            assert isinstance(given_back, Resolved)
            assert counters(level) == (10, 0)


def test_a_due_hold_is_never_consumed_while_sweepers_run() -> None:
    for _ in range(ROUNDS):
        level = make_level(10)
        held = hold((level, 3))
        make_due(held.id)
        sale, *_ = together(consume(held), expire_due_holds, expire_due_holds)
        assert isinstance(sale, ReservationExpired)
        expire_due_holds()  # Expires holds that the first sweep skipped because the sale had locked them.
        assert status(held) == "EXPIRED"
        assert counters(level) == (10, 0)


@pytest.mark.parametrize("table", ["reservation", "level"])
def test_a_hold_that_ends_while_its_sale_waits_is_not_sold(table: str) -> None:
    level = make_level(10)
    held = hold((level, 3))
    assert isinstance(across_the_end(held, table, consume(held)), ReservationExpired)
    assert Movement.objects.filter(type="SHIPMENT").count() == 0
    assert counters(level) == (10, 3)
    assert expire_due_holds() == 1


@pytest.mark.parametrize("table", ["reservation", "level"])
def test_a_hold_that_ends_while_its_sale_waits_can_be_reacquired(table: str) -> None:
    level = make_level(10)
    held = hold((level, 3))
    sold = across_the_end(held, table, consume(held, reacquire=True))
    assert isinstance(sold, Resolved)
    assert sold.holds[0].reacquired_from == held.id
    assert status(held) == "EXPIRED"
    assert counters(level) == (7, 0)


@pytest.mark.parametrize("table", ["reservation", "level"])
def test_a_hold_that_ends_while_its_release_waits_is_recorded_expired(table: str) -> None:
    level = make_level(10)
    held = hold((level, 3))
    assert isinstance(across_the_end(held, table, release(held)), Resolved)
    assert status(held) == "EXPIRED"
    assert counters(level) == (10, 0)


def test_a_hold_that_ends_while_its_extension_waits_is_not_extended() -> None:
    held = hold((make_level(10), 3))
    assert isinstance(across_the_end(held, "reservation", extend(held)), ReservationExpired)
    assert status(held) == "ACTIVE"
    assert expire_due_holds() == 1


@pytest.mark.parametrize("table", ["reservation", "level"])
def test_a_hold_that_ends_while_its_basket_waits_gives_way_to_a_new_one(table: str) -> None:
    level = make_level(10)
    held = hold((level, 3))
    request = hold_request((level, 10), cart_id=held.cart_id)
    basket = across_the_end(held, table, partial(put_basket, request))
    assert isinstance(basket, PlacedHold)
    assert basket.is_new
    assert basket.hold.id == request.id
    assert status(held) == "EXPIRED"
    assert counters(level) == (10, 10)


def test_a_hold_may_be_extended_and_then_consumed_but_not_the_other_way() -> None:
    for _ in range(ROUNDS):
        held = hold((make_level(10), 3))
        sale, extension = together(consume(held), extend(held))
        assert isinstance(sale, Resolved)
        assert isinstance(extension, Extended | ReservationConsumed)
        is_extended = Reservation.objects.get(pk=held.id).extended_at is not None
        assert is_extended is isinstance(extension, Extended)


def test_a_hold_is_extended_once() -> None:
    held = hold((make_level(10), 3))
    outcomes = together(*(extend(held) for _ in range(8)))
    assert sorted(type(outcome).__name__ for outcome in outcomes) == [AlreadyExtended.__name__] * 7 + ["Extended"]
    assert Reservation.objects.get(pk=held.id).expires_at == held.expires_at + timedelta(minutes=5)


def test_extends_that_share_transactions_collide_with_what_ends_the_same_holds() -> None:
    """Each hold is extended at most once, and by none of the requests that found it ended."""
    extends: GroupCommit[ExtendRequest] = GroupCommit(extend_holds, leaders=2, limit=8)
    level = make_level(1000)
    made = [hold((level, 1), cart_id=f"c-{number % 6}") for number in range(24)]
    make_due(*(each.id for each in made[::4]), ago=timedelta(milliseconds=-40))

    def submit(selectors: Sequence[Selector]) -> list[Any]:
        return [outcome_of(partial(extends.submit, ExtendRequest(ACTOR, each, 5))) for each in selectors]

    def end(chosen: Sequence[Hold]) -> None:
        for each in chosen:
            outcome_of(release(each) if each.id.int % 2 else consume(each))

    ids, carts = [Selector(each.id) for each in made], [Selector(cart_id=f"c-{number}") for number in range(6)]
    *outcomes, _, _, _ = together(
        *(partial(submit, ids), partial(submit, ids[::-1]), partial(submit, carts), partial(submit, carts[::-1])),
        *(partial(end, made[1::4]), partial(end, made[2::4][::-1]), expire_due_holds),
    )
    extended = [each.id for outcome in chain(*outcomes) if isinstance(outcome, Extended) for each in outcome.holds]
    assert len(extended) == len(set(extended))
    rows = {row.pk: row for row in Reservation.objects.all()}
    assert {id_ for id_, row in rows.items() if row.extended_at} == set(extended)
    for row in rows.values():
        ended_at = row.consumed_at or row.released_at
        assert not (row.extended_at and ended_at) or row.extended_at <= ended_at
    assert len(recorded("inventory_reservation_extended")) == len(published("InventoryExtendedEvent")) == len(extended)
    assert all(rows[each.id].extended_at for each in made[3::4])
    assert_books_balance()


def outcome_of(work: Callable[[], Any]) -> Any:
    try:
        return work()
    except DomainError as error:
        return error


def test_a_hold_is_extended_or_swept() -> None:
    for _ in range(ROUNDS):
        level = make_level(10)
        held = hold((level, 3))
        make_due(held.id, ago=timedelta(milliseconds=-20))
        extension, _, _ = together(extend(held), expire_due_holds, expire_due_holds)
        if isinstance(extension, Extended):
            assert status(held) == "ACTIVE"
            assert expire_due_holds() == 0
        else:
            assert isinstance(extension, ReservationExpired)
            expire_due_holds()
            assert status(held) == "EXPIRED"


def test_an_extension_that_a_sweeper_waited_for_is_kept() -> None:
    level = make_level(10)
    held = hold((level, 3))
    make_due(held.id)
    with stranger() as other:
        later = timedelta(minutes=5)
        other.execute("UPDATE reservations_reservation SET expires_at = expires_at + %s", [later])
        other.execute("UPDATE reservations_reservationitem SET held_until = held_until + %s", [later])
        assert together(expire_due_holds) == [0]
        other.commit()
    assert expire_due_holds() == 0
    assert status(held) == "ACTIVE"
    assert counters(level) == (10, 3)


def test_two_baskets_of_one_cart_are_put_one_after_the_other() -> None:
    for _ in range(ROUNDS):
        level, other = make_level(10), make_level(10)
        requests = [hold_request((level, 7), (other, n), cart_id="the cart") for n in (1, 2, 3)]
        outcomes = together(*(partial(put_basket, request) for request in requests))
        assert [type(outcome) for outcome in outcomes] == [PlacedHold] * 3
        assert sum(outcome.is_new for outcome in outcomes) == 1
        assert len({outcome.hold.id for outcome in outcomes}) == 1
        assert counters(level) == (10, 7)
        assert counters(other)[1] in (1, 2, 3)
        empty_basket(ReleaseRequest(ACTOR, Selector(cart_id="the cart")))


def test_a_basket_is_changed_before_it_is_consumed_or_started_after() -> None:
    for number in range(ROUNDS):
        level = make_level(10)
        held = hold((level, 3), cart_id=f"the cart {number}")
        request = ConsumeRequest(ACTOR, f"order-{number}", Selector(cart_id=held.cart_id))
        sale, basket = together(
            partial(consume_hold, request),
            partial(put_basket, hold_request((level, 5), cart_id=held.cart_id)),
        )
        assert isinstance(sale, Resolved)
        assert isinstance(basket, PlacedHold)
        assert counters(level) == ((7, 5) if basket.is_new else (5, 0))


def test_a_basket_is_put_and_emptied_in_some_order() -> None:
    for number in range(ROUNDS):
        level = make_level(10)
        held = hold((level, 3), cart_id=f"the cart {number}")
        emptied, basket = together(
            partial(empty_basket, ReleaseRequest(ACTOR, Selector(cart_id=held.cart_id))),
            partial(put_basket, hold_request((level, 5), cart_id=held.cart_id)),
        )
        assert isinstance(emptied, Resolved)
        assert isinstance(basket, PlacedHold)
        assert counters(level) == ((10, 5) if basket.is_new else (10, 0))


@pytest.mark.parametrize("is_swept", [True, False])
def test_a_repeated_late_payment_is_sold_once(is_swept: bool) -> None:
    level = make_level(10)
    held = hold((level, 3))
    make_due(held.id)
    if is_swept:
        expire_due_holds()
    outcomes = together(*(consume(held, reacquire=True) for _ in range(10)))
    assert {type(outcome) for outcome in outcomes} == {Resolved}
    assert len({outcome.holds for outcome in outcomes}) == 1
    assert Reservation.objects.get(reacquired_from=held.id).status == "CONSUMED"
    assert counters(level) == (7, 0)


def test_a_late_payment_of_two_orders_is_sold_to_one() -> None:
    level = make_level(10)
    held = hold((level, 3))
    make_due(held.id)
    outcomes = together(*(consume(held, f"order-{number}", reacquire=True) for number in range(6)))
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["ReservationConsumed"] * 5 + ["Resolved"]
    assert counters(level) == (7, 0)


def test_a_repeated_late_payment_of_a_cart_is_sold_once() -> None:
    level = make_level(10)
    held = hold((level, 3))
    make_due(held.id)
    request = ConsumeRequest(ACTOR, "order-1", Selector(cart_id=held.cart_id), reacquire=True)
    outcomes = together(*(partial(consume_hold, request) for _ in range(10)))
    assert len({outcome.holds for outcome in outcomes}) == 1, outcomes
    assert counters(level) == (7, 0)


def test_a_late_payment_and_sweepers_and_a_buyer_share_the_stock() -> None:
    for _ in range(ROUNDS):
        level = make_level(3)
        held = hold((level, 3))
        make_due(held.id)
        sale, rival, *_ = together(
            consume(held, reacquire=True),
            partial(put_basket, hold_request((level, 3))),
            expire_due_holds,
            expire_due_holds,
        )
        assert isinstance(sale, Resolved) is not isinstance(rival, PlacedHold)
        assert counters(level) == ((0, 0) if isinstance(sale, Resolved) else (3, 3))


def test_a_cart_whose_first_basket_is_not_committed_is_not_found() -> None:
    level = make_level(10)
    with stranger() as other:
        other.execute("SELECT FROM inventory_stocklevel WHERE id = %s FOR NO KEY UPDATE", [level.id])
        crew = Crew(partial(put_basket, hold_request((level, 5), cart_id="the cart")))
        await_waiting()
        request = ConsumeRequest(ACTOR, "order-1", Selector(cart_id="the cart"))
        (sale,) = together(partial(consume_hold, request), seconds=5)
        assert isinstance(sale, ReservationNotFound)
    assert isinstance(crew.join()[0], PlacedHold)
