"""The query and the answer of the list of movements (docs/reference/api.md#stock)."""

from decimal import Decimal
from typing import Annotated
from uuid import UUID

from msgspec import UNSET, Meta, UnsetType

from audit.api.contract import Answer, Code, PageQuery, Time
from audit.api.instants import Instant
from audit.api.texts import Reference
from inventory.services.stock.movements import MovementType


class MovementsQuery(PageQuery, kw_only=True):
    """A filter of movements. Omitted fields mean any; a parent's id includes its variants."""

    product_id: Annotated[
        UUID | None, Meta(description="Only movements of this product and its variants, or of this variant.")
    ] = None
    variant_id: Annotated[UUID | None, Meta(description="Only movements of this variant.")] = None
    warehouse_id: Annotated[Code | None, Meta(description="Only movements in the warehouse with this code.")] = None
    type: Annotated[MovementType | None, Meta(description="Only movements of this kind.")] = None
    since: Annotated[Instant, Meta(description="From this moment on.")] | None = None
    until: Annotated[Instant, Meta(description="Before this moment.")] | None = None
    reference: Annotated[Reference | None, Meta(description="Only movements with this reference.")] = None


class MovementOut(Answer, kw_only=True):
    """One change of on hand; `quantityBefore + quantity = quantityAfter`.

    `reference` is given by the caller: with reference type `order` the order's id, with `adjustment` any text. If the
    movement belongs to a store that the client may not see, `reference`, `actor` and `reason` are empty and
    `costPerUnit` is absent.
    """

    movement_id: str
    product_id: UUID
    variant_id: UUID | UnsetType = UNSET
    warehouse_id: str
    type: Annotated[MovementType, Meta(description="The kind of movement.")]
    quantity: Annotated[int, Meta(description="The change of on hand, with its sign.")]
    quantity_before: Annotated[int, Meta(description="The units on hand before.")]
    quantity_after: Annotated[int, Meta(description="The units on hand after.")]
    reason: str
    reference_type: Annotated[str, Meta(description="What `reference` is: `order` for the id of an order.")]
    reference: Annotated[
        str, Meta(description="The order, adjustment or other document that it belongs to; empty if there is none.")
    ]
    cost_per_unit: Annotated[
        Decimal | UnsetType, Meta(description="What one unit cost; absent if that was not given.")
    ] = UNSET
    adjustment_id: Annotated[
        str | UnsetType, Meta(description="The adjustment that it is part of, `adj-<uuid>`; absent if there is none.")
    ] = UNSET
    actor: str
    created_at: Time


class MovementPageOut(Answer, kw_only=True):
    """A page of movements, the newest first."""

    items: Annotated[list[MovementOut], Meta(description="The movements of this page.")]
    next: str | None
