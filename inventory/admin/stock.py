"""Stock in the console: what is where. Counters are changed by services alone."""

from typing import Any

from django.contrib import admin
from django.db.models import F, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from audit.console import ReadOnlyAdmin, WarehouseFilter
from inventory.models import StockLevel


class StockState(admin.SimpleListFilter):
    """The questions that are asked of stock."""

    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [
            ("out", str(_("Nothing available"))),
            ("reorder", str(_("At or below the reorder point"))),
            ("held", str(_("With holds"))),
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

    warehouse_paths = ("warehouse__code",)
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
    list_filter = (StockState, ("warehouse", WarehouseFilter))
    list_select_related = ("product", "warehouse")
    search_fields = ("product__sku", "product__name", "product__barcode__exact")
    search_help_text = _("A part of SKU or name, a whole barcode, or an id")
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

    @admin.display(description=_("SKU"), ordering="product__sku")
    def sku(self, level: StockLevel) -> str:
        return level.product.sku

    @admin.display(description=_("product"), ordering="product__name")
    def name(self, level: StockLevel) -> str:
        return level.product.name

    @admin.display(description=_("location"))
    def location(self, level: StockLevel) -> str:
        return "-".join(part for part in (level.zone, level.aisle, level.shelf) if part) or "–"
