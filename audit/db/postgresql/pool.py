"""The connections that the threads of a process share."""

import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from typing import Any, Final

import psycopg
from psycopg.pq import ConnStatus, TransactionStatus

_IDLE_SECONDS: Final = 600.0
_LIFE_SECONDS: Final = 3600.0
Opened = psycopg.Connection[Any]


def is_alive(opened: Opened) -> bool:
    """Whether a connection is open as far as is known. Reads what has arrived on it, without waiting and without a
    round trip, so it takes a microsecond or two. Call it only while no statement runs."""
    try:
        opened.pgconn.consume_input()  # Reads the server's last message, if there is one,
        opened.pgconn.consume_input()  # then the end of the connection.
    except psycopg.OperationalError:
        return False
    return bool(opened.pgconn.status == ConnStatus.OK)


class Pool:
    """At most ``max_size`` connections, opened by the threads that need them. Safe to use from any thread.

    A thread waits at most ``timeout`` seconds. Connections that were cut while they were idle are never given out, and
    once one is given back dead, all idle ones are closed: their peer is probably gone as well.
    """

    def __init__(self, *, max_size: int, timeout: float) -> None:
        self._timeout = timeout
        self._free = threading.BoundedSemaphore(max_size)
        self._idle: deque[tuple[Opened, float]] = deque()
        self._opened_at: dict[Opened, float] = {}
        self._max_size = max_size
        self._mutex = threading.Lock()
        self._counted = Counter[str]()

    def get_stats(self) -> dict[str, int]:
        """Connections that are open and those that no thread uses; requests that wait, were made and failed. Named as
        by ``psycopg_pool``."""
        with self._mutex:
            counted = dict(self._counted)
        return {
            "pool_max": self._max_size,
            "pool_size": len(self._opened_at),
            "pool_available": len(self._idle),
            "requests_waiting": counted.get("waiting", 0),
            "requests_num": counted.get("made", 0),
            "requests_errors": counted.get("failed", 0),
        }

    def take(self, connect: Callable[[], Opened], deadline: float | None = None) -> Opened:
        """An idle connection, or a new one. Raises OperationalError."""
        with self._mutex:
            self._counted["made"] += 1
        try:
            self._wait(deadline)
            try:
                return self._idle_one() or self._new(connect)
            except BaseException:
                self._free.release()
                raise
        except BaseException:
            with self._mutex:
                self._counted["failed"] += 1
            raise

    def _wait(self, deadline: float | None) -> None:
        """Wait until fewer than ``max_size`` are taken. Raises OperationalError."""
        if self._free.acquire(blocking=False):
            return
        seconds = self._timeout if deadline is None else min(self._timeout, deadline - time.monotonic())
        with self._mutex:
            self._counted["waiting"] += 1
        try:
            is_free = self._free.acquire(timeout=max(0.0, seconds))
        finally:
            with self._mutex:
                self._counted["waiting"] -= 1
        if not is_free:
            raise psycopg.OperationalError(f"no connection was free for {max(0.0, seconds):.1f} s")

    def _idle_one(self) -> Opened | None:
        """An idle connection that is alive; None if there is none."""
        while self._idle:
            try:
                opened, _ = self._idle.pop()
            except IndexError:  # Another thread took it.
                break
            if is_alive(opened):
                return opened
            self._drop(opened)
        return None

    def _new(self, connect: Callable[[], Opened]) -> Opened:
        opened = connect()
        self._opened_at[opened] = time.monotonic()
        return opened

    def give_back(self, opened: Opened) -> None:
        """Give a connection back; it is closed if a transaction is still open on it."""
        now = time.monotonic()
        try:
            if opened.pgconn.status != ConnStatus.OK:
                self._drop(opened)
                self.close()
            elif opened.pgconn.transaction_status == TransactionStatus.IDLE and self._is_young(opened, now):
                self._idle.append((opened, now))
            else:
                self._drop(opened)
        finally:
            self._free.release()
        self._shrink(now)

    def _is_young(self, opened: Opened, now: float) -> bool:
        return now - self._opened_at.get(opened, now) < _LIFE_SECONDS

    def _shrink(self, now: float) -> None:
        """Close the connection that was idle for longest, if it was for more than ``_IDLE_SECONDS``."""
        try:
            opened, since = self._idle[0]
            if now - since > _IDLE_SECONDS:
                self._idle.remove((opened, since))
                self._drop(opened)
        except (IndexError, ValueError):
            pass  # Another thread took it.

    def _drop(self, opened: Opened) -> None:
        self._opened_at.pop(opened, None)
        opened.close()

    def close(self) -> None:
        """Close the idle connections."""
        while self._idle:
            try:
                self._drop(self._idle.pop()[0])
            except IndexError:
                break
