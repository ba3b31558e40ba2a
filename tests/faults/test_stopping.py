"""A web server that is told to stop completes what is open, refuses the rest, and no proxy loses a request by that."""

import http.client
import json
import os
import signal
import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import pytest

from tests.books import assert_books_balance
from tests.faults.house import PATIENCE_SECONDS, House, eventually, free_port, status_of
from tests.faults.nodes import Node
from tests.faults.test_proxies import haproxy, nginx

RESERVE: Final = "/api/v1/inventory/reserve"
FEED: Final = "/api/v1/events"
JSON: Final = {"Content-Type": "application/json"}


def hold_of(house: House) -> bytes:
    item = {"productId": house.products[0], "quantity": 1}
    return json.dumps({"cartId": f"cart-{uuid4()}", "items": [item]}).encode()


class Open:
    """A connection with a request that is not yet answered; its body may be sent in parts."""

    def __init__(self, house: House, port: int, method: str, path: str, body: bytes = b"") -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS)
        head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {house.token}\r\n"
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        self._rest = body[len(body) // 2 :]
        self._socket.sendall(head.encode() + body[: len(body) // 2])

    def complete(self) -> tuple[int, str, bytes]:
        """Send the rest. Returns status, Connection and body, which must end as HTTP says."""
        self._socket.sendall(self._rest)
        response = http.client.HTTPResponse(self._socket)
        response.begin()
        with closing(self._socket), closing(response):
            return response.status, response.headers.get("Connection", ""), response.read()

    def has_begun(self) -> bool:
        """Whether a part of the answer has come."""
        return bool(self._socket.recv(1, socket.MSG_PEEK))


@contextmanager
def node_with(house: House, **environment: str) -> Iterator[Node]:
    node = Node(house, **environment)
    try:
        yield node
    finally:
        node.kill()


def test_what_is_open_is_completed_and_further_requests_are_told_to_go_elsewhere(house: House) -> None:
    with node_with(house, SHUTDOWN_GRACE_SECONDS="5") as node:
        kept = http.client.HTTPConnection("127.0.0.1", node.port, timeout=PATIENCE_SECONDS)
        kept.request("GET", "/health/live")
        kept.getresponse().read()
        upload, slow_upload = (Open(house, node.port, "POST", RESERVE, hold_of(house)) for _ in range(2))
        poll = Open(house, node.port, "GET", f"{FEED}?wait=30&types=StoreChangedEvent")
        stream = Open(house, node.port, "GET", f"{FEED}/stream")
        assert stream.has_begun()
        asked_at = time.monotonic()
        node.process.send_signal(signal.SIGTERM)
        node.process.send_signal(signal.SIGTERM)
        eventually(lambda: status_of(node.port, "/health/ready") == 503, "the node to say that it stops")
        assert status_of(node.port, "/health/live") == 200
        kept.request("POST", RESERVE, hold_of(house), {"Authorization": f"Bearer {house.token}"} | JSON)
        held = kept.getresponse()
        assert (held.status, held.headers["Connection"]) == (201, "close")
        held.read()
        assert upload.complete()[:2] == (201, "close")
        status, _, found = poll.complete()
        assert (status, json.loads(found)["events"]) == (200, [])
        assert stream.complete()[0] == 200
        assert time.monotonic() - asked_at >= 5
        with pytest.raises(OSError, match="refused"):
            socket.create_connection(("127.0.0.1", node.port), timeout=PATIENCE_SECONDS)
        assert node.process.poll() is None  # It waits for the last upload.
        assert slow_upload.complete()[:2] == (201, "close")
        assert node.process.wait(PATIENCE_SECONDS) == 0


def test_without_a_grace_a_server_ends_at_once_and_completes_what_is_open(house: House) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        with node_with(house, SHUTDOWN_GRACE_SECONDS="0" if number is signal.SIGTERM else "60") as node:
            upload = Open(house, node.port, "POST", RESERVE, hold_of(house))
            stream = Open(house, node.port, "GET", f"{FEED}/stream")
            assert stream.has_begun()
            node.process.send_signal(number) if number is signal.SIGTERM else interrupt(node)
            assert stream.complete()[0] == 200
            assert upload.complete()[0] == 201
            assert node.process.wait(PATIENCE_SECONDS) == 0


def interrupt(node: Node) -> None:
    """Press Ctrl-C: a terminal sends SIGINT to the whole group."""
    os.killpg(node.process.pid, signal.SIGINT)


class Shop:
    """Callers of a proxy who keep their connections, and hold one unit after another. They repeat nothing."""

    def __init__(self, house: House, port: int, callers: int = 4) -> None:
        self._house, self._port = house, port
        self.answers = Counter[str]()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._call, daemon=True) for _ in range(callers)]

    def __enter__(self) -> "Shop":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(PATIENCE_SECONDS)

    def _call(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=PATIENCE_SECONDS)
        headers = {"Authorization": f"Bearer {self._house.token}"} | JSON
        while not self._stop.is_set():
            try:
                connection.request("POST", RESERVE, hold_of(self._house), headers)
                response = connection.getresponse()
                response.read()
                self.answers[str(response.status)] += 1
            except (OSError, http.client.HTTPException) as error:
                self.answers[type(error).__name__] += 1
                connection.close()
        connection.close()


@contextmanager
def running(command: list[str], port: int) -> Iterator[None]:
    process = subprocess.Popen(command)
    try:
        eventually(lambda: is_up_at(port), "the proxy", seconds=15)
        yield
    finally:
        process.terminate()
        process.wait(PATIENCE_SECONDS)


def is_up_at(port: int) -> bool:
    try:
        return status_of(port, "/api/docs/") == 200
    except (OSError, http.client.HTTPException):
        return False


def test_a_rolling_restart_behind_either_proxy_loses_no_request(house: House, tmp_path: Path) -> None:
    grace: dict[str, Any] = {"SHUTDOWN_GRACE_SECONDS": "6", "THROTTLE_REQUESTS_PER_MINUTE": "0"}
    ports = [free_port(), free_port()]
    with node_with(house, **grace) as one, node_with(house, **grace) as other:
        commands = [
            make(tmp_path, port, one.port, other.port) for make, port in zip((nginx, haproxy), ports, strict=True)
        ]
        behind_nginx, behind_haproxy = (Shop(house, port) for port in ports)
        with running(commands[0], ports[0]), running(commands[1], ports[1]), behind_nginx, behind_haproxy:
            for node in (one, other):
                time.sleep(2)  # Both proxies see that both nodes are ready.
                assert node.stop() == 0
                node.start()
            time.sleep(1)
        for shop in (behind_nginx, behind_haproxy):
            assert shop.answers.keys() == {"201"}, (behind_nginx.answers, behind_haproxy.answers)
            assert shop.answers["201"] > 50
    with house.database() as database:
        assert_books_balance(database)
