"""The two forms of the feed: a page of JSON, and server-sent events."""

from typing import Final

from audit.feed.cursors import Cursor
from audit.feed.selecting import Reach, Selected

HEARTBEAT_SECONDS: Final = 15.0


def page_of(selected: Selected, reach: Reach | None) -> bytes:
    """The JSON of a page: ``events``, the ``cursor`` after them, and whether there are more."""
    events = b",".join(event.body_for(reach) for event in selected.events)
    more = b"true" if selected.has_more else b"false"
    return b'{"events":[%b],"cursor":"%b","hasMore":%b}' % (events, str(selected.cursor).encode(), more)


def stream_of(selected: Selected, reach: Reach | None) -> bytes:
    """The events as server-sent events, each with its cursor as ``id``."""
    return b"".join(
        b"id: %b\ndata: %b\n\n" % (str(event.cursor).encode(), event.body_for(reach)) for event in selected.events
    )


def heartbeat_of(cursor: Cursor) -> bytes:
    """A comment and the cursor as ``id``. Without data it is no event, but a client that reconnects sends this id."""
    return b": heartbeat\nid: %b\n\n" % str(cursor).encode()
