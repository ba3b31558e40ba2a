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
# The server ends the transaction of a relay that has stopped or whose machine is gone, and so its claim.
_CLAIM: Final = f"""
SELECT pg_try_advisory_xact_lock(%s),
    set_config('idle_in_transaction_session_timeout', '{_MOST_SECONDS_OF_A_CLAIM}s', true)
"""
_STORE: Final = """
INSERT INTO audit_streamcursor (name, cursor, moved_at) VALUES (%s, %s, clock_timestamp())
ON CONFLICT (name) DO UPDATE SET cursor = EXCLUDED.cursor, moved_at = EXCLUDED.moved_at
"""


class ClaimedElsewhere(Exception):
    """Another relay is publishing to this sink."""


def claim(sink: str) -> Cursor:
    """Claim the cursor of a sink until the end of the transaction. A sink without one begins with the oldest event.

    Requires an open transaction, in which nothing is written before the batch is acknowledged: while it waits for the
    sink, it then has no transaction id and no snapshot, and holds nothing up. Raises ClaimedElsewhere, at once.
    """
    with connection.cursor() as cursor:
        cursor.execute(_CLAIM, [_lock(sink)])
        if not cursor.fetchone()[0]:
            raise ClaimedElsewhere
    # A statement after the lock sees what the relay before has stored.
    return _read(sink)


def store(sink: str, cursor: Cursor) -> None:
    """Store the cursor of a sink. Requires the claim on it."""
    with connection.cursor() as sql:
        sql.execute(_STORE, [sink, str(cursor)])


def move_sink(sink: str, cursor: Cursor) -> None:
    """Have a sink go on from another cursor, once the batch that is being published is done.

    Opens the transaction. Raises ClaimedElsewhere if that takes too long, and what ``read_after`` raises for a cursor
    that the log can't be read from.
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
    """How far a sink is. ``events_behind`` is exact but for a batch that is published in part, which counts whole.

    ``oldest_at`` is the time of the next event to be published; null if there is none. ``is_archived`` says that it was
    deleted before it was published.
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
        page = feed.read_after(cursor, 1)
    except Archived:
        return Standing(sink, cursor, behind, None, is_archived=True)
    return Standing(sink, cursor, behind, page.events[0].created_at if page.events else None)


def _read(sink: str) -> Cursor:
    kept = StreamCursor.objects.filter(name=sink).values_list("cursor", flat=True).first()
    return feed.cursor_oldest() if kept is None else Cursor.parse(kept)


def _lock(sink: str) -> int:
    return advisory_lock("stream", sink)
