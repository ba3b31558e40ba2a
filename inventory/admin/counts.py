"""Counts in the console: what was counted, and what was expected."""

from django.contrib import admin
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from audit.console import ReadOnlyAdmin, ReadOnlyInline, WarehouseFilter
from inventory.models import StockCount, StockCountLine


class CountLineInline(ReadOnlyInline):
    """The levels of a count. What was expected stays unseen until it is posted: who counts, counts blind."""

    model = StockCountLine
    verbose_name_plural = _("Lines")
    fields = ("sku", "counted", "counted_by", "recounted", "recounted_by", "posted_difference")

    def get_queryset(self, request: HttpRequest) -> QuerySet[StockCountLine]:
        return super().get_queryset(request).select_related("level__product").order_by("level__product__sku")

    @admin.display(description=_("SKU"))
    def sku(self, line: StockCountLine) -> str:
        return line.level.product.sku


@admin.register(StockCount)
class StockCountAdmin(ReadOnlyAdmin):
    """Counts, the newest first."""

    warehouse_paths = ("warehouse__code",)
    list_display = ("public_id", "warehouse", "scope", "zone", "status", "progress", "opened_by", "opened_at")
    list_filter = ("status", "scope", ("warehouse", WarehouseFilter))
    list_select_related = ("warehouse",)
    search_fields = ("zone__exact", "opened_by__exact")
    search_help_text = _("A whole zone or name, or an id")
    date_hierarchy = "opened_at"
    ordering = ("-id",)
    fields = (
        "public_id",
        "warehouse",
        ("scope", "zone", "stale_days"),
        "status",
        "note",
        ("opened_by", "opened_at"),
        ("posted_by", "posted_at"),
        ("cancelled_by", "cancelled_at"),
    )
    inlines = (CountLineInline,)

    def get_queryset(self, request: HttpRequest) -> QuerySet[StockCount]:
        counted = Count("lines", filter=Q(lines__counted__isnull=False))
        counts: QuerySet[StockCount] = super().get_queryset(request)
        return counts.annotate(line_count=Count("lines"), counted_count=counted)

    @admin.display(description=_("count"), ordering="id")
    def public_id(self, count: StockCount) -> str:
        return count.public_id

    @admin.display(description=_("counted"))
    def progress(self, count: StockCount) -> str:
        return f"{getattr(count, 'counted_count', 0)} / {getattr(count, 'line_count', 0)}"
