"""Reading of movements, the newest first, a page at a time. No writes, no locks."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, Literal
from uuid import UUID

from django.db import connection

from audit import hidden
from audit.db import columns

MovementPosition = tuple[datetime, UUID]
MovementType = Literal["RECEIPT", "SHIPMENT", "ADJUSTMENT", "TRANSFER", "RETURN"]


@dataclass(frozen=True, slots=True)
class MovementFilter:
    """A filter of movements; None means any.

    ``product_id`` includes its variants. ``warehouse`` is a code. ``since`` is inclusive, ``until`` exclusive.
    ``store_codes`` limit the result to the stores' warehouses, and ``reference`` then matches no movement of another
    store; empty means all.
    """

    store_codes: tuple[str, ...] = ()
    product_id: UUID | None = None
    variant_id: UUID | None = None
    warehouse: str | None = None
    type: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    reference: str | None = None


@dataclass(frozen=True, slots=True)
class MovementLine:
    """One movement. ``stock_id`` is the product or variant of the level, ``parent_id`` the variant's parent.

    Reason, reference, cost and actor are blank if the movement belongs to a store outside the caller's reach.
    """

    id: UUID
    stock_id: UUID
    parent_id: UUID | None
    warehouse: str
    type: MovementType
    quantity: int
    quantity_before: int
    quantity_after: int
    reason: str
    reference_type: str
    reference: str
    cost_per_unit: Decimal | None
    adjustment_id: UUID | None
    actor: str
    created_at: datetime


# A movement without a store belongs to its warehouse. What a transfer or a count moved is in reach of all who see the
# warehouse, as these documents are. Anything else may have been done for any of the warehouse's stores, so that all of
# them have to be in reach.
SEEN: Final = """CROSS JOIN LATERAL (
    SELECT cardinality(asked.codes) = 0 OR m.store = ANY(asked.codes) OR m.store = '' AND (
        m.reference_type IN ('transfer', 'count') OR NOT EXISTS (
            SELECT FROM inventory_storewarehouse source JOIN inventory_store store ON store.id = source.store_id
            WHERE source.warehouse_id = level.warehouse_id AND NOT store.code = ANY(asked.codes)))
) AS seen (is_whole)"""
"""Whether a movement ``m`` of ``level`` is in reach of a client limited to the stores ``asked.codes`` (none: all)."""
LINE: Final = """m.id, product.id AS stock_id, product.parent_id, warehouse.code AS warehouse, m.type, m.quantity,
    m.quantity_before, m.quantity_after, CASE WHEN seen.is_whole THEN m.reason ELSE '' END AS reason, m.reference_type,
    CASE WHEN seen.is_whole THEN m.reference ELSE '' END AS reference,
    CASE WHEN seen.is_whole THEN m.cost_per_unit END AS cost_per_unit, m.adjustment_id,
    CASE WHEN seen.is_whole THEN m.actor ELSE '' END AS actor, m.created_at"""
"""The columns of a ``MovementLine``, of a movement ``m`` beside its product and warehouse and ``SEEN``."""
_READ: Final = f"""
SELECT {LINE}
FROM (SELECT %s::text[] AS codes) asked CROSS JOIN {{source}} {SEEN}
JOIN inventory_product product ON product.id = level.product_id
JOIN inventory_warehouse warehouse ON warehouse.id = level.warehouse_id
WHERE m.level_id <> '{hidden.LEVEL_ID}' AND {{levels}}{{rest}}
ORDER BY m.created_at DESC, m.id DESC LIMIT %s
"""  # noqa: S608 - constants only
_BY_TIME: Final = _READ.replace(
    "{source}", "inventory_movement m JOIN inventory_stocklevel level ON level.id = m.level_id"
)
# A page of a busy warehouse is found among the newest movements of all warehouses. The index on time doesn't contain
# the warehouse: following it further for a quiet warehouse would read all movements.
_AMONG_NEWEST: Final = _READ.replace(
    "{source}",
    """(
    SELECT * FROM inventory_movement m WHERE true{movements} ORDER BY m.created_at DESC, m.id DESC LIMIT %s
) m JOIN inventory_stocklevel level ON level.id = m.level_id""",
)
_NEWEST: Final = 5000
# Of one type, more: to look for it at each level reads all movements of the level.
_NEWEST_OF_TYPE: Final = 50_000
# A type with no more movements than this is read as a whole, by its index, and joined to the levels of the warehouse.
# Looking for the type at each level of a large warehouse would read more: the movements of all types.
_FEW_OF_TYPE: Final = 100_000
_HAS_OLDER: Final = """
SELECT EXISTS (
    SELECT FROM inventory_movement m WHERE true{movements} ORDER BY m.created_at DESC, m.id DESC OFFSET %s LIMIT 1
)
"""
# First the index on level finds when each level moved last, and as many levels as the page has lines are taken, those
# that moved last. The earliest of their times is a limit: the page consists of their movements after it, and of all
# movements at it. The latter are read by the index on time, because an import may have moved all levels at once.
# Sorting all movements would take longer each year.
_MOVED_LAST: Final = f"""
WITH newest AS MATERIALIZED (
    SELECT level.id, m.created_at
    FROM (SELECT %s::text[] AS codes) asked CROSS JOIN inventory_stocklevel level
    JOIN inventory_warehouse warehouse ON warehouse.id = level.warehouse_id
    CROSS JOIN LATERAL (
        SELECT m.created_at FROM inventory_movement m WHERE m.level_id = level.id{{movements}}
        ORDER BY m.created_at DESC LIMIT 1
    ) m
    WHERE level.id <> '{hidden.LEVEL_ID}' AND {{levels}} ORDER BY m.created_at DESC LIMIT %s
), since AS MATERIALIZED (
    SELECT CASE count(*) WHEN %s THEN min(created_at) ELSE '-infinity' END AS moment FROM newest
)
"""  # noqa: S608 - constants only
_BY_LEVEL: Final = (
    (_MOVED_LAST + _READ)
    .replace(
        "{source}",
        """(
    SELECT m.* FROM since CROSS JOIN newest CROSS JOIN LATERAL (
        SELECT * FROM inventory_movement m WHERE m.level_id = newest.id AND m.created_at > since.moment{movements}
        ORDER BY m.created_at DESC, m.id DESC LIMIT %s
    ) m
    UNION ALL
    SELECT m.* FROM (SELECT %s::text[] AS codes) asked CROSS JOIN since CROSS JOIN LATERAL (
        SELECT m.* FROM inventory_movement m JOIN inventory_stocklevel level ON level.id = m.level_id
        JOIN inventory_warehouse warehouse ON warehouse.id = level.warehouse_id
        WHERE m.created_at = since.moment{movements} AND {levels} ORDER BY m.created_at DESC, m.id DESC LIMIT %s
    ) m
) m JOIN inventory_stocklevel level ON level.id = m.level_id""",
    )
    .replace("AND {levels}{rest}", "")
)
_HERE: Final = f"""
WITH here AS MATERIALIZED (
    SELECT level.id FROM (SELECT %s::text[] AS codes) asked CROSS JOIN inventory_stocklevel level
    JOIN inventory_warehouse warehouse ON warehouse.id = level.warehouse_id
    WHERE level.id <> '{hidden.LEVEL_ID}' AND {{levels}}
)
"""  # noqa: S608 - constants only
_OF_TYPE: Final = (
    (_HERE + _READ)
    .replace(
        "{source}",
        """(
    SELECT m.* FROM inventory_movement m JOIN here ON here.id = m.level_id WHERE true{movements}
    ORDER BY m.created_at DESC, m.id DESC LIMIT %s
) m JOIN inventory_stocklevel level ON level.id = m.level_id""",
    )
    .replace("AND {levels}{rest}", "")
)
_OF_STORES: Final = """level.warehouse_id IN (
    SELECT source.warehouse_id FROM inventory_storewarehouse source JOIN inventory_store store
    ON store.id = source.store_id WHERE store.code = ANY(asked.codes))"""
_OF_FAMILY: Final = "level.product_id IN (SELECT id FROM inventory_product WHERE id = %s OR parent_id = %s)"


def read_movements(wanted: MovementFilter, *, behind: MovementPosition | None, limit: int) -> list[MovementLine]:
    """At most ``limit`` movements, the newest first, after the given (created_at, id).

    One query; up to six if only a warehouse or stores are given and few of the newest movements are theirs.
    """
    codes = columns.texts(wanted.store_codes)
    levels, of_levels = _level_conditions(wanted)
    movements, of_movements = _movement_conditions(wanted, behind)
    is_of_product = wanted.product_id or wanted.variant_id
    is_of_place = wanted.warehouse or wanted.store_codes
    if wanted.reference is not None or not (is_of_product or is_of_place):
        return _lines(_BY_TIME.format(levels=levels, rest=movements), [codes, *of_levels, *of_movements, limit])
    nested = {"levels": levels, "movements": movements, "rest": ""}
    steps = (_NEWEST, _NEWEST_OF_TYPE) if wanted.type else (_NEWEST,)
    for newest in () if is_of_product else steps:
        if newest == _NEWEST_OF_TYPE and not _has_older(_FEW_OF_TYPE, movements, of_movements):
            return _lines(_OF_TYPE.format(**nested), [codes, *of_levels, codes, *of_movements, limit, limit])
        found = _lines(_AMONG_NEWEST.format(**nested), [codes, *of_movements, newest, *of_levels, limit])
        if len(found) == limit or not _has_older(newest, movements, of_movements):
            return found
    since = [codes, *of_movements, *of_levels, limit, limit]
    at_once = [codes, *of_movements, *of_levels, limit]
    return _lines(_BY_LEVEL.format(**nested), [*since, codes, *of_movements, limit, *at_once, limit])


def _has_older(newest: int, movements: str, of_movements: Sequence[Any]) -> bool:
    """Whether there are more movements than so many; those of a rare type are fewer in all."""
    with connection.cursor() as cursor:
        cursor.execute(_HAS_OLDER.format(movements=movements), [*of_movements, newest])
        return bool(cursor.fetchone()[0])


def _lines(sql: str, parameters: Sequence[Any]) -> list[MovementLine]:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return [MovementLine(*row) for row in cursor.fetchall()]


def _level_conditions(wanted: MovementFilter) -> tuple[str, list[Any]]:
    """The SQL condition on the level, with its parameters."""
    conditions: list[str] = ["true"]
    parameters: list[Any] = []
    if wanted.store_codes:
        conditions.append(_OF_STORES)
    if wanted.product_id:
        conditions.append(_OF_FAMILY)
        parameters += [wanted.product_id, wanted.product_id]
    if wanted.variant_id:
        conditions.append("level.product_id = %s")
        parameters.append(wanted.variant_id)
    if wanted.warehouse:
        conditions.append("warehouse.code = %s")
        parameters.append(wanted.warehouse)
    return " AND ".join(conditions), parameters


def _movement_conditions(wanted: MovementFilter, behind: MovementPosition | None) -> tuple[str, list[Any]]:
    """The SQL conditions on the movement, each preceded by AND, with their parameters."""
    asked: list[tuple[str, Any]] = [
        ("m.type = %s", wanted.type),
        ("m.created_at >= %s", wanted.since),
        ("m.created_at < %s", wanted.until),
        # A literal condition, so that the planner uses the partial index on movements with a reference.
        ("NOT m.reference = '' AND m.reference = %s" if wanted.reference else "m.reference = %s", wanted.reference),
    ]
    given = [(condition, value) for condition, value in asked if value is not None]
    sql = "".join(f" AND {condition}" for condition, _ in given)
    if wanted.reference is not None:
        sql += " AND seen.is_whole"
    parameters = [value for _, value in given]
    if behind:
        return f"{sql} AND (m.created_at, m.id) < (%s, %s)", [*parameters, *behind]
    return sql, parameters
