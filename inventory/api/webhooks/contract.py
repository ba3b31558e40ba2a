"""The bodies of the routes of webhooks (docs/guides/webhooks.md)."""

from typing import Annotated, Literal
from uuid import UUID

from msgspec import UNSET, Meta, UnsetType

from audit.api.contract import (
    Answer,
    Body,
    Code,
    ExpectedVersion,
    OptionalBody,
    PageQuery,
    RowVersion,
    Time,
    at_most_one,
    exactly_one,
)
from audit.api.instants import Instant
from audit.errors import Fault, Invalid
from inventory.api.catalogue.contract import Name
from inventory.api.events.contract import LONGEST_CURSOR
from inventory.events import InventoryLevelChangedEvent

Url = Annotated[
    str,
    Meta(
        pattern=r"^[!-~]+(?!\n)$",
        max_length=2000,
        description="Where events are sent to, by POST: https, at a public address, without user name and fragment.",
        examples=["https://example.com/webhooks"],
    ),
]
Types = Annotated[
    list[Annotated[str, Meta(pattern=r"^[A-Za-z]+(?!\n)$", max_length=64)]],
    Meta(
        max_length=100, description="Types of events; empty for all.", examples=[[InventoryLevelChangedEvent.__name__]]
    ),
]
StoreIds = Annotated[
    list[Code],
    Meta(
        max_length=200,
        description="Events of these stores, and of the warehouses that they sell from; empty for all.",
    ),
]
ProductIds = Annotated[
    list[UUID], Meta(max_length=1000, description="Events about one of these products or variants; empty for all.")
]
Fifo = Annotated[
    bool,
    Meta(
        description="Whether events with the same key are sent in order: each only after the previous one was"
        " acknowledged. Otherwise they are sent in parallel, and may arrive in any order."
    ),
]
EventId = Annotated[
    str,
    Meta(
        pattern=r"^ev-[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}(?!\n)$",
        description="`ev-<uuid>`, as in `webhook-id` and `eventId`.",
    ),
]


class WebhookIn(Body, kw_only=True):
    """A new webhook. It gets new events, or those after ``since`` or ``after``."""

    name: Name
    url: Url
    types: Types = []
    store_ids: StoreIds = []
    product_ids: ProductIds = []
    fifo: Fifo = False
    status: Annotated[Literal["active", "paused"], Meta(description="Whether events are sent from now on.")] = "active"
    since: Annotated[Instant, Meta(description="Send the events from this moment on.")] | None = None
    after: (
        Annotated[
            str,
            Meta(max_length=LONGEST_CURSOR, description="Send the events after this `cursor` of the feed or levels."),
        ]
        | None
    ) = None

    def contradictions(self) -> list[Fault]:
        return at_most_one({"since": self.since, "after": self.after})


class WebhookPatch(Body, kw_only=True):
    """Fields of a webhook to be replaced; others are kept."""

    name: Name | UnsetType = UNSET
    url: Url | UnsetType = UNSET
    types: Types | UnsetType = UNSET
    store_ids: StoreIds | UnsetType = UNSET
    product_ids: ProductIds | UnsetType = UNSET
    fifo: Fifo | UnsetType = UNSET
    status: (
        Annotated[
            Literal["active", "paused"],
            Meta(description="`active` resumes one that is paused or disabled where it stopped."),
        ]
        | UnsetType
    ) = UNSET
    expected_version: ExpectedVersion | None = None


class WebhookOut(Answer, kw_only=True):
    """A webhook."""

    webhook_id: Annotated[str, Meta(description="The webhook's id, `hook-<uuid>`.")]
    name: str
    url: Annotated[str, Meta(description="The address that events are sent to.")]
    types: Annotated[list[str], Meta(description="The types of the events that are sent; empty for all.")]
    store_ids: Annotated[list[str], Meta(description="The codes of the stores whose events are sent; empty for all.")]
    product_ids: Annotated[
        list[UUID], Meta(description="The products and variants whose events are sent; empty for all.")
    ]
    fifo: Annotated[bool, Meta(description="Whether events with the same key are sent in order.")]
    status: Annotated[
        Literal["active", "paused", "disabled"],
        Meta(description="Whether events are sent: `disabled` means that the service itself has stopped them."),
    ]
    disabled_reason: Annotated[
        Literal["gone", "failing"] | None,
        Meta(description="`gone`: the receiver answered 410. `failing`: it acknowledged nothing for 5 days."),
    ]
    failing_since: Annotated[Time | None, Meta(description="The first failure after the last success.")]
    missed_at: Annotated[
        Time | None,
        Meta(description="When events were found deleted (EVENT_RETENTION_DAYS) before they could be sent."),
    ]
    waiting: Annotated[int, Meta(description="Events that wait for an attempt, without those still in the log.")]
    failed: Annotated[int, Meta(description="Events that were given up. They can be sent again.")]
    public_keys: Annotated[
        list[str], Meta(description="`whpk_…`: verify the signatures `v1a` (ed25519). The newest first.")
    ]
    created_at: Time
    version: RowVersion


class WebhookSecretOut(WebhookOut, kw_only=True):
    """A webhook with its new secret."""

    secret: Annotated[
        str | None,
        Meta(
            description="`whsec_…`: verifies the signatures `v1` (HMAC-SHA256). Shown once: null if the request was"
            " sent again with the same Idempotency-Key."
        ),
    ]


class WebhookPageOut(Answer, kw_only=True):
    """A page of webhooks."""

    items: Annotated[list[WebhookOut], Meta(description="The webhooks of this page.")]
    next: str | None


class WebhookDeletedOut(Answer, kw_only=True):
    """The webhook that was deleted."""

    webhook_id: str


class RotateIn(OptionalBody, kw_only=True):
    """Make a new secret and a new key pair."""

    overlap_hours: Annotated[
        int,
        Meta(ge=0, le=168, description="How long requests are signed with the present ones, too; 0 ends them at once."),
    ] = 24


class ResendIn(Body, kw_only=True):
    """The events to send again: one event, those of a time, or those that failed. Exactly one of them."""

    event_id: EventId | None = None
    since: Annotated[Instant, Meta(description="All events from this moment on.")] | None = None
    until: Annotated[Instant, Meta(description="With `since`: only events before this moment.")] | None = None
    failed: (
        Annotated[Literal[True], Meta(description="Those that were given up, and those that wait for another attempt.")]
        | None
    ) = None

    def contradictions(self) -> list[Fault]:
        faults = exactly_one({"eventId": self.event_id, "since": self.since, "failed": self.failed})
        if self.until is not None and self.since is None:
            faults.append(Fault("/until", Invalid.code, "`until` belongs to `since`, which is missing."))
        return faults


class QueuedOut(Answer, kw_only=True):
    """Events that will be sent soon; the list of attempts has the results."""

    webhook_id: Annotated[str, Meta(description="The webhook's id, `hook-<uuid>`.")]
    event_id: Annotated[str | None, Meta(description="The event, if it is one.")]
    count: Annotated[int | None, Meta(description="How many, if that is known already.")]


class AttemptsQuery(PageQuery, kw_only=True):
    """A filter of attempts."""

    event_id: Annotated[EventId | None, Meta(description="Only attempts to deliver this event, `ev-<uuid>`.")] = None
    delivered: Annotated[bool | None, Meta(description="Only attempts that succeeded, or only those that failed.")] = (
        None
    )


class AttemptOut(Answer, kw_only=True):
    """An attempt to deliver an event."""

    attempt_id: Annotated[UUID, Meta(description="The attempt's id.")]
    at: Annotated[Time, Meta(description="When the attempt was made.")]
    event_id: str
    type: Annotated[str, Meta(description="The type of the event.")]
    key: Annotated[str, Meta(description="The key of the event.")]
    number: Annotated[int, Meta(description="1 for the first attempt of the event.")]
    url: Annotated[str, Meta(description="The address that the event was sent to.")]
    request_headers: Annotated[dict[str, str], Meta(description="Without the signatures.")]
    request_bytes: Annotated[int, Meta(description="The size of the body that was sent.")]
    status: Annotated[int | None, Meta(description="Null if there was no answer.")]
    answer: Annotated[str, Meta(description="The first kilobyte of the answer, or what went wrong.")]
    milliseconds: Annotated[int, Meta(description="How long the attempt took.")]
    delivered: Annotated[bool, Meta(description="Whether the receiver acknowledged the event.")]


class AttemptPageOut(Answer, kw_only=True):
    """A page of attempts, the newest first."""

    items: Annotated[list[AttemptOut], Meta(description="The attempts of this page.")]
    next: str | None
