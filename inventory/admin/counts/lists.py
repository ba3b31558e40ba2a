"""Counts and their lines in the console."""

from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import Count, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from audit.console.base import (
    ReadOnlyAdmin,
    ReadOnlyInline,
    WarehouseFilter,
    badge,
    in_pairs,
    non_empty_fields,
)
from audit.display import NOTHING
from inventory.admin.counts import pages, posting, scans, walking
from inventory.admin.counts.walking import with_sold
from inventory.admin.stock.marks import MarkedLines, marked
from inventory.admin.stock.numbers import FoundByNumber
from inventory.admin.transfers.lists import progress_bar
from inventory.models import StockCount, StockCountLine
from inventory.models.counts import COUNT_KIND


def _number_of_lines(condition: Q) -> Coalesce:
    """How many lines of a count fulfil a condition: read for the counts of a page, unlike a join with all lines."""
    lines = StockCountLine.objects.filter(condition, count=OuterRef("pk")).order_by().values("count")
    return Coalesce(Subquery(lines.annotate(number=Count("pk")).values("number")), 0)


class CountedLines(MarkedLines):
    """The lines of a count, with the units sold shortly before each was counted (``sold``); one query for all."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        with_sold(self.get_queryset())


class CountLineInline(ReadOnlyInline):
    """The lines of a count. Expected quantities are hidden until the count is posted, so that people count blind."""

    model = StockCountLine
    formset = CountedLines
    warehouse_paths = ("level__warehouse__code",)
    verbose_name_plural = _("Lines")
    per_page = 50
    fields = ("product", "counted", "counted_by", "recounted", "recounted_by", "sold", "posted_difference")

    def get_queryset(self, request: HttpRequest) -> QuerySet[StockCountLine]:
        return super().get_queryset(request).select_related("level__product").order_by("level__product__sku")

    @admin.display(description=_("product"))
    def product(self, line: StockCountLine) -> SafeString:
        return marked(line.level.product, line.level)

    @admin.display(description=_("sold in the 24 hours before"))
    def sold(self, line: StockCountLine) -> str:
        return NOTHING if (units := getattr(line, "sold", None)) is None else str(units)


@admin.register(StockCount)
class StockCountAdmin(FoundByNumber, ReadOnlyAdmin):
    """Counts, the newest first."""

    number_kinds = (COUNT_KIND,)
    warehouse_paths = ("warehouse__code",)
    empty_hint = _("No count yet. Open one: a warehouse, a zone, or stock not counted recently.")
    list_display = ("short_number", "state", "warehouse", "what", "progress", "to_recount", "opened_at")
    number_columns = ("to_recount",)
    list_filter = ("status", "scope", ("warehouse", WarehouseFilter))
    list_select_related = ("warehouse",)
    search_fields = ("zone__exact", "opened_by__exact")
    search_help_text = _("A number such as CO-1042, a whole zone or name, or an id")
    date_hierarchy = "opened_at"
    ordering = ("-id",)
    inlines = (CountLineInline,)
    actions_list: ClassVar[Any] = ("open_count",)
    actions_detail: ClassVar[Any] = ("walk", "recount", "post_count", "cancel_count")

    def get_queryset(self, request: HttpRequest) -> QuerySet[StockCount]:
        counts: QuerySet[StockCount] = super().get_queryset(request)
        return counts.annotate(
            line_count=_number_of_lines(Q()),
            counted_count=_number_of_lines(Q(counted__isnull=False)),
            recount_count=_number_of_lines(Q(needs_recount=True)),
        )

    def get_urls(self) -> list[URLPattern]:
        site = self.admin_site
        own = [
            path(
                "<path:object_id>/walk/scans/", site.admin_view(self.walk_scans), name="inventory_stockcount_walk_scans"
            ),
            path(
                "<path:object_id>/recount/scans/",
                site.admin_view(self.recount_scans),
                name="inventory_stockcount_recount_scans",
            ),
        ]
        return [*own, *super().get_urls()]

    def walk_scans(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Take scans of the walk."""
        return scans.answer_walk(self, request, object_id)

    def recount_scans(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Take scans of the walk of the recount list."""
        return scans.answer_walk(self, request, object_id, is_again=True)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        """The fields of the count's state: of its posting, of its cancellation, or neither while it is open."""
        shown = ["short_number", "state", "warehouse", "what", "progress", "to_recount", "opened_by", "opened_at"]
        ends = ["posted_by", "posted_at", "cancelled_by", "cancelled_at"]
        return [*in_pairs([*shown, *(non_empty_fields(obj, *ends) if obj else ends)]), "note"]

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        """No actions for a closed count; the recount list only if a line needs a second count."""
        count = self.get_object(request, str(object_id))
        if count is None or count.status != StockCount.Status.OPEN:
            return []
        offered: list[Any] = super().get_actions_detail(request, object_id)
        return [one for one in offered if count.recount_count or one.action_name != "inventory_stockcount_recount"]

    open_count = pages.OpenCountPage.as_action(url_path="open", icon="add")
    walk = walking.WalkPage.as_action(url_path="walk", icon="checklist")
    recount = walking.RecountPage.as_action(url_path="recount", icon="repeat", label=_("Recount list"))
    post_count = posting.PostCountPage.as_action(url_path="post", icon="task_alt", label=_("Review and post"))
    cancel_count = pages.CancelCountDialog.as_action(url_path="cancel", icon="block", label=_("Cancel"))

    @admin.display(description=_("count"), ordering="number")
    def short_number(self, count: StockCount) -> str:
        return count.short_number

    @admin.display(description=_("what"), ordering="scope")
    def what(self, count: StockCount) -> str:
        scope = count.get_scope_display()
        if count.stale_days is not None:
            days = ngettext("%(days)d day", "%(days)d days", count.stale_days) % {"days": count.stale_days}
            return f"{scope}: {days}"
        return f"{scope}: {count.zone}" if count.zone else scope

    @badge(
        _("status"),
        {
            StockCount.Status.OPEN: "info",
            StockCount.Status.POSTED: "success",
            StockCount.Status.CANCELLED: "danger",
        },
        ordering="status",
    )
    def state(self, count: StockCount) -> tuple[str, str]:
        return count.status, count.get_status_display()

    @admin.display(description=_("counted"))
    def progress(self, count: StockCount) -> SafeString:
        return progress_bar(getattr(count, "counted_count", 0), getattr(count, "line_count", 0), _("counted"))

    @admin.display(description=_("to recount"))
    def to_recount(self, count: StockCount) -> str:
        return str(getattr(count, "recount_count", 0) or NOTHING)
