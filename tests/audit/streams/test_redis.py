"""Publishing to a Redis stream: each event once and in order, with the attributes of CloudEvents."""

import json
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
import redis
from django.conf import LazySettings, settings

from audit import feed, streams
from audit.identifiers import EVENT, public_id
from audit.streams.redis_sink import RedisSink
from tests.audit.feed.reading import events_after
from tests.audit.feed.writers import write

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def server() -> Iterator["redis.Redis"]:
    with redis.Redis.from_url(settings.REDIS_URL, decode_responses=True) as client:
        yield client


@pytest.fixture
def sink(server: "redis.Redis") -> Iterator[RedisSink]:
    """A stream of its own, and a log with a tick."""
    feed.tick()
    name = f"test:{uuid4()}"
    sink = RedisSink(settings.REDIS_URL, name)
    yield sink
    sink.close()
    server.delete(name)


def stream_of(server: "redis.Redis", sink: RedisSink) -> list[dict[str, str]]:
    found: Any = server.xrange(sink.name.removeprefix("redis "))
    return [fields for _, fields in found]


def test_events_are_published_in_order_and_once(server: "redis.Redis", sink: RedisSink) -> None:
    sink.most_events = 4
    for n in range(5):
        write(*(f"{n}-{m}" for m in range(n + 1)))
        feed.tick()
    assert streams.drain(sink) == 15
    assert [fields["partitionkey"] for fields in stream_of(server, sink)] == [
        f"{n}-{m}" for n in range(5) for m in range(n + 1)
    ]
    assert streams.drain(sink) == 0
    write("after")
    assert streams.drain(sink) == 0  # Not ticked yet.
    feed.tick()
    assert streams.drain(sink) == 1
    assert len(stream_of(server, sink)) == 16


def test_an_event_has_the_attributes_of_cloudevents(
    server: "redis.Redis", sink: RedisSink, settings: LazySettings
) -> None:
    settings.EVENT_SOURCE = "https://shop.example/inventory"
    write("a")
    feed.tick()
    streams.drain(sink)
    (event,) = events_after(feed.cursor_oldest())
    (fields,) = stream_of(server, sink)
    assert fields == {
        "specversion": "1.0",
        "id": public_id(EVENT, event.event_id),
        "source": "https://shop.example/inventory",
        "type": "TestEvent",
        "time": fields["time"],
        "subject": "test/a",
        "partitionkey": "a",
        "feedcursor": str(event.cursor),
        "datacontenttype": "application/json",
        "data": "{}",
    }
    assert fields["time"].endswith("Z")
    assert json.loads(fields["data"]) == {}
    assert events_after(feed.Cursor.parse(fields["feedcursor"])) == []


def test_the_stream_is_trimmed(server: "redis.Redis", sink: RedisSink, settings: LazySettings) -> None:
    settings.EVENT_STREAM_LENGTH = 100
    write(*map(str, range(1000)))
    feed.tick()
    assert streams.drain(sink) == 1000
    left = [fields["partitionkey"] for fields in stream_of(server, sink)]
    assert 100 <= len(left) < 300
    assert left == [str(n) for n in range(1000)][-len(left) :]


def test_an_emptied_redis_goes_on_from_the_cursor(server: "redis.Redis", sink: RedisSink) -> None:
    write("a", "b")
    feed.tick()
    streams.drain(sink)
    server.delete(sink.name.removeprefix("redis "))
    write("c")
    feed.tick()
    assert streams.drain(sink) == 1
    assert [fields["partitionkey"] for fields in stream_of(server, sink)] == ["c"]


def test_a_batch_that_redis_refuses_is_published_whole_later(server: "redis.Redis", sink: RedisSink) -> None:
    """A refused batch leaves nothing behind, so that no event comes before an earlier one of its key."""
    name = sink.name.removeprefix("redis ")
    server.set(name, "no stream")
    write("a", "b")
    feed.tick()
    with pytest.raises(streams.Unavailable, match="WRONGTYPE"):
        streams.drain(sink)
    assert streams.standing_of(sink.name).events_behind == 2
    server.delete(name)
    assert streams.drain(sink) == 2
    assert [fields["partitionkey"] for fields in stream_of(server, sink)] == ["a", "b"]
    assert streams.standing_of(sink.name).oldest_at is None
