"""Traces of events: what goes with an event from its request to each of its readers."""

import json
import subprocess
import sys
from typing import Any
from uuid import uuid4

import pytest
import redis
from django.conf import settings
from django.db import connection
from opentelemetry.trace import SpanKind, StatusCode

from audit import feed, streams, traces
from audit.feed import LoggedEvent, Reach
from audit.feed.selecting import FeedEvent
from audit.models import OutboxEvent, WebhookDelivery
from audit.streams.redis_sink import RedisSink
from audit.traces import traceparent_in
from audit.webhooks import bodies
from tests.audit.feed.reading import events_after
from tests.audit.webhooks.receiver import HttpReceiver, wait_until
from tests.audit.webhooks.sender import attempts_of, sending, subscribe
from tests.factories import hold, make_level
from tests.traces import (
    CALLER,
    TRACE_ID,
    TRACEPARENT,
    Traced,
    context_of,
    links_of,
    parent_of,
    trace_of,
    traced,
)

__all__ = ["traced"]

pytestmark = pytest.mark.django_db(transaction=True)


def held_in_trace() -> str:
    """Hold a unit in a request's trace. Returns the request's context."""
    level = make_level()
    assert traces.active is not None
    request = traces.active.request("POST", "/reserve", {"traceparent": TRACEPARENT})
    with traces.active.during(request):
        hold((level, 1))
    found = traces.active.traceparent(request)
    assert found
    return found


def fields_of(sink: RedisSink) -> list[dict[str, str]]:
    feed.tick()
    streams.drain(sink)
    with redis.Redis.from_url(settings.REDIS_URL, decode_responses=True) as client:
        found: Any = client.xrange(sink.name.removeprefix("redis "))
        client.delete(sink.name.removeprefix("redis "))
    sink.close()
    return [fields for _, fields in found]


def feed_bodies() -> list[dict[str, Any]]:
    return [json.loads(FeedEvent.of(event).body_for(None)) for event in events_after(feed.cursor_oldest())]


@pytest.mark.usefixtures("store")
def test_an_event_of_a_traced_request_carries_its_context_to_the_feed_and_to_streams(traced: Traced) -> None:
    feed.tick()
    context = held_in_trace()
    (published,) = [
        each for each in fields_of(RedisSink(settings.REDIS_URL, f"test:{uuid4()}")) if "res-" in each["subject"]
    ]
    assert published["traceparent"] == context
    (given,) = [each for each in feed_bodies() if each["type"] == "InventoryReservedEvent"]
    assert given["traceparent"] == context
    span = traced.span("publish redis")
    assert (span.kind, parent_of(span)) == (SpanKind.PRODUCER, None)
    assert links_of(span) == [context.split("-")[2]]


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize("is_on", [True, False])
def test_events_of_untraced_requests_are_as_they_were(is_on: bool, request: pytest.FixtureRequest) -> None:
    if is_on:
        request.getfixturevalue("traced")
    feed.tick()
    hold((make_level(), 1))
    assert set(OutboxEvent.objects.values_list("traceparent", flat=True)) == {None}
    for fields in fields_of(RedisSink(settings.REDIS_URL, f"test:{uuid4()}")):
        assert set(fields) == {
            *("specversion", "id", "source", "type", "time", "subject", "partitionkey", "feedcursor"),
            *("datacontenttype", "data"),
        }
    for body in feed_bodies():
        assert set(body) == {"cursor", "eventId", "type", "key", "timestamp", "payload"}
    if is_on:
        assert request.getfixturevalue("traced").spans("publish") == []


@pytest.mark.usefixtures("store")
def test_events_that_a_statement_makes_belong_to_the_current_trace(traced: Traced) -> None:

    level = make_level(25, max_stock_level=100)
    assert traces.active is not None
    with traces.active.during(traces.active.begin("request")) as span:
        hold((level, 20))
    kinds = dict(OutboxEvent.objects.exclude(traceparent=None).values_list("type", "traceparent"))
    assert kinds["LowStockAlertEvent"] == kinds["InventoryLevelChangedEvent"] == traces.active.traceparent(span)


@pytest.mark.parametrize("is_on", [True, False])
@pytest.mark.usefixtures("store")
def test_a_webhook_is_sent_in_the_trace_of_its_event(traced: Traced, is_on: bool) -> None:
    with HttpReceiver() as receiver, sending():
        webhook = subscribe(receiver.url(), types=["InventoryReservedEvent"])
        context = held_in_trace()
        if not is_on:
            traces.end()  # As where the relay doesn't trace.
        (received,) = receiver.wait_for(1)
        wait_until(lambda: not WebhookDelivery.objects.exists())
        (attempt,) = attempts_of(webhook)
    assert received.event["traceparent"] == context
    sent = received.headers["traceparent"]
    assert attempt.request["traceparent"] == sent
    if not is_on:
        assert sent == context
        return
    span = traced.span("POST webhook")
    assert sent == context_of(span)
    assert (span.kind, trace_of(span), parent_of(span)) == (SpanKind.CLIENT, TRACE_ID, context.split("-")[2])
    assert (span.attributes or {})["http.response.status_code"] == 204
    assert receiver.url() not in span.to_json()


def test_a_refused_attempt_is_a_failed_span(traced: Traced) -> None:
    for status in (500, 301, None):
        with traces.sending(TRACEPARENT) as attempt:
            attempt.note(status)
    assert [span.status.status_code for span in traced.spans("POST webhook")] == [StatusCode.ERROR] * 3
    assert [parent_of(span) for span in traced.spans("POST webhook")] == [CALLER] * 3


@pytest.mark.parametrize("text", ["", "nonsense", "00-0-0-00", f"ff-{TRACE_ID}-{CALLER}-01", "00-" + "é" * 32, "\0"])
def test_a_caller_s_context_that_is_none_begins_a_trace(traced: Traced, text: str) -> None:
    assert traces.active is not None
    with traces.active.during(traces.active.request("GET", "/", {"traceparent": text, "tracestate": text})):
        pass
    span = traced.span("GET")
    assert parent_of(span) is None
    assert trace_of(span) != TRACE_ID


def event_with(payload: dict[str, Any], **fields: Any) -> LoggedEvent:
    known = {"aggregate_type": "level", "key": "k", "type": "InventoryLevelChangedEvent", "xid": 1}
    (event,) = [LoggedEvent(feed.BEGINNING, uuid4(), payload=json.dumps(payload), created_at=None, **known, **fields)]  # type: ignore[arg-type]
    return event


def test_the_context_is_hidden_where_the_actor_is() -> None:
    event = event_with({"warehouseId": "wh-1"}, traceparent=TRACEPARENT)
    limited = Reach(frozenset({"main"}), frozenset({"wh-1"}), shared=frozenset({"wh-1"}))
    alone = Reach(frozenset({"main"}), frozenset({"wh-1"}))
    assert traceparent_in(FeedEvent.of(event).body_for(limited)) is None
    assert traceparent_in(FeedEvent.of(event).body_for(alone)) == TRACEPARENT
    assert traceparent_in(FeedEvent.of(event).body_for(None)) == TRACEPARENT


def test_an_event_that_is_too_large_for_a_webhook_has_its_context() -> None:
    event = event_with({"warehouseId": "wh-1", "text": "x" * bodies.MOST_BYTES}, traceparent=TRACEPARENT)
    body = bodies._body(event, FeedEvent.of(event).body_for(None))
    assert traceparent_in(body) == TRACEPARENT
    assert len(body) < 1000


_OFF = """
import sys
import redis  # Which imports OpenTelemetry's metrics itself, if it is installed.
before = set(sys.modules)
import django
django.setup()
import config.asgi, config.celery, config.tracing
from django.core.management import load_command_class
load_command_class("audit", "relay_events")
load_command_class("reservations", "consume_events")
from config.asgi_app import Application
assert type(config.asgi.application) is Application
print([name for name in set(sys.modules) - before if name.partition(".")[0] in ("opentelemetry", "google")])
from audit import traces
traces.begin_program("web")
assert traces.active is None
"""


def test_off_imports_nothing() -> None:
    found = subprocess.run([sys.executable, "-c", _OFF], capture_output=True, text=True, check=False)
    assert (found.stdout, found.returncode) == ("[]\n", 0), found.stderr


def test_the_migration_adds_the_column_at_once_to_every_partition() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*), count(*) FILTER (WHERE atthasmissing OR atthasdef) FROM pg_attribute"
            " JOIN pg_inherits ON inhrelid = attrelid WHERE inhparent = 'audit_outboxevent'::regclass"
            " AND attname = 'traceparent' AND NOT attnotnull"
        )
        have, rewritten = cursor.fetchone()
        cursor.execute("SELECT count(*) FROM pg_inherits WHERE inhparent = 'audit_outboxevent'::regclass")
        assert (have, rewritten) == (cursor.fetchone()[0], 0)
