"""Query parameters and response bodies of explain (docs/explanation/rules.md, rule 1)."""

from typing import Annotated, Literal
from uuid import UUID

from msgspec import UNSET, Meta, UnsetType

from audit.api.contract import Answer, Body, Code, Time
from audit.api.instants import Instant
from inventory.api.stock.movement_contract import MovementOut
from reservations.services.availability.explanation import BlockCode


class ExplainQuery(Body, kw_only=True):
    """The warehouse, and the moment: now, or one of the past."""

    warehouse_id: Annotated[Code | None, Meta(description="Only the level in the warehouse with this code.")] = None
    at: Annotated[Instant, Meta(description="What was on hand at this moment.")] | None = None


class BlockOut(Answer, kw_only=True):
    """A reason why new reservations are refused. Existing ones are not affected."""

    code: Annotated[BlockCode, Meta(description="What refuses them.")]
    detail: Annotated[str, Meta(description="What refuses them, in words.")]
    until: Annotated[Time | UnsetType, Meta(description="When it ends by itself; absent if it does not.")] = UNSET


class LevelHoldOut(Answer, kw_only=True):
    """The units of the level that one reservation holds."""

    reservation_id: str
    store_id: str
    cart_id: str | None
    order_id: str | None
    customer_id: str | None
    quantity: Annotated[int, Meta(description="The units that it holds on this level.")]
    expires_at: Time
    expires_in_seconds: int


class LevelHoldsOut(Answer, kw_only=True):
    """The number of reservations and the sum of their units. At most 50 are listed, the first to end first; those of
    stores that the client may not see are not listed."""

    count: Annotated[int, Meta(description="How many reservations there are.")]
    units: Annotated[int, Meta(description="The units that they hold on this level.")]
    items: Annotated[
        list[LevelHoldOut], Meta(description="The first 50 to expire, of the stores that the client may see.")
    ]


class IncomingTransferOut(Answer, kw_only=True):
    """The units in transit to the level by one transfer."""

    transfer_id: str
    from_warehouse_id: str
    quantity: int
    expected_delivery: Time | None


class IncomingOut(Answer, kw_only=True):
    """The units in transit to the level, which are not sellable before they arrive. At most 50 transfers are listed,
    the first expected first."""

    units: Annotated[int, Meta(description="The units that are in transit to the level.")]
    transfers: Annotated[list[IncomingTransferOut], Meta(description="The first 50 transfers that are expected.")]


class OpenAlertOut(Answer, kw_only=True):
    """The level's open low-stock alert."""

    alert_id: str
    severity: Annotated[Literal["LOW", "CRITICAL"], Meta(description="The worst severity so far.")]
    opened_at: Time


class ExplainedLevelOut(Answer, kw_only=True):
    """The figures of one level; of a past moment, only ``quantityOnHand``.

    ``sellable`` = ``quantityOnHand`` − ``quantityReserved`` − ``safetyStock`` + the units of ``dueHolds``, but at least
    0, and 0 if ``blockedBy`` is not empty. ``quantityReserved`` is the sum of the units of ``holds`` and ``dueHolds``.
    """

    warehouse_id: str
    warehouse_name: str
    sellable: Annotated[int, Meta(description="The units that can be sold now.")] | UnsetType = UNSET
    quantity_on_hand: int
    quantity_reserved: int | UnsetType = UNSET
    quantity_available: int | UnsetType = UNSET
    safety_stock: Annotated[int, Meta(description="The units that are never sold.")] | UnsetType = UNSET
    blocked_by: Annotated[list[BlockOut], Meta(description="What refuses new reservations.")] | UnsetType = UNSET
    holds: Annotated[LevelHoldsOut, Meta(description="The reservations that hold units.")] | UnsetType = UNSET
    due_holds: (
        Annotated[LevelHoldsOut, Meta(description="The reservations that have expired and are not yet swept.")]
        | UnsetType
    ) = UNSET
    incoming: Annotated[IncomingOut, Meta(description="The units in transit to the level.")] | UnsetType = UNSET
    low_stock: Annotated[OpenAlertOut, Meta(description="The open alert, if there is one.")] | UnsetType = UNSET
    last_movements: Annotated[list[MovementOut], Meta(description="The last movements.")] | UnsetType = UNSET


class ExplainOut(Answer, kw_only=True):
    """The sellable units of a product and the figures that explain them, by warehouse, all at the instant ``asOf``; or,
    of the past moment ``at``, the units on hand, computed from the ledger."""

    product_id: UUID
    variant_id: UUID | UnsetType = UNSET
    as_of: Annotated[Time, Meta(description="The present moment; absent if a past one was asked for.")] | UnsetType = (
        UNSET
    )
    sellable: (
        Annotated[int, Meta(description="The units that can be sold now; absent for a past moment.")] | UnsetType
    ) = UNSET
    at: Annotated[Time, Meta(description="The past moment that was asked for; absent otherwise.")] | UnsetType = UNSET
    total_quantity: (
        Annotated[int, Meta(description="The units on hand at the past moment; absent otherwise.")] | UnsetType
    ) = UNSET
    warehouses: Annotated[list[ExplainedLevelOut], Meta(description="The figures of each warehouse.")]
