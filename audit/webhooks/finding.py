"""Find an event of the log by its id, which isn't indexed: by an attempt to send it, or by the time in the id."""

from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from audit import feed
from audit.feed import Cursor, LoggedEvent
from audit.subscriptions import WebhookAttempt

_AROUND: Final = timedelta(seconds=60)
"""How far the clocks of the service's machines may differ, and a transaction may last."""
_MOST_PAGES: Final = 50


def find_event(webhook_id: UUID, event_id: UUID) -> LoggedEvent | None:
    """An event of the log; None if there is none. Raises Archived if it may have been deleted."""
    tried = WebhookAttempt.objects.filter(subscription_id=webhook_id, event_id=event_id).exclude(cursor="").first()
    if tried:
        at = Cursor.parse(tried.cursor)
        page = feed.read_after(Cursor(at.epoch, at.tick, at.position - 1), 1)
        return next((event for event in page.events if event.event_id == event_id), None)
    if event_id.version != 7:
        return None
    made_at = datetime.fromtimestamp((event_id.int >> 80) / 1000, UTC)
    feed.tick(waits=True)
    cursor = feed.cursor_at(made_at - _AROUND)
    for _ in range(_MOST_PAGES):
        page = feed.read_after(cursor, feed.MOST_EVENTS)
        for event in page.events:
            if event.event_id == event_id:
                return event
        cursor = page.cursor
        if not page.has_more or (page.events and page.events[0].created_at > made_at + _AROUND):
            return None
    return None
