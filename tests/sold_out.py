"""Requests for sold-out stock, and their refusals, for tests."""

from typing import Any, Final
from uuid import UUID

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from audit.errors import DomainError
from audit.idempotency import Claim, StoredAnswer, fingerprint
from inventory.errors import InsufficientStock
from inventory.models import StockLevel
from reservations import group_commit
from reservations.services.holds.documents import Hold
from reservations.services.holds.placing import HoldRequest
from tests.factories import hold, hold_request
from tests.loops import run

CLIENT: Final = UUID("00000000-0000-7000-8000-000000000001")


@pytest.fixture
def long_memory(settings: Settings) -> None:
    """Remember what is sold out for longer than any of these tests takes."""
    settings.SOLD_OUT_CACHE_SECONDS = 60


def make_claim(key: str, body: str = "") -> Claim:
    """The claim on a key by a request with this body."""
    return Claim(CLIENT, key, fingerprint("POST", "/reserve", body.encode()), lambda _: StoredAnswer(201, b"{}"))


def reserve(request: HoldRequest) -> Any:
    """The outcome of a request as the API hands it in; a refusal is returned."""
    try:
        return group_commit.place_hold(request).outcome()
    except DomainError as error:
        return error


def refused_at_once(request: HoldRequest) -> InsufficientStock:
    """The refusal of a request that is answered without a statement, in a thread and on an event loop."""
    with CaptureQueriesContext(connection) as statements:
        refusal = reserve(request)
        with pytest.raises(InsufficientStock) as on_loop:
            run(group_commit.place_hold(request).outcome_on_loop())
    assert isinstance(refusal, InsufficientStock)
    assert not statements.captured_queries
    assert on_loop.value.faults == refusal.faults
    return refusal


def sell_out(level: StockLevel) -> Hold:
    """Hold all available units of a level, and have it remembered as sold out."""
    held = hold((level, level.on_hand - level.min_stock_level))
    assert isinstance(reserve(hold_request((level, 1))), InsufficientStock)
    refused_at_once(hold_request((level, 1)))
    return held


def refused_from_a_read(request: HoldRequest) -> None:
    """Assert that a request is refused without a lock: its key and order are only looked up."""
    with CaptureQueriesContext(connection) as statements:
        assert isinstance(reserve(request), InsufficientStock)
    assert 0 < len(statements) <= 3
    assert not waits_for_locks(statements)


def waits_for_locks(statements: CaptureQueriesContext) -> bool:
    """Whether one of the statements waits for a lock, or begins a transaction."""
    waits = ("FOR NO KEY UPDATE", "pg_advisory_xact_lock", "pg_current_xact_id", "SAVEPOINT")
    return any(word in statement["sql"] for statement in statements.captured_queries for word in waits)
