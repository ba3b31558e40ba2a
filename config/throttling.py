"""How many requests a client, and how many wrong tokens an address, may send a minute.

A process counts by itself and tells Redis at most every 50 ms for each name: asking at every request took longer than
the rest of its way through the process, and the counts of a minute differ by no more than 50 ms of requests. Redis is
never waited for longer than 20 ms. Without it everything passes, with a warning: throttling protects the service, it
isn't the service.
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
_TELL_EVERY_SECONDS: Final = 0.05


@dataclass(slots=True)
class _Count:
    """What one name has sent in this window: what Redis said last, and what it hasn't been told since."""

    told: int = 0
    untold: int = 0
    told_at: float = 0.0


class _Counter:
    """Counts in fixed windows of a minute."""

    def __init__(self) -> None:
        self._open_until = 0.0
        self._window = 0
        self._counts: dict[str, _Count] = {}
        self._mutex = threading.Lock()

    def exceeds(self, name: str, limit: int) -> int | None:
        """Count one more; the seconds until the next window if that is over the limit, else None."""
        if time.monotonic() < self._open_until:
            return None  # Until Redis is back, neither what it said last nor what this process counts refuses anybody.
        now = time.time()
        untold = 0
        with self._mutex:
            if self._window != (window := int(now // _WINDOW_SECONDS)):
                self._window, self._counts = window, {}
            count = self._counts.setdefault(name, _Count())
            count.untold += 1
            if now - count.told_at >= _TELL_EVERY_SECONDS:
                untold, count.untold, count.told_at = count.untold, 0, now
        if untold and not self._tell(count, f"throttle:{name}:{window}", untold):
            return None
        return int(_WINDOW_SECONDS - now % _WINDOW_SECONDS) + 1 if count.told + count.untold > limit else None

    def passes_now(self, name: str, limit: int) -> bool:
        """Count one more without waiting for Redis, which hears of it in another thread; False, and nothing counted,
        for a name that is new in this window or over the limit."""
        now = time.time()
        untold = 0
        with self._mutex:
            count = self._counts.get(name)
            if count is None or self._window != int(now // _WINDOW_SECONDS) or count.told + count.untold >= limit:
                return False
            count.untold += 1
            if now - count.told_at >= _TELL_EVERY_SECONDS:
                untold, count.untold, count.told_at = count.untold, 0, now
        if untold and time.monotonic() >= self._open_until:
            _teller().submit(self._tell, count, f"throttle:{name}:{self._window}", untold)
        return True

    def _tell(self, count: _Count, key: str, untold: int) -> bool:
        """Add what Redis hasn't been told and hear what all processes have counted. Whether Redis answered."""
        try:
            pipeline = _client().pipeline(transaction=False)
            pipeline.incrby(key, untold)
            pipeline.expire(key, 2 * _WINDOW_SECONDS)
            count.told = pipeline.execute()[0]
        except redis.RedisError as error:
            self._open_until = time.monotonic() + _OPEN_AFTER_FAILURE_SECONDS
            logger.warning("throttling_open_without_redis", error=str(error))
            return False
        return True


_counter = _Counter()


@cache
def _teller() -> ThreadPoolExecutor:
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
    """Count a request on the event loop; False, and nothing counted, where ``ClientThrottle`` is to decide, in a
    thread."""
    limit = settings.THROTTLE_REQUESTS_PER_MINUTE
    return not limit or _counter.passes_now(str(caller.client_id), limit)


def count_failed_token(request: HttpRequest) -> int | None:
    """Count a wrong token of an address; the seconds to wait if it sent too many."""
    limit = settings.THROTTLE_FAILED_TOKENS_PER_MINUTE
    return _counter.exceeds(f"failed:{address_of(request)}", limit) if limit else None


def address_of(request: HttpRequest) -> str:
    """The caller's address: the peer's, or behind ``TRUSTED_PROXIES`` proxies what the outermost of them saw."""
    hops = [hop.strip() for hop in request.META.get("HTTP_X_FORWARDED_FOR", "").split(",") if hop.strip()]
    if settings.TRUSTED_PROXIES and len(hops) >= settings.TRUSTED_PROXIES:
        seen: str = hops[-settings.TRUSTED_PROXIES]
        return seen
    return str(request.META.get("REMOTE_ADDR", ""))
