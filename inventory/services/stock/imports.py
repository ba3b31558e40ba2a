"""Import of files: change on hand by the lines of a file, by the rules of adjustments: all lines, or all valid ones.

An audit entry, written in the transaction of the lines, records which rows were imported, by the file's content. So
importing the same file again, also after a crash half way, applies the remaining lines and none twice.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from operator import attrgetter
from typing import Final
from uuid import UUID

from django.db import connection
from django.utils.translation import gettext

from audit.actors import Actor
from audit.console.imports.rows import RowFault
from audit.db import columns
from audit.db.statements import one_statement
from audit.errors import IdempotencyInProgress
from audit.idempotency import advisory_lock
from audit.identifiers import ADJUSTMENT, public_id
from audit.models import AuditEntry
from audit.recording import Entry, record
from inventory import actions, transactions
from inventory.locking import Counters, lock_levels
from inventory.models import QUANTITY_LIMIT, Warehouse
from inventory.services.stock.adjustments import AdjustedLevel, Adjustment, AdjustRequest, write_placed
from inventory.services.stock.import_files import FileLine, ImportFile
from inventory.services.stock.ledger import Ledger
from inventory.services.stock.levels import create_levels

BATCH: Final = 5000
"""The number of lines that one statement writes; with ``skip_bad``, that one transaction writes."""


@dataclass(frozen=True, slots=True)
class Imported:
    """The result of an import: how many lines were applied now (in a dry run: would be) and by earlier runs, and the
    faults of the others, in the file's order."""

    applied: int
    before: int
    bad: tuple[RowFault, ...]


@dataclass(frozen=True, slots=True)
class _Placed:
    """A line and its level."""

    line: FileLine
    place: AdjustedLevel

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


@dataclass(frozen=True, slots=True)
class _Outcome:
    applied: int
    before: int
    bad: Sequence[RowFault]


@dataclass(frozen=True, slots=True)
class Effect:
    """A line with on hand before and after it, in units. The lines of one level build on each other."""

    line: FileLine
    before: int
    after: int


@dataclass(frozen=True, slots=True)
class ImportForecast:
    """The forecast of an import: the effects of its lines, how many were imported before, and the faults of others."""

    effects: tuple[Effect, ...]
    before: int
    bad: tuple[RowFault, ...]


def foresee_import(actor: Actor, file: ImportFile) -> ImportForecast:
    """Forecast ``import_stock`` line by line. Writes nothing and locks nothing; a handful of queries."""
    done = _rows_done(file.id)
    placed, bad = _place(actor, [line for line in file.lines if line.row not in done])
    counters = _read_counters(placed)
    good, refused = _decide(sorted(placed, key=_order), counters)
    effects: list[Effect] = []
    for _level, lines in groupby(good, key=attrgetter("level")):
        on_level = list(lines)
        level = counters.get(on_level[0].place.level_id) if on_level[0].place.level_id else None
        on_hand = level.on_hand if level else 0
        for each in on_level:
            effects.append(Effect(each.line, on_hand, on_hand + each.change))
            on_hand += each.change
    effects.sort(key=lambda effect: effect.line.row)
    return ImportForecast(
        tuple(effects),
        len(file.lines) - len(placed) - len({cell.row for cell in bad}),
        _in_order(file.bad, bad, refused),
    )


def plan_import(actor: Actor, file: ImportFile, *, skip_bad: bool) -> Imported:
    """Dry run of ``import_stock``, by the same rules. Writes nothing and locks nothing."""
    done = _rows_done(file.id)
    placed, bad = _place(actor, [line for line in file.lines if line.row not in done])
    return _planned(file, placed, bad, skip_bad=skip_bad)


def _planned(file: ImportFile, placed: Sequence[_Placed], bad: Sequence[RowFault], *, skip_bad: bool) -> Imported:
    good, refused = _decide(sorted(placed, key=_order), _read_counters(placed))
    faults = _in_order(file.bad, bad, refused)
    before = len(file.lines) - len(placed) - len({cell.row for cell in bad})
    return Imported(len(good) if skip_bad or not faults else 0, before, faults)


def import_stock(
    actor: Actor,
    file: ImportFile,
    *,
    skip_bad: bool = False,
    progress: Callable[[int], None] | None = None,
) -> Imported:
    """Apply the lines of a file that weren't applied before: all or none, in one transaction; with ``skip_bad`` all
    valid ones, one bounded batch per transaction. Skipped lines are tried again when the file is imported again.

    Missing levels are created beforehand, in transactions of their own (docs/explanation/rules.md, rule 8); none for a
    file that can't be applied as a whole. ``progress`` is called with the number of lines written so far.

    Raises IdempotencyInProgress if another run is importing the same file, Busy. Locks: the file's claim, the levels by
    id.
    """
    done = _rows_done(file.id)
    placed, bad = _place(actor, [line for line in file.lines if line.row not in done])
    if not skip_bad:
        plan = _planned(file, placed, bad, skip_bad=False)
        if plan.applied == 0:
            return plan
    ordered = sorted(_with_levels(placed), key=_order)
    outcomes: list[_Outcome] = []
    written = 0
    for batch in _batches(ordered) if skip_bad else [ordered]:
        show = partial(_show_more, progress or _show_nothing, written)
        outcomes.append(transactions.run(partial(_apply, actor, file, batch, skip_bad, show), pipelined=False))
        written += outcomes[-1].applied
    refused = [cell for outcome in outcomes for cell in outcome.bad]
    before = sum(line.row in done for line in file.lines) + sum(outcome.before for outcome in outcomes)
    return Imported(written, before, _in_order(file.bad, bad, refused))


def _order(placed: _Placed) -> tuple[bytes, bool, int]:
    """The sort key of lines: by level, then additions first, as in an adjustment, then in the file's order."""
    return placed.level, placed.change < 0, placed.line.row


def _show_nothing(done: int) -> None:
    pass


def _show_more(show: Callable[[int], None], before: int, more: int) -> None:
    show(before + more)


def _in_order(*bad: Sequence[RowFault]) -> tuple[RowFault, ...]:
    return tuple(sorted((cell for cells in bad for cell in cells), key=lambda cell: cell.row))


def _batches(placed: Sequence[_Placed]) -> Iterator[Sequence[_Placed]]:
    for start in range(0, len(placed), BATCH):
        yield placed[start : start + BATCH]


# ------------------------------------------------------------------------------------------------- where the stock is

_PRODUCTS: Final = "SELECT sku, id, parent_id FROM inventory_product WHERE sku = ANY(%s)"
_LEVELS: Final = """
SELECT level.product_id, level.warehouse_id, level.id FROM inventory_stocklevel level
JOIN unnest(%s::uuid[], %s::uuid[]) AS t (product_id, warehouse_id) USING (product_id, warehouse_id)
"""
_COUNTERS: Final = """
SELECT id, on_hand, reserved FROM inventory_stocklevel WHERE id = ANY(%s)
"""


def _place(actor: Actor, lines: Sequence[FileLine]) -> tuple[list[_Placed], list[RowFault]]:
    """The levels of the lines, and faults; three queries whatever their number. Warehouses out of reach are unknown."""
    skus = {line.sku for line in lines}
    with connection.cursor() as cursor:
        cursor.execute(_PRODUCTS, [columns.texts(skus)])
        products = {sku: (id_, parent_id) for sku, id_, parent_id in cursor.fetchall()}
    codes = {line.warehouse for line in lines}
    warehouses = dict(Warehouse.objects.visible_to(actor).filter(code__in=codes).values_list("code", "id"))
    known, bad = [], []
    for line in lines:
        if line.sku not in products:
            bad.append(RowFault(line.row, "sku", gettext("there is no product %(sku)s") % {"sku": line.sku}))
        if line.warehouse not in warehouses:
            detail = gettext("there is no warehouse %(code)s") % {"code": line.warehouse}
            bad.append(RowFault(line.row, "warehouse", detail))
        if line.sku in products and line.warehouse in warehouses:
            known.append((line, *products[line.sku], warehouses[line.warehouse]))
    levels = _levels_of({(product_id, warehouse_id) for _, product_id, _, warehouse_id in known})
    placed = [
        _Placed(line, AdjustedLevel(product_id, warehouse_id, parent_id, levels.get((product_id, warehouse_id))))
        for line, product_id, parent_id, warehouse_id in known
    ]
    return placed, bad


def _levels_of(keys: Iterable[tuple[UUID, UUID]]) -> dict[tuple[UUID, UUID], UUID]:
    pairs = list(keys)
    with connection.cursor() as cursor:
        cursor.execute(
            _LEVELS, [columns.uuids(product for product, _ in pairs), columns.uuids(place for _, place in pairs)]
        )
        return {(product_id, warehouse_id): level_id for product_id, warehouse_id, level_id in cursor.fetchall()}


def _with_levels(placed: Sequence[_Placed]) -> list[_Placed]:
    """Create the missing levels of lines, and return the lines with them."""
    missing = sorted({each.place[:2] for each in placed if each.place.level_id is None and each.change > 0})
    for start in range(0, len(missing), BATCH):
        transactions.run(partial(create_levels, missing[start : start + BATCH]))
    made = _levels_of(missing) if missing else {}
    return [
        each
        if each.place.level_id or each.place[:2] not in made
        else _Placed(each.line, each.place._replace(level_id=made[each.place[:2]]))
        for each in placed
    ]


def _read_counters(placed: Sequence[_Placed]) -> dict[UUID, Counters]:
    """Read the counters of the lines' levels, without locks."""
    with connection.cursor() as cursor:
        cursor.execute(_COUNTERS, [columns.uuids({each.place.level_id for each in placed} - {None})])
        return {id_: Counters(on_hand, reserved, 0, 0) for id_, on_hand, reserved in cursor.fetchall()}


# ----------------------------------------------------------------------------------------------------- decide and write


def _decide(ordered: Sequence[_Placed], counters: dict[UUID, Counters]) -> tuple[list[_Placed], list[RowFault]]:
    """The lines that can be applied one after the other, and the faults of the rest. On hand must not fall below
    reserved, nor exceed the limit of a level: the same checks as in ``adjustments``, where one fault refuses all lines.
    """
    good: list[_Placed] = []
    bad: list[RowFault] = []
    for _, lines in groupby(ordered, key=attrgetter("level")):
        on_level = list(lines)
        level_id = on_level[0].place.level_id
        level = counters.get(level_id) if level_id else None
        on_hand, reserved = (level.on_hand, level.reserved) if level else (0, 0)
        for each in on_level:
            if on_hand + each.change > QUANTITY_LIMIT:
                detail = gettext("a level has at most %(most)s units") % {"most": QUANTITY_LIMIT}
                bad.append(RowFault(each.line.row, "quantity", detail))
            elif on_hand + each.change < reserved:
                detail = gettext("takes %(units)s away, %(free)s are free")
                detail %= {"units": -each.change, "free": on_hand - reserved}
                bad.append(RowFault(each.line.row, "quantity", detail))
            else:
                on_hand += each.change
                good.append(each)
    return good, bad


def _apply(
    actor: Actor, file: ImportFile, ordered: Sequence[_Placed], skip_bad: bool, show: Callable[[int], None]
) -> _Outcome:
    """Check and write lines. Requires an open transaction. Without ``skip_bad`` one bad line prevents all writes."""
    _claim(file.id)
    done = _rows_done(file.id)
    waiting = [each for each in ordered if each.line.row not in done]
    levels = lock_levels({each.place.level_id for each in waiting if each.place.level_id})
    good, bad = _decide(waiting, levels.by_id)
    if not good or (bad and not skip_bad):
        return _Outcome(0, len(done & {each.line.row for each in ordered}), bad)
    written = 0
    for batch in _batches(good):
        request = AdjustRequest(actor, tuple(each.adjustment for each in batch), id=file.id)
        with one_statement():
            write_placed(request, [each.place for each in batch], levels, Ledger(levels))
        written += len(batch)
        show(written)
    changes = {
        "adjustmentId": public_id(ADJUSTMENT, file.id),
        "file": file.name,
        "sha256": file.sha256,
        "rows": sorted(each.line.row for each in good),
    }
    record([Entry(actor, actions.STOCK_IMPORTED, file.id, changes)], now=levels.now)
    return _Outcome(len(good), len(ordered) - len(waiting), bad)


def lock_of(file_id: UUID) -> int:
    """The advisory lock of a file, a signed 64-bit number."""
    return advisory_lock("import", str(file_id))


def _claim(file_id: UUID) -> None:
    """Claim a file until the end of the transaction; never waits. Raises IdempotencyInProgress."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [lock_of(file_id)])
        if not cursor.fetchone()[0]:
            raise IdempotencyInProgress("Another run is importing this file.")


def _rows_done(file_id: UUID) -> set[int]:
    """The rows of a file that earlier runs have applied, read from its audit entries, unless these are archived."""
    entries = AuditEntry.objects.filter(subject_id=file_id, action=actions.STOCK_IMPORTED.name)
    return {row for rows in entries.values_list("changes__rows", flat=True) for row in rows}
