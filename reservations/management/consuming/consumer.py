"""The loop of a consumer: read, apply, acknowledge."""

import random
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

import structlog
from django.conf import settings
from django.db import InterfaceError, OperationalError, connection

from audit import traces
from audit.actors import Actor
from audit.errors import Busy
from audit.models import ApiClient
from audit.roles import Capability, roles_with
from reservations.management.consuming.sources import Entry, Source, Unavailable
from reservations.services.orders import inbox
from reservations.services.orders.memory import Outcome
from reservations.services.orders.messages import Message, Sender

logger = structlog.get_logger(__name__)
T = TypeVar("T")
_PAUSES: Final = (0.1, 0.5, 2.0, 5.0)
_LOG_SECONDS: Final = 60.0
_LONGEST_REQUEST_ID: Final = 128


class NoClient(Exception):
    """There is no API client of the name in ``INBOX_CLIENT``, or its role may not sell."""


def find_client() -> ApiClient:
    """The client on whose behalf events of a stream are applied. Raises NoClient."""
    name = settings.INBOX_CLIENT
    client = ApiClient.objects.filter(name=name).first() if name else None
    if client is None:
        raise NoClient(
            "INBOX_CLIENT is the name of the API client on whose behalf events act; there is no such client."
        )
    if client.role not in roles_with(Capability.SELL):
        raise NoClient(f"The client {name} has the role {client.role}, which may not hold and sell.")
    return client


class EventConsumer:
    """Applies the entries of a source, until it is stopped. The current batch is then finished and acknowledged.

    If the source or the database is unavailable, the consumer waits, longer after each failure; no entries are given
    up. Each cause is logged once a minute.
    """

    def __init__(self, source: Source, stop: threading.Event) -> None:
        self._source = source
        self._stop = stop
        self._failures = 0
        self._logged: dict[str, float] = {}
        self._client: ApiClient | None = None
        self._read_at = 0.0

    def run(self, *, once: bool = False) -> int:
        """Consume until stopped; with ``once`` until nothing is left to read. Returns the number of entries. Raises
        NoClient."""
        applied = 0
        while not self._stop.is_set():
            entries = self._trying(self._source.read)
            if entries:
                self._apply(entries)
                applied += len(entries)
            elif once and entries is not None:
                break
        return applied

    def _apply(self, entries: Sequence[Entry]) -> None:
        """Apply entries, however long the database is unavailable, and acknowledge them. After a failure they are
        applied in smaller batches, in case one transaction exceeded its time limit."""
        left, size = list(entries), len(entries)
        while left and not self._stop.is_set():
            piece = left[:size]
            if self._trying(lambda piece=piece: self._receive(piece)) is None:  # type: ignore[misc]
                size = max(1, size // 2)
                continue
            left = left[size:]
            # Tried once: entries that stay unacknowledged are read again, and recognised.
            self._trying(lambda piece=piece: self._source.acknowledge(piece))  # type: ignore[misc]

    def _receive(self, entries: Sequence[Entry]) -> list[Outcome]:
        with traces.receiving([entry.body for entry in entries]) as spans:
            return inbox.receive(self._messages(entries, spans))

    def _messages(self, entries: Sequence[Entry], spans: Sequence[Any]) -> list[Message]:
        client = self._current_client()
        capabilities = frozenset(each for each in Capability if client.role in roles_with(each))
        return [
            Message(Sender(_actor(client, entry, span), client.pk, capabilities), entry.body, entry.place)
            for entry, span in zip(entries, spans, strict=True)
        ]

    def _current_client(self) -> ApiClient:
        """The client, read again as often as tokens, so that revoked permissions take effect within that time."""
        if self._client is None or time.monotonic() - self._read_at >= settings.TOKEN_CACHE_SECONDS:
            self._client, self._read_at = find_client(), time.monotonic()
        return self._client

    def _trying(self, work: Callable[[], T]) -> T | None:
        """The result of ``work``; None after a failure that is waited for."""
        try:
            result = work()
        except Unavailable as error:
            self._wait(error.cause, str(error))
        except (Busy, OperationalError, InterfaceError) as error:
            connection.close()
            self._wait(type(error).__name__, str(error))
        else:
            self._failures = 0
            return result
        return None

    def _wait(self, cause: str, detail: str) -> None:
        now = time.monotonic()
        if now - self._logged.get(cause, -_LOG_SECONDS) >= _LOG_SECONDS:
            self._logged[cause] = now
            logger.warning("inbox_waits", source=self._source.name, cause=cause, detail=detail)
        pause = _PAUSES[min(self._failures, len(_PAUSES) - 1)]
        self._failures += 1
        self._stop.wait(pause * (0.5 + random.random()))  # noqa: S311 - spreads retries, guards nothing


def _actor(client: ApiClient, entry: Entry, span: Any) -> Actor:
    request_id = entry.place[-_LONGEST_REQUEST_ID:]
    return Actor(client.name, client.pk, request_id, "stream", tuple(client.store_codes), span=span)
