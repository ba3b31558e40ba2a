"""The log's partitions, one for each day in UTC: made ahead, and dropped once their events can't be read any more.

Rows of a day without a partition go into the default one, so that writing an event never fails.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final

import structlog
from django.conf import settings
from django.db import OperationalError, connection, transaction

from audit.feed.ticks import tick

logger = structlog.get_logger(__name__)

DAYS_AHEAD: Final = 7
_DAY: Final = timedelta(days=1)
_TICKS_AT_A_TIME: Final = 10_000
_ATTEMPTS: Final = 10
# While a change of partitions waits for its lock, no events can be written.
_WAIT_BRIEFLY: Final = "SET LOCAL lock_timeout = '100ms'"
_PAUSE_SECONDS: Final = 0.5

# Bounds as PostgreSQL writes them: FOR VALUES FROM ('2026-01-15 00:00:00+00') TO ('2026-01-16 00:00:00+00').
_PARTITIONS: Final = """
SELECT name::text, substring(bounds FROM 'FROM [(]''([^'']+)''[)]')::timestamptz,
    substring(bounds FROM 'TO [(]''([^'']+)''[)]')::timestamptz AS ends_at
FROM (
    SELECT child.relname AS name, pg_get_expr(child.relpartbound, child.oid) AS bounds FROM pg_inherits
    JOIN pg_class child ON child.oid = inhrelid WHERE inhparent = 'audit_outboxevent'::regclass
) partition WHERE bounds <> 'DEFAULT' ORDER BY ends_at
"""
_OVER: Final = f"""
SELECT name FROM ({_PARTITIONS}) partition WHERE ends_at < statement_timestamp() - make_interval(days => %s)
"""  # noqa: S608
_DAYS_OF_DEFAULT: Final = """
SELECT DISTINCT date_trunc('day', created_at, 'UTC') FROM audit_outboxevent_default
"""
_MOVE: Final = """
WITH moved AS (
    DELETE FROM audit_outboxevent_default WHERE created_at >= %s AND created_at < %s RETURNING *
)
INSERT INTO {name} SELECT * FROM moved
"""
# As a constant in the statement's text: a bound can't be a parameter.
_ATTACH: Final = "ALTER TABLE audit_outboxevent ATTACH PARTITION {name} FOR VALUES FROM ('{start}') TO ('{end}')"
# Batches up to the oldest tick that is kept can't be read any more.
_IS_UNREADABLE: Final = """
SELECT NOT EXISTS (
    SELECT FROM {name} event WHERE position > coalesce(epoch.ceiling, 0)
        AND NOT (position <= oldest.max_position AND pg_visible_in_snapshot(xid, oldest.snapshot))
)
FROM audit_tick oldest JOIN audit_logepoch epoch ON epoch.number = oldest.epoch
WHERE oldest.number = (SELECT min(number) FROM audit_tick)
"""
_FORGET_TICKS: Final = """
DELETE FROM audit_tick WHERE number IN (
    SELECT number FROM audit_tick
    WHERE number < (
        SELECT max(number) FROM audit_tick WHERE created_at < statement_timestamp() - make_interval(days => %s))
    ORDER BY number LIMIT %s
)
"""


def tend_log() -> None:
    """Make the partitions of the next days, and delete what is older than ``EVENT_RETENTION_DAYS``.

    Partitions are dropped first, and only those whose ticks an earlier call has deleted: a reader that has read a tick
    still finds its events. Opens transactions; each takes its locks for a moment, or gives up until the next call.
    """
    tick()
    make_partitions(days_ahead=DAYS_AHEAD)
    _drop_partitions()
    _forget_ticks()


def make_partitions(*, days_ahead: int = 1, **_signal: Any) -> None:
    """Make the partitions of today and the next days, and those of earlier days whose rows are in the default one.

    Rows of today stay in the default partition, as more are being written there. Runs at the end of each ``migrate``,
    too. Does nothing while the log's own migration isn't applied.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('audit_outboxevent_default') IS NULL")
        if cursor.fetchone()[0]:
            return
        cursor.execute(_PARTITIONS)
        taken = [(start or datetime.min.replace(tzinfo=UTC), end) for _, start, end in cursor.fetchall()]
        cursor.execute("SELECT date_trunc('day', statement_timestamp(), 'UTC')")
        today = cursor.fetchone()[0].astimezone(UTC)
        cursor.execute(_DAYS_OF_DEFAULT)
        in_default = {row[0].astimezone(UTC) for row in cursor.fetchall()}
        wanted = ({today + n * _DAY for n in range(days_ahead + 1)} | in_default) - ({today} & in_default)
    for day in sorted(wanted):
        if not any(start <= day < end for start, end in taken):
            _soon(partial(_make_partition, day), f"make the partition of {day:%Y-%m-%d}")


def _make_partition(day: datetime) -> None:
    name, end = f"audit_outboxevent_{day:%Y%m%d}", day + _DAY
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_WAIT_BRIEFLY)
        cursor.execute("LOCK TABLE audit_outboxevent_default IN ACCESS EXCLUSIVE MODE")
        cursor.execute("SELECT to_regclass(%s) IS NOT NULL", [name])
        if cursor.fetchone()[0]:
            return  # Another process has made it meanwhile.
        cursor.execute(f"CREATE TABLE {name} (LIKE audit_outboxevent INCLUDING ALL)")
        cursor.execute(_MOVE.format(name=name), [day, end])
        cursor.execute(_ATTACH.format(name=name, start=day.isoformat(), end=end.isoformat()))


def _drop_partitions() -> None:
    with connection.cursor() as cursor:
        cursor.execute(_OVER, [settings.EVENT_RETENTION_DAYS])
        for (name,) in cursor.fetchall():
            _soon(partial(_drop_unreadable, name), f"drop the partition {name}")


def _drop_unreadable(name: str) -> None:
    """Drop a partition, unless some of its events can still be read."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_WAIT_BRIEFLY)
        # Only one process at a time drops partitions, and the next one finds them gone.
        cursor.execute("LOCK TABLE audit_outboxevent IN SHARE UPDATE EXCLUSIVE MODE")
        cursor.execute("SELECT to_regclass(%s) IS NULL", [name])
        if cursor.fetchone()[0]:
            return
        cursor.execute(_IS_UNREADABLE.format(name=name))
        if cursor.fetchone() == (True,):
            cursor.execute(f"DROP TABLE {name}")


def _forget_ticks() -> None:
    """Delete the ticks before the last one that is older than the time to keep: its own batch ends before that time."""
    deleted = _TICKS_AT_A_TIME
    while deleted == _TICKS_AT_A_TIME:
        with connection.cursor() as cursor:
            cursor.execute(_FORGET_TICKS, [settings.EVENT_RETENTION_DAYS, _TICKS_AT_A_TIME])
            deleted = cursor.rowcount


def _soon(change: Callable[[], None], what: str) -> None:
    """Make a change that needs a lock on the log, which others may hold: try several times, then give up until the next
    call."""
    for _ in range(_ATTEMPTS):
        try:
            return change()
        except OperationalError:
            time.sleep(_PAUSE_SECONDS)
    logger.warning("event_log_is_locked", wanted=what)
    return None
