"""Orphans: rows whose owner is gone or closed, which no constraint detects, or which are older than the constraint."""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Final
from uuid import UUID

from audit.db import columns
from audit.db.statements import one_statement, write
from audit.identifiers import COUNT, NIL, TRANSFER, public_id
from audit.recording import Entry, record
from inventory import actions, transactions
from inventory.locking import read_clock
from inventory.services.bookkeeping.reconciliation import CHUNK, FindingKind, Found, Run, keep, rows

_COUNT_LINES: Final = """
SELECT line.id, line.count_id, line.level_id, count.status FROM inventory_stockcountline line
LEFT JOIN inventory_stockcount count ON count.id = line.count_id
WHERE line.is_open AND count.status IS DISTINCT FROM 'OPEN'{these} ORDER BY line.count_id, line.id
"""
_LOCK_COUNTS: Final = "SELECT id FROM inventory_stockcount WHERE id = ANY(%s) ORDER BY id FOR NO KEY UPDATE"
_CLOSE_COUNT_LINES: Final = "UPDATE inventory_stockcountline SET is_open = false WHERE id = ANY(%s)"

# A level that isn't watched any more may keep its alert for an hour: a periodic task resolves it.
_UNWATCHED_ALERTS: Final = """
SELECT alert.id, alert.level_id FROM inventory_lowstockalert alert
JOIN inventory_stocklevel level ON level.id = alert.level_id
WHERE alert.resolved_at IS NULL AND level.reorder_point IS NULL AND level.max_stock_level IS NULL
    AND level.updated_at < statement_timestamp() - interval '1 hour' AND alert.id > %s ORDER BY alert.id LIMIT %s
"""

# Jumps from one level's movements to the next level's in the index, without reading those in between.
_LEVELS_OF_MOVEMENTS: Final = """
WITH RECURSIVE walk AS (
    (SELECT level_id FROM inventory_movement WHERE level_id > %s ORDER BY level_id LIMIT 1)
    UNION ALL
    SELECT (SELECT level_id FROM inventory_movement WHERE level_id > walk.level_id ORDER BY level_id LIMIT 1)
    FROM walk WHERE walk.level_id IS NOT NULL
), bounded AS (SELECT level_id FROM walk WHERE level_id IS NOT NULL LIMIT %s)
SELECT bounded.level_id, level.id IS NOT NULL FROM bounded
LEFT JOIN inventory_stocklevel level ON level.id = bounded.level_id ORDER BY bounded.level_id
"""

_REFERENCES_OF_TRANSFERS: Final = """
WITH RECURSIVE walk AS (
    (SELECT reference FROM inventory_movement
     WHERE reference_type = 'transfer' AND reference <> '' AND reference > %s ORDER BY reference LIMIT 1)
    UNION ALL
    SELECT (SELECT reference FROM inventory_movement
        WHERE reference_type = 'transfer' AND reference <> '' AND reference > walk.reference
        ORDER BY reference LIMIT 1)
    FROM walk WHERE walk.reference IS NOT NULL
), bounded AS (SELECT reference FROM walk WHERE reference IS NOT NULL LIMIT %s)
SELECT bounded.reference, transfer.id IS NOT NULL, movement.id, movement.level_id FROM bounded
LEFT JOIN inventory_transfer transfer ON %s || transfer.id::text = bounded.reference
LEFT JOIN LATERAL (
    SELECT id, level_id FROM inventory_movement
    WHERE reference_type = 'transfer' AND reference <> '' AND reference = bounded.reference ORDER BY id LIMIT 1
) movement ON transfer.id IS NULL
ORDER BY bounded.reference
"""


def check_orphans(run: Run) -> None:
    """Find open lines of closed counts, open alerts of unwatched levels, and movements without their level or transfer.

    Only count lines are repaired: movements are history, and the low-stock task resolves alerts. Locks: those counts.
    """
    lines = rows(_COUNT_LINES.format(these=""), [])
    for start in range(0, len(lines), CHUNK):
        run.count(transactions.run(partial(_confirm_count_lines, run, lines[start : start + CHUNK])))
    for found in (_unwatched_alerts(), _movements_without_level(), _movements_without_transfer()):
        for batch in found:
            run.count(transactions.run(partial(_kept, run, batch)))


def _confirm_count_lines(run: Run, seen: Sequence[Any]) -> list[Found]:
    """Check lines again under the locks of their counts. An open line keeps its level out of all other counts: a repair
    closes it."""
    rows(_LOCK_COUNTS, [columns.uuids(sorted({line[1] for line in seen}))])
    these = columns.uuids(line[0] for line in seen)
    lines = rows(_COUNT_LINES.format(these=" AND line.id = ANY(%s)"), [these])
    found = [_count_line(*line) for line in lines]
    now = read_clock()
    if run.repair and lines:
        reason = run.repair.reason
        found = [finding.repaired("the line was closed") for finding in found]
        entries = [
            Entry(run.actor, actions.COUNT_LINE_CLOSED, count_id, {"lineId": line_id, "reason": reason})
            for line_id, count_id, _, _ in lines
        ]
        with one_statement():
            write(_CLOSE_COUNT_LINES, [columns.uuids(line[0] for line in lines)])
            record(entries, now=now)
    keep(run, found, now=now)
    return found


def _count_line(line_id: UUID, count_id: UUID, level_id: UUID, status: str | None) -> Found:
    what = f"{public_id(COUNT, count_id)} is {status}" if status else f"{public_id(COUNT, count_id)} is gone"
    return Found(FindingKind.ORPHAN, line_id, f"{what}, and its line of this level is open", level_id)


def _kept(run: Run, found: Sequence[Found]) -> Sequence[Found]:
    now: datetime = read_clock()
    keep(run, found, now=now)
    return found


def _walked(sql: str, behind: Any, *parameters: Any, found: Callable[..., Found | None]) -> Iterator[list[Found]]:
    """The findings in the rows of a query, which is read in bounded chunks by its first column."""
    while chunk := rows(sql, [behind, CHUNK, *parameters]):
        behind = chunk[-1][0]
        if wrong := [finding for row in chunk if (finding := found(*row))]:
            yield wrong


def _unwatched_alerts() -> Iterator[list[Found]]:
    detail = "an alert is open, and the level has neither reorder point nor most stock: is the low-stock task running?"
    return _walked(_UNWATCHED_ALERTS, NIL, found=lambda id_, level_id: Found(FindingKind.ORPHAN, id_, detail, level_id))


def _movements_without_level() -> Iterator[list[Found]]:
    def found(level_id: UUID, is_there: bool) -> Found | None:
        return None if is_there else Found(FindingKind.ORPHAN, level_id, "there are movements of a level that is gone")

    return _walked(_LEVELS_OF_MOVEMENTS, NIL, found=found)


def _movements_without_transfer() -> Iterator[list[Found]]:
    def found(reference: str, is_there: bool, movement_id: UUID, level_id: UUID) -> Found | None:
        detail = f"there are movements of {reference}, and no such transfer"
        return None if is_there else Found(FindingKind.ORPHAN, movement_id, detail, level_id)

    return _walked(_REFERENCES_OF_TRANSFERS, "", f"{TRANSFER}-", found=found)
