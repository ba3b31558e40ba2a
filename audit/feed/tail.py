"""The end of the log in memory, from which a process serves all its listeners: each event is read and decoded once."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from operator import attrgetter
from typing import Final, Self

from audit.feed.cursors import Cursor
from audit.feed.selecting import FeedEvent, Selected, Selection

MOST_EVENTS: Final = 10_000
MOST_BYTES: Final = 16 * 1024 * 1024
_place: Final = attrgetter("cursor.place")


@dataclass(frozen=True, slots=True)
class Tail:
    """All events of the log after ``start`` and until ``end``. Immutable, so that any thread may read it."""

    start: Cursor
    events: tuple[FeedEvent, ...]
    end: Cursor

    def extended(self, events: Sequence[FeedEvent], end: Cursor) -> Self:
        """The tail with the events that follow it, and without the oldest ones if it became too long."""
        joined = (*self.events, *events)
        size = sum(len(event.body) for event in joined)
        dropped = 0
        while len(joined) - dropped > MOST_EVENTS or size > MOST_BYTES:
            size -= len(joined[dropped].body)
            dropped += 1
        start = joined[dropped - 1].cursor if dropped else self.start
        return type(self)(start, joined[dropped:], end)

    def holds(self, cursor: Cursor) -> bool:
        """Whether all events after a cursor are here, as far as the process has read the log."""
        return cursor.place >= self.start.place

    def after(self, cursor: Cursor, selection: Selection, limit: int) -> Selected:
        """The selected events after a cursor that this tail ``holds``."""
        following: Iterator[FeedEvent] = islice(self.events, bisect_right(self.events, cursor.place, key=_place), None)
        end = self.end if self.end.place > cursor.place else cursor
        if seen := cursor.seen:
            new = (event for event in following if not seen.has(event.cursor.position, event.xid))
            following, end = (event.after_having(seen) for event in new), end.after_having(seen)
        found = tuple(islice(filter(selection.sees, following), limit))
        if len(found) < limit:
            return Selected(found, end, has_more=False)
        return Selected(found, found[-1].cursor, has_more=found[-1].cursor.place < self.events[-1].cursor.place)
