"""Shortage incidents in the console: levels that had fewer units than were held, and whose holds gave way."""

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from audit.console import ReadOnlyAdmin, ReadOnlyInline, WarehouseFilter
from reservations.models import BrokenHold, ShortageIncident


class BrokenHoldInline(ReadOnlyInline):
    """Whom to tell."""

    model = BrokenHold
    verbose_name_plural = _("Broken holds")
    fields = ("order_id", "cart_id", "customer_id", "quantity")
    ordering = ("id",)


@admin.register(ShortageIncident)
class ShortageIncidentAdmin(ReadOnlyAdmin):
    """Incidents, the newest first."""

    warehouse_paths = ("level__warehouse__code",)
    id_fields = ("pk", "cause_id", "level_id", "level__product_id")
    list_display = (
        "public_id",
        "status",
        "sku",
        "warehouse",
        "missing_units",
        "cause_type",
        "created_at",
        "created_by",
        "resolved_by",
    )
    list_filter = ("status", "cause_type", ("level__warehouse", WarehouseFilter))
    list_select_related = ("level__product", "level__warehouse")
    search_fields = ("level__product__sku", "created_by__exact", "request_id__exact")
    search_help_text = _("A part of a SKU, a whole name or request id, or an id")
    date_hierarchy = "created_at"
    ordering = ("-id",)
    fields = (
        "public_id",
        "status",
        ("sku", "warehouse"),
        "missing_units",
        ("cause_type", "cause_id"),
        ("created_by", "created_at", "request_id"),
        ("resolved_by", "resolved_at"),
        "resolution",
    )
    inlines = (BrokenHoldInline,)

    @admin.display(description=_("incident"), ordering="id")
    def public_id(self, incident: ShortageIncident) -> str:
        return incident.public_id

    @admin.display(description=_("SKU"), ordering="level__product__sku")
    def sku(self, incident: ShortageIncident) -> str:
        return incident.level.product.sku

    @admin.display(description=_("warehouse"), ordering="level__warehouse__code")
    def warehouse(self, incident: ShortageIncident) -> str:
        return incident.level.warehouse.code
