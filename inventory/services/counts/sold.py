"""What was sold from a line's level shortly before it was counted: goods that may still stand on the shelf unpicked."""

from collections.abc import Iterable
from typing import Any, Final
from uuid import UUID

from django.db import connection

from audit.db import columns
from inventory.models import StockCountLine
from inventory.services.counts.documents import CountLine
from inventory.services.stock.returns import ORDER

# Sales alone: what a warehouse posts as shipped has left the shelf, and has the id of its adjustment.
_SOLD: Final = """
SELECT line.id, (
    SELECT coalesce(-sum(m.quantity), 0) FROM inventory_movement AS m
    WHERE m.level_id = line.level_id AND m.created_at > line.at - interval '24 hours' AND m.created_at <= line.at
        AND m.type = 'SHIPMENT' AND m.reference_type = %s AND m.adjustment_id IS NULL
)
FROM unnest(%s::uuid[], %s::uuid[], %s::timestamptz[]) AS line (id, level_id, at)
"""


def sold_before(lines: Iterable[CountLine | StockCountLine]) -> dict[UUID, int]:
    """The units sold from the level of each line in the 24 hours before its last counting, by the line's id; one query.

    Lines that are counted blind, because a first or second count is outstanding, are left out.
    """
    entered = [line for line in lines if line.counted is not None and not line.needs_recount]
    if not entered:
        return {}
    parameters: list[Any] = [
        ORDER,
        columns.uuids(line.id for line in entered),
        columns.uuids(line.level_id for line in entered),
        columns.times(line.recounted_at or line.counted_at for line in entered),
    ]
    with connection.cursor() as cursor:
        cursor.execute(_SOLD, parameters)
        return dict(cursor.fetchall())
