"""`GET /metrics`, on a port of its own.

Of the processes that share ``METRICS_DIR`` one serves the numbers of all. When it ends, the next one does.
"""

import fcntl
import os
import socket
import sys
import threading
import time
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

import structlog
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

logger = structlog.get_logger(__name__)
_PATH: Final = "/metrics"
_LOCK: Final = "exporter.lock"
_TAKE_OVER_SECONDS: Final = 2.0
_RETRY_SECONDS: Final = 5.0
_WARN_EVERY_SECONDS: Final = 60.0
_REQUEST_SECONDS: Final = 5.0
_CONNECTIONS: Final = 8


class Exporter:
    """Serves a registry at an address. ``host`` may be a name or an address, IPv6 too."""

    def __init__(self, registry: CollectorRegistry, directory: Path, host: str, port: int) -> None:
        self._registry = registry
        self._directory = directory
        self._where = (host, port)
        self._server: Server | None = None
        self._lock: Any = None
        self._is_stopped = threading.Event()
        os.register_at_fork(after_in_child=self._leave_to_parent)

    def run(self) -> None:
        """Wait until no other process serves, then serve until ``stop``."""
        self._lock = (self._directory / _LOCK).open("w")
        while not self._is_first():
            if self._is_stopped.wait(_TAKE_OVER_SECONDS):
                return
        warn_at = 0.0
        while not self._is_stopped.is_set():
            try:
                self._server = Server(self._where, self._registry)
            except OSError as error:
                if time.monotonic() >= warn_at:
                    warn_at = time.monotonic() + _WARN_EVERY_SECONDS
                    logger.warning("metrics_not_served", host=self._where[0], port=self._where[1], error=str(error))
                self._is_stopped.wait(_RETRY_SECONDS)
                continue
            if warn_at:  # A start that goes well isn't logged: the demonstration prints nothing above its addresses.
                logger.info("metrics_served", host=self._where[0], port=self._where[1])
            with self._server as server:
                server.serve_forever()

    def stop(self) -> None:
        """End serving; another process may go on."""
        self._is_stopped.set()
        if self._server is not None:
            self._server.shutdown()
        if self._lock is not None:
            self._lock.close()

    def _is_first(self) -> bool:
        try:
            fcntl.lockf(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True

    def _leave_to_parent(self) -> None:
        """In a fork: it would keep the port after its parent has ended, and answer nobody."""
        server, self._server = self._server, None
        if server is not None:
            server.socket.close()


class Server(ThreadingHTTPServer):
    """The HTTP server, with a thread for each of a few connections. Further ones are closed."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, where: tuple[str, int], registry: CollectorRegistry) -> None:
        self.registry = registry
        self.collecting = threading.Lock()
        self._free = threading.Semaphore(_CONNECTIONS)
        self.address_family = socket.getaddrinfo(*where, type=socket.SOCK_STREAM)[0][0]
        super().__init__(where, Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer a connection in a thread of its own, which is over after some seconds in any case."""
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer a connection, in its thread."""
        end = threading.Timer(3 * _REQUEST_SECONDS, partial(_cut, request))
        end.daemon = True
        end.start()
        try:
            super().process_request_thread(request, client_address)
        finally:
            end.cancel()
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log an error in a line: most are callers that hang up."""
        logger.info("metrics_request_failed", error=repr(sys.exception()))


class Handler(BaseHTTPRequestHandler):
    """Answers GET and HEAD of /metrics, and refuses everything else."""

    server: Server
    timeout = _REQUEST_SECONDS
    server_version = "inventory"
    sys_version = ""

    def do_GET(self) -> None:
        """Answer with all metrics."""
        if self.path.partition("?")[0] != _PATH:
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        encode, content_type = choose_encoder(self.headers.get("Accept", ""))
        try:
            with self.server.collecting:
                body = encode(self.server.registry)
        except Exception:
            logger.exception("metrics_not_collected")
            self.send_error(HTTPStatus.INTERNAL_SERVER_ERROR)
            return
        self._send(HTTPStatus.OK, content_type, body)

    do_HEAD = do_GET  # noqa: N815 - the name that http.server looks for

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Refuse a request, in a line of text."""
        known = HTTPStatus.METHOD_NOT_ALLOWED if code == HTTPStatus.NOT_IMPLEMENTED else HTTPStatus(code)
        self.close_connection = True
        self._send(known, "text/plain; charset=utf-8", f"{known.phrase}: there is only GET {_PATH} here.\n".encode())

    def _send(self, status: HTTPStatus, content_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        if status == HTTPStatus.METHOD_NOT_ALLOWED:
            self.send_header("Allow", "GET, HEAD")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name of http.server
        """Log nothing: scrapes are routine."""


def _cut(request: socket.socket) -> None:
    with suppress(OSError):
        request.shutdown(socket.SHUT_RDWR)
