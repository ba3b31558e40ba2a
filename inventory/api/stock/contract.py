"""The bodies of the routes of levels, their settings and adjustments."""

from typing import TYPE_CHECKING, Annotated, Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

from audit.api.contract import Answer, Body, Code, PageQuery, Time, is_read, readable
from audit.api.decimals import Money
from audit.api.instants import Instant
from audit.api.syncing import UuidList
from audit.api.texts import CleanCode, NonEmptyText, OpaqueId, Reference
from audit.errors import Fault
from inventory.services.stock.adjustment_lines import line_faults

SignedQuantity = Annotated[
    int, Meta(ge=-1_000_000, le=1_000_000, description="Units; negative only for an ADJUSTMENT, never 0.")
]
Units = Annotated[int, Meta(ge=0, le=2_000_000_000)]
PositiveUnits = Annotated[int, Meta(ge=1, le=2_000_000_000)]
IncomingUnits = Annotated[int, Meta(description="Units in transit to this level: not on hand yet, never sellable.")]
if TYPE_CHECKING:
    LocationPart = str
else:

    class LocationPart(CleanCode):
        """A zone, an aisle or a shelf."""

        most = 10

    LocationPart.register(str)

Version = Annotated[int, Meta(ge=0, le=9_223_372_036_854_775_807)]
AdjustmentType = Literal["RECEIPT", "SHIPMENT", "ADJUSTMENT", "RETURN"]


class AdjustmentIn(Body, kw_only=True):
    """A change of on hand. RECEIPT and RETURN add units, SHIPMENT subtracts them, ADJUSTMENT is signed."""

    product_id: UUID
    warehouse_id: Code
    quantity: SignedQuantity
    type: Annotated[
        AdjustmentType,
        Meta(description="`RECEIPT` and `RETURN` add units, `SHIPMENT` subtracts them, `ADJUSTMENT` is signed."),
    ]
    reason: Annotated[NonEmptyText, Meta(description="Why on hand changes.")]
    variant_id: UUID | None = None
    reference: Reference = ""
    cost_per_unit: Annotated[Money | None, Meta(description="What one unit cost, in the caller's currency.")] = None
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

    adjustments: Annotated[
        list[AdjustmentIn], Meta(min_length=1, max_length=200, description="The changes: at least one, at most 200.")
    ]

    def contradictions(self) -> list[Fault]:
        """The faults of lines whose fields contradict their type."""
        return [
            fault
            for index, line in enumerate(readable(self.adjustments))
            if not _is_plain(line) and is_read(line, "quantity", "type", "force", "order_id")
            for fault in line_faults(index, line)
        ]


def _is_plain(line: object) -> bool:
    """Whether ``line_faults`` has nothing to check in this line, as in most. Asked first, as it takes less time than
    ``is_read``."""
    if not isinstance(line, AdjustmentIn) or line.order_id is not None or line.force is not False:
        return False
    return isinstance(line.quantity, int) and line.quantity > 0


class AdjustedLineOut(Answer, kw_only=True):
    """An applied change of on hand; `previousQuantity + adjustedQuantity = newQuantity`."""

    product_id: UUID
    variant_id: UUID | UnsetType = UNSET
    warehouse_id: str
    previous_quantity: Annotated[int, Meta(description="The units on hand before.")]
    adjusted_quantity: Annotated[int, Meta(description="The change of on hand, with its sign.")]
    new_quantity: Annotated[int, Meta(description="The units on hand after.")]
    type: Annotated[AdjustmentType, Meta(description="The kind of change.")]


class AdjustedOut(Answer, kw_only=True):
    """The applied adjustments."""

    adjustment_id: str
    status: Annotated[Literal["COMPLETED"], Meta(description="What was done.")]
    adjustments: Annotated[list[AdjustedLineOut], Meta(description="The changes that were applied.")]
    adjusted_at: Annotated[Time, Meta(description="When they were applied.")]
    adjusted_by: Annotated[str, Meta(description="Who applied them.")]


class LocationOut(Answer, kw_only=True):
    """A location in the warehouse."""

    zone: Annotated[str, Meta(description="The zone; empty if there is none.")]
    aisle: Annotated[str, Meta(description="The aisle; empty if there is none.")]
    shelf: Annotated[str, Meta(description="The shelf; empty if there is none.")]


class LevelOut(Answer, kw_only=True):
    """The stock of a product in one warehouse."""

    warehouse_id: str
    warehouse_name: str
    quantity_on_hand: int
    quantity_reserved: int
    quantity_available: int
    incoming_quantity: IncomingUnits
    version: int
    reorder_point: Annotated[
        int | UnsetType,
        Meta(description="The available units at which the level is low; absent if it has no reorder point."),
    ] = UNSET
    reorder_quantity: Annotated[
        int | UnsetType, Meta(description="The units that are ordered at a time; absent if there is no such figure.")
    ] = UNSET
    min_stock_level: int | UnsetType = UNSET
    max_stock_level: Annotated[
        int | UnsetType, Meta(description="The units of a full level; absent if there is no such figure.")
    ] = UNSET
    location: Annotated[
        LocationOut | UnsetType, Meta(description="Where in the warehouse the units are; absent if that was not given.")
    ] = UNSET


class MovedOut(Answer, kw_only=True):
    """Units moved, by kind of movement; `adjusted` is signed."""

    received: Annotated[int, Meta(description="The units that were received.")]
    shipped: Annotated[int, Meta(description="The units that were shipped.")]
    adjusted: Annotated[int, Meta(description="The sum of all adjustments, with its sign.")]


class MovementsOut(Answer, kw_only=True):
    """Recent movements."""

    last24_hours: Annotated[MovedOut, Meta(description="What moved in the last 24 hours.")] = msgspec.field(
        name="last24Hours"
    )


class ProductLevelsOut(Answer, kw_only=True):
    """The stock of a product, in total and by warehouse."""

    product_id: UUID
    variant_id: UUID | UnsetType = UNSET
    total_quantity: Annotated[int, Meta(description="The units on hand in all these warehouses.")]
    total_available: Annotated[int, Meta(description="The available units in all these warehouses.")]
    total_reserved: Annotated[int, Meta(description="The reserved units in all these warehouses.")]
    warehouses: Annotated[list[LevelOut], Meta(description="The stock levels, by warehouse.")]
    movements: Annotated[MovementsOut, Meta(description="What moved recently.")]
    last_updated: Annotated[Time, Meta(description="When one of these levels changed last.")]


class ProductLevelsQuery(Body, kw_only=True):
    """A filter of the product's levels."""

    warehouse_id: Annotated[Code | None, Meta(description="Only the level in the warehouse with this code.")] = None


class LevelsQuery(PageQuery, kw_only=True):
    """A filter of levels."""

    warehouse_id: Annotated[Code | None, Meta(description="Only levels in the warehouse with this code.")] = None
    store_id: Annotated[
        Code | None, Meta(description="Only levels in the warehouses that the store with this code sells from.")
    ] = None
    ids: Annotated[
        UuidList | None, Meta(description="Only levels of these products, with their variants, or of these variants.")
    ] = None
    updated_since: Annotated[
        Instant | None,
        Meta(
            description="Only what was updated at this time or later. A page may then be short or empty, although "
            "there is a `next` one."
        ),
    ] = None


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
    updated_at: Annotated[Time, Meta(description="When the level changed last.")]


class LevelPageOut(Answer, kw_only=True):
    """A page of levels, by primary key."""

    items: Annotated[list[ListedLevelOut], Meta(description="The stock levels of this page.")]
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

    zone: Annotated[LocationPart, Meta(description="The zone; empty for none.")] = ""
    aisle: Annotated[LocationPart, Meta(description="The aisle; empty for none.")] = ""
    shelf: Annotated[LocationPart, Meta(description="The shelf; empty for none.")] = ""


class LevelSettingsIn(Body, kw_only=True):
    """Settings of a level. Omitted ones stay unchanged, null clears a setting."""

    reorder_point: Annotated[
        Units | None | UnsetType, Meta(description="The available units at which the level is low; null for none.")
    ] = UNSET
    reorder_quantity: Annotated[
        PositiveUnits | None | UnsetType, Meta(description="The units that are ordered at a time; null for none.")
    ] = UNSET
    min_stock_level: Units | UnsetType = UNSET
    max_stock_level: Annotated[
        PositiveUnits | None | UnsetType, Meta(description="The units of a full level; null for none.")
    ] = UNSET
    location: Annotated[
        LocationIn | None | UnsetType, Meta(description="Where in the warehouse the units are; null for nowhere.")
    ] = UNSET
    expected_version: Version | None = None
