"""Request and response bodies of check-availability."""

from typing import Annotated, Literal
from uuid import UUID

from msgspec import UNSET, Meta, UnsetType

from audit.api.contract import Answer, Body, Code, Quantity
from audit.api.texts import OpaqueId


class CheckLineIn(Body, kw_only=True):
    """A line to check; without a warehouse, in all active warehouses of the store."""

    product_id: UUID
    quantity: Quantity
    variant_id: UUID | None = None
    warehouse_id: Annotated[
        Code | None, Meta(description="The warehouse's code. If omitted: all warehouses that the store sells from.")
    ] = None


class CheckIn(Body, kw_only=True):
    """Check the availability of lines."""

    items: Annotated[
        list[CheckLineIn],
        Meta(min_length=1, max_length=200, description="The lines to check: at least one, at most 200."),
    ]
    store_id: Annotated[
        Code | None,
        Meta(description="The store's code. If omitted: the client's only store, or else the default store."),
    ] = None
    cart_id: Annotated[
        OpaqueId | None,
        Meta(description="The shopper's cart. What it holds in the store counts as available."),
    ] = None


class WarehouseAvailabilityOut(Answer, kw_only=True):
    """The sellable units of a line in one warehouse."""

    warehouse_id: str
    available_quantity: Annotated[int, Meta(description="The units that can be sold from it.")]


class CheckedLineOut(Answer, kw_only=True):
    """The availability of a line."""

    product_id: UUID
    variant_id: UUID | UnsetType = UNSET
    requested_quantity: Annotated[int, Meta(description="The units that were asked for.")]
    available_quantity: Annotated[int, Meta(description="The units that can be sold.")]
    warehouses: Annotated[
        list[WarehouseAvailabilityOut] | UnsetType,
        Meta(description="The units that can be sold, by warehouse; absent if the line names a warehouse."),
    ] = UNSET
    status: Annotated[
        Literal["AVAILABLE", "INSUFFICIENT", "OUT_OF_STOCK", "UNKNOWN_PRODUCT", "UNKNOWN_WAREHOUSE"],
        Meta(
            description="`AVAILABLE` if all units can be sold, `INSUFFICIENT` if some can, `OUT_OF_STOCK` if none can;"
            " `UNKNOWN_PRODUCT` or `UNKNOWN_WAREHOUSE` if there is none with the id of the line."
        ),
    ]


class CheckOut(Answer, kw_only=True):
    """The availability of all lines together, and of each."""

    available: Annotated[bool, Meta(description="Whether all lines can be reserved together.")]
    items: Annotated[list[CheckedLineOut], Meta(description="The lines, in the order of the request.")]
