"""The list of stock levels in the console, and its actions.

The page of a level shows the holds on it, so ``reservations`` registers it
(``reservations/admin/availability/level_page.py``). Counters are changed by services alone.
"""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any, ClassVar, Final
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.db.models import Exists, F, OuterRef, Q, QuerySet, Sum, Value
from django.db.models.functions import Now
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from audit.console.base import ReadOnlyAdmin, WarehouseFilter
from audit.console.dialogs import staff_action
from audit.console.exported import ExportedAdmin
from audit.console.exports import ExportRow
from audit.console.imports.page import ImportedAdmin
from audit.console.lists import ConsoleList
from audit.console.selection import selected_ids
from audit.identifiers import parse_copied_id
from audit.texts import without_refused
from audit.whole_numbers import grouped
from inventory import planning
from inventory.admin.stock import level_files
from inventory.admin.stock.adjustment_files import AdjustmentImport
from inventory.admin.stock.dialogs import AdjustDialog, CountDialog, ReceiveDialog, ShipDialog, TransferDialog
from inventory.admin.stock.level_dialogs import SettingsDialog
from inventory.admin.stock.marks import is_retired, marked, with_warnings
from inventory.admin.stock.place_pages import PlacePages
from inventory.admin.stock.return_dialog import ReturnDialog
from inventory.admin.stock.row_dialogs import MOST_ROWS, ReceiveRowsDialog, TransferRowsDialog
from inventory.admin.stock.zones import ZoneFilter
from inventory.models import LowStockAlert, Product, StockLevel
from inventory.planning import Severity
from inventory.services.catalogue.codes import products_by_code

COUNT_DAYS: Final = 90
"""The number of days after which stock is due for a count."""
_MOST_PRODUCTS: Final = 1000
"""The most products whose levels a search shows."""


class _OneOf(admin.SimpleListFilter):
    """A filter by one of several named conditions."""

    conditions: ClassVar[dict[str, tuple[Any, Q]]]

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, str(label)) for name, (label, _condition) in self.conditions.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        asked = self.conditions.get(self.value() or "")
        return queryset.filter(asked[1]) if asked else queryset


class StockState(_OneOf):
    """Filter by common questions about stock."""

    title = _("state")
    parameter_name = "state"
    conditions: ClassVar = {
        "in": (_("On hand"), Q(on_hand__gt=0)),
        "free": (_("Something available"), Q(on_hand__gt=F("reserved"))),
        "out": (_("Nothing available"), Q(on_hand__lte=F("reserved"))),
        "held": (_("With reservations"), Q(reserved__gt=0)),
        "frozen": (_("Frozen, with stock"), Q(on_hand__gt=0)),
        "retired": (_("Discontinued, with stock"), Q(on_hand__gt=0)),
    }

    def queryset(self, request: HttpRequest, queryset: Any) -> QuerySet[Any]:
        found: Any = super().queryset(request, queryset)
        narrowed = {"frozen": found.frozen, "retired": found.all_retired}.get(self.value() or "")
        return narrowed() if narrowed else found  # type: ignore[no-any-return]


class SeverityFilter(admin.SimpleListFilter):
    """Filter by severity (docs/explanation/rules.md, rule 6)."""

    title = _("severity")
    parameter_name = "severity"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("any", str(_("Low or critical"))), *((value, str(label)) for value, label in _SEVERITIES)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        asked = self.value()
        if asked not in {"any", *Severity}:
            return queryset
        low: QuerySet[Any] = queryset.low()  # type: ignore[attr-defined]
        return low if asked == "any" else low.filter(is_critical=asked == Severity.CRITICAL)


_SEVERITIES: Final = LowStockAlert.Severity.choices


def _before(days: int) -> Any:
    """The time this many days ago, by the database's clock."""
    return Now() - Value(timedelta(days=days))


class CountedFilter(_OneOf):
    """Filter by the time of the last counting."""

    title = _("last counted")
    parameter_name = "counted"
    conditions: ClassVar = {
        "never": (_("Never"), Q(last_counted_at__isnull=True)),
        "old": (_("Not for 90 days"), Q(last_counted_at__lt=_before(COUNT_DAYS))),
        "90": (
            _("Not for 90 days, or never"),
            Q(last_counted_at__isnull=True) | Q(last_counted_at__lt=_before(COUNT_DAYS)),
        ),
    }


class MovedFilter(_OneOf):
    """Filter by the time of the last change of on hand."""

    title = _("last moved")
    parameter_name = "moved"
    conditions: ClassVar = {
        "1": (_("In the last 24 hours"), Q(last_movement_at__gte=_before(1))),
        "7": (_("In the last 7 days"), Q(last_movement_at__gte=_before(7))),
        "not30": (_("Not for 30 days"), Q(last_movement_at__lt=_before(30))),
        "not90": (_("Not for 90 days"), Q(last_movement_at__lt=_before(90))),
    }


class LevelList(ConsoleList):
    """A page of levels, each with the warnings about its goods; one query for all."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        self.result_list: Any = with_warnings(self.result_list)


def _totals(found: Any) -> list[tuple[Any, str]]:
    """Totals of units over all filtered levels; none if the list has more rows than are counted."""
    if found.paginator.has_more or not found.result_count:
        return []
    units = found.queryset.order_by().aggregate(on_hand=Sum("on_hand"), reserved=Sum("reserved"))
    figures = (
        (_("on hand"), units["on_hand"]),
        (_("reserved"), units["reserved"]),
        (_("available"), units["on_hand"] - units["reserved"]),
    )
    return [(name, grouped(number)) for name, number in figures]


class StockLevelAdmin(PlacePages, ImportedAdmin, ExportedAdmin, ReadOnlyAdmin):
    """The list of stock levels."""

    finds_codes = True
    warehouse_paths = ("warehouse__code",)
    id_fields = ("pk", "product_id", "product__parent_id")
    list_display = (
        "what",
        "where",
        "on_hand",
        "reserved",
        "available",
        "incoming",
        "fullness",
        "last_movement_at",
    )
    number_columns = ("incoming",)
    list_filter = (("warehouse", WarehouseFilter), ZoneFilter, SeverityFilter, StockState, CountedFilter, MovedFilter)
    sortable_by = ("what", "where", "on_hand", "reserved", "available", "last_movement_at")
    search_fields = ("product__sku", "product__name")
    search_help_text = _("Scan a barcode, or type a SKU or name")
    ordering = ("product__sku", "warehouse__code")

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> Any:
        return LevelList

    list_after_template = "console/stock/totals.html"
    empty_hint = _("No stock yet. Receive a delivery, or import changes of stock.")
    fieldsets = (
        (
            _("Settings and place"),
            {
                "fields": (
                    ("reorder_point", "reorder_quantity"),
                    ("min_stock_level", "max_stock_level"),
                    ("location", "last_counted_at"),
                    ("last_movement_at", "updated_at"),
                    "id",
                )
            },
        ),
    )
    actions = ("receive_chosen", "transfer_chosen", "set_chosen")
    actions_row = ("receive", "take_back", "adjust", "ship", "transfer", "count")
    actions_detail = (*actions_row, "settings")
    importers = {"settings": level_files.LevelImport, "changes": AdjustmentImport}
    export_permission = "inventory.export_stock"
    export_label = _("Export settings, %(kind)s")
    export_name = level_files.LevelImport.file_name
    export_formats = ("csv", "xlsx")
    export_header = tuple(column.name for column in level_files.COLUMNS)

    class Media:
        css: ClassVar = {"all": ["console/stock.css"]}
        js: ClassVar = ["console/stock.js"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[StockLevel]:
        levels: Any = super().get_queryset(request)
        found: QuerySet[StockLevel] = levels.select_related("product", "warehouse").with_incoming()
        return found

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """An exact SKU or barcode finds its product and the product's variants. Any other text is searched for among
        products, so that the cost doesn't grow with the number of levels."""
        term = without_refused(search_term)
        if not term or parse_copied_id(term):
            return super().get_search_results(request, queryset, search_term)
        ids = Product.objects.scanned(term)
        if not ids:
            is_here = Exists(queryset.order_by().filter(product=OuterRef("pk")))
            fits = Product.objects.meant(term).filter(is_here).order_by("sku")
            ids = list(fits.values_list("pk", flat=True)[: _MOST_PRODUCTS + 1])
        if len(ids) > _MOST_PRODUCTS:
            words = _("More than %(most)s products match. The first ones are shown: type more to narrow the search.")
            messages.info(request, words % {"most": grouped(_MOST_PRODUCTS)})
        return queryset.filter(product__in=ids[:_MOST_PRODUCTS]), False

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """The list; if a search finds a single level, its page, unless other products have the same code."""
        answer: HttpResponse = super().changelist_view(request, extra_context)
        found = (getattr(answer, "context_data", None) or {}).get("cl")
        if request.method == "GET" and found is not None and found.query and found.result_count == 1:
            (level,) = found.result_list
            if len(products := products_by_code(found.query)) <= 1:
                return redirect("admin:inventory_stocklevel_change", level.pk)
            words = _("%(code)s is a code of several products: %(products)s. Only this one is in stock here.")
            values = {"code": found.query, "products": ", ".join(map(str, products))}
            messages.warning(request, str(words) % values)
        if found is not None:
            answer.context_data["totals"] = _totals(found)  # type: ignore[attr-defined]
        return answer

    # ------------------------------------------------------------------------------------------------------- columns

    @display(description=_("product"), ordering="product__sku", header=True)  # type: ignore[untyped-decorator]
    def what(self, level: StockLevel) -> list[str]:
        return [marked(level.product.sku, level), level.product.name]

    @display(description=_("warehouse"), ordering="warehouse__code", header=True)  # type: ignore[untyped-decorator]
    def where(self, level: StockLevel) -> list[str]:
        return [level.warehouse.code, self.location(level)]

    @admin.display(description=_("incoming"))
    def incoming(self, level: StockLevel) -> Any:
        return level.incoming_quantity or "–"

    @admin.display(description=_("how full"))
    def fullness(self, level: StockLevel) -> SafeString | str:
        """On hand as a share of the full level, and the severity; a dash for a level that isn't watched."""
        full = planning.full_level(level)
        if full is None or is_retired(level):
            return "–"
        share = level.on_hand * 100 // full if full else 100
        severity = planning.severity(level, level.available)
        return format_html(
            '<span class="stock-full"><span class="stock-bar is-{0}" role="img" aria-label="{1}" title="{1}">'
            '<span style="width:{2}%"></span></span> <span class="stock-badge is-{0}">{3}</span></span>',
            (severity or "fine").lower(),
            str(_("%(share)s %% of %(full)s")) % {"share": share, "full": full},
            max(0, min(100, share)),
            LowStockAlert.Severity(severity.value).label if severity else _("Fine"),
        )

    @admin.display(description=_("location"))
    def location(self, level: StockLevel) -> str:
        return "-".join(part for part in (level.zone, level.aisle, level.shelf) if part) or "–"

    # ------------------------------------------------------------------------------------------- actions on one level

    receive = ReceiveDialog.as_action(url_path="receive", icon="input")
    take_back = ReturnDialog.as_action(url_path="return", icon="assignment_return", label=_("Return"))
    adjust = AdjustDialog.as_action(url_path="adjust", icon="tune")
    ship = ShipDialog.as_action(url_path="ship", icon="output")
    transfer = TransferDialog.as_action(url_path="transfer", icon="local_shipping")
    count = CountDialog.as_action(url_path="count", icon="checklist")

    @staff_action(
        _("Settings"), url_path="settings", permission=SettingsDialog.permission, icon="settings", is_dialog=True
    )
    def settings(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Change the settings of this level, with the dialog for selected rows."""
        if self.get_object(request, object_id) is None:
            raise Http404
        page = reverse("admin:inventory_stocklevel_change", args=[object_id])
        asked = {"level": object_id, "next": request.GET.get("next") or page}
        return redirect(f"{reverse('admin:inventory_stocklevel_set_rows')}?{urlencode(asked)}")

    # ---------------------------------------------------------------------------------------- actions on selected rows

    def get_urls(self) -> list[URLPattern]:
        site = self.admin_site
        own = [
            path("receive-rows/", site.admin_view(self.receive_rows), name="inventory_stocklevel_receive_rows"),
            path("transfer-rows/", site.admin_view(self.transfer_rows), name="inventory_stocklevel_transfer_rows"),
            path("set-rows/", site.admin_view(self.set_rows), name="inventory_stocklevel_set_rows"),
        ]
        return [*own, *super().get_urls()]

    def receive_rows(self, request: HttpRequest) -> HttpResponse:
        """The dialog that receives units of the selected rows."""
        return ReceiveRowsDialog(self, request).answer()

    def transfer_rows(self, request: HttpRequest) -> HttpResponse:
        """The dialog that transfers units of the selected rows."""
        return TransferRowsDialog(self, request).answer()

    def set_rows(self, request: HttpRequest) -> HttpResponse:
        """The dialog that changes the settings of the selected rows."""
        return SettingsDialog(self, request).answer()

    @admin.action(description=_("Receive the chosen rows"), permissions=["receive"])
    def receive_chosen(self, request: HttpRequest, queryset: QuerySet[StockLevel]) -> HttpResponse | None:
        """Open the dialog that receives the selected rows."""
        return self._with_chosen(request, queryset, "receive_rows")

    @admin.action(description=_("Transfer the chosen rows"), permissions=["transfer"])
    def transfer_chosen(self, request: HttpRequest, queryset: QuerySet[StockLevel]) -> HttpResponse | None:
        """Open the dialog that transfers the selected rows, which must be in one warehouse."""
        return self._with_chosen(request, queryset, "transfer_rows", of_one_warehouse=True)

    @admin.action(description=_("Set the chosen rows"), permissions=["settings"])
    def set_chosen(self, request: HttpRequest, queryset: QuerySet[StockLevel]) -> HttpResponse | None:
        """Open the dialog that changes the settings of the selected rows."""
        return self._with_chosen(request, queryset, "set_rows")

    def _with_chosen(
        self, request: HttpRequest, queryset: QuerySet[StockLevel], name: str, *, of_one_warehouse: bool = False
    ) -> HttpResponse | None:
        ids = selected_ids(request, queryset, MOST_ROWS)
        if ids is None:
            return None
        levels = StockLevel.objects.filter(pk__in=ids)
        if of_one_warehouse and levels.values("warehouse").distinct().count() > 1:
            messages.warning(request, _("Choose rows of one warehouse: a transfer has one source."))
            return None
        asked = [("level", str(id_)) for id_ in ids] + [("next", request.get_full_path())]
        return redirect(f"{reverse(f'admin:inventory_stocklevel_{name}')}?{urlencode(asked)}")

    def has_receive_permission(self, request: HttpRequest) -> bool:
        """Whether the user may receive stock."""
        return request.user.has_perm("inventory.receive_stock")

    def has_transfer_permission(self, request: HttpRequest) -> bool:
        """Whether the user may transfer stock."""
        return request.user.has_perm("inventory.transfer_stock")

    def has_settings_permission(self, request: HttpRequest) -> bool:
        """Whether the user may change settings of levels."""
        return request.user.has_perm("inventory.change_stocklevel")

    def export_rows(self, request: HttpRequest, rows: QuerySet[Any]) -> Iterable[ExportRow]:
        """The settings, in the columns of the import."""
        return level_files.exported_levels(rows)
