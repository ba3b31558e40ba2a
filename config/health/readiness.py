"""Whether this process can serve: the database answers, its migrations are applied, its pool hands out connections.

A probe asks the database on a connection of its own, so that it neither waits for the pool nor takes a connection from
requests: a pool that is fully used is no reason to send requests elsewhere, as the other processes are as busy.
"""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import psycopg
from django.db import Error, connection
from django.db.migrations.executor import MigrationExecutor

from audit.db.pool import own_connection

ANSWER_SECONDS: Final = 2.0
"""The longest time that a probe waits for the database."""
STALLED_SECONDS: Final = 15.0
"""How long requests may wait for a pool that hands out nothing: longer than they may wait for one connection."""
# Short, so that the thread is soon free again after the server went silent.
_IMPATIENT: Final = {
    "connect_timeout": 2,
    "keepalives_idle": 2,
    "keepalives_interval": 1,
    "keepalives_count": 3,
    "tcp_user_timeout": 4000,
}


class _Questioner:
    """Asks the database whether it answers, in a thread and on a connection of its own."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="probe-database")
        self._connection: psycopg.Connection[Any] | None = None
        self._asked: Future[bool] | None = None
        self._mutex = threading.Lock()

    def answers(self) -> bool:
        """Whether the database answers within ``ANSWER_SECONDS``. A question that has no answer yet isn't repeated."""
        with self._mutex:
            if self._asked is None or self._asked.done():
                self._asked = self._thread.submit(self._ask)
            asked = self._asked
        try:
            return asked.result(ANSWER_SECONDS)
        except TimeoutError:
            return False

    def close(self) -> None:
        """Close the connection; the next question opens another one."""
        self._thread.submit(self._close).result()

    def _ask(self) -> bool:
        for _ in range(2):  # The connection may have been lost since the last question.
            is_new = self._connection is None
            try:
                self._open().execute("SELECT 1", prepare=False)
            except psycopg.Error:
                self._close()
                if is_new:
                    return False
            else:
                return True
        return False

    def _open(self) -> "psycopg.Connection[Any]":
        if self._connection is None:
            wanted: dict[str, Any] = connection.get_connection_params()
            self._connection = psycopg.connect(**{**wanted, **_IMPATIENT}, autocommit=True)
        return self._connection

    def _close(self) -> None:
        lost, self._connection = self._connection, None
        if lost is not None:
            with suppress(psycopg.Error):
                lost.close()


_questioner: Final = _Questioner()
answers: Final = _questioner.answers


@dataclass(slots=True)
class PoolWatch:
    """Notices a pool that stalls: requests wait for a connection, and none was handed out for ``STALLED_SECONDS``.

    A pool that is only busy hands out connections all the time.
    """

    clock: Callable[[], float] = time.monotonic
    _served: int = -1
    _since: float = 0.0

    def is_stalled(self, statistics: dict[str, int]) -> bool:
        """Whether the pool with these statistics (``Pool.get_stats``) stalls, by what this watch saw before."""
        waiting = statistics.get("requests_waiting", 0)
        served = statistics.get("requests_num", 0) - statistics.get("requests_errors", 0) - waiting
        if not waiting or served != self._served:
            self._served = served if waiting else -1
            self._since = self.clock()
            return False
        return self.clock() - self._since >= STALLED_SECONDS


_watch: Final = PoolWatch()
_migrated = False


def checks() -> dict[str, str]:
    """The checks by name, each ``ok`` or what is wrong. They take a few seconds at most."""
    if not _questioner.answers():
        return {"database": "away"}
    try:
        found = {"database": "ok", "migrations": "ok" if is_migrated() else "pending"}
    except Error:
        return {"database": "away"}
    return {**found, "pool": "stalled" if is_stalled() else "ok"}


def is_migrated() -> bool:
    """Whether all migrations of this code are applied. Once they are, the database isn't queried any more."""
    global _migrated  # noqa: PLW0603 - once applied, always applied
    if not _migrated:
        executor = MigrationExecutor(connection)
        _migrated = not executor.migration_plan(executor.loader.graph.leaf_nodes())
    return _migrated


def pool_statistics() -> dict[str, int]:
    """The statistics of this process's pool; empty without one."""
    pool = own_connection().pool
    return pool.get_stats() if pool else {}


def is_stalled() -> bool:
    """Whether requests wait for a connection and this process's pool hands none out."""
    return _watch.is_stalled(pool_statistics())


def forget() -> None:
    """Close the connection and forget what was seen: for tests, whose databases come and go."""
    global _migrated  # noqa: PLW0603
    _migrated = False
    _questioner.close()
