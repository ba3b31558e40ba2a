"""Timing of one read in process: its whole time, what of it the database takes, the processor time of both, and how
many buffers of 8 KB PostgreSQL reads for it.

On a machine that does other work, only the processor time says how long a read takes on an idle one, and even that
grows if other work uses the CPU's caches; the number of buffers does not.
"""

import os
import statistics
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from django.core.cache import cache
from django.db import connection

FAST_MS: Final = 100
"""A read this fast at first is not repeated."""
MOST_MS: Final = 300
"""What every page and read is to stay below."""
repeats = 3
"""How often a slow read is timed."""


@dataclass(frozen=True)
class Timed:
    """A read: who asked for what, how it was answered, and its median times."""

    who: str
    path: str
    status: int
    whole_ms: float
    database_ms: float
    processor_ms: float
    buffers: int
    slowest: str

    def line(self) -> str:
        """One line of the report."""
        figures = f"{self.processor_ms:8.0f} {self.whole_ms:8.0f} {self.database_ms:8.0f} {self.buffers:8}"
        return f"{figures}  {self.status}  {self.who:8} {self.path}"


class _Statements:
    """Sums the time of the statements of one read, and keeps the slowest one."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.longest = 0.0
        self.slowest = ""

    def __call__(self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        began = time.perf_counter()
        try:
            return execute(sql, params, many, context)
        finally:
            took = time.perf_counter() - began
            self.seconds += took
            if took > self.longest:
                self.longest, self.slowest = took, f"{sql}\n{params}"


def timed(who: str, path: str, ask: Callable[[], Any]) -> tuple[Timed, Any]:
    """Time a read, ``repeats`` times unless it is fast, each with an empty cache. Returns figures and first answer.

    A streamed answer is read to its end.
    """
    runs: list[tuple[float, float, _Statements]] = []
    first: Any = None
    buffers = 0
    while not runs or (len(runs) < repeats and runs[0][0] > FAST_MS):
        cache.clear()
        statements = _Statements()
        read = _buffers() if first is None else 0
        began, used = time.perf_counter(), _processor_seconds()
        with connection.execute_wrapper(statements):
            answer = ask()
            if answer.streaming:
                deque(answer.streaming_content, maxlen=0)
        whole, processor = time.perf_counter() - began, _processor_seconds() - used
        buffers = _buffers() - read if first is None else buffers
        runs.append((processor * 1000, whole * 1000, statements))
        first = answer if first is None else first
    processor = statistics.median(run[0] for run in runs)
    whole = statistics.median(run[1] for run in runs)
    database = statistics.median(run[2].seconds for run in runs) * 1000
    return Timed(who, path, first.status_code, whole, database, processor, buffers, runs[-1][2].slowest), first


def _processor_seconds() -> float:
    """The processor time of this thread, and of its PostgreSQL process, which is on this machine."""
    if connection.connection is None:
        connection.ensure_connection()
    backend = Path(f"/proc/{connection.connection.info.backend_pid}/stat").read_text().rpartition(") ")[2].split()
    return time.thread_time() + (int(backend[11]) + int(backend[12])) / os.sysconf("SC_CLK_TCK")


def _buffers() -> int:
    """How many buffers this connection has read so far, from memory or from the disk."""
    with connection.cursor() as cursor:
        # Without this, the counters of the last second would be missing.
        cursor.execute("SELECT pg_stat_force_next_flush()")
        cursor.execute("SELECT sum(hits) + sum(read_bytes) / 8192 FROM pg_stat_get_backend_io(pg_backend_pid())")
        return int(cursor.fetchone()[0])
