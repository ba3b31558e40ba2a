"""The permission and the reason for shipping frozen goods by hand (docs/explanation/rules.md, rule 12)."""

from collections.abc import Sequence
from uuid import UUID

from audit.actors import Actor
from audit.errors import Fault
from inventory.errors import Frozen, ProductFrozen, WarehouseFrozen
from inventory.models import Movement
from inventory.services.catalogue.stock_warnings import StockWarning, warnings_of_levels

BY_HAND: str = "admin"
"""The source of people's changes, in the console. Programs ship what they held before: a freeze doesn't stop that."""


def frozen_levels(level_ids: Sequence[UUID]) -> dict[UUID, StockWarning]:
    """The freeze of each of these levels that is frozen, by its product or its warehouse. One query."""
    found = warnings_of_levels(level_ids)
    return {
        level_id: next(warning for warning in warnings if warning.is_freeze)
        for level_id, warnings in found.items()
        if any(warning.is_freeze for warning in warnings)
    }


def frozen_error(freeze: StockWarning, pointer: str = "") -> Frozen:
    """The error for goods that are frozen, with a fault at a pointer into the request if there is one."""
    kind = ProductFrozen if freeze.code == ProductFrozen.code else WarehouseFrozen
    faults = [Fault(pointer, kind.code, f"{freeze}.")] if pointer else []
    return kind(f"{freeze}. Taking out frozen goods requires the permission to freeze, and a reason.", faults)


def require_unfrozen(actor: Actor, lines: Sequence[tuple[str, UUID | None]]) -> None:
    """Refuse shipments of frozen goods by hand. ``lines`` are the types of adjustments and their levels.

    Read without locks: a freeze that comes at this moment finds the goods gone, as it would a moment later. Raises
    ProductFrozen or WarehouseFrozen with a fault at ``/adjustments/<index>`` for each line.
    """
    shipped = {index: level for index, (kind, level) in enumerate(lines) if kind == Movement.Type.SHIPMENT and level}
    if actor.source != BY_HAND or not shipped:
        return
    frozen = frozen_levels(list(shipped.values()))
    refused = [(index, frozen[level]) for index, level in shipped.items() if level in frozen]
    errors = [frozen_error(freeze, f"/adjustments/{index}") for index, freeze in refused]
    if errors:
        raise type(errors[0])(errors[0].detail, [fault for error in errors for fault in error.faults])
