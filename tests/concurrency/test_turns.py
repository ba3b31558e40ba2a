"""Batches of several processes that sell one product: each waits for its turn, and takes what arrives meanwhile."""

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import pytest
from django.db import connection
from pytest_django import Settings

from inventory.batches import Batch
from inventory.combining import GroupCommit
from inventory.models import StockLevel
from reservations.services.holds import placing, turns
from reservations.services.holds.placing import HoldRequest, PlacedHold
from tests.concurrency.statements import Step, checked, step_of
from tests.concurrency.threads import Crew, await_true, await_waiting, stranger
from tests.factories import counters, hold_request, make_level

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("store")]


@pytest.fixture
def _contended(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    """Locks were waited for a moment ago, and turns are waited for longer than any of these tests takes."""
    monkeypatch.setattr(turns._Contention, "until", math.inf)
    monkeypatch.setattr(turns, "PATIENCE_SECONDS", 60.0)
    settings.LOCK_TIMEOUT = 240


class Node:
    """A combiner, and the sizes of its batches."""

    def __init__(self, limit: int = 64) -> None:
        self.sizes: list[int] = []
        self.combined: GroupCommit[HoldRequest] = GroupCommit(self._place, leaders=1, limit=limit)

    def _place(self, requests: Sequence[HoldRequest], *patience: Any) -> list[Any]:
        outcomes = placing.place_holds(requests, *patience)
        self.sizes.append(len(requests))
        return outcomes

    def buy(self, level: StockLevel, units: int = 1) -> Any:
        return self.combined.submit(hold_request((level, units)))

    def outcomes(self, level: StockLevel, *units: int) -> list[Any]:
        """The outcomes of a request that waits for its turn, and of others that come while it waits."""
        with stranger() as other:
            other.execute("SELECT pg_advisory_xact_lock(%s)", [turns.turn_at(level.product_id)])
            leader = Crew(partial(self.buy, level))
            await_waiting()
            others = Crew(*(partial(self.buy, level, each) for each in units))
            await_true(lambda: len(self.combined._waiting) == len(units), "the others to come")
            other.rollback()
        return [*leader.join(), *others.join()]


@pytest.mark.usefixtures("_contended")
def test_a_batch_that_waited_for_its_turn_has_all_that_came_meanwhile_each_decided_by_itself() -> None:
    level = make_level(10)
    node = Node()
    outcomes = node.outcomes(level, 1, 20, 3)
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["InsufficientStock"] + ["PlacedHold"] * 3
    assert node.sizes == [4]
    assert counters(level) == (10, 5)


@pytest.mark.usefixtures("_contended")
def test_a_batch_grows_no_larger_than_its_limit() -> None:
    level = make_level(10)
    node = Node(limit=3)
    assert {type(outcome) for outcome in node.outcomes(level, 1, 1, 1, 1)} == {PlacedHold}
    assert node.sizes == [3, 2]


@pytest.mark.usefixtures("_contended")
def test_batches_that_never_get_their_turn_are_decided_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "PATIENCE_SECONDS", 0.05)
    level = make_level(10)
    node = Node()
    with stranger() as other:
        other.execute("SELECT pg_advisory_xact_lock(%s)", [turns.turn_at(level.product_id)])
        outcomes = Crew(*(partial(node.buy, level) for _ in range(3))).join()
    assert {type(outcome) for outcome in outcomes} == {PlacedHold}
    assert node.sizes == [1, 1, 1]
    assert counters(level) == (10, 3)


@pytest.mark.usefixtures("_contended")
def test_a_batch_that_never_gets_its_turn_is_decided_in_time_however_short_that_is(settings: Settings) -> None:
    settings.LOCK_TIMEOUT = 3
    level = make_level(10)
    with stranger() as other:
        other.execute("SELECT pg_advisory_xact_lock(%s)", [turns.turn_at(level.product_id)])
        (outcome,) = Crew(partial(Node().buy, level)).join()
    assert isinstance(outcome, PlacedHold)


@pytest.mark.usefixtures("_contended")
def test_requests_whose_batch_is_cut_off_while_it_waits_for_its_turn_or_after_it_has_grown_are_all_held() -> None:
    level = make_level(10)
    node = Node()
    with stranger() as row, stranger() as other:
        row.execute("SELECT FROM inventory_stocklevel WHERE id = %s FOR UPDATE", [level.pk])
        other.execute("SELECT pg_advisory_xact_lock(%s)", [turns.turn_at(level.product_id)])
        leader = Crew(partial(node.buy, level))
        await_waiting()
        second = Crew(partial(node.buy, level))
        await_true(lambda: len(node.combined._waiting) == 1, "the second one to come")
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
        await_waiting(2)  # The first one alone for the level, and the batch of the second one for its turn.
        others = Crew(*(partial(node.buy, level) for _ in range(2)))
        await_true(lambda: len(node.combined._waiting) == 2, "the others to come")
        other.rollback()
        await_true(lambda: not node.combined._waiting, "the batch to grow")
        await_waiting(4)  # The batch has fallen apart: all wait for the level alone.
    assert {type(outcome) for outcome in [*leader.join(), *second.join(), *others.join()]} == {PlacedHold}
    assert node.sizes == [1, 1, 1, 1]
    assert counters(level) == (10, 4)


def test_only_a_batch_of_a_process_that_waited_for_locks_waits_for_its_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "REMEMBERED_SECONDS", 60.0)
    monkeypatch.setattr(turns._Contention, "until", 0.0)
    level = make_level(10)
    assert Step.TURN not in steps(level)
    monkeypatch.setattr(turns, "LONG_SECONDS", 0.0)
    steps(level)
    assert steps(level) == [Step.TURN, Step.LEVELS, Step.WRITE]


def steps(level: StockLevel) -> list[Step]:
    """The steps of a batch's transaction."""
    _, (transaction,) = checked(lambda: placing.place_holds(Batch([hold_request((level, 1))], list)))
    return [step for step in map(step_of, transaction) if step is not None]
