"""Make and apply adjustments in tests."""

from typing import Any

from audit.actors import Actor
from inventory.models import StockLevel
from inventory.services.stock.adjustments import Adjusted, Adjustment, AdjustRequest, apply_adjustments
from tests.factories import ACTOR


def line(what: Any, quantity: int, kind: str = "ADJUSTMENT", warehouse: str = "wh-001", **fields: Any) -> Adjustment:
    """A line for a product, or for the product of a level."""
    product_id = what.product_id if isinstance(what, StockLevel) else what.id
    return Adjustment(product_id, None, warehouse, quantity, kind, "test", **fields)


def adjust(*adjustments: Adjustment, actor: Actor = ACTOR) -> Adjusted:
    """Apply lines as one adjustment without an idempotency key."""
    adjusted = apply_adjustments(AdjustRequest(actor=actor, adjustments=adjustments))
    assert isinstance(adjusted, Adjusted)
    return adjusted
