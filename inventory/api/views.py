"""The routes of levels, adjustments and the catalogue: decode, one call, answer."""

from collections.abc import Callable, Collection
from datetime import timedelta
from typing import Any, ClassVar, Final
from uuid import UUID

import msgspec
from django.db.models import Q, Sum, Value
from django.db.models.functions import Coalesce, Now
from django.http import HttpResponse
from msgspec import UNSET
from rest_framework.request import Request

from audit.contract import PageQuery, Problem
from audit.errors import Fault, Invalid, NotFound
from audit.http import (
    MANAGING,
    ApiView,
    after,
    answered,
    as_utc,
    cursor_of,
    decode,
    decode_query,
    rendered,
    respond,
)
from audit.idempotency import StoredAnswer
from audit.schema import describe
from inventory.api import contract
from inventory.errors import UnknownStore
from inventory.models import CODE, CODE_HINT, Freezable, Movement, Product, StockLevel, Store, Warehouse
from inventory.services import brakes, master_data
from inventory.services.brakes import Subject
from inventory.services.master_data import Saved

_DEEPEST: Final = 10
_DAY: Final = timedelta(hours=24)


def _page(found: Any, query: PageQuery) -> tuple[list[Any], str | None]:
    """One page of rows by primary key, and the cursor of the next."""
    if behind := after(query):
        found = found.filter(pk__gt=behind)
    rows = list(found.order_by("pk")[: query.limit + 1])
    following = cursor_of(rows[query.limit - 1].pk) if len(rows) > query.limit else None
    return rows[: query.limit], following


class ProductLevelsView(ApiView):
    """What there is of a product."""

    @describe(
        "readProductLevels",
        "Read a product's stock levels",
        query=contract.ProductLevelsQuery,
        answers={200: contract.ProductLevelsOut, 404: Problem},
    )
    def get(self, request: Request, product_id: UUID) -> HttpResponse:
        query = decode_query(request, contract.ProductLevelsQuery)
        product = _product(product_id)
        found = StockLevel.objects.visible_to(self.asker(request).store_codes).of_product(product_id).with_incoming()
        if query.warehouse_id is not None:
            found = found.filter(warehouse__code=query.warehouse_id)
        levels = list(found)
        return respond(
            contract.ProductLevelsOut(
                product_id=product.parent_id or product.id,
                variant_id=product.id if product.parent_id else UNSET,
                total_quantity=sum(level.on_hand for level in levels),
                total_available=sum(level.available for level in levels),
                total_reserved=sum(level.reserved for level in levels),
                warehouses=[_level(level) for level in levels],
                movements=contract.MovementsOut(last24_hours=_moved(levels)),
                last_updated=max((level.updated_at for level in levels), default=product.updated_at),
            )
        )


def _product(product_id: UUID) -> Product:
    product: Product | None = Product.objects.with_brakes().filter(pk=product_id).first()
    if product is None:
        raise NotFound(f"There is no product {product_id}.")
    return product


def _given(value: int | None) -> int | msgspec.UnsetType:
    return UNSET if value is None else value


def _level(level: StockLevel) -> contract.LevelOut:
    is_located = level.zone or level.aisle or level.shelf
    return contract.LevelOut(
        warehouse_id=level.warehouse.code,
        warehouse_name=level.warehouse.name,
        quantity_on_hand=level.on_hand,
        quantity_reserved=level.reserved,
        quantity_available=level.available,
        incoming_quantity=level.incoming_quantity,
        version=level.version,
        reorder_point=_given(level.reorder_point),
        reorder_quantity=_given(level.reorder_quantity),
        min_stock_level=level.min_stock_level or UNSET,
        max_stock_level=_given(level.max_stock_level),
        location=contract.LocationOut(zone=level.zone, aisle=level.aisle, shelf=level.shelf) if is_located else UNSET,
    )


def _moved(levels: list[StockLevel]) -> contract.MovedOut:
    """What these levels moved in the last 24 hours, by the database's clock."""
    since = Now() - Value(_DAY)
    total = Movement.objects.filter(level__in=levels, created_at__gt=since).aggregate(
        received=_total("RECEIPT", "RETURN"), shipped=_total("SHIPMENT"), adjusted=_total("ADJUSTMENT")
    )
    return contract.MovedOut(received=total["received"], shipped=-total["shipped"], adjusted=total["adjusted"])


def _total(*kinds: str) -> Coalesce:
    return Coalesce(Sum("quantity", filter=Q(type__in=kinds)), 0)


class LevelsView(ApiView):
    """All levels, to sync a catalogue."""

    @describe(
        "listLevels",
        "List stock levels",
        query=contract.LevelsQuery,
        answers={200: contract.LevelPageOut, 422: Problem},
    )
    def get(self, request: Request) -> HttpResponse:
        query = decode_query(request, contract.LevelsQuery)
        codes = self.asker(request).store_codes
        found = StockLevel.objects.visible_to(codes).with_incoming().select_related("warehouse", "product")
        if query.store_id is not None:
            require_store(query.store_id, codes)
            found = found.visible_to([query.store_id])
        if query.warehouse_id is not None:
            found = found.filter(warehouse__code=query.warehouse_id)
        levels, following = _page(found, query)
        return respond(contract.LevelPageOut(items=[_listed(level) for level in levels], next=following))


def require_store(code: str, visible_codes: Collection[str]) -> None:
    """Raise UnknownStore where there is no store of this code, or not for this caller."""
    if not Store.objects.visible_to(visible_codes).filter(code=code).exists():
        raise UnknownStore(f"There is no store {code}.")


def _listed(level: StockLevel) -> contract.ListedLevelOut:
    return contract.ListedLevelOut(
        product_id=level.product.parent_id or level.product_id,
        variant_id=level.product_id if level.product.parent_id else UNSET,
        warehouse_id=level.warehouse.code,
        quantity_on_hand=level.on_hand,
        quantity_reserved=level.reserved,
        quantity_available=level.available,
        incoming_quantity=level.incoming_quantity,
        version=level.version,
        updated_at=level.updated_at,
    )


class LevelSettingsView(ApiView):
    """The settings of one level."""

    allowed: ClassVar = {"PATCH": MANAGING}

    @describe(
        "changeLevelSettings",
        "Change a level's settings",
        body=contract.LevelSettingsIn,
        answers={200: contract.LevelOut, 404: Problem, 409: Problem},
        idempotent=True,
    )
    def patch(self, request: Request, product_id: UUID, warehouse_id: str) -> HttpResponse:
        body = decode(request, contract.LevelSettingsIn)
        given = {name: getattr(body, name) for name in _SETTINGS}
        changes = {name: value for name, value in given.items() if value is not UNSET}
        if body.location is not UNSET:
            location = body.location or contract.LocationIn()
            changes |= {"zone": location.zone, "aisle": location.aisle, "shelf": location.shelf}
        saved = master_data.set_level(
            self.asker(request),
            product_id,
            warehouse_id,
            changes=changes,
            expected_version=body.expected_version,
            claim=self.claim(request, _set),
        )
        return answered(saved, _set)


_SETTINGS: Final = ("reorder_point", "reorder_quantity", "min_stock_level", "max_stock_level")


def _set(saved: Saved) -> StoredAnswer:
    return rendered(_level(saved.row))


class ProductsView(ApiView):
    """The list of products."""

    @describe("listProducts", "List products", query=contract.ProductsQuery, answers={200: contract.ProductPageOut})
    def get(self, request: Request) -> HttpResponse:
        query = decode_query(request, contract.ProductsQuery)
        found = Product.objects.with_brakes()
        if query.sku is not None:
            found = found.filter(sku=query.sku)
        if query.search is not None:
            found = found.search(query.search)
        products, following = _page(found, query)
        return respond(contract.ProductPageOut(items=[_product_out(row) for row in products], next=following))


class ProductView(ApiView):
    """One product."""

    allowed: ClassVar = {"PUT": MANAGING}
    for_all_stores: ClassVar = frozenset({"PUT"})

    @describe("readProduct", "Read a product", answers={200: contract.ProductOut, 404: Problem})
    def get(self, request: Request, product_id: UUID) -> HttpResponse:
        return respond(_product_out(_product(product_id)))

    @describe(
        "putProduct",
        "Create or replace a product",
        body=contract.ProductIn,
        answers={200: contract.ProductOut, 201: contract.ProductOut, 404: Problem, 409: Problem, 422: Problem},
        idempotent=True,
    )
    def put(self, request: Request, product_id: UUID) -> HttpResponse:
        body = decode(request, contract.ProductIn)
        saved = master_data.put_product(
            self.asker(request),
            product_id,
            parent_id=body.parent_id,
            claim=self.claim(request, _put_product),
            sku=body.sku,
            name=body.name,
            barcode=body.barcode,
            is_active=body.is_active,
            listing_expires_at=as_utc(body.listing_expires_at, "/listingExpiresAt"),
            max_units_per_customer=body.max_units_per_customer,
        )
        return answered(saved, _put_product)


def _product_out(product: Product) -> contract.ProductOut:
    return contract.ProductOut(
        product_id=product.id,
        sku=product.sku,
        name=product.name,
        parent_id=product.parent_id,
        barcode=product.barcode,
        is_active=product.is_active,
        listing_expires_at=product.listing_expires_at,
        max_units_per_customer=product.max_units_per_customer,
        frozen=_freeze_out(product),
    )


def _freeze_out(row: Freezable) -> contract.FreezeOut | None:
    if not row.is_frozen or row.frozen_at is None:
        return None
    return contract.FreezeOut(reason=row.freeze_reason, since=row.frozen_at, until=row.frozen_until)


def _put_product(saved: Saved) -> StoredAnswer:
    return rendered(_product_out(saved.row), 201 if saved.is_new else 200)


class WarehousesView(ApiView):
    """The list of warehouses."""

    @describe("listWarehouses", "List warehouses", query=PageQuery, answers={200: contract.WarehousePageOut})
    def get(self, request: Request) -> HttpResponse:
        found = Warehouse.objects.with_brakes().visible_to(self.asker(request).store_codes)
        warehouses, following = _page(found, decode_query(request, PageQuery))
        return respond(contract.WarehousePageOut(items=[_warehouse_out(row) for row in warehouses], next=following))


class WarehouseView(ApiView):
    """One warehouse."""

    allowed: ClassVar = {"PUT": MANAGING}
    for_all_stores: ClassVar = frozenset({"PUT"})

    @describe("readWarehouse", "Read a warehouse", answers={200: contract.WarehouseOut, 404: Problem})
    def get(self, request: Request, warehouse_id: str) -> HttpResponse:
        seen = Warehouse.objects.with_brakes().visible_to(self.asker(request).store_codes)
        warehouse = seen.filter(code=warehouse_id).first()
        if warehouse is None:
            raise NotFound(f"There is no warehouse {warehouse_id}.")
        return respond(_warehouse_out(warehouse))

    @describe(
        "putWarehouse",
        "Create or replace a warehouse",
        body=contract.WarehouseIn,
        answers={200: contract.WarehouseOut, 201: contract.WarehouseOut, 404: Problem},
        idempotent=True,
    )
    def put(self, request: Request, warehouse_id: str) -> HttpResponse:
        body = decode(request, contract.WarehouseIn)
        for name, value in (
            ("address", body.address),
            ("contactInfo", body.contact_info),
            ("capabilities", body.capabilities),
        ):
            _check_plain(value, f"/{name}", _DEEPEST)
        saved = master_data.put_warehouse(
            self.asker(request),
            _code(warehouse_id),
            claim=self.claim(request, _put_warehouse),
            name=body.name,
            type=body.type,
            address=body.address,
            contact_info=body.contact_info,
            capabilities=body.capabilities,
            is_active=body.is_active,
        )
        return answered(saved, _put_warehouse)


def _check_plain(value: object, pointer: str, levels_left: int) -> None:
    """Refuse free-form JSON that the database can't keep: NUL characters, or objects nested without end."""
    if levels_left == 0:
        raise Invalid("Nested too deeply.", [Fault(pointer, "invalid", f"more than {_DEEPEST} levels")])
    if isinstance(value, str) and "\0" in value:
        raise Invalid("A text has a NUL character.", [Fault(pointer, "invalid", "NUL character")])
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        if "\0" in str(key):
            raise Invalid("A name has a NUL character.", [Fault(pointer, "invalid", "NUL character")])
        escaped = str(key).replace("~", "~0").replace("/", "~1")
        _check_plain(child, f"{pointer}/{escaped}", levels_left - 1)


def _code(code: str) -> str:
    """A code as it may be. Raises Invalid."""
    if not CODE.fullmatch(code):
        raise Invalid(f"This is not a code: {CODE_HINT}")
    return code


def _warehouse_out(warehouse: Warehouse) -> contract.WarehouseOut:
    return contract.WarehouseOut(
        warehouse_id=warehouse.code,
        name=warehouse.name,
        type=warehouse.type,  # type: ignore[arg-type]
        address=warehouse.address,
        contact_info=warehouse.contact_info,
        capabilities=warehouse.capabilities,
        is_active=warehouse.is_active,
        frozen=_freeze_out(warehouse),
    )


def _put_warehouse(saved: Saved) -> StoredAnswer:
    return rendered(_warehouse_out(saved.row), 201 if saved.is_new else 200)


class StoresView(ApiView):
    """The list of stores."""

    @describe("listStores", "List stores", query=PageQuery, answers={200: contract.StorePageOut})
    def get(self, request: Request) -> HttpResponse:
        found = Store.objects.with_brakes().visible_to(self.asker(request).store_codes)
        found = found.prefetch_related("sources__warehouse")
        stores, following = _page(found, decode_query(request, PageQuery))
        return respond(contract.StorePageOut(items=[_store_out(row) for row in stores], next=following))


class StoreView(ApiView):
    """One store."""

    allowed: ClassVar = {"PUT": MANAGING}
    for_all_stores: ClassVar = frozenset({"PUT"})

    @describe("readStore", "Read a store", answers={200: contract.StoreOut, 404: Problem})
    def get(self, request: Request, store_id: str) -> HttpResponse:
        store = Store.objects.with_brakes().visible_to(self.asker(request).store_codes).filter(code=store_id).first()
        if store is None:
            raise NotFound(f"There is no store {store_id}.")
        return respond(_store_out(store))

    @describe(
        "putStore",
        "Create or replace a store",
        body=contract.StoreIn,
        answers={200: contract.StoreOut, 201: contract.StoreOut, 404: Problem, 422: Problem},
        idempotent=True,
    )
    def put(self, request: Request, store_id: str) -> HttpResponse:
        body = decode(request, contract.StoreIn)
        priorities = {source.warehouse_id: source.priority for source in body.warehouses}
        if len(priorities) != len(body.warehouses):
            raise Invalid("A warehouse is named once.", [Fault("/warehouses", "invalid", "a warehouse stands twice")])
        saved = master_data.put_store(
            self.asker(request),
            _code(store_id),
            name=body.name,
            ttl_minutes=body.ttl_minutes,
            priorities=priorities,
            claim=self.claim(request, _put_store),
            max_units_per_customer=body.max_units_per_customer,
            max_holds_per_customer=body.max_holds_per_customer,
            hold_window_minutes=body.hold_window_minutes,
        )
        return answered(saved, _put_store)


def _store_out(store: Store) -> contract.StoreOut:
    return contract.StoreOut(
        store_id=store.code,
        name=store.name,
        is_default=store.is_default,
        ttl_minutes=store.ttl_minutes,
        warehouses=[
            contract.SourceOut(warehouse_id=source.warehouse.code, priority=source.priority)
            for source in store.sources.all()
        ],
        max_units_per_customer=store.max_units_per_customer,
        max_holds_per_customer=store.max_holds_per_customer,
        hold_window_minutes=store.hold_window_minutes,
        frozen=_freeze_out(store),
    )


def _put_store(saved: Saved) -> StoredAnswer:
    return rendered(_store_out(saved.row), 201 if saved.is_new else 200)


# --- brakes ----------------------------------------------------------------------------------------------------------


class BrakeView(ApiView):
    """Freezes something, or lifts that: one route each, for each kind of thing."""

    allowed: ClassVar = {"POST": MANAGING}
    for_all_stores: ClassVar = frozenset({"POST"})

    def _freeze(self, request: Request, subject: Subject, render: Callable[[Saved], StoredAnswer]) -> HttpResponse:
        body = decode(request, contract.FreezeIn)
        until = as_utc(body.until, "/until")
        claim = self.claim(request, render)
        saved = brakes.freeze(self.asker(request), subject, reason=body.reason, until=until, claim=claim)
        return answered(saved, render)

    def _unfreeze(self, request: Request, subject: Subject, render: Callable[[Saved], StoredAnswer]) -> HttpResponse:
        body = decode(request, contract.UnfreezeIn)
        claim = self.claim(request, render)
        return answered(brakes.unfreeze(self.asker(request), subject, reason=body.reason, claim=claim), render)


class ProductFreezeView(BrakeView):
    """Stops new holds of a product."""

    @describe(
        "freezeProduct",
        "Freeze a product",
        body=contract.FreezeIn,
        answers={200: contract.ProductOut, 404: Problem},
        idempotent=True,
    )
    def post(self, request: Request, product_id: UUID) -> HttpResponse:
        return self._freeze(request, brakes.product(product_id), _put_product)


class ProductUnfreezeView(BrakeView):
    """Allows new holds of a product again."""

    @describe(
        "unfreezeProduct",
        "Unfreeze a product",
        body=contract.UnfreezeIn,
        answers={200: contract.ProductOut, 404: Problem},
        idempotent=True,
    )
    def post(self, request: Request, product_id: UUID) -> HttpResponse:
        return self._unfreeze(request, brakes.product(product_id), _put_product)


class WarehouseFreezeView(BrakeView):
    """Stops new holds of a warehouse."""

    @describe(
        "freezeWarehouse",
        "Freeze a warehouse",
        body=contract.FreezeIn,
        answers={200: contract.WarehouseOut, 404: Problem},
        idempotent=True,
    )
    def post(self, request: Request, warehouse_id: str) -> HttpResponse:
        return self._freeze(request, brakes.warehouse(warehouse_id), _put_warehouse)


class WarehouseUnfreezeView(BrakeView):
    """Allows new holds of a warehouse again."""

    @describe(
        "unfreezeWarehouse",
        "Unfreeze a warehouse",
        body=contract.UnfreezeIn,
        answers={200: contract.WarehouseOut, 404: Problem},
        idempotent=True,
    )
    def post(self, request: Request, warehouse_id: str) -> HttpResponse:
        return self._unfreeze(request, brakes.warehouse(warehouse_id), _put_warehouse)


class StoreFreezeView(BrakeView):
    """Stops new holds of a store."""

    @describe(
        "freezeStore",
        "Freeze a store",
        body=contract.FreezeIn,
        answers={200: contract.StoreOut, 404: Problem},
        idempotent=True,
    )
    def post(self, request: Request, store_id: str) -> HttpResponse:
        return self._freeze(request, brakes.store(store_id), _put_store)


class StoreUnfreezeView(BrakeView):
    """Allows new holds of a store again."""

    @describe(
        "unfreezeStore",
        "Unfreeze a store",
        body=contract.UnfreezeIn,
        answers={200: contract.StoreOut, 404: Problem},
        idempotent=True,
    )
    def post(self, request: Request, store_id: str) -> HttpResponse:
        return self._unfreeze(request, brakes.store(store_id), _put_store)
