"""Catalogue, stock and its movements in the admin. For reading: counters are changed by services alone."""

from typing import Any

from django.contrib import admin
from django.db.models import F, QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from audit.admin import ReadOnlyAdmin, ReadOnlyInline, pretty_json
from inventory.models import Movement, Product, StockLevel, Store, StoreWarehouse, Warehouse


class LevelInline(ReadOnlyInline):
    """Where a product is."""

    model = StockLevel
    fields = ("warehouse", "on_hand", "reserved", "available", "reorder_point", "min_stock_level", "last_movement_at")
    show_change_link = True

    def get_queryset(self, request: HttpRequest) -> QuerySet[StockLevel]:
        return super().get_queryset(request).select_related("warehouse", "product").order_by("warehouse__code")


@admin.register(Product)
class ProductAdmin(ReadOnlyAdmin):
    """Products and their variants."""

    id_fields = ("pk", "parent_id")
    list_display = ("sku", "name", "parent_sku", "barcode", "is_active", "listing_expires_at", "updated_at")
    list_filter = ("is_active", ("parent", admin.EmptyFieldListFilter))
    list_select_related = ("parent",)
    search_fields = ("sku", "name", "barcode__exact")
    search_help_text = "A part of SKU or name, a whole barcode, or an id"
    ordering = ("sku",)
    fields = ("id", "sku", "name", "parent", "barcode", "is_active", "listing_expires_at", "created_at", "updated_at")
    inlines = (LevelInline,)

    @admin.display(description="variant of", ordering="parent__sku")
    def parent_sku(self, product: Product) -> str:
        return product.parent.sku if product.parent else "–"


@admin.register(Warehouse)
class WarehouseAdmin(ReadOnlyAdmin):
    """Places with stock."""

    list_display = ("code", "name", "type", "is_active", "created_at")
    list_filter = ("type", "is_active")
    search_fields = ("code", "name")
    ordering = ("code",)
    fields = ("id", "code", "name", "type", "is_active", "where", "contact", "can", "created_at")

    @admin.display(description="address")
    def where(self, warehouse: Warehouse) -> SafeString:
        return pretty_json(warehouse.address)

    @admin.display(description="contact")
    def contact(self, warehouse: Warehouse) -> SafeString:
        return pretty_json(warehouse.contact_info)

    @admin.display(description="capabilities")
    def can(self, warehouse: Warehouse) -> SafeString:
        return pretty_json(warehouse.capabilities)


class SourceInline(ReadOnlyInline):
    """The warehouses that a store sells from."""

    model = StoreWarehouse
    fields = ("priority", "warehouse")
    verbose_name_plural = "warehouses, the preferred first"

    def get_queryset(self, request: HttpRequest) -> QuerySet[StoreWarehouse]:
        return super().get_queryset(request).select_related("warehouse", "store")


@admin.register(Store)
class StoreAdmin(ReadOnlyAdmin):
    """Shops."""

    list_display = ("code", "name", "sells_from", "ttl_minutes", "is_default", "created_at")
    search_fields = ("code", "name")
    ordering = ("code",)
    fields = ("id", "code", "name", "ttl_minutes", "is_default", "created_at")
    inlines = (SourceInline,)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Store]:
        return super().get_queryset(request).prefetch_related("sources__warehouse")

    @admin.display(description="sells from")
    def sells_from(self, store: Store) -> str:
        return ", ".join(source.warehouse.code for source in store.sources.all()) or "–"


class StockState(admin.SimpleListFilter):
    """The questions that are asked of stock."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [
            ("out", "Nothing available"),
            ("reorder", "At or below the reorder point"),
            ("held", "With holds"),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        match self.value():
            case "out":
                return queryset.filter(available__lte=0)
            case "reorder":
                return queryset.filter(available__lte=F("reorder_point"))
            case "held":
                return queryset.filter(reserved__gt=0)
        return queryset


@admin.register(StockLevel)
class StockLevelAdmin(ReadOnlyAdmin):
    """One product in one warehouse."""

    id_fields = ("pk", "product_id", "product__parent_id")
    list_display = (
        "sku",
        "name",
        "warehouse",
        "on_hand",
        "reserved",
        "available",
        "reorder_point",
        "location",
        "last_movement_at",
    )
    list_filter = (StockState, "warehouse")
    list_select_related = ("product", "warehouse")
    search_fields = ("product__sku", "product__name", "product__barcode__exact")
    search_help_text = "A part of SKU or name, a whole barcode, or an id"
    ordering = ("product__sku", "warehouse__code")
    fields = (
        "id",
        "product",
        "warehouse",
        ("on_hand", "reserved", "available"),
        ("reorder_point", "reorder_quantity"),
        ("min_stock_level", "max_stock_level"),
        "location",
        "last_counted_at",
        "last_movement_at",
        "version",
        "created_at",
        "updated_at",
    )

    @admin.display(description="SKU", ordering="product__sku")
    def sku(self, level: StockLevel) -> str:
        return level.product.sku

    @admin.display(description="product", ordering="product__name")
    def name(self, level: StockLevel) -> str:
        return level.product.name

    @admin.display(description="location")
    def location(self, level: StockLevel) -> str:
        return "-".join(part for part in (level.zone, level.aisle, level.shelf) if part) or "–"


@admin.register(Movement)
class MovementAdmin(ReadOnlyAdmin):
    """Every change of on hand, the newest first."""

    id_fields = ("pk", "level_id", "level__product_id", "adjustment_id")
    list_display = (
        "created_at",
        "sku",
        "warehouse",
        "type",
        "change",
        "quantity_after",
        "reason",
        "reference",
        "actor",
    )
    list_filter = ("type", "level__warehouse")
    list_select_related = ("level__product", "level__warehouse")
    search_fields = ("level__product__sku", "reference__exact", "actor__exact")
    search_help_text = "A part of a SKU, a whole reference or actor, or an id"
    date_hierarchy = "created_at"
    ordering = ("-id",)
    fields = (
        "id",
        "sku",
        "warehouse",
        "type",
        ("quantity", "quantity_before", "quantity_after"),
        "reason",
        ("reference_type", "reference"),
        "cost_per_unit",
        "actor",
        "adjustment_id",
        "created_at",
    )

    @admin.display(description="SKU", ordering="level__product__sku")
    def sku(self, movement: Movement) -> str:
        return movement.level.product.sku

    @admin.display(description="warehouse", ordering="level__warehouse__code")
    def warehouse(self, movement: Movement) -> str:
        return movement.level.warehouse.code

    @admin.display(description="quantity", ordering="quantity")
    def change(self, movement: Movement) -> str:
        return f"{movement.quantity:+d}"
