"""A proxy between the service and PostgreSQL that breaks connections at chosen COMMITs."""

import contextlib
import selectors
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

_COMMIT: Final = b"COMMIT\0"
_IN_FLIGHT_SECONDS: Final = 0.4


class Proxy:
    """Listens in ``folder`` as PostgreSQL does. Each entry of ``cuts`` disturbs one COMMIT, in order:

    - ``before``: the connection breaks and the COMMIT never arrives;
    - ``after``: the COMMIT is done, the connection breaks before the answer;
    - ``in flight``: the connection breaks for the client while the COMMIT is still on its way.

    ``round_trips`` counts how often the client sent something after an answer of the server, ``pieces`` in
    how many pieces the client sent it.
    """

    def __init__(self, settings: Mapping[str, Any]) -> None:
        port = settings["PORT"] or "5432"
        host = settings["HOST"] or "/var/run/postgresql"
        is_socket = host.startswith("/")
        self._family = socket.AF_UNIX if is_socket else socket.AF_INET
        self._address: Any = f"{host}/.s.PGSQL.{port}" if is_socket else (host, int(port))
        self.folder = Path(tempfile.mkdtemp(prefix="proxy-", dir="/tmp"))
        self.cuts: list[str] = []
        self.round_trips = 0
        self.pieces = 0
        self._is_open = True
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.folder / f".s.PGSQL.{port}"))
        self._listener.listen(64)
        self._threads: list[threading.Thread] = []
        self._spawn(self._accept)

    def close(self) -> None:
        """Break every connection and stop listening."""
        self._is_open = False
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(10)
        shutil.rmtree(self.folder)

    def _spawn(self, work: Any, *arguments: Any) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while self._is_open:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._spawn(self._carry, client)

    def _carry(self, client: socket.socket) -> None:
        server = socket.socket(self._family)
        with client, server, selectors.DefaultSelector() as selector, contextlib.suppress(OSError):
            server.connect(self._address)
            selector.register(client, selectors.EVENT_READ, server)
            selector.register(server, selectors.EVENT_READ, client)
            is_answered = True
            while self._is_open:
                for key, _ in selector.select(0.1):
                    source: Any = key.fileobj
                    self.round_trips += source is client and is_answered
                    self.pieces += source is client
                    is_answered = source is server
                    message = source.recv(65_536)
                    if not message:
                        return
                    if source is client and _COMMIT in message and self.cuts:
                        self._cut(self.cuts.pop(0), client, server, message)
                        return
                    key.data.sendall(message)

    def _cut(self, kind: str, client: socket.socket, server: socket.socket, message: bytes) -> None:
        if kind == "before":
            return
        if kind == "in flight":
            client.close()
            time.sleep(_IN_FLIGHT_SECONDS)
        server.sendall(message)
        self._await_commit(client if kind == "after" else None, server)

    def _await_commit(self, client: socket.socket | None, server: socket.socket) -> None:
        """Forward what the client still sends, and withhold the server's answers, until the COMMIT is done.

        A server that is not asked for an answer executes the statements silently, so the wait is bounded.
        """
        with selectors.DefaultSelector() as selector:
            selector.register(server, selectors.EVENT_READ)
            if client is not None:
                selector.register(client, selectors.EVENT_READ)
            deadline = time.monotonic() + _IN_FLIGHT_SECONDS
            while time.monotonic() < deadline:
                for key, _ in selector.select(0.05):
                    message = key.fileobj.recv(65_536)  # type: ignore[union-attr]
                    if not message or (key.fileobj is server and _COMMIT in message):
                        return
                    if key.fileobj is client:
                        server.sendall(message)
