"""Read stock levels by primary key, to copy all of them, a page at a time. No writes, no locks."""

from collections.abc import Collection
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

import msgspec
from django.db import connection

from audit import hidden
from audit.actors import Actor
from audit.db import columns


class LevelFilter(msgspec.Struct, frozen=True, gc=False):
    """A filter of levels in an actor's reach; None means any.

    ``store`` and ``warehouse`` are codes. ``ids`` are those of products, with their variants, and of variants.
    ``updated_since`` is inclusive.
    """

    actor: Actor
    store: str | None = None
    warehouse: str | None = None
    ids: Collection[UUID] | None = None
    updated_since: datetime | None = None


class ListedLevel(NamedTuple):
    """One level. ``stock_id`` is its product or variant, ``parent_id`` the variant's parent."""

    id: UUID
    stock_id: UUID
    parent_id: UUID | None
    warehouse_code: str
    on_hand: int
    reserved: int
    available: int
    incoming_quantity: int
    version: int
    updated_at: datetime


_LEVELS: Final = f"""
SELECT level.id, level.product_id, product.parent_id, warehouse.code, level.on_hand, level.reserved, level.available,
    coalesce((
        SELECT sum(in_transit) FROM inventory_transferline WHERE destination_level_id = level.id AND in_transit > 0
    ), 0), level.version, level.updated_at
FROM inventory_stocklevel level
JOIN inventory_product product ON product.id = level.product_id
JOIN inventory_warehouse warehouse ON warehouse.id = level.warehouse_id
WHERE level.id <> '{hidden.LEVEL_ID}'{{conditions}} ORDER BY level.id LIMIT {{limit}}
"""  # noqa: S608 - constants only
_LIMITS: Final = (51, 201)
"""The limits of the statement. With the limit as a parameter, whose value a kept plan doesn't know, PostgreSQL would
plan each page anew; with any other number allowed, there would be too many statements to keep."""
_OF_STORES: Final = """level.warehouse_id IN (
    SELECT source.warehouse_id FROM inventory_storewarehouse source JOIN inventory_store store
    ON store.id = source.store_id WHERE store.code = ANY(%s))"""
_FAMILY: Final = "SELECT id FROM inventory_product WHERE (id = ANY(%s) OR parent_id = ANY(%s)) AND id <> %s"
_LAST_OF_WALK: Final = "SELECT id FROM inventory_stocklevel WHERE id <> %s{behind} ORDER BY id OFFSET %s LIMIT 1"


def read_levels(
    wanted: LevelFilter, *, limit: int, behind: UUID | None = None, last: UUID | None = None
) -> list[ListedLevel]:
    """At most ``limit`` levels (up to 201) by primary key, after ``behind`` and up to ``last``; None for no bound.

    One query, and one before it that reads the ids of variants: given ids, the planner uses the index.
    """
    conditions = [(condition, value) for condition, value in _conditions(wanted, behind, last) if value is not None]
    most = next(most for most in _LIMITS if limit <= most)
    sql = _LEVELS.format(conditions="".join(f" AND {condition}" for condition, _ in conditions), limit=most)
    with connection.cursor() as cursor:
        cursor.execute(sql, [value for _, value in conditions])
        return [ListedLevel._make(row) for row in cursor.fetchmany(limit)]


def last_of_walk(behind: UUID | None, rows: int) -> UUID | None:
    """The last of the next ``rows`` levels by primary key, after the given one; None if there are fewer. One query."""
    sql = _LAST_OF_WALK.format(behind="" if behind is None else " AND id > %s")
    with connection.cursor() as cursor:
        cursor.execute(sql, [hidden.LEVEL_ID, *([] if behind is None else [behind]), rows - 1])
        found = cursor.fetchone()
    return found[0] if found else None


def _conditions(wanted: LevelFilter, behind: UUID | None, last: UUID | None) -> list[tuple[str, Any]]:
    """The SQL conditions on the level, each with its parameter; those whose parameter is None don't apply."""
    actor = wanted.actor
    return [
        (_OF_STORES, columns.texts(actor.store_codes) if actor.store_codes else None),
        ("warehouse.code = ANY(%s)", None if actor.warehouse_codes is None else columns.texts(actor.warehouse_codes)),
        (_OF_STORES, None if wanted.store is None else columns.texts([wanted.store])),
        ("warehouse.code = %s", wanted.warehouse),
        ("level.product_id = ANY(%s)", None if wanted.ids is None else columns.uuids(_family(wanted.ids))),
        ("level.updated_at >= %s", wanted.updated_since),
        ("level.id <= %s", last),
        ("level.id > %s", behind),
    ]


def _family(ids: Collection[UUID]) -> list[UUID]:
    """The ids of these products and of their variants."""
    given = columns.uuids(ids)
    with connection.cursor() as cursor:
        cursor.execute(_FAMILY, [given, given, hidden.PRODUCT_ID])
        return [id_ for (id_,) in cursor.fetchall()]
