"""The bodies of the routes of transfers (docs/explanation/rules.md, rule 15)."""

from typing import Annotated, Literal
from uuid import UUID

from msgspec import UNSET, Meta, UnsetType

from audit.api.contract import Answer, Body, Code, OptionalBody, PageQuery, Quantity, Time
from audit.api.instants import Instant
from audit.api.texts import Reference, Text

ReceivedQuantity = Annotated[int, Meta(ge=0, le=1_000_000, description="Units that arrived now.")]
TransferStatus = Literal["PENDING", "IN_TRANSIT", "PARTIALLY_RECEIVED", "RECEIVED", "CANCELLED"]


class TransferItemIn(Body, kw_only=True):
    """Units of a product, with source and destination."""

    product_id: UUID
    quantity: Quantity
    from_warehouse_id: Code
    to_warehouse_id: Code
    variant_id: UUID | None = None


class TransferDraftIn(Body, kw_only=True):
    """The items of a transfer. All share one source and one destination; items of one product are summed."""

    items: Annotated[
        list[TransferItemIn],
        Meta(min_length=1, max_length=200, description="What to send: at least one item, at most 200."),
    ]
    reason: Text = ""
    reference: Reference = ""
    expected_delivery: Annotated[
        Instant | None, Meta(description="When the units are expected at the destination.")
    ] = None


class TransferIn(TransferDraftIn, kw_only=True):
    """A new transfer. It is sent at once, unless `draft` is true."""

    draft: Annotated[bool, Meta(description="Whether the transfer is saved as a draft, to be sent later.")] = False


class ReceivedItemIn(Body, kw_only=True):
    """Units of a product that arrived."""

    product_id: UUID
    quantity_received: ReceivedQuantity
    variant_id: UUID | None = None


class ReceiveIn(OptionalBody, kw_only=True):
    """Units that arrived; without items, all that are in transit. `close` gives up the missing rest and ends the
    transfer."""

    items: Annotated[
        Annotated[list[ReceivedItemIn], Meta(min_length=1, max_length=200)] | None,
        Meta(description="What arrived now: at most 200 items. If omitted: all that is in transit."),
    ] = None
    close: Annotated[bool, Meta(description="Whether the rest is missing, and the transfer ends.")] = False
    reason: Text = ""


class CancelIn(OptionalBody, kw_only=True):
    """The reason for cancelling a transfer."""

    reason: Text = ""


class RedirectIn(Body, kw_only=True):
    """The new destination of what is in transit."""

    to_warehouse_id: Code
    reason: Text = ""


class TransfersQuery(PageQuery, kw_only=True):
    """A filter of transfers."""

    status: Annotated[TransferStatus | None, Meta(description="Only transfers in this state.")] = None
    from_warehouse_id: Annotated[Code | None, Meta(description="Only transfers from the warehouse with this code.")] = (
        None
    )
    to_warehouse_id: Annotated[Code | None, Meta(description="Only transfers to the warehouse with this code.")] = None
    overdue: Annotated[bool, Meta(description="Only transfers that should have arrived and haven't.")] = False


class TransferEndOut(Answer, kw_only=True):
    """One end of a transfer. Quantities are on hand before and after a command that changed it; `expectedQuantity` is
    on hand at the destination plus all units in transit to it."""

    id: Annotated[str, Meta(description="The warehouse's code.")]
    previous_quantity: Annotated[
        int | UnsetType, Meta(description="The units on hand before a command that changed them; absent otherwise.")
    ] = UNSET
    new_quantity: Annotated[
        int | UnsetType, Meta(description="The units on hand after a command that changed them; absent otherwise.")
    ] = UNSET
    expected_quantity: Annotated[
        int | UnsetType, Meta(description="The units on hand at the destination, and all that are in transit to it.")
    ] = UNSET


class TransferItemOut(Answer, kw_only=True):
    """Units of a product in a transfer:
    `quantityShipped = quantityReceived + quantityReturned + quantityLost + quantityInTransit`."""

    product_id: UUID
    variant_id: UUID | UnsetType = UNSET
    quantity: Annotated[int, Meta(description="The units of the transfer.")]
    quantity_shipped: Annotated[int, Meta(description="The units that were sent.")]
    quantity_received: Annotated[int, Meta(description="The units that arrived.")]
    quantity_returned: Annotated[int, Meta(description="The units that went back to the source.")]
    quantity_lost: Annotated[int, Meta(description="The units that were given up as missing.")]
    quantity_in_transit: Annotated[int, Meta(description="The units that are on the way.")]
    from_warehouse: Annotated[TransferEndOut, Meta(description="The source, and its units on hand.")]
    to_warehouse: Annotated[TransferEndOut, Meta(description="The destination, and its units on hand.")]


class TransferOut(Answer, kw_only=True):
    """The present state of a transfer."""

    transfer_id: str
    status: Annotated[TransferStatus, Meta(description="The state of the transfer.")]
    from_warehouse_id: str
    to_warehouse_id: str
    items: Annotated[list[TransferItemOut], Meta(description="What the transfer contains.")]
    reason: str
    reference: str
    initiated_at: Annotated[Time, Meta(description="When the transfer was made.")]
    initiated_by: Annotated[str, Meta(description="Who made the transfer.")]
    shipped_at: Annotated[Time | None, Meta(description="When it was sent; null for a draft.")]
    expected_delivery: Time | None
    is_overdue: Annotated[bool, Meta(description="Whether it should have arrived and has not.")]
    closed_at: Annotated[Time | None, Meta(description="When it was received or cancelled; null before.")]


class TransferPageOut(Answer, kw_only=True):
    """A page of transfers, the newest first."""

    items: Annotated[list[TransferOut], Meta(description="The transfers of this page.")]
    next: str | None
