"""The list and the pages of transfers in the console."""

from typing import Any, Final

from django.contrib import admin
from django.db.models import F, IntegerField, OuterRef, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce, Now
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from audit.console.base import (
    ReadOnlyAdmin,
    ReadOnlyInline,
    WarehouseFilter,
    badge,
)
from audit.console.dialogs import staff_action
from audit.console.filters import link
from audit.display import NOTHING, shown_time
from inventory.admin.catalogue.printing import print_document
from inventory.admin.stock.marks import MarkedLines, marked
from inventory.admin.stock.numbers import FoundByNumber
from inventory.admin.stock.scanning import view_of
from inventory.admin.stock.unfinished import route_of, transfer_address
from inventory.admin.transfers import drafts, pages
from inventory.admin.transfers.cancelling import CancelDialog
from inventory.admin.transfers.redirecting import RedirectDialog
from inventory.admin.transfers.send_back import SendBackDialog, sent_back
from inventory.models import Transfer, TransferLine
from inventory.models.transfers import TRANSFER_KIND

TransferStatus = Transfer.Status
_OFFERED: Final[dict[str, tuple[str, ...]]] = {
    TransferStatus.PENDING: ("change_draft", "send", "cancel"),
    TransferStatus.IN_TRANSIT: ("receive", "redirect", "cancel"),
    TransferStatus.PARTIALLY_RECEIVED: ("receive", "redirect", "cancel"),
    TransferStatus.RECEIVED: ("send_back",),
}
_NAMES: Final[dict[str, Any]] = {
    **dict(TransferStatus.choices),
    TransferStatus.PENDING.value: _("Draft"),
    TransferStatus.IN_TRANSIT.value: _("On the way"),
    TransferStatus.PARTIALLY_RECEIVED.value: _("Partly received"),
}
"""Labels of the statuses."""
_ARRIVES: Final = {"receive", "send_back"}
"""The actions at the destination. All others are for those who reach the source."""


class StatusFilter(admin.SimpleListFilter):
    """Filter by status, with the labels of the rows."""

    title = _("status")
    parameter_name = "status__exact"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return list(_NAMES.items())

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(status=self.value()) if self.value() else queryset


class OverdueFilter(admin.SimpleListFilter):
    """Filter by whether the expected arrival has passed."""

    title = _("expected")
    parameter_name = "expected"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("overdue", str(_("Overdue"))), ("on_the_way", str(_("On the way")))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        match self.value():
            case "overdue":
                return queryset.filter(pk__in=Transfer.objects.overdue())
            case "on_the_way":
                return queryset.filter(pk__in=Transfer.objects.on_the_way())
        return queryset


class TransferLineInline(ReadOnlyInline):
    """The lines of a transfer."""

    model = TransferLine
    formset = MarkedLines
    warehouse_paths = ("transfer__from_warehouse__code", "transfer__to_warehouse__code")
    verbose_name_plural = _("Lines")
    fields = (
        "goods",
        "quantity",
        "quantity_shipped",
        "quantity_received",
        "quantity_returned",
        "quantity_lost",
        "in_transit",
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[TransferLine]:
        return super().get_queryset(request).select_related("product").order_by("product__sku")

    @admin.display(description=_("product"))
    def goods(self, line: TransferLine) -> SafeString:
        """A link to the product's page."""
        return marked(link(line.product, reverse("admin:inventory_product_change", args=[line.product_id])), line)


def progress_bar(done: int, total: int, label: Any) -> SafeString:
    """A progress bar, with a text for screen readers."""
    return format_html(
        '<span class="flow-progress"><progress value="{}" max="{}" aria-label="{}"></progress>{} / {}</span>',
        done,
        max(total, 1),
        label,
        done,
        total,
    )


@admin.register(Transfer)
class TransferAdmin(FoundByNumber, ReadOnlyAdmin):
    """Transfers, the newest first."""

    number_kinds = (TRANSFER_KIND,)
    warehouse_paths = ("from_warehouse__code", "to_warehouse__code")
    empty_hint = _("No transfer here. Begin one with New transfer: scan what leaves, and send it.")
    list_display = ("short_number", "state", "route", "progress", "expected", "reference", "initiated_at")
    list_filter = (
        StatusFilter,
        OverdueFilter,
        ("from_warehouse", WarehouseFilter),
        ("to_warehouse", WarehouseFilter),
    )
    list_select_related = ("from_warehouse", "to_warehouse")
    search_fields = ("reference__exact", "initiated_by__exact")
    search_help_text = _("A number such as TR-1042, a whole reference or name, or an id")
    date_hierarchy = "initiated_at"
    ordering = ("-id",)
    fields = (
        ("short_number", "state"),
        ("from_warehouse", "to_warehouse"),
        ("progress", "expected"),
        ("reference", "reason"),
        ("initiated_by", "initiated_at"),
        ("shipped_at", "closed_at"),
    )
    inlines = (TransferLineInline,)
    actions_list = ("new_transfer",)
    actions_detail = ("labels", "receive", "send", "change_draft", "redirect", "cancel", "send_back")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Transfer]:
        lines = TransferLine.objects.filter(transfer=OuterRef("pk")).order_by().values("transfer")
        transfers: QuerySet[Transfer] = super().get_queryset(request)

        def total(field: str) -> Coalesce:
            return Coalesce(Subquery(lines.annotate(n=Sum(field)).values("n"), IntegerField()), 0)

        return transfers.annotate(asked=total("quantity"), arrived=total("quantity_received"), as_of=Now())

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        """The actions that the transfer's status allows and that change only warehouses in the user's reach."""
        transfer = self.get_object(request, str(object_id))
        if transfer is None:
            return []
        names = {
            name
            for name in _OFFERED.get(transfer.status, ())
            if pages.may_touch(request, transfer, ("to_warehouse",) if name in _ARRIVES else pages.OfTransfer.ends)
        }
        if sent_back(transfer):
            names -= {"send_back"}
        return self.actions_named(super().get_actions_detail(request, object_id), names | {"labels"})

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        """The transfer that it sends back, or by which it was sent back, only if there is one."""
        is_linked = obj is not None and (obj.reverses_id or sent_back(obj))
        return [*self.fields, *(["sends_back"] if is_linked else [])]

    new_transfer = drafts.NewTransferPage.as_action(url_path="draft", icon="add")
    change_draft = drafts.ChangeDraftPage.as_action(url_path="change-draft", icon="edit", label=_("Change draft"))
    send = pages.SendDialog.as_action(url_path="send", icon="local_shipping", label=_("Send"))
    receive = drafts.ArrivalPage.as_action(url_path="receive", icon="barcode_scanner", label=_("Receive"))
    redirect = RedirectDialog.as_action(url_path="redirect", icon="alt_route", label=_("Redirect"))
    cancel = CancelDialog.as_action(url_path="cancel", icon="undo", label=_("Cancel"))
    send_back = SendBackDialog.as_action(url_path="send-back", icon="undo", label=_("Send back"))

    @staff_action(_("Print labels"), url_path="labels", icon="print", permission="inventory.view_transfer")
    def labels(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """The labels of its lines, one for each product."""
        transfer = self.get_object(request, object_id)
        if transfer is None:
            raise Http404
        lines = transfer.lines.select_related("product").order_by("product__sku")
        products = [line.product for line in lines]
        return print_document(request, transfer.short_number, products, transfer_address(transfer.pk))

    def get_urls(self) -> list[URLPattern]:
        """The addresses that take the scans and edits of a draft, and of an arrival."""
        own = [
            path(
                f"<uuid:object_id>/{page.page.replace('_', '-')}/{method}/",
                self.admin_site.admin_view(view_of(self, page.as_view(method))),
                name=f"inventory_transfer_{page.page}_{method}",
            )
            for page in (drafts.ChangeDraftPage, drafts.ArrivalPage)
            for method in ("scans", "changes")
        ]
        return [*own, *super().get_urls()]

    @admin.display(description=_("transfer"), ordering="number")
    def short_number(self, transfer: Transfer) -> str:
        return transfer.short_number

    @admin.display(description=_("sent back"))
    def sends_back(self, transfer: Transfer) -> SafeString:
        """A link to the transfer that it sends back, or by which it was sent back."""
        other = transfer.reverses or sent_back(transfer)
        return link(other, transfer_address(other.pk)) if other else format_html("{}", NOTHING)

    @admin.display(description=_("route"), ordering="from_warehouse__code")
    def route(self, transfer: Transfer) -> SafeString:
        return format_html('<span class="flow-fixed">{}</span>', route_of(transfer))

    @badge(
        _("status"),
        {
            TransferStatus.PENDING: "default",
            TransferStatus.IN_TRANSIT: "info",
            TransferStatus.PARTIALLY_RECEIVED: "warning",
            TransferStatus.RECEIVED: "success",
            TransferStatus.CANCELLED: "danger",
        },
        ordering="status",
    )
    def state(self, transfer: Transfer) -> tuple[str, Any]:
        return transfer.status, _NAMES[transfer.status]

    @admin.display(description=_("expected"), ordering=F("expected_delivery").asc(nulls_last=True))
    def expected(self, transfer: Transfer) -> str:
        """The expected arrival; an overdue one is marked in words, not only by colour."""
        due = transfer.expected_delivery
        if due is None:
            return NOTHING
        when = shown_time(due)
        is_on_the_way = transfer.status in {TransferStatus.IN_TRANSIT, TransferStatus.PARTIALLY_RECEIVED}
        if is_on_the_way and due < transfer.as_of:  # type: ignore[attr-defined]
            return format_html('{} <strong class="flow-differs">{}</strong>', when, _("overdue"))
        return when

    @admin.display(description=_("received"))
    def progress(self, transfer: Transfer) -> SafeString:
        done, total = getattr(transfer, "arrived", 0), getattr(transfer, "asked", 0)
        return progress_bar(done, total, _("received"))
