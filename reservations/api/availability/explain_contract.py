"""The query and the answers of explain (docs/explanation/rules.md, rule 1)."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from msgspec import UNSET, Meta, UnsetType

from audit.api.contract import Answer, Body, Code
from inventory.api.stock.movement_contract import MovementOut
from reservations.services.availability.explanation import BlockCode


class ExplainQuery(Body, kw_only=True):
    """Where, and when: now, or at a moment of the past."""

    warehouse_id: Code | None = None
    at: Annotated[datetime, Meta(tz=True, description="What was on hand at this moment.")] | None = None


class BlockOut(Answer, kw_only=True):
    """Why nothing can be held anew; what is held goes its way."""

    code: BlockCode
    detail: str
    until: datetime | UnsetType = UNSET


class LevelHoldOut(Answer, kw_only=True):
    """What one reservation holds of the level."""

    reservation_id: str
    store_id: str
    cart_id: str | None
    order_id: str | None
    customer_id: str | None
    quantity: int
    expires_at: datetime
    expires_in_seconds: int


class LevelHoldsOut(Answer, kw_only=True):
    """How many holds there are and of how many units in all; at most 50 are listed, the first to end first, and none of
    stores that the client may not see."""

    count: int
    units: int
    items: list[LevelHoldOut]


class IncomingTransferOut(Answer, kw_only=True):
    """Units on their way."""

    transfer_id: str
    from_warehouse_id: str
    quantity: int
    expected_delivery: datetime | None


class IncomingOut(Answer, kw_only=True):
    """What is on its way, never sellable before it arrives; at most 50 transfers are listed, the first expected
    first."""

    units: int
    transfers: list[IncomingTransferOut]


class OpenAlertOut(Answer, kw_only=True):
    """The open alert of low stock."""

    alert_id: str
    severity: Literal["LOW", "CRITICAL"]
    opened_at: datetime


class ExplainedLevelOut(Answer, kw_only=True):
    """``sellable`` = ``quantityOnHand`` − ``quantityReserved`` − ``safetyStock`` + the units of ``dueHolds``, never
    below 0; and 0 where something stands in ``blockedBy``. ``quantityReserved`` is what ``holds`` and ``dueHolds``
    have together."""

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
    """Why sellable is what it is, by warehouse; all figures are of the instant ``asOf``."""

    product_id: UUID
    variant_id: UUID | UnsetType = UNSET
    as_of: datetime
    sellable: int
    warehouses: list[ExplainedLevelOut]


class LevelThenOut(Answer, kw_only=True):
    """What one warehouse had."""

    warehouse_id: str
    warehouse_name: str
    quantity_on_hand: int


class StockThenOut(Answer, kw_only=True):
    """What was on hand at a moment, as the ledger adds up."""

    product_id: UUID
    variant_id: UUID | UnsetType = UNSET
    at: datetime
    total_quantity: int
    warehouses: list[LevelThenOut]
