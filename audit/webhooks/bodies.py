"""The bodies of webhooks, in the form that Standard Webhooks recommends: ``type``, ``timestamp`` and ``data``.

They also have ``eventId``, ``key`` and ``cursor``, as in the feed of events.
"""

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec
from uuid_utils.compat import uuid7

from audit.feed import Cursor, LoggedEvent
from audit.feed.selecting import FeedEvent, Reach, Selection
from audit.identifiers import EVENT, public_id
from audit.subscriptions import WebhookSubscription
from audit.traces import traceparent_in
from audit.webhooks.reach_port import reach_of

MOST_BYTES: Final = 20_000
"""Bodies are smaller than this: a larger event is sent without its data, with the path to read it."""
TEST_EVENT: Final = "WebhookTestEvent"
_FEED: Final = "/api/v1/events?after={cursor}&limit=1"


class NewDelivery(msgspec.Struct, frozen=True, gc=False):
    """A delivery that is to be added. ``cursor`` is the event's cursor in the log."""

    event_id: UUID
    type: str
    key: str
    cursor: str
    body: str


class Filter:
    """Which events a subscription gets, and which of their fields."""

    def __init__(self, types: Collection[str], reach: Reach | None, product_ids: Iterable[UUID]) -> None:
        self._selection = Selection(types=frozenset(types) or None, reach=reach)
        self._products = frozenset(map(str, product_ids))

    @classmethod
    def of(cls, subscription: WebhookSubscription) -> "Filter":
        """The filter of a subscription, with the warehouses that its stores currently sell from."""
        return cls(subscription.types, reach_of(subscription.store_codes), subscription.product_ids)

    def deliveries(self, events: Iterable[LoggedEvent]) -> list[NewDelivery]:
        """A delivery for each event that passes."""
        made = []
        for event in events:
            read = FeedEvent.of(event)
            if self._selection.sees(read) and (not self._products or not self._products.isdisjoint(read.products)):
                body = _body(event, read.body_for(self._selection.reach))
                made.append(NewDelivery(event.event_id, event.type, event.key, str(event.cursor), body))
        return made


def _body(event: LoggedEvent, as_in_feed: bytes) -> str:
    """The feed's JSON of an event, with ``data`` for ``payload``, which is its last field."""
    body = as_in_feed.replace(b',"payload":', b',"data":', 1)
    return (body if len(body) < MOST_BYTES else _thin(event, body)).decode()


def _thin(event: LoggedEvent, body: bytes) -> bytes:
    """The body of an event that is too large: how to read it, in place of its data."""
    traceparent = traceparent_in(body)
    before = Cursor(event.cursor.epoch, event.cursor.tick, event.cursor.position - 1)
    event_id = public_id(EVENT, event.event_id)
    return msgspec.json.encode(
        {
            "cursor": str(event.cursor),
            "eventId": event_id,
            "type": event.type,
            "key": event.key,
            "timestamp": event.created_at,
            **({"traceparent": traceparent} if traceparent else {}),
            "data": {"eventId": event_id, "tooLarge": True, "bytes": len(body), "path": _FEED.format(cursor=before)},
        }
    )


def test_delivery(now: datetime) -> NewDelivery:
    """An event without a change of stock, for testing a receiver."""
    event_id = uuid7()
    public = public_id(EVENT, event_id)
    body = {
        "eventId": public,
        "type": TEST_EVENT,
        "key": TEST_EVENT,
        "timestamp": now,
        "data": {"eventId": public, "timestamp": now, "message": "This is a test."},
    }
    return NewDelivery(event_id, TEST_EVENT, TEST_EVENT, "", msgspec.json.encode(body).decode())
