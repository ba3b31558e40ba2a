"""Publishing of the next batch of the log to a sink."""

from dataclasses import dataclass

from django.db import transaction

from audit import feed, traces
from audit.streams import cursors
from audit.streams.sinks import Sink


@dataclass(frozen=True, slots=True)
class Published:
    """What was published: the number of events, and whether the log has more."""

    events: int
    has_more: bool


def publish_next(sink: Sink) -> Published:
    """Claim a sink's cursor, publish what follows it, and store the cursor after it.

    Opens the transaction, and the claim ends with it: if this process dies or loses its connection, another relay
    continues from the stored cursor. Raises ClaimedElsewhere, Unavailable, Archived and DatabaseError; the cursor isn't
    moved then.
    """
    with transaction.atomic(durable=True):
        cursor = cursors.claim(sink.name)
        page = feed.read_after(cursor, sink.most_events)
        if page.events:
            cursors.begin_to_wait()
            with traces.publishing(sink.name, [event.traceparent for event in page.events]):
                sink.publish(page.events)
        if page.cursor != cursor:
            cursors.store(sink.name, page.cursor)
    return Published(len(page.events), page.has_more)
