"""The cursors of sinks: claimed by one relay for each batch, and moved once the batch is acknowledged."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.db import OperationalError, connection, transaction
from django.db.models import Q, Sum

from audit import feed
from audit.errors import Archived
from audit.feed import Cursor
from audit.idempotency import advisory_lock
from audit.models import StreamCursor, Tick

_MOST_SECONDS_OF_A_CLAIM: Final = 60
_MOST_SECONDS_TO_WAIT: Final = 30
_CLAIM: Final = "SELECT pg_try_advisory_xact_lock(%s)"
# The server ends the transaction, and so the claim, of a relay that hangs or whose machine is lost.
_WAIT: Final = f"SET LOCAL idle_in_transaction_session_timeout = '{_MOST_SECONDS_OF_A_CLAIM}s'"
_STORE: Final = """
INSERT INTO audit_streamcursor (name, cursor, moved_at) VALUES (%s, %s, clock_timestamp())
ON CONFLICT (name) DO UPDATE SET cursor = EXCLUDED.cursor, moved_at = EXCLUDED.moved_at
"""


class ClaimedElsewhere(Exception):
    """Another relay is publishing to this sink."""


def claim(sink: str) -> Cursor:
    """Claim the cursor of a sink until the end of the transaction. A sink without one begins with the oldest event.

    Requires an open transaction. Raises ClaimedElsewhere, at once.
    """
    with connection.cursor() as cursor:
        cursor.execute(_CLAIM, [_lock(sink)])
        if not cursor.fetchone()[0]:
            raise ClaimedElsewhere
    # A statement after the lock reads the cursor that the previous relay has stored.
    return _read(sink)


def begin_to_wait() -> None:
    """Keep the transaction from delaying others while it waits for a sink; the server ends it after a minute.

    Nothing may be written in it before, so that it has no transaction id. The last SELECT's snapshot is kept until the
    next statement; this one needs none.
    """
    with connection.cursor() as cursor:
        cursor.execute(_WAIT)


def store(sink: str, cursor: Cursor) -> None:
    """Store the cursor of a sink. Requires the claim on it."""
    with connection.cursor() as sql:
        sql.execute(_STORE, [sink, str(cursor)])


def move_sink(sink: str, cursor: Cursor) -> None:
    """Move a sink to another cursor, after the batch that is being published.

    Opens the transaction. Raises ClaimedElsewhere if that batch takes too long, and the errors of ``read_after`` for an
    invalid cursor.
    """
    feed.read_after(cursor, 1)
    try:
        with transaction.atomic(), connection.cursor() as sql:
            sql.execute(f"SET LOCAL lock_timeout = '{_MOST_SECONDS_TO_WAIT}s'")
            sql.execute("SELECT pg_advisory_xact_lock(%s)", [_lock(sink)])
            store(sink, cursor)
    except OperationalError as error:
        raise ClaimedElsewhere from error


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a sink is. ``events_behind`` is exact, except that a partly published batch is counted as a whole.

    ``oldest_at`` is the time of the next event to be published; null if there is none. ``is_archived`` means that
    events were deleted before they were published.
    """

    sink: str
    cursor: Cursor
    events_behind: int
    oldest_at: datetime | None
    is_archived: bool = False


def standing_of(sink: str) -> Standing:
    """How far a sink is, as of the last tick. Some short statements; locks nothing."""
    cursor = _read(sink)
    rest = Q(number__gt=cursor.tick) | Q(number=cursor.tick, max_position__gt=cursor.position)
    behind = Tick.objects.filter(rest).aggregate(events=Sum("events"))["events"] or 0
    try:
        return Standing(sink, cursor, behind, _next_at(cursor))
    except Archived:
        return Standing(sink, cursor, behind, None, is_archived=True)


def _next_at(cursor: Cursor) -> datetime | None:
    """The time of the next event after a cursor, in the order of the log."""
    page = feed.read_after(cursor, 1)
    while page.has_more and not page.events:
        page = feed.read_after(page.cursor, 1)
    return page.events[0].created_at if page.events else None


def _read(sink: str) -> Cursor:
    kept = StreamCursor.objects.filter(name=sink).values_list("cursor", flat=True).first()
    return feed.cursor_oldest() if kept is None else Cursor.parse(kept)


def _lock(sink: str) -> int:
    return advisory_lock("stream", sink)
