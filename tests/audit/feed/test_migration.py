"""The migration from the outbox to the log, on a database with events."""

from importlib import import_module
from typing import Any

import pytest
from django.db import connection

from audit import feed
from tests.audit.feed.reading import events_after

MIGRATION: Any = import_module("audit.migrations.0008_event_log")
FORWARD = (*MIGRATION.FORWARD, "ALTER TABLE audit_outboxevent ADD COLUMN traceparent varchar(55)")
KEYS = ("res-1", "tr-2", "store:main", "0199a3c5-7c1e-7d7a-9d40-1f6f0f9b2a11")

pytestmark = pytest.mark.django_db


def run(*statements: str) -> list[Any]:
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
        return cursor.fetchall() if cursor.description else []


def old_events() -> None:
    """An outbox as it was, with an event of each kind from long ago, and one position that was rolled back."""
    run(*MIGRATION.BACKWARD)
    for days, key in zip((400, 40, 1, 0), KEYS, strict=True):
        run(
            "INSERT INTO audit_outboxevent (event_id, type, key, payload, created_at) VALUES (gen_random_uuid(),"
            f" 'OldEvent', '{key}', '{{\"a\": \"é\"}}', statement_timestamp() - interval '{days} days')"
        )
    run("SELECT nextval('audit_outboxevent_position_seq')")


def test_old_events_are_the_first_batch_and_new_ones_follow() -> None:
    old_events()
    columns = "position, created_at, payload, type"
    before = run(f"SELECT {columns}, event_id, key FROM audit_outboxevent ORDER BY position")
    (last,) = run("SELECT last_value FROM audit_outboxevent_position_seq")
    run(*FORWARD)
    feed.make_partitions()
    assert run(f"SELECT {columns}, id, aggregateid FROM audit_outboxevent ORDER BY position") == before
    found = events_after(feed.BEGINNING, 1)
    assert [(event.key, event.aggregate_type) for event in found] == list(
        zip(KEYS, ("reservation", "transfer", "freeze", "level"), strict=True)
    )
    assert events_after(feed.cursor_now()) == []
    new = "INSERT INTO audit_outboxevent (id, aggregatetype, aggregateid, type, payload) VALUES"
    run(f"{new} (gen_random_uuid(), 'level', 'new', 'NewEvent', '{{}}')")
    assert run("SELECT position FROM audit_outboxevent WHERE aggregateid = 'new'") == [(last[0] + 1,)]
    feed.rebase()  # A tick of this transaction, which sees its own rows.
    assert [event.key for event in events_after(feed.BEGINNING)] == [*KEYS, "new"]


def test_old_rows_and_new_ones_of_that_day_are_in_one_partition_and_the_next_day_has_its_own() -> None:
    old_events()
    run(*FORWARD)
    feed.make_partitions()
    assert run("SELECT DISTINCT tableoid::regclass::text FROM audit_outboxevent") == [("audit_outboxevent_old",)]
    partitions = run("SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'audit_outboxevent'::regclass")
    (tomorrow,) = run("SELECT to_char(statement_timestamp() + interval '1 day', 'YYYYMMDD')")
    assert {name for (name,) in partitions} == {
        "audit_outboxevent_old",
        "audit_outboxevent_default",
        f"audit_outboxevent_{tomorrow[0]}",
    }


def test_an_empty_outbox_becomes_an_empty_log() -> None:
    run("DELETE FROM audit_outboxevent", *MIGRATION.BACKWARD, *FORWARD)
    feed.make_partitions()
    assert feed.cursor_now().tick == 1
    assert events_after(feed.BEGINNING) == []
    assert run("SELECT count(*) FROM pg_inherits WHERE inhparent = 'audit_outboxevent'::regclass") == [(3,)]
