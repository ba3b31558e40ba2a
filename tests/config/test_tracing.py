"""Traces of whole programs: what a web process sends to a collector, and the spans of background tasks."""

import gzip
import json
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from uuid import uuid4

import pytest
import redis
from celery import signals
from celery.app.trace import build_tracer
from django.conf import settings as django_settings
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.trace import SpanKind, StatusCode
from pytest_django import Settings

from audit import traces
from audit.authentication import issue_token
from audit.roles import Role
from audit.tasks import beat
from config import parsing, tracing
from config.celery import app
from tests.config.test_serve import Place
from tests.factories import make_client
from tests.traces import CALLER, TRACE_ID, TRACEPARENT, Traced, parent_of, trace_of, traced

__all__ = ["traced"]

PATIENCE_SECONDS = 60.0
PATH = "/api/v1/events"


class Collector:
    """A server that takes traces by OTLP over HTTP. With ``hangs`` it accepts them and never answers."""

    def __init__(self, *, hangs: bool = False) -> None:
        self.requests: list[tuple[str, dict[str, str], ExportTraceServiceRequest]] = []
        collector, self._gate = self, threading.Event()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                sent = {name.lower(): value for name, value in self.headers.items()}
                collector.requests.append((self.path, sent, ExportTraceServiceRequest.FromString(body)))
                if hangs:
                    collector._gate.wait(PATIENCE_SECONDS)
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Print nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> "Collector":
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._gate.set()
        self._server.shutdown()
        self._server.server_close()

    def resources(self) -> list[tuple[dict[str, str], list[Any]]]:
        """The attributes of what has sent spans, and these."""
        return [
            (
                {each.key: each.value.string_value for each in sent.resource.attributes},
                [span for scope in sent.scope_spans for span in scope.spans],
            )
            for _, _, request in self.requests
            for sent in request.resource_spans
        ]


class Server:
    """A web process that sends its traces to an address."""

    def __init__(self, endpoint: str, **environment: str) -> None:
        self._place = Place()
        self._place.environment |= {
            "GRANIAN_WORKERS": "1",
            "ALLOWED_HOSTS": "localhost",
            "SHUTDOWN_GRACE_SECONDS": "0",
            "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
            **environment,
        }

    def __enter__(self) -> "Server":
        self.process = self._place.start()
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            with suppress(OSError):
                self.ask("/health/live")
                return self
            assert self.process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.1)

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()

    def ask(self, path: str, **headers: str) -> int:
        asked = HTTPConnection("127.0.0.1", self._place.port, timeout=PATIENCE_SECONDS)
        asked.request("GET", path, headers={"Host": "localhost", **headers})
        status = asked.getresponse().status
        asked.close()
        return status

    def stop(self) -> tuple[float, str]:
        """End it by SIGTERM. Returns the seconds that it took, and what it wrote."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        written, _ = self.process.communicate(timeout=PATIENCE_SECONDS)
        return time.monotonic() - began, written


@pytest.mark.django_db(transaction=True)
def test_a_web_process_sends_its_traces_and_the_last_ones_when_it_is_stopped() -> None:
    token = issue_token(make_client(Role.MANAGER))
    headers = {"OTEL_EXPORTER_OTLP_HEADERS": "x-token=a%20secret", "OTEL_SERVICE_NAME": "stock"}
    with Collector() as collector, Server(collector.url, **headers) as server:
        status = server.ask(PATH, Authorization=f"Bearer {token}", traceparent=TRACEPARENT)
        _, written = server.stop()
        assert status == 200, written
        ((path, sent, _), *_) = collector.requests
        found = collector.resources()
    assert (path, sent["x-token"]) == ("/v1/traces", "a secret")
    assert "a secret" not in written
    (resource,) = {(each["service.name"], each["inventory.role"]) for each, _ in found}
    assert resource == ("stock", "web")
    spans = [span for _, spans in found for span in spans]
    (request,) = [span for span in spans if span.kind == 2]
    assert (request.name, request.trace_id.hex(), request.parent_span_id.hex()) == (f"GET {PATH}", TRACE_ID, CALLER)
    statements = [span for span in spans if span.parent_span_id == request.span_id]
    assert statements
    assert "SELECT" in {span.name for span in statements}
    assert token not in str(spans)


@pytest.mark.parametrize("is_there", [True, False], ids=["hangs", "is away"])
def test_a_collector_that_fails_delays_nobody(
    is_there: bool, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "1")
    monkeypatch.setattr(traces, "_END_SECONDS", 0.3)
    with Collector(hangs=True) as collector:
        settings.OTEL_EXPORTER_OTLP_ENDPOINT = collector.url if is_there else "http://127.0.0.1:9"
        tracing._begin("web")
        assert traces.active is not None
        began = time.monotonic()
        for _ in range(tracing.MOST_WAITING + 1000):  # More than fit into the queue.
            with traces.active.during(traces.active.request("GET", "/", {})):
                pass
        traces.end()
        assert time.monotonic() - began < PATIENCE_SECONDS / 2
    assert traces.active is None


@pytest.fixture
def hooked(settings: Settings, traced: Traced) -> Iterator[None]:
    """Celery's signals are handled, as where traces are configured."""
    settings.OTEL_EXPORTER_OTLP_ENDPOINT = "http://127.0.0.1:9"
    tracing.prepare()
    yield
    traces._begin = None
    for signal_, receiver in (
        (signals.worker_process_init, tracing._begin_worker),
        (signals.worker_process_shutdown, tracing._end_worker),
        (signals.before_task_publish, tracing._pass_on),
        (signals.task_prerun, tracing._begin_task),
        (signals.task_postrun, tracing._end_task),
    ):
        signal_.disconnect(receiver)


@pytest.mark.django_db
@pytest.mark.usefixtures("hooked")
def test_a_task_is_a_span_in_the_trace_of_what_sent_it(traced: Traced) -> None:
    queue = f"test-{uuid4()}"
    assert traces.active is not None
    with traces.active.during(traces.active.request("POST", "/import", {"traceparent": TRACEPARENT})):
        beat.apply_async(queue=queue)
    with redis.Redis.from_url(django_settings.REDIS_URL, decode_responses=True) as client:
        message: Any = client.lpop(queue)
        client.srem(f"_kombu.binding.{queue}", *(client.smembers(f"_kombu.binding.{queue}") or {""}))
    headers = json.loads(message)["headers"]
    assert headers["traceparent"].startswith(f"00-{TRACE_ID}-")
    task_id = headers["id"]
    build_tracer(beat.name, beat, app=app)(task_id, (), {}, request=headers)  # As a worker runs it.
    task = traced.span("task")
    assert (task.name, task.kind, trace_of(task)) == ("task audit.tasks.beat", SpanKind.CONSUMER, TRACE_ID)
    assert parent_of(task) == headers["traceparent"].split("-")[2]
    assert {trace_of(span) for span in traced.spans("INSERT")} == {TRACE_ID}
    assert tracing._running == {}


@pytest.mark.usefixtures("hooked")
def test_a_task_that_fails_is_a_failed_span_of_a_trace_of_its_own(traced: Traced) -> None:
    @app.task(name=f"test-{uuid4()}")  # type: ignore[untyped-decorator]
    def fails() -> None:
        raise ValueError("SECRET")

    fails.apply()
    app.tasks.pop(fails.name)
    task = traced.span("task")
    assert (task.status.status_code, parent_of(task)) == (StatusCode.ERROR, None)
    assert "SECRET" not in task.to_json()
    assert traces.active is not None
    assert traces.active.current() is None


@pytest.mark.parametrize("url", ["http://collector:4318", "https://c.example/otlp", "", " http://[::1]:4318 "])
def test_addresses_of_collectors(url: str) -> None:
    assert parsing.collector(url) == url.strip()


@pytest.mark.parametrize(
    "url", ["collector:4318", "ftp://c", "http://", "http://u:p@c", "http://c:0", "http://c:x", "\0"]
)
def test_other_addresses_are_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"URL|OTEL_EXPORTER_OTLP_HEADERS|control"):
        parsing.collector(url)


def test_headers_for_the_collector() -> None:
    assert parsing.headers("Authorization=Bearer%20a=b, x=,") == {"authorization": "Bearer a=b", "x": ""}
    for given in ("x", "=v", "a b=c", "x=%0aInjected: 1", "é=1"):
        with pytest.raises(ValueError, match=r"headers|control"):
            parsing.headers(given)
