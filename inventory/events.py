"""The events of stock: adjustments, transfers, freezes and low stock."""

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, ClassVar
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

from audit.events import Event, OutboxRow, register
from inventory.planning import Severity

ProductId = Annotated[
    UUID,
    Meta(
        description="The product; of a variant, its parent.",
        examples=["550e8400-e29b-41d4-a716-446655440000"],
    ),
]
VariantId = Annotated[UUID, Meta(description="The variant; absent for a product without variants.")]
WarehouseCode = Annotated[str, Meta(description="The warehouse's code.", examples=["wh-001"])]


def one_of(*values: str, description: str) -> Meta:
    """The schema of a text with these values."""
    return Meta(description=description, extra_json_schema={"enum": [*map(str, values)]}, examples=[str(values[0])])


# --- levels ----------------------------------------------------------------------------------------------------------


class LevelEvent(Event, frozen=True, kw_only=True):
    """An event about a stock level: a product or variant in a warehouse."""

    AGGREGATE: ClassVar = "level"
    KEY: ClassVar = "The UUID of the stock level, not in the payload"

    product_id: ProductId
    variant_id: VariantId | UnsetType = UNSET
    warehouse_id: WarehouseCode

    def row(self, level_id: UUID) -> OutboxRow:
        """The outbox row of this event."""
        # msgspec makes the text of a UUID in a quarter of the time of str.
        return OutboxRow(msgspec.to_builtins(level_id), self, (level_id,))


@register
class StockAdjustedEvent(LevelEvent, frozen=True, kw_only=True):
    """Written for each movement except those of sales and transfers: for each line of an adjustment (receipt,
    shipment, return or correction, by the API, the console or an import), of its reversal (as an `ADJUSTMENT` of the
    opposite quantity) and of a posted count with a difference; and for a missing movement that a repair adds. Units
    that a transfer moves or loses are in its `InventoryTransferredEvent`."""

    adjustment_id: Annotated[
        str,
        Meta(
            description="The adjustment, posting or repair, `adj-<uuid>`; the same for all its lines.",
            examples=["adj-0199a3c5-7b90-7c07-8f3e-5d3c7a9e4b10"],
        ),
    ]
    adjustment_type: Annotated[
        str,
        one_of("RECEIPT", "RETURN", "SHIPMENT", "ADJUSTMENT", description="What was done with the units."),
    ]
    quantity: Annotated[
        int,
        Meta(description="Units; positive, but an `ADJUSTMENT` may be negative.", examples=[10]),
    ]
    previous_stock: Annotated[int, Meta(description="Units on hand before the line.", examples=[20])]
    new_stock: Annotated[int, Meta(description="Units on hand after the line.", examples=[30])]
    reason: Annotated[str, Meta(description="Why, in the words of who did it.", examples=["New shipment received"])]
    adjusted_by: Annotated[str, Meta(description="The API client or user who did it.", examples=["warehouse-app"])]


class LevelCounters(msgspec.Struct, frozen=True, gc=False, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """The counters of a stock level, in units."""

    on_hand: Annotated[int, Meta(description="Units on hand.", examples=[30])]
    reserved: Annotated[int, Meta(description="Units reserved, those of due holds included.", examples=[4])]
    available: Annotated[int, Meta(description="On hand minus reserved.", examples=[26])]


@register
class InventoryLevelChangedEvent(LevelEvent, frozen=True, kw_only=True):
    """Written once for each stock level that a transaction creates or changes (on hand, reserved or settings). Each
    change of a level by the service has such an event, unless `LEVEL_EVENTS` is off."""

    previous: Annotated[
        LevelCounters,
        Meta(
            description="The counters before the transaction.",
            examples=[{"onHand": 30, "reserved": 2, "available": 28}],
        ),
    ]
    new: Annotated[LevelCounters, Meta(description="The counters after it.")]
    safety_stock: Annotated[int, Meta(description="Units of the level that are never sold to shoppers.", examples=[2])]
    sellable: Annotated[
        dict[str, int],
        Meta(
            description="Units that a shopper can buy here, by the code of each store that sells from the warehouse:"
            " available minus safety stock, at least 0. It is 0 while the product, its parent, the warehouse or the"
            " store is inactive or frozen, or the listing has ended. Due holds count as reserved until they are"
            " recorded as expired.",
            examples=[{"main": 24}],
        ),
    ]
    version: Annotated[int, Meta(description="The level's version after the transaction.", examples=[8])]
    previous_version: Annotated[
        int,
        Meta(
            description="The `version` in the previous event of this level: if your copy has a lower one, you have"
            " missed events. 0 if the level was created.",
            examples=[7],
        ),
    ]
    cause: Annotated[
        list[str],
        Meta(
            description="The `eventId` of each event of the same transaction that describes a reason of the change; at"
            " most 250. Empty for changed settings and for a new level.",
            examples=[["ev-0199a3c5-7c1e-7d7a-9d40-1f6f0f9b2a10"]],
        ),
    ]


@register
class LowStockAlertEvent(LevelEvent, frozen=True, kw_only=True):
    """Written when an alert of low stock is opened, when an open one becomes `CRITICAL`, and when its level sells out
    again."""

    current_stock: Annotated[int, Meta(description="Units available: on hand and not reserved.", examples=[5])]
    reorder_point: Annotated[
        int | None,
        Meta(description="The level's reorder point in units; null if it has none.", examples=[20]),
    ]
    severity: Annotated[str, one_of(*Severity, description="How low it is.")]


# --- transfers -------------------------------------------------------------------------------------------------------


class TransferredItem(msgspec.Struct, frozen=True, gc=False, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Units of one product or variant that a command moved."""

    product_id: ProductId
    variant_id: VariantId | UnsetType = UNSET
    quantity: Annotated[int, Meta(description="Units that left, arrived, came back or were redirected.", examples=[10])]
    quantity_lost: (
        Annotated[int, Meta(description="Units that never arrived; absent if all arrived or may still.")] | UnsetType
    ) = UNSET


@register
class InventoryTransferredEvent(Event, frozen=True, kw_only=True):
    """Written by each command that moves units of a transfer: when it is sent, each time that units are received, when
    it is closed, and when it is redirected or cancelled on its way."""

    AGGREGATE: ClassVar = "transfer"
    KEY: ClassVar = "`transferId`"

    transfer_id: Annotated[
        str,
        Meta(description="The transfer, `tr-<uuid>`.", examples=["tr-0199a3c5-7d02-7b56-a1c2-3d4e5f607182"]),
    ]
    status: Annotated[
        str,
        one_of(
            "IN_TRANSIT",
            "PARTIALLY_RECEIVED",
            "RECEIVED",
            "CANCELLED",
            description="The transfer's status after the command.",
        ),
    ]
    from_warehouse_id: Annotated[str, Meta(description="The code of the source.", examples=["wh-001"])]
    to_warehouse_id: Annotated[str, Meta(description="The code of the destination.", examples=["wh-002"])]
    change: Annotated[
        str,
        one_of(
            "SENT",
            "RECEIVED",
            "CLOSED",
            "REDIRECTED",
            "CANCELLED",
            description="What the command did. `REDIRECTED`: what is in transit goes to another warehouse.",
        ),
    ]
    items: Annotated[list[TransferredItem], Meta(description="What this command moved.")]
    reason: Annotated[
        str,
        Meta(
            description="The command's reason, else the transfer's; may be empty.",
            examples=["Balancing inventory levels"],
        ),
    ]

    def row(self, level_ids: Iterable[UUID]) -> OutboxRow:
        """The outbox row of this event, which is about these stock levels."""
        return OutboxRow(self.transfer_id, self, tuple(level_ids))


# --- freezes ---------------------------------------------------------------------------------------------------------


class FreezeEvent(Event, frozen=True, kw_only=True):
    """An event about a product, warehouse or store that is frozen or unfrozen. Only the id of that one is set."""

    AGGREGATE: ClassVar = "freeze"
    KEY: ClassVar = "`product:`, `warehouse:` or `store:`, and the id or code"

    subject: Annotated[str, one_of("PRODUCT", "WAREHOUSE", "STORE", description="What was frozen or unfrozen.")]
    product_id: (
        Annotated[
            UUID,
            Meta(
                description="The product, with all its variants, or the variant; if `subject` is `PRODUCT`.",
                examples=["550e8400-e29b-41d4-a716-446655440000"],
            ),
        ]
        | UnsetType
    ) = UNSET
    warehouse_id: Annotated[str, Meta(description="The warehouse's code, if `subject` is `WAREHOUSE`.")] | UnsetType = (
        UNSET
    )
    store_id: Annotated[str, Meta(description="The store's code, if `subject` is `STORE`.")] | UnsetType = UNSET
    reason: Annotated[str, Meta(description="Why; empty only for the end of a freeze.", examples=["A recall"])]

    def row(self) -> OutboxRow:
        """The outbox row of this event."""
        key = next(id_ for id_ in (self.product_id, self.warehouse_id, self.store_id) if id_ is not UNSET)
        return OutboxRow(f"{self.subject.lower()}:{key}", self)


@register
class InventoryFrozenEvent(FreezeEvent, frozen=True, kw_only=True):
    """Written when a product, warehouse or store is frozen, and when a freeze gets another reason or end: new holds are
    refused, existing ones are not affected. The freeze ends at `until` even before an `InventoryUnfrozenEvent`."""

    until: Annotated[
        Annotated[datetime, Meta(tz=True)] | None,
        Meta(
            description="When it ends by itself; null if somebody must end it.",
            examples=["2026-02-01T00:00:00Z"],
        ),
    ]


@register
class InventoryUnfrozenEvent(FreezeEvent, frozen=True, kw_only=True):
    """Written when a freeze is ended, and within about a minute after one has ended automatically, at `until`."""


# --- products, warehouses, stores ------------------------------------------------------------------------------------


@register
class ProductChangedEvent(Event, frozen=True, kw_only=True):
    """Written when a product or variant is created or changed, with its new fields. While a product or its parent is
    inactive, and from `listingExpiresAt` on, nothing of it is sellable; its levels don't change."""

    AGGREGATE: ClassVar = "product"
    KEY: ClassVar = "`product:` and the id of the product or variant"

    product_id: ProductId
    variant_id: VariantId | UnsetType = UNSET
    sku: Annotated[str, Meta(description="The SKU.", examples=["JACKET-RED-M"])]
    name: Annotated[str, Meta(description="The name.", examples=["Rain jacket, red, M"])]
    active: Annotated[bool, Meta(description="Whether it may be sold.", examples=[True])]
    listing_expires_at: Annotated[
        Annotated[datetime, Meta(tz=True)] | None,
        Meta(
            description="When its listing ends, without another event; null if it doesn't end.",
            examples=["2026-12-31T23:00:00Z"],
        ),
    ]

    def row(self) -> OutboxRow:
        """The outbox row of this event."""
        return OutboxRow(f"product:{self.product_id if self.variant_id is UNSET else self.variant_id}", self)


@register
class WarehouseChangedEvent(Event, frozen=True, kw_only=True):
    """Written when a warehouse is created or changed, with its new fields. While it is inactive, nothing in it is
    sellable; its levels don't change."""

    AGGREGATE: ClassVar = "warehouse"
    KEY: ClassVar = "`warehouse:` and the code"

    warehouse_id: WarehouseCode
    name: Annotated[str, Meta(description="The name.", examples=["Hamburg"])]
    type: Annotated[str, one_of("MAIN", "SECONDARY", "DROPSHIP", description="What kind of warehouse it is.")]
    active: Annotated[bool, Meta(description="Whether it sells and receives.", examples=[True])]

    def row(self) -> OutboxRow:
        """The outbox row of this event."""
        return OutboxRow(f"warehouse:{self.warehouse_id}", self)


@register
class StoreChangedEvent(Event, frozen=True, kw_only=True):
    """Written when a store is created or changed, with its new fields. The store sells only from these warehouses; if
    they change, no level does."""

    AGGREGATE: ClassVar = "store"
    KEY: ClassVar = "`store:` and the code"

    store_id: Annotated[str, Meta(description="The store's code.", examples=["main"])]
    name: Annotated[str, Meta(description="The name.", examples=["Main store"])]
    warehouses: Annotated[
        list[str],
        Meta(description="The codes of its warehouses, in the order of their priority.", examples=[["wh-001"]]),
    ]

    def row(self) -> OutboxRow:
        """The outbox row of this event."""
        return OutboxRow(f"store:{self.store_id}", self)
