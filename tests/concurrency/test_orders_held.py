"""Concurrent reserves for one order: exactly one holds, in one transaction or in many, beside events of the order."""

from functools import partial
from typing import Any

import pytest
from uuid_utils.compat import uuid7

from inventory.combining import GroupCommit
from inventory.models import Store
from reservations.errors import OrderAlreadyHeld
from reservations.models import Reservation
from reservations.services.holds import placing
from reservations.services.holds.expiry import expire_due_holds
from reservations.services.holds.placing import HoldRequest, PlacedHold, place_hold
from tests.books import assert_books_balance
from tests.concurrency.statements import Step, checked, step_of
from tests.concurrency.threads import count_of, together
from tests.factories import counters, hold, hold_request, make_due, make_level
from tests.orders.sending import created, receive

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("store")]
THREADS = 8
ROUNDS = 5


@pytest.mark.parametrize("limited", [False, True])
def test_one_of_many_reserves_for_an_order_holds_whatever_it_asks_for(*, limited: bool) -> None:
    if limited:
        Store.objects.update(max_units_per_customer=1000)
    levels = [make_level(100) for _ in range(THREADS)]
    for number in range(ROUNDS):
        requests = [hold_request((level, 1), order_id=f"order-{number}") for level in levels]
        outcomes = together(*(partial(place_hold, request) for request in requests))
        assert (count_of(outcomes, PlacedHold), count_of(outcomes, OrderAlreadyHeld)) == (1, THREADS - 1)
        (winner,) = [outcome.hold.public_id for outcome in outcomes if isinstance(outcome, PlacedHold)]
        named = {o.faults[0].facts["reservationId"] for o in outcomes if isinstance(o, OrderAlreadyHeld)}
        assert named == {winner}
    assert sum(counters(level)[1] for level in levels) == ROUNDS
    assert_books_balance()


@pytest.mark.parametrize("leaders", [1, 3])
def test_in_shared_transactions_each_order_is_held_once(leaders: int) -> None:
    level = make_level(1000)
    group_commit: GroupCommit[HoldRequest] = GroupCommit(placing.place_holds, leaders=leaders)

    def reserve(thread: int) -> list[str]:
        done = []
        for number in range(6):
            try:
                group_commit.submit(hold_request((level, 1), order_id=f"order-{(thread + number) % 6}"))
                done.append("held")
            except OrderAlreadyHeld:
                done.append("refused")
        return done

    outcomes = [word for words in together(*(partial(reserve, thread) for thread in range(THREADS))) for word in words]
    assert (outcomes.count("held"), outcomes.count("refused")) == (6, 6 * THREADS - 6)
    assert counters(level) == (1000, 6)


def test_an_order_whose_hold_has_just_ended_is_held_again_once() -> None:
    level = make_level(100)
    for number in range(ROUNDS):
        order = f"order-{number}"
        make_due(hold((level, 1), order_id=order).id)
        reserves = (partial(place_hold, hold_request((level, 1), order_id=order)) for _ in range(4))
        outcomes = together(*reserves, expire_due_holds)
        assert count_of(outcomes, PlacedHold) == 1
        assert Reservation.objects.filter(order_id=order).in_state("ACTIVE").count() == 1
    expire_due_holds()
    assert_books_balance()


def test_an_order_that_comes_as_an_event_and_as_a_call_is_held_once() -> None:
    level = make_level(100)
    for number in range(ROUNDS):
        order = f"order-{number}"
        jobs: list[Any] = [partial(place_hold, hold_request((level, 2), order_id=order, cart_id=None))]
        together(*jobs, partial(receive, created(order, (level, 2))))
        assert Reservation.objects.filter(order_id=order).in_state("ACTIVE").count() == 1, number
        assert counters(level)[1] == 2 * (number + 1)
    assert_books_balance()


@pytest.mark.parametrize("limited", [False, True])
def test_the_lock_order_is_kept(*, limited: bool) -> None:
    if limited:
        Store.objects.update(max_units_per_customer=5)
    level = make_level(10)
    request = hold_request((level, 2), cart_id="c", customer_id="x", order_id=str(uuid7()))
    _, done = checked(partial(place_hold, request))
    assert [step for step in map(step_of, done[-1]) if step][:2] == [Step.CART, Step.LEVELS]
