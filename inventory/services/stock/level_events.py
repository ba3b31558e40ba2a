"""Makes an ``InventoryLevelChangedEvent`` of each changed stock level.

Every change that raises a level's ``version`` publishes one, so that the versions of a level's events form a chain
without gaps. If ``LEVEL_EVENTS`` is off, no events are made, and no statement contains parts for them.

The events of levels whose rows were read are made in Python, which needs no statement and less time than SQL
(docs/explanation/performance.md). Those of other levels are made in SQL, by ``publish_changes``.
"""

from datetime import datetime
from functools import cache
from typing import Final
from uuid import UUID

from msgspec import UNSET

from audit.events import OutboxRow
from audit.publishing import new_event_ids, publish_from
from inventory.events import InventoryLevelChangedEvent, LevelCounters
from inventory.locking import Counters, LevelChange, LevelFacts
from inventory.selling import PRODUCT_MAY_BE_SOLD, STORE_MAY_SELL, WAREHOUSE_MAY_SELL

MOST_CAUSES: Final = 250
"""The most ids in the ``cause`` of an event, as a sweep may expire a thousand holds on one level."""


SETTINGS_CHANGED: Final = LevelChange(bumps=1)


def changed_event(level_id: UUID, facts: LevelFacts, now: Counters, change: LevelChange) -> OutboxRow:
    """The event of a level's change, from its counters after it."""
    available = now.on_hand - now.reserved
    return InventoryLevelChangedEvent(
        product_id=facts.parent_id or facts.product_id,
        variant_id=facts.product_id if facts.parent_id else UNSET,
        warehouse_id=facts.warehouse,
        previous=LevelCounters(
            on_hand=now.on_hand - change.on_hand,
            reserved=now.reserved - change.reserved,
            available=available - change.on_hand + change.reserved,
        ),
        new=LevelCounters(on_hand=now.on_hand, reserved=now.reserved, available=available),
        safety_stock=now.safety_stock,
        sellable=_sellable(facts, max(0, available - now.safety_stock)),
        version=now.version,
        previous_version=now.version - change.bumps,
        cause=change.causes[:MOST_CAUSES],
    ).row(level_id)


def _sellable(facts: LevelFacts, units: int) -> dict[str, int]:
    if not facts.may_be_sold:
        units = 0
    return {store[1:]: units if store[0] == "+" else 0 for store in facts.stores}


# --- levels that were not read ---------------------------------------------------------------------------------------


LEVEL_COLUMNS: Final = """level.id, level.product_id, level.warehouse_id, level.on_hand, level.reserved,
    level.min_stock_level AS safety_stock, level.version"""
"""The columns that a statement's part that changes levels must return, beside those that ``publish_changes`` names."""

_PAYLOAD: Final = """jsonb_build_object('warehouseId', warehouse.code,
    'previous', jsonb_build_object('onHand', changed.on_hand - changed.on_hand_change,
        'reserved', changed.reserved - changed.reserved_change,
        'available', changed.on_hand - changed.on_hand_change - changed.reserved + changed.reserved_change),
    'new', jsonb_build_object('onHand', changed.on_hand, 'reserved', changed.reserved,
        'available', changed.on_hand - changed.reserved),
    'safetyStock', changed.safety_stock, 'sellable', sold.by_store, 'version', changed.version,
    'previousVersion', changed.version - changed.bumps, 'cause', changed.cause, {product})"""
_OF_PRODUCT: Final = _PAYLOAD.format(product="'productId', product.id")
_OF_VARIANT: Final = _PAYLOAD.format(product="'productId', product.parent_id, 'variantId', product.id")

# OFFSET 0 keeps the planner from joining the tables as a whole: whatever their estimated sizes, it looks up each
# level's rows by index.
_ROWS: Final = f"""
SELECT changed.n, changed.id::text AS key,
    CASE WHEN product.parent_id IS NULL THEN {_OF_PRODUCT} ELSE {_OF_VARIANT} END AS payload
FROM {{changed}} AS changed
CROSS JOIN LATERAL (
    SELECT product.id, product.parent_id, {PRODUCT_MAY_BE_SOLD} AS may_be_sold
    FROM inventory_product product LEFT JOIN inventory_product parent ON parent.id = product.parent_id
    WHERE product.id = changed.product_id OFFSET 0
) AS product
CROSS JOIN LATERAL (
    SELECT warehouse.code, {WAREHOUSE_MAY_SELL} AS may_sell
    FROM inventory_warehouse warehouse WHERE warehouse.id = changed.warehouse_id OFFSET 0
) AS warehouse
CROSS JOIN LATERAL (
    SELECT coalesce(jsonb_object_agg(store.code, CASE WHEN product.may_be_sold AND warehouse.may_sell
        AND {STORE_MAY_SELL} THEN greatest(changed.on_hand - changed.reserved - changed.safety_stock, 0) ELSE 0 END),
        '{{{{}}}}'::jsonb) AS by_store
    FROM inventory_storewarehouse source JOIN inventory_store store ON store.id = source.store_id
    WHERE source.warehouse_id = changed.warehouse_id
) AS sold
"""  # noqa: S608 - constants only


def publish_changes(changed: str, *, at_most: int, now: datetime) -> None:
    """Publish the changes of levels that another part of the same statement has written (``audit.db.statements``).

    ``changed`` is what follows FROM: ``LEVEL_COLUMNS`` as they are after the change, with n (counting from 1),
    on_hand_change and reserved_change in units, bumps (by how much the version rose) and cause (jsonb). ``at_most`` is
    the largest possible number of levels. Requires the levels' locks.
    """
    publish_from(_rows(changed), event=InventoryLevelChangedEvent, ids=new_event_ids(at_most), now=now)


@cache
def _rows(changed: str) -> str:
    return _ROWS.format(changed=changed)
