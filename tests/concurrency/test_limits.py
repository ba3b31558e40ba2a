"""Many threads for one shopper: the limit is never exceeded, and is reached exactly."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from inventory.combining import GroupCommit
from inventory.models import StockLevel, Store
from reservations.errors import HoldLimitExceeded
from reservations.services.holds import placing
from reservations.services.holds.baskets import put_basket
from reservations.services.holds.placing import HoldRequest, PlacedHold, place_hold
from tests.concurrency.statements import Step, checked, step_of
from tests.concurrency.threads import count_of, together
from tests.factories import counters, hold, hold_request, make_level

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("store")]
THREADS = 12


@pytest.fixture
def level() -> StockLevel:
    return make_level(1000)


def test_one_customer_in_many_threads_holds_exactly_the_limit(level: StockLevel) -> None:
    Store.objects.update(max_units_per_customer=5)
    outcomes = together(*(partial(place_hold, hold_request((level, 1), customer_id="x")) for _ in range(THREADS)))
    assert (count_of(outcomes, PlacedHold), count_of(outcomes, HoldLimitExceeded)) == (5, THREADS - 5)
    assert counters(level) == (1000, 5)


def test_one_customer_opens_exactly_so_many_holds(level: StockLevel) -> None:
    Store.objects.update(max_holds_per_customer=4, hold_window_minutes=60)
    outcomes = together(*(partial(place_hold, hold_request((level, 1), customer_id="x")) for _ in range(THREADS)))
    assert (count_of(outcomes, PlacedHold), count_of(outcomes, HoldLimitExceeded)) == (4, THREADS - 4)


@pytest.mark.parametrize("leaders", [1, 3])
def test_customers_in_shared_transactions_hold_exactly_the_limit(level: StockLevel, leaders: int) -> None:
    Store.objects.update(max_units_per_customer=7)
    group_commit: GroupCommit[HoldRequest] = GroupCommit(placing.place_holds, leaders=leaders)

    def buy(thread: int) -> list[str]:
        outcomes = []
        for number in range(8):
            customer = f"customer-{(thread + number) % 3}"
            try:
                group_commit.submit(hold_request((level, 1), customer_id=customer))
            except HoldLimitExceeded:
                outcomes.append("refused")
            else:
                outcomes.append("held")
        return outcomes

    outcomes = [word for words in together(*(partial(buy, thread) for thread in range(THREADS))) for word in words]
    assert (outcomes.count("held"), outcomes.count("refused")) == (3 * 7, THREADS * 8 - 3 * 7)
    assert counters(level) == (1000, 21)


def test_baskets_and_holds_of_one_customer_share_the_limit(level: StockLevel) -> None:
    Store.objects.update(max_units_per_customer=5)
    jobs: list[Callable[[], Any]] = []
    for number in range(THREADS):
        request = hold_request((level, 2), customer_id="x", cart_id=f"cart-{number}")
        jobs.append(partial(put_basket if number % 2 else place_hold, request))
    outcomes = together(*jobs)
    assert (count_of(outcomes, PlacedHold), count_of(outcomes, HoldLimitExceeded)) == (2, THREADS - 2)
    assert counters(level) == (1000, 4)


def test_shoppers_with_the_same_names_in_opposite_order_never_fail(level: StockLevel) -> None:
    Store.objects.update(max_units_per_customer=1000)
    names = [("a", "1"), ("b", "2"), ("a", "2"), ("b", "1")]

    def shop(turn: int) -> list[Any]:
        return [
            (put_basket if (turn + n) % 3 == 0 else place_hold)(
                hold_request((level, 1), customer_id=names[(turn * n) % 4][0], cart_id=names[(turn + n) % 4][1])
            )
            for n in range(10)
        ]

    outcomes = [each for part in together(*(partial(shop, turn) for turn in range(8))) for each in part]
    assert count_of(outcomes, PlacedHold) == 80


@pytest.mark.parametrize("verb", [place_hold, put_basket])
def test_the_lock_order_is_kept(level: StockLevel, verb: Callable[[HoldRequest], Any]) -> None:
    Store.objects.update(max_units_per_customer=5, max_holds_per_customer=9, hold_window_minutes=60)
    if verb is put_basket:
        hold((level, 1), cart_id="c")
    _, done = checked(partial(verb, hold_request((level, 2), cart_id="c", customer_id="x")))
    steps = [step for step in map(step_of, done[-1]) if step]
    expected = [Step.CART, Step.LEVELS] if verb is place_hold else [Step.CART, Step.CART, Step.HOLDS, Step.LEVELS]
    assert steps[: len(expected)] == expected
