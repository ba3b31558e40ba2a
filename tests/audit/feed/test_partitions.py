"""The log's partitions: made ahead, filled from the default one, dropped once nobody may read them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from pytest_django import Settings

from audit import feed
from audit.errors import Archived
from audit.feed import partitions
from audit.models import OutboxEvent, Tick
from tests.audit.feed.reading import keys_after
from tests.audit.feed.writers import Writer, write

pytestmark = pytest.mark.django_db(transaction=True)


def run(sql: str, *parameters: Any) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return cursor.fetchall() if cursor.description else []


def partitions_now() -> set[str]:
    found = run("SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'audit_outboxevent'::regclass")
    return {name for (name,) in found}


def name_of(day: datetime) -> str:
    return f"audit_outboxevent_{day:%Y%m%d}"


def today() -> datetime:
    return run("SELECT date_trunc('day', statement_timestamp(), 'UTC')")[0][0].astimezone(UTC)


def let_days_pass(days: int) -> None:
    """Make all ticks and events older: they land in the default partition, as if nobody had made another."""
    run(f"UPDATE audit_outboxevent SET created_at = created_at - interval '{days} days'")
    times = (f"{name} = {name} - interval '{days} days'" for name in ("created_at", "created_from", "created_to"))
    run(f"UPDATE audit_tick SET {', '.join(times)}")


@pytest.fixture(autouse=True)
def _made_partitions() -> Any:
    feed.make_partitions()
    before = partitions_now()
    feed.tick()
    yield
    for name in partitions_now() - before:
        run(f"DROP TABLE {name}")
    feed.make_partitions()


def test_days_ahead_have_partitions_of_their_own() -> None:
    days = [today() + timedelta(days=n) for n in range(2)]
    assert {name_of(day) for day in days} < partitions_now()
    write("now")
    assert run("SELECT tableoid::regclass::text FROM audit_outboxevent") == [(name_of(days[0]),)]
    feed.make_partitions()
    assert {name_of(day) for day in days} | {"audit_outboxevent_default"} <= partitions_now()


def test_an_event_of_a_day_without_partition_is_written_and_moved_later() -> None:
    start = feed.cursor_now()
    run(f"DROP TABLE {name_of(today())}")
    write("early")
    assert run("SELECT tableoid::regclass::text FROM audit_outboxevent") == [("audit_outboxevent_default",)]
    feed.tick()
    feed.make_partitions()
    assert name_of(today()) not in partitions_now()  # Others may be writing to the default one.
    let_days_pass(1)
    feed.make_partitions()
    assert run("SELECT tableoid::regclass::text FROM audit_outboxevent") == [(name_of(today() - timedelta(days=1)),)]
    write("late")
    feed.tick()
    assert keys_after(start) == ["early", "late"]


def test_old_events_are_dropped_a_call_after_their_ticks_and_their_cursors_are_archived() -> None:
    oldest = feed.cursor_oldest()
    write("first"), feed.tick()
    first = feed.cursor_now()
    write("second"), feed.tick()
    let_days_pass(31)
    old = feed.cursor_now()
    write("third"), feed.tick()
    feed.tend_log()  # Deletes ticks; the partition of that day is made and kept for readers that know the ticks.
    for cursor in (oldest, first):
        with pytest.raises(Archived, match="30 days"):
            feed.read_after(cursor, 10)
    assert keys_after(old) == ["third"]
    assert set(OutboxEvent.objects.values_list("key", flat=True)) == {"first", "second", "third"}
    feed.tend_log()
    assert set(OutboxEvent.objects.values_list("key", flat=True)) == {"third"}
    assert name_of(today() - timedelta(days=31)) not in partitions_now()
    assert keys_after(feed.cursor_oldest()) == keys_after(old) == ["third"]
    with pytest.raises(Archived):
        feed.cursor_at(today() - timedelta(days=40))
    assert keys_after(feed.cursor_at(today())) == ["third"]


def test_events_within_the_time_to_keep_stay(settings: Settings) -> None:
    settings.EVENT_RETENTION_DAYS = 60
    oldest = feed.cursor_oldest()
    write("first"), feed.tick()
    let_days_pass(31)
    for _ in range(2):
        feed.tend_log()
    assert keys_after(oldest) == ["first"]


def test_a_partition_is_kept_while_a_transaction_of_its_day_was_not_in_a_batch() -> None:
    with Writer() as slow:
        slow.write("slow")
        write("fast"), feed.tick()
        let_days_pass(31)
        cursor = feed.cursor_now()
    run("UPDATE audit_outboxevent SET created_at = created_at - interval '31 days' WHERE aggregateid = 'slow'")
    for _ in range(3):
        feed.tend_log()
    assert keys_after(cursor) == ["slow"]


def test_a_log_that_nobody_reads_is_emptied_all_the_same() -> None:
    write("unheard")
    let_days_pass(31)
    run("UPDATE audit_tick SET created_at = created_at - interval '1 day'")
    feed.tend_log()
    assert OutboxEvent.objects.count() == 1
    let_days_pass(31)
    for _ in range(2):
        feed.tend_log()
    assert not OutboxEvent.objects.exists()
    assert Tick.objects.count() == 1
    assert keys_after(feed.cursor_now()) == []


def test_writers_wait_for_a_change_of_partitions_only_for_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partitions, "_PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(partitions, "_ATTEMPTS", 2)
    run(f"DROP TABLE {name_of(today() + timedelta(days=1))}")
    with Writer() as busy:
        busy.execute("LOCK TABLE audit_outboxevent_default IN ROW EXCLUSIVE MODE")
        feed.make_partitions()
        assert name_of(today() + timedelta(days=1)) not in partitions_now()
    feed.make_partitions()
    assert name_of(today() + timedelta(days=1)) in partitions_now()
