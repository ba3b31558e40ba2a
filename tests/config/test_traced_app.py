"""Traces of requests: a span each, in the trace of the caller, and what is done for them below it."""

import asyncio
import json
import threading
from typing import Any

import pytest
from django.db import DataError, connection
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind, StatusCode

from audit import traces
from audit.authentication import find_caller, issue_token
from audit.models import OutboxEvent
from audit.roles import Role
from config.traced_app import TracedApplication
from inventory import combining
from reservations.services.holds import placing, resolution
from tests.factories import lines, make_client, make_level
from tests.loops import run
from tests.traces import CALLER, TRACE_ID, TRACEPARENT, Traced, context_of, id_of, links_of, parent_of, trace_of, traced

__all__ = ["traced"]

pytestmark = pytest.mark.django_db(transaction=True)
RESERVE = "/api/v1/inventory/reserve"


@pytest.fixture(autouse=True)
def _unthrottled(settings: Any) -> None:
    """Disable throttling: a client that the throttle doesn't know yet is served in a thread."""
    settings.THROTTLE_REQUESTS_PER_MINUTE = 0


@pytest.fixture(autouse=True)
def _leaders_connect_anew(settings: Any) -> None:
    """Close the connections of the threads that lead batches: those from before the traces began are not traced."""
    for work in (placing.place_holds, resolution.consume_holds, resolution.release_holds):
        all_are_here = threading.Barrier(settings.GROUP_COMMIT_LEADERS)

        def close(barrier: threading.Barrier = all_are_here) -> None:
            barrier.wait(60)
            connection.close()

        threads = combining._shared(work, None)._threads
        for closed in [threads.submit(close) for _ in range(settings.GROUP_COMMIT_LEADERS)]:
            closed.result()


@pytest.fixture
def token() -> str:
    """The token of a client whom the loop serves."""
    found = issue_token(make_client(Role.MANAGER))
    assert find_caller(found)
    return found


async def ask(
    application: TracedApplication, method: str, path: str, token: str, body: Any = None, **headers: str
) -> tuple[int, bytes]:
    """Answer a request. Returns its status and its body."""
    content = b"" if body is None else json.dumps(body).encode()
    sent = {"authorization": f"Bearer {token}", "host": "localhost", "content-type": "application/json", **headers}
    path, _, query = path.partition("?")
    scope = {
        "type": "http",
        "path": path,
        "raw_path": path.encode(),
        "method": method,
        "query_string": query.encode(),
        "headers": [
            (b"content-length", str(len(content)).encode()),
            *((name.replace("_", "-").encode(), value.encode()) for name, value in sent.items()),
        ],
    }
    answer: list[dict[str, Any]] = []

    async def receive_() -> dict[str, Any]:
        return {"type": "http.request", "body": content, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        answer.append(message)

    await application(scope, receive_, send)
    return answer[0]["status"], b"".join(message.get("body", b"") for message in answer)


def hold_of(level: Any, quantity: int = 1, **fields: Any) -> dict[str, Any]:
    return {"items": lines((level, quantity)), "cartId": "cart", **fields}


def statements_below(traced: Traced, span: ReadableSpan) -> list[ReadableSpan]:
    return [each for each in traced.spans() if parent_of(each) == id_of(span) and each.kind is SpanKind.CLIENT]


def test_a_hold_is_one_trace_from_its_caller_to_its_event(traced: Traced, token: str, store: Any) -> None:
    level = make_level(5)
    status, answer = run(
        ask(TracedApplication(), "POST", RESERVE, token, hold_of(level), traceparent=TRACEPARENT, tracestate="shop=7")
    )
    assert status == 201, answer
    request = traced.span("POST")
    assert (request.name, request.kind, parent_of(request), trace_of(request)) == (
        f"POST {RESERVE}",
        SpanKind.SERVER,
        CALLER,
        TRACE_ID,
    )
    assert request.context.trace_state.get("shop") == "7"
    assert request.attributes
    assert set(request.attributes) == {
        "http.request.method",
        "http.route",
        "http.response.status_code",
        "inventory.request_id",
    }
    batch = traced.span("batch")
    assert (batch.name, parent_of(batch), links_of(batch)) == ("batch place_holds", id_of(request), [])
    statements = statements_below(traced, batch)
    assert {span.name for span in statements} >= {"SELECT", "WITH"}
    assert all(span.attributes and "%s" in str(span.attributes["db.query.text"]) for span in statements)
    published = OutboxEvent.objects.filter(type__in=("InventoryReservedEvent", "InventoryLevelChangedEvent"))
    events = list(published.order_by("created_at"))
    traceparents = {event.type: event.traceparent for event in events[-2:]}
    assert traceparents == dict.fromkeys(("InventoryReservedEvent", "InventoryLevelChangedEvent"), context_of(request))


def test_a_batch_is_linked_to_its_requests_and_each_event_belongs_to_its_own(
    traced: Traced, token: str, store: Any, settings: Any
) -> None:
    settings.GROUP_COMMIT_LEADERS = 1
    level = make_level(50)
    application = TracedApplication()

    async def many() -> list[tuple[int, bytes]]:
        return await asyncio.gather(
            *(ask(application, "POST", RESERVE, token, hold_of(level, cartId=f"cart-{n}")) for n in range(8))
        )

    answers = run(many())
    assert [status for status, _ in answers] == [201] * 8
    requests = {id_of(span): span for span in traced.spans("POST")}
    assert len({trace_of(span) for span in requests.values()}) == 8  # Nobody named a trace: each begins its own.
    batches = traced.spans("batch")
    assert sum(int(str((span.attributes or {})["inventory.batch.size"])) for span in batches) == 8
    assert len(batches) < 8
    shown = sorted(str(each) for span in batches for each in (parent_of(span), *links_of(span)))
    assert shown == sorted(requests)
    for batch in batches:
        for other in links_of(batch):
            assert links_of(requests[other]) == [id_of(batch)]
    by_cart = {
        event.payload["cartId"]: event.traceparent
        for event in OutboxEvent.objects.filter(type="InventoryReservedEvent")
    }
    assert sorted(by_cart) == [f"cart-{n}" for n in range(8)]
    assert sorted(map(str, by_cart.values())) == sorted(context_of(span) for span in requests.values())


def test_a_consumed_and_a_released_hold_belong_to_the_traces_of_those_calls(
    traced: Traced, token: str, store: Any
) -> None:
    level = make_level(5)
    application = TracedApplication()
    held = [json.loads(run(ask(application, "POST", RESERVE, token, hold_of(level)))[1]) for _ in range(2)]
    base = "/api/v1/inventory/"
    calls = {
        "InventoryConsumedEvent": ("consume", {"reservationId": held[0]["reservationId"], "orderId": "o-1"}),
        "InventoryReleasedEvent": ("release", {"reservationId": held[1]["reservationId"], "reason": "CANCELLED"}),
    }
    for call, body in calls.values():
        status, answer = run(ask(application, "POST", base + call, token, body))
        assert status == 200, answer
    for event, (call, _) in calls.items():
        request = traced.span(f"POST {base}{call}")
        assert OutboxEvent.objects.get(type=event).traceparent == context_of(request)


def test_spans_of_other_routes_are_named_by_pattern_and_have_nothing_that_was_asked_for(
    traced: Traced, token: str, store: Any
) -> None:
    level = make_level()
    application = TracedApplication()
    secret = f"SECRET-{level.product_id}"
    status, _ = run(ask(application, "GET", f"/api/v1/inventory/products/{secret}?q={secret}", token))
    assert status in {400, 404}
    assert run(ask(application, "GET", f"/nowhere/{secret}", token))[0] == 404
    assert run(ask(application, "BREW", RESERVE, token))[0] == 405
    run(ask(application, "GET", f"/api/v1/inventory/availability?productId={level.product_id}", token))
    assert run(ask(application, "GET", "/health/live", token))[0] == 200
    names = [span.name for span in traced.spans() if span.kind is SpanKind.SERVER]
    assert len(names) == 4
    assert names[1] == "GET /<path:path>"
    assert names[2].startswith("_OTHER")
    written = "".join(span.to_json() for span in traced.spans())
    for value in (secret, str(level.product_id), token, level.product.sku):
        assert value not in written


def test_an_error_of_the_database_is_recorded_without_its_text(traced: Traced) -> None:
    assert traces.active is not None
    with (
        traces.active.during(traces.active.begin("a request")),
        pytest.raises(DataError, match="SECRET"),
        connection.cursor() as cursor,
    ):
        cursor.execute("SELECT %s::text::int", ["SECRET"])
    failed = traced.span("SELECT")
    assert failed.status.status_code is StatusCode.ERROR
    assert (failed.attributes or {})["error.type"] == "DataError"
    assert "SECRET" not in failed.to_json()


def test_statements_outside_of_a_trace_have_no_spans(traced: Traced) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    assert traced.spans() == []
