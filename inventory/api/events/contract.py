"""The queries and answers of the feed of events (docs/reference/api.md#events)."""

from typing import Annotated, Any, Final
from uuid import UUID

from msgspec import UNSET, Meta, UnsetType

from audit.api.contract import Answer, Body, Code, Time, at_most_one
from audit.api.instants import Instant
from audit.errors import Fault

LONGEST_WAIT_SECONDS: Final = 30
LONGEST_CURSOR: Final = 20_000
"""The cursor of a page of levels contains the ids of the transactions that were running."""


class FeedFilter(Body, kw_only=True):
    """A filter of events. Omitted fields mean any."""

    after: (
        Annotated[
            str,
            Meta(
                max_length=LONGEST_CURSOR,
                description="The `cursor` of the page or event before; `now` for what comes from now on. Without it and"
                " `since`, from the oldest event that is kept.",
            ),
        ]
        | None
    ) = None
    since: Annotated[Instant, Meta(description="From this moment on; a few earlier events may be included.")] | None = (
        None
    )
    types: (
        Annotated[
            str,
            Meta(
                min_length=1,
                max_length=1000,
                description="Types of events, separated by commas.",
                examples=["InventoryReservedEvent,InventoryReleasedEvent"],
            ),
        ]
        | None
    ) = None
    product_id: (
        Annotated[
            UUID,
            Meta(description="A product with its variants, or a variant; also events that contain it among others."),
        ]
        | None
    ) = None
    variant_id: Annotated[UUID | None, Meta(description="Only events about this variant.")] = None
    store_id: (
        Annotated[Code, Meta(description="A store: its events, and those of the warehouses that it sells from.")] | None
    ) = None
    key: (
        Annotated[
            str, Meta(min_length=1, max_length=255, description="The key of the events, such as a reservation's id.")
        ]
        | None
    ) = None

    def contradictions(self) -> list[Fault]:
        return at_most_one({"after": self.after, "since": self.since}, prefix="?")


class EventsQuery(FeedFilter, kw_only=True):
    """A page of the feed."""

    limit: Annotated[int, Meta(ge=1, le=1000, description="The most events of the page.")] = 100
    wait: Annotated[
        int,
        Meta(
            ge=0,
            le=LONGEST_WAIT_SECONDS,
            description="Seconds to wait for an event if there is none yet. The answer comes with the first one.",
        ),
    ] = 0


class StreamQuery(FeedFilter, kw_only=True):
    """A stream of the feed."""


class FeedEventOut(Answer, kw_only=True):
    """An event. `payload` has the fields of its type (docs/reference/events.md)."""

    cursor: Annotated[str, Meta(description="Continues after this event.")]
    event_id: Annotated[str, Meta(description="`ev-<uuid>`: the same in each delivery of the event.")]
    type: Annotated[str, Meta(description="The type of the event, such as `InventoryReservedEvent`.")]
    key: Annotated[str, Meta(description="What it is about: events with the same key are delivered in order.")]
    timestamp: Annotated[Time, Meta(description="When it happened.")]
    traceparent: Annotated[
        str | UnsetType,
        Meta(description="The W3C trace context of the request that caused it; absent if that was not traced."),
    ] = UNSET
    payload: Annotated[dict[str, Any], Meta(description="The fields of the event's type.")]


class EventPageOut(Answer, kw_only=True):
    """Events in the order of the log."""

    events: Annotated[list[FeedEventOut], Meta(description="The events of this page, in the order of the log.")]
    cursor: Annotated[str, Meta(description="`after` of the next page. It advances even if there are no events.")]
    has_more: Annotated[bool, Meta(description="Whether more events may be available now. If not, wait.")]
