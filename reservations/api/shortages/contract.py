"""The bodies of the routes of incidents (docs/explanation/rules.md, rule 17)."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from msgspec import UNSET, Meta, UnsetType

from audit.api.contract import Answer, Body, Code, PageQuery
from audit.api.texts import NonEmptyText

IncidentStatus = Literal["OPEN", "RESOLVED"]
CauseId = Annotated[
    str,
    Meta(
        pattern=r"^(cnt|adj)-[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}(?!\n)$",
        description="`cnt-<uuid>` or `adj-<uuid>`",
    ),
]


class IncidentsQuery(PageQuery, kw_only=True):
    """The filters of the list of incidents."""

    status: IncidentStatus | None = None
    warehouse_id: Code | None = None
    product_id: UUID | None = None
    cause_id: CauseId | None = None


class BrokenHoldOut(Answer, kw_only=True):
    """A broken reservation, with its order, cart and customer, and the units it held on the incident's level."""

    reservation_id: str
    order_id: str | None
    cart_id: str | None
    customer_id: str | None
    quantity: int


class IncidentOut(Answer, kw_only=True):
    """The record that reservations were broken because a level had fewer units than were reserved. `hiddenUnits` are
    the units of broken reservations of other stores, which this client may not see."""

    incident_id: str
    status: IncidentStatus
    product_id: UUID
    variant_id: UUID | UnsetType = UNSET
    warehouse_id: str
    missing_units: int
    cause: Literal["COUNT", "ADJUSTMENT"]
    cause_id: str
    broken_reservations: list[BrokenHoldOut]
    hidden_units: int
    created_at: datetime
    created_by: str
    request_id: str
    resolved_at: datetime | None
    resolved_by: str
    resolution: str


class IncidentPageOut(Answer, kw_only=True):
    """A page of incidents, the newest first."""

    items: list[IncidentOut]
    next: str | None


class ResolveIncidentIn(Body, kw_only=True):
    """Resolve an incident, stating how it was resolved."""

    resolution: NonEmptyText
