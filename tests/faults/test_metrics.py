"""Metrics of real processes: two of the web server and a sweeper, which are killed."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any, Final

import pytest

from audit.authentication import issue_token
from config import serve
from reservations.tasks import expire_due_holds
from tests.config.test_demo import eventually
from tests.config.test_exporter import answers, ask, free_port, labels
from tests.config.test_serve import REPOSITORY, Place
from tests.factories import hold, lines, make_client, make_due, make_level
from tests.metrics import Series, series_of

CALLS: Final = 40
RESERVE: Final = "/api/v1/inventory/reserve"


class Processes:
    """The processes of one machine, which count into one folder."""

    def __init__(self, folder: Path) -> None:
        self.place = Place()
        self.port = free_port()
        self.place.environment |= {"METRICS_PORT": str(self.port), "METRICS_DIR": str(folder / "counted numbers")}
        self._running: list[subprocess.Popen[Any]] = []

    def web(self) -> None:
        self._running.append(self.place.start())
        assert eventually(lambda: serve.is_ready(f"http://127.0.0.1:{self.place.port}"))

    def sweeper(self) -> None:
        arguments = [
            "--quiet",
            "-A",
            "config",
            "worker",
            "--queues",
            "sweep",
            "--hostname",
            "sweeper@tests",
            "--concurrency",
            "1",
        ]
        command = [sys.executable, "-m", "celery", *arguments]
        self._running.append(
            subprocess.Popen(command, cwd=REPOSITORY, env=self.place.environment, stderr=subprocess.DEVNULL)
        )

    def stop(self) -> None:
        for process in self._running:
            process.terminate()
        for process in self._running:
            process.communicate(timeout=60)

    def series(self) -> dict[Series, float]:
        return series_of(ask(self.port)[1])

    def pids(self, role: str) -> set[int]:
        """The processes of a role that live, as the metrics say."""
        found = [dict(key[1]) for key in self.series() if key[0] == "process_start_time_seconds"]
        return {int(process["pid"]) for process in found if process["role"] == role}

    def has_forgotten(self, pid: int, role: str) -> bool:
        """Whether the metrics are served, without a process that was killed."""
        try:
            return pid not in self.pids(role)
        except (OSError, HTTPException):  # The process that was killed may have been answering just then.
            return False


@pytest.fixture
def processes(tmp_path: Path, transactional_db: None) -> Iterator[Processes]:
    processes = Processes(tmp_path)
    yield processes
    processes.stop()


def reserve(place: Place, token: str, body: str) -> int:
    """Reserve over a connection of its own, so that each process gets some. Returns the status."""
    with connected(place.port) as connection:
        headers = {"Authorization": f"Bearer {token}", "Host": "stock.example", "Content-Type": "application/json"}
        connection.request("POST", RESERVE, body, headers)
        return connection.getresponse().status


@contextmanager
def connected(port: int) -> Iterator[HTTPConnection]:
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    yield connection
    connection.close()


def test_numbers_of_all_processes_are_added_up_and_outlive_them(processes: Processes, store: Any) -> None:
    level, token = make_level(1000), issue_token(make_client())
    make_due(hold((level, 1)).id)
    processes.sweeper()
    processes.web()
    body = str({"cartId": "c", "items": lines((level, 1))}).replace("'", '"')
    assert {reserve(processes.place, token, body) for _ in range(CALLS)} == {201}
    expire_due_holds.delay()

    def is_swept() -> bool:
        return answers(processes.port) and counted_by(processes.series())["swept"] == 1

    assert eventually(is_swept)
    counted = counted_by(processes.series())
    assert counted == {"created": CALLS, "answered": CALLS, "expired": 1, "swept": 1, "in batches": CALLS}
    assert len(processes.pids("web")) == 2
    assert processes.pids("sweeper")
    assert processes.series()["inventory_database_up", frozenset()] == 1

    for role in ("web", "web", "sweeper"):  # One of them serves the metrics.
        killed = min(processes.pids(role))
        os.kill(killed, signal.SIGKILL)
        assert eventually(partial(processes.has_forgotten, killed, role))
        assert counted_by(processes.series()) == counted
    assert eventually(lambda: len(processes.pids("web")) == 2)  # The server has started others.
    assert reserve(processes.place, token, body) == 201
    assert counted_by(processes.series())["created"] == CALLS + 1


def counted_by(series: dict[Series, float]) -> dict[str, float]:
    of_call = labels(method="POST", route=RESERVE, status="201")
    of_task = labels(task=expire_due_holds.name)
    return {
        "created": series["inventory_reservation_created_total", frozenset()],
        "answered": series["inventory_http_request_duration_seconds_count", of_call],
        "expired": series["inventory_reservation_expired_total", frozenset()],
        "swept": series.get(("inventory_task_duration_seconds_count", of_task), 0),
        "in batches": series["inventory_batch_size_sum", frozenset()],
    }
