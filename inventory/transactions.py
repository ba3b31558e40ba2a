"""The only way to open a transaction that changes stock: bounded in time, and retried when that is safe.

Deadlocks, serialisation failures and lock timeouts are certain rollbacks and are retried. If the connection is lost
during COMMIT, the outcome of that transaction is looked up before anything is retried (docs/explanation/adr/0001).
"""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeVar
from uuid import UUID

import psycopg
import structlog
from django.conf import settings
from django.db import DataError, Error, OperationalError, connection, transaction
from django.db.backends.utils import (  # type: ignore[attr-defined]  # unknown to its stubs
    CursorWrapper,
    debug_transaction,
)
from psycopg.pq import TransactionStatus

from audit.db.pipelines import Gathering
from audit.db.pool import connect_until
from audit.db.postgresql.base import is_cut
from audit.db.postgresql.poolers import LOST_STATEMENT
from audit.db.statements import has_written
from audit.errors import Busy, OutcomeUnknown, Unstorable
from audit.metrics.definitions import LOCK_RETRIES
from audit.metrics.kinds import Tally
from audit.models import AuditEntry
from audit.recording import last_recorded

logger = structlog.get_logger(__name__)
T = TypeVar("T")

_OPEN: Final = """
SELECT pg_current_xact_id()::text, set_config('lock_timeout', %s, true), set_config('statement_timeout', %s, true),
    set_config('plan_cache_mode', 'force_generic_plan', true),
    set_config('idle_in_transaction_session_timeout', %s, true)
"""
_OPEN_BOUNDED: Final = _OPEN.rstrip() + ", set_config('transaction_timeout', %s, true)\n"
_HAS_TRANSACTION_TIMEOUT: Final = 170_000
"""The first version of PostgreSQL that has it."""


class LockedElsewhere(OperationalError):
    """``work`` needs a row that another transaction has locked, and may not wait for it.

    docs/explanation/rules.md, rule 8 says where no wait is allowed. Rolled back and retried, like a lock timeout.
    """


_KNOWN_ROLLBACKS: Final[dict[type, str]] = {
    psycopg.errors.DeadlockDetected: "deadlock",
    psycopg.errors.SerializationFailure: "serialization",
    psycopg.errors.LockNotAvailable: "lock_timeout",
    LockedElsewhere: "locked_elsewhere",
    **dict.fromkeys(LOST_STATEMENT, "connection_lost"),
}
"""Errors after which nothing was done, each with what it is counted as."""
_PAUSE_SECONDS: Final = 0.02
_LOOK_SECONDS: Final = 3.0
_SHORTEST_SILENCE_SECONDS: Final = 2.0
"""An overloaded process may pause for a second."""
_LONG_SILENCE_SECONDS: Final = 30.0
_LONG_SECONDS: Final = 3600.0
_BUSY: Final = "The stock is busy; nothing of this request was done. Try again."


@dataclass(frozen=True, slots=True)
class Patience:
    """The longest wait for one lock, and the number of retries after a certain rollback. None means ``LOCK_TIMEOUT``
    and ``LOCK_RETRIES``.

    ``until`` is the time (``time.monotonic``) at which all attempts must have ended; None is ``LOCK_TIMEOUT`` from now.
    A transaction that ``is_long`` may last longer as a whole, by its many statements, and pause longer between them.
    """

    lock_timeout_seconds: float | None = None
    retries: int | None = None
    until: float | None = None
    is_long: bool = False

    @property
    def is_last(self) -> bool:
        """Whether a request that fails with Busy isn't decided once more, alone and with more patience."""
        return self.lock_timeout_seconds is None


PATIENT: Final = Patience()
LONG: Final = Patience(is_long=True)
"""For work on thousands of rows at a time, such as a file or a count."""


@dataclass(slots=True)
class _Attempt(Generic[T]):
    """The state of one attempt: its connection, the result of ``work``, and the transaction's id."""

    connection: "psycopg.Connection[Any] | None" = None
    done: list[T] = field(default_factory=list)
    xid: str | None = None


def run(work: Callable[[], T], patience: Patience = PATIENT, *, pipelined: bool = True) -> T:
    """Run ``work`` in a transaction of its own, commit, and return its result.

    ``work`` may run several times, each time in a new transaction after the previous attempt was rolled back: it must
    pass everything to its caller by its return value. Work that wrote nothing (``audit.db.statements``) is rolled back,
    which needn't wait for the disk.

    ``pipelined`` work sends statements without waiting for each to finish: a read costs a round trip, writes are sent
    together with COMMIT, which then raises the error of the statement that failed. Work that needs the number of
    changed rows at once, as the ORM does when it saves, can't be pipelined.

    ``work`` may raise LockedElsewhere to be retried.

    Raises Busy if a lock wasn't acquired in time or the database is unavailable, OutcomeUnknown if the connection was
    lost during COMMIT and not restored in time, Unstorable for a value that the database refuses, and whatever ``work``
    raises.
    """
    deadline = patience.until or time.monotonic() + settings.LOCK_TIMEOUT
    for _ in range((settings.LOCK_RETRIES if patience.retries is None else patience.retries) + 1):
        attempt: _Attempt[T] = _Attempt()
        last_recorded.set(None)
        has_written.set(False)
        with Tally() as counted:
            try:
                connect_until(deadline)
                with _pipelined() if pipelined else _atomic():
                    attempt.connection = connection.connection
                    opening = _open(deadline, patience)
                    attempt.done.append(work())
                    attempt.xid = opening.fetchone()[0]
                is_committed = True
            except Error as error:
                is_committed = _has_taken_effect(attempt, error, deadline)
            if is_committed:
                counted.count()
                return attempt.done[0]
        if time.monotonic() >= deadline:
            break
        time.sleep(_PAUSE_SECONDS * (0.5 + random.random()))  # noqa: S311 - spreads retries, guards nothing
    raise Busy(_BUSY)


def _has_taken_effect(attempt: _Attempt[Any], error: Error, deadline: float) -> bool:
    """Whether a failed attempt was committed nevertheless; False if it is to be retried.

    Raises Busy, OutcomeUnknown, Unstorable, and the error itself if a retry wouldn't help.
    """
    cause = error.__cause__
    if isinstance(error, DataError):
        logger.error("value_not_storable", error=str(error))
        raise Unstorable("A value is out of its range.") from error
    if isinstance(cause, psycopg.errors.QueryCanceled):
        LOCK_RETRIES.add(1, "statement_timeout")
        raise Busy(_BUSY) from error
    if counted_as := _KNOWN_ROLLBACKS.get(type(cause)) or _KNOWN_ROLLBACKS.get(type(error)):
        LOCK_RETRIES.add(1, counted_as)
        return False
    if attempt.connection is not None:
        if isinstance(cause, psycopg.Error) and is_cut(cause):
            attempt.connection.close()  # The server ended the session; its message arrives before the end itself.
        if not attempt.connection.closed:
            raise error  # Not that of ``connection``: at the end of ``atomic`` Django has opened a new one.
    LOCK_RETRIES.add(1, "connection_lost")
    logger.warning("database_connection_lost", error=str(error))
    if attempt.connection is None or connection.connection is attempt.connection:
        connection.close()  # Django keeps a connection whose loss is noticed in the middle of a pipeline.
    return bool(attempt.xid and attempt.done and _is_committed(attempt.xid, last_recorded.get(), deadline))


@contextmanager
def _atomic() -> Iterator[None]:
    """A transaction that waits for each statement."""
    with transaction.atomic(durable=True):
        yield
        if not has_written.get():
            transaction.set_rollback(True)


@contextmanager
def _pipelined() -> Iterator[None]:
    """A transaction whose BEGIN is sent with the first statement and whose COMMIT with the last.

    ``atomic`` inside a pipeline waits for BEGIN, for COMMIT and for each change of autocommit: four more round trips,
    half of a reserve's time in the database. Inside the transaction of a test, ``atomic`` is used nevertheless.
    """
    if connection.in_atomic_block:
        # The pipeline ends first: within it, the rollback to the savepoint would be aborted with the rest.
        with connection.wrap_database_errors, _atomic(), connection.connection.pipeline():
            yield
        return
    connection.ensure_connection()
    opened = connection.connection
    connection.in_atomic_block, connection.autocommit = True, False  # For Django: rows may be locked.
    try:
        pipeline = Gathering.prepare(opened)
        with connection.wrap_database_errors, opened.pipeline():
            _say(pipeline, "BEGIN")
            yield
            _say(pipeline, "COMMIT" if has_written.get() else "ROLLBACK")
    finally:
        connection.in_atomic_block, connection.autocommit = False, True
        connection.needs_rollback = False  # Set by an ORM write that failed; the rollback is done here.
        if not opened.closed and opened.info.transaction_status != TransactionStatus.IDLE:
            with connection.wrap_database_errors:
                opened.rollback()


def _say(pipeline: Gathering, command: str) -> None:
    with debug_transaction(connection, command):
        pipeline.say(command)


def _open(deadline: float, patience: Patience) -> CursorWrapper:
    """Set the timeouts of this transaction. Returns a cursor with the transaction's id.

    The last two end a transaction whose client is frozen or cut off, so that nobody waits ``LOCK_TIMEOUT`` for its
    locks: it may be silent for half of that, and be open for a second longer than anybody waits for its result.
    """
    remaining = max(0.001, deadline - time.monotonic())
    timeouts = [min(remaining, patience.lock_timeout_seconds or remaining), remaining, *_silence(remaining, patience)]
    cursor = connection.cursor()
    if connection.connection.pgconn.server_version < _HAS_TRANSACTION_TIMEOUT:
        cursor.execute(_OPEN, [*map(milliseconds, timeouts[:3])])
    else:
        cursor.execute(_OPEN_BOUNDED, [*map(milliseconds, timeouts)])
    return cursor


def _silence(remaining: float, patience: Patience) -> tuple[float, float]:
    """How many seconds the client may be silent in the transaction, and how long that may be open; 0 for any time."""
    if connection.savepoint_ids:
        return 0, 0  # In the transaction of a test, which goes on afterwards.
    if patience.is_long:
        return _LONG_SILENCE_SECONDS, _LONG_SECONDS
    return max(_SHORTEST_SILENCE_SECONDS, settings.LOCK_TIMEOUT / 2), remaining + 1


def milliseconds(seconds: float) -> str:
    """A timeout as PostgreSQL's settings have it; 0 for none."""
    return str(max(1, int(seconds * 1000)) if seconds else 0)


def _is_committed(xid: str, entry_id: UUID | None, deadline: float) -> bool:
    """Whether a transaction whose COMMIT got no answer was committed.

    First waits until the server has ended the transaction, then looks for the audit entry that it wrote: after a crash
    of the server, the transaction's id alone may belong to another transaction.

    Raises OutcomeUnknown if the outcome can't be determined in time.
    """
    if entry_id is None:
        return True  # It changed no stock: its result is valid, whether or not an idempotency key was stored.
    deadline = max(deadline, time.monotonic() + _LOOK_SECONDS)  # It has passed if this process was frozen.
    while time.monotonic() < deadline:
        try:
            connect_until(deadline)
            if not _is_running(xid):
                return AuditEntry.objects.filter(pk=entry_id).exists()
        except Error:
            connection.close()
        time.sleep(_PAUSE_SECONDS)
    raise OutcomeUnknown(
        "The database went away while this request was being answered; ask for its outcome before repeating it."
    )


def _is_running(xid: str) -> bool:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_xact_status(%s::text::xid8)", [xid])
            return bool(cursor.fetchone()[0] == "in progress")
    except Error as error:
        if isinstance(error.__cause__, psycopg.errors.InvalidParameterValue):
            return False  # Unknown to the server, which crashed before it stored anything of the transaction.
        raise
