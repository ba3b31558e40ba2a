"""Loads a server with wrk if it is on the PATH, or else with ``benchmarks.client``."""

import json
import os
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from benchmarks import client
from benchmarks.client import Load, Target
from benchmarks.cluster import BenchmarkFailed, Cluster, processes, program
from benchmarks.cpu import listener_of, spent_seconds

_SCRIPT: Final = Path(__file__).with_name("load.lua")
_GRACE_SECONDS: Final = 30.0


def generator() -> str:
    """The name of the load generator."""
    return "wrk" if program("wrk") else "the benchmark's own client"


def measured(cluster: Cluster, target: Target, bodies: Sequence[str], *, connections: int, seconds: float) -> Load:
    """``apply``, with the CPU time that the web server, which this process started, and PostgreSQL took."""
    web, postgresql = listener_of(target.port), processes(cluster.data_dir)[1]
    before = spent_seconds(web), spent_seconds(postgresql)
    found = apply(target, bodies, connections=connections, seconds=seconds)
    after = spent_seconds(web), spent_seconds(postgresql)
    each = [1e6 * (end - start) / max(1, found.requests) for start, end in zip(before, after, strict=True)]
    return replace(found, web_cpu_us=each[0], postgresql_cpu_us=each[1])


def apply(target: Target, bodies: Sequence[str], *, connections: int, seconds: float) -> Load:
    """Load the target for some seconds: every connection is busy and sends the bodies in turn."""
    wrk = program("wrk")
    if wrk is None:
        return client.run(target, bodies, connections=connections, seconds=seconds)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "bodies"
        file.write_text("\n".join(bodies) + "\n")
        # One thread drives thousands of connections; a second one would take the service's core.
        command = [wrk, "-t", "1", "-c", str(connections), "-d", f"{max(1, round(seconds))}s", "--timeout", "10s"]
        command += ["-s", os.fspath(_SCRIPT), f"http://127.0.0.1:{target.port}", "--"]
        command += [target.method, target.path, target.authorization, os.fspath(file)]
        command += [] if target.expected == "2" else [target.expected]
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + _GRACE_SECONDS, check=False)  # noqa: S603 - found on the PATH, fixed arguments
    result = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    if done.returncode != 0 or not result:
        raise BenchmarkFailed(f"wrk failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return Load(**json.loads(result[0].removeprefix("RESULT ")))
