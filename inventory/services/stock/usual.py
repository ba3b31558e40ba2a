"""The usual units of a product in a kind of change, by its last movements: what a figure is compared with before it is
booked by hand (docs/explanation/rules.md, rule 18)."""

from collections.abc import Collection
from typing import Final, Literal
from uuid import UUID

from django.db import connection

from audit.db import columns
from inventory.services.stock.movements import MovementType

ALWAYS_USUAL: Final = 1_000
"""Up to so many units are never questioned."""
TIMES: Final = 10
"""Up to so many times the usual are never questioned."""
_USUAL: Final = """
SELECT wanted.product_id, percentile_disc(0.5) WITHIN GROUP (ORDER BY last.units)
FROM unnest(%(products)s) wanted (product_id) CROSS JOIN LATERAL (
    SELECT CASE WHEN %(kind)s::text = 'COUNT' THEN movement.quantity_after ELSE abs(movement.quantity) END AS units
    FROM inventory_stocklevel level CROSS JOIN LATERAL (
        -- A level that sells a lot has few receipts among its last movements.
        SELECT * FROM inventory_movement WHERE level_id = level.id ORDER BY created_at DESC LIMIT 1000
    ) movement
    WHERE level.product_id = wanted.product_id AND %(kind)s::text IN ('COUNT', movement.type)
    ORDER BY movement.created_at DESC LIMIT 20
) last GROUP BY wanted.product_id
"""


def usual_units(kind: MovementType | Literal["COUNT"], product_ids: Collection[UUID]) -> dict[UUID, int]:
    """The median of the units of each product's last 20 movements of a kind, over all warehouses; products without any
    are left out. For a count it is the median of on hand after the last movements. One query."""
    with connection.cursor() as cursor:
        cursor.execute(_USUAL, {"products": columns.uuids(product_ids), "kind": kind})
        return dict(cursor.fetchall())


def is_unusual(units: int, usual: int | None) -> bool:
    """Whether the units must be confirmed before they are booked."""
    return abs(units) > max(ALWAYS_USUAL, TIMES * (usual or 0))
