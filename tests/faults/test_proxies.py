"""The shipped configurations of nginx and HAProxy, in the real programs, before a server that says what it was sent."""

import http.client
import http.server
import json
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.faults.house import PATIENCE_SECONDS, REPOSITORY, eventually, free_port

DEPLOY = REPOSITORY / "deploy"


class Telling(http.server.BaseHTTPRequestHandler):
    """Answers with the headers that it was sent."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        sent = {name.lower(): value for name, value in self.headers.items()}
        body = json.dumps({**sent, "served-by": self.server.server_address[1]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET  # noqa: N815

    def log_message(self, *_: object) -> None:
        pass


def pointed_at(text: str, *upstreams: int) -> str:
    """A configuration whose servers, two of the API and two of the console, are these: each kind the same."""
    for number, port in enumerate((8000, 8001, 8010, 8011)):
        assert f"127.0.0.1:{port}" in text
        text = text.replace(f"127.0.0.1:{port}", f"127.0.0.1:{upstreams[number % len(upstreams)]}")
    return text


def nginx(folder: Path, port: int, *upstreams: int) -> list[str]:
    text = (DEPLOY / "nginx.conf").read_text()
    text = text.replace("listen 443 ssl;", f"listen 127.0.0.1:{port};").replace("listen [::]:443 ssl;\n", "")
    text = pointed_at(text, *upstreams)
    lines = [line for line in text.splitlines() if "ssl_certificate" not in line]
    made = folder / "nginx.conf"
    made.write_text("\n".join([f"pid {folder}/nginx.pid;", "daemon off;", "error_log stderr;", *lines]))
    return ["nginx", "-c", str(made), "-p", str(folder), "-e", "stderr"]


def haproxy(folder: Path, port: int, *upstreams: int) -> list[str]:
    text = (DEPLOY / "haproxy.cfg").read_text()
    text = text.replace("bind :::443 v4v6 ssl crt /etc/ssl/inventory.pem", f"bind 127.0.0.1:{port}")
    made = folder / "haproxy.cfg"
    made.write_text(pointed_at(text, *upstreams))
    return ["haproxy", "-db", "-f", str(made)]


@pytest.fixture(params=[nginx, haproxy], ids=["nginx", "haproxy"], scope="module")
def proxy(request: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a proxy that runs, before two servers."""
    make: Callable[..., list[str]] = request.param
    if shutil.which(make.__name__) is None:
        without = pytest.fail if "CI_RUN" in os.environ else pytest.skip
        without(f"{make.__name__} is not installed: its configuration in deploy/ is not tested")
    servers = [http.server.ThreadingHTTPServer(("127.0.0.1", 0), Telling) for _ in range(2)]
    for server in servers:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
    port = free_port()
    upstreams = [server.server_port for server in servers]
    process = subprocess.Popen(make(tmp_path_factory.mktemp("proxy"), port, *upstreams))
    try:
        eventually(lambda: is_up(port), "the proxy", seconds=15)
        yield port
    finally:
        process.terminate()
        process.wait(PATIENCE_SECONDS)
        for server in servers:
            server.shutdown()
            server.server_close()


def is_up(port: int) -> bool:
    with suppress(OSError, http.client.HTTPException):
        return ask(port)[0] == 200
    return False


def ask(port: int, method: str = "GET", path: str = "/", body: bytes = b"", **headers: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    with closing(connection):
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        response = connection.getresponse()
        return response.status, response.read()


def test_the_callers_address_is_the_one_that_the_proxy_saw(proxy: int) -> None:
    status, body = ask(proxy, X_Forwarded_For="203.0.113.9", X_Forwarded_Proto="gopher")
    sent = json.loads(body)
    assert (status, sent["x-forwarded-for"]) == (200, "127.0.0.1")
    assert sent["x-forwarded-proto"] in {"http", "https"}


def server_of(proxy: int, **headers: str) -> int:
    """Which server answers a reserve through the proxy."""
    status, body = ask(proxy, "POST", "/api/v1/inventory/reserve", b"{}", **headers)
    assert status == 200
    return int(json.loads(body)["served-by"])


def test_reserves_that_name_one_product_go_to_one_server(proxy: int) -> None:
    products = [f"7f0c1a52-4c1b-4f0e-9d3a-2b6f5a1c9e{number:02}" for number in range(16)]
    servers = [{server_of(proxy, Inventory_Affinity=product) for _ in range(3)} for product in products]
    assert {len(each) for each in servers} == {1}
    assert len(set.union(*servers)) == 2
    assert len({server_of(proxy) for _ in range(32)}) == 2


def test_bodies_are_bounded(proxy: int) -> None:
    assert ask(proxy, "POST", "/", b"x" * 1024 * 1024)[0] == 200
    eventually(lambda: status_of_large_body(proxy) == b"413", "the refusal")


def status_of_large_body(port: int) -> bytes:
    """What a body of 3 MiB is told; nothing if the connection broke before that was read."""
    head = f"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: {3 * 1024 * 1024}\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", port), timeout=20) as own, suppress(OSError):
        own.sendall(head + b"x" * 40_000)
        return own.recv(1000).split(b" ")[1]
    return b""


def test_headers_come_within_five_seconds(proxy: int) -> None:
    with socket.create_connection(("127.0.0.1", proxy), timeout=20) as own:
        own.sendall(b"GET / HTTP/1.1\r\nHost: h")
        began = time.monotonic()
        with suppress(ConnectionResetError):
            while own.recv(1000):
                pass
        assert 3 < time.monotonic() - began < 15


def test_logins_of_an_address_are_bounded_and_other_requests_are_not(proxy: int) -> None:
    logins = [ask(proxy, "POST", "/admin/login/")[0] for _ in range(80)]
    assert logins[0] == 200
    assert logins[-1] == 429
    assert ask(proxy)[0] == 200


def test_connections_of_an_address_are_bounded(proxy: int) -> None:
    with ExitStack() as callers:
        for _ in range(110):
            with suppress(OSError):  # HAProxy breaks off those above its limit.
                own = callers.enter_context(socket.create_connection(("127.0.0.1", proxy), timeout=20))
                own.sendall(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n")
        time.sleep(0.3)
        assert not is_up(proxy)
    eventually(lambda: is_up(proxy), "the connections to be gone")
