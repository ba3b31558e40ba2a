"""Events as CloudEvents 1.0 (cloudevents.io): the attributes that go beside the payload, which is the data."""

from typing import Final

import msgspec
from django.conf import settings

from audit.feed import LoggedEvent
from audit.identifiers import EVENT, public_id
from audit.traces import TRACEPARENT

CONTENT_TYPE: Final = "application/json"


def attributes(event: LoggedEvent) -> dict[str, str]:
    """The attributes of an event, except ``datacontenttype``.

    ``id`` is the payload's ``eventId`` and ``time`` its ``timestamp``; ``subject`` is the kind and the identifier of
    what the event is about. Two are extensions: ``partitionkey`` is the key, whose events are in order, and
    ``feedcursor`` the cursor after which the feed continues. An event that belongs to a trace has the extension
    ``traceparent``, too.
    """
    traced = {TRACEPARENT: event.traceparent} if event.traceparent else {}
    return {
        "specversion": "1.0",
        "id": public_id(EVENT, event.event_id),
        "source": settings.EVENT_SOURCE,
        "type": event.type,
        "time": msgspec.to_builtins(event.created_at),
        "subject": f"{event.aggregate_type}/{event.key}",
        "partitionkey": event.key,
        "feedcursor": str(event.cursor),
        **traced,
    }
