"""The relay process: a ticker and a publisher for each sink, each in a thread of its own, until it is stopped."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Protocol

import structlog
from django.db import DatabaseError, close_old_connections, connections

from audit import feed, heartbeats
from audit.errors import Archived
from audit.feed.ticks import SHORTEST_PAUSE_SECONDS
from audit.models import Tick
from audit.streams.cursors import ClaimedElsewhere
from audit.streams.publishing import publish_next
from audit.streams.sinks import Sink, Unavailable

logger = structlog.get_logger(__name__)
Running = Callable[[asyncio.Event], Awaitable[None]]

LONGEST_BACKOFF_SECONDS: Final = 30.0
_SHORTEST_BACKOFF_SECONDS: Final = 0.1
_LOG_EVERY_SECONDS: Final = 60.0
# The ticker wakes the publishers; this is the fallback if it fails.
_IDLE_SECONDS: Final = 5.0


class _Worker(Protocol):
    """Work that is done in steps."""

    name: str

    def step(self) -> float:
        """Do the next step. Returns the seconds to pause after it."""

    def close(self) -> None:
        """Release its resources."""


class _Ticker:
    """Ends batches of the log. ``wake`` is called when the log has become longer, by this process or another one."""

    name = "ticker"

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._pace = feed.Pace()
        self._last = -1
        self._pulse = heartbeats.Pulse(heartbeats.RELAY)

    def step(self) -> float:
        """End a batch, if there is one to end."""
        batch = feed.tick()
        last = batch.tick if batch else Tick.objects.order_by("-number").values_list("number", flat=True).first() or 0
        if last != self._last:
            self._last = last
            self._wake()
        self._pulse.beat()
        return self._pace.pause_seconds(batch)

    def close(self) -> None:
        """Do nothing: it has no resources."""


class _Publisher:
    """Publishes to a sink."""

    def __init__(self, sink: Sink) -> None:
        self.name = sink.name
        self._sink = sink

    def step(self) -> float:
        """Publish the next batch."""
        try:
            published = publish_next(self._sink)
        except ClaimedElsewhere:
            return SHORTEST_PAUSE_SECONDS * random.uniform(1, 2)  # noqa: S311
        return 0.0 if published.has_more else _IDLE_SECONDS

    def close(self) -> None:
        """Close the connections of the sink."""
        self._sink.close()


class _Attempts:
    """Does steps of a worker. Pauses after failures, each time longer, and logs each cause once a minute."""

    def __init__(self, worker: _Worker) -> None:
        self._worker = worker
        self._failures = 0  # In a row.
        self._logged_at: dict[str, float] = {}

    @property
    def are_failing(self) -> bool:
        """Whether the last step failed."""
        return self._failures > 0

    def step(self) -> float:
        """Do a step. Returns the seconds to pause after it; raises nothing."""
        try:
            pause = self._worker.step()
        except Exception as error:  # noqa: BLE001 - logged; the other sinks go on
            self._log(error)
            close_old_connections()
            self._failures += 1
            longest = min(_SHORTEST_BACKOFF_SECONDS * 2.0 ** min(self._failures, 20), LONGEST_BACKOFF_SECONDS)
            return longest * random.uniform(0.5, 1)  # noqa: S311 - so that relays don't come back at the same time
        if self._failures:
            logger.info("relay_goes_on", worker=self._worker.name, failures=self._failures)
            self._failures = 0
            self._logged_at.clear()
        return pause

    def end(self) -> None:
        """Release the resources of the worker and its thread."""
        self._worker.close()
        connections.close_all()

    def _log(self, error: Exception) -> None:
        cause = error.cause if isinstance(error, Unavailable) else type(error).__name__
        now = time.monotonic()
        if now - self._logged_at.get(cause, -_LOG_EVERY_SECONDS) < _LOG_EVERY_SECONDS:
            return
        self._logged_at[cause] = now
        is_foreseen = isinstance(error, Unavailable | DatabaseError | Archived)
        logger.warning(
            "relay_waits", worker=self._worker.name, cause=cause, detail=str(error), exc_info=not is_foreseen
        )


async def run_relay(sinks: Sequence[Sink], stop: asyncio.Event, *, beside: Sequence[Running] = ()) -> None:
    """Tick and publish until ``stop`` is set; then finish the batches that are being published.

    ``beside`` are further coroutines to run in this process until ``stop`` is set.
    """
    news = [asyncio.Event() for _ in sinks]
    loop = asyncio.get_running_loop()

    def wake() -> None:
        for each in news:
            loop.call_soon_threadsafe(each.set)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_run(_Ticker(wake), stop, asyncio.Event()))
        for sink, event in zip(sinks, news, strict=True):
            tasks.create_task(_run(_Publisher(sink), stop, event))
        for run in beside:
            tasks.create_task(_beside(run, stop))


async def _beside(run: Running, stop: asyncio.Event) -> None:
    await run(stop)


async def _run(worker: _Worker, stop: asyncio.Event, news: asyncio.Event) -> None:
    """Do the steps of a worker in one thread, which keeps its database connection.

    A pause ends early when ``stop`` is set, and when there are new events, unless the last step failed.
    """
    loop = asyncio.get_running_loop()
    attempts = _Attempts(worker)
    with ThreadPoolExecutor(1, thread_name_prefix=worker.name) as thread:
        try:
            while not stop.is_set():
                news.clear()
                pause = await loop.run_in_executor(thread, attempts.step)
                await _pause(pause, stop, *(() if attempts.are_failing else (news,)))
        finally:
            await loop.run_in_executor(thread, attempts.end)


async def _pause(seconds: float, *events: asyncio.Event) -> None:
    """Wait for some seconds, or for the first of these events."""
    waits = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()


def drain(sink: Sink) -> int:
    """Publish all events after a sink's cursor, up to the last tick. Returns the number of events.

    Raises what ``publish_next`` raises.
    """
    total = 0
    while True:
        published = publish_next(sink)
        total += published.events
        if not published.has_more:
            return total
