"""The only row lock on stock.

Lock order is law (docs/explanation/rules.md, rule 8): levels come last, by primary key, all of a transaction's levels
in one statement.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec
from django.db import connection

from audit.db import columns
from inventory.selling import PRODUCT_MAY_BE_SOLD, WAREHOUSE_MAY_SELL

_LOCK: Final = """
WITH locked AS MATERIALIZED (
    SELECT id, on_hand, reserved, min_stock_level, version, reorder_point, reorder_quantity, max_stock_level
    FROM inventory_stocklevel WHERE id = ANY(%s) ORDER BY id FOR NO KEY UPDATE
)
SELECT clock_timestamp(), * FROM locked
"""
_LOCK_SELLABLE: Final = f"""
WITH locked AS MATERIALIZED (
    SELECT id, on_hand, reserved, min_stock_level, version, reorder_point, reorder_quantity, max_stock_level,
        product_id, warehouse_id
    FROM inventory_stocklevel WHERE id = ANY(%s) ORDER BY id FOR NO KEY UPDATE
)
SELECT clock_timestamp(), locked.*, {WAREHOUSE_MAY_SELL} AND {PRODUCT_MAY_BE_SOLD}
FROM locked JOIN inventory_warehouse warehouse ON warehouse.id = locked.warehouse_id
JOIN inventory_product product ON product.id = locked.product_id
LEFT JOIN inventory_product parent ON parent.id = product.parent_id
"""  # noqa: S608 - constants only
_LOCK_FREE: Final = _LOCK.replace("FOR NO KEY UPDATE", "FOR NO KEY UPDATE SKIP LOCKED")

_LOCK_FROM: Final = """
WITH locked AS MATERIALIZED (
    SELECT id FROM inventory_stocklevel WHERE id = ANY(ARRAY({ids})) ORDER BY id FOR NO KEY UPDATE{skip}
)
SELECT array_agg(id)::text, max(clock_timestamp()) FROM locked
"""


class Counters(msgspec.Struct, gc=False):
    """The counters of one locked level, in units. Mutable: a batch decides one request after the other on them.

    The last three fields are the settings that define when the level is low (``planning.Settings``).
    """

    on_hand: int
    reserved: int
    safety_stock: int
    version: int
    reorder_point: int | None = None
    reorder_quantity: int | None = None
    max_stock_level: int | None = None


class LockedLevels(msgspec.Struct, frozen=True, gc=False):
    """Locked levels by id, and the database's clock, read when the last lock was held."""

    now: datetime
    by_id: dict[UUID, Counters]

    def sellable(self, given_back: Iterable[tuple[UUID, int]] = ()) -> dict[UUID, int]:
        """Sellable units by level, as if the units in ``given_back`` (level, units) were no longer reserved."""
        freed: dict[UUID, int] = {}
        for level_id, quantity in given_back:
            freed[level_id] = freed.get(level_id, 0) + quantity
        return {
            level_id: max(0, c.on_hand - c.reserved - c.safety_stock + freed.get(level_id, 0))
            for level_id, c in self.by_id.items()
        }


@dataclass(frozen=True, slots=True)
class LockedIds:
    """Locked levels whose rows were not read: ``ids`` is a PostgreSQL array of their UUIDs, as text.

    ``now`` is the database's clock, read when the last lock was held.
    """

    now: datetime
    ids: str


def read_clock() -> datetime:
    """Read the database's clock, in a statement that starts when all locks taken before it are held.

    This is docs/explanation/rules.md, rule 4.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        now: datetime = cursor.fetchone()[0]
        return now


def lock_sellable_levels(level_ids: Collection[UUID]) -> LockedLevels | None:
    """Lock levels as ``lock_levels`` does. Returns None, with the levels locked, unless all exist and may be sold from.

    When a level may be sold from is docs/explanation/rules.md, rule 1. It is decided as of the statement's start: a
    product, warehouse or store that is closed during the wait for the locks is still sold this once.
    """
    with connection.cursor() as cursor:
        cursor.execute(_LOCK_SELLABLE, [columns.uuids(level_ids)])
        rows = cursor.fetchall()
    if len(rows) < len(level_ids) or not all(row[-1] for row in rows):
        return None
    return _locked(rows)


def lock_levels(level_ids: Collection[UUID], *, wait: bool = True) -> LockedLevels:
    """Lock stock levels FOR NO KEY UPDATE in order of their ids, and read them and the clock.

    ``clock_timestamp()`` is read for each row as its lock is acquired, outside the locking subquery: the newest value
    was read when every lock was held. ``statement_timestamp()`` would be the time before any wait (rule 4). Unknown
    ids are left out; without ``wait``, levels locked by another transaction are left out as well. Requires an open
    transaction; nothing else may be locked after it.
    """
    with connection.cursor() as cursor:
        cursor.execute(_LOCK if wait else _LOCK_FREE, [columns.uuids(level_ids)])
        rows = cursor.fetchall()
        if not rows:
            return LockedLevels(now=read_clock(), by_id={})
    return _locked(rows)


def _locked(rows: Sequence[tuple[Any, ...]]) -> LockedLevels:
    return LockedLevels(now=max(row[0] for row in rows), by_id={row[1]: Counters(*row[2:9]) for row in rows})


def lock_levels_from(ids: str, parameters: Sequence[Any], *, wait: bool = True) -> LockedIds:
    """Lock the stock levels whose ids a constant SELECT returns, as ``lock_levels`` does, without reading them.

    For batches of thousands: transferring the ids to Python and back would cost more than the locks. Requires an open
    transaction; nothing else may be locked after it.
    """
    with connection.cursor() as cursor:
        cursor.execute(_LOCK_FROM.format(ids=ids, skip="" if wait else " SKIP LOCKED"), parameters)
        locked, now = cursor.fetchone()
    return LockedIds(now=now or read_clock(), ids=locked or "{}")
