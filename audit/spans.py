"""Spans of OpenTelemetry. Imported only where traces are on (``audit.traces``): needs the extra ``otel``.

No span has a value of a statement, a path, a name or an address of a caller: only the pattern of an address, and the
request's id. Exceptions are recorded by their class, as the texts of the database's errors have values.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, TypeVar

from django.db import connections
from django.db.backends.signals import connection_created
from opentelemetry import context as contexts
from opentelemetry.context import Context
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import (
    INVALID_SPAN,
    Link,
    Span,
    SpanKind,
    StatusCode,
    get_current_span,
    set_span_in_context,
    use_span,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from audit import traces
from audit.traces import TRACEPARENT, Attempt

T = TypeVar("T")
_MOST_STATEMENT: Final = 8192
"""How much of a statement's text a span has."""
_MOST_LINKS: Final = 128
_PROPAGATOR: Final = TraceContextTextMapPropagator()
_NOWHERE: Final = Context()
"""The context of a span that begins a trace."""


class Spans:
    """The spans of this process."""

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("inventory")
        connection_created.connect(_watch)
        for connection in connections.all(initialized_only=True):
            _watch(connection=connection)

    def shut_down(self) -> None:
        """Send all spans that have ended, and record no more."""
        self._provider.shutdown()

    def begin(
        self,
        name: str,
        *,
        parent: Context | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Mapping[str, str | int] | None = None,
        links: Sequence[Link] = (),
    ) -> Span:
        """Begin a span, which isn't the current one yet. Without a parent it is a part of the current span."""
        return self._tracer.start_span(name, parent, kind=kind, attributes=attributes, links=links)

    @contextmanager
    def during(self, span: Span) -> Iterator[Span]:
        """Run the block in a span, which ends with it."""
        try:
            with self.inside(span):
                yield span
        except BaseException as error:
            failed(span, type(error).__qualname__)
            raise
        finally:
            span.end()

    @contextmanager
    def inside(self, span: Span) -> Iterator[None]:
        """Run the block in a span that ends elsewhere."""
        with use_span(span, record_exception=False, set_status_on_exception=False):
            yield

    def current(self) -> Span | None:
        """The span that this code runs in; None if there is none."""
        span = get_current_span()
        return None if span is INVALID_SPAN or not span.get_span_context().is_valid else span

    def traceparent(self, span: Span | None = None) -> str | None:
        """The W3C context of a span, by default the current one; None if there is none."""
        span = span or self.current()
        if span is None:
            return None
        own = span.get_span_context()
        return f"00-{own.trace_id:032x}-{own.span_id:016x}-{own.trace_flags:02x}"

    # --- the kinds of spans ------------------------------------------------------------------------------------------

    def request(self, method: str, route: str, headers: Mapping[str, str]) -> Span:
        """Begin the span of a request, in the trace of its caller if it names one."""
        parent = _PROPAGATOR.extract(headers, _NOWHERE)
        attributes = {"http.request.method": method}
        span = self.begin(method, parent=parent, kind=SpanKind.SERVER, attributes=attributes)
        if route:
            name_request(span, method, route)
        return span

    def in_batch(self, work: Callable[..., T], requests: Sequence[Any], *arguments: Any) -> T:
        """Decide requests together, in one span: a part of the first request that is recorded, linked with the others.

        If no request is recorded, it begins a trace.
        """
        asking = [span for request in requests if (span := request.actor.span) is not None]
        first = next((span for span in asking if span.is_recording()), None)
        others = [span for span in asking if span is not first]
        parent = _NOWHERE if first is None else set_span_in_context(first, _NOWHERE)
        batch = self.begin(
            f"batch {getattr(work, '__name__', '')}".rstrip(),
            parent=parent,
            attributes={"inventory.batch.size": len(requests)},
            links=[Link(span.get_span_context()) for span in others],
        )
        for span in others:
            if span.is_recording():
                span.add_link(batch.get_span_context())
        with self.during(batch):
            return work(requests, *arguments)

    def statement(self, sql: Any, execute: Callable[[], T]) -> T:
        """Send a statement, in a span if this is a part of a trace that is recorded."""
        if not get_current_span().is_recording():
            return execute()
        # Only a str is certain to have no values: psycopg's composed statements may contain literals.
        text = sql.strip() if isinstance(sql, str) else ""
        operation = text.partition(" ")[0].partition("\n")[0].upper()[:32] or "SQL"
        attributes = {
            "db.system.name": "postgresql",
            "db.operation.name": operation,
            "db.query.text": text[:_MOST_STATEMENT],
        }
        with self.during(self.begin(operation, kind=SpanKind.CLIENT, attributes=attributes)):
            return execute()

    def task(self, name: str, traceparent: str | None) -> Span:
        """Begin the span of a background task, in the trace of what sent it."""
        return self.begin(
            f"task {name}",
            parent=_context_of(traceparent),
            kind=SpanKind.CONSUMER,
            attributes={"messaging.system": "celery", "messaging.operation.name": "process"},
        )

    @contextmanager
    def sending(self, traceparent: str | None) -> Iterator[Attempt]:
        """A span for the sending of an event to a webhook, in the event's trace. None for an event without one."""
        if traceparent is None:
            yield Attempt(None)
            return
        attributes = {"http.request.method": "POST"}
        span = self.begin("POST webhook", parent=_context_of(traceparent), kind=SpanKind.CLIENT, attributes=attributes)
        with self.during(span):
            yield _TracedAttempt(span, self.traceparent(span))

    @contextmanager
    def receiving(self, traceparents: Sequence[str | None]) -> Iterator[list[Span | None]]:
        """A span for incoming events that are applied together, linked with one for each that belongs to a trace."""
        attributes: dict[str, str | int] = {"messaging.operation.name": "process"}
        spans = [
            self.begin("receive event", parent=_context_of(each), kind=SpanKind.CONSUMER, attributes=attributes)
            if each and _link_to(each)
            else None
            for each in traceparents
        ]
        batch = self.begin(
            "receive events",
            parent=_NOWHERE,
            kind=SpanKind.CONSUMER,
            attributes=attributes | {"messaging.batch.message_count": len(spans)},
            links=[Link(span.get_span_context()) for span in spans if span],
        )
        try:
            with self.during(batch):
                yield spans
        finally:
            for span in spans:
                if span:
                    span.add_link(batch.get_span_context())
                    span.end()

    @contextmanager
    def publishing(self, destination: str, traceparents: Sequence[str | None]) -> Iterator[None]:
        """A span for the publishing of events to a stream, linked to their traces. No span if they belong to none."""
        linked = [link for each in dict.fromkeys(traceparents) if each and (link := _link_to(each))]
        if not linked:
            yield
            return
        span = self.begin(
            f"publish {destination}",
            parent=_NOWHERE,
            kind=SpanKind.PRODUCER,
            attributes={"messaging.operation.name": "publish", "messaging.batch.message_count": len(traceparents)},
            links=linked[:_MOST_LINKS],
        )
        with self.during(span):
            yield


class _TracedAttempt(Attempt):
    def __init__(self, span: Span, traceparent: str | None) -> None:
        super().__init__(traceparent)
        self._span = span

    def note(self, status: int | None) -> None:
        answered(self._span, status, least_failure=300)


def name_request(span: Span, method: str, route: str) -> None:
    """Name the span of a request by its method and the pattern of its address."""
    span.update_name(f"{method} {route}")
    span.set_attribute("http.route", route)


def answered(span: Span, status: int | None, *, least_failure: int = 500) -> None:
    """Set the status of the answer; None if there is none, which is a failure."""
    if status is not None:
        span.set_attribute("http.response.status_code", status)
    if status is None or status >= least_failure:
        failed(span, "no answer" if status is None else str(status))


def failed(span: Span, what: str) -> None:
    """Mark a span as failed."""
    span.set_attribute("error.type", what)
    span.set_status(StatusCode.ERROR)


def attach(span: Span) -> Any:
    """Make a span the current one, until ``detach`` gets what this returns."""
    return contexts.attach(set_span_in_context(span))


def detach(token: Any) -> None:
    """Make the span current that was before ``attach``."""
    contexts.detach(token)


def _context_of(traceparent: str | None) -> Context:
    return _PROPAGATOR.extract({TRACEPARENT: traceparent}, _NOWHERE) if traceparent else _NOWHERE


def _link_to(traceparent: str) -> Link | None:
    linked = get_current_span(_context_of(traceparent)).get_span_context()
    return Link(linked) if linked.is_valid else None


def _watch(connection: Any, **_: Any) -> None:
    """Trace the statements of a connection to the database."""
    if _statement not in connection.execute_wrappers:
        connection.execute_wrappers.append(_statement)


def _statement(execute: Callable[..., T], sql: Any, params: Any, many: bool, context: Any) -> T:
    if traces.active is None:
        return execute(sql, params, many, context)
    return traces.active.statement(sql, lambda: execute(sql, params, many, context))
