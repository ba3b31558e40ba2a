"""Optimisations of the hot path that no other test checks: without them everything works, but slower."""

import gc
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection

from audit.actors import Actor
from audit.idempotency import Claim, StoredAnswer
from inventory import transactions
from inventory.locking import Counters, LockedLevels
from inventory.services.stock.ledger import MovementCause
from reservations.services.holds.documents import HeldItem, Hold
from reservations.services.holds.extending import ExtendRequest
from reservations.services.holds.placing import HoldRequest, PlacedHold, place_hold
from reservations.services.holds.resolution import ConsumeRequest, ReleaseRequest, Resolved
from reservations.services.holds.selecting import Selector
from reservations.services.holds.sourcing import RequestLine
from tests.factories import make_level

ROOT = Path(__file__).resolve().parents[2]
NOW = datetime(2026, 1, 1, tzinfo=UTC)
ID = uuid4()

ACTOR = Actor("till", ID, "request-1", "api")
LINE = RequestLine(ID, None, 1)
ITEM = HeldItem(ID, ID, None, ID, "wh-001", 1, None, pinned=False)
HOLD = Hold(ID, ID, "main", "ACTIVE", "cart-1", None, None, NOW, NOW, items=(ITEM,))
VALUES = [
    ACTOR,
    Claim(ID, "key", b"print", repr),
    StoredAnswer(200, b"{}"),
    LINE,
    HoldRequest(ACTOR, (LINE,)),
    ExtendRequest(ACTOR, Selector(ID), 5),
    ReleaseRequest(ACTOR, Selector(ID)),
    ConsumeRequest(ACTOR, "order-1", Selector(ID)),
    Selector(ID),
    Counters(1, 0, 0, 1),
    LockedLevels(NOW, {}),
    MovementCause("SHIPMENT", "till"),
    ITEM,
    HOLD,
    PlacedHold(HOLD, NOW),
    Resolved((HOLD,), NOW),
]
START = """
import asyncio, gc, os
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
from config.asgi import application

async def main():
    asked = iter(["lifespan.startup"])
    async def receive():
        return {"type": next(asked, "lifespan.shutdown")}
    async def send(message):
        if message["type"] == "lifespan.startup.complete":
            print("frozen", gc.get_freeze_count() > 100_000)
            before = gc.get_stats()[0]["collections"]
            held = [[] for _ in range(15_000)]
            print("collected", gc.get_stats()[0]["collections"] - before)
    await application({"type": "lifespan", "asgi": {"version": "3.0"}}, receive, send)

asyncio.run(main())
"""


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_values_of_a_request_cost_the_collector_nothing(value: Any) -> None:
    assert not gc.is_tracked(value)


@pytest.mark.django_db(transaction=True)
def test_hot_statements_share_one_plan_and_other_transactions_do_not() -> None:
    def mode() -> str:
        with connection.cursor() as cursor:
            cursor.execute("SHOW plan_cache_mode")
            return str(cursor.fetchone()[0])

    assert (transactions.run(mode), mode()) == ("force_generic_plan", "auto")


@pytest.mark.django_db
@pytest.mark.usefixtures("store")
def test_a_cursor_is_opened_only_for_what_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    level, opened, sent = make_level(10), [], []
    request = HoldRequest(ACTOR, (RequestLine(level.product_id, None, 1),), cart_id="cart-1", order_id="order-1")
    cursor = connection.cursor
    monkeypatch.setattr(connection, "cursor", lambda: opened.append(1) or cursor())  # type: ignore[func-returns-value]

    def note(execute: Any, *statement: Any) -> Any:
        sent.append(statement[0])
        return execute(*statement)

    with connection.execute_wrapper(note):
        assert isinstance(place_hold(request), PlacedHold)
    assert any("pg_advisory_xact_lock" in sql for sql in sent)
    assert len(opened) <= len(sent)


@pytest.mark.django_db
@pytest.mark.usefixtures("store")
def test_a_reserve_hashes_few_uuids(monkeypatch: pytest.MonkeyPatch) -> None:
    """``uuid.UUID`` computes its hash in Python, five times as slowly as a text or a number."""
    level, hashed, slow = make_level(10), [], UUID.__hash__
    request = HoldRequest(ACTOR, (RequestLine(level.product_id, None, 1),), cart_id="cart-1")
    monkeypatch.setattr(UUID, "__hash__", lambda id_: hashed.append(id_) or slow(id_))  # type: ignore[func-returns-value]
    assert isinstance(place_hold(request), PlacedHold)
    assert 0 < len(hashed) <= 45


def test_the_collector_leaves_alone_what_is_loaded_at_the_start_and_the_objects_of_a_large_request() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", START], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    assert "frozen True" in ran.stdout, ran.stdout + ran.stderr
    assert "collected 0" in ran.stdout, ran.stdout + ran.stderr
