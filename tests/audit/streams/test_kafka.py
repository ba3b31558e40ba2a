"""Publishing to Kafka, against librdkafka's mock cluster, which speaks the real protocol."""

import time
from collections.abc import Iterator
from uuid import uuid4

import pytest
from confluent_kafka import Consumer, Message, Producer, TopicPartition
from django.conf import LazySettings

from audit import feed, streams
from audit.identifiers import EVENT, public_id
from audit.streams.kafka_sink import KafkaSink
from tests.audit.feed.reading import events_after
from tests.audit.feed.writers import write

pytestmark = pytest.mark.django_db(transaction=True)
PATIENCE_SECONDS = 30


@pytest.fixture(scope="module")
def servers() -> Iterator[str]:
    """The addresses of a cluster of three brokers, which lives as long as this producer."""
    keeper = Producer({"bootstrap.servers": "mock", "test.mock.num.brokers": 3, "log_level": 0})
    brokers = keeper.list_topics(timeout=PATIENCE_SECONDS).brokers.values()
    yield ",".join(f"{broker.host}:{broker.port}" for broker in brokers)
    keeper.flush(0)


@pytest.fixture
def sink(servers: str) -> Iterator[KafkaSink]:
    """A topic of its own, and a log with a tick."""
    feed.tick()
    sink = KafkaSink(servers, f"test.{uuid4()}")
    yield sink
    sink.close()


def messages_of(servers: str, topic: str, count: int) -> list[Message]:
    """The messages of all partitions; those of one partition are in its order. Fails if there are more or fewer."""
    consumer = Consumer({"bootstrap.servers": servers, "group.id": "test", "log_level": 0})
    try:
        partitions = consumer.list_topics(topic, timeout=PATIENCE_SECONDS).topics[topic].partitions
        assert len(partitions) > 1
        consumer.assign([TopicPartition(topic, number, 0) for number in partitions])
        found: list[Message] = []
        deadline = time.monotonic() + PATIENCE_SECONDS
        while len(found) < count and time.monotonic() < deadline:
            found += consumer.consume(count, timeout=0.2)
        found += consumer.consume(1, timeout=0.2)
    finally:
        consumer.close()
    assert [message.error() for message in found] == [None] * count
    return found


def test_events_are_published_once_and_those_of_a_key_in_order(servers: str, sink: KafkaSink) -> None:
    sink.most_events = 7
    keys = [f"key-{n % 5}" for n in range(40)]
    positions = dict(enumerate(write(*keys)))
    feed.tick()
    assert streams.drain(sink) == 40
    assert streams.drain(sink) == 0
    found = messages_of(servers, sink.name.removeprefix("kafka "), 40)
    for key in set(keys):
        mine = [message for message in found if message.key() == key.encode()]
        assert len({message.partition() for message in mine}) == 1
        cursors = [feed.Cursor.parse(dict(message.headers() or [])["ce_feedcursor"].decode()) for message in mine]
        expected = [position for n, position in positions.items() if keys[n] == key]
        assert [cursor.position for cursor in cursors] == expected


def test_a_message_is_a_cloudevent_in_binary_mode(servers: str, sink: KafkaSink, settings: LazySettings) -> None:
    settings.EVENT_SOURCE = "https://shop.example/inventory"
    write("ä")
    feed.tick()
    streams.drain(sink)
    (event,) = events_after(feed.cursor_oldest())
    (message,) = messages_of(servers, sink.name.removeprefix("kafka "), 1)
    headers = {name: value.decode() for name, value in message.headers() or []}
    assert (message.key(), message.value()) == ("ä".encode(), b"{}")
    assert headers == {
        "ce_specversion": "1.0",
        "ce_id": public_id(EVENT, event.event_id),
        "ce_source": "https://shop.example/inventory",
        "ce_type": "TestEvent",
        "ce_time": headers["ce_time"],
        "ce_subject": "test/ä",
        "ce_partitionkey": "ä",
        "ce_feedcursor": str(event.cursor),
        "content-type": "application/json",
    }


def test_options_can_change_the_connection_but_not_the_guarantees(servers: str, settings: LazySettings) -> None:
    settings.KAFKA_OPTIONS = {"client.id": "other", "acks": "0", "enable.idempotence": "false", "log_level": "7"}
    options = KafkaSink(servers, "any")._options
    assert options["client.id"] == "other"
    assert (options["acks"], options["enable.idempotence"], options["message.timeout.ms"]) == ("all", True, 0)


def test_events_wait_while_kafka_is_away(servers: str, sink: KafkaSink) -> None:
    write("a", "b")
    feed.tick()
    topic = sink.name.removeprefix("kafka ")
    away = KafkaSink("127.0.0.1:1", topic)
    away.timeout_seconds = 0.5
    for _ in range(2):
        with pytest.raises(streams.Unavailable, match=r"refused|down|acknowledged") as raised:
            streams.drain(away)
        assert raised.value.cause
    assert streams.standing_of(sink.name).events_behind == 2
    assert streams.drain(sink) == 2
    assert [message.key() for message in messages_of(servers, topic, 2)]


def test_an_event_that_is_refused_holds_up_those_after_it(
    servers: str, sink: KafkaSink, settings: LazySettings
) -> None:
    settings.KAFKA_OPTIONS = {"message.max.bytes": "1000"}
    topic = sink.name.removeprefix("kafka ")
    strict = KafkaSink(servers, topic)
    write("k", "k")
    feed.tick()
    assert streams.drain(strict) == 2
    settings.EVENT_SOURCE = "/" + "x" * 1500
    write("k")
    feed.tick()
    with pytest.raises(streams.Unavailable) as raised:
        streams.drain(strict)
    assert raised.value.cause == "MSG_SIZE_TOO_LARGE"
    assert streams.standing_of(sink.name).events_behind == 1
    assert streams.drain(sink) == 1
