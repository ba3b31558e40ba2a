"""Measures ``make demo``: the memory of all its processes, and the time until it is ready."""

import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from benchmarks.cluster import REPOSITORY, BenchmarkFailed, free_port, processes, stop

_TIMEOUT_SECONDS: Final = 60.0
_IDLE_SECONDS: Final = 5.0


def measure(data_dir: Path, *, is_fresh: bool) -> dict[str, float]:
    """Start ``make demo``, wait, measure and stop it. A fresh start makes the database and loads demonstration data."""
    if is_fresh:
        shutil.rmtree(data_dir, ignore_errors=True)
    data_dir.mkdir(parents=True, exist_ok=True)
    output = data_dir / "output"
    environment = {"PATH": os.defpath, "DATA_DIR": os.fspath(data_dir), "PORT": str(free_port())}
    started_at = time.monotonic()
    with output.open("wb") as file:
        child = subprocess.Popen(  # noqa: S603 - what it runs is ours
            [sys.executable, "-m", "config.demo", "--env-file", os.fspath(data_dir / "demo.env")],
            cwd=REPOSITORY,
            env=environment,
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    try:
        seconds = _wait_until_ready(child, output, started_at)
        # "ready" doesn't wait for Celery's processes.
        time.sleep(_IDLE_SECONDS)
        pids = tree([child.pid, *processes(data_dir)])
        memory = {name: sum(megabytes(pid, name) for pid in pids) for name in ("Pss", "Rss")}
    finally:
        stop(child)
    return {
        ("fresh_start_seconds" if is_fresh else "start_seconds"): seconds,
        "processes": len(pids),
        "pss_megabytes": memory["Pss"],
        "rss_megabytes": memory["Rss"],
    }


def _wait_until_ready(child: "subprocess.Popen[bytes]", output: Path, started_at: float) -> float:
    while time.monotonic() - started_at < _TIMEOUT_SECONDS and child.poll() is None:
        if b"Ready at" in output.read_bytes():
            return time.monotonic() - started_at
        time.sleep(0.02)
    raise BenchmarkFailed(f"make demo did not get ready:\n{output.read_text(errors='replace')[-4000:]}")


def tree(roots: Iterable[int]) -> set[int]:
    """The processes and all their descendants."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(stat.parent.name))
    found: set[int] = set()
    waiting = list(roots)
    while waiting:
        pid = waiting.pop()
        if pid not in found:
            found.add(pid)
            waiting += children.get(pid, [])
    return found


def megabytes(pid: int, name: str) -> float:
    """A process's ``Rss``, or ``Pss``, which counts memory shared with other processes proportionally."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) / 1024
    return 0.0
