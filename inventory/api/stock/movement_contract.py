"""The query and the answer of the list of movements (docs/reference/api.md#stock)."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated
from uuid import UUID

from msgspec import UNSET, Meta, UnsetType

from audit.api.contract import Answer, Code, PageQuery
from audit.api.instants import Instant
from audit.api.texts import Reference
from inventory.services.stock.movements import MovementType


class MovementsQuery(PageQuery, kw_only=True):
    """A filter of movements. Omitted fields mean any; a parent's id includes its variants."""

    product_id: UUID | None = None
    variant_id: UUID | None = None
    warehouse_id: Code | None = None
    type: MovementType | None = None
    since: Annotated[Instant, Meta(description="From this moment on.")] | None = None
    until: Annotated[Instant, Meta(description="Before this moment.")] | None = None
    reference: Reference | None = None


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
    type: MovementType
    quantity: int
    quantity_before: int
    quantity_after: int
    reason: str
    reference_type: str
    reference: str
    cost_per_unit: Decimal | UnsetType = UNSET
    adjustment_id: str | UnsetType = UNSET
    actor: str
    created_at: datetime


class MovementPageOut(Answer, kw_only=True):
    """A page of movements, the newest first."""

    items: list[MovementOut]
    next: str | None
