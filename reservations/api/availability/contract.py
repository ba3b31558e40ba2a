"""The bodies of check-availability."""

from typing import Annotated, Literal
from uuid import UUID

from msgspec import UNSET, Meta, UnsetType

from audit.api.contract import Answer, Body, Code, Quantity


class CheckLineIn(Body, kw_only=True):
    """A line to ask about. Without a warehouse: all of the store's active ones."""

    product_id: UUID
    quantity: Quantity
    variant_id: UUID | None = None
    warehouse_id: Code | None = None


class CheckIn(Body, kw_only=True):
    """What is available?"""

    items: Annotated[list[CheckLineIn], Meta(min_length=1, max_length=200)]
    store_id: Code | None = None


class WarehouseAvailabilityOut(Answer, kw_only=True):
    """What one warehouse has of a line."""

    warehouse_id: str
    available_quantity: int


class CheckedLineOut(Answer, kw_only=True):
    """What is sellable of a line."""

    product_id: UUID
    variant_id: UUID | UnsetType = UNSET
    requested_quantity: int
    available_quantity: int
    warehouses: list[WarehouseAvailabilityOut] | UnsetType = UNSET
    status: Literal["AVAILABLE", "INSUFFICIENT", "OUT_OF_STOCK", "UNKNOWN_PRODUCT"]


class CheckOut(Answer, kw_only=True):
    """Whether all lines are available, and each of them."""

    available: bool
    items: list[CheckedLineOut]
