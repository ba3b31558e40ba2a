"""Requests that share transactions: each gets exactly one answer, its own."""

import time
from collections.abc import Sequence
from functools import partial
from typing import Any

import pytest

from inventory.combining import GroupCommit
from inventory.errors import InsufficientStock
from reservations.services.holds import placing
from reservations.services.holds.placing import HoldRequest, PlacedHold
from tests.concurrency.threads import together
from tests.factories import counters, hold_request, make_level

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("store")]


@pytest.mark.parametrize("leaders", [1, 2, 4])
def test_every_request_gets_its_own_answer(leaders: int) -> None:
    def echo(requests: Sequence[int], *_: Any) -> list[int]:
        time.sleep(0.001)
        return list(requests)

    group_commit: GroupCommit[int] = GroupCommit(echo, leaders=leaders, limit=5)

    def ask(first: int) -> list[Any]:
        return [group_commit.submit(number) for number in range(first, first + 40)]

    outcomes = together(*(partial(ask, thread * 1000) for thread in range(12)))
    assert outcomes == [list(range(thread * 1000, thread * 1000 + 40)) for thread in range(12)]


@pytest.mark.parametrize("leaders", [1, 3])
def test_buyers_in_shared_transactions_get_exactly_what_is_there(leaders: int) -> None:
    level = make_level(50)
    group_commit: GroupCommit[HoldRequest] = GroupCommit(placing.place_holds, leaders=leaders)

    def buy() -> list[str]:
        outcomes = []
        for _ in range(10):
            request = hold_request((level, 1))
            try:
                held = group_commit.submit(request)
            except InsufficientStock:
                outcomes.append("short")
            else:
                assert isinstance(held, PlacedHold)
                assert held.hold.id == request.id
                outcomes.append("held")
        return outcomes

    outcomes = [word for words in together(*(buy for _ in range(12))) for word in words]
    assert (outcomes.count("held"), outcomes.count("short")) == (50, 70)
    assert counters(level) == (50, 50)
