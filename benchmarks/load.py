"""Loads a server with wrk if it is on the PATH, or else with ``benchmarks.client``."""

import json
import os
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks import client
from benchmarks.client import Load, Target
from benchmarks.cluster import BenchmarkFailed, program

_SCRIPT: Final = Path(__file__).with_name("load.lua")
_GRACE_SECONDS: Final = 30.0


def generator() -> str:
    """The name of the load generator."""
    return "wrk" if program("wrk") else "the benchmark's own client"


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
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + _GRACE_SECONDS, check=False)  # noqa: S603 - found on the PATH, fixed arguments
    result = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    if done.returncode != 0 or not result:
        raise BenchmarkFailed(f"wrk failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return Load(**json.loads(result[0].removeprefix("RESULT ")))
