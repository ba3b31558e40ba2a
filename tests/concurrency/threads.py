"""Real threads with a database connection each, which collide at chosen points and never hang."""

import re
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Final

import psycopg
import pytest
from django.db import connection, connections

from audit.errors import DomainError

PATIENCE_SECONDS: Final = 60.0
_POLL_SECONDS: Final = 0.005


class Crew:
    """Threads with one job each. An outcome is the job's result, or the domain error that it raised."""

    def __init__(self, *work: Callable[[], Any], barrier: threading.Barrier | None = None) -> None:
        self._barrier = barrier or threading.Barrier(len(work))
        self._outcomes: list[Any] = [None] * len(work)
        self._failures: list[Exception] = []
        self._threads = [
            threading.Thread(target=self._do, args=(index, job), daemon=True) for index, job in enumerate(work)
        ]
        for thread in self._threads:
            thread.start()

    def _do(self, index: int, job: Callable[[], Any]) -> None:
        try:
            connection.ensure_connection()
            self._barrier.wait(PATIENCE_SECONDS)
            self._outcomes[index] = job()
        except DomainError as error:
            self._outcomes[index] = error
        except Exception as error:  # noqa: BLE001 - each becomes a problem document
            self._failures.append(error)
            self._barrier.abort()
        finally:
            connections.close_all()

    def join(self, seconds: float = PATIENCE_SECONDS) -> list[Any]:
        """Wait for all threads and return their outcomes. Fails with all stacks if one doesn't end in time."""
        deadline = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        if stuck := [thread for thread in self._threads if thread.is_alive()]:
            pytest.fail(f"{len(stuck)} threads did not end within {seconds} s\n{_stacks(stuck)}\n{_backends()}")
        if self._failures:
            raise ExceptionGroup("threads failed", self._failures)
        return self._outcomes

    def are_done(self, *indexes: int) -> bool:
        """Whether these threads have ended."""
        return not any(self._threads[index].is_alive() for index in indexes)


def together(*work: Callable[[], Any], seconds: float = PATIENCE_SECONDS) -> list[Any]:
    """Do all jobs at the same moment, in a thread each. Returns the outcomes in the order of the jobs."""
    return Crew(*work).join(seconds)


def _stacks(threads: Sequence[threading.Thread]) -> str:
    frames = sys._current_frames()
    return "\n".join(
        f"--- {thread.name}\n" + "".join(traceback.format_stack(frames[thread.ident]))
        for thread in threads
        if thread.ident in frames
    )


def _backends() -> str:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pid, state, wait_event_type, wait_event, pg_blocking_pids(pid), left(query, 100) "
            "FROM pg_stat_activity WHERE datname = current_database()"
        )
        return "\n".join(map(str, cursor.fetchall()))


@contextmanager
def stranger() -> Iterator["psycopg.Connection[Any]"]:
    """A connection that isn't the service's, in a transaction that is rolled back unless it commits."""
    parameters = connection.get_connection_params()
    with psycopg.connect(**parameters) as other:
        try:
            yield other
        finally:
            other.rollback()


def await_waiting(count: int = 1) -> None:
    """Wait until this many sessions of the database wait for a lock."""

    def waiting() -> bool:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
            return bool(cursor.fetchone()[0] >= count)

    await_true(waiting, f"{count} sessions to wait for a lock")


def await_moment(moment: datetime) -> None:
    """Wait until the database's clock has passed a moment."""

    def passed() -> bool:
        with connection.cursor() as cursor:
            cursor.execute("SELECT clock_timestamp() > %s", [moment])
            return bool(cursor.fetchone()[0])

    await_true(passed, f"the clock to pass {moment}")


def await_true(is_true: Callable[[], bool], what: str, seconds: float = PATIENCE_SECONDS) -> None:
    """Poll until the condition is true. Fails after a bounded time."""
    deadline = time.monotonic() + seconds
    while not is_true():
        if time.monotonic() > deadline:
            pytest.fail(f"waited {seconds} s for {what}\n{_backends()}")
        time.sleep(_POLL_SECONDS)


LEVEL_LOCK: Final = re.compile(r"FROM inventory_stocklevel .* FOR NO KEY UPDATE", re.DOTALL)
HOLD_LOCK: Final = re.compile(r"FROM reservations_reservation .* FOR NO KEY UPDATE", re.DOTALL)
TRANSFER_LOCK: Final = re.compile(
    r"FROM inventory_transfer t .*\bFOR NO KEY UPDATE|FROM inventory_transferline line JOIN", re.DOTALL
)
"""Matches the statements that lock a transfer and read its items."""
_ROW_LOCK: Final = re.compile(r"FOR NO KEY UPDATE( OF [rt])?( SKIP LOCKED)?")


class Meeting:
    """Has threads meet right after each has read rows under ``lock``, before any of them writes.

    With ``is_sabotage`` the statement reads without locking. If the lock works, the threads can't meet, and they
    continue after a short wait.
    """

    def __init__(self, lock: re.Pattern[str], parties: int, *, is_sabotage: bool) -> None:
        self._lock = lock
        self._barrier = threading.Barrier(parties)
        self._is_sabotage = is_sabotage
        self.have_met = False

    def attend(self, work: Callable[[], Any]) -> Callable[[], Any]:
        """Wrap the work, so that this meeting intercepts every statement of its thread."""

        def attended() -> Any:
            with connection.execute_wrapper(self._execute):
                return work()

        return attended

    def _execute(self, execute: Callable[..., Any], sql: str, *arguments: Any) -> Any:
        if not self._lock.search(sql):
            return execute(sql, *arguments)
        result = execute(_ROW_LOCK.sub("", sql) if self._is_sabotage else sql, *arguments)
        if pipeline := connection.connection._pipeline:
            pipeline.sync()  # The statement was only sent: the rows are read, or locked, once it is answered.
        try:
            self._barrier.wait(PATIENCE_SECONDS if self._is_sabotage else 0.3)
            self.have_met = True
        except threading.BrokenBarrierError:
            assert not self._is_sabotage, "without locks nothing keeps them from meeting"
        return result


def count_of(outcomes: Iterable[Any], kind: type) -> int:
    """The number of outcomes of a type."""
    return sum(isinstance(outcome, kind) for outcome in outcomes)
