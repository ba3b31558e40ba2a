"""One attempt: a POST to a receiver, within 15 seconds in total, without following redirects."""

import asyncio
import contextlib
import ssl
import time
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple, Self
from urllib.parse import urlsplit

import h11
import msgspec
from django.conf import settings
from django.utils import timezone

from audit.webhooks.addresses import AddressRefused, Lookups, connect
from audit.webhooks.schedule import parse_retry_after

TIMEOUT_SECONDS: Final = 15.0
MOST_KEPT: Final = 1024
"""How much of an answer is kept, in bytes."""
_MOST_READ: Final = 64 * 1024
_GONE: Final = 410
_SLOW_DOWN: Final = frozenset({429, 502, 503, 504})
_IDLE_SECONDS: Final = 30
_Answer = tuple[int, str, str | None]
"""The status, the beginning of the body, and ``Retry-After``."""
_HEADERS: Final = (
    ("User-Agent", "inventory-reservation-webhooks/1.0"),
    ("Accept", "*/*"),
    ("Content-Type", "application/json"),
)


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """The outcome of an attempt. ``status`` is None without an answer; ``answer`` is its beginning, or what went
    wrong."""

    at: datetime
    milliseconds: int
    status: int | None
    answer: str
    retry_after: timedelta | None = None

    @property
    def is_delivered(self) -> bool:
        """Whether the receiver has acknowledged the event: 2xx alone."""
        return self.status is not None and 200 <= self.status < 300

    @property
    def is_gone(self) -> bool:
        """Whether the receiver wants no events any more."""
        return self.status == _GONE

    @property
    def wants_pause(self) -> bool:
        """Whether the receiver asks for fewer requests, not only for a later attempt of this one."""
        return self.status in _SLOW_DOWN


class Receiver:
    """A receiver, with connections that are kept open between requests."""

    def __init__(self, lookups: Lookups) -> None:
        self._lookups = lookups
        self._idle: list[_Connection] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for connection in self._idle:
            connection.close()

    async def post(self, url: str, headers: dict[str, str], body: bytes) -> Outcome:
        """Send a body. Failures of the receiver or the network are outcomes, not exceptions."""
        at, start = timezone.now(), time.monotonic()
        status, retry_after = None, None
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                status, answer, asked = await self._exchange(_Target.of(url), headers, body)
            retry_after = parse_retry_after(asked, now=timezone.now())
        except TimeoutError:
            answer = f"No complete answer within {TIMEOUT_SECONDS:.0f} seconds."
        except AddressRefused as error:
            answer = str(error)
        except (OSError, h11.ProtocolError) as error:
            answer = f"{type(error).__name__}: {error}"
        except (ValueError, UnicodeError) as error:
            answer = f"This URL can't be requested: {error}"
        return Outcome(at, int((time.monotonic() - start) * 1000), status, answer[:MOST_KEPT], retry_after)

    async def _exchange(self, target: "_Target", headers: dict[str, str], body: bytes) -> _Answer:
        """Send the request on an open connection, or on a new one: an open one may have been closed in this moment."""
        while (idle := self._take(target)) is not None:
            with contextlib.suppress(_Closed):
                return await self._exchange_on(idle, headers, body)
        streams = await connect(self._lookups, target.host, target.port, target.tls)
        return await self._exchange_on(_Connection(target, *streams), headers, body)

    def _take(self, target: "_Target") -> "_Connection | None":
        while self._idle:
            connection = self._idle.pop()
            if connection.is_usable(target):
                return connection
            connection.close()
        return None

    async def _exchange_on(self, connection: "_Connection", headers: dict[str, str], body: bytes) -> _Answer:
        try:
            answer = await connection.exchange(headers, body)
        except BaseException:
            connection.close()
            raise
        if connection.can_go_on():
            self._idle.append(connection)
        else:
            connection.close()
        return answer


class _Target(NamedTuple):
    """Where a URL leads to. ``name`` is the value of the header ``Host``, ``path`` has the query."""

    host: str
    port: int
    name: str
    path: str
    tls: ssl.SSLContext | None

    @classmethod
    def of(cls, url: str) -> Self:
        """Raises ValueError."""
        parts = urlsplit(url)
        tls = _tls(settings.WEBHOOK_CA_FILE) if parts.scheme == "https" else None
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        return cls(parts.hostname or "", parts.port or (443 if tls else 80), parts.netloc, path, tls)


class _Closed(ConnectionError):
    """The receiver has closed an open connection before it began to answer."""


class _Connection:
    """A connection to a receiver, for one request at a time."""

    def __init__(self, target: _Target, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._target = target
        self._reader = reader
        self._writer = writer
        self._protocol = h11.Connection(h11.CLIENT)
        self._used_at = time.monotonic()
        self._is_new = True

    def is_usable(self, target: _Target) -> bool:
        """Whether another request may be sent."""
        is_open = not (self._reader.at_eof() or self._writer.is_closing())
        return is_open and self._target == target and time.monotonic() - self._used_at < _IDLE_SECONDS

    def can_go_on(self) -> bool:
        """Prepare for another request, if that is possible."""
        if self._protocol.our_state is not h11.DONE or self._protocol.their_state is not h11.DONE:
            return False
        self._protocol.start_next_cycle()
        self._used_at, self._is_new = time.monotonic(), False
        return True

    def close(self) -> None:
        """Close it at once."""
        self._writer.transport.abort()

    async def exchange(self, headers: dict[str, str], body: bytes) -> _Answer:
        """Send a request and read the answer to its end, or as much as an acknowledgement may have.

        Raises OSError and h11.ProtocolError.
        """
        named = [("Host", self._target.name), *_HEADERS, ("Content-Length", str(len(body))), *headers.items()]
        request = h11.Request(method="POST", target=self._target.path, headers=named)
        parts = (request, h11.Data(data=body), h11.EndOfMessage())
        self._writer.write(b"".join(self._protocol.send(part) or b"" for part in parts))
        kept, read, response = b"", 0, None
        while read <= _MOST_READ:
            event = self._protocol.next_event()
            if event is h11.NEED_DATA:
                self._protocol.receive_data(await self._receive(has_begun=response is not None))
            elif isinstance(event, h11.Response):
                response = event
            elif isinstance(event, h11.Data):
                kept += event.data[: MOST_KEPT - len(kept)]
                read += len(event.data)
            elif isinstance(event, h11.EndOfMessage):
                break
        if response is None:
            raise h11.RemoteProtocolError("the connection was closed without an answer")
        asked = next((value for name, value in response.headers if name == b"retry-after"), None)
        text = kept.decode("utf-8", "replace").replace("\0", "\N{REPLACEMENT CHARACTER}")
        return response.status_code, text, asked.decode("latin-1") if asked is not None else None

    async def _receive(self, *, has_begun: bool) -> bytes:
        try:
            received = await self._reader.read(_MOST_READ)
        except ConnectionError as error:
            if self._is_new or has_begun:
                raise
            raise _Closed from error
        if not received and not (self._is_new or has_begun):
            raise _Closed
        return received


@cache
def _tls(authorities: Path | None) -> ssl.SSLContext:
    """The context that verifies receivers: by the system's authorities, and by those of a file."""
    context = ssl.create_default_context()
    if authorities:
        context.load_verify_locations(authorities)
    return context
