"""The events of reservations and of reconciliation."""

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, ClassVar
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

from audit.events import Event, OutboxRow, register
from inventory.events import LevelEvent, ProductId, VariantId, WarehouseCode, one_of

ExpiresAt = Annotated[
    datetime,
    Meta(
        tz=True,
        description="When the reservation ends, if nothing else ends it before.",
        examples=["2026-01-15T10:15:00.123456Z"],
    ),
]


class ReservedItem(msgspec.Struct, frozen=True, gc=False, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Units of one product or variant in one warehouse."""

    product_id: ProductId
    variant_id: VariantId | UnsetType = UNSET
    quantity: Annotated[int, Meta(description="Units.", examples=[2])]
    warehouse_id: WarehouseCode


class ReservationEvent(Event, frozen=True, kw_only=True):
    """An event about a reservation."""

    AGGREGATE: ClassVar = "reservation"
    KEY: ClassVar = "`reservationId`"

    reservation_id: Annotated[
        str,
        Meta(description="The reservation, `res-<uuid>`.", examples=["res-0199a3c5-7c1e-7a31-8b52-6c7d8e9f0a1b"]),
    ]
    store_id: Annotated[str, Meta(description="The store's code.", examples=["main"])]
    cart_id: Annotated[str | None, Meta(description="The caller's cart; null if it has none.", examples=["cart-4711"])]
    order_id: Annotated[
        str | None,
        Meta(description="The caller's order; null if it has none.", examples=["order-1001"]),
    ]
    items: Annotated[list[ReservedItem], Meta(description="All the units of the reservation.")]

    def row(self, level_ids: Iterable[UUID]) -> OutboxRow:
        """The outbox row of this event, which is about these stock levels."""
        return OutboxRow(self.reservation_id, self, tuple(level_ids))


@register
class InventoryReservedEvent(ReservationEvent, frozen=True, kw_only=True):
    """Written when a reservation is made, and when a cart's basket is replaced: `items` is then the whole new basket.
    If a late payment re-acquires an expired reservation, it is written for the new one, which is consumed at once."""

    expires_at: ExpiresAt


@register
class InventoryExtendedEvent(ReservationEvent, frozen=True, kw_only=True):
    """Written when a reservation is extended."""

    expires_at: ExpiresAt


@register
class InventoryReleasedEvent(ReservationEvent, frozen=True, kw_only=True):
    """Written when a reservation ends without a sale and its units are available again: it was released, merged into
    another one of its cart, broken by a shortage, or recorded as expired, which may be some seconds after
    `expiresAt`."""

    reason: Annotated[
        str,
        Meta(
            description="`expired`, `shortage`, `cart emptied`, `merged into res-<uuid>`, or what the caller gave;"
            " may be empty.",
            examples=["Order cancelled"],
        ),
    ]


@register
class InventoryConsumedEvent(ReservationEvent, frozen=True, kw_only=True):
    """Written when a reservation is consumed: its units have left the stock. `orderId` is the order they were sold
    to."""


@register
class InventoryReservationBrokenEvent(ReservationEvent, frozen=True, kw_only=True):
    """Written when a posted count or a forced adjustment breaks a reservation because fewer units are on hand than are
    reserved. An `InventoryReleasedEvent` in the same transaction says that its units were given back; use this event to
    notify the customer."""

    customer_id: Annotated[
        str | None,
        Meta(description="The caller's customer; null if it has none.", examples=["customer-42"]),
    ]
    reason: Annotated[str, one_of("shortage", description="Always `shortage`.")]
    cause: Annotated[
        str,
        Meta(
            description="What found the shortage: the count, `cnt-<uuid>`, or the adjustment, `adj-<uuid>`.",
            examples=["cnt-0199a3c5-7e00-7f11-92aa-b3c4d5e6f708"],
        ),
    ]
    incidents: Annotated[
        list[str],
        Meta(
            description="The shortage incidents of the reservation's levels, `inc-<uuid>`.",
            examples=[["inc-0199a3c5-7e01-7abc-8def-0123456789ab"]],
        ),
    ]
    broken_by: Annotated[
        str, Meta(description="Who posted the count or forced the adjustment.", examples=["warehouse-app"])
    ]


class ShortLine(msgspec.Struct, frozen=True, gc=False, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """A line of an order that can't be held."""

    product_id: ProductId
    variant_id: VariantId | UnsetType = UNSET
    warehouse_id: WarehouseCode | UnsetType = UNSET
    requested: Annotated[int, Meta(description="Units asked for.", examples=[5])]
    available: Annotated[int, Meta(description="Units that could have been held.", examples=[2])]


@register
class InventoryReservationFailedEvent(Event, frozen=True, kw_only=True):
    """Written when an order that was received as an event can't be held, or can't be sold when it is completed; no
    part of it is held or sold then. Callers that reserve by an API call get the refusal as the answer instead."""

    AGGREGATE: ClassVar = "order"
    KEY: ClassVar = "`order:` and the `orderId`"

    order_id: Annotated[str, Meta(description="The caller's order.", examples=["order-1001"])]
    cart_id: Annotated[str, Meta(description="The caller's cart.", examples=["cart-4711"])] | UnsetType = UNSET
    store_id: Annotated[str, Meta(description="The store's code; empty if the order names none.", examples=["main"])]
    code: Annotated[
        str,
        Meta(
            description="Why, as in the API's problems: `insufficient_stock`, `product_frozen` and others.",
            examples=["insufficient_stock"],
        ),
    ]
    reason: Annotated[str, Meta(description="The same in words.", examples=["Not enough stock for 1 of 2 lines."])]
    lines: Annotated[list[ShortLine], Meta(description="Each short line; empty unless units are missing.")]
    cause: (
        Annotated[str, Meta(description="The id of the event that was refused.", examples=["e-4711"])] | UnsetType
    ) = UNSET

    def row(self) -> OutboxRow:
        """The outbox row of this event."""
        return OutboxRow(f"order:{self.order_id}", self)


@register
class StockReconciledEvent(LevelEvent, frozen=True, kw_only=True):
    """Written when a reconciliation repairs a level's counters, or adds a movement that its ledger lacks; in that case
    on hand may be the same before and after."""

    reconciliation_id: Annotated[
        UUID,
        Meta(description="The run that repaired it.", examples=["0199a3c5-7f10-7222-8333-444455556666"]),
    ]
    previous_stock: Annotated[int, Meta(description="Units on hand before.", examples=[17])]
    new_stock: Annotated[int, Meta(description="Units on hand after.", examples=[10])]
    previous_reserved: Annotated[int, Meta(description="Units reserved before.", examples=[3])]
    new_reserved: Annotated[int, Meta(description="Units reserved after.", examples=[0])]
    reason: Annotated[str, Meta(description="Why it was repaired.", examples=["Restored from a backup"])]
    repaired_by: Annotated[str, Meta(description="Who asked for the repair.", examples=["operator"])]
