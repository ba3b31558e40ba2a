"""A small HTTP client that loads a server: keep-alive sockets, one request at a time on each.

Used instead of wrk if that is not installed, and for loads at a given rate. At a given rate each request has a
scheduled time, and its latency is measured from that time, even if it had to wait for a free connection.
"""

import contextlib
import json
import math
import multiprocessing
import os
import selectors
import socket
import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from benchmarks.cluster import BenchmarkFailed

TIMEOUT_SECONDS: Final = 10.0
_END_OF_HEAD: Final = b"\r\n\r\n"
_LENGTH: Final = b"content-length:"


@dataclass(frozen=True)
class Target:
    """The route to load. Bodies are sent in turn; one with a path of its own is that path, a tab and the body.

    The status of each answer must start with ``expected``.
    """

    port: int
    method: str
    path: str
    authorization: str
    expected: str = "2"


@dataclass(frozen=True)
class Load:
    """The result of a load. Latencies are in milliseconds; a failure is an answer with another status than expected,
    or none. The CPU time is that of a request, in microseconds; None if it wasn't measured."""

    requests: int
    seconds: float
    failures: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    web_cpu_us: float | None = None
    postgresql_cpu_us: float | None = None

    @property
    def per_second(self) -> float:
        """Answered requests per second."""
        return self.requests / self.seconds if self.seconds else 0.0


@dataclass
class _Tally:
    latencies: list[float] = field(default_factory=list)
    failures: int = 0
    started_at: float = 0.0
    ended_at: float = 0.0


def encode(target: Target, body: str) -> bytes:
    """The bytes of an HTTP request."""
    own_path, tab, rest = body.partition("\t")
    path, content = (own_path, rest.encode()) if tab else (target.path, body.encode())
    head = (
        f"{target.method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"Authorization: {target.authorization}\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


def percentile(ordered: Sequence[float], percent: float) -> float:
    """The percentile (nearest rank) of ascending values; 0 if there are none."""
    if not ordered:
        return 0.0
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def answer_length(received: bytes) -> int | None:
    """The length of the answer at the start of the bytes, head and body; None if its head isn't complete yet."""
    end = received.find(_END_OF_HEAD)
    if end < 0:
        return None
    head = received[:end].lower()
    at = head.find(_LENGTH)
    length = int(head[at + len(_LENGTH) :].split(b"\r\n", 1)[0]) if at >= 0 else 0
    return end + len(_END_OF_HEAD) + length


def require(target: Target, body: str, expected: Mapping[str, Any]) -> None:
    """Send one request and raise BenchmarkFailed unless its answer has the expected status and fields."""
    with socket.create_connection(("127.0.0.1", target.port), TIMEOUT_SECONDS) as connection:
        connection.sendall(encode(target, body))
        received = b""
        while (length := answer_length(received)) is None or len(received) < length:
            if not (chunk := connection.recv(262_144)):
                break
            received += chunk
    found = {}
    with contextlib.suppress(ValueError):
        answer = json.loads(received.partition(_END_OF_HEAD)[2])
        found = {name: answer.get(name) for name in expected}
    if not received.startswith(target.expected.encode(), 9) or found != expected:
        raise BenchmarkFailed(
            f"{target.method} {target.path} answered {found} instead of {expected}: {received[:500]!r}"
        )


def run(target: Target, bodies: Sequence[str], *, connections: int, seconds: float, rate: float | None = None) -> Load:
    """Load a server for some seconds, keeping every connection busy or, with ``rate``, sending so many requests per
    second on free connections.

    Ends early when all bodies are sent; each is sent once.
    """
    parts = min(connections, os.cpu_count() or 1) if rate is None else 1
    shares = [(target, bodies[n::parts], len(range(n, connections, parts)), seconds, rate) for n in range(parts)]
    if parts == 1:
        return _summed([_drive(*shares[0])])
    with multiprocessing.get_context("spawn").Pool(parts) as pool:
        return _summed(pool.starmap(_drive, shares))


def _summed(tallies: Iterable[_Tally]) -> Load:
    tallies = list(tallies)
    ordered = sorted(latency * 1000 for tally in tallies for latency in tally.latencies)
    return Load(
        requests=len(ordered),
        seconds=max(tally.ended_at - tally.started_at for tally in tallies),
        failures=sum(tally.failures for tally in tallies),
        p50_ms=percentile(ordered, 50),
        p95_ms=percentile(ordered, 95),
        p99_ms=percentile(ordered, 99),
    )


def _drive(target: Target, bodies: Sequence[str], connections: int, seconds: float, rate: float | None) -> _Tally:
    driver = _Driver(target, bodies, rate)
    try:
        return driver.run(connections, seconds)
    finally:
        driver.close()


class _Driver:
    """One thread's connections."""

    def __init__(self, target: Target, bodies: Sequence[str], rate: float | None) -> None:
        self._port = target.port
        self._requests = [encode(target, body) for body in bodies]
        self._rate = rate
        self._expected = target.expected.encode()
        self._sent = 0
        self._selector = selectors.DefaultSelector()
        self._idle: deque[socket.socket] = deque()
        self._busy: dict[socket.socket, float] = {}
        self._received: dict[socket.socket, bytes] = {}
        self._tally = _Tally()

    def run(self, connections: int, seconds: float) -> _Tally:
        """Send requests until the time is over, then wait for the outstanding answers."""
        for _ in range(connections):
            connection = socket.create_connection(("127.0.0.1", self._port), TIMEOUT_SECONDS)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._selector.register(connection, selectors.EVENT_READ)
            self._idle.append(connection)
        started_at = self._tally.started_at = time.perf_counter()
        end = started_at + seconds
        while (now := time.perf_counter()) < end and (self._busy or self._sent < len(self._requests)):
            self._send_due(now, started_at)
            self._receive(self._pause(started_at, end))
        deadline = time.perf_counter() + TIMEOUT_SECONDS
        while self._busy and time.perf_counter() < deadline:
            self._receive(0.1)
        self._tally.ended_at = time.perf_counter()
        self._tally.failures += len(self._busy)
        return self._tally

    def close(self) -> None:
        """Close the connections."""
        for connection in (*self._idle, *self._busy):
            connection.close()
        self._selector.close()

    def _send_due(self, now: float, started_at: float) -> None:
        due = len(self._requests) if self._rate is None else int((now - started_at) * self._rate) + 1
        while self._idle and self._sent < min(due, len(self._requests)):
            connection = self._idle.popleft()
            self._busy[connection] = now if self._rate is None else started_at + self._sent / self._rate
            connection.sendall(self._requests[self._sent])
            self._sent += 1

    def _pause(self, started_at: float, end: float) -> float:
        """The seconds to wait for answers before the next request is due."""
        if self._rate is None or not self._idle:
            return min(0.1, end - time.perf_counter())
        return max(0.0, started_at + self._sent / self._rate - time.perf_counter())

    def _receive(self, timeout: float) -> None:
        for key, _ in self._selector.select(timeout):
            if isinstance(key.fileobj, socket.socket):
                self._read(key.fileobj)

    def _read(self, connection: socket.socket) -> None:
        try:
            chunk = connection.recv(262_144)
        except OSError:
            chunk = b""
        if not chunk:
            self._selector.unregister(connection)
            self._busy.pop(connection, None)
            connection.close()
            self._tally.failures += 1
            return
        received = self._received.pop(connection, b"") + chunk
        length = answer_length(received)
        if length is None or len(received) < length:
            self._received[connection] = received
            return
        self._tally.latencies.append(time.perf_counter() - self._busy.pop(connection))
        self._tally.failures += not received.startswith(self._expected, 9)
        self._idle.append(connection)
