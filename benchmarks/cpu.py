"""The CPU time of processes, by the scheduler's clock of nanoseconds.

Unlike rates, it can be compared on a machine that is busy with other work.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from benchmarks.cluster import BenchmarkFailed

_TICKS: Final = os.sysconf("SC_CLK_TCK")


def tree(pid: int) -> Iterator[int]:
    """A process and all below it."""
    yield pid
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                yield from tree(int(child))


def spent_seconds(*roots: int) -> float:
    """The CPU time of these processes and all below them, of all their threads and of their ended children, such as
    PostgreSQL's parallel workers."""
    return sum(_spent(pid) for pid in {pid for root in roots for pid in tree(root)})


def _spent(pid: int) -> float:
    """The CPU time of a process and its ended children."""
    threads = 0
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(OSError):
                threads += int((task / "schedstat").read_bytes().split()[0])
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        own, children = (sum(map(int, fields[at : at + 2])) / _TICKS for at in (11, 13))
        # Only the process's own figure, in ticks, has its ended threads.
        return max(threads / 1e9, own) + children
    return 0.0


def listener_of(port: int) -> int:
    """The process that this one started to serve a port."""
    for pid in tree(os.getpid()):
        with contextlib.suppress(OSError):
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            if str(port).encode() in words:
                return pid
    raise BenchmarkFailed(f"Nothing of this process serves port {port}.")
