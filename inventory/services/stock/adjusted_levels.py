"""The levels of an adjustment's lines: found by product and warehouse, and locked at once where nothing else must be
locked before them."""

from collections.abc import Collection, Mapping, Sequence
from typing import Final
from uuid import UUID

from django.db import connection

from audit.actors import Actor
from audit.db import columns
from audit.errors import DomainError, Fault, raise_together
from audit.hidden import LEVEL_ID, PRODUCT_ID, is_canary, rows_for
from inventory.errors import UnknownProduct, UnknownWarehouse, WarehouseInactive
from inventory.locking import LockedLevels, NamedLevel, lock_named_levels
from inventory.models import Warehouse
from inventory.services.stock.adjustment_lines import AdjustedLevel, Adjustment
from inventory.services.stock.frozen_goods import BY_HAND
from inventory.transactions import LockedElsewhere

TAKEN_IN: Final = frozenset({"RECEIPT", "RETURN"})
"""The types that bring units in from outside, which a closed warehouse refuses."""

_LEVELS: Final = """
SELECT product.id IS NOT NULL, product.parent_id, level.id
FROM unnest(%s::uuid[], %s::uuid[]) WITH ORDINALITY AS line (product_id, warehouse_id, n)
LEFT JOIN inventory_product product ON product.id = line.product_id AND product.id IS DISTINCT FROM %s::uuid
LEFT JOIN inventory_stocklevel level ON level.product_id = product.id AND level.warehouse_id = line.warehouse_id
    AND level.id IS DISTINCT FROM %s::uuid
ORDER BY line.n
"""
"""The product and the level of each line, in the order of the lines; one given product and level are left out."""


def lock_at_once(actor: Actor, lines: Sequence[Adjustment]) -> tuple[list[AdjustedLevel], LockedLevels] | None:
    """The levels of the lines, found and locked by one statement. None, with nothing locked, if other rows must be
    locked before them (docs/explanation/rules.md, rule 8), or the actor's reach must be read first.

    If a level isn't found, or something is wrong with a line, ``resolve`` decides: raises its errors, and
    LockedElsewhere if it finds a level that isn't locked.
    """
    is_limited = actor.store_codes or actor.warehouse_codes is not None
    if is_limited or actor.source == BY_HAND or any(line.force or line.order_id for line in lines):
        return None
    named, levels = lock_named_levels([(line.variant_id or line.product_id, line.warehouse) for line in lines])
    found = [_level_of(line, named) for line in lines]
    if is_canary(actor) or LEVEL_ID not in levels.by_id:
        places = [place for place in found if place is not None]
        if len(places) == len(lines):
            return places, levels
    places = resolve(actor, lines)
    if any(place.level_id and place.level_id not in levels.by_id for place in places):
        raise LockedElsewhere("A level was created meanwhile.")
    return places, levels


def _level_of(line: Adjustment, named: Mapping[tuple[int, str], NamedLevel]) -> AdjustedLevel | None:
    """The level of a line; None unless it exists and nothing is wrong with the line."""
    product_id = line.variant_id or line.product_id
    level = named.get((product_id.int, line.warehouse))
    if level is None or not (level.is_open or line.type not in TAKEN_IN):
        return None
    if line.variant_id and line.product_id not in (level.parent_id, product_id):
        return None
    return AdjustedLevel(product_id, level.warehouse_id, level.parent_id, level.level_id)


def resolve(actor: Actor, lines: Sequence[Adjustment]) -> list[AdjustedLevel]:
    """The levels of the lines, without locks; two queries whatever their number.

    Raises UnknownProduct, UnknownWarehouse (also for one out of the actor's reach), WarehouseInactive (a receipt or
    return in a closed one).
    """
    seen = rows_for(actor, Warehouse).visible_to(actor)
    named = seen.filter(code__in={a.warehouse for a in lines})
    rows = list(named.values_list("code", "id", "is_active"))
    _check_open(lines, {code for code, _, is_active in rows if not is_active})
    warehouses = {code: id_ for code, id_, _ in rows}
    wanted = [a.variant_id or a.product_id for a in lines]
    hidden = (None, None) if is_canary(actor) else (PRODUCT_ID, LEVEL_ID)
    with connection.cursor() as cursor:
        ids = [columns.uuids(wanted), columns.uuids(warehouses.get(a.warehouse) for a in lines)]
        cursor.execute(_LEVELS, [*ids, *hidden])
        found = cursor.fetchall()
    _require_known(lines, found, warehouses)
    return [
        AdjustedLevel(stock_id, warehouses[line.warehouse], parent_id, level_id)
        for stock_id, line, (_, parent_id, level_id) in zip(wanted, lines, found, strict=True)
    ]


def _require_known(
    adjustments: Sequence[Adjustment],
    found: Sequence[tuple[bool, UUID | None, UUID | None]],
    warehouses: Collection[str],
) -> None:
    """Raise UnknownProduct or UnknownWarehouse, with a fault for each unknown product and warehouse of the lines.

    ``found`` are the rows of the lines' products.
    """
    unknown: list[DomainError] = []
    for index, (line, (is_known, parent_id, _)) in enumerate(zip(adjustments, found, strict=True)):
        stock_id = line.variant_id or line.product_id
        if not is_known or (line.variant_id and line.product_id not in (parent_id, stock_id)):
            pointer = f"/adjustments/{index}/{'variantId' if line.variant_id else 'productId'}"
            unknown.append(UnknownProduct.at(pointer, f"There is no product {stock_id}."))
        if line.warehouse not in warehouses:
            pointer = f"/adjustments/{index}/warehouseId"
            unknown.append(UnknownWarehouse.at(pointer, f"There is no warehouse {line.warehouse}."))
    raise_together(unknown)


def _check_open(adjustments: Sequence[Adjustment], closed: Collection[str]) -> None:
    """Refuse receipts and returns in closed warehouses; what is there can still be corrected and taken away."""
    faults = [
        Fault(f"/adjustments/{index}/warehouseId", WarehouseInactive.code, f"Warehouse {line.warehouse} is closed.")
        for index, line in enumerate(adjustments)
        if line.warehouse in closed and line.type in TAKEN_IN
    ]
    if faults:
        raise WarehouseInactive("A closed warehouse takes no receipts and no returns.", faults)
