"""Traces: the spans of requests, batches, statements, tasks and deliveries, and the trace that an event belongs to.

They are off unless a program begins them (``config.tracing``). While they are off, nothing of OpenTelemetry is
imported, and code that could trace only looks at ``active``.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import msgspec

if TYPE_CHECKING:
    from audit.spans import Spans

active: "Spans | None" = None
"""The spans of this process; None while traces are off."""
TRACEPARENT: Final = "traceparent"
_END_SECONDS: Final = 3.0
"""How long a process that ends waits until its last spans are sent."""
_begin: Callable[[str], None] | None = None


def when_program_begins(begin: Callable[[str], None]) -> None:
    """Set the function that begins to trace, given a program's role. Called by ``config.tracing``."""
    global _begin  # noqa: PLW0603 - a process has one way to trace
    _begin = begin


def begin_program(role: str) -> None:
    """Trace in a program that runs until it is stopped, if traces are on. Called at its start, with its role."""
    if _begin is not None:
        _begin(role)


def activate(spans: "Spans") -> None:
    """Trace with these spans from now on."""
    global active  # noqa: PLW0603 - as above
    active = spans


def end() -> None:
    """Trace no more, and send what isn't sent yet, for a few seconds at most."""
    global active
    ended, active = active, None
    if ended is not None:
        sending = threading.Thread(target=ended.shut_down, name="traces-end", daemon=True)
        sending.start()
        sending.join(_END_SECONDS)


class _Traced(msgspec.Struct):
    traceparent: str | None = None


_TRACED: Final = msgspec.json.Decoder(_Traced)


def traceparent_in(body: str | bytes) -> str | None:
    """The trace that an event belongs to, by its JSON; None if it belongs to none, or the body isn't JSON."""
    try:
        return _TRACED.decode(body).traceparent
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


@contextmanager
def inside(span: Any) -> Iterator[None]:
    """Run the block in a span that was begun elsewhere; None means in no span."""
    if active is None or span is None:
        yield
        return
    with active.inside(span):
        yield


class Attempt:
    """An attempt to send an event. ``traceparent`` is what goes with it, None if the event belongs to no trace."""

    def __init__(self, traceparent: str | None) -> None:
        self.traceparent = traceparent

    def note(self, status: int | None) -> None:
        """Note the status of the answer; None if there was none."""


@contextmanager
def sending(traceparent: str | None) -> Iterator[Attempt]:
    """A span for the sending of an event, in the event's trace. While traces are off the event's context is passed on
    as it is."""
    if active is None:
        yield Attempt(traceparent)
        return
    with active.sending(traceparent) as attempt:
        yield attempt


@contextmanager
def receiving(bodies: Sequence[bytes]) -> Iterator[list[Any]]:
    """A span for incoming events that are applied together, and one for each event that belongs to a trace. Yields the
    latter, by event, and None for the other events."""
    if active is None:
        yield [None] * len(bodies)
        return
    with active.receiving([traceparent_in(body) for body in bodies]) as spans:
        yield spans


@contextmanager
def publishing(destination: str, traceparents: Sequence[str | None]) -> Iterator[None]:
    """A span for the publishing of events to a stream, linked to the traces that they belong to."""
    if active is None:
        yield
        return
    with active.publishing(destination, traceparents):
        yield
