"""The bodies of the routes of incidents (docs/explanation/rules.md, rule 17)."""

from typing import Annotated, Literal
from uuid import UUID

from msgspec import UNSET, Meta, UnsetType

from audit.api.contract import Answer, Body, Code, PageQuery, Time
from audit.api.texts import NonEmptyText

IncidentStatus = Literal["OPEN", "RESOLVED"]
CauseId = Annotated[
    str,
    Meta(
        pattern=r"^(cnt|adj)-[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}(?!\n)$",
        description="The count or adjustment, `cnt-<uuid>` or `adj-<uuid>`.",
    ),
]


class IncidentsQuery(PageQuery, kw_only=True):
    """The filters of the list of incidents."""

    status: Annotated[IncidentStatus | None, Meta(description="Only incidents in this state.")] = None
    warehouse_id: Annotated[Code | None, Meta(description="Only incidents in the warehouse with this code.")] = None
    product_id: Annotated[UUID | None, Meta(description="Only incidents of this product, or of this variant.")] = None
    cause_id: Annotated[CauseId | None, Meta(description="Only incidents that this count or adjustment caused.")] = None


class BrokenHoldOut(Answer, kw_only=True):
    """A broken reservation, with its order, cart and customer, and the units it held on the incident's level."""

    reservation_id: str
    order_id: str | None
    cart_id: str | None
    customer_id: str | None
    quantity: Annotated[int, Meta(description="The units that it held on the incident's level.")]


class IncidentOut(Answer, kw_only=True):
    """The record that reservations were broken because a level had fewer units than were reserved. `hiddenUnits` are
    the units of broken reservations of other stores, which this client may not see."""

    incident_id: str
    status: Annotated[IncidentStatus, Meta(description="Whether it is resolved.")]
    product_id: UUID
    variant_id: UUID | UnsetType = UNSET
    warehouse_id: str
    missing_units: Annotated[int, Meta(description="The units that reservations held and that were not there.")]
    cause: Annotated[Literal["COUNT", "ADJUSTMENT"], Meta(description="What found the shortage.")]
    cause_id: Annotated[
        str, Meta(description="The count or adjustment that found the shortage, `cnt-<uuid>` or `adj-<uuid>`.")
    ]
    broken_reservations: Annotated[
        list[BrokenHoldOut],
        Meta(description="The reservations that were broken, of the stores that the client may see."),
    ]
    hidden_units: Annotated[int, Meta(description="The units of broken reservations of other stores.")]
    created_at: Time
    created_by: Annotated[str, Meta(description="Who posted the count or adjustment.")]
    request_id: str
    resolved_at: Annotated[Time | None, Meta(description="When it was resolved; null if it was not.")]
    resolved_by: Annotated[str, Meta(description="Who resolved it; empty if nobody has.")]
    resolution: Annotated[str, Meta(description="How it was resolved; empty if it was not.")]


class IncidentPageOut(Answer, kw_only=True):
    """A page of incidents, the newest first."""

    items: Annotated[list[IncidentOut], Meta(description="The incidents of this page.")]
    next: str | None


class ResolveIncidentIn(Body, kw_only=True):
    """Resolve an incident, stating how it was resolved."""

    resolution: Annotated[NonEmptyText, Meta(description="How the incident was resolved.")]
