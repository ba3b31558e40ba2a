"""Look-up of the stores, warehouses, products and levels that requests name.

Two queries for a whole batch, without locks: decisions about stock are made later, under the levels' locks. Results are
cached for ``CATALOGUE_CACHE_SECONDS``: a store's warehouses, their order, its hold time, its limits and whether it is
frozen, and a product's limit and levels. Callers that use the cache must check under the locks whether a level may be
sold from (``locking.lock_sellable_levels``).
"""

import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.conf import settings
from django.db import connection

from audit.actors import Actor
from audit.db import columns
from inventory.errors import (
    Freeze,
    ListingExpired,
    ProductFrozen,
    ProductInactive,
    StoreFrozen,
    UnknownProduct,
    UnknownStore,
    UnknownWarehouse,
    WarehouseFrozen,
    WarehouseInactive,
    WarehouseNotInStore,
)
from inventory.models import Warehouse
from inventory.selling import PRODUCT_IS_ACTIVE, PRODUCT_IS_LISTED, freeze_of
from inventory.services.stock import known_levels


@dataclass(frozen=True, slots=True)
class Source:
    """A warehouse that a store sells from."""

    id: UUID
    code: str
    is_active: bool
    freeze: Freeze | None = None

    @property
    def may_sell(self) -> bool:
        """Whether the warehouse accepts new holds."""
        return self.is_active and self.freeze is None


@dataclass(frozen=True, slots=True)
class StoreFacts:
    """A store and its warehouses, the preferred first. ``freeze`` is set while it is frozen.

    A shopper may hold at most ``max_units`` of a product at a time, and open at most ``max_holds`` holds within
    ``hold_window_minutes``; None means no limit.
    """

    id: UUID
    code: str
    ttl_minutes: int | None
    is_default: bool
    freeze: Freeze | None
    max_units: int | None
    max_holds: int | None
    hold_window_minutes: int | None
    sources: tuple[Source, ...]

    @property
    def selling_sources(self) -> list[Source]:
        """The warehouses that may serve a sourced line, the preferred first."""
        return [source for source in self.sources if source.may_sell]

    def source(self, code: str) -> Source | None:
        """The warehouse with this code; None if the store doesn't sell from it."""
        return next((source for source in self.sources if source.code == code), None)

    def refusals_of(self, codes: Collection[str]) -> dict[str, UnknownWarehouse | WarehouseNotInStore]:
        """The error of each of these codes, none of which is a warehouse of the store. One query."""
        known = set(Warehouse.objects.filter(code__in=codes).values_list("code", flat=True))
        return {
            code: WarehouseNotInStore(f"Store {self.code} doesn't sell from warehouse {code}.")
            if code in known
            else UnknownWarehouse(f"There is no warehouse {code}.")
            for code in codes
        }


@dataclass(frozen=True, slots=True)
class ProductFacts:
    """A product (or variant) and whether it may be sold now. A variant may be sold only if its parent may.

    A shopper may hold at most ``max_units`` of it at a time, including its variants, and ``parent_max_units`` of its
    parent, including all variants.
    """

    id: UUID
    parent_id: UUID | None
    is_active: bool
    is_listed: bool
    freeze: Freeze | None
    max_units: int | None
    parent_max_units: int | None


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The stores, products and levels of a batch. ``levels`` are those of each product, by warehouse."""

    stores: dict[str, StoreFacts]
    default_store: StoreFacts | None
    products: dict[UUID, ProductFacts]
    levels: dict[UUID, dict[UUID, UUID]]

    def store_for(self, actor: Actor, code: str | None) -> StoreFacts:
        """The store of a request: the one it names, else the actor's only store, else the default store.

        Raises UnknownStore, also for a store that the actor may not see.
        """
        if code is None and len(actor.store_codes) == 1:
            code = actor.store_codes[0]
        store = self.stores.get(code) if code is not None else self.default_store
        if store is None or not actor.sees_store(store.code):
            detail = f"There is no store {code}." if code else "Name a store: there is no default for this client."
            raise UnknownStore.at("/storeId", detail)
        return store

    def product_for(self, product_id: UUID, variant_id: UUID | None) -> ProductFacts:
        """The product of a line: the variant if it names one. Raises UnknownProduct."""
        product = self.products.get(variant_id or product_id)
        if product is None:
            raise UnknownProduct(f"There is no product {variant_id or product_id}.")
        if variant_id is not None and product_id not in (product.parent_id, product.id):
            raise UnknownProduct(f"Product {product_id} has no variant {variant_id}.")
        return product


def require_sellable(product: ProductFacts, source: Source | None) -> None:
    """Refuse new holds of a product in a warehouse if they are not allowed.

    Raises ProductInactive, ListingExpired, ProductFrozen, WarehouseInactive or WarehouseFrozen.
    """
    if not product.is_active:
        raise ProductInactive(f"Product {product.id} is not active.")
    if not product.is_listed:
        raise ListingExpired(f"The listing of product {product.id} has ended.")
    if product.freeze:
        raise ProductFrozen(f"Product {product.id} is frozen{product.freeze.words()}", freeze=product.freeze)
    if source is not None and not source.is_active:
        raise WarehouseInactive(f"Warehouse {source.code} is not active.")
    if source is not None and source.freeze:
        raise WarehouseFrozen(f"Warehouse {source.code} is frozen{source.freeze.words()}", freeze=source.freeze)


def require_open(store: StoreFacts, pointer: str) -> None:
    """Refuse new holds in a frozen store. Raises StoreFrozen, with a fault at ``pointer``."""
    if store.freeze:
        error = StoreFrozen(f"Store {store.code} is frozen{store.freeze.words()}", freeze=store.freeze)
        raise StoreFrozen(error.detail, [error.fault(pointer)], freeze=store.freeze)


_STORES: Final = f"""
SELECT store.id, store.code, store.ttl_minutes, store.is_default, {freeze_of("store")},
    store.max_units_per_customer, store.max_holds_per_customer, store.hold_window_minutes,
    warehouse.id, warehouse.code, warehouse.is_active, {freeze_of("warehouse")}
FROM inventory_store store
LEFT JOIN inventory_storewarehouse source ON source.store_id = store.id
LEFT JOIN inventory_warehouse warehouse ON warehouse.id = source.warehouse_id
WHERE store.code = ANY(%s::text[]) OR (store.is_default AND %s)
ORDER BY store.id, source.priority, warehouse.code
"""  # noqa: S608 - constants only

_PRODUCTS: Final = f"""
SELECT level.warehouse_id, level.id, product.id, product.parent_id, {PRODUCT_IS_ACTIVE}, {PRODUCT_IS_LISTED},
    product.max_units_per_customer, parent.max_units_per_customer, {freeze_of("product", "parent")}
FROM inventory_product product
LEFT JOIN inventory_product parent ON parent.id = product.parent_id
LEFT JOIN inventory_stocklevel level ON level.product_id = product.id
WHERE product.id = ANY(%s)
"""  # noqa: S608 - constants only


def _stores(rows: Iterable[tuple[Any, ...]]) -> dict[str, StoreFacts]:
    rows = list(rows)
    sources: dict[str, list[Source]] = {}
    for row in rows:
        of_store = sources.setdefault(row[1], [])
        id_, code, is_active, reason, until = row[9:]
        if id_ is not None:
            of_store.append(Source(id_, code, is_active, _freeze(reason, until)))
    return {
        row[1]: StoreFacts(
            id=row[0],
            code=row[1],
            ttl_minutes=row[2],
            is_default=row[3],
            freeze=_freeze(row[4], row[5]),
            max_units=row[6],
            max_holds=row[7],
            hold_window_minutes=row[8],
            sources=tuple(sources[row[1]]),
        )
        for row in rows
    }


def _freeze(reason: str | None, until: datetime | None) -> Freeze | None:
    return None if reason is None else Freeze(reason, until)


@dataclass(frozen=True, slots=True)
class _Product:
    """A product and its levels by warehouse."""

    facts: ProductFacts
    levels: dict[UUID, UUID]


_DEFAULT_STORE: Final = ""
_REMEMBERED_PRODUCTS: Final = 20_000
_stores_read: dict[str, tuple[float, StoreFacts]] = {}
_products_read: dict[UUID, tuple[float, _Product]] = {}


def forget_catalogue() -> None:
    """Clear the cache, and with it what is known to be short. Entries also expire by themselves after
    ``CATALOGUE_CACHE_SECONDS``."""
    _stores_read.clear()
    _products_read.clear()
    known_levels.forget_all()


def _store_codes(actors_and_stores: Iterable[tuple[Actor, str | None]]) -> set[str]:
    """The codes of the requests' stores; ``_DEFAULT_STORE`` for the default one."""
    return {
        code if code is not None else actor.store_codes[0] if len(actor.store_codes) == 1 else _DEFAULT_STORE
        for actor, code in actors_and_stores
    }


def recall_catalogue(
    actors_and_stores: Iterable[tuple[Actor, str | None]], product_ids: Collection[UUID]
) -> Catalogue | None:
    """The catalogue of a batch from the cache; None unless everything is cached. Sends no query.

    Do not refuse a request because of it, and check under the locks whether levels may be sold from.
    """
    oldest = time.monotonic() - settings.CATALOGUE_CACHE_SECONDS
    stores: dict[str, StoreFacts] = {}
    default_store = None
    for code in _store_codes(actors_and_stores):
        store = _stores_read.get(code)
        if store is None or store[0] <= oldest or not all(source.may_sell for source in store[1].sources):
            return None  # A warehouse closed at the time may be open again, but would not be considered.
        stores[store[1].code] = store[1]
        if code == _DEFAULT_STORE:
            default_store = store[1]
    products: dict[UUID, ProductFacts] = {}
    levels: dict[UUID, dict[UUID, UUID]] = {}
    for product_id in product_ids:
        product = _products_read.get(product_id)
        if product is None or product[0] <= oldest:
            return None
        products[product_id] = product[1].facts
        levels[product_id] = product[1].levels
    return Catalogue(stores, default_store, products, levels)


def read_catalogue(actors_and_stores: Iterable[tuple[Actor, str | None]], product_ids: Collection[UUID]) -> Catalogue:
    """Read the catalogue of a batch: two queries whatever its size, in one round trip if the transaction is pipelined.

    Unknown stores and products are left out.
    """
    codes = _store_codes(actors_and_stores)
    read_at = time.monotonic()
    with connection.cursor() as of_stores, connection.cursor() as of_products:
        of_stores.execute(_STORES, [columns.texts(codes - {_DEFAULT_STORE}), _DEFAULT_STORE in codes])
        of_products.execute(_PRODUCTS, [columns.uuids(product_ids)])
        stores = _stores(of_stores.fetchall())
        rows = of_products.fetchall()
    products: dict[UUID, _Product] = {}
    for row in rows:
        warehouse_id, level_id, product_id, parent_id, is_active, is_listed, most, most_of_parent, *freeze = row
        product = products.get(product_id)
        if product is None:
            facts = ProductFacts(product_id, parent_id, is_active, is_listed, _freeze(*freeze), most, most_of_parent)
            product = products[product_id] = _Product(facts, {})
        if level_id is not None:
            product.levels[warehouse_id] = level_id
    default_store = next((store for store in stores.values() if store.is_default), None)
    _remember(read_at, stores, default_store if _DEFAULT_STORE in codes else None, products)
    return Catalogue(
        stores=stores,
        default_store=default_store,
        products={product_id: product.facts for product_id, product in products.items()},
        levels={product_id: product.levels for product_id, product in products.items()},
    )


def _remember(
    read_at: float, stores: dict[str, StoreFacts], default_store: StoreFacts | None, products: dict[UUID, _Product]
) -> None:
    if len(_products_read) >= _REMEMBERED_PRODUCTS:
        _products_read.clear()
    for code, store in stores.items():
        _stores_read[code] = (read_at, store)
    if default_store:
        _stores_read[_DEFAULT_STORE] = (read_at, default_store)
    for product_id, product in products.items():
        _products_read[product_id] = (read_at, product)
