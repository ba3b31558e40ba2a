"""Reads the log as its consumers do, to the end."""

from audit import feed
from audit.feed import Cursor, LoggedEvent


def events_after(cursor: Cursor, limit: int = 100) -> list[LoggedEvent]:
    """All events after a cursor, read in pages. Fails if a page is too long, or the end of the log isn't its end."""
    found: list[LoggedEvent] = []
    while True:
        page = feed.read_after(cursor, limit)
        assert len(page.events) <= limit
        found += page.events
        cursor = page.cursor
        if not page.has_more:
            assert not feed.read_after(cursor, limit).events
            return found


def keys_after(cursor: Cursor, limit: int = 100) -> list[str]:
    """The keys of all events after a cursor, read in pages."""
    return [event.key for event in events_after(cursor, limit)]
