"""Read sellable units, counting due holds as free (docs/explanation/rules.md, rule 1). Takes no locks."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Literal, NamedTuple
from uuid import UUID

import msgspec
from django.db import connection

from audit.actors import Actor
from audit.db import columns
from audit.errors import DomainError, PermissionDenied, raise_refusal
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
SELECT scope.n::int, store.code, warehouse.code, array_agg(asked.n::int), array_agg(product.parent_id),
    array_agg({units})
FROM {scopes}
LEFT JOIN (
    unnest((SELECT %s::int[]), (SELECT %s::uuid[])) WITH ORDINALITY AS asked (scope, id, n)
    JOIN inventory_product product USING (id)
) ON asked.scope = scope.n
LEFT JOIN inventory_product parent ON parent.id = product.parent_id
LEFT JOIN {sources}
LEFT JOIN inventory_stocklevel level ON level.product_id = product.id AND level.warehouse_id = source.warehouse_id
{own}LEFT JOIN inventory_warehouse warehouse ON warehouse.id = level.warehouse_id AND {is_shown}
LEFT JOIN LATERAL (
    SELECT sum(item.quantity)::int AS quantity FROM reservations_reservationitem item
    WHERE item.level_id = level.id AND item.held_until <= statement_timestamp()
) due ON true
GROUP BY scope.n, store.code, source.priority, warehouse.code
ORDER BY scope.n, source.priority, warehouse.code
"""
_STORE: Final = "CASE WHEN scope.code IS NULL THEN store.is_default ELSE store.code = scope.code END"
_CHECK: Final = _CHECK_OF.format(
    units=_UNITS.format(further=""),
    scopes=f"unnest((SELECT %s::text[])) WITH ORDINALITY AS scope (code, n) JOIN inventory_store store ON {_STORE}",
    sources="inventory_storewarehouse source ON source.store_id = store.id",
    own="",
    is_shown=WAREHOUSE_MAY_SELL,
)
"""Returns, for each store, a row for each warehouse, and one without a code for products that no warehouse has. Stores
are returned as their numbers in the batch, products as theirs: repeated look-ups of the ids took longer than the rest
of a line's work.

The subqueries hide the numbers of ids and stores, so that one plan is kept for all batches. Otherwise PostgreSQL plans
each batch of one line again, which takes longer than executing it.
"""


_OWN: Final = f"""
WITH scope AS MATERIALIZED (
    SELECT scope.n, scope.cart, store.id AS store_id
    FROM unnest((SELECT %s::text[]), (SELECT %s::text[])) WITH ORDINALITY AS scope (code, cart, n)
    JOIN inventory_store store ON {_STORE}
), own AS MATERIALIZED (
    SELECT scope.n, item.level_id, level.warehouse_id, sum(item.quantity)::int AS quantity
    FROM scope
    CROSS JOIN LATERAL (SELECT * FROM reservations_reservation WHERE cart_id = scope.cart OFFSET 0) r
    JOIN reservations_reservationitem item ON item.reservation_id = r.id AND item.held_until > statement_timestamp()
    JOIN inventory_stocklevel level ON level.id = item.level_id
    WHERE r.status = 'ACTIVE' AND r.store_id = scope.store_id GROUP BY scope.n, item.level_id, level.warehouse_id
)"""  # noqa: S608 - constants only
_SOURCES_AND_OWN: Final = """(
    SELECT scope.n, s.warehouse_id, s.priority, true AS sells FROM scope
    JOIN inventory_storewarehouse s ON s.store_id = scope.store_id
    UNION SELECT own.n, own.warehouse_id, NULL, false FROM own JOIN scope ON scope.n = own.n WHERE NOT EXISTS (
        SELECT FROM inventory_storewarehouse s
        WHERE s.store_id = scope.store_id AND s.warehouse_id = own.warehouse_id)
) source ON source.n = scope.n"""
_CHECK_FOR_CARTS: Final = _OWN + _CHECK_OF.format(
    units=_UNITS.format(further=f" AND source.sells AND {WAREHOUSE_MAY_SELL}") + " + coalesce(own.quantity, 0)",
    scopes="scope JOIN inventory_store store ON store.id = scope.store_id",
    sources=_SOURCES_AND_OWN,
    own="LEFT JOIN own ON own.n = scope.n AND own.level_id = level.id\n",
    is_shown=f"(source.sells AND {WAREHOUSE_MAY_SELL} OR own.quantity > 0)",
)
"""As ``_CHECK``, with the units that a cart holds added to what is sellable. The cart may keep them even if new holds
of them are refused, as when its basket is put."""


class CheckRequest(msgspec.Struct, frozen=True, gc=False):
    """How many units of each line are sellable. ``store`` is a code; None for the actor's only store, or the default
    one. With a ``cart_id``, what the cart holds in the store counts as available."""

    actor: Actor
    store: str | None
    queries: tuple[Query, ...]
    cart_id: str | None = None


def check_availability(
    actor: Actor, store: str | None, queries: Sequence[Query], cart_id: str | None = None
) -> list[Availability]:
    """``check_all`` for one request. Raises the errors that it returns."""
    checked: list[Availability] = raise_refusal(check_all([CheckRequest(actor, store, tuple(queries), cart_id)])[0])
    return checked


def check_all(requests: Sequence[CheckRequest]) -> list[list[Availability] | DomainError]:
    """Check how many units of each line are sellable. Returns for each request an answer per line, in order.

    One query for all requests without a cart, one for all with a cart, and another one if a line names a warehouse that
    has none of the products.

    Returned errors are UnknownStore, also for a store out of the actor's reach, and PermissionDenied for an actor
    limited to some warehouses.
    """
    plain, for_carts = _Statement(_CHECK), _Statement(_CHECK_FOR_CARTS)
    asked = [(plain if request.cart_id is None else for_carts).ask(request) for request in requests]
    plain.read()
    for_carts.read()
    unknown = _unknown({code for each in asked for code in each.missing()})
    return [each.answers(unknown) for each in asked]


class _Scope:
    """What a batch asks about one store, for one cart or none. ``store`` is the store's code, None if it isn't found.

    Products have numbers in the statement: ``parents`` has those of the products that exist, ``levels`` what can be
    sold of them, and ``sources`` the warehouses of these, those first that the store prefers.
    """

    __slots__ = ("levels", "number", "numbers", "parents", "sources", "store")

    def __init__(self, number: int) -> None:
        self.number = number
        self.store: str | None = None
        self.numbers: dict[UUID, int] = {}
        self.parents: dict[int, UUID | None] = {}
        self.levels: dict[int, list[tuple[str, int]]] = {}
        self.sources: list[str] = []

    def note(self, row: tuple[Any, ...]) -> None:
        """Note a row of the statement: the levels of a warehouse, or products that no warehouse has."""
        _, self.store, warehouse, found, parent_ids, sellable = row
        self.parents.update(zip(found, parent_ids, strict=True))
        if warehouse is not None:
            self.sources.append(warehouse)
            for number, units in zip(found, sellable, strict=True):
                self.levels.setdefault(number, []).append((warehouse, units))


class _Statement:
    """What one statement is asked for a batch: the products of each store, or of each store and cart."""

    def __init__(self, sql: str) -> None:
        self._sql = sql
        self._scopes: dict[tuple[str | None, str | None], _Scope] = {}
        self._scopes_of_products: list[int] = []
        self._products: list[UUID] = []

    def ask(self, request: CheckRequest) -> "_Asked":
        """Ask for the products of a request."""
        key = request.store or request.actor.only_store or None, request.cart_id
        scope = self._scopes.get(key)
        if scope is None:
            scope = self._scopes[key] = _Scope(len(self._scopes) + 1)
        return _Asked(request, key[0], scope, [self._number(scope, query) for query in request.queries])

    def _number(self, scope: _Scope, query: Query) -> int:
        product_id = query.variant_id or query.product_id
        number = scope.numbers.get(product_id)
        if number is None:
            self._products.append(product_id)
            self._scopes_of_products.append(scope.number)
            number = scope.numbers[product_id] = len(self._products)
        return number

    def read(self) -> None:
        """Read what was asked, by one query if anything was."""
        if not self._scopes:
            return
        named = [columns.texts([store for store, _ in self._scopes])]
        if self._sql is _CHECK_FOR_CARTS:
            named.append(columns.texts([cart for _, cart in self._scopes]))
        scopes = list(self._scopes.values())
        with connection.cursor() as cursor:
            asked = [columns.ints(self._scopes_of_products), columns.uuids(self._products)]
            cursor.execute(self._sql, [*named, *asked])
            for row in cursor.fetchall():
                scopes[row[0] - 1].note(row)


class _Asked(NamedTuple):
    """A request, the store that it is about (a code; None for the default store), and the numbers of its products."""

    request: CheckRequest
    store: str | None
    scope: _Scope
    numbers: list[int]

    def refusal(self) -> DomainError | None:
        """Why the request is refused; None if it isn't."""
        actor, scope = self.request.actor, self.scope
        if not actor.sees_all_warehouses:
            return PermissionDenied("This is for people who work in all warehouses.")
        if scope.store is None or not actor.sees_store(scope.store):
            code = self.store
            detail = f"There is no store {code}." if code else "Name a store: there is no default for this client."
            return UnknownStore.at("/storeId", detail)
        return None

    def missing(self) -> set[str]:
        """The warehouses that lines name and that have none of the products."""
        named = {query.warehouse for query in self.request.queries if query.warehouse is not None}
        return named.difference(self.scope.sources) if named and self.scope.store else set()

    def answers(self, unknown: Collection[str]) -> list[Availability] | DomainError:
        """The answer to each line, or the refusal. ``unknown`` are codes that no warehouse has."""
        if refusal := self.refusal():
            return refusal
        scope, queries = self.scope, self.request.queries
        places = [(number, query.warehouse) for number, query in zip(self.numbers, queries, strict=True)]
        short = _short_places(places, queries, scope.levels)
        answers = [
            _answer(query, place[0], scope.parents, scope.levels, is_short=place in short)
            for query, place in zip(queries, places, strict=True)
        ]
        if not unknown:
            return answers
        return [
            each._replace(is_warehouse_known=False) if each.query.warehouse in unknown else each for each in answers
        ]


def _unknown(codes: Collection[str]) -> set[str]:
    """Those of these codes that no warehouse has. One query if there are any."""
    return (
        set()
        if not codes
        else set(codes).difference(Warehouse.objects.filter(code__in=codes).values_list("code", flat=True))
    )


Levels = Mapping[int, Sequence[tuple[str, int]]]
"""(warehouse's code, sellable units) by the product's number in the request."""
ProductInWarehouse = tuple[int, str | None]
"""A product's number in the request and a warehouse's code, or None for all of the store's warehouses."""


def _short_places(
    places: Sequence[ProductInWarehouse], queries: Sequence[Query], levels: Levels
) -> set[ProductInWarehouse]:
    """Sum the lines by product and warehouse, and return those for which a reserve would be short."""
    wanted: dict[ProductInWarehouse, int] = {}
    for place, query in zip(places, queries, strict=True):
        wanted[place] = wanted.get(place, 0) + query.quantity
    return allocation.find_short(wanted, levels)


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
