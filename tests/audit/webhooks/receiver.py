"""A receiver of webhooks: a real HTTP server on the loopback, in a thread, that behaves as its path says.

``/ok`` acknowledges. ``/status/500``, ``/status/429?retry-after=7`` answer with that status, ``/redirect`` with a 307
to ``/elsewhere``. ``/hang`` never answers, ``/drip`` sends a byte every 50 ms, ``/reset`` cuts the connection, ``/cut``
ends in the middle of an answer, ``/large`` answers with two megabytes.
"""

import asyncio
import contextlib
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Self
from urllib.parse import parse_qs, urlsplit

import msgspec

PATIENCE_SECONDS: Final = 60.0
"""How long to wait for what must happen."""


@dataclass(frozen=True, slots=True)
class Received:
    """A request that came."""

    path: str
    headers: dict[str, str]
    body: bytes
    at: float

    @property
    def event(self) -> dict[str, Any]:
        return msgspec.json.decode(self.body)

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]


class HttpReceiver:
    """The server, listening within its block. ``answer`` may replace what a path says: it returns another path."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.requests: list[Received] = []
        self.answer: Callable[[Received], str] | None = None
        self.open_at_most = 0
        self._open = 0
        self._tls = tls
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._listening = threading.Event()
        self.port = 0

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._listening.wait(PATIENCE_SECONDS)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stopped.set)
        self._thread.join(10)

    def url(self, path: str = "/ok", host: str = "127.0.0.1") -> str:
        return f"{'https' if self._tls else 'http'}://{host}:{self.port}{path}"

    def wait_for(self, count: int, seconds: float = PATIENCE_SECONDS) -> list[Received]:
        """Wait until so many requests have come."""
        wait_until(lambda: len(self.requests) >= count, seconds, lambda: f"{len(self.requests)} of {count} requests")
        return list(self.requests)

    def _serve(self) -> None:
        self._loop.run_until_complete(self._main())
        self._loop.close()

    async def _main(self) -> None:
        self._stopped = asyncio.Event()
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0, ssl=self._tls)
        self.port = server.sockets[0].getsockname()[1]
        self._listening.set()
        async with server:
            await self._stopped.wait()
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while not self._stopped.is_set():
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                headers = {
                    name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)
                }
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                received = Received(head[0].split(" ")[1], headers, body, time.monotonic())
                self.requests.append(received)
                path = self.answer(received) if self.answer else received.path
                self._open += 1
                self.open_at_most = max(self.open_at_most, self._open)
                try:
                    await self._answer(path, writer)
                finally:
                    self._open -= 1
        writer.close()

    async def _answer(self, path: str, writer: asyncio.StreamWriter) -> None:
        parts = urlsplit(path)
        match parts.path.strip("/").split("/"):
            case ["status", status]:
                extra = "".join(f"{name}: {value[0]}\r\n" for name, value in parse_qs(parts.query).items())
                writer.write(f"HTTP/1.1 {status} X\r\n{extra}content-length: 4\r\n\r\nsome".encode())
            case ["redirect"]:
                writer.write(b"HTTP/1.1 307 X\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n")
            case ["hang"]:
                await asyncio.sleep(3600)
            case ["slow"]:
                await asyncio.sleep(0.3)
                writer.write(b"HTTP/1.1 200 X\r\ncontent-length: 2\r\n\r\nok")
            case ["drip"]:
                writer.write(b"HTTP/1.1 200 X\r\ncontent-length: 100000\r\n\r\n")
                while True:
                    writer.write(b".")
                    await writer.drain()
                    await asyncio.sleep(0.05)
            case ["reset"]:
                linger = struct.pack("ii", 1, 0)
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                writer.transport.abort()
                raise ConnectionError
            case ["cut"]:
                writer.write(b"HTTP/1.1 200 X\r\ncontent-length: 100\r\n\r\nhalf")
                writer.close()
                raise ConnectionError
            case ["large"]:
                writer.write(b"HTTP/1.1 200 X\r\ncontent-length: 2000000\r\n\r\n" + b"x" * 2_000_000)
            case _:
                writer.write(b"HTTP/1.1 204 X\r\n\r\n")
        await writer.drain()


def wait_until(
    condition: Callable[[], Any], seconds: float = PATIENCE_SECONDS, what: Callable[[], str] = lambda: "nothing"
) -> None:
    """Wait until something is so. Fails after a long while."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, what()
        time.sleep(0.01)
