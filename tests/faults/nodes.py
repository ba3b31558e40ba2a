"""Web servers as the image starts them, which are restarted one after the other."""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from http.client import HTTPException

from tests.faults.house import PATIENCE_SECONDS, REPOSITORY, House, eventually, free_port, status_of


class Node:
    """A web server on a port of its own, in a process group of its own."""

    def __init__(self, house: House, **environment: str) -> None:
        self.house, self.port = house, free_port()
        self._environment = environment
        self.output = house.folder / f"node-{self.port}.log"
        self.start()

    def start(self) -> None:
        """Start, and wait until it is ready."""
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "config.serve", "--host", "127.0.0.1", "--port", str(self.port)],
                cwd=REPOSITORY,
                env=self.house.environment(GRANIAN_WORKERS="1", **self._environment),
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        eventually(self.is_ready, "the node to be ready")

    def is_ready(self) -> bool:
        """Whether it answers that it can serve."""
        assert self.process.poll() is None, self.output.read_text()
        with suppress(OSError, HTTPException):
            return status_of(self.port, "/health/ready") == 200
        return False

    def stop(self) -> int:
        """Send SIGTERM to the main process, as an orchestrator does, and wait for its end. Returns the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE_SECONDS)

    def kill(self) -> None:
        """Kill what is left."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(PATIENCE_SECONDS)
