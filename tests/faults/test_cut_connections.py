"""Connections to PostgreSQL are cut again and again: nothing is lost, and the next call succeeds."""

import threading
from collections.abc import Callable
from contextlib import closing
from functools import partial
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from django.db import OperationalError, connection

from audit import feed
from audit.db.pool import own_connection
from audit.db.postgresql.pool import Pool
from audit.feed import hub
from audit.models import AuditEntry
from audit.streams.publishing import publish_next
from inventory.tasks import check_low_stock
from reservations.tasks import expire_due_holds
from tests.audit.streams.sinks import KeptEvents
from tests.books import assert_books_balance
from tests.concurrency.threads import Crew
from tests.faults.house import House, Load, Web, call, eventually
from tests.faults.test_connection import kill_this_connection
from tests.orders.sending import cancelled, receive

CUT = """
SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity
WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
"""


class Cutter:
    """Cuts all connections every 0.1 s until its block ends, and once more then."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._is_over = threading.Event()
        self.cuts = 0

    def __enter__(self) -> "Cutter":
        self._thread = threading.Thread(target=self._cut_on, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join(60)
        assert not self._thread.is_alive()

    def _cut_on(self) -> None:
        with self._house.database() as database:
            while not self._is_over.wait(0.1):
                database.execute(CUT)
                self.cuts += 1


def cut(house: House) -> None:
    """Cut all connections once."""
    with house.database() as database:
        database.execute(CUT)


def every_kind_of_call(house: House) -> list[tuple[str, str, Any]]:
    """Calls that are answered on the event loop, in threads for the API, events, the console and probes."""
    product = house.products[0]
    line = {"productId": product, "warehouseId": "wh-001", "quantity": 1, "type": "RECEIPT", "reason": "in"}
    items = [{"productId": product, "quantity": 1}]
    return [
        ("POST", "/api/v1/inventory/reserve", {"cartId": f"cart-{uuid4()}", "items": items}),
        ("POST", "/api/v1/inventory/reserve?dryRun=false", {"cartId": f"cart-{uuid4()}", "items": items}),
        ("POST", "/api/v1/inventory/check-availability", {"items": items}),
        ("GET", f"/api/v1/inventory/{product}", None),
        ("PUT", "/api/v1/inventory/adjust", {"adjustments": [line]}),
        ("GET", "/api/v1/events?limit=1", None),
        ("GET", "/health/ready", None),
    ]


def test_after_the_last_cut_the_first_call_succeeds_and_nothing_is_lost(house: House) -> None:
    web = Web(house)
    try:
        with Load(house) as load:
            load.run(0.2)
            with Cutter(house) as cutter:
                eventually(lambda: cutter.cuts >= 15, "cuts")
        assert not load.failures
        # Each kind is the first call once: the one before it has connected again.
        for request in every_kind_of_call(house):
            cut(house)
            status, body, _ = call(house, *request)
            assert status in {200, 201}, (request, body)
        cut(house)
        with Load(house, threads=12) as after:
            after.run(0.5)
        assert set(after.answers) <= {"200", "201", "409 idempotency_in_progress"}, after.answers
    finally:
        web.kill()
    with house.database() as database:
        assert_books_balance(database)


WORK: dict[str, Callable[[], Any]] = {
    "a read": AuditEntry.objects.count,
    "a task of the sweeper": expire_due_holds,
    "a task of the worker": check_low_stock,
    "a tick of the relay": feed.tick,
    "a batch of the relay": lambda: publish_next(KeptEvents()),
    "a batch of the consumer": lambda: receive(cancelled("order-1")),
    "a look of the feed": lambda: hub._look(None),
}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("name", WORK)
def test_the_first_work_of_a_process_after_a_cut_succeeds(name: str) -> None:
    def work() -> None:
        AuditEntry.objects.count()
        kill_this_connection()
        WORK[name]()

    Crew(work).join()


@pytest.mark.django_db(transaction=True)
def test_a_session_that_holds_locks_is_never_replaced() -> None:
    def work() -> None:
        own = own_connection()
        own.ensure_connection()
        own.keeps_session = True
        kill_this_connection()
        with pytest.raises(OperationalError):
            AuditEntry.objects.count()

    Crew(work).join()


@pytest.mark.django_db(transaction=True)
def test_a_pool_gives_out_no_dead_connection_and_closes_all_after_a_loss() -> None:
    pool = Pool(max_size=3, timeout=0.1)
    connect = partial(psycopg.connect, **connection.get_connection_params() | {"autocommit": True})
    first, second, third = (pool.take(connect) for _ in range(3))
    with pytest.raises(psycopg.OperationalError, match="no connection was free"):
        pool.take(connect)
    with closing(psycopg.connect(**connection.get_connection_params())) as other:
        for each in (first, second):
            pool.give_back(each)
        other.execute("SELECT pg_terminate_backend(%s, 5000)", [second.info.backend_pid])
    assert pool.take(connect) is first
    pool.give_back(first)
    third.close()
    pool.give_back(third)
    assert first.closed
    assert pool.get_stats() == {
        "pool_max": 3,
        "pool_size": 0,
        "pool_available": 0,
        "requests_waiting": 0,
        "requests_num": 5,
        "requests_errors": 1,
    }
