"""The routes of the catalogue, for integrators who maintain it: decode, one call, answer."""

from collections.abc import Mapping
from typing import Any, ClassVar, Final
from uuid import UUID

from django.http import HttpResponse
from rest_framework.request import Request

from audit.api.contract import PageQuery
from audit.api.http import ApiView, answered, decode, decode_query, rendered, respond
from audit.api.paging import page_of
from audit.api.schema import describe
from audit.api.syncing import page_of_updated
from audit.api.versions import expected_of, precondition, respond_unless_known, tagged
from audit.errors import Fault, Invalid, NotFound
from audit.idempotency import StoredAnswer
from audit.roles import Capability
from audit.texts import RefusedCharacter, clean_note
from inventory.api.catalogue import contract as catalogue_contract
from inventory.api.filters import store_ids
from inventory.codes import sku_key
from inventory.errors import SkuTaken, UnknownProduct, UnknownStore, UnknownWarehouse
from inventory.models import CODE, CODE_HINT, Freezable, Product, Store, Warehouse
from inventory.services.catalogue import master_data
from inventory.services.catalogue.master_data import Saved
from inventory.services.catalogue.stores import put_store

_DEEPEST: Final = 10


class ProductsView(ApiView):
    """The list of products."""

    allowed: ClassVar = {"GET": Capability.READ}

    @describe(
        "listProducts",
        "List products",
        query=catalogue_contract.ProductsQuery,
        answers={200: catalogue_contract.ProductPageOut},
        refusals=(UnknownStore,),
    )
    def get(self, request: Request) -> HttpResponse:
        """Lists products and variants."""
        query = decode_query(request, catalogue_contract.ProductsQuery)
        found = Product.objects.with_freezes()
        if query.sku is not None:
            found = found.filter(sku_key=sku_key(query.sku))
        if query.code is not None:
            found = found.coded(query.code)
        if query.search is not None:
            found = found.search(query.search)
        if query.ids is not None:
            found = found.filter(pk__in=query.ids)
        if query.store_id is not None:
            found = found.of_stores(store_ids(self.actor(request), query.store_id))
        if query.updated_since is None:
            products, following = page_of(found, query)
        else:
            products, following = page_of_updated(found, query, query.updated_since)
        return respond(catalogue_contract.ProductPageOut(items=[_product_out(row) for row in products], next=following))


class ProductView(ApiView):
    """One product."""

    allowed: ClassVar = {"GET": Capability.READ, "PUT": Capability.MANAGE}
    created: ClassVar = "/api/v1/products/{productId}"
    for_all_stores: ClassVar = frozenset({"PUT"})

    @describe("readProduct", "Read a product", answers={200: catalogue_contract.ProductOut}, tagged=True)
    def get(self, request: Request, product_id: UUID) -> HttpResponse:
        """Reads a product or a variant."""
        return respond_unless_known(request, _product_out(read_product(product_id)))

    @describe(
        "putProduct",
        "Create or replace a product",
        body=catalogue_contract.ProductIn,
        answers={
            200: catalogue_contract.ProductOut,
            201: catalogue_contract.ProductOut,
        },
        refusals=(SkuTaken, UnknownProduct),
        idempotent=True,
        conditional=True,
    )
    def put(self, request: Request, product_id: UUID) -> HttpResponse:
        """Creates a product with this id, or replaces all its fields."""
        body = decode(request, catalogue_contract.ProductIn)
        saved = master_data.put_product(
            self.actor(request),
            product_id,
            parent_id=body.parent_id,
            claim=self.claim(request, product_saved),
            precondition=precondition(expected_of(request, body.expected_version), body, _product_values),
            sku=body.sku,
            name=body.name,
            barcode=body.barcode,
            is_active=body.is_active,
            listing_expires_at=body.listing_expires_at,
            max_units_per_customer=body.max_units_per_customer,
        )
        return tagged(answered(saved, product_saved))


def read_product(product_id: UUID) -> Product:
    """Read a product with its freezes. Raises NotFound."""
    product: Product | None = Product.objects.with_freezes().filter(pk=product_id).first()
    if product is None:
        raise NotFound(f"There is no product {product_id}.")
    return product


def _product_out(product: Product) -> catalogue_contract.ProductOut:
    return catalogue_contract.ProductOut(
        product_id=product.id,
        sku=product.sku,
        name=product.name,
        parent_id=product.parent_id,
        barcode=product.barcode,
        is_active=product.is_active,
        listing_expires_at=product.listing_expires_at,
        max_units_per_customer=product.max_units_per_customer,
        version=product.version,
        updated_at=product.updated_at,
        frozen=_freeze_out(product),
    )


def _product_values(product: Product) -> Mapping[str, Any]:
    names = ("sku", "name", "parent_id", "barcode", "is_active", "listing_expires_at", "max_units_per_customer")
    return {name: getattr(product, name) for name in names}


def _freeze_out(row: Freezable) -> catalogue_contract.FreezeOut | None:
    if not row.is_frozen or row.frozen_at is None:
        return None
    return catalogue_contract.FreezeOut(reason=row.freeze_reason, since=row.frozen_at, until=row.frozen_until)


def product_saved(saved: Saved) -> StoredAnswer:
    """The answer to a command that saved a product."""
    return rendered(_product_out(saved.row), 201 if saved.is_new else 200)


class WarehousesView(ApiView):
    """The list of warehouses."""

    allowed: ClassVar = {"GET": Capability.READ}

    @describe("listWarehouses", "List warehouses", query=PageQuery, answers={200: catalogue_contract.WarehousePageOut})
    def get(self, request: Request) -> HttpResponse:
        """Lists the warehouses."""
        found = Warehouse.objects.with_freezes().visible_to(self.actor(request))
        warehouses, following = page_of(found, decode_query(request, PageQuery))
        return respond(
            catalogue_contract.WarehousePageOut(items=[_warehouse_out(row) for row in warehouses], next=following)
        )


class WarehouseView(ApiView):
    """One warehouse."""

    allowed: ClassVar = {"GET": Capability.READ, "PUT": Capability.MANAGE}
    created: ClassVar = "/api/v1/warehouses/{warehouseId}"
    for_all_stores: ClassVar = frozenset({"PUT"})

    @describe("readWarehouse", "Read a warehouse", answers={200: catalogue_contract.WarehouseOut}, tagged=True)
    def get(self, request: Request, warehouse_id: str) -> HttpResponse:
        """Reads a warehouse."""
        seen = Warehouse.objects.with_freezes().visible_to(self.actor(request))
        warehouse = seen.filter(code=warehouse_id).first()
        if warehouse is None:
            raise NotFound(f"There is no warehouse {warehouse_id}.")
        return respond_unless_known(request, _warehouse_out(warehouse))

    @describe(
        "putWarehouse",
        "Create or replace a warehouse",
        body=catalogue_contract.WarehouseIn,
        answers={
            200: catalogue_contract.WarehouseOut,
            201: catalogue_contract.WarehouseOut,
        },
        idempotent=True,
        conditional=True,
    )
    def put(self, request: Request, warehouse_id: str) -> HttpResponse:
        """Creates a warehouse with this code, or replaces all its fields."""
        body = decode(request, catalogue_contract.WarehouseIn)
        for name, value in (
            ("address", body.address),
            ("contactInfo", body.contact_info),
            ("capabilities", body.capabilities),
        ):
            _check_plain(value, f"/{name}", _DEEPEST)
        saved = master_data.put_warehouse(
            self.actor(request),
            _code(warehouse_id),
            claim=self.claim(request, warehouse_saved),
            precondition=precondition(expected_of(request, body.expected_version), body, _warehouse_values),
            name=body.name,
            type=body.type,
            address=body.address,
            contact_info=body.contact_info,
            capabilities=body.capabilities,
            is_active=body.is_active,
        )
        return tagged(answered(saved, warehouse_saved))


def _check_plain(value: object, pointer: str, levels_left: int) -> None:
    """Refuse free-form JSON with characters that are refused in notes, or nested too deeply. Raises Invalid."""
    if levels_left == 0:
        raise Invalid("Nested too deeply.", [Fault(pointer, "invalid", f"It has more than {_DEEPEST} levels.")])
    if isinstance(value, str):
        _check_characters(value, pointer)
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        _check_characters(str(key), pointer)
        escaped = str(key).replace("~", "~0").replace("/", "~1")
        _check_plain(child, f"{pointer}/{escaped}", levels_left - 1)


def _check_characters(text: str, pointer: str) -> None:
    """Raises Invalid for a text with a refused character."""
    try:
        clean_note(text)
    except RefusedCharacter as error:
        raise Invalid(f"A text {error}.", [Fault(pointer, "invalid", f"A text {error}.")]) from error


def _code(code: str) -> str:
    """Check a code. Raises Invalid."""
    if not CODE.fullmatch(code):
        raise Invalid(f"The id in the path is not a code: {CODE_HINT}.")
    return code


def _warehouse_out(warehouse: Warehouse) -> catalogue_contract.WarehouseOut:
    return catalogue_contract.WarehouseOut(
        warehouse_id=warehouse.code,
        name=warehouse.name,
        type=warehouse.type,  # type: ignore[arg-type]
        address=warehouse.address,
        contact_info=warehouse.contact_info,
        capabilities=warehouse.capabilities,
        is_active=warehouse.is_active,
        version=warehouse.version,
        frozen=_freeze_out(warehouse),
    )


def _warehouse_values(warehouse: Warehouse) -> Mapping[str, Any]:
    names = ("name", "type", "address", "contact_info", "capabilities", "is_active")
    return {name: getattr(warehouse, name) for name in names}


def warehouse_saved(saved: Saved) -> StoredAnswer:
    """The answer to a command that saved a warehouse."""
    return rendered(_warehouse_out(saved.row), 201 if saved.is_new else 200)


class StoresView(ApiView):
    """The list of stores."""

    allowed: ClassVar = {"GET": Capability.READ}

    @describe("listStores", "List stores", query=PageQuery, answers={200: catalogue_contract.StorePageOut})
    def get(self, request: Request) -> HttpResponse:
        """Lists the stores."""
        found = Store.objects.with_freezes().visible_to(self.actor(request))
        found = found.prefetch_related("sources__warehouse")
        stores, following = page_of(found, decode_query(request, PageQuery))
        return respond(catalogue_contract.StorePageOut(items=[_store_out(row) for row in stores], next=following))


class StoreView(ApiView):
    """One store."""

    allowed: ClassVar = {"GET": Capability.READ, "PUT": Capability.MANAGE}
    created: ClassVar = "/api/v1/stores/{storeId}"
    for_all_stores: ClassVar = frozenset({"PUT"})

    @describe("readStore", "Read a store", answers={200: catalogue_contract.StoreOut}, tagged=True)
    def get(self, request: Request, store_id: str) -> HttpResponse:
        """Reads a store."""
        store = Store.objects.with_freezes().visible_to(self.actor(request)).filter(code=store_id).first()
        if store is None:
            raise NotFound(f"There is no store {store_id}.")
        return respond_unless_known(request, _store_out(store))

    @describe(
        "putStore",
        "Create or replace a store",
        body=catalogue_contract.StoreIn,
        answers={
            200: catalogue_contract.StoreOut,
            201: catalogue_contract.StoreOut,
        },
        refusals=(UnknownWarehouse,),
        idempotent=True,
        conditional=True,
    )
    def put(self, request: Request, store_id: str) -> HttpResponse:
        """Creates a store with this code, or replaces all its fields."""
        body = decode(request, catalogue_contract.StoreIn)
        priorities = {source.warehouse_id: source.priority for source in body.warehouses}
        saved = put_store(
            self.actor(request),
            _code(store_id),
            name=body.name,
            ttl_minutes=body.ttl_minutes,
            priorities=priorities,
            claim=self.claim(request, store_saved),
            precondition=precondition(expected_of(request, body.expected_version), body, _store_values),
            max_units_per_customer=body.max_units_per_customer,
            max_holds_per_customer=body.max_holds_per_customer,
            hold_window_minutes=body.hold_window_minutes,
        )
        return tagged(answered(saved, store_saved))


def _store_out(store: Store) -> catalogue_contract.StoreOut:
    return catalogue_contract.StoreOut(
        store_id=store.code,
        name=store.name,
        is_default=store.is_default,
        ttl_minutes=store.ttl_minutes,
        warehouses=[
            catalogue_contract.SourceOut(warehouse_id=source.warehouse.code, priority=source.priority)
            for source in store.sources.all()
        ],
        max_units_per_customer=store.max_units_per_customer,
        max_holds_per_customer=store.max_holds_per_customer,
        hold_window_minutes=store.hold_window_minutes,
        version=store.version,
        frozen=_freeze_out(store),
    )


def _store_values(store: Store) -> Mapping[str, Any]:
    names = ("name", "ttl_minutes", "max_units_per_customer", "max_holds_per_customer", "hold_window_minutes")
    sources = store.sources.order_by("priority", "warehouse__code").values_list("warehouse__code", "priority")
    warehouses = [catalogue_contract.SourceIn(warehouse_id=code, priority=priority) for code, priority in sources]
    return {**{name: getattr(store, name) for name in names}, "warehouses": warehouses}


def store_saved(saved: Saved) -> StoredAnswer:
    """The answer to a command that saved a store."""
    return rendered(_store_out(saved.row), 201 if saved.is_new else 200)
