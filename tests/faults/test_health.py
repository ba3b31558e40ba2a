"""The status in detail notices real processes that stop, and the canary sells through a real web server."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from config import demo
from tests.faults.house import REPOSITORY, House, Web, call, eventually


@pytest.fixture
def web(house: House) -> Iterator[Web]:
    web = Web(house, SWEEP_INTERVAL_SECONDS="1")
    yield web
    web.kill()


class Process:
    """A process of the demonstration, which is killed at the end of the block."""

    def __init__(self, house: House, name: str) -> None:
        command = demo.commands("127.0.0.1", house.port, house.data_dir)[name]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "config.demo", "run", str(os.getpid()), *command],
            cwd=REPOSITORY,
            env=house.environment(SWEEP_INTERVAL_SECONDS="1"),
        )

    def __enter__(self) -> "Process":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()


def components(house: House) -> dict[str, Any]:
    _, body, _ = call(house, "GET", "/health/status")
    found: dict[str, Any] = body["components"]
    return found


def grow_old(house: House) -> None:
    """Make all heartbeats older: tests move rows, never clocks."""
    with house.database() as database:
        database.execute("UPDATE audit_heartbeat SET at = at - interval '1 hour'")


def is_recent(house: House, name: str) -> bool:
    with house.database() as database:
        row = database.execute(
            "SELECT count(*) FROM audit_heartbeat WHERE name = %s AND at > clock_timestamp() - interval '1 min'", [name]
        ).fetchone()
    return bool(row and row[0])


def test_a_scheduler_that_stops_is_noticed(house: House, web: Web) -> None:
    assert components(house)["beat"]["status"] == "DEGRADED"
    with Process(house, "sweeper"):
        with Process(house, "beat"):
            for name in ("beat", "sweeper"):
                eventually(lambda name=name: is_recent(house, name), f"the heartbeat of the {name}")
            grow_old(house)
            eventually(lambda: is_recent(house, "beat"), "the scheduler to go on")
            eventually(lambda: components(house)["beat"]["status"] == "UP", "the status to say so")
        time.sleep(2)  # What it had sent is swept, or has expired.
        grow_old(house)
        eventually(lambda: components(house)["beat"]["status"] == "DEGRADED", "the status to say so")
        found = components(house)
        assert found["sweeper"]["status"] == "DEGRADED"
        assert found["beat"]["details"]["ageSeconds"] > 3000
        assert (found["database"]["status"], found["reservations"]["status"]) == ("UP", "UP")


def test_a_web_process_shares_its_connections_unless_it_is_told_otherwise(house: House, web: Web) -> None:
    assert components(house)["pool"]["details"]["size"] >= 1


def test_the_canary_sells_through_the_web_server(house: House, web: Web) -> None:
    command = "import django; django.setup(); from reservations.tasks import run_the_canary; print(run_the_canary())"
    environment = house.environment(CANARY_URL=f"http://127.0.0.1:{house.port}")
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", command], cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == "ok", done.stdout + done.stderr
    with house.database() as database:
        left = database.execute(
            "SELECT (SELECT count(*) FROM inventory_movement WHERE actor LIKE 'canary%'),"
            " (SELECT count(*) FROM reservations_reservation WHERE cart_id LIKE 'canary%'),"
            " (SELECT count(*) FROM audit_outboxevent WHERE payload::text LIKE '%canary%')"
        ).fetchone()
    assert left == (0, 0, 0)
    assert components(house)["canary"]["status"] == "UP"
