"""Find lines that were booked before, in any file: a spreadsheet that saves a file again changes bytes, not rows.

Two lines are the same booking if product, warehouse, type, quantity and reference are. Bookings are known for as long
as their movements, and for lines without a reference the audit entries of their files, aren't archived. A booking whose
document was reversed counts no more: its line can be booked again.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec
from django.db import connection

from audit.db import columns
from inventory import actions
from inventory.models import StockDocument
from inventory.models.documents import numbered
from inventory.services.stock.import_places import PlacedLine

EVERY_ROW: Final = range(2**31)
"""All rows of a file, to book again."""

# Not by levels, too: in a generic plan each movement would be compared with each of the file's levels.
_DOCUMENT: Final = """
LEFT JOIN LATERAL (
    SELECT document.reverses_id IS NOT NULL AS is_reversal, reversal.number AS reversed_by
    FROM inventory_stockdocument document
    LEFT JOIN inventory_stockdocument reversal ON reversal.reverses_id = document.id
    WHERE document.created_at = {at} AND (document.id = {id} OR document.file_id = {id})
) document ON true
"""
_WITH_REFERENCE: Final = """
SELECT DISTINCT ON (level_id, type, quantity, reference)
    level_id, type, quantity, reference, created_at, actor, reversed_by
FROM inventory_movement movement {document}
WHERE reference = ANY(%s) AND reference <> '' AND adjustment_id IS DISTINCT FROM %s AND is_reversal IS NOT TRUE
ORDER BY level_id, type, quantity, reference, reversed_by IS NULL DESC, created_at DESC
"""
_WITHOUT: Final = """
SELECT DISTINCT ON (level_id, type, quantity)
    level_id, type, quantity, reference, created_at, actor, reversed_by
FROM inventory_movement movement {document}
WHERE reference = '' AND adjustment_id IS NOT NULL AND level_id = ANY(%s) AND adjustment_id <> %s
    AND EXISTS (SELECT FROM audit_auditentry WHERE subject_id = movement.adjustment_id AND action = %s)
    AND is_reversal IS NOT TRUE
ORDER BY level_id, type, quantity, reversed_by IS NULL DESC, created_at DESC
"""
_ROWS: Final = """
SELECT entry.at, entry.actor, (entry.changes -> 'rows')::text, document.reversed_by
FROM audit_auditentry entry {document}
WHERE entry.subject_id = %s AND entry.action = %s ORDER BY reversed_by IS NULL, entry.id
"""


@dataclass(frozen=True, slots=True)
class Booking:
    """When a line was booked before, and by whom. ``reversed_by`` is the short number of the reversal, if its document
    was reversed; empty while the booking stands."""

    at: datetime
    actor: str
    reversed_by: str = ""


def standing(bookings: Mapping[int, Booking]) -> dict[int, Booking]:
    """The bookings that weren't reversed, by row."""
    return {row: booking for row, booking in bookings.items() if not booking.reversed_by}


def _booking(at: datetime, actor: str, reversal: int | None) -> Booking:
    return Booking(at, actor, numbered(StockDocument.Kind.REVERSAL.value, reversal) if reversal else "")


def rows_done(file_id: UUID) -> dict[int, Booking]:
    """The rows of a file that earlier runs have applied, read from its audit entries, unless these are archived. A
    booking that stands goes before one that was reversed."""
    with connection.cursor() as cursor:
        cursor.execute(
            _ROWS.format(document=_DOCUMENT.format(at="entry.at", id="entry.subject_id")),
            [file_id, actions.STOCK_IMPORTED.name],
        )
        found = cursor.fetchall()
    return {
        row: _booking(at, actor, reversal)
        for at, actor, rows, reversal in found
        for row in msgspec.json.decode(rows, type=list[int])
    }


def booked_before(file_id: UUID, placed: Iterable[PlacedLine]) -> dict[int, Booking]:
    """The lines that were booked before, by row, other than as lines of this file: also those whose bookings were all
    reversed.

    A line without a reference was booked before only if a file had it: two counts of a shelf may both find one unit
    broken. Two queries, whatever the number of lines; it locks nothing.
    """
    known = {_key(each): each.line.row for each in placed if each.place.level_id}
    if not known:
        return {}
    levels = columns.uuids({level_id for level_id, *_ in known})
    references = {reference for *_, reference in known if reference}
    found: dict[tuple[UUID | None, str, int, str], Booking] = {}
    document = _DOCUMENT.format(at="movement.created_at", id="movement.adjustment_id")
    with connection.cursor() as cursor:
        cursor.execute(_WITH_REFERENCE.format(document=document), [columns.texts(references), file_id])
        rows = cursor.fetchall()
        cursor.execute(_WITHOUT.format(document=document), [levels, file_id, actions.STOCK_IMPORTED.name])
        for level_id, type_, quantity, reference, at, actor, reversal in rows + cursor.fetchall():
            found[level_id, type_, quantity, reference] = _booking(at, actor, reversal)
    return {each.line.row: found[key] for each in placed if (key := _key(each)) in found}


def _key(placed: PlacedLine) -> tuple[UUID | None, str, int, str]:
    line = placed.line
    return placed.place.level_id, line.type, placed.change, line.reference
