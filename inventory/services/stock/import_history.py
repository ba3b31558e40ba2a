"""Find lines that were booked before, in any file: a spreadsheet that saves a file again changes bytes, not rows.

Two lines are the same booking if product, warehouse, type, quantity and reference are. Bookings are known for as long
as their movements, and for lines without a reference the audit entries of their files, aren't archived.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from django.db import connection

from audit.db import columns
from audit.models import AuditEntry
from inventory import actions
from inventory.services.stock.import_places import PlacedLine

EVERY_ROW: Final = range(2**31)
"""All rows of a file, to book again."""

# Not by levels, too: in a generic plan each movement would be compared with each of the file's levels.
_WITH_REFERENCE: Final = """
SELECT DISTINCT ON (level_id, type, quantity, reference)
    level_id, type, quantity, reference, created_at, actor
FROM inventory_movement
WHERE reference = ANY(%s) AND reference <> '' AND adjustment_id IS DISTINCT FROM %s
ORDER BY level_id, type, quantity, reference, created_at DESC
"""
_WITHOUT: Final = """
SELECT DISTINCT ON (level_id, type, quantity)
    level_id, type, quantity, reference, created_at, actor
FROM inventory_movement movement
WHERE reference = '' AND adjustment_id IS NOT NULL AND level_id = ANY(%s) AND adjustment_id <> %s
    AND EXISTS (SELECT FROM audit_auditentry WHERE subject_id = movement.adjustment_id AND action = %s)
ORDER BY level_id, type, quantity, created_at DESC
"""


@dataclass(frozen=True, slots=True)
class Booking:
    """When a line was booked before, and by whom."""

    at: datetime
    actor: str


def rows_done(file_id: UUID) -> dict[int, Booking]:
    """The rows of a file that earlier runs have applied, read from its audit entries, unless these are archived."""
    entries = AuditEntry.objects.filter(subject_id=file_id, action=actions.STOCK_IMPORTED.name).order_by("pk")
    found = entries.values_list("at", "actor", "changes__rows")
    return {row: Booking(at, actor) for at, actor, rows in found for row in rows}


def booked_before(file_id: UUID, placed: Iterable[PlacedLine]) -> dict[int, Booking]:
    """The lines that were booked before, by row, other than as lines of this file.

    A line without a reference was booked before only if a file had it: two counts of a shelf may both find one unit
    broken. Two queries, whatever the number of lines; it locks nothing.
    """
    known = {_key(each): each.line.row for each in placed if each.place.level_id}
    if not known:
        return {}
    levels = columns.uuids({level_id for level_id, *_ in known})
    references = {reference for *_, reference in known if reference}
    found: dict[tuple[UUID | None, str, int, str], Booking] = {}
    with connection.cursor() as cursor:
        cursor.execute(_WITH_REFERENCE, [columns.texts(references), file_id])
        rows = cursor.fetchall()
        cursor.execute(_WITHOUT, [levels, file_id, actions.STOCK_IMPORTED.name])
        for level_id, type_, quantity, reference, at, actor in rows + cursor.fetchall():
            found[level_id, type_, quantity, reference] = Booking(at, actor)
    return {each.line.row: found[key] for each in placed if (key := _key(each)) in found}


def _key(placed: PlacedLine) -> tuple[UUID | None, str, int, str]:
    line = placed.line
    return placed.place.level_id, line.type, placed.change, line.reference
