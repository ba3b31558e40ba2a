"""Heartbeats: written after work, by the process that did it, and read with their age by the database's clock."""

from datetime import UTC, datetime, timedelta

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from audit import heartbeats
from audit import tasks as audit_tasks
from audit.models import Heartbeat
from reservations import tasks
from reservations.services.holds import expiry

pytestmark = pytest.mark.django_db


def test_a_heartbeat_replaces_the_one_before() -> None:
    heartbeats.write("sweeper", datetime(2026, 1, 1, tzinfo=UTC), expired=3)
    heartbeats.beat("sweeper", expired=4)
    found = heartbeats.read()
    assert list(found) == ["sweeper"]
    assert found["sweeper"].age < timedelta(minutes=1)
    assert found["sweeper"].detail["expired"] == 4
    assert found["sweeper"].detail["machine"]


def test_a_pulse_writes_once_in_some_seconds() -> None:
    pulse = heartbeats.Pulse(heartbeats.RELAY)
    with CaptureQueriesContext(connection) as queries:
        for _ in range(50):
            pulse.beat()
    assert len(queries) == 1


@pytest.mark.parametrize(
    ("work", "names"),
    [
        (audit_tasks.beat, {heartbeats.BEAT, heartbeats.WORKER}),
        (tasks.expire_due_holds, {heartbeats.BEAT, heartbeats.SWEEPER}),
        (lambda: call_command("expire_due_holds", verbosity=0), {heartbeats.SWEEPER}),
    ],
    ids=["a task of the worker", "the sweep", "the sweep by cron"],
)
def test_work_that_was_done_leaves_its_heartbeats(work, names, capsys) -> None:
    work()
    assert set(Heartbeat.objects.values_list("name", flat=True)) == names


def test_a_sweep_that_fails_leaves_none(monkeypatch) -> None:
    def fail() -> None:
        raise RuntimeError

    monkeypatch.setattr(expiry, "expire_due_holds", fail)
    with pytest.raises(RuntimeError):
        tasks.expire_due_holds()
    assert not Heartbeat.objects.exists()


def test_a_backup_is_recorded_and_never_replaced_by_an_older_one(capsys) -> None:
    call_command("record_backup", at="2026-01-15T03:00:00Z")
    assert "Recorded the backup of 2026-01-15 03:00:00 UTC." in capsys.readouterr().out
    call_command("record_backup", at="2026-01-14T03:00:00Z")
    assert "nothing was changed" in capsys.readouterr().out
    assert heartbeats.read()["backup"].at == datetime(2026, 1, 15, 3, tzinfo=UTC)
    call_command("record_backup")
    assert heartbeats.read()["backup"].age < timedelta(minutes=1)


@pytest.mark.parametrize("at", ["2199-01-01", "yesterday", "1", "", "0001-01-01"])
def test_a_backup_of_no_time_or_of_the_future_is_refused(at: str) -> None:
    with pytest.raises(CommandError, match="--at: "):
        call_command("record_backup", at=at)
    assert not Heartbeat.objects.exists()
