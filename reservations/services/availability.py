"""What shoppers may be told: sellable units, due holds counted as free (api.md, rule 1). Reads only, no locks."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal
from uuid import UUID

from django.db import connection

from audit import columns
from audit.services import Asker
from inventory import allocation
from inventory.errors import UnknownStore
from inventory.locking import read_clock

_SELLABLE: Final = """
SELECT level.id, level.on_hand - level.reserved - level.min_stock_level + coalesce(due.quantity, 0), clock_timestamp()
FROM inventory_stocklevel level
LEFT JOIN LATERAL (
    SELECT sum(item.quantity)::int AS quantity FROM reservations_reservationitem item
    WHERE item.level_id = level.id AND item.held_until <= statement_timestamp()
) due ON true
WHERE level.id = ANY(%s)
"""


def read_sellable(level_ids: Collection[UUID]) -> tuple[datetime, dict[UUID, int]]:
    """The database's clock, and sellable units by level. One query."""
    with connection.cursor() as cursor:
        cursor.execute(_SELLABLE, [columns.uuids(level_ids)])
        rows = cursor.fetchall()
        if not rows:
            return read_clock(), {}
    return rows[0][2], {row[0]: max(0, row[1]) for row in rows}


Status = Literal["AVAILABLE", "INSUFFICIENT", "OUT_OF_STOCK", "UNKNOWN_PRODUCT"]


@dataclass(frozen=True, slots=True)
class Query:
    """A line that is asked about: units of a product, in one warehouse (a code) or in all of the store's."""

    product_id: UUID
    variant_id: UUID | None
    quantity: int
    warehouse: str | None


@dataclass(frozen=True, slots=True)
class Availability:
    """The answer to one line. ``by_warehouse`` gives sellable units by code, the preferred warehouse first.

    ``is_short`` is decided on all the lines of the request together, as reserve decides.
    ``product_id`` is the parent where ``variant_id`` is set; for an unknown product both are as asked.
    """

    query: Query
    product_id: UUID
    variant_id: UUID | None
    is_known: bool
    is_short: bool
    by_warehouse: tuple[tuple[str, int], ...]

    @property
    def available(self) -> int:
        """Sellable units in all."""
        return sum(quantity for _, quantity in self.by_warehouse)

    @property
    def status(self) -> Status:
        """AVAILABLE, INSUFFICIENT (some, not enough), OUT_OF_STOCK or UNKNOWN_PRODUCT."""
        if not self.is_known:
            return "UNKNOWN_PRODUCT"
        if not self.is_short:
            return "AVAILABLE"
        return "INSUFFICIENT" if self.available else "OUT_OF_STOCK"


_CHECK: Final = """
SELECT store.code, product.id, product.parent_id, warehouse.code, warehouse.id,
    CASE WHEN product.is_active AND coalesce(parent.is_active, true)
        AND coalesce(product.listing_expires_at > statement_timestamp(), true)
        AND coalesce(parent.listing_expires_at > statement_timestamp(), true)
    THEN greatest(0, level.on_hand - level.reserved - level.min_stock_level + coalesce(due.quantity, 0)) ELSE 0 END
FROM inventory_store store
LEFT JOIN inventory_product product ON product.id = ANY(%s)
LEFT JOIN inventory_product parent ON parent.id = product.parent_id
LEFT JOIN inventory_storewarehouse source ON source.store_id = store.id
LEFT JOIN inventory_stocklevel level ON level.product_id = product.id AND level.warehouse_id = source.warehouse_id
LEFT JOIN inventory_warehouse warehouse ON warehouse.id = level.warehouse_id AND warehouse.is_active
LEFT JOIN LATERAL (
    SELECT sum(item.quantity)::int AS quantity FROM reservations_reservationitem item
    WHERE item.level_id = level.id AND item.held_until <= statement_timestamp()
) due ON true
WHERE CASE WHEN %s::text IS NULL THEN store.is_default ELSE store.code = %s::text END
ORDER BY source.priority, warehouse.code
"""


def check_availability(asker: Asker, store: str | None, queries: Sequence[Query]) -> list[Availability]:
    """What may be held of each line, in the order of the lines. One query whatever their number.

    Raises UnknownStore, also for a store that the asker may not see.
    """
    code = store or (asker.store_codes[0] if len(asker.store_codes) == 1 else None)
    with connection.cursor() as cursor:
        cursor.execute(_CHECK, [columns.uuids(query.variant_id or query.product_id for query in queries), code, code])
        rows = cursor.fetchall()
    if not rows or (asker.store_codes and rows[0][0] not in asker.store_codes):
        raise UnknownStore(
            f"There is no store {code}." if code else "Name a store: there is no default for this client."
        )
    parents = {row[1]: row[2] for row in rows}
    levels: dict[UUID, list[tuple[str, int]]] = {}
    warehouses: dict[str, UUID] = {}
    for _, product_id, _, code, warehouse_id, sellable in rows:
        if code is not None:
            levels.setdefault(product_id, []).append((code, sellable))
            warehouses[code] = warehouse_id
    short = _short_lines(queries, levels, warehouses)
    return [_answer(query, parents, levels, is_short=_place(query) in short) for query in queries]


Levels = Mapping[UUID, Sequence[tuple[str, int]]]
Place = tuple[UUID, str | None]


def _place(query: Query) -> Place:
    return query.variant_id or query.product_id, query.warehouse


def _short_lines(queries: Sequence[Query], levels: Levels, warehouses: Mapping[str, UUID]) -> set[Place]:
    """Where the lines, those of one product and warehouse summed, ask for more than reserve would find."""
    wanted: dict[Place, int] = {}
    for query in queries:
        wanted[_place(query)] = wanted.get(_place(query), 0) + query.quantity
    nowhere = UUID(int=0)
    demands = [
        allocation.Demand(product_id, quantity, None if code is None else warehouses.get(code, nowhere))
        for (product_id, code), quantity in wanted.items()
    ]
    stock = {(product_id, warehouses[code]): units for product_id, all_ in levels.items() for code, units in all_}
    chosen = allocation.allocate(demands, stock, list(warehouses.values()))
    places = list(wanted)
    return {places[line.demand] for line in chosen if isinstance(line, allocation.Short)}


def _answer(query: Query, parents: Mapping[UUID, UUID | None], levels: Levels, *, is_short: bool) -> Availability:
    stock_id = query.variant_id or query.product_id
    is_known = stock_id in parents and (
        query.variant_id is None or query.product_id in (parents[stock_id], query.variant_id)
    )
    if not is_known:
        return Availability(query, query.product_id, query.variant_id, is_known, True, ())
    found = tuple(entry for entry in levels.get(stock_id, ()) if query.warehouse in (None, entry[0]))
    parent_id = parents[stock_id]
    return Availability(query, parent_id or stock_id, stock_id if parent_id else None, is_known, is_short, found)
