"""The bodies of the routes of transfers (docs/explanation/rules.md, rule 15)."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from msgspec import UNSET, Meta, UnsetType

from audit.api.contract import Answer, Body, Code, OptionalBody, PageQuery, Quantity
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

    items: Annotated[list[TransferItemIn], Meta(min_length=1, max_length=200)]
    reason: Text = ""
    reference: Reference = ""
    expected_delivery: Instant | None = None


class TransferIn(TransferDraftIn, kw_only=True):
    """A new transfer. It is sent at once, unless `draft` is true."""

    draft: bool = False


class ReceivedItemIn(Body, kw_only=True):
    """Units of a product that arrived."""

    product_id: UUID
    quantity_received: ReceivedQuantity
    variant_id: UUID | None = None


class ReceiveIn(OptionalBody, kw_only=True):
    """Units that arrived; without items, all that are in transit. `close` gives up the missing rest and ends the
    transfer."""

    items: Annotated[list[ReceivedItemIn], Meta(min_length=1, max_length=200)] | None = None
    close: bool = False
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

    status: TransferStatus | None = None
    from_warehouse_id: Code | None = None
    to_warehouse_id: Code | None = None
    overdue: Annotated[bool, Meta(description="Only transfers that should have arrived and haven't.")] = False


class TransferEndOut(Answer, kw_only=True):
    """One end of a transfer. Quantities are on hand before and after a command that changed it; `expectedQuantity` is
    on hand at the destination plus all units in transit to it."""

    id: str
    previous_quantity: int | UnsetType = UNSET
    new_quantity: int | UnsetType = UNSET
    expected_quantity: int | UnsetType = UNSET


class TransferItemOut(Answer, kw_only=True):
    """Units of a product in a transfer:
    `quantityShipped = quantityReceived + quantityReturned + quantityLost + quantityInTransit`."""

    product_id: UUID
    variant_id: UUID | UnsetType = UNSET
    quantity: int
    quantity_shipped: int
    quantity_received: int
    quantity_returned: int
    quantity_lost: int
    quantity_in_transit: int
    from_warehouse: TransferEndOut
    to_warehouse: TransferEndOut


class TransferOut(Answer, kw_only=True):
    """The present state of a transfer."""

    transfer_id: str
    status: TransferStatus
    from_warehouse_id: str
    to_warehouse_id: str
    items: list[TransferItemOut]
    reason: str
    reference: str
    initiated_at: datetime
    initiated_by: str
    shipped_at: datetime | None
    expected_delivery: datetime | None
    is_overdue: bool
    closed_at: datetime | None


class TransferPageOut(Answer, kw_only=True):
    """A page of transfers, the newest first."""

    items: list[TransferOut]
    next: str | None
