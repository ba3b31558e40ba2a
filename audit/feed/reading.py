"""Reading of the log by cursor."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec
from django.conf import settings
from django.db import connection, transaction

from audit.db import columns
from audit.errors import Archived, Invalid
from audit.feed.cursors import BEGINNING, Cursor, Seen
from audit.feed.snapshots import Snapshot

MOST_EVENTS: Final = 5000
"""The most events of a page."""
_MOST_TICKS: Final = 250
_MOST_LOOKED_AT: Final = 20_000
"""The most rows that a page reads of a batch that it can't read as a whole."""
_READ_WHOLE: Final = 2000
"""Batches of up to so many events are read by transaction id; larger ones in pieces, by position."""


class LoggedEvent(msgspec.Struct, frozen=True, gc=False):
    """An event of the log. ``payload`` is the JSON text; ``cursor`` continues after this event.

    ``traceparent`` is the trace of the request that caused it, None if it had none.
    """

    cursor: Cursor
    event_id: UUID
    aggregate_type: str
    key: str
    type: str
    payload: str
    created_at: datetime
    xid: int
    traceparent: str | None = None

    @property
    def position(self) -> int:
        """The event's position, which orders the events of its key."""
        return self.cursor.position


@dataclass(frozen=True, slots=True)
class Page:
    """Events in the order of the log. ``cursor`` continues after them: it advances even if there are none.

    ``has_more`` means that the log had more when it was read: read again at once.
    """

    events: Sequence[LoggedEvent]
    cursor: Cursor
    has_more: bool


class _Tick(msgspec.Struct, frozen=True, gc=False):
    """A tick. ``ceiling`` is the last position of the epoch before its own."""

    number: int
    epoch: int
    snapshot: Snapshot
    max_position: int
    first_position: int
    events: int
    created_from: datetime | None
    created_to: datetime | None
    ceiling: int

    @property
    def end(self) -> Cursor:
        """The cursor after the last event of the batch."""
        return Cursor(self.epoch, self.number, self.max_position)


_TICKS: Final = """
SELECT tick.number, tick.epoch, tick.snapshot::text, tick.max_position, coalesce(tick.first_position, 0), tick.events,
    tick.created_from, tick.created_to, coalesce(epoch.ceiling, 0)
FROM audit_tick tick JOIN audit_logepoch epoch ON epoch.number = tick.epoch
"""
_FROM: Final = f"{_TICKS} WHERE tick.number >= %s ORDER BY tick.number LIMIT %s"
_LAST: Final = f"{_TICKS} WHERE tick.number = (SELECT max(number) FROM audit_tick)"  # noqa: S608
_LAST_OF_EPOCH: Final = f"{_TICKS} WHERE tick.epoch = %s ORDER BY tick.number DESC LIMIT 1"
_OLDEST: Final = f"{_TICKS} WHERE tick.number = (SELECT min(number) FROM audit_tick)"  # noqa: S608
_LAST_BEFORE: Final = f"{_TICKS} WHERE tick.created_at < %s ORDER BY tick.created_at DESC, tick.number DESC LIMIT 1"

_HERE: Final = "SELECT coalesce(max(position), 0), pg_current_snapshot()::text FROM audit_outboxevent"

_COLUMNS: Final = "position, xid, id, aggregatetype, aggregateid, type, payload, created_at, traceparent"
_RESULT: Final = (
    "position, id, aggregatetype, aggregateid, type, payload::text, created_at, xid::text::bigint, traceparent"
)
# The two parts are disjoint: transactions that began after the first snapshot, and those that were running in it.
_BY_TRANSACTION: Final = f"""
WITH event AS MATERIALIZED (
    SELECT {_COLUMNS} FROM audit_outboxevent
    WHERE xid >= %(base_xmax)s::text::xid8 AND xid < %(end_xmax)s::text::xid8
        AND created_at BETWEEN %(created_from)s AND %(created_to)s
    UNION ALL
    SELECT {_COLUMNS} FROM audit_outboxevent
    WHERE xid = ANY (%(base_running)s::text[]::xid8[]) AND created_at BETWEEN %(created_from)s AND %(created_to)s
)
SELECT {_RESULT} FROM event
WHERE pg_visible_in_snapshot(xid, %(end)s::text::pg_snapshot)
    AND position > %(ceiling)s AND position > %(after)s AND position <= %(until)s
ORDER BY position LIMIT %(limit)s
"""  # noqa: S608
_LOOKED_AT: Final = f"""
SELECT {_COLUMNS} FROM audit_outboxevent
WHERE position > %(after)s AND position <= %(until)s AND created_at BETWEEN %(created_from)s AND %(created_to)s
ORDER BY position LIMIT {_MOST_LOOKED_AT}
"""  # noqa: S608
# An epoch's first batch are the events that weren't visible in the tick before. Positions above that tick's are
# compared as numbers, since their transaction ids may be of another cluster. Any other batch is the difference of two
# snapshots.
_BY_POSITION: Final = f"""
SELECT {_RESULT} FROM ({_LOOKED_AT}) event
WHERE CASE WHEN %(begins_epoch)s
    THEN position > %(base_max)s OR NOT pg_visible_in_snapshot(xid, %(base)s::text::pg_snapshot)
    ELSE pg_visible_in_snapshot(xid, %(end)s::text::pg_snapshot)
        AND NOT pg_visible_in_snapshot(xid, %(base)s::text::pg_snapshot) AND position > %(ceiling)s END
ORDER BY position LIMIT %(limit)s
"""  # noqa: S608
_LAST_LOOKED_AT: Final = f"SELECT coalesce(max(position), 0), count(*) FROM ({_LOOKED_AT}) event"  # noqa: S608


def read_after(cursor: Cursor, limit: int) -> Page:
    """The events after a cursor in the order of the log, at most ``limit`` of them, of one or several batches.

    Sends a constant number of statements, which read a bounded number of rows. Locks nothing and needs no transaction.
    Raises Archived, and Invalid for a cursor that this log doesn't have.
    """
    page = _page_after(replace(cursor, seen=None), max(1, min(limit, MOST_EVENTS)))
    seen = cursor.seen
    if seen is None:
        return page
    events = [
        msgspec.structs.replace(event, cursor=event.cursor.after_having(seen))
        for event in page.events
        if not seen.has(event.position, event.xid)
    ]
    return Page(events, page.cursor.after_having(seen), page.has_more)


def _page_after(cursor: Cursor, limit: int) -> Page:
    # Each batch has an event, except that of an epoch's first tick.
    most_ticks = min(limit + 3, _MOST_TICKS)
    cursor, ticks = _ticks_after(cursor, most_ticks)
    if len(ticks) < 2:
        return Page((), cursor, has_more=False)
    base, first = ticks[:2]
    after = cursor.position if cursor.tick == first.number else 0
    batches = _readable(ticks, limit)
    has_more = 1 + len(batches) < len(ticks) or len(ticks) > most_ticks - 2
    if not batches:
        return _piece_of_batch(base, first, after, limit, has_more=has_more)
    events = _events_of(base, batches, after, limit)
    is_cut = len(batches) == 1 and len(events) == limit
    return Page(events, events[-1].cursor if is_cut else batches[-1].end, has_more or is_cut)


def cursor_now() -> Cursor:
    """The end of the log, as of its last tick: call ``tick(waits=True)`` before if it must be behind all
    events that are committed."""
    ticks = _select(_LAST, [])
    return ticks[0].end if ticks else BEGINNING


@contextmanager
def one_snapshot() -> Iterator[Cursor]:
    """A transaction in which all reads see the same moment, and the cursor of that moment.

    The rows read inside contain the effects of exactly the events before the cursor: a reader that continues with the
    feed from there misses no event and gets none twice. Inside another transaction, all reads must be in that one.
    """
    is_outermost = not connection.in_atomic_block
    with transaction.atomic():
        with connection.cursor() as cursor:
            if is_outermost:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            cursor.execute(_HERE)
            max_position, snapshot = cursor.fetchone()
        last = cursor_now()
        # The next tick may have an earlier snapshot. The one after it hasn't, as it waits for that tick's commit.
        yield last.after_having(Seen(last.tick + 2, max_position, Snapshot.parse(snapshot)))


def cursor_oldest() -> Cursor:
    """The cursor before the oldest event that is kept."""
    ticks = _select(_OLDEST, [])
    return ticks[0].end if ticks else BEGINNING


def cursor_at(moment: datetime) -> Cursor:
    """The cursor before all events of a moment and later, and at most a few that are older.

    Raises Archived if some of them may have been deleted.
    """
    ticks = _select(_LAST_BEFORE, [moment])
    if ticks:
        return ticks[0].end
    oldest = cursor_oldest()
    if oldest.tick:
        raise _archived()
    return oldest


def _archived() -> Archived:
    return Archived(
        f"Events are kept for {settings.EVENT_RETENTION_DAYS} days, and some after this place were deleted: read the"
        " stock levels anew, and go on from their cursor."
    )


def _select(sql: str, parameters: Sequence[Any]) -> list[_Tick]:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return [_Tick(row[0], row[1], Snapshot.parse(row[2]), *row[3:]) for row in cursor.fetchall()]


def _ticks_after(cursor: Cursor, at_most: int) -> tuple[Cursor, list[_Tick]]:
    """The ticks of the batches that follow a cursor, preceded by the tick before them; and the cursor."""
    ticks = _select(_FROM, [max(cursor.tick - 1, 0), at_most])
    if not ticks and cursor == BEGINNING:
        return cursor, []
    own = next((tick for tick in ticks if tick.number == cursor.tick), None)
    if ticks and ticks[0].number > cursor.tick:
        raise _archived()
    if own is None or own.epoch != cursor.epoch:
        return _ticks_after(_end_of_older_epoch(cursor), at_most)
    if cursor.position >= own.max_position:
        return cursor, [tick for tick in ticks if tick.number >= cursor.tick]
    if ticks[0] is own:
        raise _archived()
    return cursor, ticks


def _end_of_older_epoch(cursor: Cursor) -> Cursor:
    """The cursor to continue from if a recovery to a point in time has undone the given cursor's tick: the end of its
    epoch."""
    last_of_epoch, last = _select(_LAST_OF_EPOCH, [cursor.epoch]), _select(_LAST, [])
    if not last or cursor.epoch >= last[0].epoch:
        raise Invalid(
            f"“{cursor}” is a cursor that this feed has not given. After a restore of the database, its operator must"
            " run rebase_events."
        )
    if not last_of_epoch:
        raise _archived()
    if last_of_epoch[0].number >= cursor.tick:
        raise Invalid(f"“{cursor}” is a cursor that this feed has not given.")
    return last_of_epoch[0].end


def _readable(ticks: list[_Tick], limit: int) -> list[_Tick]:
    """The ticks after the first whose batches can be read as a whole together; none if the next one must be read in
    pieces."""
    base, first = ticks[:2]
    if first.epoch != base.epoch or first.events > _READ_WHOLE:
        return []
    total = 0
    for count, tick in enumerate(ticks[1:]):
        total += tick.events
        if count and (tick.epoch != base.epoch or total > limit):
            return ticks[1 : 1 + count]
    return ticks[1:]


def _events_of(base: _Tick, batches: list[_Tick], after: int, limit: int) -> list[LoggedEvent]:
    """The events of whole batches, after a position of the first one."""
    first, last = batches[0], batches[-1]
    parameters = {
        "base_xmax": str(base.snapshot.xmax),
        "base_running": columns.texts(map(str, base.snapshot.running)),
        "end_xmax": str(last.snapshot.xmax),
        "end": last.snapshot.text,
        "created_from": min((tick.created_from for tick in batches if tick.created_from), default=None),
        "created_to": max((tick.created_to for tick in batches if tick.created_to), default=None),
        "ceiling": last.ceiling,
        "after": after if first is last else 0,
        "until": last.max_position,
        "limit": limit,
    }
    of_transaction: dict[int, _Tick] = {}
    found = []
    for row in _rows(_BY_TRANSACTION, parameters):
        xid = row[-2]
        tick = of_transaction.get(xid)
        if tick is None:
            tick = of_transaction[xid] = next(each for each in batches if each.snapshot.shows(xid))
        if tick is not first or row[0] > after:
            found.append(_event(tick, row))
    found.sort(key=lambda event: (event.cursor.tick, event.position))
    return found


def _piece_of_batch(base: _Tick, tick: _Tick, after: int, limit: int, *, has_more: bool) -> Page:
    """A page of a large batch, or of an epoch's first one, in the order of positions."""
    parameters = {
        "begins_epoch": base.epoch != tick.epoch,
        "base": base.snapshot.text,
        "base_max": base.max_position,
        "end": tick.snapshot.text,
        "ceiling": tick.ceiling,
        "created_from": tick.created_from,
        "created_to": tick.created_to,
        "after": max(after, tick.first_position - 1),
        "until": tick.max_position,
        "limit": limit,
    }
    events = [_event(tick, row) for row in _rows(_BY_POSITION, parameters)]
    if len(events) == limit:
        return Page(events, events[-1].cursor, has_more=True)
    ((last, looked_at),) = _rows(_LAST_LOOKED_AT, parameters)
    if looked_at < _MOST_LOOKED_AT:
        return Page(events, tick.end, has_more)
    reached = max(last, events[-1].position if events else 0)
    return Page(events, Cursor(tick.epoch, tick.number, reached), has_more=True)


def _rows(sql: str, parameters: dict[str, Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
        return rows


def _event(tick: _Tick, row: tuple[Any, ...]) -> LoggedEvent:
    position, *values = row
    return LoggedEvent(Cursor(tick.epoch, tick.number, position), *values)
