"""The status of the service in detail. Each process reads it every few seconds at most, however often it is asked."""

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import redis
import structlog
from django.conf import settings
from django.db import Error

from config.health import facts, readiness
from config.health.components import Component, Status, of_facts, worst

logger = structlog.get_logger(__name__)
KEPT_SECONDS: Final = 5.0
_REDIS_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True)
class Report:
    """The status of the service, and its components by name. ``capped`` names numbers that may be higher."""

    status: Status
    components: Mapping[str, Component]
    capped: tuple[str, ...] = ()


class _Memory:
    """The last report. While one thread reads a new one, others get the last, or wait if there is none."""

    def __init__(self) -> None:
        self._reading = threading.Lock()
        self._kept: tuple[float, Report] | None = None

    def report(self) -> Report:
        """A report that is at most ``KEPT_SECONDS`` old, or is being replaced."""
        kept = self._kept
        if kept and (time.monotonic() - kept[0] < KEPT_SECONDS or not self._reading.acquire(blocking=False)):
            return kept[1]
        if not kept:
            self._reading.acquire()
        try:
            if self._kept is None or self._kept is kept:
                self._kept = (time.monotonic(), read())
            return self._kept[1]
        finally:
            self._reading.release()

    def forget(self) -> None:
        """Forget the last report."""
        self._kept = None


_memory: Final = _Memory()
current = _memory.report
forget = _memory.forget


def read() -> Report:
    """Read the status. It takes a few seconds at most, even if the database or Redis doesn't answer."""
    components = {"database": _database(), "pool": _pool(), "redis": _redis()}
    capped: list[str] = []
    if components["database"].status is Status.UP:
        try:
            found = facts.read()
        except Error as error:
            logger.warning("health_not_read", error=str(error))
            components["database"] = Component(Status.DEGRADED, {"reason": "the rest could not be read in time"})
        else:
            components |= of_facts(found)
            capped = found.capped
    return Report(worst(components.values()), components, tuple(capped))


def _database() -> Component:
    found = readiness.checks()
    if found["database"] != "ok":
        return Component(Status.DOWN, {"reason": "it does not answer"})
    if found["migrations"] != "ok":
        return Component(Status.DOWN, {"reason": "migrations are pending"})
    return Component(Status.UP)


def _pool() -> Component:
    """The pool of database connections of this process."""
    statistics = readiness.pool_statistics()
    shown = {"size": "pool_size", "available": "pool_available", "waiting": "requests_waiting"}
    details = {name: statistics.get(key, 0) for name, key in shown.items()} if statistics else {}
    return Component(Status.DOWN if readiness.is_stalled() else Status.UP, details)


def _redis() -> Component:
    """Without Redis, stock calls go on: background work and the streams of Redis wait."""
    try:
        with redis.Redis.from_url(
            settings.REDIS_URL, socket_timeout=_REDIS_SECONDS, socket_connect_timeout=_REDIS_SECONDS
        ) as client:
            client.ping()
    except (redis.RedisError, OSError):
        return Component(Status.DEGRADED, {"reason": "it does not answer"})
    return Component(Status.UP)
