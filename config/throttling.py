"""What a client may send and cost, and how many wrong tokens an address may send, each minute.

A process counts by itself. At most every 50 ms a thread adds what was counted to Redis, and reads there what all
processes have counted: no request waits for Redis, and the counts differ by what is sent in that time. While Redis is
slow or away, a process decides by its own count: a client may then send its limit to each process, never more.
"""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from typing import Any, Final

import redis
import structlog
from django.conf import settings
from django.http import HttpRequest
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from audit import context
from audit.authentication import Caller, TokenAuthentication, is_known_token
from audit.errors import Throttled
from config.addresses import address_of, network_of

logger = structlog.get_logger(__name__)
_TIMEOUT_SECONDS: Final = 1.0
_PAUSE_AFTER_FAILURE_SECONDS: Final = 5.0
_WINDOW_SECONDS: Final = 60
_SEND_EVERY_SECONDS: Final = 0.05
_NAMES_LIMIT: Final = 50_000
_OTHERS: Final = "others"
"""The name under which all are counted together that come after the first ``_NAMES_LIMIT`` of a minute."""
_REFUSAL: Final = "inventory.refusal"
"""Where the scope of a request keeps the refusal of its token."""
_BYTES_OF_A_UNIT: Final = 1024
_ROWS_OF_A_UNIT: Final = 5


@dataclass(slots=True, eq=False)
class _Count:
    """What one name has used in this window: ``own`` in this process; ``shared`` in all, as Redis said last; and what
    of its own Redis doesn't know, ``unsent``."""

    name: str
    own: int = 0
    shared: int = 0
    unsent: int = 0

    def exceeds(self, limit: int) -> bool:
        """Whether what is known is over a limit. Without Redis that is what this process counted."""
        return self.own > limit or self.shared + self.unsent > limit


class _Counter:
    """Counts by name in fixed windows of a minute. Safe to use from any thread; never waits for Redis."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._ends_at = 0.0
        self._counts: dict[str, _Count] = {}
        self._changed: set[_Count] = set()
        self._send_at = 0.0
        self._mutex = threading.Lock()

    def add(self, name: str, amount: int, limit: int) -> int | None:
        """Count; the seconds until the next window if that is over the limit, else None."""
        now = time.time()
        with self._mutex:
            if now >= self._ends_at:
                self._begin(now)
            count = self._counts.get(name) or self._begin_count(name)
            count.own += amount
            count.unsent += amount
            self._changed.add(count)
            if now >= self._send_at:
                self._submit(now)
        return int(self._ends_at - now) + 1 if count.exceeds(limit) else None

    def wait(self, name: str, limit: int) -> int | None:
        """The seconds until the next window if the limit is reached, else None. Counts nothing."""
        count = self._counts.get(name)
        if count is None or not count.exceeds(limit - 1) or (left := self._ends_at - time.time()) <= 0:
            return None
        return int(left) + 1

    def left(self, name: str, limit: int, now: float) -> int:
        """How much is left of a limit in the window of this moment."""
        if now >= self._ends_at or (count := self._counts.get(name) or self._counts.get(_OTHERS)) is None:
            return limit
        return max(0, limit - max(count.own, count.shared + count.unsent))

    def _begin(self, now: float) -> None:
        self._counts, self._changed = {}, set()
        self._ends_at = (now // _WINDOW_SECONDS + 1) * _WINDOW_SECONDS

    def _begin_count(self, name: str) -> _Count:
        name = name if len(self._counts) < _NAMES_LIMIT else _OTHERS
        return self._counts.setdefault(name, _Count(name))

    def _submit(self, now: float) -> None:
        self._send_at = now + _SEND_EVERY_SECONDS
        changed, self._changed = self._changed, set()
        _sender().submit(self._send, int(self._ends_at), changed)

    def _send(self, ends_at: int, changed: set[_Count]) -> None:
        """Add to Redis what it doesn't know, and read what all processes have counted.

        If that fails, it may or may not have been added: it is taken for added, and not sent again.
        """
        with self._mutex:
            sent = [(count, count.unsent) for count in changed]
        try:
            pipeline = _client().pipeline(transaction=False)
            for count, amount in sent:
                key = f"throttle:{self._kind}:{count.name}:{ends_at}"
                pipeline.incrby(key, amount)
                pipeline.expire(key, 2 * _WINDOW_SECONDS)
            totals = pipeline.execute()[::2]
        except redis.RedisError as error:
            logger.warning("throttling_without_redis", error=str(error))
            totals = [count.shared + amount for count, amount in sent]
            self._send_at = time.time() + _PAUSE_AFTER_FAILURE_SECONDS
        with self._mutex:
            for (count, amount), total in zip(sent, totals, strict=True):
                count.shared, count.unsent = total, count.unsent - amount


_requests = _Counter("requests")
_costs = _Counter("costs")
_failed_tokens = _Counter("failed-tokens")


@cache
def _sender() -> ThreadPoolExecutor:
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
    """``THROTTLE_REQUESTS_PER_MINUTE`` for each API client, and ``THROTTLE_COST_PER_MINUTE`` for its commands.

    0 means no limit.
    """

    _wait: int | None = None

    def allow_request(self, request: Request, view: Any) -> bool:
        if isinstance(request.user, Caller):
            name, limit = request.user.id_text, settings.THROTTLE_REQUESTS_PER_MINUTE
            self._wait = _requests.add(name, 1, limit) if limit else None
            if self._wait is None and request.method not in _READING:
                self._wait = _over_budget(name)
        return self._wait is None

    def wait(self) -> float | None:
        return self._wait


_READING: Final = ("GET", "HEAD")


def passes_now(caller: Caller, method: str) -> bool:
    """Count a request on the event loop. Returns False, and counts nothing, if ``ClientThrottle`` has to refuse it."""
    limit, name = settings.THROTTLE_REQUESTS_PER_MINUTE, caller.id_text
    is_refused = method not in _READING and _over_budget(name)
    if is_refused or (limit and _requests.wait(name, limit)):
        return False
    if limit:
        _requests.add(name, 1, limit)
    return True


def _over_budget(name: str) -> int | None:
    """The seconds to wait of a client whose commands have cost too much in this window."""
    limit = settings.THROTTLE_COST_PER_MINUTE
    return _costs.wait(name, limit) if limit else None


def charge_command(request: HttpRequest | Request, status: int, answer_size: int) -> None:
    """Count the cost of a request that changed something: a unit, one for each KiB of its body and its answer, which
    name the lines that it wrote, and one for each five rows that they don't name (``audit.api.http.note_rows``)."""
    if request.method in _READING or status >= HTTPStatus.BAD_REQUEST:
        return
    caller, limit = getattr(request, "user", None), settings.THROTTLE_COST_PER_MINUTE
    if not limit or not isinstance(caller, Caller):
        return
    size = len(getattr(request, "_body", b"")) + answer_size
    rows = request.META.get(context.ROWS_WRITTEN, 0)
    _costs.add(caller.id_text, 1 + size // _BYTES_OF_A_UNIT + rows // _ROWS_OF_A_UNIT, limit)


def headers_for(caller: object) -> dict[str, str]:
    """The limits of a client and what is left of them, as headers of an answer to it; none without limits.

    They are those of the IETF's draft "RateLimit header fields for HTTP".
    """
    return {header: value.decode("ascii") for header, value in zip(_LIMITS, _limits_of(caller), strict=False)}


def raw_headers_for(caller: object) -> list[tuple[bytes, bytes]]:
    """``headers_for`` as encoded names and values."""
    return list(zip(_RAW_LIMITS, _limits_of(caller), strict=False))


_LIMITS: Final = ("RateLimit-Policy", "RateLimit")
_RAW_LIMITS: Final = (b"ratelimit-policy", b"ratelimit")


def _limits_of(caller: object) -> tuple[()] | tuple[bytes, bytes]:
    """The values of the headers ``_LIMITS``; empty without limits."""
    requests, cost = settings.THROTTLE_REQUESTS_PER_MINUTE, settings.THROTTLE_COST_PER_MINUTE
    if not isinstance(caller, Caller) or not (requests or cost):
        return ()
    now, name = time.time(), caller.id_text
    until = _WINDOW_SECONDS - int(now) % _WINDOW_SECONDS
    left = f'"requests";r={_requests.left(name, requests, now)};t={until}' if requests else ""
    if cost:
        left += f'{", " if requests else ""}"cost";r={_costs.left(name, cost, now)};t={until}'
    return _policy(requests, cost), left.encode("ascii")


@cache
def _policy(requests: int, cost: int) -> bytes:
    limits = {"requests": requests, "cost": cost}
    return ", ".join(f'"{name}";q={limit};w={_WINDOW_SECONDS}' for name, limit in limits.items() if limit).encode()


class ThrottledTokenAuthentication(TokenAuthentication):
    """``THROTTLE_FAILED_TOKENS_PER_MINUTE`` for the wrong tokens of each address, of IPv6 each /64; 0 means no limit.

    A token is counted as wrong before it is looked up, unless it was right before: those that come at the same time
    would else all be looked up. Both happen once in a request, though its body may ask who sends it before its view
    does. Raises Throttled.
    """

    def authenticate(self, request: Request) -> tuple[Caller, None] | None:
        scope = getattr(request._request, "scope", {})
        if refusal := scope.get(_REFUSAL):
            raise refusal
        try:
            return self._authenticate(request)
        except (AuthenticationFailed, Throttled) as error:
            scope[_REFUSAL] = error
            raise

    def _authenticate(self, request: Request) -> tuple[Caller, None] | None:
        limit = settings.THROTTLE_FAILED_TOKENS_PER_MINUTE
        header = request.META.get("HTTP_AUTHORIZATION", "")
        if not limit or not header or is_known_token(header):
            return super().authenticate(request)
        address = address_of(request._request)
        network = network_of(address) or address
        if wait := _failed_tokens.add(network, 1, limit):
            raise Throttled("Too many wrong tokens.", wait)
        is_wrong = False
        try:
            return super().authenticate(request)
        except AuthenticationFailed:
            is_wrong = True
            raise
        finally:
            if not is_wrong:
                _failed_tokens.add(network, -1, limit)
