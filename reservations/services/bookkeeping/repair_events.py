"""The events of repaired stock levels."""

from collections.abc import Collection, Iterator
from typing import Any
from uuid import UUID

from msgspec import UNSET

from audit.events import OutboxRow
from audit.identifiers import ADJUSTMENT, public_id
from inventory.events import StockAdjustedEvent
from inventory.models import StockLevel
from inventory.services.bookkeeping.reconciliation import Repair, Run
from reservations.events import StockReconciledEvent


def events_of(run: Run, repair: Repair, level_id: UUID, changes: dict[str, Any]) -> Iterator[OutboxRow]:
    """The events of a level's repair, made from the changes of its audit entry, with a second one for an added
    movement."""
    yield _reconciled_event(run, repair, changes).row(level_id)
    if changes["ledger"][0] != changes["ledger"][1] and changes["onHand"][0] == changes["onHand"][1]:
        yield _supplied_event(run, repair, changes).row(level_id)


def facts_of(level_ids: Collection[UUID]) -> dict[UUID, dict[str, Any]]:
    """Product and warehouse of each level, by the ids that callers know."""
    found = StockLevel.objects.filter(pk__in=level_ids).values_list(
        "id", "product_id", "product__parent_id", "warehouse__code"
    )
    named = {}
    for level_id, product_id, parent_id, code in found if level_ids else ():
        variant = {"variantId": product_id} if parent_id else {}
        named[level_id] = {"productId": parent_id or product_id, **variant, "warehouseId": code}
    return named


def _reconciled_event(run: Run, repair: Repair, changes: dict[str, Any]) -> StockReconciledEvent:
    """The event of a level's repair, made from the changes of its audit entry."""
    return StockReconciledEvent(
        product_id=changes["productId"],
        variant_id=changes.get("variantId", UNSET),
        warehouse_id=changes["warehouseId"],
        reconciliation_id=run.id,
        previous_stock=changes["onHand"][0],
        new_stock=changes["onHand"][1],
        previous_reserved=changes["reserved"][0],
        new_reserved=changes["reserved"][1],
        reason=repair.reason,
        repaired_by=run.actor.name,
    )


def _supplied_event(run: Run, repair: Repair, changes: dict[str, Any]) -> StockAdjustedEvent:
    """The event of the movement that was missing between the ledger and on hand."""
    before, after = changes["ledger"]
    return StockAdjustedEvent(
        product_id=changes["productId"],
        variant_id=changes.get("variantId", UNSET),
        warehouse_id=changes["warehouseId"],
        adjustment_id=public_id(ADJUSTMENT, run.id),
        adjustment_type="ADJUSTMENT",
        quantity=after - before,
        previous_stock=before,
        new_stock=after,
        reason=repair.reason,
        adjusted_by=run.actor.name,
    )
