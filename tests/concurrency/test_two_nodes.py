"""Two nodes of the service share a database: each combines its own requests, and their batches meet at the locks.

The negative control comes first: batches that lock their levels in the order of their lines do deadlock.
"""

import re
from collections.abc import Callable
from typing import Any, Final

import pytest
from django.db import connection
from pytest_django import Settings

from inventory.combining import GroupCommit
from inventory.models import StockLevel
from reservations.services.holds import placing
from reservations.services.holds.placing import HoldRequest, PlacedHold
from tests.concurrency.threads import LEVEL_LOCK, together
from tests.factories import counters, hold_request, make_level
from tests.metrics import Counted, counted

__all__ = ["counted"]
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("store")]
BUYERS: Final = 2
LOCKED: Final = re.compile(r"MATERIALIZED \((.*? FOR NO KEY UPDATE)\s*\)", re.DOTALL)
SLOWLY: Final = r"MATERIALIZED (SELECT each.*, pg_sleep(0.05) FROM (\1) AS each)"
"""Locks the levels one by one, each a moment after the one before it."""


class Node:
    """A node with a combiner of its own. Locks take a while; with ``unsorted``, in the order of the basket instead of
    that of the ids."""

    def __init__(self, basket: list[StockLevel], *, unsorted: bool) -> None:
        self._combined: GroupCommit[HoldRequest] = GroupCommit(placing.place_holds, leaders=1)
        self._basket = basket
        self._descends = unsorted and basket[0].pk > basket[-1].pk

    def buy(self) -> Any:
        """Hold the basket, in a batch with the other buyers of this node."""
        request = hold_request(*((level, 1) for level in self._basket))
        with connection.execute_wrapper(self._execute):
            return self._combined.submit(request)

    def _execute(self, execute: Callable[..., Any], sql: str, *arguments: Any) -> Any:
        if LEVEL_LOCK.search(sql):
            sql = LOCKED.sub(SLOWLY, sql)
            if self._descends:
                sql = sql.replace("ORDER BY id FOR", "ORDER BY id DESC FOR")
        return execute(sql, *arguments)


@pytest.fixture(autouse=True)
def _batches_wait(settings: Settings) -> None:
    """Have batches wait longer for a lock than PostgreSQL takes to find a deadlock."""
    settings.GROUP_COMMIT_LOCK_TIMEOUT = 5


def opposite_baskets(levels: list[StockLevel], *, unsorted: bool) -> list[Any]:
    """The outcomes of holding opposite baskets on two nodes at the same time."""
    nodes = [Node(levels, unsorted=unsorted), Node(levels[::-1], unsorted=unsorted)]
    return together(*(node.buy for _ in range(BUYERS) for node in nodes))


def three_levels() -> list[StockLevel]:
    return sorted((make_level(100) for _ in range(3)), key=lambda level: level.pk)


def deadlocks(counted: Counted) -> float:
    """How many transactions were the victim of a deadlock."""
    return counted.of("inventory_lock_retries_total", reason="deadlock")


def test_unsorted_batches_of_two_nodes_deadlock(counted: Counted) -> None:
    opposite_baskets(three_levels(), unsorted=True)
    assert deadlocks(counted) > 0


def test_sorted_batches_of_two_nodes_never_deadlock(counted: Counted) -> None:
    levels = three_levels()
    outcomes = opposite_baskets(levels, unsorted=False)
    assert [type(outcome) for outcome in outcomes] == [PlacedHold] * (2 * BUYERS)
    assert [counters(level) for level in levels] == [(100, 2 * BUYERS)] * 3
    assert deadlocks(counted) == 0
