"""Background processes that are told to stop complete their work, end with 0, and log nothing superfluous."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import psycopg
import redis

from tests.books import assert_books_balance
from tests.faults.house import PATIENCE_SECONDS, REPOSITORY, House, eventually
from tests.faults.test_processes import number_of

HOLDS: Final = 20
_DUE_AND_QUEUED: Final = f"""
import django
django.setup()
import config.celery
from inventory.models import StockLevel
from reservations.tasks import expire_due_holds
from tests.factories import hold, make_due
level = StockLevel.objects.first()
make_due(*(hold((level, 1)).id for _ in range({HOLDS})))
expire_due_holds.delay()
"""
CELERY: Final = ["celery", "--quiet", "-A", "config"]
SWEEPER: Final = [*CELERY, "worker", "--queues", "sweep", "--concurrency", "1", "--loglevel", "INFO"]


@contextmanager
def started(house: House, *command: str) -> "Iterator[tuple[subprocess.Popen[bytes], Any]]":
    """A process as in production, and a function that returns its output."""
    output = house.folder / f"background-{uuid4()}.log"
    with output.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=REPOSITORY,
            env=house.environment(LOG_LEVEL="INFO"),
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    try:
        yield process, output.read_text
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(PATIENCE_SECONDS)


def queued(house: House) -> int:
    """How many messages wait for a sweeper, or are taken and not acknowledged."""
    url = house.urls["REDIS_URL"]
    with redis.Redis.from_url(url) as broker:
        return int(broker.llen("sweep")) + int(broker.hlen("unacked"))  # type: ignore[arg-type]


def is_waiting_for_a_lock(database: "psycopg.Connection[Any]") -> bool:
    row = database.execute("SELECT count(*) FROM pg_locks WHERE NOT granted").fetchone()
    return row is not None and row[0] > 0


def test_sweeper_that_is_told_to_stop_completes_its_sweep_and_ends_with_0(house: House) -> None:
    house.python("-c", _DUE_AND_QUEUED)
    with house.database() as database, house.database() as other, started(house, *SWEEPER) as (sweeper, printed):
        with other.transaction():
            other.execute("LOCK TABLE reservations_reservation IN ACCESS EXCLUSIVE MODE")
            eventually(lambda: is_waiting_for_a_lock(database), "the sweep to be in the middle")
            assert queued(house) == 1  # Not acknowledged: a killed sweeper's message comes back.
            sweeper.send_signal(signal.SIGTERM)
            time.sleep(0.5)
            assert sweeper.poll() is None
        assert sweeper.wait(PATIENCE_SECONDS) == 0
        assert number_of(database, "EXPIRED") == HOLDS
        assert queued(house) == 0
        assert_books_balance(database)
    assert "superuser" not in printed()
    assert "Pillow" not in printed()
    assert "expire_due_holds" in printed()  # It logs.


def test_idle_processes_that_are_told_to_stop_end_with_0(house: House, tmp_path: Path) -> None:
    commands = {
        "worker": [*CELERY, "worker", "--queues", "celery", "--concurrency", "2", "--loglevel", "INFO"],
        "beat": [*CELERY, "beat", "--loglevel", "INFO", "--schedule", f"{tmp_path}/schedule"],
        "relay": ["manage", "relay_events"],
    }
    begun = {"worker": " ready", "beat": "beat: Starting", "relay": "relay"}
    with ExitStack() as stack:
        all_ = {name: stack.enter_context(started(house, *command)) for name, command in commands.items()}
        for name, (process, printed) in all_.items():
            eventually(lambda p=printed, name=name: begun[name] in p(), f"the start of {name}")
            process.send_signal(signal.SIGTERM)
        codes = {name: process.wait(PATIENCE_SECONDS) for name, (process, _) in all_.items()}
    assert codes == dict.fromkeys(commands, 0), {name: printed() for name, (_, printed) in all_.items()}
