"""The protocol of sinks."""

from collections.abc import Sequence
from typing import Protocol

from audit.feed import LoggedEvent


class Unavailable(Exception):
    """A sink doesn't accept events now. ``cause`` is a short name, under which it is logged once a minute."""

    def __init__(self, cause: str, detail: str) -> None:
        super().__init__(detail)
        self.cause = cause


class Sink(Protocol):
    """Where events are published. A sink is used by one thread at a time, and connects when it is first used."""

    name: str
    """Its kind and destination, such as ``redis inventory:events``. A sink with a new name starts with the oldest
    event."""
    most_events: int
    """The most events of a batch."""

    def publish(self, events: Sequence[LoggedEvent]) -> None:
        """Publish events in their order, and return once all are acknowledged, within a bounded time.

        Raises Unavailable. Some of the events may have been published then; the next call starts with the same event.
        """

    def close(self) -> None:
        """Close its connections. It connects again if it is used."""
