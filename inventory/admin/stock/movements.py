"""Movements in the console, read only, with links to related pages."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any, ClassVar, Final, cast
from uuid import UUID

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from audit.actions import action_of
from audit.admin import OfEntry
from audit.console.base import Pages, WarehouseFilter, may_read_trail
from audit.console.exports import ExportRow, newest_first
from audit.console.filters import ByActor, Days, Span, TrailAdmin, around, filtered, link, recent, within
from audit.console.lists import ConsoleList
from audit.display import NOTHING
from audit.identifiers import (
    ADJUSTMENT,
    COUNT,
    TRANSFER,
    moment_of,
    parse_copied_id,
    parse_public_id,
    public_id,
    short_id,
)
from audit.models import AuditEntry
from audit.texts import without_refused
from inventory import actions
from inventory.admin.stock.marks import with_warnings
from inventory.admin.stock.receiving import Receiving
from inventory.admin.stock.shared_columns import OfLevel
from inventory.models import Movement, Product, StockDocument, StockLevel
from inventory.models.documents import parse_number

_MOST_PRODUCTS: Final = 100
_MOST_ENTRIES: Final = 200
_WAIT: Final = timedelta(hours=1)
"""The longest time between making an adjustment's id and writing its movements, including the clocks' difference."""
_EXPORTED: Final = (
    *("id", "created_at", "level__product__sku", "level__product__name", "level__warehouse__code", "type"),
    *("quantity", "quantity_before", "quantity_after", "reason", "reference_type", "reference", "cost_per_unit"),
    *("actor", "adjustment_id"),
)
"""The columns that an export reads."""
_OF_PERSON: Final = "_searched_movements_of_person"
"""The attribute of a request whose search is for a person, which no index answers."""
_DOCUMENTS: Final = {TRANSFER: "inventory_transfer", COUNT: "inventory_stockcount"}


class MovementDays(Days):
    """Filter by time, which has an index."""

    field = "created_at"


class ByEntry(OfEntry):
    """Filter by audit entry: the movements written in its transaction, which have the same time."""

    title = _("audit entry")
    parameter_name = "entry"

    def of(self, entry: AuditEntry, rows: QuerySet[Any]) -> QuerySet[Any]:
        return rows.filter(_narrower(entry), created_at=entry.at)


def _narrower(entry: AuditEntry) -> Q:
    """A condition that excludes movements which other requests wrote at the same time."""
    subject = action_of(entry.action).subject
    if subject is actions.LEVEL:
        return Q(level_id=entry.subject_id)
    if subject is actions.TRANSFER:
        return Q(reference=public_id(TRANSFER, entry.subject_id))
    if subject is actions.COUNT:
        return Q(reference=public_id(COUNT, entry.subject_id))
    return Q(reference=entry.changes["orderId"]) if "orderId" in entry.changes else Q()


class MovementList(ConsoleList):
    """A page of movements, each level with the warnings about it; one query for all."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        self.result_list: Any = list(self.result_list)
        with_warnings(row.level for row in self.result_list)


@admin.register(Movement)
class MovementAdmin(OfLevel, Receiving, TrailAdmin):
    """Movements, the newest first."""

    warehouse_paths = ("level__warehouse__code",)
    list_display = (
        "created_at",
        "sku",
        "warehouse",
        "type",
        "change",
        "quantity_after",
        "reason",
        "document",
        "who",
    )
    number_columns = ("change", "quantity_after")
    list_display_links = ("created_at",)
    list_filter = (MovementDays, "type", ("level__warehouse", WarehouseFilter), ByActor, ByEntry)
    list_select_related = ("level__product", "level__warehouse")
    search_fields = ("level__product__sku",)
    search_help_text = _("A part of a SKU, a whole barcode, reference or name, or an id")
    sortable_by = ()
    ordering = ("-created_at", "-id")
    newest_by = "created_at"
    indexed_filters = frozenset({"day", "type__exact"})
    selective_filters = frozenset({"entry"})
    empty_hint = _("No movements in these days. Choose a longer period above.")
    empty_hints: ClassVar = {
        "type__exact=RECEIPT": _("No deliveries in these days. To receive one, press Receive a delivery.")
    }
    export_permission = "inventory.export_stock"
    export_name = "movements"
    export_header = (
        _("Id"),
        _("When"),
        _("SKU"),
        _("Product"),
        _("Warehouse"),
        _("Type"),
        _("Quantity"),
        _("Before"),
        _("After"),
        _("Reason"),
        _("Reference type"),
        _("Reference"),
        _("Cost per unit"),
        _("By"),
        _("Adjustment"),
    )
    fields = (
        ("level_link", "warehouse"),
        ("type", "on_hand"),
        ("reason", "cost_per_unit"),
        ("document", "reference_type"),
        ("actor", "created_at"),
        "same_adjustment",
        "trail",
        "id",
    )

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Show links to audit entries only to users who may read them."""
        return [name for name in self.fields if name != "trail" or may_read_trail(request)]

    def get_paginator(self, request: HttpRequest, queryset: QuerySet[Any], *args: Any, **options: Any) -> Pages:
        """Count along the index of time. Without it, PostgreSQL would scan all history before the recent movements."""
        pages = cast(Pages, super().get_paginator(request, queryset, *args, **options))
        pages.counted_by = "-created_at"
        return pages

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> Any:
        return MovementList

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        """The movement, with the warnings about its level."""
        found = super().get_object(request, object_id, from_field)
        if found is not None:
            with_warnings([found.level])
        return found

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Search by an index for a document, a reference, a product or an id; else by name, within the chosen days or
        the last 30."""
        term = without_refused(search_term)
        if parse_public_id(TRANSFER, term) or parse_public_id(COUNT, term):
            return _with_reference(queryset, term.lower()), False
        if document := _document_called(term):
            queryset, term = queryset.filter(created_at=document.created_at, adjustment_id=document.adjustment_id), ""
        if not term:
            return queryset, False
        if named := parse_copied_id(term):
            return _with_id(queryset, named), False
        if _with_reference(self.get_queryset(request), term).exists():
            return _with_reference(queryset, term), False
        levels = _levels_of(term)
        if levels:
            return queryset.filter(level__in=levels), False
        if "day" not in request.GET:
            queryset = within(queryset, "created_at", recent(), by_id=False)
        setattr(request, _OF_PERSON, True)
        return queryset.filter(actor=term), False

    def is_found_by_index(self, request: HttpRequest, term: str) -> bool:
        """Whether the search that was made isn't for a person."""
        return not getattr(request, _OF_PERSON, False)

    def export_rows(self, request: HttpRequest, rows: QuerySet[Any]) -> Iterator[ExportRow]:
        names = {value: str(label) for value, label in Movement.Type.choices}  # Translating takes as long as a row.
        for *first, type_, quantity, before, after, reason, kind, reference, cost, actor, adjustment in newest_first(
            rows, _EXPORTED, "created_at"
        ):
            adjusted = public_id(ADJUSTMENT, adjustment) if adjustment else None
            yield (*first, names[type_], quantity, before, after, reason, kind, reference, cost, actor, adjusted)

    @admin.display(description=_("quantity"))
    def change(self, movement: Movement) -> str:
        return f"{movement.quantity:+d}"

    @admin.display(description=_("on hand"))
    def on_hand(self, movement: Movement) -> str:
        """On hand before and after."""
        return f"{movement.quantity_before} → {movement.quantity_after} ({self.change(movement)})"

    @admin.display(description=_("reference"))
    def document(self, movement: Movement) -> SafeString:
        """A link to its transfer, count or order, or to all movements with the same reference."""
        if not movement.reference:
            return format_html("{}", NOTHING)
        prefix = movement.reference.partition("-")[0]
        if prefix in _DOCUMENTS and (named := parse_public_id(prefix, movement.reference)):
            name = _("Transfer") if prefix == TRANSFER else _("Count")
            address = reverse(f"admin:{_DOCUMENTS[prefix]}_change", args=[named])
            return link(format_html('<span class="flow-fixed">{} {}</span>', name, short_id(named)), address)
        if movement.reference_type == "order":
            orders = reverse("admin:reservations_reservation_changelist")
            return link(movement.reference, f"{orders}?{urlencode({'q': movement.reference})}")
        return filtered(movement.reference, q=movement.reference)

    @admin.display(description=_("adjustment"))
    def same_adjustment(self, movement: Movement) -> SafeString:
        if movement.adjustment_id is None:
            return format_html("{}", NOTHING)
        document = StockDocument.objects.of_movement(movement.adjustment_id, movement.created_at).first()
        if document is not None:
            return link(document, reverse("admin:inventory_stockdocument_change", args=[document.pk]))
        named = public_id(ADJUSTMENT, movement.adjustment_id)
        return link(short_id(named), f"{reverse('admin:inventory_movement_changelist')}?q={named}")

    @admin.display(description=_("audit entries"))
    def trail(self, movement: Movement) -> SafeString:
        """Links to the audit entries that were written with the movement."""
        written = around(AuditEntry.objects.filter(at=movement.created_at), movement.created_at)
        entries = [entry for entry in written.order_by("pk")[:_MOST_ENTRIES] if _is_about(entry, movement)]
        ways = ((str(entry), reverse("admin:audit_auditentry_change", args=[entry.pk])) for entry in entries)
        shown = format_html_join(" · ", "{}", ((link(text, address),) for text, address in ways))
        return shown or format_html("{}", NOTHING)


def _is_about(entry: AuditEntry, movement: Movement) -> bool:
    """Whether an entry of the same time, which may be of another request, is about this movement."""
    if entry.subject_id in (movement.level_id, movement.adjustment_id):
        return True
    if not movement.reference:
        return False
    named = str(entry.subject_id)
    return movement.reference.endswith(named) or entry.changes.get("orderId") == movement.reference


def _document_called(term: str) -> StockDocument | None:
    """The document with this short number; None if the text is no such number, or there is none."""
    kind, number = parse_number(term, StockDocument.Kind.values) or ("", 0)
    return StockDocument.objects.filter(kind=kind, number=number).first() if kind else None


def _with_reference(rows: QuerySet[Any], reference: str) -> QuerySet[Any]:
    """Filter by reference, with a literal condition, so that the planner uses the partial index."""
    return rows.filter(reference=reference).extra(where=["inventory_movement.reference <> ''"])


def _levels_of(term: str) -> list[UUID]:
    """The levels of products with this SKU or barcode; if there are none, of products with it as a part of the SKU."""
    exact = list(Product.objects.coded(term).values_list("pk", flat=True))
    products = exact or list(Product.objects.filter(sku__icontains=term).values_list("pk", flat=True)[:_MOST_PRODUCTS])
    return _levels_of_family(products, exact) if products else []


def _levels_of_family(products: list[UUID], parents: list[UUID]) -> list[UUID]:
    """The levels of products, and of the variants of parents. Two queries: one for both would read all levels."""
    family = [*products, *Product.objects.filter(parent__in=parents).values_list("pk", flat=True)]
    return list(StockLevel.objects.filter(product__in=family).values_list("pk", flat=True))


def _with_id(rows: QuerySet[Any], named: UUID) -> QuerySet[Any]:
    """Filter by the id of a movement, a level, a product, an imported file or an adjustment.

    Adjustments have no index: the time is taken from the id, a UUIDv7, and for an imported file from its audit entry.
    """
    if Movement.objects.filter(pk=named).exists():
        return rows.filter(pk=named)
    if StockLevel.objects.filter(pk=named).exists():
        return rows.filter(level=named)
    if levels := _levels_of_family([named], [named]):
        return rows.filter(level__in=levels)
    imported = AuditEntry.objects.filter(subject_id=named, action=actions.STOCK_IMPORTED.name)
    if moments := list(imported.values_list("at", flat=True)):
        return rows.filter(created_at__in=moments, adjustment_id=named)
    made = moment_of(named)
    if made is None:
        return rows.none()
    return within(rows, "created_at", Span(made - _WAIT, made + _WAIT), by_id=False).filter(adjustment_id=named)
