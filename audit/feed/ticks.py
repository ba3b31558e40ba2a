"""Ticks: each ends a batch of the log, the events that are visible in its snapshot and not in the one before."""

from dataclasses import dataclass
from typing import Any, Final

from django.db import connection, transaction

from audit.idempotency import advisory_lock

LONGEST_PAUSE_SECONDS: Final = 0.25
SHORTEST_PAUSE_SECONDS: Final = 0.05
_LOCK: Final = advisory_lock("audit.feed.tick")
_REBASE_SECONDS: Final = 2
_PLANNED: Final = "set_config('enable_seqscan', 'off', true), set_config('jit', 'off', true)"
_ALONE: Final = f"SELECT pg_try_advisory_xact_lock(%s), {_PLANNED}"
_WAITING: Final = f"SELECT pg_advisory_xact_lock(%s) IS NOT NULL, {_PLANNED}"
# Both parts read the index on (xid, position): transactions that began since the last tick, and those it saw running.
# Sums and OFFSET 0 keep the planner from other plans, which are faster only while the table is small.
_TICK: Final = """
WITH last AS MATERIALIZED (
    SELECT tick.number, tick.epoch, tick.snapshot, tick.max_position, tick.created_at, epoch.ceiling,
        pg_current_snapshot() AS now
    FROM audit_tick tick JOIN audit_logepoch epoch ON epoch.number = tick.epoch
    WHERE tick.number = (SELECT max(number) FROM audit_tick)
        AND epoch.system_identifier = (SELECT system_identifier FROM pg_control_system())
), made AS (
    INSERT INTO audit_tick (number, epoch, snapshot, max_position, first_position, events, created_from, created_to,
        created_at)
    SELECT last.number + 1, last.epoch, last.now, greatest(last.max_position, batch.last), batch.first, batch.events,
        batch.created_from, batch.created_to, greatest(clock_timestamp(), last.created_at)
    FROM last CROSS JOIN LATERAL (
        SELECT count(*) AS events, min(position) AS first, max(position) AS last, min(created_at) AS created_from,
            max(created_at) AS created_to
        FROM (
            SELECT xid, position, created_at FROM audit_outboxevent
            WHERE xid >= pg_snapshot_xmax(last.snapshot) AND xid < pg_snapshot_xmax(last.now)
            UNION ALL
            SELECT event.xid, position, created_at FROM pg_snapshot_xip(last.snapshot) AS was_running (id), LATERAL (
                SELECT xid, position, created_at FROM audit_outboxevent WHERE xid = was_running.id OFFSET 0
            ) event
        ) event
        WHERE pg_visible_in_snapshot(xid, last.now) AND position + 0 > last.ceiling
    ) batch
    WHERE batch.events > 0 RETURNING number, events
)
SELECT EXISTS (SELECT FROM last), (SELECT number FROM made), (SELECT events FROM made)
"""
# Which events the last tick of the old epoch had shown is decided by numbers: positions above its own are new, even if
# their transaction ids, which are from another cluster, are lower.
_REBASE: Final = """
WITH base AS MATERIALIZED (
    SELECT number, snapshot, max_position, created_at FROM audit_tick
    WHERE number = (SELECT max(number) FROM audit_tick)
), epoch AS (
    INSERT INTO audit_logepoch (number, system_identifier, ceiling)
    SELECT (SELECT max(number) + 1 FROM audit_logepoch), system_identifier,
        coalesce((SELECT max(position) FROM audit_outboxevent), 0) FROM pg_control_system()
    RETURNING number, ceiling
)
INSERT INTO audit_tick (number, epoch, snapshot, max_position, first_position, events, created_from, created_to,
    created_at)
SELECT base.number + 1, epoch.number, pg_current_snapshot(), epoch.ceiling, batch.first, batch.events,
    batch.created_from, batch.created_to, greatest(clock_timestamp(), base.created_at)
FROM base, epoch, LATERAL (
    SELECT count(*) AS events, min(position) AS first, min(created_at) AS created_from, max(created_at) AS created_to
    FROM (
        SELECT position, created_at FROM audit_outboxevent WHERE position > base.max_position
        UNION ALL
        SELECT position, created_at FROM audit_outboxevent
        WHERE xid >= pg_snapshot_xmin(base.snapshot) AND position <= base.max_position
            AND NOT pg_visible_in_snapshot(xid, base.snapshot)
    ) event
) batch
RETURNING number, events
"""
# The first tick is empty, so that every row comes after it.
_BEGIN: Final = """
WITH epoch AS (
    INSERT INTO audit_logepoch (number, system_identifier, created_at)
    SELECT 0, 0, to_timestamp(0) WHERE NOT EXISTS (SELECT FROM audit_logepoch)
)
INSERT INTO audit_tick (number, epoch, snapshot, max_position, events, created_at)
SELECT 0, 0, '1:1:', 0, 0, to_timestamp(0) WHERE NOT EXISTS (SELECT FROM audit_tick)
"""


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch that a tick ended: the tick's number, and how many events it has."""

    tick: int
    events: int


def tick(*, waits: bool = False) -> Batch | None:
    """End a batch with the events committed since the last tick. Returns None if there are none, or another process is
    making a tick, which may not show the newest of them. A tick that ``waits`` for that process's tick shows all that
    were committed before the call.

    It may be called by any process at any time: it takes about a millisecond, and locks no row of the log. The first
    tick in another cluster, after a dump was restored there, begins an epoch (``rebase``).

    Opens the transaction. Raises OperationalError if an epoch must begin and a stock transaction takes too long.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_WAITING if waits else _ALONE, [_LOCK])
        if not cursor.fetchone()[0]:
            return None
        cursor.execute(_TICK)
        is_same_epoch, number, events = cursor.fetchone()
        if not is_same_epoch:
            return _begin_epoch(cursor)
        return Batch(number, events) if number is not None else None


def rebase() -> Batch:
    """Begin an epoch. Its first batch are the events that no tick of the epoch before has shown.

    Transaction ids have no meaning after a dump is restored into another cluster, and can be ambiguous after a recovery
    to a point in time: from now on, events of earlier epochs are compared by position. Cursors stay valid.

    Opens the transaction, in which no event is written for a moment (SHARE lock on the outbox). Raises OperationalError
    if a stock transaction takes too long.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
        return _begin_epoch(cursor)


def _begin_epoch(cursor: Any) -> Batch:
    cursor.execute(f"SET LOCAL lock_timeout = {int(_REBASE_SECONDS * 1000)}")
    cursor.execute("LOCK TABLE audit_outboxevent IN SHARE MODE")
    cursor.execute(_BEGIN)
    cursor.execute(_REBASE)
    return Batch(*cursor.fetchone())


class Pace:
    """How long a ticker pauses: 50 ms while there are events, then increasingly longer, up to 250 ms."""

    def __init__(self) -> None:
        self._seconds = SHORTEST_PAUSE_SECONDS

    def pause_seconds(self, batch: Batch | bool | None) -> float:
        """The pause after a tick, or after a look that found something."""
        self._seconds = SHORTEST_PAUSE_SECONDS if batch else min(self._seconds * 1.5, LONGEST_PAUSE_SECONDS)
        return self._seconds
