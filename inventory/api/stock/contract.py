"""The bodies of the routes of levels, their settings and adjustments."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

from audit.api.contract import Answer, Body, Code, PageQuery
from audit.api.decimals import Money
from audit.api.texts import CleanCode, NonEmptyText, OpaqueId, Reference

SignedQuantity = Annotated[
    int, Meta(ge=-1_000_000, le=1_000_000, description="Units; negative only for an ADJUSTMENT, never 0.")
]
Units = Annotated[int, Meta(ge=0, le=2_000_000_000, description="Units.")]
PositiveUnits = Annotated[int, Meta(ge=1, le=2_000_000_000, description="Units.")]
IncomingUnits = Annotated[int, Meta(description="Units in transit to this level: not on hand yet, never sellable.")]
if TYPE_CHECKING:
    LocationPart = str
else:

    class LocationPart(CleanCode):
        """A zone, an aisle or a shelf."""

        most = 10

    LocationPart.register(str)

Version = Annotated[int, Meta(ge=0, le=9_223_372_036_854_775_807, description="A level's version.")]
AdjustmentType = Literal["RECEIPT", "SHIPMENT", "ADJUSTMENT", "RETURN"]


class AdjustmentIn(Body, kw_only=True):
    """A change of on hand. RECEIPT and RETURN add units, SHIPMENT subtracts them, ADJUSTMENT is signed."""

    product_id: UUID
    warehouse_id: Code
    quantity: SignedQuantity
    type: AdjustmentType
    reason: NonEmptyText
    variant_id: UUID | None = None
    reference: Reference = ""
    cost_per_unit: Money | None = None
    expected_version: Version | None = None
    force: Annotated[
        bool,
        Meta(description="Only for managers, and only for an ADJUSTMENT: a shortage breaks the newest reservations."),
    ] = False
    order_id: Annotated[
        OpaqueId | None,
        Meta(description="Only for a RETURN, which is then at most what this order was sold and has not returned."),
    ] = None


class AdjustIn(Body, kw_only=True):
    """Adjustments, which are applied all or none."""

    adjustments: Annotated[list[AdjustmentIn], Meta(min_length=1, max_length=200)]


class AdjustedLineOut(Answer, kw_only=True):
    """An applied change of on hand; `previousQuantity + adjustedQuantity = newQuantity`."""

    product_id: UUID
    variant_id: UUID | UnsetType = UNSET
    warehouse_id: str
    previous_quantity: int
    adjusted_quantity: int
    new_quantity: int
    type: AdjustmentType


class AdjustedOut(Answer, kw_only=True):
    """The applied adjustments."""

    adjustment_id: str
    status: Literal["COMPLETED"]
    adjustments: list[AdjustedLineOut]
    adjusted_at: datetime
    adjusted_by: str


class LocationOut(Answer, kw_only=True):
    """A location in the warehouse."""

    zone: str
    aisle: str
    shelf: str


class LevelOut(Answer, kw_only=True):
    """The stock of a product in one warehouse."""

    warehouse_id: str
    warehouse_name: str
    quantity_on_hand: int
    quantity_reserved: int
    quantity_available: int
    incoming_quantity: IncomingUnits
    version: int
    reorder_point: int | UnsetType = UNSET
    reorder_quantity: int | UnsetType = UNSET
    min_stock_level: int | UnsetType = UNSET
    max_stock_level: int | UnsetType = UNSET
    location: LocationOut | UnsetType = UNSET


class MovedOut(Answer, kw_only=True):
    """Units moved, by kind of movement; `adjusted` is signed."""

    received: int
    shipped: int
    adjusted: int


class MovementsOut(Answer, kw_only=True):
    """Recent movements."""

    last24_hours: MovedOut = msgspec.field(name="last24Hours")


class ProductLevelsOut(Answer, kw_only=True):
    """The stock of a product, in total and by warehouse."""

    product_id: UUID
    variant_id: UUID | UnsetType = UNSET
    total_quantity: int
    total_available: int
    total_reserved: int
    warehouses: list[LevelOut]
    movements: MovementsOut
    last_updated: datetime


class ProductLevelsQuery(Body, kw_only=True):
    """A filter of the product's levels."""

    warehouse_id: Code | None = None


class LevelsQuery(PageQuery, kw_only=True):
    """A filter of levels."""

    warehouse_id: Code | None = None
    store_id: Code | None = None


class ListedLevelOut(Answer, kw_only=True):
    """The stock level of one product in one warehouse."""

    product_id: UUID
    variant_id: UUID | UnsetType = UNSET
    warehouse_id: str
    quantity_on_hand: int
    quantity_reserved: int
    quantity_available: int
    incoming_quantity: IncomingUnits
    version: int
    updated_at: datetime


class LevelPageOut(Answer, kw_only=True):
    """A page of levels, by primary key."""

    items: list[ListedLevelOut]
    next: str | None
    events_cursor: Annotated[
        str,
        Meta(
            description="Where to read the events from (`GET /events?after=`) once all pages are read. Take that of the"
            " first page, and ignore events of levels whose `version` isn't higher than the one you have."
        ),
    ]


class LocationIn(Body, kw_only=True):
    """A location in the warehouse."""

    zone: LocationPart = ""
    aisle: LocationPart = ""
    shelf: LocationPart = ""


class LevelSettingsIn(Body, kw_only=True):
    """Settings of a level. Omitted ones stay unchanged, null clears a setting."""

    reorder_point: Units | None | UnsetType = UNSET
    reorder_quantity: PositiveUnits | None | UnsetType = UNSET
    min_stock_level: Units | UnsetType = UNSET
    max_stock_level: PositiveUnits | None | UnsetType = UNSET
    location: LocationIn | None | UnsetType = UNSET
    expected_version: Version | None = None
