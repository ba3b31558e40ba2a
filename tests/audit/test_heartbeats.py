"""Heartbeats: written after work, by the process that did it, and read with their age by the database's clock."""

from datetime import UTC, datetime, timedelta

import pytest
from django.core.management import call_command
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
