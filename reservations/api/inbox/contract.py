"""Request and response bodies of the route of incoming events."""

from datetime import datetime
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, UnsetType

from audit.api.contract import Answer, ProblemError

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


class CloudEventIn(Answer, kw_only=True):
    """An event in the envelope of CloudEvents 1.0. Other attributes are ignored."""

    specversion: Literal["1.0"]
    id: EventId
    source: Source
    type: TypeName
    data: Data


class EventIn(Answer, kw_only=True):
    """An event in the service's own envelope."""

    event_id: EventId
    type: TypeName
    data: Data
    source: Source | UnsetType = UNSET
    timestamp: datetime | UnsetType = UNSET


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
    errors: list[ProblemError] | UnsetType = UNSET


class InboxOut(Answer, kw_only=True):
    """The outcome of each event, in the order of the request."""

    outcomes: list[EventOutcomeOut]
