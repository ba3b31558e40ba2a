"""manage.py relay_events: once, the status, and moving a sink."""

import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from io import StringIO

import pytest
from django.conf import LazySettings
from django.core.management import CommandError, call_command
from django.db import connection

from audit import feed, streams
from audit.models import StreamCursor
from tests.audit.feed.reading import events_after
from tests.audit.feed.writers import write
from tests.audit.streams.sinks import KeptEvents, refuse

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def sinks(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[KeptEvents]]:
    """The configured sinks, and a log with a tick."""
    feed.tick()
    sinks = [KeptEvents("first"), KeptEvents("second")]
    monkeypatch.setattr(streams, "configured_sinks", lambda: sinks)
    return sinks


def run(*arguments: str) -> str:
    printed = StringIO()
    call_command("relay_events", *arguments, stdout=printed)
    return printed.getvalue()


def test_once_publishes_what_there_is(sinks: list[KeptEvents]) -> None:
    write("a", "b", "c", "d")
    assert run("--once") == "first: 4 events published\nsecond: 4 events published\n"
    assert run("--once") == "first: 0 events published\nsecond: 0 events published\n"
    assert [sink.keys for sink in sinks] == [["a", "b", "c", "d"]] * 2


def test_once_publishes_to_the_other_sinks_and_fails_if_one_is_away(sinks: list[KeptEvents]) -> None:
    sinks[0] = KeptEvents("first", refuse)
    write("a")
    with pytest.raises(CommandError, match="first: nobody answers") as raised:
        run("--once")
    assert raised.value.returncode == 1
    assert sinks[1].keys == ["a"]


def test_status_says_how_far_each_sink_is(sinks: list[KeptEvents]) -> None:
    write("a", "b")
    feed.tick()
    streams.drain(sinks[0])
    first, second = run("--status").splitlines()
    assert first == f"first: up to date at {feed.cursor_now()}"
    assert second.startswith("second: 2 events behind at ")
    assert "the oldest 0 s old" in second or "the oldest 1 s old" in second


def test_status_fails_if_a_sink_is_a_minute_behind(sinks: list[KeptEvents]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO audit_outboxevent (id, aggregatetype, aggregateid, type, payload, created_at) VALUES"
            " (gen_random_uuid(), 'test', 'old', 'TestEvent', '{}', now() - interval '2 minutes')"
        )
    feed.tick()
    with pytest.raises(CommandError, match="more than 60 s behind"):
        run("--status")
    streams.drain(sinks[0])
    streams.drain(sinks[1])
    assert "up to date" in run("--status")


def test_a_sink_goes_on_from_where_it_is_moved_to(sinks: list[KeptEvents]) -> None:
    write("a")
    feed.tick()
    between = datetime.now(UTC)
    write("b")
    write("c")
    feed.tick()
    sink = sinks[0]
    streams.drain(sink)
    (event,) = [each for each in events_after(feed.cursor_oldest()) if each.key == "b"]
    for place, expected in {
        "oldest": ["a", "b", "c"],
        "now": [],
        str(event.cursor): ["c"],
        between.isoformat(): ["b", "c"],
    }.items():
        sink.keys.clear()
        assert run("--move", "first", "--to", place).startswith("first goes on from ")
        streams.drain(sink)
        assert sink.keys == expected, place


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--move", "first"], "together"),
        (["--to", "now"], "together"),
        (["--move", "third", "--to", "now"], "no sink “third”"),
        (["--move", "first", "--to", "yesterday"], "“yesterday” is not a cursor"),
        (["--move", "first", "--to", "7.7.7"], "not given"),
    ],
)
def test_a_wrong_place_changes_nothing(sinks: list[KeptEvents], arguments: list[str], message: str) -> None:
    with pytest.raises(CommandError, match=message) as raised:
        run(*arguments)
    assert raised.value.returncode == 2
    assert not StreamCursor.objects.exists()


def test_a_sink_whose_events_were_deleted_waits_for_a_decision(sinks: list[KeptEvents]) -> None:
    write("a")
    feed.tick()
    streams.drain(sinks[0])
    streams.drain(sinks[1])
    for key in "bc":
        write(key)
        feed.tick()
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM audit_tick WHERE number < (SELECT max(number) FROM audit_tick)")
    with pytest.raises(CommandError, match="first: Events are kept"):
        run("--once")
    printed = StringIO()
    with pytest.raises(CommandError):
        call_command("relay_events", "--status", stdout=printed)
    assert "first: held up at" in printed.getvalue()
    assert sinks[0].keys == ["a"]
    for sink in sinks:
        run("--move", sink.name, "--to", "oldest")
    run("--once")


def test_kafka_without_its_library_is_one_sentence(monkeypatch: pytest.MonkeyPatch, settings: LazySettings) -> None:
    settings.KAFKA_SERVERS = "127.0.0.1:9092"
    monkeypatch.delitem(sys.modules, "audit.streams.kafka_sink", raising=False)
    monkeypatch.setitem(sys.modules, "confluent_kafka", None)
    with pytest.raises(CommandError, match=r"confluent-kafka isn't installed: pip install"):
        run("--status")


def test_the_settings_choose_the_sinks(settings: LazySettings) -> None:
    def names() -> list[str]:
        return [sink.name for sink in streams.configured_sinks()]

    assert names() == ["redis inventory:events"]
    settings.EVENT_STREAM, settings.KAFKA_SERVERS, settings.KAFKA_TOPIC = "", "127.0.0.1:9092", "stock"
    assert names() == ["kafka stock"]
    settings.KAFKA_SERVERS = ""
    assert names() == []
