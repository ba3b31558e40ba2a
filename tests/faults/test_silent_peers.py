"""A web process freezes, or its network is cut, in the middle of a transaction: the others go on selling."""

import copy
import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.conf import LazySettings
from django.db import connection

from audit.errors import Busy
from reservations.services.holds.placing import PlacedHold, place_hold
from tests.books import assert_books_balance
from tests.concurrency.threads import Crew
from tests.factories import counters, hold_request, make_level
from tests.faults.house import House, Web, call, eventually
from tests.faults.networks import Network, Unable
from tests.faults.test_proxies import free_port

LOCK_TIMEOUT = 6.0
MARGIN_SECONDS = 4.0
"""For a machine with much else to do, and the two seconds that a connection takes at least."""
RESERVE = "/api/v1/inventory/reserve"
Told = tuple[int, Any, float]


def reserve(house: House, cart: str) -> Told:
    """Hold one unit of the first product. Returns status, body and how long it took."""
    started = time.monotonic()
    body = {"cartId": cart, "items": [{"productId": house.products[0], "quantity": 1}]}
    status, answer, _ = call(house, "POST", RESERVE, body, key=cart, seconds=60)
    return status, answer, time.monotonic() - started


def elsewhere(house: House) -> House:
    """The same service, asked at another port."""
    other = copy.copy(house)
    other.port = free_port()
    return other


class Frozen:
    """A web node whose next reserve stops once it has its locks."""

    def __init__(self, house: House, folder: Path, **environment: str) -> None:
        self.house = elsewhere(house)
        self.file = folder / f"freeze-{uuid4()}"
        self.web = Web(
            self.house,
            application="tests.faults.freezing:application",
            FREEZE_FILE=str(self.file),
            LOCK_TIMEOUT=str(LOCK_TIMEOUT),
            **environment,
        )

    def freeze(self, threads: ThreadPoolExecutor, how: str) -> tuple[str, "Future[Told]"]:
        """Let a reserve stop with its locks. Returns its cart and its answer to come."""
        reached = self.file.with_suffix(".reached")
        reached.unlink(missing_ok=True)
        self.file.write_text(how)
        cart = f"frozen-{uuid4()}"
        answer = threads.submit(reserve, self.house, cart)
        eventually(reached.exists, "the reserve to have its locks")
        return cart, answer

    def go_on(self) -> None:
        """Let what stopped go on."""
        self.file.with_suffix(".reached").unlink(missing_ok=True)
        for pid in _family(self.web.process.pid):
            os.kill(pid, signal.SIGCONT)


def _family(pid: int) -> list[int]:
    children = (Path("/proc") / str(pid) / "task" / str(pid) / "children").read_text().split()
    return [pid, *(one for child in children for one in _family(int(child)))]


def held(house: House, cart: str) -> int:
    """The number of holds of a cart."""
    with house.database() as database:
        row = database.execute("SELECT count(*) FROM reservations_reservation WHERE cart_id = %s", [cart]).fetchone()
    assert row
    return int(row[0])


def assert_others_sell(house: House) -> None:
    """Another node sells the product, and waits less than ``LOCK_TIMEOUT`` for it."""
    told = [reserve(house, f"other-{uuid4()}") for _ in range(3)]
    assert [status for status, _, _ in told] == [201] * 3, told
    assert max(seconds for _, _, seconds in told) < LOCK_TIMEOUT, told


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as made:
        yield Path(made)


def test_a_process_that_freezes_in_a_batch_holds_nobody_up_and_answers_what_is_true(house: House, folder: Path) -> None:
    frozen = Frozen(house, folder)
    other = Web(house, LOCK_TIMEOUT=str(LOCK_TIMEOUT))
    try:
        with ThreadPoolExecutor(2) as threads:
            for pause in (0.0, LOCK_TIMEOUT):
                assert reserve(frozen.house, f"before-{uuid4()}")[0] == 201
                cart, answer = frozen.freeze(threads, "stop")
                assert_others_sell(house)
                assert held(house, cart) == 0
                time.sleep(pause)
                frozen.go_on()
                status, body, _ = answer.result(60)
                assert (status, body.get("code")) in {(201, None), (503, "busy")}, body
                assert held(house, cart) == (status == 201)
                again, _, _ = reserve(frozen.house, cart)
                assert (again, held(house, cart)) == (201, 1)
        with house.database() as database:
            assert_books_balance(database)
    finally:
        frozen.go_on()
        frozen.web.kill()
        other.kill()


@pytest.fixture(scope="module")
def network() -> Iterator[Network]:
    try:
        network = Network()
    except Unable as why:
        (pytest.fail if "CI_RUN" in os.environ else pytest.skip)(str(why))
    with closing(network):
        yield network


@pytest.fixture(scope="module")
def remote(network: Network) -> Iterator[House]:
    """A house whose PostgreSQL is on another machine, as it were."""
    with tempfile.NamedTemporaryFile("w", dir="/tmp") as rules:
        rules.write("local all all trust\nhost all all all trust\n")
        rules.flush()
        Path(rules.name).chmod(0o644)
        options = f"-c listen_addresses={network.there} -c hba_file={rules.name}"
        house = network.inside(lambda: House(postgres_options=options))
        yield house
        house.close()


def test_a_cut_cable_holds_nobody_up_and_each_request_is_answered_in_time(
    remote: House, network: Network, folder: Path
) -> None:
    user = remote.urls["DATABASE_URL"].split("//")[1].split("@")[0]
    name = remote.urls["DATABASE_URL"].rsplit("/", 1)[1]
    far = Frozen(remote, folder, DATABASE_URL=f"postgres://{user}@{network.there}/{name}")
    near = Web(remote, LOCK_TIMEOUT=str(LOCK_TIMEOUT))
    requests = [
        ("GET", f"/api/v1/inventory/{remote.products[0]}", None),
        ("POST", RESERVE, {"cartId": "cut", "items": [{"productId": remote.products[1], "quantity": 1}]}),
        ("POST", "/api/v1/inventory/check-availability", {"items": [{"productId": remote.products[0], "quantity": 1}]}),
        ("GET", "/health/ready", None),
    ]

    def timed(request: tuple[str, str, Any]) -> Told:
        started = time.monotonic()
        status, body, _ = call(far.house, *request, seconds=60)
        return status, body, time.monotonic() - started

    try:
        with ThreadPoolExecutor(20) as threads:
            list(threads.map(timed, requests * 4))  # So that there are connections to lose.
            cart, answer = far.freeze(threads, "wait")
            network.cut()
            far.go_on()
            told = threads.map(timed, requests * 3)
            assert_others_sell(remote)
            for status, body, seconds in [*told, answer.result(60)]:
                assert status == 503, body
                assert seconds < LOCK_TIMEOUT + MARGIN_SECONDS, (seconds, body)
            assert held(remote, cart) == 0
            network.mend()
            assert reserve(far.house, cart)[0] == 201
            assert [timed(request)[0] for request in requests] == [200, 201, 200, 200]
        with remote.database() as database:
            assert_books_balance(database)
    finally:
        far.web.kill()
        near.kill()


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("store")
def test_a_silent_client_loses_its_locks_and_repeats_its_transaction(settings: LazySettings) -> None:
    settings.LOCK_TIMEOUT = 6.0
    level = make_level(10)
    is_locked, is_sold = threading.Event(), threading.Event()

    def pause_before_the_first_write(execute: Callable[..., Any], sql: str, *arguments: Any) -> Any:
        if "INSERT INTO audit_auditentry" in sql and not is_locked.is_set():
            is_locked.set()
            is_sold.wait(30)
        return execute(sql, *arguments)

    def silently() -> Any:
        with connection.execute_wrapper(pause_before_the_first_write):
            return place_hold(hold_request((level, 2)))

    def meanwhile() -> Any:
        assert is_locked.wait(30)
        try:
            return place_hold(hold_request((level, 1)))
        finally:
            is_sold.set()

    frozen, other = Crew(silently, meanwhile).join(60)
    assert isinstance(other, PlacedHold), other  # Not Busy, after LOCK_TIMEOUT.
    assert isinstance(frozen, PlacedHold | Busy), frozen
    assert counters(level) == (10, 3 if isinstance(frozen, PlacedHold) else 1)
    assert_books_balance()
