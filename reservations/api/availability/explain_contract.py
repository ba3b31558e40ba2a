"""Query parameters and response bodies of explain (docs/explanation/rules.md, rule 1)."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from msgspec import UNSET, Meta, UnsetType

from audit.api.contract import Answer, Body, Code
from audit.api.instants import Instant
from inventory.api.stock.movement_contract import MovementOut
from reservations.services.availability.explanation import BlockCode


class ExplainQuery(Body, kw_only=True):
    """The warehouse, and the moment: now, or one of the past."""

    warehouse_id: Code | None = None
    at: Annotated[Instant, Meta(description="What was on hand at this moment.")] | None = None


class BlockOut(Answer, kw_only=True):
    """A reason why new reservations are refused. Existing ones are not affected."""

    code: BlockCode
    detail: str
    until: datetime | UnsetType = UNSET


class LevelHoldOut(Answer, kw_only=True):
    """The units of the level that one reservation holds."""

    reservation_id: str
    store_id: str
    cart_id: str | None
    order_id: str | None
    customer_id: str | None
    quantity: int
    expires_at: datetime
    expires_in_seconds: int


class LevelHoldsOut(Answer, kw_only=True):
    """The number of reservations and the sum of their units. At most 50 are listed, the first to end first; those of
    stores that the client may not see are not listed."""

    count: int
    units: int
    items: list[LevelHoldOut]


class IncomingTransferOut(Answer, kw_only=True):
    """The units in transit to the level by one transfer."""

    transfer_id: str
    from_warehouse_id: str
    quantity: int
    expected_delivery: datetime | None


class IncomingOut(Answer, kw_only=True):
    """The units in transit to the level, which are not sellable before they arrive. At most 50 transfers are listed,
    the first expected first."""

    units: int
    transfers: list[IncomingTransferOut]


class OpenAlertOut(Answer, kw_only=True):
    """The level's open low-stock alert."""

    alert_id: str
    severity: Literal["LOW", "CRITICAL"]
    opened_at: datetime


class ExplainedLevelOut(Answer, kw_only=True):
    """The figures of one level. ``sellable`` = ``quantityOnHand`` − ``quantityReserved`` − ``safetyStock`` + the units
    of ``dueHolds``, but at least 0, and 0 if ``blockedBy`` is not empty. ``quantityReserved`` is the sum of the units
    of ``holds`` and ``dueHolds``."""

    warehouse_id: str
    warehouse_name: str
    sellable: int
    quantity_on_hand: int
    quantity_reserved: int
    quantity_available: int
    safety_stock: int
    blocked_by: list[BlockOut]
    holds: LevelHoldsOut
    due_holds: LevelHoldsOut
    incoming: IncomingOut
    low_stock: OpenAlertOut | UnsetType = UNSET
    last_movements: list[MovementOut]


class ExplainOut(Answer, kw_only=True):
    """The sellable units of a product and the figures that explain them, by warehouse, all at the instant ``asOf``."""

    product_id: UUID
    variant_id: UUID | UnsetType = UNSET
    as_of: datetime
    sellable: int
    warehouses: list[ExplainedLevelOut]


class LevelThenOut(Answer, kw_only=True):
    """The units that one warehouse had on hand."""

    warehouse_id: str
    warehouse_name: str
    quantity_on_hand: int


class StockThenOut(Answer, kw_only=True):
    """The units on hand at a moment, computed from the ledger."""

    product_id: UUID
    variant_id: UUID | UnsetType = UNSET
    at: datetime
    total_quantity: int
    warehouses: list[LevelThenOut]
