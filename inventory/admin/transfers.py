"""Transfers in the console: stock on its way from one warehouse to another."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from audit.console import ReadOnlyAdmin, ReadOnlyInline, WarehouseFilter
from inventory.models import Transfer, TransferLine


class TransferLineInline(ReadOnlyInline):
    """What is on its way, and what became of it."""

    model = TransferLine
    verbose_name_plural = _("Lines")
    fields = (
        "product",
        "quantity",
        "quantity_shipped",
        "quantity_received",
        "quantity_returned",
        "quantity_lost",
        "in_transit",
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[TransferLine]:
        return super().get_queryset(request).select_related("product").order_by("product__sku")


@admin.register(Transfer)
class TransferAdmin(ReadOnlyAdmin):
    """Transfers, the newest first."""

    warehouse_paths = ("from_warehouse__code", "to_warehouse__code")
    list_display = (
        "public_id",
        "status",
        "from_warehouse",
        "to_warehouse",
        "reference",
        "initiated_by",
        "initiated_at",
        "expected_delivery",
    )
    list_filter = ("status", ("from_warehouse", WarehouseFilter), ("to_warehouse", WarehouseFilter))
    list_select_related = ("from_warehouse", "to_warehouse")
    search_fields = ("reference__exact", "initiated_by__exact")
    search_help_text = _("A whole reference or name, or an id")
    date_hierarchy = "initiated_at"
    ordering = ("-id",)
    fields = (
        "public_id",
        "status",
        ("from_warehouse", "to_warehouse"),
        "reason",
        "reference",
        ("initiated_by", "initiated_at"),
        "expected_delivery",
        ("shipped_at", "closed_at"),
    )
    inlines = (TransferLineInline,)

    @admin.display(description=_("transfer"), ordering="id")
    def public_id(self, transfer: Transfer) -> str:
        return transfer.public_id
