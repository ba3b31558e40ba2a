"""Request and response bodies of the route of incoming events."""

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, UnsetType

from audit.api.contract import Answer, ProblemError, Time

MOST_EVENTS = 500

EventId = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=255,
        description="Unique for each source. Use the same id when you send the event again.",
    ),
]
Source = Annotated[str, Meta(min_length=1, max_length=300, description="Where the event comes from.")]
TypeName = Annotated[
    str, Meta(min_length=1, max_length=255, description="The type, which may have a reverse DNS name in front.")
]
Data = Annotated[
    dict[str, Any], Meta(description="The fields of the event's type: see docs/reference/incoming-events.md.")
]


class EventIn(Answer, kw_only=True):
    """An event in the service's own envelope, with its id as `eventId`, or in the envelope of CloudEvents 1.0, with
    `specversion`, its id as `id`, and a `source`. Other fields are ignored."""

    type: TypeName
    data: Data
    event_id: EventId | UnsetType = UNSET
    specversion: Annotated[Literal["1.0"], Meta(description="The version of CloudEvents.")] | UnsetType = UNSET
    id: EventId | UnsetType = UNSET
    source: Source | UnsetType = UNSET
    timestamp: Annotated[Time, Meta(description="When it happened.")] | UnsetType = UNSET


Batch = Annotated[list[EventIn], Meta(min_length=1, max_length=MOST_EVENTS)]


class EventOutcomeOut(Answer, kw_only=True):
    """The outcome of one event."""

    event_id: Annotated[str | None, Meta(description="Null if it could not be read.")]
    type: Annotated[str | None, Meta(description="Null if it could not be read.")]
    outcome: Annotated[
        Literal["applied", "unchanged", "remembered", "refused", "dead_letter"],
        Meta(
            description="`applied`; `unchanged` if there was nothing to do; `remembered` if the order doesn't exist"
            " yet; `refused` with the reason; `dead_letter` if it was stored for staff, with the reason."
        ),
    ]
    duplicate: Annotated[
        bool, Meta(description="Whether the event was applied before; the outcome is then that of the first time.")
    ]
    reservation_ids: Annotated[list[str], Meta(description="The reservations concerned, `res-<uuid>`.")]
    code: Annotated[str, Meta(description="The reason, as in problems.")] | UnsetType = UNSET
    detail: Annotated[str, Meta(description="The reason, in words.")] | UnsetType = UNSET
    errors: Annotated[
        list[ProblemError] | UnsetType, Meta(description="What is wrong, each with its place in the event.")
    ] = UNSET


class InboxOut(Answer, kw_only=True):
    """The outcome of each event, in the order of the request."""

    outcomes: Annotated[
        list[EventOutcomeOut], Meta(description="The outcome of each event, in the order of the request.")
    ]
