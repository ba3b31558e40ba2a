"""Low-stock alerts in the console."""

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from audit.console import ReadOnlyAdmin, WarehouseFilter
from inventory.models import LowStockAlert


@admin.register(LowStockAlert)
class LowStockAlertAdmin(ReadOnlyAdmin):
    """Levels that are, or were, low on stock."""

    warehouse_paths = ("level__warehouse__code",)
    id_fields = ("pk", "level_id", "level__product_id")
    list_display = (
        "sku",
        "warehouse",
        "severity",
        "available",
        "reorder_point",
        "opened_at",
        "acknowledged_by",
        "snoozed_until",
        "resolved_at",
    )
    list_filter = ("severity", ("resolved_at", admin.EmptyFieldListFilter), ("level__warehouse", WarehouseFilter))
    list_select_related = ("level__product", "level__warehouse")
    search_fields = ("level__product__sku", "level__product__name", "level__product__barcode__exact")
    search_help_text = _("A part of SKU or name, a whole barcode, or an id")
    ordering = ("-opened_at", "-id")
    fields = (
        ("sku", "warehouse"),
        "severity",
        ("available", "reorder_point"),
        ("opened_at", "worsened_at", "resolved_at"),
        ("acknowledged_by", "acknowledged_at"),
        "snoozed_until",
        "notified_at",
    )

    @admin.display(description=_("SKU"), ordering="level__product__sku")
    def sku(self, alert: LowStockAlert) -> str:
        return alert.level.product.sku

    @admin.display(description=_("warehouse"), ordering="level__warehouse__code")
    def warehouse(self, alert: LowStockAlert) -> str:
        return alert.level.warehouse.code
