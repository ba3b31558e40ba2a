"""Traces that are on for a test, and the spans that have ended."""

from collections.abc import Iterator

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from audit import traces
from audit.spans import Spans

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
CALLER = "00f067aa0ba902b7"
TRACEPARENT = f"00-{TRACE_ID}-{CALLER}-01"
"""The context of a caller whose trace is recorded."""


class Traced:
    """The spans that have ended since the test began."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self.provider = TracerProvider(shutdown_on_exit=False)
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))

    def spans(self, *prefixes: str) -> list[ReadableSpan]:
        """Those whose names begin so, in the order in which they began."""
        found = [span for span in self._exporter.get_finished_spans() if span.name.startswith(prefixes or "")]
        return sorted(found, key=lambda span: span.start_time or 0)

    def span(self, prefix: str) -> ReadableSpan:
        """The only one whose name begins so."""
        (found,) = self.spans(prefix)
        return found


def trace_of(span: ReadableSpan) -> str:
    """The id of a span's trace."""
    return f"{span.context.trace_id:032x}"


def id_of(span: ReadableSpan) -> str:
    """The id of a span."""
    return f"{span.context.span_id:016x}"


def parent_of(span: ReadableSpan) -> str | None:
    """The id of the span that a span is a part of; None if it begins a trace."""
    return f"{span.parent.span_id:016x}" if span.parent else None


def links_of(span: ReadableSpan) -> list[str]:
    """The ids of the spans that a span is linked to."""
    return sorted(f"{link.context.span_id:016x}" for link in span.links)


def context_of(span: ReadableSpan) -> str:
    """The W3C context of a span."""
    return f"00-{trace_of(span)}-{id_of(span)}-{span.context.trace_flags:02x}"


@pytest.fixture
def traced() -> Iterator[Traced]:
    """Traces that are on."""
    found = Traced()
    traces.activate(Spans(found.provider))
    try:
        yield found
    finally:
        traces.end()
