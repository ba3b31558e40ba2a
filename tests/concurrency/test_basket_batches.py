"""Baskets that many shoppers change at once, decided together by several processes: no unit is lost, none deadlocks."""

from collections.abc import Callable
from functools import partial
from random import Random
from typing import Any

import pytest

from audit.idempotency import Claim, StoredAnswer
from inventory.combining import GroupCommit
from inventory.errors import InsufficientStock
from reservations.api.holds import answers
from reservations.errors import ReservationNotFound
from reservations.models import Reservation
from reservations.services.holds.baskets import Emptied, apart, empty_baskets, put_baskets
from reservations.services.holds.placing import PlacedHold, place_holds
from reservations.services.holds.resolution import ReleaseRequest
from reservations.services.holds.selecting import Selector
from tests.books import assert_books_balance
from tests.concurrency.threads import Crew, await_true, count_of, stranger, together
from tests.factories import ACTOR, counters, hold, hold_request, make_client, make_level

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("store", "_patient_batches")]
ASKERS = 12


@pytest.fixture
def _patient_batches(settings: Any) -> None:
    settings.GROUP_COMMIT_LOCK_TIMEOUT = 20.0


def process() -> tuple[GroupCommit[Any], GroupCommit[Any], GroupCommit[Any]]:
    """What decides the baskets, the emptied ones and the holds of one process."""
    return (
        GroupCommit(put_baskets, leaders=2, apart=apart),
        GroupCommit(empty_baskets, leaders=2, apart=apart),
        GroupCommit(place_holds, leaders=2),
    )


def test_shoppers_of_opposite_baskets_in_two_processes_never_fail() -> None:
    levels = [make_level(1000) for _ in range(4)]
    processes = [process(), process()]

    def shop(number: int) -> None:
        random = Random(number)
        put, empty, place = processes[number % 2]
        for _ in range(8):
            wanted = random.sample(levels, random.randint(1, 4))
            request = hold_request(*((level, random.randint(1, 9)) for level in wanted), cart_id=f"c{number % 9}")
            kind = random.random()
            if kind < 0.7:
                assert isinstance(put.submit(request), PlacedHold)
            elif kind < 0.85:
                place.submit(request)
            else:
                release = ReleaseRequest(ACTOR, Selector(cart_id=request.cart_id))
                with_nothing_held(partial(empty.submit, release))

    together(*(partial(shop, number) for number in range(ASKERS)))
    assert_books_balance()
    assert all(counters(level)[1] > 0 for level in levels)


def with_nothing_held(work: Callable[[], Any]) -> None:
    """Empty a cart, which may hold nothing yet."""
    try:
        work()
    except ReservationNotFound:
        return


def test_shoppers_share_what_is_there() -> None:
    level, other = make_level(20), make_level(1000)
    put = GroupCommit(put_baskets, leaders=2, apart=apart)
    jobs = [
        partial(put.submit, hold_request((level, 3), (other, number + 1), cart_id=f"c{number}"))
        for number in range(ASKERS)
    ]
    outcomes = together(*jobs)
    assert (count_of(outcomes, PlacedHold), count_of(outcomes, InsufficientStock)) == (6, 6)
    assert counters(level) == (20, 18)
    assert_books_balance()


def submit_behind_one(put: GroupCommit[Any], jobs: list[Callable[[], Any]], level: Any) -> list[Any]:
    """Do the jobs while the first one waits for a level that is locked elsewhere; then unlock the level."""
    with stranger() as locker:
        locker.execute("SELECT FROM inventory_stocklevel WHERE id = %s FOR NO KEY UPDATE", [level.pk])
        crew = Crew(*jobs)
        await_true(lambda: len(put._waiting) == len(jobs) - 1, "all but the leader to wait")
        locker.rollback()
        return crew.join()


def test_baskets_of_one_cart_go_to_batches_of_their_own_and_those_of_others_do_not() -> None:
    level = make_level(1000)
    batches: list[list[str]] = []

    def deciding(requests: Any, *patience: Any) -> list[Any]:
        batches.append([request.cart_id for request in requests])
        return put_baskets(requests, *patience)

    put: GroupCommit[Any] = GroupCommit(deciding, leaders=1, apart=apart)
    carts = ["same"] * 4 + [f"other-{number}" for number in range(6)]
    requests = [hold_request((level, number + 1), cart_id=cart) for number, cart in enumerate(carts)]
    outcomes = submit_behind_one(put, [partial(put.submit, request) for request in requests], level)
    assert count_of(outcomes, PlacedHold) == len(requests)
    assert sorted(cart for batch in batches for cart in batch) == sorted(carts)
    assert all(len(set(batch)) == len(batch) for batch in batches)
    assert len(batches) <= 5
    assert Reservation.objects.filter(cart_id="same", status="ACTIVE").count() == 1
    assert sum(isinstance(held, PlacedHold) and held.is_new for held in outcomes[:4]) == 1
    assert_books_balance()


def test_a_basket_that_is_sent_twice_at_once_is_put_once_and_answered_twice() -> None:
    level = make_level(10)
    client = make_client()
    put: GroupCommit[Any] = GroupCommit(put_baskets, leaders=1, apart=apart)
    claim = Claim(client.pk, "key", b"f" * 32, answers.put)
    requests = [hold_request((level, 2), cart_id="a", claim=claim) for _ in range(3)]
    outcomes = submit_behind_one(put, [partial(put.submit, request) for request in requests], level)
    assert (count_of(outcomes, PlacedHold), count_of(outcomes, StoredAnswer)) == (1, 2)
    assert counters(level) == (10, 2)


def test_a_basket_is_put_on_what_was_held_while_it_waited_for_its_cart() -> None:
    level = make_level(10)
    first = hold((level, 2), cart_id="a")
    put: GroupCommit[Any] = GroupCommit(put_baskets, leaders=2, apart=apart)
    requests = [hold_request((level, units), cart_id="a") for units in (3, 4, 5, 6)]
    outcomes = together(*(partial(put.submit, request) for request in requests))
    assert {held.hold.id for held in outcomes} == {first.id}
    assert counters(level)[1] in {3, 4, 5, 6}
    assert_books_balance()


def test_a_cart_is_emptied_while_its_basket_is_put() -> None:
    level = make_level(10)
    put, empty, _ = process()
    for _ in range(4):
        hold((level, 2), cart_id="a")
        released, placed = together(
            partial(empty.submit, ReleaseRequest(ACTOR, Selector(cart_id="a"))),
            partial(put.submit, hold_request(cart_id="a", lines=())),
        )
        assert isinstance(placed, Emptied)
        assert released is not None
        assert counters(level) == (10, 0)
