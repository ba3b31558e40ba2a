"""Incoming events from Redis Streams and from Kafka."""

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from uuid import uuid4

import pytest
import redis
from confluent_kafka import Producer
from django.conf import LazySettings, settings
from django.core.management import CommandError, call_command
from django.db import OperationalError

from audit.errors import Busy
from audit.models import ApiClient, AuditEntry
from audit.roles import Role
from reservations.management.consuming import consumer
from reservations.management.consuming.consumer import EventConsumer, find_client
from reservations.management.consuming.kafka_source import KafkaSource
from reservations.management.consuming.redis_source import RedisSource
from reservations.management.consuming.sources import Source, Unavailable
from reservations.models import DeadLetter, Reservation
from reservations.services.orders import inbox
from tests.books import assert_books_balance
from tests.factories import counters, make_client, make_level, make_store
from tests.orders.sending import cloud_event, completed, created

pytestmark = pytest.mark.django_db
PATIENCE_SECONDS = 120


@pytest.fixture(autouse=True)
def _client(settings: LazySettings, monkeypatch: pytest.MonkeyPatch) -> ApiClient:
    make_store()
    settings.INBOX_CLIENT = "order-system"
    settings.TOKEN_CACHE_SECONDS = 0.0
    monkeypatch.setattr(consumer, "_PAUSES", (0.001,))
    monkeypatch.setattr("reservations.management.consuming.redis_source.READ_SECONDS", 0.01)
    return make_client(Role.CHECKOUT, name="order-system")


@pytest.fixture
def server() -> Iterator["redis.Redis"]:
    with redis.Redis.from_url(settings.REDIS_URL) as client:
        yield client


@pytest.fixture
def stream(server: "redis.Redis") -> Iterator[str]:
    name = f"test:{uuid4()}"
    yield name
    server.delete(name)


@pytest.fixture
def source_of(stream: str) -> Iterator[Callable[..., RedisSource]]:
    """Makes consumers of the stream, each with a name of its own."""
    sources: list[RedisSource] = []

    def make(idle_seconds: float = 60.0) -> RedisSource:
        sources.append(RedisSource(settings.REDIS_URL, stream, "group", idle_seconds=idle_seconds))
        return sources[-1]

    yield make
    for source in sources:
        source.close()


def consume(source: Source) -> int:
    """Apply what there is."""
    return EventConsumer(source, threading.Event()).run(once=True)


def add(server: "redis.Redis", stream: str, *events: Any, field: str = "data") -> None:
    for event in events:
        server.xadd(stream, {field: event if isinstance(event, bytes) else json.dumps(event)})


def pending(server: "redis.Redis", stream: str) -> int:
    groups: Any = server.xinfo_groups(stream)
    return int(groups[0]["pending"])


def test_the_story_of_an_order(server: "redis.Redis", stream: str, source_of: Callable[..., RedisSource]) -> None:
    level = make_level(10)
    add(server, stream, created("o-1", (level, 3)), completed("o-1"), created("o-2", (level, 1)), field="event")
    binary = cloud_event("com.example.OrderCancelledEvent", orderId="o-2")
    server.xadd(stream, {**binary, "datacontenttype": "application/json", "data": json.dumps(binary["data"])})
    assert consume(source_of()) == 4
    assert counters(level) == (7, 0)
    assert pending(server, stream) == 0
    entry = AuditEntry.objects.filter(action="inventory_reservation_consumed").get()
    assert (entry.actor, entry.source) == ("order-system", "stream")
    assert entry.request_id.startswith(f"redis {stream} ")
    assert_books_balance()


def test_entries_of_a_dead_consumer_are_claimed(
    server: "redis.Redis", stream: str, source_of: Callable[..., RedisSource]
) -> None:
    level = make_level(500)
    add(server, stream, *(created(f"o-{n}", (level, 1)) for n in range(250)))
    dead = source_of()
    assert len(dead.read()) == 100
    assert consume(source_of(idle_seconds=60)) == 150
    assert pending(server, stream) == 100
    assert consume(source_of(idle_seconds=0)) == 100
    assert pending(server, stream) == 0
    assert counters(level) == (500, 250)


def test_what_was_applied_and_not_acknowledged_is_recognised(
    server: "redis.Redis", stream: str, source_of: Callable[..., RedisSource], monkeypatch: pytest.MonkeyPatch
) -> None:
    level = make_level(10)
    add(server, stream, created("o-1", (level, 3)), b"poison")
    dying = source_of()
    monkeypatch.setattr(dying, "acknowledge", _unavailable)
    consume(dying)
    assert pending(server, stream) == 2
    assert consume(source_of(idle_seconds=0)) == 2
    assert counters(level) == (10, 3)
    assert DeadLetter.objects.count() == 1


def _unavailable(*_: Any) -> None:
    raise Unavailable("ConnectionError", "away")


def test_a_group_that_is_gone_is_created_again(
    server: "redis.Redis", stream: str, source_of: Callable[..., RedisSource]
) -> None:
    level = make_level(10)
    add(server, stream, created("o-1", (level, 3)))
    source = source_of()
    assert consume(source) == 1
    server.xgroup_destroy(stream, "group")
    add(server, stream, completed("o-1"))
    assert consume(source) == 2
    server.delete(stream)
    add(server, stream, created("o-2", (level, 1)))
    assert consume(source) == 1
    assert counters(level) == (7, 1)


POISON: Sequence[dict[str, Any]] = (
    {"data": b""},
    {"data": b"\xff\xfe\x00"},
    {"data": b"7"},
    {"data": b'{"eventId": "\\ud800"}'},
    {"data": b'{"eventId": "a", "type": "OrderCancelledEvent", "data": ' + b"[" * 5000 + b"]" * 5000 + b"}"},
    {"data": b"x" * 300_000},
    {"some": "thing", "else": "\0"},
    {"type": "OrderCancelledEvent", "id": "a", "specversion": "1.0", "source": "/s", "data": b"{"},
    {"type": "OrderCancelledEvent", "id": "a", "specversion": "1.0", "source": "/s"},
    {"type": b"\xff", "id": b"\x00", "specversion": "1.0", "source": "/s", "data": b"{}"},
    {"type": "OrderShippedEvent", "eventId": "a", "data": b"{}"},
)


def test_poison_is_put_aside_and_the_stream_goes_on(
    server: "redis.Redis", stream: str, source_of: Callable[..., RedisSource]
) -> None:
    level = make_level(100)
    for number, fields in enumerate(POISON):
        server.xadd(stream, fields)
        add(server, stream, created(f"o-{number}", (level, 1)))
    assert consume(source_of()) == 2 * len(POISON)
    assert pending(server, stream) == 0
    assert counters(level) == (100, len(POISON))
    letters = DeadLetter.objects.order_by("received_at", "id")
    assert len(letters) == len(POISON)
    assert all(letter.place.startswith(f"redis {stream} ") and letter.reason for letter in letters)


@pytest.mark.parametrize("error", [Busy("busy"), OperationalError("away")])
def test_a_busy_database_is_waited_for(
    server: "redis.Redis",
    stream: str,
    source_of: Callable[..., RedisSource],
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
) -> None:
    """No event is put aside. What is too much at once is applied in smaller pieces."""
    level = make_level(100)
    add(server, stream, *(created(f"o-{n}", (level, 1)) for n in range(8)))
    apply, sizes = inbox.apply_orders, []

    def busy(events: Sequence[Any], patience: Any) -> Any:
        sizes.append(len(events))
        if len(events) > 2:
            raise error
        return apply(events, patience)

    monkeypatch.setattr(inbox, "apply_orders", busy)
    monkeypatch.setattr(consumer.connection, "close", lambda: None)  # It is the test's own.
    consume(source_of())
    assert sizes == [8, 4, 2, 2, 2, 2]
    assert counters(level) == (100, 8)
    assert not DeadLetter.objects.exists()
    assert pending(server, stream) == 0


def test_one_event_that_fails_unforeseen_is_put_aside(
    server: "redis.Redis", stream: str, source_of: Callable[..., RedisSource], monkeypatch: pytest.MonkeyPatch
) -> None:
    level = make_level(100)
    add(server, stream, *(created(f"o-{n}", (level, 1)) for n in range(4)))
    apply = inbox.apply_orders

    def broken(events: Sequence[Any], patience: Any) -> Any:
        if any(each.event.order_id == "o-2" for each in events):
            raise ZeroDivisionError
        return apply(events, patience)

    monkeypatch.setattr(inbox, "apply_orders", broken)
    consume(source_of())
    assert counters(level) == (100, 3)
    assert DeadLetter.objects.get().code == "internal_error"
    assert pending(server, stream) == 0


def test_whose_client_is_gone(settings: LazySettings, source_of: Callable[..., RedisSource]) -> None:
    settings.INBOX_STREAM, settings.INBOX_STREAM_URL = "x", settings.REDIS_URL
    for client, said in (("nobody", "no such client"), ("", "no such client"), ("auditor", "may not hold")):
        make_client(Role.AUDITOR, name=f"a-{client}")
        settings.INBOX_CLIENT = f"a-{client}" if client == "auditor" else client
        with pytest.raises(CommandError, match=said):
            call_command("consume_events", once=True)
    assert_books_balance()


def test_settings_that_leave_it_open(settings: LazySettings) -> None:
    assert find_client()
    with pytest.raises(CommandError, match="Set INBOX_STREAM or INBOX_TOPICS"):
        call_command("consume_events", once=True)
    settings.INBOX_STREAM, settings.INBOX_TOPICS = "x", ["y"]
    with pytest.raises(CommandError, match="choose with --from"):
        call_command("consume_events", once=True)
    with pytest.raises(CommandError, match="KAFKA_SERVERS"):
        call_command("consume_events", "--from", "kafka", once=True)


# --- kafka -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def servers() -> Iterator[str]:
    """The address of a broker, which lives as long as this producer."""
    keeper = Producer({"bootstrap.servers": "mock", "test.mock.num.brokers": 1, "log_level": 0})
    brokers = keeper.list_topics(timeout=PATIENCE_SECONDS).brokers.values()
    yield ",".join(f"{broker.host}:{broker.port}" for broker in brokers)
    keeper.flush(0)


def until_read(source: Source, count: int) -> int:
    """Consume until so many messages were applied: a group needs some time to come together."""
    applied = 0
    deadline = time.monotonic() + PATIENCE_SECONDS
    while applied < count and time.monotonic() < deadline:
        applied += consume(source)
    return applied


def test_kafka(servers: str, settings: LazySettings, monkeypatch: pytest.MonkeyPatch) -> None:
    # The mock doesn't hear of a consumer that leaves.
    settings.KAFKA_OPTIONS = {"session.timeout.ms": "3000", "heartbeat.interval.ms": "500"}
    # Each read takes this long, whatever it finds.
    monkeypatch.setattr("reservations.management.consuming.kafka_source.READ_SECONDS", 0.1)
    level, topic = make_level(10), f"test.{uuid4()}"
    producer = Producer({"bootstrap.servers": servers, "log_level": 0})
    for event in (created("o-1", (level, 3)), completed("o-1"), created("o-2", (level, 1))):
        producer.produce(topic, key=event["data"]["orderId"], value=json.dumps(event))
    binary = cloud_event("OrderCancelledEvent", orderId="o-2")
    headers = [(f"ce_{name}", str(binary[name])) for name in ("specversion", "id", "source", "type")]
    producer.produce(topic, key="o-2", value=json.dumps(binary["data"]), headers=headers)
    producer.produce(topic, key="o-3", value=None)
    producer.produce(topic, key="o-3", value=b"\xff")
    assert producer.flush(PATIENCE_SECONDS) == 0
    first = KafkaSource(servers, [topic], "group")
    assert until_read(first, 6) == 6
    first.close()
    assert counters(level) == (7, 0)
    assert DeadLetter.objects.count() == 2
    producer.produce(topic, key="o-4", value=json.dumps(created("o-4", (level, 1), cartId=None)))
    assert producer.flush(PATIENCE_SECONDS) == 0
    second = KafkaSource(servers, [topic], "group")
    assert until_read(second, 1) == 1  # The offsets were committed.
    second.close()
    assert counters(level) == (7, 1)
    assert not Reservation.objects.filter(order_id="o-3").exists()
