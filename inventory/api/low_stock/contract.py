"""The bodies of the routes of low stock and its alerts (docs/explanation/rules.md, rule 6)."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from msgspec import UNSET, Meta, UnsetType

from audit.api.contract import Answer, Body, Code, OptionalBody, PageQuery
from audit.api.instants import Instant
from audit.api.texts import Text

Threshold = Annotated[
    float, Meta(gt=0, le=1, description="The share of its full level at which a level is low; counts to six decimals.")
]
SeverityName = Literal["LOW", "CRITICAL"]


class LowStockQuery(PageQuery, kw_only=True):
    """A filter of low levels."""

    warehouse_id: Code | None = None
    store_id: Code | None = None
    threshold: Threshold = 0.2
    severity: SeverityName | None = None


class LowStockItemOut(Answer, kw_only=True):
    """A low level. `currentStock` is the available quantity, without reserved units."""

    product_id: UUID
    variant_id: UUID | UnsetType = UNSET
    product_sku: str
    product_name: str
    warehouse_id: str
    current_stock: int
    reorder_point: int | None
    percentage_remaining: Annotated[
        float | None, Meta(description="Available, in per cent of the reorder point; null without one.")
    ]
    days_of_supply: Annotated[
        int | None, Meta(description="Whole days at the mean of the last 30 days' shipments; null without any.")
    ]
    suggested_order_quantity: Annotated[int | None, Meta(description="Units to order; incoming units count as there.")]
    status: SeverityName


class LowStockPageOut(Answer, kw_only=True):
    """A page of low levels, the critical first, the lowest share of the full level first. Counts are over all pages."""

    items: list[LowStockItemOut]
    total_items: int
    critical_items: int
    low_items: int
    next: str | None


class AlertsQuery(PageQuery, kw_only=True):
    """A filter of alerts."""

    warehouse_id: Code | None = None
    store_id: Code | None = None
    severity: SeverityName | None = None
    state: Literal["OPEN", "RESOLVED", "ALL"] = "OPEN"


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
    severity: SeverityName
    current_stock: int
    alerted_stock: int
    reorder_point: int | None
    opened_at: datetime
    worsened_at: datetime | None
    acknowledged_at: datetime | None
    acknowledged_by: str | None
    snoozed_until: datetime | None
    resolved_at: datetime | None


class AlertPageOut(Answer, kw_only=True):
    """A page of alerts, the newest first."""

    items: list[AlertOut]
    next: str | None


class AcknowledgeIn(OptionalBody, kw_only=True):
    """Acknowledge an alert: somebody takes care of it."""

    note: Text = ""


class SnoozeIn(Body, kw_only=True):
    """The time until which no reminders are sent; null ends a snooze."""

    until: Instant | None
    note: Text = ""
