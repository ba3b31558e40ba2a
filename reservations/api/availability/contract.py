"""Request and response bodies of check-availability."""

from typing import Annotated, Literal
from uuid import UUID

from msgspec import UNSET, Meta, UnsetType

from audit.api.contract import Answer, Body, Code, Quantity


class CheckLineIn(Body, kw_only=True):
    """A line to check; without a warehouse, in all active warehouses of the store."""

    product_id: UUID
    quantity: Quantity
    variant_id: UUID | None = None
    warehouse_id: Code | None = None


class CheckIn(Body, kw_only=True):
    """Check the availability of lines."""

    items: Annotated[list[CheckLineIn], Meta(min_length=1, max_length=200)]
    store_id: Code | None = None


class WarehouseAvailabilityOut(Answer, kw_only=True):
    """The sellable units of a line in one warehouse."""

    warehouse_id: str
    available_quantity: int


class CheckedLineOut(Answer, kw_only=True):
    """The availability of a line."""

    product_id: UUID
    variant_id: UUID | UnsetType = UNSET
    requested_quantity: int
    available_quantity: int
    warehouses: list[WarehouseAvailabilityOut] | UnsetType = UNSET
    status: Literal["AVAILABLE", "INSUFFICIENT", "OUT_OF_STOCK", "UNKNOWN_PRODUCT"]


class CheckOut(Answer, kw_only=True):
    """The availability of all lines together, and of each."""

    available: bool
    items: list[CheckedLineOut]
