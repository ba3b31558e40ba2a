"""What the doctor looks at in Redis: whether it answers, and whether it keeps what it is given."""

from collections.abc import Iterator
from typing import Any, Final, cast
from urllib.parse import urlsplit

import redis
from django.conf import settings

from config.doctor.lines import Line, choose, ok, sized, warn

_SECONDS: Final = 2.0
_QUEUES: Final = ("celery", "sweep")
_MANY_TASKS: Final = 1000
_ALMOST_FULL: Final = 0.9


def examine_redis() -> Iterator[Line]:
    """The server of Celery, and that of the stream if it is another one. Neither is needed for calls about stock."""
    yield from _examine("redis", settings.REDIS_URL, is_streamed=settings.EVENT_STREAM_URL == settings.REDIS_URL)
    if settings.EVENT_STREAM and settings.EVENT_STREAM_URL != settings.REDIS_URL:
        yield from _examine("redis of the stream", settings.EVENT_STREAM_URL, is_streamed=True)


def _examine(subject: str, url: str, *, is_streamed: bool) -> Iterator[Line]:
    try:
        with redis.Redis.from_url(url, socket_timeout=_SECONDS, socket_connect_timeout=_SECONDS) as client:
            known = cast(dict[str, Any], client.info())
            yield ok(subject, f"Redis {known.get('redis_version', '?')} answers")
            yield from _memory(subject, known)
            if is_streamed and settings.EVENT_STREAM:
                yield _persistence(subject, client, known)
            if url == settings.REDIS_URL:
                yield from _queues(client)
    except (redis.RedisError, OSError) as error:
        where = urlsplit(url).hostname or "its socket"
        found = f"it doesn't answer at {where} ({type(error).__name__}): background work and streams wait"
        yield warn(subject, found, "start it, or correct the URL; calls about stock go on")


def _memory(subject: str, known: dict[str, Any]) -> Iterator[Line]:
    most, used = int(known.get("maxmemory", 0)), int(known.get("used_memory", 0))
    policy = str(known.get("maxmemory_policy", "noeviction"))
    evicts = bool(most) and policy != "noeviction"
    found = f"{sized(used)} are used" + (f" of {sized(most)}, maxmemory-policy {policy}" if most else "")
    if evicts:
        yield warn(f"{subject} memory", found, f"set maxmemory-policy noeviction: {policy} deletes tasks and events")
    else:
        is_full = bool(most) and used > most * _ALMOST_FULL
        yield choose(f"{subject} memory", found, "raise maxmemory, or lower EVENT_STREAM_LENGTH", is_bad=is_full)


def _persistence(subject: str, client: "redis.Redis", known: dict[str, Any]) -> Line:
    """Whether a restart keeps the stream: what was published before isn't published again."""
    keeps = bool(int(known.get("aof_enabled", 0)))
    name = f"{subject} persistence"
    if keeps:
        return ok(name, "each write is logged (appendonly)")
    try:
        saves = bool(cast(dict[str, str], client.config_get("save")).get("save"))
    except redis.RedisError:
        return ok(name, "appendonly is off; this user may not read whether snapshots are on")
    found = "snapshots alone: a restart may lose the newest events" if saves else "none: a restart loses the stream"
    return warn(name, found, "set appendonly yes if programs read the stream; readers of the feed don't need it")


def _queues(client: "redis.Redis") -> Iterator[Line]:
    lengths = {name: client.llen(name) for name in _QUEUES}
    found = ", ".join(f"{number} in {name}" for name, number in lengths.items())
    yield choose("queued tasks", found, "are worker and sweeper running?", is_bad=max(lengths.values()) > _MANY_TASKS)
