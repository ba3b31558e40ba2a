"""Read stock levels for the HTTP API: those of a product, for many requests in one statement. Takes no locks."""

import time
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

import msgspec
from django.db import connection

from audit import hidden
from audit.actors import Actor
from audit.db import columns
from audit.errors import DomainError, NotFound
from inventory.errors import UnknownWarehouse
from inventory.services.stock import busy_levels
from inventory.services.stock.busy_levels import MOST_COUNTED, Counted


class ProductLevelsRequest(msgspec.Struct, frozen=True, gc=False):
    """A request to read a product's levels in all warehouses in the actor's reach, or in one of them, by its code."""

    actor: Actor
    product_id: UUID
    warehouse: str | None = None


class LevelRow(NamedTuple):
    """A stock level as it is read, with the names of its warehouse and the units in transit to it."""

    warehouse_code: str
    warehouse_name: str
    on_hand: int
    reserved: int
    available: int
    incoming_quantity: int
    version: int
    reorder_point: int | None
    reorder_quantity: int | None
    min_stock_level: int
    max_stock_level: int | None
    zone: str
    aisle: str
    shelf: str


class ProductLevels(msgspec.Struct, frozen=True):
    """A product's levels, by warehouse, and the units that they moved in the last 24 hours by the database's clock.

    ``parent_id`` is set if the product is a variant. ``updated_at`` is when a level changed last; without levels, when
    the product did.
    """

    product_id: UUID
    parent_id: UUID | None
    updated_at: datetime
    received: int
    shipped: int
    adjusted: int
    levels: tuple[LevelRow, ...]


_IN_REACH: Final = """(asked.warehouses IS NULL OR warehouse.code = ANY(string_to_array(asked.warehouses, E'\\n')))
    AND (asked.stores IS NULL OR EXISTS (
        SELECT FROM inventory_storewarehouse source JOIN inventory_store store ON store.id = source.store_id
        WHERE source.warehouse_id = warehouse.id AND store.code = ANY(string_to_array(asked.stores, E'\\n'))
    ))"""
_PRODUCT_LEVELS: Final = f"""
SELECT asked.n::int, product.parent_id, place.is_known, coalesce(level.updated_at, product.updated_at),
    level.busy_id, level.since, level.until, level.received, level.shipped, level.adjusted, level.code, level.name,
    level.on_hand, level.reserved, level.available, level.incoming, level.version, level.reorder_point,
    level.reorder_quantity, level.min_stock_level, level.max_stock_level, level.zone, level.aisle, level.shelf
FROM unnest((SELECT %s::uuid[]), (SELECT %s::text[]), (SELECT %s::text[]), (SELECT %s::text[]))
    WITH ORDINALITY AS asked (product_id, warehouse, stores, warehouses, n)
JOIN LATERAL (
    SELECT parent_id, updated_at FROM inventory_product
    WHERE id = asked.product_id AND id <> '{hidden.PRODUCT_ID}' OFFSET 0
) product ON true
LEFT JOIN LATERAL (
    SELECT id, true AS is_known FROM inventory_warehouse warehouse
    WHERE code = asked.warehouse AND id <> '{hidden.WAREHOUSE_ID}' AND {_IN_REACH} OFFSET 0
) place ON true
LEFT JOIN LATERAL (
    SELECT level.*, warehouse.code, warehouse.name, coming.incoming, moved.received, moved.shipped, moved.adjusted,
        CASE WHEN is_busy THEN level.id END AS busy_id, CASE WHEN is_busy THEN day.began_at END AS since,
        CASE WHEN is_busy THEN coalesce(moved.until, counted.until) END AS until
    FROM (
        SELECT * FROM inventory_stocklevel WHERE product_id = asked.product_id AND id <> '{hidden.LEVEL_ID}'
            AND (asked.warehouse IS NULL OR warehouse_id = place.id) OFFSET 0
    ) level
    JOIN LATERAL (
        SELECT code, name FROM inventory_warehouse warehouse WHERE id = level.warehouse_id AND {_IN_REACH} OFFSET 0
    ) warehouse ON true,
    LATERAL (
        SELECT coalesce(sum(in_transit), 0) AS incoming FROM inventory_transferline
        WHERE destination_level_id = level.id AND in_transit > 0
    ) coming,
    (SELECT statement_timestamp() - interval '24 hours' AS began_at) day
    LEFT JOIN LATERAL (
        SELECT since, until FROM unnest((SELECT %s::uuid[]), (SELECT %s::timestamptz[]), (SELECT %s::timestamptz[]))
            AS counted (level_id, since, until) WHERE counted.level_id = level.id
    ) counted ON true,
    LATERAL (
        SELECT coalesce(sum(quantity) FILTER (WHERE type IN ('RECEIPT', 'RETURN')), 0) AS received,
            coalesce(sum(-quantity) FILTER (WHERE type = 'SHIPMENT'), 0) AS shipped,
            coalesce(sum(quantity) FILTER (WHERE type = 'ADJUSTMENT'), 0) AS adjusted,
            max(created_at) AS until, counted.until IS NOT NULL OR count(*) > {MOST_COUNTED} AS is_busy
        FROM (
            SELECT type, quantity, created_at FROM inventory_movement
            WHERE level_id = level.id AND created_at > coalesce(counted.until, day.began_at)
            UNION ALL
            SELECT type, -quantity, NULL FROM inventory_movement
            WHERE level_id = level.id AND created_at > counted.since AND created_at <= day.began_at
        ) movement
    ) moved
) level ON true
ORDER BY asked.n, level.code
"""  # noqa: S608 - constants only
"""Returns a row for each level, and one without a level for products that have none in reach; none for unknown ones.

``OFFSET 0`` has each table read by its index, once for each row before it. Otherwise the planner, which doesn't know
how few products are asked for, reads small tables whole and joins them, for each request. The subqueries hide the
number of products, so that one plan is kept for all requests.
"""


class LevelRequest(msgspec.Struct, frozen=True, gc=False):
    """A request to read the level of a product in a warehouse, by its code."""

    actor: Actor
    product_id: UUID
    warehouse: str


def read_one_level(requests: Sequence[LevelRequest]) -> list[LevelRow | NotFound]:
    """Read the level that each of these requests asks for. Returns an outcome per request, in order; one statement for
    all. An outcome is NotFound if there is no such level in the actor's reach."""
    rows_of = _read([_key(request) for request in requests])
    return [
        LevelRow._make(rows[0][9:])
        if rows and rows[0][6] is not None
        else NotFound(f"There is no stock level of {request.product_id} in {request.warehouse}.")
        for request, rows in zip(requests, rows_of, strict=True)
    ]


_Key = tuple[UUID, str | None, str | None, str | None]
_Rows = list[list[Any]]


def read_product_levels(requests: Sequence[ProductLevelsRequest]) -> list[ProductLevels | DomainError]:
    """Read the levels that these requests ask for. Returns an outcome per request, in order; one statement for all.

    An outcome is NotFound for an unknown product, and UnknownWarehouse for a warehouse that doesn't exist or is out of
    the actor's reach. Requests for the same share an outcome.
    """
    keys = [_key(request) for request in requests]
    asked = list(dict.fromkeys(keys))
    outcomes = {key: _outcome(*key[:2], rows) for key, rows in zip(asked, _read(asked), strict=True)}
    return [outcomes[key] for key in keys]


def _key(request: ProductLevelsRequest | LevelRequest) -> _Key:
    actor = request.actor
    stores = columns.joined(actor.store_codes) if actor.store_codes else None
    warehouses = None if actor.warehouse_codes is None else columns.joined(actor.warehouse_codes)
    return request.product_id, request.warehouse, stores, warehouses


def _read(asked: Sequence[_Key]) -> list[_Rows]:
    """The rows of ``_PRODUCT_LEVELS`` for each of these, without their first column."""
    product_ids, *texts = zip(*asked, strict=True)
    found: list[_Rows] = [[] for _ in asked]
    known = busy_levels.recall(set(product_ids))
    since = columns.times([counted.since for counted in known.values()])
    until = columns.times([counted.until for counted in known.values()])
    now = time.monotonic()
    with connection.cursor() as cursor:
        parameters = [columns.uuids(product_ids), *map(columns.texts, texts), columns.uuids(known), since, until]
        cursor.execute(_PRODUCT_LEVELS, parameters)
        for n, *row in cursor.fetchall():
            level_id = row[3]
            if level_id is not None:
                counted = Counted._make([*row[4:9], now])
                if level_id in known:
                    counted = known[level_id].then(counted)
                busy_levels.keep(product_ids[n - 1], level_id, counted)
                row[6:9] = counted[2:5]
            found[n - 1].append(row)
    return found


def _outcome(product_id: UUID, warehouse: str | None, rows: Sequence[Sequence[Any]]) -> ProductLevels | DomainError:
    if not rows:
        return NotFound(f"There is no product {product_id}.")
    parent_id, is_known, updated_at = rows[0][:3]
    if warehouse is not None and not is_known:
        return UnknownWarehouse.at("?warehouseId", f"There is no warehouse {warehouse}.")
    if rows[0][6] is None:
        return ProductLevels(product_id, parent_id, updated_at, 0, 0, 0, ())
    return ProductLevels(
        product_id,
        parent_id,
        max([row[2] for row in rows]),
        sum([row[6] for row in rows]),
        sum([row[7] for row in rows]),
        sum([row[8] for row in rows]),
        tuple([LevelRow._make(row[9:]) for row in rows]),
    )
