"""A request that breaks the batch that it is in costs nobody else an answer, and its client the company of others."""

import asyncio
import threading
import time
from decimal import Decimal
from functools import partial
from typing import Any
from uuid import uuid4

import pytest
from django.conf import LazySettings
from django.db import connection

from audit.errors import Unstorable
from inventory import combining
from inventory.breakers import Breakers
from inventory.errors import InsufficientStock
from inventory.models import StockLevel
from reservations import group_commit
from reservations.services.holds import placing
from reservations.services.holds.placing import HoldRequest, PlacedHold
from reservations.services.holds.sourcing import RequestLine
from tests.concurrency.threads import together
from tests.factories import ACTOR, counters, hold_request, make_level
from tests.loops import run

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("store")]
POISONER = ACTOR.__class__("poisoner", uuid4(), "test-request", "api")
POISON = Decimal("0E-100000")
"""In the range of every price, and no numeric of the database. The API refuses it; here it is as if it did not."""


@pytest.fixture(autouse=True)
def breakers(monkeypatch: pytest.MonkeyPatch, settings: LazySettings) -> Any:
    settings.GROUP_COMMIT = True
    monkeypatch.setattr(combining, "_breakers", breakers := Breakers())
    return breakers


@pytest.fixture
def batches(monkeypatch: pytest.MonkeyPatch) -> list[list[HoldRequest]]:
    """The batches that were decided from here on, the requests that ran alone left out."""
    seen: list[list[HoldRequest]] = []
    place_holds = placing.place_holds

    def noting(requests: list[HoldRequest], *patience: Any) -> Any:
        if patience:
            seen.append(list(requests))
            time.sleep(0.02)  # So that some wait, and share the next one.
        return place_holds(requests, *patience)

    monkeypatch.setattr(placing, "place_holds", noting)
    return seen


def poisoned(level: StockLevel) -> HoldRequest:
    line = RequestLine(level.product_id, None, 1, None, POISON)
    return HoldRequest(actor=POISONER, lines=(line,), cart_id="poison")


def outcome(request: HoldRequest) -> Any:
    try:
        return group_commit.place_hold(request).outcome()
    except Unstorable as error:
        return error


def test_the_others_of_a_poisoned_batch_are_decided(batches: list[list[HoldRequest]]) -> None:
    level = make_level(50)
    requests = [hold_request((level, 1)) for _ in range(8)] + [poisoned(level)]
    outcomes = together(*(partial(outcome, request) for request in requests))
    assert [type(each) for each in outcomes] == [PlacedHold] * 8 + [Unstorable]
    assert counters(level) == (50, 8)


def test_a_client_that_broke_a_batch_is_decided_alone_for_a_minute(
    batches: list[list[HoldRequest]], breakers: Any
) -> None:
    level = make_level(50)
    assert isinstance(outcome(poisoned(level)), Unstorable)
    batches.clear()
    others = [hold_request((level, 1)) for _ in range(6)]
    outcomes = together(*(partial(outcome, request) for request in [*others, poisoned(level), poisoned(level)]))
    assert [type(each) for each in outcomes] == [PlacedHold] * 6 + [Unstorable] * 2
    assert {request.actor.name for batch in batches for request in batch} == {ACTOR.name}
    assert breakers.has(POISONER.client_id)
    breakers._until = {client_id: until - 60 for client_id, until in breakers._until.items()}
    assert not breakers.has(POISONER.client_id)


def test_on_the_event_loop_such_a_client_has_two_threads(breakers: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    level = make_level(50)
    names: list[str] = []
    place_holds = placing.place_holds

    def noting(requests: list[HoldRequest], *patience: Any) -> Any:
        names.append(threading.current_thread().name)
        try:
            return place_holds(requests, *patience)
        finally:
            connection.close()  # Of a thread that outlives the test's database.

    monkeypatch.setattr(placing, "place_holds", noting)
    breakers.note(POISONER.client_id, Unstorable("a value"))

    async def ask() -> list[Any]:
        submissions = [group_commit.place_hold(hold_request((level, 1), actor=POISONER)) for _ in range(6)]
        return await asyncio.gather(*(submission.outcome_on_loop() for submission in submissions))

    outcomes = run(ask())
    assert [type(each) for each in outcomes] == [PlacedHold] * 6
    assert set(names) <= {"breaker_0", "breaker_1"}


def test_a_refusal_costs_nobody_the_company_of_others(breakers: Any) -> None:
    level = make_level(1)
    with pytest.raises(InsufficientStock):
        group_commit.place_hold(hold_request((level, 2), actor=POISONER)).outcome()
    assert not breakers.has(POISONER.client_id)


def test_pages_of_lists_delay_no_request_that_is_decided_alone(settings: LazySettings) -> None:
    settings.GROUP_COMMIT = False
    level, ended = make_level(1), threading.Event()

    def read(requests: list[HoldRequest]) -> list[HoldRequest]:
        ended.wait(20)
        return requests

    async def ask() -> Any:
        reading = [combining.LongReading(read, hold_request((level, 1))).outcome_on_loop() for _ in range(32)]
        pages = [asyncio.ensure_future(each) for each in reading]
        await asyncio.sleep(0)
        try:
            return await asyncio.wait_for(group_commit.place_hold(hold_request((level, 1))).outcome_on_loop(), 10)
        finally:
            ended.set()
            await asyncio.gather(*pages)

    assert isinstance(run(ask()), PlacedHold)
