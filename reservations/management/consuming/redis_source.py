"""Incoming events from a Redis stream, as a consumer of a group."""

import os
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from uuid_utils.compat import uuid7

from reservations.management.consuming.sources import MOST_ENTRIES, READ_SECONDS, Entry, Unavailable, body_of, text

T = TypeVar("T")
_TIMEOUT_SECONDS: Final = 5.0
_ATTRIBUTES_OF: Final = ("id", "eventId")
_WHOLE: Final = ("data", "event", "message", "payload", "body")
"""The fields that may have a whole message, envelope included."""


class RedisSource:
    """A Redis stream. New entries are shared among the consumers of the group; what a consumer has read and not
    acknowledged for ``idle_seconds`` is claimed by another one. A group that is missing is created, and reads the
    stream from its beginning."""

    def __init__(self, url: str, stream: str, group: str, *, idle_seconds: float) -> None:
        self.name = f"redis {stream}"
        self._stream = stream
        self._group = group
        self._me = f"{socket.gethostname()}-{os.getpid()}-{str(uuid7())[-8:]}"
        self._idle_ms = int(idle_seconds * 1000)
        self._next_claim = 0.0
        self._claim_from: Any = "0-0"
        # The client must not retry: the caller logs failures, and waits longer after each.
        self._client = redis.Redis.from_url(
            url,
            socket_timeout=_TIMEOUT_SECONDS,
            socket_connect_timeout=_TIMEOUT_SECONDS,
            retry=Retry(NoBackoff(), 0),
        )

    def read(self) -> list[Entry]:
        """Entries that another consumer hasn't acknowledged, else new ones. Raises Unavailable."""
        return self._asking(lambda: self._left_behind() or self._new())

    def acknowledge(self, entries: Sequence[Entry]) -> None:
        """Acknowledge entries. Raises Unavailable."""
        self._asking(lambda: self._client.xack(self._stream, self._group, *(entry.token for entry in entries)))

    def close(self) -> None:
        """Leave the group, unless entries are still to be acknowledged: they are claimed from this name then."""
        try:
            mine = self._client.xpending_range(self._stream, self._group, "-", "+", 1, consumername=self._me)
            if not mine:
                self._client.xgroup_delconsumer(self._stream, self._group, self._me)
        except redis.RedisError:
            pass
        self._client.close()

    def _asking(self, ask: Callable[[], T]) -> T:
        """The answer of Redis; a missing group is created first. Raises Unavailable."""
        try:
            try:
                return ask()
            except redis.ResponseError as error:
                if not str(error).startswith("NOGROUP"):
                    raise
                self._create_group()
                return ask()
        except redis.RedisError as error:
            raise Unavailable(type(error).__name__, str(error)) from error

    def _create_group(self) -> None:
        try:
            self._client.xgroup_create(self._stream, self._group, id="0", mkstream=True)
        except redis.ResponseError as error:
            if not str(error).startswith("BUSYGROUP"):  # Another consumer was faster.
                raise

    def _left_behind(self) -> list[Entry]:
        """Claim entries that were read too long ago. All pending entries are checked at the start, and again once the
        idle time has passed."""
        if time.monotonic() < self._next_claim:
            return []
        start, found, *_ = self._client.xautoclaim(
            self._stream, self._group, self._me, self._idle_ms, self._claim_from, count=MOST_ENTRIES
        )
        self._claim_from = start
        if start in (b"0-0", "0-0"):
            self._next_claim = time.monotonic() + self._idle_ms / 1000 / 2
        # Entries that were trimmed meanwhile have no fields in Redis 6.
        gone = [entry_id for entry_id, fields in found if not fields]
        if gone:
            self._client.xack(self._stream, self._group, *gone)
        return [self._entry(entry_id, fields) for entry_id, fields in found if fields]

    def _new(self) -> list[Entry]:
        answer: Any = self._client.xreadgroup(
            self._group, self._me, {self._stream: ">"}, count=MOST_ENTRIES, block=int(READ_SECONDS * 1000)
        )
        return [self._entry(entry_id, fields) for _, entries in answer or () for entry_id, fields in entries]

    def _entry(self, entry_id: bytes, fields: Mapping[bytes, bytes]) -> Entry:
        return Entry(f"{self.name} {text(entry_id)}", _body({text(k): v for k, v in fields.items()}), entry_id)


def _body(fields: Mapping[str, bytes]) -> bytes:
    """The message of an entry: attributes and data as fields of their own, or one field with the whole message."""
    if "type" in fields and any(name in fields for name in _ATTRIBUTES_OF):
        attributes = {name: text(value) for name, value in fields.items() if name not in ("data", "data_base64")}
        return body_of(attributes, fields.get("data", b""))
    whole = next((fields[name] for name in _WHOLE if name in fields), None)
    if whole is None and len(fields) == 1:
        (whole,) = fields.values()
    return body_of({name: text(value) for name, value in fields.items()}, b"null") if whole is None else whole
