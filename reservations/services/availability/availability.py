"""Read sellable units, counting due holds as free (docs/explanation/rules.md, rule 1). Takes no locks."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Literal, NamedTuple
from uuid import UUID

from django.db import connection

from audit.actors import Actor
from audit.db import columns
from inventory import allocation
from inventory.errors import UnknownStore
from inventory.locking import read_clock
from inventory.models import Warehouse
from inventory.selling import PRODUCT_MAY_BE_SOLD, STORE_MAY_SELL, WAREHOUSE_MAY_SELL

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


AvailabilityStatus = Literal["AVAILABLE", "INSUFFICIENT", "OUT_OF_STOCK", "UNKNOWN_PRODUCT", "UNKNOWN_WAREHOUSE"]


class Query(NamedTuple):
    """A line to check: units of a product, in one warehouse (a code) or, with None, in all of the store's."""

    product_id: UUID
    variant_id: UUID | None
    quantity: int
    warehouse: str | None


class Availability(NamedTuple):
    """The answer to one line. ``by_warehouse`` has (warehouse's code, sellable units), the preferred warehouse first.

    ``is_short`` is decided for all lines of the request together, as a reserve decides it. ``product_id`` is the parent
    if ``variant_id`` is set; for an unknown product both are as in the query. ``is_known`` is whether the product
    exists, ``is_warehouse_known`` whether the warehouse that the query names does.
    """

    query: Query
    product_id: UUID
    variant_id: UUID | None
    is_known: bool
    is_short: bool
    by_warehouse: tuple[tuple[str, int], ...]
    is_warehouse_known: bool = True

    @property
    def available(self) -> int:
        """Sellable units in all warehouses."""
        return sum([quantity for _, quantity in self.by_warehouse])

    @property
    def status(self) -> AvailabilityStatus:
        """AVAILABLE, INSUFFICIENT (some units but not enough), OUT_OF_STOCK, UNKNOWN_PRODUCT or UNKNOWN_WAREHOUSE."""
        if not self.is_known:
            return "UNKNOWN_PRODUCT"
        if not self.is_warehouse_known:
            return "UNKNOWN_WAREHOUSE"
        if not self.is_short:
            return "AVAILABLE"
        return "INSUFFICIENT" if self.available else "OUT_OF_STOCK"


_UNITS: Final = f"""CASE WHEN {STORE_MAY_SELL} AND {PRODUCT_MAY_BE_SOLD}{{further}}
    THEN greatest(0, level.on_hand - level.reserved - level.min_stock_level + coalesce(due.quantity, 0)) ELSE 0 END"""
_CHECK_OF: Final = """
SELECT store.code, warehouse.code, array_agg(asked.n::int), array_agg(product.parent_id), array_agg({units})
FROM inventory_store store
LEFT JOIN (
    unnest((SELECT %s::uuid[])) WITH ORDINALITY AS asked (id, n) JOIN inventory_product product USING (id)
) ON true
LEFT JOIN inventory_product parent ON parent.id = product.parent_id
LEFT JOIN {sources} source ON source.store_id = store.id
LEFT JOIN inventory_stocklevel level ON level.product_id = product.id AND level.warehouse_id = source.warehouse_id
{own}LEFT JOIN inventory_warehouse warehouse ON warehouse.id = level.warehouse_id AND {is_shown}
LEFT JOIN LATERAL (
    SELECT sum(item.quantity)::int AS quantity FROM reservations_reservationitem item
    WHERE item.level_id = level.id AND item.held_until <= statement_timestamp()
) due ON true
WHERE CASE WHEN %s::text IS NULL THEN store.is_default ELSE store.code = %s::text END
GROUP BY store.code, source.priority, warehouse.code ORDER BY source.priority, warehouse.code
"""
_CHECK: Final = _CHECK_OF.format(
    units=_UNITS.format(further=""), sources="inventory_storewarehouse", own="", is_shown=WAREHOUSE_MAY_SELL
)
"""Returns a row for each warehouse, and one without a code for products that no warehouse has. Products are returned as
their numbers in the request: repeated look-ups of the ids took longer than the rest of a line's work.

The subquery hides the number of ids, so that one plan is kept for all requests. Otherwise PostgreSQL plans each request
of one line again, which takes longer than executing it.
"""


_OWN: Final = """
WITH own AS MATERIALIZED (
    SELECT r.store_id, item.level_id, level.warehouse_id, sum(item.quantity)::int AS quantity
    FROM (SELECT * FROM reservations_reservation WHERE cart_id = %s OFFSET 0) r
    JOIN reservations_reservationitem item ON item.reservation_id = r.id AND item.held_until > statement_timestamp()
    JOIN inventory_stocklevel level ON level.id = item.level_id
    WHERE r.status = 'ACTIVE' GROUP BY r.store_id, item.level_id, level.warehouse_id
)"""
_SOURCES_AND_OWN: Final = """(
    SELECT store_id, warehouse_id, priority, true AS sells FROM inventory_storewarehouse
    UNION SELECT store_id, warehouse_id, NULL, false FROM own WHERE NOT EXISTS (
        SELECT FROM inventory_storewarehouse s WHERE s.store_id = own.store_id AND s.warehouse_id = own.warehouse_id)
)"""
_CHECK_FOR_CART: Final = _OWN + _CHECK_OF.format(
    units=_UNITS.format(further=f" AND source.sells AND {WAREHOUSE_MAY_SELL}") + " + coalesce(own.quantity, 0)",
    sources=_SOURCES_AND_OWN,
    own="LEFT JOIN own ON own.store_id = store.id AND own.level_id = level.id\n",
    is_shown=f"(source.sells AND {WAREHOUSE_MAY_SELL} OR own.quantity > 0)",
)
"""As ``_CHECK``, with the units that a cart holds added to what is sellable. The cart may keep them even if new holds
of them are refused, as when its basket is put."""


def check_availability(
    actor: Actor, store: str | None, queries: Sequence[Query], cart_id: str | None = None
) -> list[Availability]:
    """Check how many units of each line are sellable. Returns an answer per line, in order; one query for all, and
    another one if a line names a warehouse that has none of the products.

    With a ``cart_id``, what the cart holds in the store counts as available.

    Raises UnknownStore, also for a store out of the actor's reach, and PermissionDenied for an actor limited to some
    warehouses.
    """
    actor.require_all_warehouses()
    code = store or (actor.store_codes[0] if len(actor.store_codes) == 1 else None)
    numbers: dict[UUID, int] = {}
    asked = [numbers.setdefault(query.variant_id or query.product_id, len(numbers) + 1) for query in queries]
    rows = _read(numbers, code, cart_id)
    if not rows or not actor.sees_store(rows[0][0]):
        detail = f"There is no store {code}." if code else "Name a store: there is no default for this client."
        raise UnknownStore.at("/storeId", detail)
    parents: dict[int, UUID | None] = {}
    levels: dict[int, list[tuple[str, int]]] = {}
    for _, warehouse, found, parent_ids, sellable in rows:
        parents.update(zip(found, parent_ids, strict=True))
        if warehouse is not None:
            for number, units in zip(found, sellable, strict=True):
                levels.setdefault(number, []).append((warehouse, units))
    sources = list(dict.fromkeys(row[1] for row in rows if row[1] is not None))
    places = [(number, query.warehouse) for number, query in zip(asked, queries, strict=True)]
    short = _short_places(places, queries, levels, sources)
    answers = [
        _answer(query, place[0], parents, levels, is_short=place in short)
        for query, place in zip(queries, places, strict=True)
    ]
    missing = {query.warehouse for query in queries if query.warehouse is not None}.difference(sources)
    if not missing or not (unknown := _unknown(missing)):
        return answers
    return [each._replace(is_warehouse_known=False) if each.query.warehouse in unknown else each for each in answers]


def _read(stock_ids: Collection[UUID], store: str | None, cart_id: str | None) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        if cart_id is None:
            cursor.execute(_CHECK, [columns.uuids(stock_ids), store, store])
        else:
            cursor.execute(_CHECK_FOR_CART, [cart_id, columns.uuids(stock_ids), store, store])
        return list(cursor.fetchall())


def _unknown(codes: Collection[str]) -> set[str]:
    """Those of these codes that no warehouse has. One query."""
    return set(codes).difference(Warehouse.objects.filter(code__in=codes).values_list("code", flat=True))


Levels = Mapping[int, Sequence[tuple[str, int]]]
"""(warehouse's code, sellable units) by the product's number in the request."""
ProductInWarehouse = tuple[int, str | None]
"""A product's number in the request and a warehouse's code, or None for all of the store's warehouses."""


def _short_places(
    places: Sequence[ProductInWarehouse], queries: Sequence[Query], levels: Levels, sources: Sequence[str]
) -> set[ProductInWarehouse]:
    """Sum the lines by product and warehouse, and return those for which a reserve would be short."""
    wanted: dict[ProductInWarehouse, int] = {}
    for place, query in zip(places, queries, strict=True):
        wanted[place] = wanted.get(place, 0) + query.quantity
    demands = [allocation.Demand(number, quantity, code) for (number, code), quantity in wanted.items()]
    stock = {(number, code): units for number, all_ in levels.items() for code, units in all_}
    chosen = allocation.allocate(demands, stock, sources)
    asked = list(wanted)
    return {asked[line.demand] for line in chosen if isinstance(line, allocation.Short)}


def _answer(
    query: Query, number: int, parents: Mapping[int, UUID | None], levels: Levels, *, is_short: bool
) -> Availability:
    product_id, variant_id, _, warehouse = query
    stock_id = variant_id or product_id
    if number not in parents or (variant_id is not None and product_id not in (parents[number], variant_id)):
        return Availability(query, product_id, variant_id, False, True, ())
    found = levels.get(number, ())
    if warehouse is not None:
        found = [entry for entry in found if entry[0] == warehouse]
    parent_id = parents[number]
    return Availability(query, parent_id or stock_id, stock_id if parent_id else None, True, is_short, tuple(found))
