"""What strangers may take of a process: memory, threads and connections, over real sockets."""

import http.client
import json
import os
import socket
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.faults.house import House, Web, eventually

MIB = 1024 * 1024
LOGIN = "/admin/login/"
LEVELS = "/api/v1/inventory/levels"
_LOGGED_IN = """
import django
django.setup()
from tests.staff import browser_of, make_staff
print(browser_of(make_staff("manager", name="mia")).cookies["sessionid"].value)
"""


@pytest.fixture(scope="module", autouse=True)
def web(house: House) -> Iterator[Web]:
    """A server whom failed logins alone don't stop."""
    web = Web(house, LOGIN_FAILURES="100000", LOGIN_FAILURES_PER_ADDRESS="100000", LOGIN_FAILURES_PER_NAME="100000")
    yield web
    web.kill()


@pytest.fixture(scope="module")
def session(house: House) -> str:
    """The session of a manager who is logged in."""
    return house.python("-c", _LOGGED_IN).strip()


def ask(house: House, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, bytes]:
    """Status and body of an answer; names of headers have underscores for dashes."""
    connection = http.client.HTTPConnection("127.0.0.1", house.port, timeout=30)
    with closing(connection):
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        response = connection.getresponse()
        return response.status, response.read()


def head(path: str, *headers: str, method: str = "POST") -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: localhost", *headers, "", ""]).encode()


def caller(house: House, sent: bytes, address: str = "127.0.0.1") -> socket.socket:
    """A connection from this address on which this was sent, as far as the server took it."""
    own = socket.create_connection(("127.0.0.1", house.port), timeout=10, source_address=(address, 0))
    with suppress(OSError):
        own.sendall(sent)
    return own


def memory_bytes(web: Web) -> int:
    """What the server's processes have in memory."""
    page = os.sysconf("SC_PAGE_SIZE")
    return sum(int((Path("/proc") / pid / "statm").read_text().split()[1]) * page for pid in _family(web.process.pid))


def _family(pid: int) -> list[str]:
    children = (Path("/proc") / str(pid) / "task" / str(pid) / "children").read_text().split()
    return [str(pid), *(one for child in children for one in _family(int(child)))]


def test_the_document_is_there_for_the_first_two_who_ask_at_once(house: House) -> None:
    with ThreadPoolExecutor(2) as threads:
        answers = list(threads.map(lambda path: ask(house, "GET", path), ["/api/schema/"] * 2))
    assert [status for status, _ in answers] == [200, 200]
    assert answers[0][1].startswith(b"openapi: 3.")


@pytest.mark.parametrize(
    ("header", "start"),
    [(f"Content-Length: {31 * MIB}", b"x"), ("Transfer-Encoding: chunked", b"%x\r\n" % (31 * MIB))],
    ids=["announced", "in chunks"],
)
def test_twenty_unfinished_logins_of_31_mib_cost_nothing(house: House, web: Web, header: str, start: bytes) -> None:
    ask(house, "GET", LOGIN)
    before = memory_bytes(web)
    sent = head(LOGIN, "Content-Type: application/x-www-form-urlencoded", header) + start + b"x" * (12 * MIB)
    with ExitStack() as open_callers, ThreadPoolExecutor(20) as threads:
        for own in threads.map(lambda _: caller(house, sent), range(20)):
            open_callers.enter_context(own)
        assert memory_bytes(web) - before < 40 * MIB
    assert ask(house, "GET", "/health/ready")[0] == 200


def test_a_stranger_is_told_what_is_too_large_and_so_is_a_person(house: House, session: str) -> None:
    form = "application/x-www-form-urlencoded"
    large = urlencode({"username": "x" * 20_000, "password": "x"}).encode()
    status, page = ask(house, "POST", LOGIN, large, Content_Type=form)
    assert (status, b"Too large" in page) == (413, True)
    status, page = ask(house, "POST", LOGIN, large, Content_Type=form, Cookie="sessionid=" + "x" * 32)
    assert status == 413
    known = {"Content_Type": form, "Cookie": f"sessionid={session}"}
    assert ask(house, "POST", LOGIN, b"a=" + b"x" * MIB, **known)[0] == 403  # No CSRF token: it was read.
    assert ask(house, "POST", LOGIN, b"a=" + b"x" * (2 * MIB), **known)[0] == 413


def test_a_program_sends_more_than_a_stranger_only_with_its_token(house: House) -> None:
    for token, status in ((house.token, 400), ("nobody", 401)):
        told = ask(
            house,
            "POST",
            "/api/v1/inventory/reserve",
            json.dumps({"cartId": "x" * 100_000}).encode(),
            Authorization=f"Bearer {token}",
            Content_Type="application/json",
        )
        assert told[0] == status, told


def test_who_does_not_end_its_headers_is_dropped_after_five_seconds(house: House) -> None:
    with caller(house, b"GET / HTTP/1.1\r\nHost: loc") as own:
        began = time.monotonic()
        own.settimeout(20)
        while own.recv(1000):
            pass
        assert 4 < time.monotonic() - began < 15


# ------------------------------------------------------------------------------------------------------ under each load


@contextmanager
def failing_logins(house: House, web: Web) -> Iterator[None]:
    """Twenty who guess passwords, as fast as they are told that they are wrong."""
    stop, statuses = threading.Event(), set[int]()

    def guess(number: int) -> None:
        page = ask(house, "GET", LOGIN)[1].decode()
        token = page.split('name="csrfmiddlewaretoken" value="')[1].split('"')[0]
        body = urlencode({"csrfmiddlewaretoken": token, "username": f"u{number}", "password": "x"}).encode()
        headers = {"Cookie": f"csrftoken={token}", "Content_Type": "application/x-www-form-urlencoded"}
        while not stop.is_set():
            try:
                statuses.add(ask(house, "POST", LOGIN, body, **headers)[0])
            except (OSError, http.client.HTTPException):
                assert stop.is_set()

    with _many(20, guess, stop):
        eventually(lambda: bool(statuses), "passwords to be guessed")
        yield
        stop.set()
        web.kill()  # Those who wait for a thread would take seconds.
    web.start()
    assert 200 in statuses
    assert statuses <= {200, 503}


@contextmanager
def unfinished_logins(house: House, _web: Web) -> Iterator[None]:
    """Twenty who announce 31 MiB, again and again, and forty who dawdle with a small one."""
    stop = threading.Event()
    announced = head(LOGIN, f"Content-Length: {31 * MIB}") + b"x" * 100_000
    dawdling = head(LOGIN, "Content-Length: 1000") + b"x"

    def begin(_number: int) -> None:
        while not stop.is_set():
            with caller(house, announced) as own, suppress(OSError):
                own.recv(100)

    with ExitStack() as dawdlers:
        for _ in range(40):
            dawdlers.enter_context(caller(house, dawdling))
        with _many(4, begin, stop):
            yield


@contextmanager
def documents(house: House, _web: Web) -> Iterator[None]:
    """Four who ask for the OpenAPI document all the time."""
    stop = threading.Event()

    def ask_on(_number: int) -> None:
        while not stop.is_set():
            assert ask(house, "GET", "/api/schema/")[0] == 200
            time.sleep(0.02)

    with _many(4, ask_on, stop):
        yield


@contextmanager
def half_open(house: House, _web: Web) -> Iterator[None]:
    """1,100 who don't end their headers, all of one address, who come again when they are dropped."""
    stop = threading.Event()
    full = threading.Event()

    def hold_open(_number: int) -> None:
        with ExitStack() as callers:
            held: list[socket.socket] = []
            while not stop.is_set():
                held = [own for own in held if _takes(own, b"x")]
                while len(held) < 550:
                    own = callers.enter_context(caller(house, b"GET / HTTP/1.1\r\nHost: loc", "127.0.0.2"))
                    held.append(own)
                full.set()
                time.sleep(0.1)

    with _many(2, hold_open, stop):
        full.wait(30)
        yield


def _takes(own: socket.socket, more: bytes) -> bool:
    """Whether a connection is still open."""
    try:
        own.sendall(more)
    except OSError:
        own.close()
        return False
    return True


@contextmanager
def _many(number: int, work: Callable[[int], None], stop: threading.Event) -> Iterator[None]:
    with ThreadPoolExecutor(number) as threads:
        working = [threads.submit(work, index) for index in range(number)]
        try:
            yield
        finally:
            stop.set()
    for one in working:
        one.result()


def median_seconds(house: House, path: str, *, times: int = 11) -> float:
    """How long an answer takes, with a pause before each."""
    taken = []
    for _ in range(times):
        time.sleep(0.05)
        began = time.perf_counter()
        assert ask(house, "GET", path, Authorization=f"Bearer {house.token}")[0] == 200
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)


@pytest.mark.parametrize("load", [failing_logins, unfinished_logins, documents, half_open])
def test_probes_and_calls_about_stock_are_answered_under_load(house: House, web: Web, load: Any) -> None:
    idle = max(median_seconds(house, "/health/ready", times=5), 0.005)
    with load(house, web):
        measured = {path: median_seconds(house, path) for path in ("/health/live", "/health/ready", LEVELS)}
    assert measured["/health/live"] < 10 * idle
    assert measured["/health/ready"] < 10 * idle
    assert measured[LEVELS] < 0.5
