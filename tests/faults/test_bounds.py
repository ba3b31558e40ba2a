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

from tests.audit.test_workbooks import shared_by_all_cells
from tests.faults.house import House, Web, eventually

MIB = 1024 * 1024
PROGRESS_SECONDS = 3
LOGIN = "/admin/login/"
LEVELS = "/api/v1/inventory/levels"
LAST_CHUNK = b"\r\n0\r\n\r\n"
RESERVE = "/api/v1/inventory/reserve"
IMPORT = "/admin/inventory/product/import-products/"
EXPORT = "/admin/audit/auditentry/export.csv"
EXPORTED_ENTRIES = 2000
_LOGGED_IN = """
import django
django.setup()
from tests.staff import browser_of, make_staff
for name in ("mia", "max"):
    print(browser_of(make_staff("manager", name=name)).cookies["sessionid"].value)
"""
_ENTRIES = """
INSERT INTO audit_auditentry (id, at, action, actor, source, request_id, store, subject_id, changes)
SELECT uuidv7(), now(), 'product_changed', 'mia', 'console', 'r', '', uuidv7(), to_jsonb(repeat('x', 6000))
FROM generate_series(1, %s)
"""


@pytest.fixture(scope="module", autouse=True)
def web(house: House) -> Iterator[Web]:
    """A server that failed logins alone don't stop, with few connections and little patience."""
    limits = dict.fromkeys(("LOGIN_FAILURES", "LOGIN_FAILURES_PER_ADDRESS", "LOGIN_FAILURES_PER_NAME"), "100000")
    web = Web(house, DATABASE_POOL_SIZE="4", PROGRESS_SECONDS=str(PROGRESS_SECONDS), **limits)
    yield web
    web.kill()


@pytest.fixture(scope="module")
def sessions(house: House) -> list[str]:
    """The sessions of two managers who are logged in, with an audit trail of some MB to export."""
    with house.database() as database:
        database.execute(_ENTRIES, [EXPORTED_ENTRIES])
    return house.python("-c", _LOGGED_IN).split()


def ask(house: House, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, bytes]:
    """Status and body of an answer; names of headers have underscores for dashes."""
    connection = http.client.HTTPConnection("127.0.0.1", house.port, timeout=30)
    with closing(connection):
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        response = connection.getresponse()
        return response.status, response.read()


def head(path: str, *headers: str, method: str = "POST") -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: localhost", *headers, "", ""]).encode()


def caller(house: House, sent: bytes, address: str = "127.0.0.1", *, buffer_bytes: int = 0) -> socket.socket:
    """A connection from this address on which this was sent, as far as the server took it."""
    own = socket.socket()
    if buffer_bytes:
        own.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
    own.settimeout(10)
    own.bind((address, 0))
    own.connect(("127.0.0.1", house.port))
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


def test_a_stranger_is_told_what_is_too_large_and_so_is_a_person(house: House, sessions: list[str]) -> None:
    form = "application/x-www-form-urlencoded"
    large = urlencode({"username": "x" * 20_000, "password": "x"}).encode()
    status, page = ask(house, "POST", LOGIN, large, Content_Type=form)
    assert (status, b"Too large" in page) == (413, True)
    status, page = ask(house, "POST", LOGIN, large, Content_Type=form, Cookie="sessionid=" + "x" * 32)
    assert status == 413
    known = {"Content_Type": form, "Cookie": f"sessionid={sessions[0]}"}
    assert ask(house, "POST", LOGIN, b"a=" + b"x" * MIB, **known)[0] == 403  # No CSRF token: it was read.
    assert ask(house, "POST", LOGIN, b"a=" + b"x" * (2 * MIB), **known)[0] == 413


def test_a_program_sends_more_than_a_stranger_only_with_its_token(house: House) -> None:
    for token, status in ((house.token, 400), ("nobody", 401)):
        told = ask(
            house,
            "POST",
            RESERVE,
            json.dumps({"cartId": "x" * 100_000}).encode(),
            Authorization=f"Bearer {token}",
            Content_Type="application/json",
        )
        assert told[0] == status, told


def test_who_dawdles_is_dropped_or_told(house: House, sessions: list[str]) -> None:
    """Headers are waited for five seconds, and for ``PROGRESS_SECONDS`` each 16 KiB of a body and each 64 KiB of an
    export."""
    reader = slow_reader(house, sessions[0])
    own_token = f"Authorization: Bearer {house.token}"
    slow = {
        head(LOGIN, "Content-Length: 1000") + b"x": "408",
        head(LOGIN, "Transfer-Encoding: chunked") + b"1\r\nx\r\n": "408",
        head(RESERVE, "Content-Length: 1000") + b"x": "408",
        head(RESERVE, "Content-Length: 100000", own_token) + b"x" * 20_000: "408",
        b"GET / HTTP/1.1\r\nHost: loc": "",
    }
    began = time.monotonic()
    with ExitStack() as callers, ThreadPoolExecutor(len(slow)) as threads:
        connections = [callers.enter_context(caller(house, sent)) for sent in slow]
        answers = list(threads.map(first_of_the_answer, connections))
    for (answer, came_at), (sent, status) in zip(answers, slow.items(), strict=True):
        assert answer[9:12].decode() == status, sent[:200]
        least = PROGRESS_SECONDS if status else 5
        assert least - 1 < came_at - began < least + 10, sent[:200]
    with reader:
        time.sleep(1)
        assert not drained(reader).endswith(LAST_CHUNK)


def first_of_the_answer(own: socket.socket) -> tuple[bytes, float]:
    """What comes first on a connection, nothing if it is closed, and when."""
    own.settimeout(30)
    return own.recv(65536), time.monotonic()


def slow_reader(house: House, session: str) -> socket.socket:
    """A connection on which an export of some MB has begun, and on which nothing more is read."""
    own = caller(house, head(EXPORT, f"Cookie: sessionid={session}", method="GET"), buffer_bytes=4096)
    assert own.recv(12) == b"HTTP/1.1 200"
    return own


def drained(own: socket.socket) -> bytes:
    """Everything that comes on a connection until it is closed, or its answer ends."""
    own.settimeout(30)
    got = b""
    with suppress(ConnectionResetError):
        while not got.endswith(LAST_CHUNK) and (part := own.recv(MIB)):
            got += part
    return got


# ------------------------------------------------------------------------------------------------------ under each load


@contextmanager
def failing_logins(house: House, web: Web, _sessions: list[str]) -> Iterator[None]:
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
def unfinished_logins(house: House, _web: Web, _sessions: list[str]) -> Iterator[None]:
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
def documents(house: House, _web: Web, _sessions: list[str]) -> Iterator[None]:
    """Four who ask for the OpenAPI document all the time."""
    stop = threading.Event()

    def ask_on(_number: int) -> None:
        while not stop.is_set():
            assert ask(house, "GET", "/api/schema/")[0] == 200
            time.sleep(0.02)

    with _many(4, ask_on, stop):
        yield


@contextmanager
def half_open(house: House, _web: Web, _sessions: list[str]) -> Iterator[None]:
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


@contextmanager
def slow_readers(house: House, _web: Web, sessions: list[str]) -> Iterator[None]:
    """Four who ask for an export of some MB and read nothing of it; another one gets all of it meanwhile."""
    with ExitStack() as readers:
        for _ in range(4):
            readers.enter_context(slow_reader(house, sessions[0]))
        status, content = ask(house, "GET", EXPORT, Cookie=f"sessionid={sessions[1]}")
        assert (status, content.count(b"product_changed")) == (200, EXPORTED_ENTRIES)
        yield


@contextmanager
def uploads(house: House, web: Web, sessions: list[str]) -> Iterator[None]:
    """Four who upload workbooks that explode, three of them in the name of one person."""
    stop = threading.Event()
    refusals = set[bytes]()
    boundary, token = "xxxx", "t" * 32
    start = f'--{boundary}\r\nContent-Disposition: form-data; name="do"\r\n\r\nlook\r\n'
    start += f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="a.xlsx"\r\n\r\n'
    body = start.encode() + shared_by_all_cells() + f"\r\n--{boundary}--\r\n".encode()

    def upload(number: int) -> None:
        headers = {
            "Cookie": f"sessionid={sessions[number // 3]}; csrftoken={token}",
            "X_CSRFToken": token,
            "Content_Type": f"multipart/form-data; boundary={boundary}",
        }
        while not stop.is_set():
            status, page = ask(house, "POST", IMPORT, body, **headers)
            assert status == 422, web.output.read_text()[-4000:]
            refusals.update(found for found in (b"too large", b"another file of yours") if found in page)

    with _many(4, upload, stop):
        eventually(lambda: len(refusals) == 2, "workbooks to be refused")
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


def median_seconds(house: House, path: str, *, times: int = 9) -> float:
    """How long an answer takes, with a pause before each."""
    taken = []
    for _ in range(times):
        time.sleep(0.02)
        began = time.perf_counter()
        assert ask(house, "GET", path, Authorization=f"Bearer {house.token}")[0] == 200
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)


@pytest.mark.parametrize("load", [failing_logins, unfinished_logins, documents, half_open, slow_readers, uploads])
def test_probes_and_calls_about_stock_are_answered_under_load(
    house: House, web: Web, sessions: list[str], load: Any
) -> None:
    idle = max(median_seconds(house, "/health/ready", times=5), 0.005)
    with load(house, web, sessions):
        measured = {path: median_seconds(house, path) for path in ("/health/live", "/health/ready", LEVELS)}
    assert measured["/health/live"] < 10 * idle
    assert measured["/health/ready"] < 10 * idle
    assert measured[LEVELS] < 0.5
