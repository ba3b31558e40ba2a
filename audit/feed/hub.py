"""Listeners of the feed, served on the event loop from one reader of the log a process.

While there are listeners, a thread reads new events every 50 to 250 ms and appends them to the ``Tail``; listeners
whose selection contains one of them are woken. A listener is a cursor in the log: nothing is queued for it. One that
falls behind the tail reads the database in a thread until it has caught up.
"""

import asyncio
import time
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from typing import Final

import structlog
from django.conf import settings
from django.db import close_old_connections
from django.utils import timezone

from audit.errors import Archived, DomainError
from audit.feed.cursors import Cursor
from audit.feed.reading import Page, cursor_at, cursor_now, cursor_oldest, read_after
from audit.feed.selecting import FeedEvent, Selected, Selection, select_after, select_newest_after
from audit.feed.tail import MOST_EVENTS, Tail
from audit.feed.ticks import Pace, tick
from audit.metrics.definitions import FEED_LISTENERS

logger = structlog.get_logger(__name__)

_ROWS_AT_ONCE: Final = 2000
_BEGIN_BEFORE: Final = timedelta(seconds=60)
"""How far back the tail begins, so that listeners that reconnect after a restart find their events in it."""
_WOKEN_AT_ONCE: Final = 50
"""Limited so that other requests, which wait on the same loop, are served in between."""
_IDLE_SECONDS: Final = 60.0
"""How long the log is still read after the last listener has left: the next poll usually follows soon."""
_LONGEST_RETRY_SECONDS: Final = 2.0
_WARN_EVERY_SECONDS: Final = 60.0
_STALE_SECONDS: Final = 5.0
_SHORTEST_RENEWAL_SECONDS: Final = 0.5


class Listener:
    """A reader that waits on the event loop. ``cursor`` is how far it has read.

    ``renew`` returns the events that the client of ``authorization`` may see now, as a selection; None if it may no
    longer listen.
    """

    __slots__ = ("_woken", "authorization", "cursor", "is_ended", "renew", "selection")

    def __init__(
        self, cursor: Cursor, selection: Selection, authorization: str, renew: Callable[[], Selection | None]
    ) -> None:
        self.cursor = cursor
        self.selection = selection
        self.authorization = authorization
        self.renew = renew
        self.is_ended = False
        self._woken: asyncio.Future[None] | None = None

    def end(self) -> None:
        """End its wait, and let it not wait again."""
        self.is_ended = True
        self.wake()

    def wake(self) -> None:
        """End its wait."""
        if self._woken is not None and not self._woken.done():
            self._woken.set_result(None)

    @property
    def is_waiting(self) -> bool:
        """Whether it waits for events; otherwise it is sending."""
        return self._woken is not None

    async def wait(self, seconds: float) -> None:
        """Wait until it is woken, at most for this time."""
        self._woken = asyncio.get_running_loop().create_future()
        timer = asyncio.get_running_loop().call_later(max(0.0, seconds), self.wake)
        try:
            await self._woken
        finally:
            timer.cancel()
            self._woken = None


class Hub:
    """The listeners of a process, and its reader of the log. Used on the event loop alone, except for ``select_from``.

    ``prepare`` reads what ``renew`` needs about these authorizations, for all listeners at once.
    """

    def __init__(self, prepare: Callable[[Collection[str]], None]) -> None:
        self._prepare = prepare
        self.tail: Tail | None = None
        """The events that the process has read. None while there are no listeners; any thread may read it."""
        self.is_closed = False
        self._listeners: set[Listener] = set()
        self._reading: asyncio.Task[None] | None = None
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="feed")
        self._catching_up = ThreadPoolExecutor(2, thread_name_prefix="feed-old")
        self._looked_at = self._left_at = self._warn_at = 0.0

    def __len__(self) -> int:
        return len(self._listeners)

    def close(self) -> None:
        """End all waits, since this process stops."""
        self.is_closed = True
        for listener in self._listeners:
            listener.end()

    @contextmanager
    def listening(self, listener: Listener) -> Iterator[None]:
        """Register a listener, and read the log while it is registered."""
        self._listeners.add(listener)
        FEED_LISTENERS.set(len(self._listeners))
        listener.is_ended = self.is_closed
        if self._reading is None or self._reading.done():
            self._reading = asyncio.get_running_loop().create_task(self._serve())
        try:
            yield
        finally:
            self._listeners.discard(listener)
            FEED_LISTENERS.set(len(self._listeners))
            self._left_at = time.monotonic()

    def select_from(self, cursor: Cursor, selection: Selection, limit: int, *, is_waiting: bool) -> Selected:
        """The selected events after a cursor, from memory if they are there. May be called from any thread.

        Includes all committed events, unless the reader will wait for the next events anyway. Raises Archived, and
        Invalid for a cursor that this log doesn't have.
        """
        tail = self.tail
        if tail is not None and tail.holds(cursor) and cursor.place <= tail.end.place:
            found = tail.after(cursor, selection, limit)
            if found.events or is_waiting:
                return found
        return select_newest_after(cursor, selection, limit)

    async def next(self, listener: Listener, limit: int, seconds: float) -> Selected:
        """The next events for a listener, whose cursor is moved after them; none if there are none in time.

        Raises Archived or Invalid if its cursor is no longer valid, and errors of the database.
        """
        ends_at = time.monotonic() + seconds
        while not listener.is_ended:
            found = await self._found(listener, limit)
            if found is not None:
                listener.cursor = found.cursor
                if found.events:
                    return found
            left = ends_at - time.monotonic()
            if left <= 0:
                break
            if found is None or not (found.has_more or self._is_behind(listener)):
                await listener.wait(left)
        return Selected((), listener.cursor, has_more=False)

    def _is_behind(self, listener: Listener) -> bool:
        """Whether the tail has grown while a listener read the database."""
        return self.tail is not None and listener.cursor.place < self.tail.end.place

    async def _found(self, listener: Listener, limit: int) -> Selected | None:
        """What a listener sees now; None if that isn't known yet."""
        if self.tail is None:
            return None
        if self.tail.holds(listener.cursor):
            return self.tail.after(listener.cursor, listener.selection, limit)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._catching_up, _select_old, listener.cursor, listener.selection, limit)

    def has_read_lately(self) -> bool:
        """Whether the events missing from the tail were written in the last seconds."""
        return time.monotonic() - self._looked_at < _STALE_SECONDS

    async def _serve(self) -> None:
        """Read the log while there are listeners, and for ``_IDLE_SECONDS`` afterwards."""
        renewing = asyncio.get_running_loop().create_task(self._renew_on())
        try:
            await self._read_on()
        finally:
            renewing.cancel()

    async def _renew_on(self) -> None:
        """Look up every ``TOKEN_CACHE_SECONDS`` what the clients of all listeners may see."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(max(settings.TOKEN_CACHE_SECONDS, _SHORTEST_RENEWAL_SECONDS))
            try:
                renewed = await loop.run_in_executor(self._catching_up, _renewed, self._prepare, [*self._listeners])
            except Exception as error:  # noqa: BLE001 - logged
                self._note(error)
                continue
            for listener, selection in renewed:
                if selection is None:
                    listener.end()
                else:
                    listener.selection = selection

    async def _read_on(self) -> None:
        """Errors are logged, and it is tried again: the database may be unavailable for a while."""
        pace, retry_seconds = Pace(), 0.0
        self._left_at = time.monotonic()
        loop = asyncio.get_running_loop()
        while not self.is_closed and (self._listeners or time.monotonic() - self._left_at < _IDLE_SECONDS):
            try:
                tail, is_new = await loop.run_in_executor(self._reader, _look, self.tail)
                await self._pass_on(tail)
            except Exception as error:  # noqa: BLE001 - logged
                retry_seconds = min(max(0.1, 2 * retry_seconds), _LONGEST_RETRY_SECONDS)
                self._note(error)
                await asyncio.sleep(retry_seconds)
                continue
            retry_seconds, self._looked_at = 0.0, time.monotonic()
            await asyncio.sleep(pace.pause_seconds(is_new))
        self.tail = None

    def _note(self, error: Exception) -> None:
        """Log an error once a minute. A place that is gone, after a restore of the database, is left."""
        if isinstance(error, DomainError):
            self.tail = None
        if time.monotonic() >= self._warn_at:
            self._warn_at = time.monotonic() + _WARN_EVERY_SECONDS
            logger.warning("feed_not_read", error=str(error))

    async def _pass_on(self, tail: Tail) -> None:
        """Wake the listeners that have new events, some at a time, and advance the cursors of the others."""
        before, self.tail = self.tail, tail
        if before is not None and tail.end == before.end:
            return
        woken = [*self._listeners] if before is None else self._concerned(tail, before.end)
        for index, listener in enumerate(woken, 1):
            listener.wake()
            if index % _WOKEN_AT_ONCE == 0:
                await asyncio.sleep(0)

    def _concerned(self, tail: Tail, end: Cursor) -> list[Listener]:
        """The waiting listeners with events after ``end``; the cursors of others that have read up to there are
        advanced."""
        new = tail.after(end, Selection(), len(tail.events) + 1).events
        sees: dict[Selection, bool] = {}
        concerned = []
        for listener in self._listeners:
            selection = listener.selection
            if not listener.is_waiting:
                continue
            if selection not in sees:
                sees[selection] = any(map(selection.sees, new))
            if sees[selection] or listener.cursor != end:
                concerned.append(listener)
            else:
                listener.cursor = tail.end
        return concerned


def _look(tail: Tail | None) -> tuple[Tail, bool]:
    """The tail with the new events of the log, and whether there are any. If there are none, make a tick and read
    again."""
    try:
        if tail is None:
            return _first_tail(), True
        page = read_after(tail.end, _ROWS_AT_ONCE)
        if not page.events and not page.has_more and tick():
            page = read_after(page.cursor, _ROWS_AT_ONCE)
        return tail.extended([*map(FeedEvent.of, page.events)], page.cursor), bool(page.events)
    finally:
        close_old_connections()


def _first_tail() -> Tail:
    """The events of the last seconds; none of them if they are too many."""
    tick()
    try:
        start = cursor_at(timezone.now() - _BEGIN_BEFORE)
    except Archived:
        start = cursor_oldest()
    page = read_after(start, MOST_EVENTS)
    if page.has_more:
        page = Page((), start := cursor_now(), has_more=False)
    return Tail(start, (), start).extended([*map(FeedEvent.of, page.events)], page.cursor)


def _select_old(cursor: Cursor, selection: Selection, limit: int) -> Selected:
    try:
        return select_after(cursor, selection, limit)
    finally:
        close_old_connections()


def _renewed(
    prepare: Callable[[Collection[str]], None], listeners: Collection[Listener]
) -> list[tuple[Listener, Selection | None]]:
    try:
        prepare({listener.authorization for listener in listeners})
        return [(listener, listener.renew()) for listener in listeners]
    finally:
        close_old_connections()
