"""The bodies of the routes of levels, adjustments and the catalogue (requirement text 002 and api.md)."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

from audit.contract import Answer, Body, Code, NonEmptyText, OptionalBody, PageQuery, ShortText, Text

SignedQuantity = Annotated[
    int, Meta(ge=-1_000_000, le=1_000_000, description="Units; negative only for an ADJUSTMENT, never 0.")
]
Units = Annotated[int, Meta(ge=0, le=2_000_000_000, description="Units.")]
PositiveUnits = Annotated[int, Meta(ge=1, le=2_000_000_000, description="Units.")]
Incoming = Annotated[int, Meta(description="Units in transit to this level: not on hand yet, never sellable.")]
LocationPart = Annotated[str, Meta(max_length=10, pattern=r"^[^\x00-\x1f\x7f]*(?!\n)$")]
Name = Annotated[str, Meta(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]*(?!\n)$")]
ProductName = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]*(?!\n)$")]
Sku = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f\x7f]*(?!\n)$")]
Barcode = Annotated[str, Meta(max_length=64, pattern=r"^[^\x00-\x1f\x7f]*(?!\n)$")]
Priority = Annotated[int, Meta(ge=0, le=32767, description="The lowest is tried first.")]
StoreMinutes = Annotated[int, Meta(ge=1, le=60, description="How long the store's holds live, in minutes.")]
EndOfFreeze = Annotated[
    datetime, Meta(tz=True, description="When it ends by itself; without it, when somebody lifts it.")
]
MostUnits = Annotated[
    int, Meta(ge=1, le=2_000_000_000, description="The most units that one customer or cart may hold at a time.")
]
MostHolds = Annotated[
    int, Meta(ge=1, le=1_000_000, description="The most holds that one customer or cart may open in the window.")
]
WindowMinutes = Annotated[int, Meta(ge=1, le=10_080, description="The window of maxHoldsPerCustomer, in minutes.")]
AdjustmentType = Literal["RECEIPT", "SHIPMENT", "ADJUSTMENT", "RETURN"]
WarehouseType = Literal["MAIN", "SECONDARY", "DROPSHIP"]


class AdjustmentIn(Body, kw_only=True):
    """A change of on hand. RECEIPT and RETURN add, SHIPMENT takes away, ADJUSTMENT is signed."""

    product_id: UUID
    warehouse_id: Code
    quantity: SignedQuantity
    type: AdjustmentType
    reason: NonEmptyText
    variant_id: UUID | None = None
    reference: ShortText = ""
    cost_per_unit: Decimal | None = None
    expected_version: int | None = None
    force: Annotated[
        bool,
        Meta(description="For managers, and an ADJUSTMENT only: where too little is left, the newest holds give way."),
    ] = False


class AdjustIn(Body, kw_only=True):
    """All lines, or none."""

    adjustments: Annotated[list[AdjustmentIn], Meta(min_length=1, max_length=200)]


class AdjustedLineOut(Answer, kw_only=True):
    """A change of on hand as it was applied; ``previousQuantity + adjustedQuantity = newQuantity``."""

    product_id: UUID
    variant_id: UUID | UnsetType = UNSET
    warehouse_id: str
    previous_quantity: int
    adjusted_quantity: int
    new_quantity: int
    type: AdjustmentType


class AdjustedOut(Answer, kw_only=True):
    """What was changed."""

    adjustment_id: str
    status: Literal["COMPLETED"]
    adjustments: list[AdjustedLineOut]
    adjusted_at: datetime
    adjusted_by: str


class LocationOut(Answer, kw_only=True):
    """Where in the warehouse."""

    zone: str
    aisle: str
    shelf: str


class LevelOut(Answer, kw_only=True):
    """What one warehouse has of a product."""

    warehouse_id: str
    warehouse_name: str
    quantity_on_hand: int
    quantity_reserved: int
    quantity_available: int
    incoming_quantity: Incoming
    version: int
    reorder_point: int | UnsetType = UNSET
    reorder_quantity: int | UnsetType = UNSET
    min_stock_level: int | UnsetType = UNSET
    max_stock_level: int | UnsetType = UNSET
    location: LocationOut | UnsetType = UNSET


class MovedOut(Answer, kw_only=True):
    """Units moved; ``adjusted`` is signed."""

    received: int
    shipped: int
    adjusted: int


class MovementsOut(Answer, kw_only=True):
    """What moved lately."""

    last24_hours: MovedOut = msgspec.field(name="last24Hours")


class ProductLevelsOut(Answer, kw_only=True):
    """What there is of a product, in all and by warehouse."""

    product_id: UUID
    variant_id: UUID | UnsetType = UNSET
    total_quantity: int
    total_available: int
    total_reserved: int
    warehouses: list[LevelOut]
    movements: MovementsOut
    last_updated: datetime


class ProductLevelsQuery(Body, kw_only=True):
    """Which warehouse to look at."""

    warehouse_id: Code | None = None


class LevelsQuery(PageQuery, kw_only=True):
    """Which levels to list."""

    warehouse_id: Code | None = None
    store_id: Code | None = None


class ListedLevelOut(Answer, kw_only=True):
    """One product in one warehouse."""

    product_id: UUID
    variant_id: UUID | UnsetType = UNSET
    warehouse_id: str
    quantity_on_hand: int
    quantity_reserved: int
    quantity_available: int
    incoming_quantity: Incoming
    version: int
    updated_at: datetime


class LevelPageOut(Answer, kw_only=True):
    """A page of levels, by primary key."""

    items: list[ListedLevelOut]
    next: str | None


class LocationIn(Body, kw_only=True):
    """Where in the warehouse."""

    zone: LocationPart = ""
    aisle: LocationPart = ""
    shelf: LocationPart = ""


class LevelSettingsIn(Body, kw_only=True):
    """Settings of a level; what is left out stays, null clears."""

    reorder_point: Units | None | UnsetType = UNSET
    reorder_quantity: PositiveUnits | None | UnsetType = UNSET
    min_stock_level: Units | UnsetType = UNSET
    max_stock_level: PositiveUnits | None | UnsetType = UNSET
    location: LocationIn | None | UnsetType = UNSET
    expected_version: int | None = None


class FreezeIn(Body, kw_only=True):
    """Stop new holds. What is held already goes its way."""

    reason: NonEmptyText
    until: EndOfFreeze | None = None


class UnfreezeIn(OptionalBody, kw_only=True):
    """Allow new holds again."""

    reason: Text = ""


class FreezeOut(Answer, kw_only=True):
    """A brake that is on: nothing is held anew."""

    reason: str
    since: datetime
    until: datetime | None


class ProductsQuery(PageQuery, kw_only=True):
    """Which products to list."""

    sku: Sku | None = None
    search: Name | None = None


class ProductIn(Body, kw_only=True):
    """A product as it is to be."""

    sku: Sku
    name: ProductName
    parent_id: UUID | None = None
    barcode: Barcode = ""
    is_active: bool = True
    listing_expires_at: Annotated[datetime, Meta(tz=True)] | None = None
    max_units_per_customer: MostUnits | None = None


class ProductOut(Answer, kw_only=True):
    """A product, or a variant if it has a parent."""

    product_id: UUID
    sku: str
    name: str
    parent_id: UUID | None
    barcode: str
    is_active: bool
    listing_expires_at: datetime | None
    max_units_per_customer: int | None
    frozen: Annotated[FreezeOut | None, Meta(description="A variant also follows its parent's.")]


class ProductPageOut(Answer, kw_only=True):
    """A page of products."""

    items: list[ProductOut]
    next: str | None


class WarehouseIn(Body, kw_only=True):
    """A warehouse as it is to be."""

    name: Name
    type: WarehouseType
    address: dict[str, Any]
    contact_info: dict[str, Any] | None = None
    capabilities: dict[str, Any] | None = None
    is_active: bool = True


class WarehouseOut(Answer, kw_only=True):
    """A warehouse."""

    warehouse_id: str
    name: str
    type: WarehouseType
    address: dict[str, Any]
    contact_info: dict[str, Any] | None
    capabilities: dict[str, Any] | None
    is_active: bool
    frozen: FreezeOut | None


class WarehousePageOut(Answer, kw_only=True):
    """A page of warehouses."""

    items: list[WarehouseOut]
    next: str | None


class SourceIn(Body, kw_only=True):
    """A warehouse that a store sells from."""

    warehouse_id: Code
    priority: Priority


class StoreIn(Body, kw_only=True):
    """A store as it is to be."""

    name: Name
    warehouses: Annotated[list[SourceIn], Meta(max_length=200)]
    ttl_minutes: StoreMinutes | None = None
    max_units_per_customer: MostUnits | None = None
    max_holds_per_customer: MostHolds | None = None
    hold_window_minutes: WindowMinutes | None = None


class SourceOut(Answer, kw_only=True):
    """A warehouse that a store sells from."""

    warehouse_id: str
    priority: int


class StoreOut(Answer, kw_only=True):
    """A store."""

    store_id: str
    name: str
    is_default: bool
    ttl_minutes: int | None
    warehouses: list[SourceOut]
    max_units_per_customer: int | None
    max_holds_per_customer: int | None
    hold_window_minutes: int | None
    frozen: FreezeOut | None


class StorePageOut(Answer, kw_only=True):
    """A page of stores."""

    items: list[StoreOut]
    next: str | None
