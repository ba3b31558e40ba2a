"""The bodies of the routes of low stock and its alerts (docs/explanation/rules.md, rule 6)."""

from typing import Annotated, Literal
from uuid import UUID

from msgspec import UNSET, Meta, UnsetType

from audit.api.contract import Answer, Body, Code, OptionalBody, PageQuery, Time
from audit.api.instants import Instant
from audit.api.texts import Text

Threshold = Annotated[
    float, Meta(gt=0, le=1, description="The share of its full level at which a level is low; counts to six decimals.")
]
SeverityName = Literal["LOW", "CRITICAL"]


class LowStockQuery(PageQuery, kw_only=True):
    """A filter of low levels."""

    warehouse_id: Annotated[Code | None, Meta(description="Only levels in the warehouse with this code.")] = None
    store_id: Annotated[
        Code | None, Meta(description="Only levels in the warehouses that the store with this code sells from.")
    ] = None
    threshold: Threshold = 0.2
    severity: Annotated[SeverityName | None, Meta(description="Only levels that are as low as this.")] = None


class LowStockItemOut(Answer, kw_only=True):
    """A low level. `currentStock` is the available quantity, without reserved units."""

    product_id: UUID
    variant_id: UUID | UnsetType = UNSET
    product_sku: str
    product_name: str
    warehouse_id: str
    current_stock: Annotated[int, Meta(description="The available units: reserved ones are left out.")]
    reorder_point: int | None
    percentage_remaining: Annotated[
        float | None, Meta(description="Available, in per cent of the reorder point; null without one.")
    ]
    days_of_supply: Annotated[
        int | None, Meta(description="Whole days at the mean of the last 30 days' shipments; null without any.")
    ]
    suggested_order_quantity: Annotated[int | None, Meta(description="Units to order; incoming units count as there.")]
    status: Annotated[SeverityName, Meta(description="How low the level is: `CRITICAL` is the worse.")]


class LowStockPageOut(Answer, kw_only=True):
    """A page of low levels, the critical first, the lowest share of the full level first. Counts are over all pages."""

    items: Annotated[list[LowStockItemOut], Meta(description="The low levels of this page.")]
    total_items: Annotated[int, Meta(description="How many levels are low, on all pages.")]
    critical_items: Annotated[int, Meta(description="How many of them are critical.")]
    low_items: Annotated[int, Meta(description="How many of them are low, but not critical.")]
    next: str | None


class AlertsQuery(PageQuery, kw_only=True):
    """A filter of alerts."""

    warehouse_id: Annotated[Code | None, Meta(description="Only alerts of the warehouse with this code.")] = None
    store_id: Annotated[
        Code | None, Meta(description="Only alerts of the warehouses that the store with this code sells from.")
    ] = None
    severity: Annotated[SeverityName | None, Meta(description="Only alerts of this severity.")] = None
    state: Annotated[Literal["OPEN", "RESOLVED", "ALL"], Meta(description="Only alerts in this state.")] = "OPEN"


class AlertOut(Answer, kw_only=True):
    """An alert: a level was low from `openedAt` until `resolvedAt`.

    `severity` is the worst severity so far, `alertedStock` the available quantity when it was reached, `currentStock`
    the available quantity now.
    """

    alert_id: str
    product_id: UUID
    variant_id: UUID | UnsetType = UNSET
    product_sku: str
    product_name: str
    warehouse_id: str
    severity: Annotated[SeverityName, Meta(description="The worst severity so far.")]
    current_stock: Annotated[int, Meta(description="The available units now.")]
    alerted_stock: Annotated[int, Meta(description="The available units when the severity was reached.")]
    reorder_point: int | None
    opened_at: Time
    worsened_at: Annotated[
        Time | None,
        Meta(description="When the alert became critical; null if it was so from the beginning or never became so."),
    ]
    acknowledged_at: Time | None
    acknowledged_by: str | None
    snoozed_until: Annotated[
        Time | None, Meta(description="Until when no reminders are sent; null if it is not snoozed.")
    ]
    resolved_at: Annotated[Time | None, Meta(description="When the level was no longer low; null while it is.")]


class AlertPageOut(Answer, kw_only=True):
    """A page of alerts, the newest first."""

    items: Annotated[list[AlertOut], Meta(description="The alerts of this page.")]
    next: str | None


class AcknowledgeIn(OptionalBody, kw_only=True):
    """Acknowledge an alert: somebody takes care of it."""

    note: Annotated[Text, Meta(description="A note for the people who read the history.")] = ""


class SnoozeIn(Body, kw_only=True):
    """The time until which no reminders are sent; null ends a snooze."""

    until: Annotated[Instant | None, Meta(description="When reminders are sent again; null ends a snooze.")]
    note: Text = ""
