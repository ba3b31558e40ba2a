"""What a process remembers as sold out, beside threads and processes that change the stock."""

import time
from collections.abc import Callable
from functools import partial
from itertools import count
from typing import Any, Final

import pytest
from django.db import connection
from pytest_django import Settings

from inventory.errors import InsufficientStock
from inventory.models import StockLevel
from inventory.services.stock import known_levels
from reservations import group_commit
from reservations.services.holds import sold_out
from reservations.services.holds.placing import PlacedHold
from reservations.services.holds.resolution import ReleaseRequest
from reservations.services.holds.selecting import Selector
from tests.concurrency.threads import LEVEL_LOCK, Crew, together
from tests.factories import ACTOR, counters, hold, hold_request, make_level, receive

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("store", "_long_memory")]
ROUNDS: Final = 40
FIRST_ENDS: Final = "held_until - statement_timestamp()"
"""In the statement that a refused buyer sends between reading a level and remembering it."""


@pytest.fixture
def _long_memory(settings: Settings) -> None:
    """Remember for longer than any of these tests takes."""
    settings.SOLD_OUT_CACHE_SECONDS = 60


def reserve(level: StockLevel, units: int) -> Any:
    try:
        return group_commit.place_hold(hold_request((level, units))).outcome()
    except InsufficientStock as short:
        return short


def test_units_that_came_back_are_held_at_once_whoever_asks_beside() -> None:
    level = make_level(1)
    hold((level, 1))
    rounds, at_once = count(), count()

    def restock_and_buy() -> list[type]:
        outcomes = []
        for _ in range(ROUNDS):
            outcomes.append(type(reserve(level, 1)))
            receive(level.product_id, 1)
            bought = reserve(level, 1)
            outcomes.append(type(bought))
            group_commit.release_hold(ReleaseRequest(ACTOR, Selector(bought.hold.id))).outcome()
            outcomes.append(type(reserve(level, 1)))
            next(rounds)
        return outcomes

    def ask_for_too_many() -> None:
        while next(rounds) < ROUNDS * 20:
            if sold_out.known_refusal(hold_request((level, 1000))):
                next(at_once)
            assert isinstance(reserve(level, 1000), InsufficientStock)

    bought, *_ = together(restock_and_buy, ask_for_too_many, ask_for_too_many)
    assert bought == [InsufficientStock, PlacedHold, PlacedHold] * ROUNDS
    assert next(at_once) > 0
    assert counters(level) == (ROUNDS + 1, ROUNDS + 1)


def test_buyers_get_exactly_what_is_there_and_the_rest_is_refused_at_once() -> None:
    level = make_level(30)

    def buy() -> list[type]:
        return [type(reserve(level, 1)) for _ in range(20)]

    outcomes = [kind for kinds in together(*(buy for _ in range(8))) for kind in kinds]
    assert (outcomes.count(PlacedHold), outcomes.count(InsufficientStock)) == (30, 130)
    assert counters(level) == (30, 30)
    assert sold_out.known_refusal(hold_request((level, 1)))


def bought_after_stock_came_during_a_refusal(level: StockLevel, *, is_sabotage: bool) -> Any:
    """Units come in after a refused buyer has read the level, and before it is remembered; then they are asked for."""
    receipts: list[Crew] = []

    def execute(statement: Callable[..., Any], sql: str, *arguments: Any) -> Any:
        if LEVEL_LOCK.search(sql) and is_sabotage:
            sql = sql.replace("FOR NO KEY UPDATE", "")
        if FIRST_ENDS in sql:
            receipts.append(Crew(partial(receive, level.product_id, 5)))
            if is_sabotage:
                receipts[0].join()
            else:
                time.sleep(0.2)
                assert not receipts[0].are_done(0)
        return statement(sql, *arguments)

    with connection.execute_wrapper(execute):
        assert isinstance(reserve(level, 2), InsufficientStock)
    receipts[0].join()
    return reserve(level, 2)


def test_without_the_lock_a_level_is_remembered_as_it_was() -> None:
    level = make_level(1)
    assert isinstance(bought_after_stock_came_during_a_refusal(level, is_sabotage=True), InsufficientStock)
    known_levels.forget_all()
    assert isinstance(reserve(level, 2), PlacedHold)


def test_with_the_lock_stock_that_comes_is_never_forgotten() -> None:
    level = make_level(1)
    assert isinstance(bought_after_stock_came_during_a_refusal(level, is_sabotage=False), PlacedHold)
