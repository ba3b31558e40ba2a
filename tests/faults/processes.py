"""Child processes of the drivers, and crashes of PostgreSQL."""

import json
import os
import signal
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Final

from django.conf import settings
from django.db import connections

from config import orphans

PATIENCE_SECONDS: Final = 60


def fork(work: Callable[[], None]) -> int:
    """Start a child process, which ends with this one. Returns its pid."""
    connections.close_all()
    parent, pid = os.getpid(), os.fork()
    if pid == 0:
        orphans.die_with_parent(signal.SIGKILL, parent)
        code = 1
        try:
            work()
            code = 0
        except BaseException:  # noqa: BLE001 - the child must not continue the parent's code
            traceback.print_exc()
        os._exit(code)
    return pid


def stop_postgres() -> None:
    """Stop PostgreSQL at once, as a crash does, and wait until the supervisor has started it again."""
    status = Path(settings.DATA_DIR) / "embedded.json"
    before = json.loads(status.read_text())["postgres_pid"]
    os.kill(before, signal.SIGQUIT)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while json.loads(status.read_text())["postgres_pid"] == before:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def end(pids: list[int]) -> None:
    """End processes by SIGTERM. Each must end well, unless it has not begun to listen for signals."""
    for pid in pids:
        os.kill(pid, signal.SIGTERM)
    for pid in pids:
        assert os.waitpid(pid, 0)[1] in {0, signal.SIGTERM}
