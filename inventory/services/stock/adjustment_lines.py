"""Lines of adjustments: as they were asked for, as they were applied, and what is wrong with them by themselves."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Final, NamedTuple, Protocol
from uuid import UUID

import msgspec
from msgspec import UNSET

from audit.actors import Actor
from audit.errors import Fault, Invalid
from audit.events import OutboxRow
from audit.identifiers import ADJUSTMENT, public_id
from audit.recording import Entry
from inventory import actions
from inventory.events import StockAdjustedEvent
from inventory.models import Movement
from inventory.services.stock.returns import ReturnedUnits

_SIGNS: Final = {"RECEIPT": 1, "RETURN": 1, "SHIPMENT": -1, "ADJUSTMENT": 1}
_REASON_LENGTH: Final = 500
_SIGNED: Final = Movement.Type.ADJUSTMENT.value
_RETURN: Final = Movement.Type.RETURN.value


class Adjustment(msgspec.Struct, frozen=True, gc=False):
    """One line. ``quantity`` is in units, positive but for an ADJUSTMENT, which is signed; ``warehouse`` is a code.

    ``force`` allows holds to give way to it; only for an ADJUSTMENT. ``order_id`` is the order that a RETURN comes back
    from, which bounds its quantity (docs/explanation/rules.md, rule 37). ``movement_type`` is the type of the movement,
    if it isn't the line's: a reversal is an ADJUSTMENT whose movement has the type of the one that it takes back.
    """

    product_id: UUID
    variant_id: UUID | None
    warehouse: str
    quantity: int
    type: str
    reason: str
    reference: str = ""
    cost_per_unit: Decimal | None = None
    expected_version: int | None = None
    force: bool = False
    order_id: str = ""
    movement_type: str = ""

    @property
    def change(self) -> int:
        """The signed change of on hand."""
        return _SIGNS[self.type] * self.quantity

    @property
    def full_reason(self) -> str:
        """The reason of the movement. The reference of a return is its order: one of its own is kept here."""
        is_beside = self.order_id and self.reference not in ("", self.order_id)
        return f"{self.reason} ({self.reference})" if is_beside else self.reason

    def returned(self, product_id: UUID, pointer: str) -> ReturnedUnits:
        """The line of a return, for its bound."""
        return ReturnedUnits(self.order_id, product_id, self.quantity, pointer)


class AdjustedLevel(NamedTuple):
    """The level of a line. ``level_id`` is None if the level doesn't exist yet."""

    product_id: UUID
    warehouse_id: UUID
    parent_id: UUID | None
    level_id: UUID | None


class AppliedLine(msgspec.Struct, frozen=True, gc=False):
    """A line as it was applied: on hand before and after, and reserved afterwards. ``product_id`` is the parent if
    ``variant_id`` is set."""

    adjustment: Adjustment
    level_id: UUID
    product_id: UUID
    variant_id: UUID | None
    before: int
    after: int
    reserved: int

    @property
    def available(self) -> int:
        """Available units after the line."""
        return self.after - self.reserved


class CheckedLine(Protocol):
    """What is checked of an adjustment, in a body or in a request."""

    @property
    def quantity(self) -> int: ...
    @property
    def type(self) -> str: ...
    @property
    def force(self) -> bool: ...
    @property
    def order_id(self) -> str | None: ...


def line_faults(index: int, line: CheckedLine) -> list[Fault]:
    """The faults of an adjustment whose fields contradict its type, or whose quantity is 0."""
    if line.quantity > 0 and not line.order_id and not line.force:
        return []  # The common case: nothing to check.
    is_signed = line.type == _SIGNED
    pointer, faults = f"/adjustments/{index}", []
    if line.quantity == 0:
        faults.append(Fault(f"{pointer}/quantity", Invalid.code, "The quantity must not be 0."))
    elif line.quantity < 0 and not is_signed:
        detail = f"The quantity of a {line.type} must be positive."
        faults.append(Fault(f"{pointer}/quantity", Invalid.code, detail))
    if line.force and not is_signed:
        faults.append(Fault(f"{pointer}/force", Invalid.code, "Only an ADJUSTMENT can be forced."))
    if line.order_id and line.type != _RETURN:
        faults.append(Fault(f"{pointer}/orderId", Invalid.code, "Only a RETURN can name an order."))
    return faults


def check_lines(adjustments: Sequence[Adjustment]) -> None:
    """Refuse adjustments whose fields contradict one another, and returns of an order whose reason and reference are
    too long together, as they are stored in one text. Raises Invalid with each of these faults."""
    faults = []
    for index, line in enumerate(adjustments):
        faults += line_faults(index, line)
        if line.order_id and line.type == _RETURN and len(line.full_reason) > _REASON_LENGTH:
            detail = "If an order is named, reason and reference can have at most 500 characters together."
            faults.append(Fault(f"/adjustments/{index}/reference", Invalid.code, detail))
    if faults:
        raise Invalid(faults[0].detail, faults)


def adjusted_entries(
    actor: Actor, adjustment_id: UUID, lines: Sequence[AppliedLine], freeze_override: str = ""
) -> list[Entry]:
    """The audit entries of applied lines, with the reason for shipping frozen goods, if any."""
    public = public_id(ADJUSTMENT, adjustment_id)
    return [
        Entry(actor, actions.STOCK_ADJUSTED, line.level_id, _changes(line, public, freeze_override)) for line in lines
    ]


def _changes(line: AppliedLine, adjustment_id: str, freeze_override: str) -> dict[str, object]:
    adjustment = line.adjustment
    changes: dict[str, object] = {"productId": line.product_id}
    if line.variant_id:
        changes["variantId"] = line.variant_id
    changes["warehouseId"] = adjustment.warehouse
    changes["adjustmentId"] = adjustment_id
    changes["type"] = adjustment.type
    changes["onHand"] = [line.before, line.after]
    changes["reason"] = adjustment.reason
    changes["reference"] = adjustment.reference
    if adjustment.force:
        changes["force"] = True
    if adjustment.order_id:
        changes["orderId"] = adjustment.order_id
    if freeze_override:
        changes["freezeOverride"] = freeze_override
    return changes


def adjusted_events(actor: Actor, adjustment_id: UUID, lines: Sequence[AppliedLine]) -> list[OutboxRow]:
    """The events of applied lines."""
    public = public_id(ADJUSTMENT, adjustment_id)
    return [
        StockAdjustedEvent(
            product_id=line.product_id,
            variant_id=line.variant_id or UNSET,
            warehouse_id=line.adjustment.warehouse,
            adjustment_id=public,
            adjustment_type=line.adjustment.type,
            quantity=line.adjustment.quantity,
            previous_stock=line.before,
            new_stock=line.after,
            reason=line.adjustment.reason,
            adjusted_by=actor.name,
        ).row(line.level_id)
        for line in lines
    ]
