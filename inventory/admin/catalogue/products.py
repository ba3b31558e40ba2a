"""Products and variants in the console."""

from collections.abc import Iterable, Iterator
from datetime import UTC
from typing import Any, ClassVar, Final, cast
from uuid import UUID

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext_lazy as _

from audit.console.base import ReadOnlyInline, actor_of
from audit.console.dialogs import staff_action
from audit.console.exported import ExportedAdmin
from audit.console.exports import ExportRow
from audit.console.imports.page import ImportedAdmin
from audit.console.lists import ConsoleList
from audit.console.wording import share_wordings
from audit.identifiers import parse_copied_id
from audit.preconditions import Precondition
from audit.texts import without_refused
from inventory.admin.catalogue import product_files
from inventory.admin.catalogue.freezing import FreezableAdmin, FrozenFilter
from inventory.admin.catalogue.printing import MOST, labels_of_products, print_page
from inventory.admin.catalogue.sku_cells import notes_on_sharing
from inventory.admin.stock.marks import badges
from inventory.models import QUANTITY_LIMIT, StockLevel
from inventory.models.catalogue import Product
from inventory.models.catalogue_querysets import ProductQuerySet
from inventory.services.catalogue import master_data
from inventory.services.catalogue.master_data import Saved
from inventory.services.catalogue.stock_warnings import warnings_of

share_wordings(
    {
        "sku_taken": _("Another product has this SKU."),
        "unknown_product": _("There is no such product."),
        "unknown_warehouse": _("There is no such warehouse."),
    }
)

_MOST_LEVELS: Final = 100
"""The most stock levels whose changes are part of a product's history."""


class LevelInline(ReadOnlyInline):
    """The stock levels of a product."""

    model = StockLevel
    warehouse_paths = ("warehouse__code",)
    verbose_name_plural = _("Stock")
    empty_hint = _("No stock in any warehouse yet. Received units are shown here.")
    fields = ("warehouse", "on_hand", "reserved", "available", "reorder_point", "min_stock_level", "last_movement_at")
    show_change_link = True

    def get_queryset(self, request: HttpRequest) -> QuerySet[StockLevel]:
        return super().get_queryset(request).select_related("warehouse", "product").order_by("warehouse__code")


class VariantInline(ReadOnlyInline):
    """The variants of a product; each has a page of its own."""

    model = Product
    fk_name = "parent"
    belongs_to_no_warehouse = True
    verbose_name_plural = _("Variants")
    empty_hint = _("It has no variants.")
    fields = ("sku", "name", "barcode", "is_active", "listing_expires_at")
    ordering = ("sku",)
    show_change_link = True


class VariantFilter(admin.EmptyFieldListFilter):
    """Filter by whether a product is a variant of another."""

    def choices(self, changelist: Any) -> Iterator[Any]:
        """The choices, in words for variants."""
        names = (_("All"), _("No variants"), _("Only variants"))
        for name, choice in zip(names, super().choices(changelist), strict=True):
            yield {**choice, "display": name}


class ProductList(ConsoleList):
    """A page of products, each with the warnings about it; one query for all."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        self.result_list: Any = list(self.result_list)
        known = warnings_of([row.pk for row in self.result_list])
        for row in self.result_list:
            row.warnings = known.get(row.pk, ())


class ProductAdmin(ImportedAdmin, ExportedAdmin, FreezableAdmin):
    """Products and their variants. Their recall pages show holds, so ``reservations`` registers them
    (``reservations/admin/availability/recall_page.py``)."""

    finds_codes = True
    belongs_to_no_warehouse = True
    importers = {"products": product_files.ProductImport}
    export_permission = "inventory.export_stock"
    export_name = product_files.ProductImport.file_name
    export_formats = ("csv", "xlsx")
    export_header = tuple(column.name for column in product_files.COLUMNS)

    id_fields = ("pk", "parent_id")
    list_display = ("sku", "name", "parent_sku", "barcode", "standing", "listing_expires_at", "updated_at")
    list_filter = ("is_active", FrozenFilter, ("parent", VariantFilter))
    list_select_related = ("parent",)
    search_fields = ("sku", "name", "barcode__exact")
    search_help_text = _("A part of SKU or name, a whole barcode, or an id")
    empty_hint = _("No products yet. Add the first one, or import a file.")
    ordering = ("sku",)
    autocomplete_fields = ("parent",)
    readonly_fields = ("id", "created_at", "updated_at", "standing", "frozen")
    fieldsets = (
        (
            None,
            {
                "fields": (
                    ("sku", "barcode"),
                    "name",
                    "parent",
                    "is_active",
                    "listing_expires_at",
                    "max_units_per_customer",
                )
            },
        ),
        (_("For reference"), {"fields": ("id", ("standing", "frozen"), ("created_at", "updated_at"))}),
    )
    inlines = (VariantInline, LevelInline)
    code_fields = ("sku", "barcode")
    number_bounds = {"max_units_per_customer": (1, QUANTITY_LIMIT)}
    actions = ("print_labels",)
    actions_list = ("labels",)
    actions_detail: ClassVar[tuple[str, ...]] = ("add_variant", "label", "freeze", "unfreeze")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Search by words first, which have an index."""
        term = without_refused(search_term)
        if not term or parse_copied_id(term):
            return super().get_search_results(request, queryset, search_term)
        return cast("ProductQuerySet", queryset).meant(term), False

    def history_of(self, request: HttpRequest, row: Any) -> dict[UUID, str]:
        """The product's own history, and that of its stock in reach."""
        levels = StockLevel.objects.visible_to(actor_of(request)).filter(product=row)
        return {row.pk: "", **dict(levels.values_list("pk", "warehouse__code")[:_MOST_LEVELS])}

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> Any:
        return ProductList

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Leave out the fieldsets that don't apply to a new product."""
        return self.fieldsets if obj else self.fieldsets[:1]

    def get_inlines(self, request: HttpRequest, obj: Any) -> Any:
        """No variants for a variant, no levels and no variants for a new product."""
        if obj is None:
            return ()
        return (LevelInline,) if obj.parent_id else self.inlines

    def store(self, request: HttpRequest, form: Any, formsets: list[Any], precondition: Precondition) -> Model:
        given = form.cleaned_data
        listed_until = given["listing_expires_at"]
        saved = master_data.put_product(
            actor_of(request),
            form.instance.pk,
            parent_id=given["parent"].pk if given["parent"] else None,
            claim=None,
            precondition=precondition,
            sku=given["sku"],
            name=given["name"],
            barcode=given["barcode"],
            is_active=given["is_active"],
            listing_expires_at=listed_until and listed_until.astimezone(UTC),
            max_units_per_customer=given["max_units_per_customer"],
        )
        product = cast(Product, cast(Saved, saved).row)
        for note in notes_on_sharing({product.pk: (product.sku, product.barcode)}):
            messages.warning(request, note)
        return product

    def pointless_actions(self, request: HttpRequest, row: Any) -> set[str]:
        """Also no adding of variants to a variant, or without the permission to add products."""
        may_add = row.parent_id is None and self.has_add_permission(request)
        return super().pointless_actions(request, row) | (set() if may_add else {"add_variant"})

    def export_rows(self, request: HttpRequest, rows: QuerySet[Any]) -> Iterable[ExportRow]:
        """The products, in the columns of the import."""
        return product_files.exported_products(rows)

    @staff_action(_("Add a variant"), url_path="add-variant", icon="add", permission="inventory.add_product")
    def add_variant(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Open the form of a new product, with this one as its parent. Raises PermissionDenied."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        return redirect(f"{reverse('admin:inventory_product_add')}?parent={object_id}")

    @admin.action(description=_("Print labels"), permissions=["view"])
    def print_labels(self, request: HttpRequest, chosen: QuerySet[Product]) -> HttpResponse:
        """Print labels of the selected products, which may be all that the list finds: too many for an address."""
        return self._print(request, chosen.order_by("sku"), chosen.count())

    @staff_action(_("Print labels"), url_path="labels", icon="print", permission="inventory.view_product")
    def labels(self, request: HttpRequest) -> HttpResponse:
        """The page of labels: of the products that the request names, else of the first in the list."""
        products = self.get_queryset(request).order_by("sku")
        named = [named for text in request.GET.getlist("id") if (named := parse_copied_id(text))]
        if named:
            return self._print(request, products.filter(pk__in=named), len(set(request.GET.getlist("id"))))
        return self._print(request, products, products.count())

    @staticmethod
    def _print(request: HttpRequest, products: QuerySet[Product], asked: int) -> HttpResponse:
        shown = labels_of_products(products[:MOST])
        way_back = reverse("admin:inventory_product_changelist")
        return print_page(request, _("Labels of products"), shown, way_back, asked)

    @staff_action(_("Print a label"), url_path="label", icon="print", permission="inventory.view_product")
    def label(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return redirect(f"{reverse('admin:inventory_product_labels')}?{urlencode({'id': object_id})}")

    @admin.display(description=_("state"))
    def standing(self, product: Any) -> Any:
        """Frozen, discontinued, or active: a variant follows its parent."""
        known = getattr(product, "warnings", None)
        warnings = warnings_of([product.pk]).get(product.pk, ()) if known is None else known
        return badges(warnings) if warnings else _("Active")

    @admin.display(description=_("variant of"), ordering="parent__sku")
    def parent_sku(self, product: Product) -> str:
        return product.parent.sku if product.parent else "–"
