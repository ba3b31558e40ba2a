"""Where the stock of a file's lines is: their products, warehouses and levels."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final
from uuid import UUID

from django.db import connection
from django.utils.translation import gettext

from audit.actors import Actor
from audit.console.imports.rows import RowFault
from audit.db import columns
from inventory import transactions
from inventory.locking import Counters
from inventory.models import Warehouse
from inventory.services.catalogue.codes import several_words, skus_known
from inventory.services.stock.adjusted_levels import TAKEN_IN
from inventory.services.stock.adjustment_lines import AdjustedLevel, Adjustment
from inventory.services.stock.frozen_goods import BY_HAND, frozen_levels
from inventory.services.stock.import_files import FileLine
from inventory.services.stock.levels import create_levels

BATCH: Final = 5000
"""The number of lines that one statement writes; with ``skip_bad``, that one transaction writes."""


@dataclass(frozen=True, slots=True)
class PlacedLine:
    """A line and its level. ``freeze_override`` is why it ships frozen goods; empty if it ships none."""

    line: FileLine
    place: AdjustedLevel
    freeze_override: str = ""

    @property
    def adjustment(self) -> Adjustment:
        line = self.line
        return Adjustment(
            self.place.product_id, None, line.warehouse, line.quantity, line.type, line.reason, line.reference
        )

    @property
    def change(self) -> int:
        """The signed change of on hand."""
        return -self.line.quantity if self.line.type == "SHIPMENT" else self.line.quantity

    @property
    def level(self) -> bytes:
        """A sort key in the order of the levels' ids, in which they are locked; unique for missing levels as well."""
        place = self.place
        return place.level_id.bytes if place.level_id else place.product_id.bytes + place.warehouse_id.bytes


_LEVELS: Final = """
SELECT level.product_id, level.warehouse_id, level.id FROM inventory_stocklevel level
JOIN unnest(%s::uuid[], %s::uuid[]) AS t (product_id, warehouse_id) USING (product_id, warehouse_id)
"""
_COUNTERS: Final = """
SELECT id, on_hand, reserved FROM inventory_stocklevel WHERE id = ANY(%s)
"""


def place_lines(
    actor: Actor, lines: Sequence[FileLine], freeze_override: str = ""
) -> tuple[list[PlacedLine], list[RowFault]]:
    """The levels of the lines, and faults; four queries at most, whatever their number. Warehouses out of reach are
    unknown. Frozen goods are shipped only with a ``freeze_override``, the reason for it."""
    products = skus_known({line.sku for line in lines})
    codes = {line.warehouse for line in lines}
    seen = list(Warehouse.objects.visible_to(actor).filter(code__in=codes).values_list("code", "id", "is_active"))
    warehouses, closed = {row[0]: row[1] for row in seen}, {row[0] for row in seen if not row[2]}
    known, bad = [], []
    for line in lines:
        found = products.get(line.sku, [])
        if not found:
            bad.append(RowFault(line.row, "sku", gettext("there is no product %(sku)s") % {"sku": line.sku}))
        if len(found) > 1:
            bad.append(RowFault(line.row, "sku", several_words(each.sku for each in found)))
        if line.warehouse not in warehouses:
            detail = gettext("there is no warehouse %(code)s") % {"code": line.warehouse}
            bad.append(RowFault(line.row, "warehouse", detail))
        if line.warehouse in closed and line.type in TAKEN_IN:
            detail = gettext("%(code)s is closed: it takes no receipts or returns") % {"code": line.warehouse}
            bad.append(RowFault(line.row, "warehouse", detail))
        elif len(found) == 1 and line.warehouse in warehouses:
            known.append((line, found[0].id, found[0].parent_id, warehouses[line.warehouse]))
    levels = _levels_of({(product_id, warehouse_id) for _, product_id, _, warehouse_id in known})
    placed = [
        PlacedLine(line, AdjustedLevel(product_id, warehouse_id, parent_id, levels.get((product_id, warehouse_id))))
        for line, product_id, parent_id, warehouse_id in known
    ]
    return _checked_for_freezes(actor, placed, bad, freeze_override)


def _checked_for_freezes(
    actor: Actor, placed: list[PlacedLine], bad: list[RowFault], freeze_override: str
) -> tuple[list[PlacedLine], list[RowFault]]:
    """Refuse shipments of frozen goods without a reason, and mark them with one. One query if anything is shipped."""
    shipped = {each.place.level_id for each in placed if each.line.type == "SHIPMENT" and each.place.level_id}
    frozen = frozen_levels(list(shipped)) if shipped else {}
    good, faults = [], []
    for each in placed:
        if each.line.type != "SHIPMENT" or each.place.level_id not in frozen:
            good.append(each)
        elif freeze_override:
            good.append(replace(each, freeze_override=freeze_override))
        else:
            words = gettext("%(sku)s is frozen: ship it on the page of its stock, with a reason")
            if actor.source != BY_HAND:
                words = gettext("%(sku)s is frozen: it is shipped only with a reason (--freeze-override)")
            faults.append(RowFault(each.line.row, "sku", words % {"sku": each.line.sku}))
    return good, [*bad, *faults]


def _levels_of(keys: Iterable[tuple[UUID, UUID]]) -> dict[tuple[UUID, UUID], UUID]:
    pairs = list(keys)
    with connection.cursor() as cursor:
        cursor.execute(
            _LEVELS, [columns.uuids(product for product, _ in pairs), columns.uuids(place for _, place in pairs)]
        )
        return {(product_id, warehouse_id): level_id for product_id, warehouse_id, level_id in cursor.fetchall()}


def with_levels(placed: Sequence[PlacedLine]) -> list[PlacedLine]:
    """Create the missing levels of lines, and return the lines with them."""
    missing = sorted({each.place[:2] for each in placed if each.place.level_id is None and each.change > 0})
    for start in range(0, len(missing), BATCH):
        transactions.run(partial(create_levels, missing[start : start + BATCH]))
    made = _levels_of(missing) if missing else {}
    return [
        each
        if each.place.level_id or each.place[:2] not in made
        else replace(each, place=each.place._replace(level_id=made[each.place[:2]]))
        for each in placed
    ]


def read_counters(placed: Sequence[PlacedLine]) -> dict[UUID, Counters]:
    """Read the counters of the lines' levels, without locks."""
    with connection.cursor() as cursor:
        cursor.execute(_COUNTERS, [columns.uuids({each.place.level_id for each in placed} - {None})])
        return {id_: Counters(on_hand, reserved, 0, 0) for id_, on_hand, reserved in cursor.fetchall()}
