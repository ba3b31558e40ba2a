"""Throttling: limits of requests per client, and of wrong tokens per address, in a minute.

Each process counts by itself and synchronises with Redis at most every 50 ms for each name: a round trip for every
request took longer than the rest of its processing, and the counts of a minute are off by at most 50 ms of requests. A
wait for Redis is limited to 20 ms. Without Redis all requests pass, with a warning: throttling protects the service,
but isn't needed to serve.
"""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import redis
import structlog
from django.conf import settings
from django.http import HttpRequest
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from audit.authentication import Caller

logger = structlog.get_logger(__name__)
_TIMEOUT_SECONDS: Final = 0.02
_OPEN_AFTER_FAILURE_SECONDS: Final = 5.0
_WINDOW_SECONDS: Final = 60
_SYNC_EVERY_SECONDS: Final = 0.05


@dataclass(slots=True)
class _Count:
    """The requests of one name in this window: the total by Redis, and those not yet added to it."""

    total: int = 0
    unsent: int = 0
    synced_at: float = 0.0


class _Counter:
    """Counts in fixed windows of a minute."""

    def __init__(self) -> None:
        self._open_until = 0.0
        self._window = 0
        self._counts: dict[str, _Count] = {}
        self._mutex = threading.Lock()

    def exceeds(self, name: str, limit: int) -> int | None:
        """Count a request. Returns the seconds until the next window if it is over the limit, else None."""
        if time.monotonic() < self._open_until:
            return None  # Until Redis is back, nobody is refused because of old totals or this process's own count.
        now = time.time()
        unsent = 0
        with self._mutex:
            if self._window != (window := int(now // _WINDOW_SECONDS)):
                self._window, self._counts = window, {}
            count = self._counts.setdefault(name, _Count())
            count.unsent += 1
            if now - count.synced_at >= _SYNC_EVERY_SECONDS:
                unsent, count.unsent, count.synced_at = count.unsent, 0, now
        if unsent and not self._sync(count, f"throttle:{name}:{window}", unsent):
            return None
        return int(_WINDOW_SECONDS - now % _WINDOW_SECONDS) + 1 if count.total + count.unsent > limit else None

    def passes_now(self, name: str, limit: int) -> bool:
        """Count a request without waiting for Redis, which another thread updates. Returns False, and counts nothing,
        for a name that is new in this window or over the limit."""
        now = time.time()
        unsent = 0
        with self._mutex:
            count = self._counts.get(name)
            if count is None or self._window != int(now // _WINDOW_SECONDS) or count.total + count.unsent >= limit:
                return False
            count.unsent += 1
            if now - count.synced_at >= _SYNC_EVERY_SECONDS:
                unsent, count.unsent, count.synced_at = count.unsent, 0, now
        if unsent and time.monotonic() >= self._open_until:
            _sync_thread().submit(self._sync, count, f"throttle:{name}:{self._window}", unsent)
        return True

    def _sync(self, count: _Count, key: str, unsent: int) -> bool:
        """Add this process's requests to Redis and read the total of all processes. Returns whether Redis answered."""
        try:
            pipeline = _client().pipeline(transaction=False)
            pipeline.incrby(key, unsent)
            pipeline.expire(key, 2 * _WINDOW_SECONDS)
            count.total = pipeline.execute()[0]
        except redis.RedisError as error:
            self._open_until = time.monotonic() + _OPEN_AFTER_FAILURE_SECONDS
            logger.warning("throttling_open_without_redis", error=str(error))
            return False
        return True


_counter = _Counter()


@cache
def _sync_thread() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, thread_name_prefix="throttling")


@cache
def _client() -> redis.Redis:
    return redis.Redis.from_url(
        settings.REDIS_URL,
        socket_timeout=_TIMEOUT_SECONDS,
        socket_connect_timeout=_TIMEOUT_SECONDS,
        retry=None,
        client_name="throttle",
    )


class ClientThrottle(BaseThrottle):
    """``THROTTLE_REQUESTS_PER_MINUTE`` for each API client; 0 means no limit."""

    _wait: int | None = None

    def allow_request(self, request: Request, view: Any) -> bool:
        if isinstance(request.user, Caller) and settings.THROTTLE_REQUESTS_PER_MINUTE:
            self._wait = _counter.exceeds(str(request.user.client_id), settings.THROTTLE_REQUESTS_PER_MINUTE)
        return self._wait is None

    def wait(self) -> float | None:
        return self._wait


def passes_now(caller: Caller) -> bool:
    """Count a request on the event loop. Returns False, and counts nothing, if ``ClientThrottle`` must decide in a
    thread."""
    limit = settings.THROTTLE_REQUESTS_PER_MINUTE
    return not limit or _counter.passes_now(str(caller.client_id), limit)


def count_failed_token(request: HttpRequest) -> int | None:
    """Count a wrong token from an address. Returns the seconds to wait if it sent too many, else None."""
    limit = settings.THROTTLE_FAILED_TOKENS_PER_MINUTE
    return _counter.exceeds(f"failed:{address_of(request)}", limit) if limit else None


def address_of(request: HttpRequest) -> str:
    """The caller's address: the peer's, or behind ``TRUSTED_PROXIES`` proxies the one that the outermost saw."""
    hops = [hop.strip() for hop in request.META.get("HTTP_X_FORWARDED_FOR", "").split(",") if hop.strip()]
    if settings.TRUSTED_PROXIES and len(hops) >= settings.TRUSTED_PROXIES:
        seen: str = hops[-settings.TRUSTED_PROXIES]
        return seen
    return str(request.META.get("REMOTE_ADDR", ""))
