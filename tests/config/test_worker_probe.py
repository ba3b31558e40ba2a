"""The liveness probe of workers: one that answers nobody is restarted, and none because Redis is away."""

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Final

from django.conf import settings

from config.worker_probe import takes_tasks

IMPATIENT: Final = """
import runpy, sys
from celery.app.control import Control
ping = Control.ping
def ping_and_wait_less(control, workers, timeout, limit):
    assert timeout == 10
    return ping(control, workers, timeout=0.2, limit=limit)
Control.ping = ping_and_wait_less
sys.argv[1:] = ["nobody"]
try:
    runpy.run_module("config.worker_probe", {}, "__main__")
finally:
    assert "django.conf" not in sys.modules
"""
"""Runs the program with a shorter wait for an answer, so that the test is fast."""


def test_a_worker_that_does_not_answer_is_dead() -> None:
    assert not takes_tasks(f"nobody@{socket.gethostname()}", settings.REDIS_URL, patience_seconds=0.2)


def test_no_worker_is_dead_while_redis_is_away(tmp_path: Path) -> None:
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        port = unheard.getsockname()[1]
        assert takes_tasks("nobody@here", f"redis://127.0.0.1:{port}/0", patience_seconds=0.2)
    assert takes_tasks("nobody@here", f"unix://{tmp_path}/none", patience_seconds=0.2)


def test_the_program_says_so_without_loading_django() -> None:
    done = subprocess.run(
        [sys.executable, "-c", IMPATIENT],
        cwd=settings.BASE_DIR,
        env={"PATH": os.defpath, "REDIS_URL": settings.REDIS_URL},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert done.stderr == f"nobody@{socket.gethostname()} doesn't answer, and Redis does.\n"
