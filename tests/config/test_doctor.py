"""``manage.py doctor``: one line each, with what to do, whatever is away."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder
from pytest_django import Settings

from audit import feed, heartbeats
from config.doctor import database, machine
from config.doctor.lines import Line, Outcome, lasting, sized
from config.health import readiness

NOWHERE = 1


@pytest.fixture(autouse=True)
def _not_asked_yet(monkeypatch: pytest.MonkeyPatch) -> Any:
    # The server of the tests is a developer's: it keeps nothing over a crash.
    monkeypatch.setattr(settings, "IS_LOCAL", True)
    readiness.forget()
    yield
    readiness.forget()


def examine(capsys: pytest.CaptureFixture[str]) -> dict[str, Line]:
    """The doctor's lines by subject, the worst of each; asserts that the exit status agrees with them."""
    status = 0
    try:
        call_command("doctor", json=True)
    except SystemExit as end:
        status = int(str(end.code))
    lines = [Line(**{**each, "outcome": Outcome(each["outcome"])}) for each in json.loads(capsys.readouterr().out)]
    assert status == int(any(line.outcome == "fail" for line in lines))
    assert all("\n" not in str(line) for line in lines)
    assert all(line.todo or line.outcome == "ok" for line in lines)
    worst = sorted(lines, key=lambda line: list(Outcome).index(line.outcome))
    return {line.subject: line for line in worst}


@pytest.mark.django_db
def test_it_looks_at_everything_that_is_asked_for(capsys: Any) -> None:
    feed.tick()
    for name in heartbeats.expected():
        heartbeats.beat(name)
    found = examine(capsys)
    for subject in (
        *("settings", "time zones", "open files", "disk of ARCHIVE_DIR", "disk of DATA_DIR", "database", "clock"),
        *("postgresql version", "postgresql connections", "postgresql disk", "transactions", "service role"),
        *("migrations", "reservations", "beat", "sweeper", "worker", "relay", "feed", "webhooks", "reconciliation"),
        *("backup", "dead letters, webhook", "dead letters, inbox", "redis", "redis memory", "queued tasks"),
        f"stream redis {settings.EVENT_STREAM}",
    ):
        assert subject in found, found.keys()
    assert not [line for line in found.values() if line.outcome == "fail"], found
    assert not {"postgresql TimeZone", "postgresql statement_timeout", "postgresql encoding"} & set(found)
    assert {found[name].outcome for name in heartbeats.expected()} == {"ok"}
    assert found["backup"].outcome == found["reconciliation"].outcome == "warn"


@pytest.mark.django_db
def test_what_was_recorded_is_well_and_what_stopped_is_named(capsys: Any) -> None:
    heartbeats.beat(heartbeats.BACKUP)
    found = examine(capsys)
    assert found["backup"].outcome == "ok"
    for name in heartbeats.expected():
        assert (found[name].outcome, found[name].found) == ("warn", "no heartbeat yet")
    assert "celery -A config beat" in found["beat"].todo


def test_without_servers_each_is_a_line_without_secrets(capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(connection.settings_dict, "HOST", "127.0.0.1")
    monkeypatch.setitem(connection.settings_dict, "PORT", NOWHERE)
    monkeypatch.setitem(connection.settings_dict, "PASSWORD", "geheim")
    monkeypatch.setattr(settings, "REDIS_URL", f"redis://:geheim@127.0.0.1:{NOWHERE}/0")
    monkeypatch.setattr(settings, "EVENT_STREAM_URL", settings.REDIS_URL)
    found = examine(capsys)
    assert (found["database"].outcome, found["redis"].outcome) == ("fail", "warn")
    assert "migrations" not in found
    assert "geheim" not in str(found)


@pytest.mark.django_db
def test_before_migrate_that_is_the_line_and_nothing_else_fails(capsys: Any) -> None:
    MigrationRecorder.Migration.objects.filter(app="reservations").delete()
    found = examine(capsys)
    assert [name for name, line in found.items() if line.outcome == "fail"] == ["migrations"]
    assert "manage.py migrate" in found["migrations"].todo
    assert "beat" not in found


@pytest.mark.django_db
@pytest.mark.parametrize(("ahead", "outcome"), [(0, "ok"), (20, "warn"), (-20, "warn"), (300, "fail")])
def test_clocks_that_differ_are_noticed(ahead: int, outcome: str, monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time
    monkeypatch.setattr(database.time, "time", lambda: now() + ahead)
    assert [line.outcome for line in database.examine_clock()] == [outcome]


def test_missing_static_files_are_noticed_where_they_must_be_collected(settings: Settings, tmp_path: Path) -> None:
    settings.STATIC_ROOT = tmp_path
    assert list(machine.examine_static_files()) == []
    settings.STORAGES = settings.STORAGES | {
        "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"}
    }
    (line,) = machine.examine_static_files()
    assert (line.outcome, "collectstatic" in line.todo) == (Outcome.FAIL, True)
    (tmp_path / "staticfiles.json").write_text("{}")
    (line,) = machine.examine_static_files()
    assert line.outcome == Outcome.OK
    settings.WEB_SERVES = "api"
    assert list(machine.examine_static_files()) == []


@pytest.mark.parametrize(
    ("free", "outcome"), [(50 * 1024**3, "ok"), (500 * 1024**2, "warn"), (10 * 1024**2, "fail")], ids=str
)
def test_little_room_is_noticed_in_folders_that_are_not_made_yet(
    free: int, outcome: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    usage = shutil._ntuple_diskusage(100 * 1024**3, 0, free)  # type: ignore[attr-defined]
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda _: usage)
    assert machine.examine_folder("disk", tmp_path / "not" / "yet").outcome == outcome


@pytest.mark.django_db
def test_a_transaction_that_is_open_for_long_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "LONG_SECONDS", 0)
    with psycopg.connect(**connection.get_connection_params()) as other:
        other.execute("SELECT 1")
        lines = list(database.examine_transactions())
        assert [line.outcome for line in lines] == ["warn"]
        assert f"pg_terminate_backend({other.info.backend_pid})" in lines[0].todo


@pytest.mark.django_db
def test_settings_of_the_server_that_lose_changes_are_failures_in_production(monkeypatch: pytest.MonkeyPatch) -> None:
    known = dict.fromkeys(("fsync", "full_page_writes", "synchronous_commit", "autovacuum", "track_counts"), "off")
    known["wal_level"] = "replica"
    for is_debug, outcome in ((True, "warn"), (False, "fail")):
        monkeypatch.setattr(settings, "IS_LOCAL", is_debug)
        assert {line.outcome for line in database._durability(known)} == {outcome}
        assert len(list(database._durability(known))) == 5


def test_settings_that_refuse_to_start_are_lines(tmp_path: Any) -> None:
    environment = {"PATH": os.defpath, "DEBUG": "false", "DATABASE_URL": "postgres://u:geheim@127.0.0.1:1/x"}
    for arguments, code in ((["doctor"], 1), (["check"], 1)):
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=settings.BASE_DIR,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        shown = done.stdout + done.stderr
        assert done.returncode == code
        assert "Traceback" not in shown
        assert "geheim" not in shown
        assert shown.count("fail  settings") == (2 if arguments == ["doctor"] else 0)
        assert "SECRET_KEY" in shown


def test_in_production_the_checks_of_the_framework_are_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "IS_LOCAL", False)
    monkeypatch.setattr(settings, "SECURE_HSTS_SECONDS", 0, raising=False)
    found = [str(line) for line in machine.examine_settings()]
    assert any("security.W004" in line for line in found), found


def test_numbers_are_for_people() -> None:
    assert [sized(number) for number in (10, 2048, 3 * 1024**3)] == ["10 bytes", "2.0 KiB", "3.0 GiB"]
    assert [lasting(each) for each in (0.25, 300, 8000, 864_000)] == ["0.2 s", "5 min", "2 h", "10 days"]
