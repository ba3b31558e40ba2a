"""Metrics: what each process keeps, and the sums over all of them."""

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from django.db import transaction

from audit.metrics import definitions, reading, store
from audit.metrics.definitions import BATCH_SIZE, DATABASE_CONNECTIONS, MOVEMENT_PROCESSED, RESERVATION_CREATED
from audit.metrics.files import AllocatedDict
from audit.metrics.kinds import Tally, all_metrics
from tests.metrics import Counted, counted

__all__ = ["counted"]

CREATED: Final = "inventory_reservation_created_total"
PROGRAM: Final = """
import os, sys, time
from pathlib import Path
from audit.metrics import store
from audit.metrics.definitions import DATABASE_CONNECTIONS, RESERVATION_CREATED
store.begin(Path(sys.argv[1]), "worker")
RESERVATION_CREATED.add(5)
DATABASE_CONNECTIONS.set(3, "used")
if os.fork() == 0:
    RESERVATION_CREATED.add(2)
    DATABASE_CONNECTIONS.set(1, "used")
    os.write(1, b"forked %d\\n" % os.getpid())
    time.sleep(600)
RESERVATION_CREATED.add(10)
os.write(1, b"counted %d\\n" % os.getpid())
time.sleep(600)
"""


@pytest.fixture
def programs(counted: Counted) -> Iterator[dict[str, int]]:
    """The pids of a program that counts and of its fork, which counts, too."""
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(counted.directory)],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    said = [process.stdout.readline().split() for _ in range(2)]
    try:
        yield {word: int(pid) for word, pid in said}
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def test_processes_are_added_up_and_the_numbers_of_ended_ones_stay(counted: Counted, programs: dict[str, int]) -> None:
    RESERVATION_CREATED.add(100)
    for pids, connections in ((programs.values(), 4), ([programs["counted"]], 3)):
        assert counted.of(CREATED) == 117
        assert counted.of("inventory_database_connections", state="used") == connections
        living = counted.series()
        for pid in pids:
            assert living["process_start_time_seconds", frozenset({("role", "worker"), ("pid", str(pid))})] > 0
        if len(list(pids)) == 2:
            end(programs["forked"])
    end(programs["counted"])
    assert counted.of(CREATED) == 117
    assert counted.of("inventory_database_connections", state="used") == 0
    assert not [key for key in counted.series() if ("pid", str(programs["counted"])) in key[1]]
    files = sorted(path.name.partition("_")[0] for path in counted.directory.iterdir())
    assert [name for name in files if name in {"counter", "histogram", "gauge"}] == ["counter", "gauge", "histogram"]
    RESERVATION_CREATED.add(1)
    assert counted.of(CREATED) == 118


def end(pid: int) -> None:
    """Kill a process, and wait until the kernel has given its locks up."""
    os.kill(pid, signal.SIGKILL)
    while (stat := Path(f"/proc/{pid}/stat")).exists() and stat.read_text().rpartition(")")[2].split()[0] not in "ZX":
        pass


def test_crash_between_moving_and_removing_counts_nothing_twice(counted: Counted, programs: dict[str, int]) -> None:
    end(programs["counted"])
    end(programs["forked"])
    kept = {path.name: path.read_bytes() for path in counted.directory.iterdir() if path.suffix in {".db", ".alive"}}
    for _ in range(3):
        assert counted.of(CREATED) == 17
        for name, content in kept.items():
            if store.own_id() not in name:  # type: ignore[operator]
                (counted.directory / name).write_bytes(content)
    assert counted.of(CREATED) == 17
    assert counted.of(CREATED) == 17
    assert json.loads((counted.directory / reading.ENDED).read_bytes())["moved"] == []


@pytest.mark.parametrize("content", [b"", b"\xff" * 100, b"\x10\0\0\0" + b"\xff" * 60, b"\0" * 65536])
def test_spoiled_files_are_left_out(counted: Counted, content: bytes) -> None:
    RESERVATION_CREATED.add(1)
    (counted.directory / f"counter_{'0' * 32}.db").write_bytes(content)
    (counted.directory / reading.ENDED).write_bytes(content)
    assert counted.of(CREATED) == 1
    assert counted.of(CREATED) == 1


def test_numbers_of_an_earlier_version_are_read(counted: Counted) -> None:
    """Other labels are left out, and other buckets count in the next larger one."""
    old = {
        '["inventory_movement_processed", "inventory_movement_processed_total", {"kind": "RECEIPT"}, ""]': 4.0,
        '["inventory_gone", "inventory_gone_total", {}, ""]': 4.0,
        '["inventory_batch_size", "inventory_batch_size_bucket", {"le": "3.0"}, ""]': 4.0,
        '["inventory_batch_size", "inventory_batch_size_bucket", {"le": "100.0"}, ""]': 1.0,
        '["inventory_batch_size", "inventory_batch_size_sum", {}, ""]': 20.0,
    }
    (counted.directory / reading.ENDED).write_text(json.dumps({"sums": old, "moved": []}))
    BATCH_SIZE.observe(2)
    assert counted.changes("inventory_movement") == {}
    assert [counted.of("inventory_batch_size_bucket", le=bound) for bound in ("2.0", "4.0", "64.0", "+Inf")] == [
        1,
        5,
        5,
        6,
    ]
    assert (counted.of("inventory_batch_size_count"), counted.of("inventory_batch_size_sum")) == (6, 22)


def test_many_observations_at_once_are_those_one_by_one(counted: Counted) -> None:
    amounts = [0, 1, 1.5, 2, 64, 64.5, 1000]
    BATCH_SIZE.observe_all(amounts)
    together = counted.changes()
    for amount in amounts:
        BATCH_SIZE.observe(amount)
    assert counted.changes() == {series: 2 * value for series, value in together.items()}
    assert together["inventory_batch_size_count"] == len(amounts)


def test_values_that_a_label_does_not_know_are_other(counted: Counted) -> None:
    MOVEMENT_PROCESSED.add(1, "RECEIPT")
    MOVEMENT_PROCESSED.add(1, "x" * 100)
    MOVEMENT_PROCESSED.add(1, "y")
    assert counted.changes() == {
        "inventory_movement_processed_total{RECEIPT}": 1,
        "inventory_movement_processed_total{other}": 2,
    }
    with pytest.raises(ValueError, match="has the labels"):
        MOVEMENT_PROCESSED.add(1)


def test_known_series_are_there_from_the_start(counted: Counted) -> None:
    series = counted.series()
    for name, labels in (
        (CREATED, {}),
        ("inventory_movement_processed_total", {"type": "TRANSFER"}),
        ("inventory_reservation_failed_total", {"reason": "busy"}),
        ("inventory_expiry_delay_seconds_bucket", {"le": "60.0"}),
        ("inventory_expiry_delay_seconds_count", {}),
    ):
        assert series[name, frozenset(labels.items())] == 0


def test_off_counts_nothing_and_makes_nothing(tmp_path: Path) -> None:
    assert not store.is_begun()
    for metric in all_metrics(definitions):
        assert not metric.is_on
    RESERVATION_CREATED.add(1)
    DATABASE_CONNECTIONS.set(1, "used")
    with BATCH_SIZE.time(), Tally() as tally:
        RESERVATION_CREATED.add_after_commit(1)
    tally.count()
    assert store.own_id() is None


def test_directory_that_cannot_be_written_turns_metrics_off(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store.begin(tmp_path / "file" / "metrics")
    assert not store.is_begun()
    RESERVATION_CREATED.add(1)


def test_full_disk_turns_a_metric_off(counted: Counted, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file with holes would end the process instead: this is also the test that the library uses our files."""
    monkeypatch.setattr(os, "posix_fallocate", failing_with(errno.ENOSPC))
    for number in range(1000):
        definitions.TASK_DURATION.observe(1, f"tests.task_{number}")
    assert not definitions.TASK_DURATION.is_on
    assert 10 < sum(name.startswith("inventory_task_duration_seconds_count") for name in counted.changes()) < 1000
    RESERVATION_CREATED.add(1)
    assert counted.of(CREATED) == 1


def test_full_disk_loses_nothing_that_ended_processes_have_counted(
    counted: Counted, programs: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert counted.of(CREATED) == 17
    end(programs["forked"])
    end(programs["counted"])
    with monkeypatch.context() as full:
        full.setattr(Path, "write_text", failing_with(errno.ENOSPC))
        assert [counted.of(CREATED) for _ in range(2)] == [17, 17]
    assert [counted.of(CREATED) for _ in range(2)] == [17, 17]
    assert {path.stem.rpartition("_")[2] for path in counted.directory.glob("*.db")} <= {store.own_id()}


def test_full_disk_keeps_a_program_from_nothing(counted: Counted, monkeypatch: pytest.MonkeyPatch) -> None:
    RESERVATION_CREATED.add(1)
    monkeypatch.setattr(store, "_write_facts", failing_with(errno.ENOSPC))
    store.set_role("sweeper")
    assert (store.own_role(), counted.of(CREATED)) == ("sweeper", 1)


def failing_with(number: int) -> Callable[..., Any]:
    """A function that fails with this error of the operating system."""

    def fail(*_: Any, **__: Any) -> Any:
        raise OSError(number, os.strerror(number))

    return fail


def test_files_have_no_holes_however_long_they_grow(tmp_path: Path) -> None:
    path = tmp_path / "counter_1.db"
    values = AllocatedDict(str(path))
    for number in range(3000):
        values.write_value(f"key {number} {'é' * 50}", number, 0)
        allocated = path.stat()
        assert allocated.st_blocks * 512 >= allocated.st_size
    assert allocated.st_size > 1 << 17
    values.close()
    assert len(list(AllocatedDict.read_all_values_from_file(str(path)))) == 3000


@pytest.mark.django_db(transaction=True)
def test_what_a_transaction_does_is_counted_once_it_is_committed(counted: Counted) -> None:
    with transaction.atomic():
        RESERVATION_CREATED.add_after_commit(1)
        with transaction.atomic():
            RESERVATION_CREATED.add_after_commit(10)
            transaction.set_rollback(True)
        assert counted.of(CREATED) == 0
    assert counted.of(CREATED) == 1
    RESERVATION_CREATED.add_after_commit(1)
    assert counted.of(CREATED) == 2
    with Tally():
        RESERVATION_CREATED.add_after_commit(100)
    with Tally() as tally:
        RESERVATION_CREATED.add_after_commit(1)
        assert counted.of(CREATED) == 2
    tally.count()
    assert counted.of(CREATED) == 3
