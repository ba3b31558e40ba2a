"""A sink for tests, which keeps what is published."""

import threading
from collections.abc import Callable, Sequence

from audit.feed import LoggedEvent
from audit.streams import Unavailable


class KeptEvents:
    """A sink that keeps the keys of events; ``before`` is called before each batch, and may refuse it."""

    most_events = 3

    def __init__(self, name: str = "kept", before: Callable[[], None] = lambda: None) -> None:
        self.name = name
        self.keys: list[str] = []
        self.is_closed = False
        self._before = before
        self._mutex = threading.Lock()

    def publish(self, events: Sequence[LoggedEvent]) -> None:
        assert self._mutex.acquire(blocking=False), "two batches at a time"
        try:
            self._before()
            self.keys += [event.key for event in events]
        finally:
            self._mutex.release()

    def close(self) -> None:
        self.is_closed = True


def refuse() -> None:
    """Refuse a batch."""
    raise Unavailable("away", "nobody answers")
