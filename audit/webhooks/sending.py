"""One attempt: a POST to a receiver, within 15 seconds over everything, redirects not followed."""

import asyncio
import ssl
import time
from datetime import datetime, timedelta
from functools import cache
from typing import Final, Self

import httpcore
import msgspec
from django.conf import settings
from django.utils import timezone

from audit.webhooks.addresses import AddressRefused, CheckedNetwork, Lookups
from audit.webhooks.schedule import parse_retry_after

TIMEOUT_SECONDS: Final = 15.0
MOST_KEPT: Final = 1024
"""How much of an answer is kept, in bytes."""
_MOST_READ: Final = 64 * 1024
_GONE: Final = 410
_SLOW_DOWN: Final = frozenset({429, 502, 503, 504})
_IDLE_SECONDS: Final = 30
_HEADERS: Final = (
    ("User-Agent", "inventory-reservation-webhooks/1.0"),
    ("Accept", "*/*"),
    ("Content-Type", "application/json"),
)


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """What an attempt led to. ``status`` is None without an answer; ``answer`` is its beginning, or what went wrong."""

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
    """Connections to one receiver, which are kept open between requests."""

    def __init__(self, lookups: Lookups, *, connections: int) -> None:
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=_tls(settings.WEBHOOK_CA_FILE),
            max_connections=connections,
            max_keepalive_connections=connections,
            keepalive_expiry=_IDLE_SECONDS,
            network_backend=CheckedNetwork(lookups),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._pool.aclose()

    async def post(self, url: str, headers: dict[str, str], body: bytes) -> Outcome:
        """Send a body. Never raises for anything that the receiver or the network does."""
        at, start = timezone.now(), time.monotonic()
        status, retry_after = None, None
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                status, answer, asked = await self._exchange(url, headers, body)
            retry_after = parse_retry_after(asked, now=timezone.now())
        except TimeoutError:
            answer = f"No complete answer within {TIMEOUT_SECONDS:.0f} seconds."
        except AddressRefused as error:
            answer = str(error)
        except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError, OSError) as error:
            answer = f"{type(error).__name__}: {error}"
        except (httpcore.UnsupportedProtocol, ValueError, UnicodeError) as error:
            answer = f"This URL can't be requested: {error}"
        return Outcome(at, int((time.monotonic() - start) * 1000), status, answer[:MOST_KEPT], retry_after)

    async def _exchange(self, url: str, headers: dict[str, str], body: bytes) -> tuple[int, str, str | None]:
        """Send the request and read the answer to its end, or as much as an acknowledgement may have."""
        kept, read = b"", 0
        async with self._pool.stream("POST", url, headers=[*_HEADERS, *headers.items()], content=body) as got:
            async for part in got.aiter_stream():
                kept += part[: MOST_KEPT - len(kept)]
                read += len(part)
                if read > _MOST_READ:
                    break
            asked = next((value for name, value in got.headers if name.lower() == b"retry-after"), None)
            text = kept.decode("utf-8", "replace").replace("\0", "\N{REPLACEMENT CHARACTER}")
            return got.status, text, asked.decode("latin-1") if asked is not None else None


@cache
def _tls(authorities: str) -> ssl.SSLContext:
    """The context that verifies receivers: by the system's authorities, and by those of a file."""
    context = ssl.create_default_context()
    if authorities:
        context.load_verify_locations(authorities)
    return context
