"""The log of events: the published events, in an order in which a reader with a cursor misses none.

Events are rows of ``OutboxEvent``, written by the transactions that change something (``audit.publishing``) and never
updated. A *tick* stores a snapshot of the database; the events that are visible in it and weren't in the tick before
are a *batch*. The log is ordered by batch, and within a batch by position. A reader keeps a *cursor*:

    cursor = cursor_now()           # or cursor_oldest(), cursor_at(time), Cursor.parse(text)
    while True:
        page = read_after(cursor, 500)
        for event in page.events: ...
        cursor = page.cursor        # str(cursor) is the text to keep; each event has its own, too
        if not page.has_more:       # nothing left: end a batch with the newest events, if there are any
            sleep(pace.pause_seconds(tick()))

A reader that starts with the tables themselves reads them ``with one_snapshot() as cursor``, and continues from there.

The events of a key come in the order of their positions.

Readers of HTTP are listeners of the process's ``Hub``, which reads the log once for all of them.
"""

from audit.feed.cursors import BEGINNING, Cursor
from audit.feed.hub import Hub, Listener
from audit.feed.partitions import make_partitions, tend_log
from audit.feed.reading import (
    MOST_EVENTS,
    LoggedEvent,
    Page,
    cursor_at,
    cursor_now,
    cursor_oldest,
    one_snapshot,
    read_after,
)
from audit.feed.selecting import Reach, Selected, Selection
from audit.feed.ticks import Batch, Pace, rebase, tick

__all__ = [
    "BEGINNING",
    "MOST_EVENTS",
    "Batch",
    "Cursor",
    "Hub",
    "Listener",
    "LoggedEvent",
    "Pace",
    "Page",
    "Reach",
    "Selected",
    "Selection",
    "cursor_at",
    "cursor_now",
    "cursor_oldest",
    "make_partitions",
    "one_snapshot",
    "read_after",
    "rebase",
    "tend_log",
    "tick",
]
