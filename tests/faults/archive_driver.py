"""Kills an archive at each of its steps, one after the other; run in a house of its own by ``test_archive.py``.

A step is a statement, the opening of a file for writing, a sync or a rename. Each step has a process of its own, which
is killed with kill -9 just before it.
"""

import json
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import django

django.setup()

from django.conf import settings  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import connection, connections, transaction  # noqa: E402

from audit.models import AuditEntry  # noqa: E402
from inventory.models import (  # noqa: E402
    ArchivedFile,
    Movement,
    StockLevel,
)
from inventory.services.bookkeeping.archive_files import read  # noqa: E402
from reservations.models import Reservation  # noqa: E402
from reservations.services.holds.resolution import ConsumeRequest, consume_hold  # noqa: E402
from reservations.services.holds.selecting import Selector  # noqa: E402
from tests.archives import archived_rows, let_days_pass  # noqa: E402
from tests.books import assert_books_balance  # noqa: E402
from tests.factories import ACTOR, hold, receive  # noqa: E402

MOST_STEPS: Final = 200


class Steps:
    """Counts the steps of this process, and kills it just before a chosen one."""

    def __init__(self, last: int) -> None:
        self.last = last
        self.taken: list[str] = []

    def take(self, step: str) -> None:
        self.taken.append(step)
        if len(self.taken) == self.last:
            os.kill(os.getpid(), signal.SIGKILL)

    def execute(self, execute: Callable[..., Any], sql: str, *arguments: Any) -> Any:
        self.take(" ".join(sql.split())[:80])
        return execute(sql, *arguments)

    @contextmanager
    def watched(self) -> Iterator[None]:
        fsync = os.fsync

        def sync(descriptor: int) -> None:
            self.take(f"sync {Path(f'/proc/self/fd/{descriptor}').readlink().name}")
            fsync(descriptor)

        def see(event: str, arguments: tuple[Any, ...]) -> None:
            if event == "open" and str(arguments[0]).endswith(".partial") and arguments[2] & os.O_CREAT:
                self.take("open draft")
            elif event == "os.rename":
                self.take("rename")

        os.fsync = sync
        sys.addaudithook(see)
        with connection.execute_wrapper(self.execute):
            yield


def in_a_process(work: Callable[[], None]) -> int:
    """Do the work in a child process. Returns how the process ended."""
    connections.close_all()
    pid = os.fork()
    if pid == 0:
        try:
            work()
        except BaseException:  # noqa: BLE001 - the child must not continue the parent's code
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def archive(last: int, trace: Path) -> None:
    steps = Steps(last)
    with steps.watched(), Path(os.devnull).open("w") as nowhere:
        call_command("archive", stdout=nowhere)
    trace.write_text(json.dumps(steps.taken))


def make_old_rows() -> set[str]:
    """Make rows of each kind that are past their retention. Returns their ids."""
    level = StockLevel.objects.order_by("pk").first()
    assert level
    receive(level.product_id, 5)
    made = hold((level, 1))
    consume_hold(ConsumeRequest(ACTOR, f"order-{made.id}", Selector(reservation_id=made.id)))
    with transaction.atomic():
        let_days_pass(400)
    return present()


def present() -> set[str]:
    kinds: list[Any] = [Movement, Reservation, AuditEntry]
    return {str(id_) for kind in kinds for id_ in kind.objects.values_list("id", flat=True)}


def assert_nothing_is_lost(old: set[str]) -> None:
    """Check that each row is in the database, or in a registered and intact file."""
    folder = Path(settings.ARCHIVE_DIR)
    for file in ArchivedFile.objects.all():
        read(folder, file.name, rows=file.rows, sha256=file.sha256)
    in_files = {row["id"] for row in archived_rows(folder=folder)}
    assert old <= present() | in_files, old - present() - in_files
    assert_books_balance()


def main() -> None:
    trace = Path(settings.DATA_DIR) / "steps.json"
    killed = 0
    for last in range(1, MOST_STEPS):
        old = make_old_rows()
        ended = in_a_process(lambda last=last: archive(last, trace))  # type: ignore[misc]
        assert_nothing_is_lost(old)
        if ended == 0:
            break
        assert ended == -signal.SIGKILL, ended
        killed += 1
        assert in_a_process(lambda: archive(0, trace)) == 0
        assert_nothing_is_lost(old)
        assert not old & present(), "the second run finishes"
        assert not ArchivedFile.objects.filter(deleted_at=None).exists()
        assert not list(Path(settings.ARCHIVE_DIR).glob("*.partial"))
    ids = [row["id"] for row in archived_rows(folder=Path(settings.ARCHIVE_DIR))]
    assert len(ids) == len(set(ids)), "no row is in two files"
    print(json.dumps({"killed": killed, "steps": json.loads(trace.read_text())}))  # noqa: T201 - for the test


main()
