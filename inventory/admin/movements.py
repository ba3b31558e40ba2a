"""Movements in the console: every change of on hand, for reading."""

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from audit.console import ReadOnlyAdmin, WarehouseFilter
from inventory.models import Movement


@admin.register(Movement)
class MovementAdmin(ReadOnlyAdmin):
    """Every change of on hand, the newest first."""

    warehouse_paths = ("level__warehouse__code",)
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
    list_filter = ("type", ("level__warehouse", WarehouseFilter))
    list_select_related = ("level__product", "level__warehouse")
    search_fields = ("level__product__sku", "reference__exact", "actor__exact")
    search_help_text = _("A part of a SKU, a whole reference or actor, or an id")
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

    @admin.display(description=_("SKU"), ordering="level__product__sku")
    def sku(self, movement: Movement) -> str:
        return movement.level.product.sku

    @admin.display(description=_("warehouse"), ordering="level__warehouse__code")
    def warehouse(self, movement: Movement) -> str:
        return movement.level.warehouse.code

    @admin.display(description=_("quantity"), ordering="quantity")
    def change(self, movement: Movement) -> str:
        return f"{movement.quantity:+d}"
