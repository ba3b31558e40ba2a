"""The catalogue in the console: products and variants, warehouses, stores.

Every Save is the service that the API calls, ``services/master_data.py``. What there is of a product is shown and
never typed.
"""

from collections.abc import Collection, Iterable, Mapping
from datetime import UTC
from typing import Any, Final, cast

from django import forms
from django.contrib import admin
from django.db.models import Exists, Model, OuterRef, Prefetch, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext_lazy as _
from unfold.admin import TabularInline

from audit.console import (
    Reach,
    ReadOnlyInline,
    asker_of,
    multiple_choice,
    public_uuid,
    staff_action,
    text_field,
    warehouse_codes_of,
    wordings,
)
from audit.exports import ExportedAdmin, Row
from audit.importing import ImportedAdmin
from inventory.admin import product_files
from inventory.admin.brakes import FreezableAdmin
from inventory.admin.printing import MOST, labels_of_places, labels_of_products, print_page
from inventory.models import Product, StockLevel, Store, StoreWarehouse, Warehouse
from inventory.querysets import ProductQuerySet
from inventory.services import master_data
from inventory.services.master_data import Saved

wordings.update(
    {
        "sku_taken": _("Another product has this SKU."),
        "unknown_product": _("There is no such product."),
        "unknown_warehouse": _("There is no such warehouse."),
    }
)


class LevelInline(ReadOnlyInline):
    """Where a product is."""

    model = StockLevel
    warehouse_paths = ("warehouse__code",)
    verbose_name_plural = _("Stock")
    empty_hint = _("There is no stock of it anywhere. What is received of it shows up here.")
    fields = ("warehouse", "on_hand", "reserved", "available", "reorder_point", "min_stock_level", "last_movement_at")
    show_change_link = True

    def get_queryset(self, request: HttpRequest) -> QuerySet[StockLevel]:
        return super().get_queryset(request).select_related("warehouse", "product").order_by("warehouse__code")


class VariantInline(ReadOnlyInline):
    """The sizes and colours that a product comes in; each has a page of its own."""

    model = Product
    fk_name = "parent"
    verbose_name_plural = _("Variants")
    empty_hint = _("It has no variants.")
    fields = ("sku", "name", "barcode", "is_active", "listing_expires_at")
    ordering = ("sku",)
    show_change_link = True


@admin.register(Product)
class ProductAdmin(ImportedAdmin, ExportedAdmin, FreezableAdmin):  # type: ignore[misc]
    """Products and their variants."""

    import_pages = {"products": product_files.ProductImport}
    export_permission = "inventory.export_stock"
    export_name = product_files.ProductImport.file_name
    export_formats = ("csv", "xlsx")
    export_header = tuple(column.name for column in product_files.COLUMNS)

    id_fields = ("pk", "parent_id")
    list_display = ("sku", "name", "parent_sku", "barcode", "state", "listing_expires_at", "updated_at")
    list_filter = ("is_active", ("frozen_at", admin.EmptyFieldListFilter), ("parent", admin.EmptyFieldListFilter))
    list_select_related = ("parent",)
    search_fields = ("sku", "name", "barcode__exact")
    search_help_text = _("A part of SKU or name, a whole barcode, or an id")
    empty_hint = _("No product yet. Add the first one, or import a file of them: SKU and barcode are what is scanned.")
    ordering = ("sku",)
    autocomplete_fields = ("parent",)
    readonly_fields = ("id", "created_at", "updated_at", "frozen")
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
        (_("For reference"), {"fields": ("id", "frozen", ("created_at", "updated_at"))}),
    )
    inlines = (VariantInline, LevelInline)
    actions = ("print_labels",)
    actions_list = ("labels",)
    actions_detail = ("add_variant", "label", "freeze", "unfreeze")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """By words first: these have an index."""
        term = search_term.replace("\0", "").strip()
        if not term or public_uuid(term):
            return super().get_search_results(request, queryset, search_term)
        return cast("ProductQuerySet", queryset).meant(term), False

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """A new product has no past yet."""
        return self.fieldsets if obj else self.fieldsets[:1]

    def get_inlines(self, request: HttpRequest, obj: Any) -> Any:
        """A variant has no variants of its own, and what is new has no stock."""
        if obj is None:
            return ()
        return (LevelInline,) if obj.parent_id else self.inlines

    def store(self, request: HttpRequest, form: Any, formsets: list[Any]) -> Model:
        given = form.cleaned_data
        listed_until = given["listing_expires_at"]
        saved = master_data.put_product(
            asker_of(request),
            form.instance.pk,
            parent_id=given["parent"].pk if given["parent"] else None,
            claim=None,
            sku=given["sku"],
            name=given["name"],
            barcode=given["barcode"],
            is_active=given["is_active"],
            listing_expires_at=listed_until and listed_until.astimezone(UTC),
            max_units_per_customer=given["max_units_per_customer"],
        )
        return cast(Model, cast(Saved, saved).row)

    def pointless_actions(self, request: HttpRequest, row: Any) -> set[str]:
        """A variant has no variants, and who may not add a product adds none."""
        may_add = row.parent_id is None and self.has_add_permission(request)
        return super().pointless_actions(request, row) | (set() if may_add else {"add_variant"})

    def export_rows(self, request: HttpRequest, rows: QuerySet[Any]) -> Iterable[Row]:
        """The products, as they are imported."""
        return product_files.exported_products(rows)

    @staff_action(_("Add a variant"), url_path="add-variant", icon="add", permission="inventory.add_product")
    def add_variant(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """The form of a new product, with this one as its parent."""
        return redirect(f"{reverse('admin:inventory_product_add')}?parent={object_id}")

    @admin.action(description=_("Print labels"), permissions=["view"])
    def print_labels(self, request: HttpRequest, chosen: QuerySet[Product]) -> HttpResponse:
        """Labels of the products that are chosen."""
        ids = [("id", str(pk)) for pk in chosen.values_list("pk", flat=True)[:MOST]]
        return redirect(f"{reverse('admin:inventory_product_labels')}?{urlencode(ids)}")

    @staff_action(_("Print labels"), url_path="labels", icon="print", permission="inventory.view_product")
    def labels(self, request: HttpRequest) -> HttpResponse:
        """The labels of the products that are named, else of the first in the list."""
        products = self.get_queryset(request).order_by("sku")
        named = [named for text in request.GET.getlist("id") if (named := public_uuid(text))]
        shown = labels_of_products((products.filter(pk__in=named) if named else products)[:MOST])
        return print_page(request, _("Labels of products"), shown, reverse("admin:inventory_product_changelist"))

    @staff_action(_("Print a label"), url_path="label", icon="print", permission="inventory.view_product")
    def label(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return redirect(f"{reverse('admin:inventory_product_labels')}?{urlencode({'id': object_id})}")

    @admin.display(description=_("variant of"), ordering="parent__sku")
    def parent_sku(self, product: Product) -> str:
        return product.parent.sku if product.parent else "–"


# ----------------------------------------------------------------------------------------------------------- warehouses

_ADDRESS: Final = {"street": _("Street"), "postalCode": _("Postal code"), "city": _("City"), "country": _("Country")}
_CONTACT: Final = {"name": _("Name"), "email": _("E-mail"), "phone": _("Telephone")}
_CAPABILITIES: Final = {
    "pick": _("Picks"),
    "pack": _("Packs"),
    "returns": _("Takes returns"),
    "clickAndCollect": _("Hands out to customers"),
    "hazardousGoods": _("Stores hazardous goods"),
    "coldStorage": _("Stores cold goods"),
    "dropship": _("Ships for a supplier"),
}


def _merged(kept: Mapping[str, Any] | None, given: Mapping[str, Any]) -> dict[str, Any]:
    """What integrators keep beside the form's fields stays; a field left empty goes."""
    merged = {**(kept or {}), **given}
    return {name: value for name, value in merged.items() if name not in given or value not in ("", None, False)}


class WarehouseForm(forms.ModelForm):  # type: ignore[type-arg]
    """A warehouse with its address, contact and capabilities as fields. ``code`` is for ever."""

    street = text_field(label=_ADDRESS["street"])
    postal_code = text_field(20, label=_ADDRESS["postalCode"])
    city = text_field(100, label=_ADDRESS["city"])
    country = text_field(100, label=_ADDRESS["country"])
    contact_name = text_field(100, label=_CONTACT["name"])
    contact_email = forms.EmailField(
        required=False, label=_CONTACT["email"], widget=text_field().widget, max_length=254
    )
    contact_phone = text_field(50, label=_CONTACT["phone"])
    can = multiple_choice(_CAPABILITIES.items(), label=_("What it can do"))

    class Meta:
        model = Warehouse
        fields = ("code", "name", "type", "is_active")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        address, contact = self.instance.address or {}, self.instance.contact_info or {}
        can = self.instance.capabilities or {}
        self.initial = {
            **self.initial,
            "street": address.get("street", ""),
            "postal_code": address.get("postalCode", ""),
            "city": address.get("city", ""),
            "country": address.get("country", ""),
            "contact_name": contact.get("name", ""),
            "contact_email": contact.get("email", ""),
            "contact_phone": contact.get("phone", ""),
            "can": [name for name in _CAPABILITIES if can.get(name)],
        }

    def documents(self) -> dict[str, Any]:
        """Address, contact and capabilities as the service takes them."""
        given = self.cleaned_data
        address = {name: given[field] for name, field in zip(_ADDRESS, _ADDRESS_FIELDS, strict=True)}
        contact = {name: given[field] for name, field in zip(_CONTACT, _CONTACT_FIELDS, strict=True)}
        can = {name: name in given["can"] or None for name in _CAPABILITIES}
        return {
            "address": _merged(self.instance.address, address),
            "contact_info": _merged(self.instance.contact_info, contact) or None,
            "capabilities": _merged(self.instance.capabilities, can) or None,
        }


_ADDRESS_FIELDS: Final = ("street", "postal_code", "city", "country")
_CONTACT_FIELDS: Final = ("contact_name", "contact_email", "contact_phone")


@admin.register(Warehouse)
class WarehouseAdmin(FreezableAdmin):
    """Places with stock."""

    form = WarehouseForm
    actions_detail = ("labels", "freeze", "unfreeze")
    warehouse_paths = ("code",)
    list_display = ("code", "name", "type", "state", "created_at")
    empty_hint = _("No warehouse yet. Add the first one: stock lies in warehouses.")
    list_filter = ("type", "is_active")
    search_fields = ("code", "name")
    search_help_text = _("A part of code or name, or an id")
    ordering = ("code",)
    fieldsets = (
        (None, {"fields": (("code", "name"), ("type", "is_active"))}),
        (_("Address"), {"fields": ("street", ("postal_code", "city"), "country")}),
        (_("Contact"), {"fields": ("contact_name", ("contact_email", "contact_phone"))}),
        (_("Capabilities"), {"fields": ("can",)}),
        (_("Freeze"), {"fields": ("frozen",)}),
    )

    @staff_action(_("Print labels of places"), url_path="labels", icon="print", permission="inventory.view_warehouse")
    def labels(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """A label for each place where stock is kept."""
        warehouse = self.get_object(request, object_id)
        if warehouse is None:
            raise Http404
        way_back = reverse("admin:inventory_warehouse_change", args=[warehouse.pk])
        title = _("Places in %(warehouse)s") % {"warehouse": warehouse.code}
        return print_page(request, title, labels_of_places(warehouse), way_back)

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Who may only look reads address, contact and capabilities as lines."""
        if obj is None:
            return self.fieldsets[:-1]
        if self.has_change_permission(request, obj):
            return self.fieldsets
        return (
            self.fieldsets[0],
            (_("For reference"), {"fields": ("where", "contact", "abilities", "frozen")}),
        )

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """A code is for ever."""
        return ("code", "where", "contact", "abilities", "frozen") if obj else ()

    def store(self, request: HttpRequest, form: Any, formsets: list[Any]) -> Model:
        given = form.cleaned_data
        saved = master_data.put_warehouse(
            asker_of(request),
            form.instance.code,
            claim=None,
            name=given["name"],
            type=given["type"],
            is_active=given["is_active"],
            **form.documents(),
        )
        return cast(Model, cast(Saved, saved).row)

    @admin.display(description=_("Address"))
    def where(self, warehouse: Warehouse) -> str:
        return _line(warehouse.address, _ADDRESS)

    @admin.display(description=_("Contact"))
    def contact(self, warehouse: Warehouse) -> str:
        return _line(warehouse.contact_info, _CONTACT)

    @admin.display(description=_("Capabilities"))
    def abilities(self, warehouse: Warehouse) -> str:
        can = warehouse.capabilities or {}
        return ", ".join(str(_CAPABILITIES.get(name, name)) for name, value in can.items() if value) or "–"


def _line(document: Mapping[str, Any] | None, names: Collection[str]) -> str:
    return ", ".join(str(document[name]) for name in names if document and document.get(name)) or "–"


# --------------------------------------------------------------------------------------------------------------- stores


class SourceInline(Reach, TabularInline):  # type: ignore[misc]
    """The warehouses that a store sells from."""

    model = StoreWarehouse
    warehouse_paths = ("warehouse__code",)
    fields = ("priority", "warehouse")
    extra = 0
    hide_title = True
    verbose_name = _("warehouse")
    verbose_name_plural = _("Sells from, the lowest number first")
    ordering = ("priority", "warehouse__code")
    show_change_link = False

    def get_queryset(self, request: HttpRequest) -> QuerySet[StoreWarehouse]:
        return super().get_queryset(request).select_related("warehouse", "store")

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._is_for_all(request) and super().has_add_permission(request, obj)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._is_for_all(request) and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._is_for_all(request) and super().has_delete_permission(request, obj)

    @staticmethod
    def _is_for_all(request: HttpRequest) -> bool:
        return not warehouse_codes_of(request.user)


_LIMITS: Final = ("max_units_per_customer", "max_holds_per_customer", "hold_window_minutes")


@admin.register(Store)
class StoreAdmin(FreezableAdmin):
    """Shops."""

    empty_hint = _(
        "No store yet. Add the first one, with the warehouses that it sells from: shops hold stock through it."
    )
    list_display = ("code", "name", "state", "sells_from", "ttl_minutes", "is_default", "created_at")
    search_fields = ("code", "name")
    search_help_text = _("A part of code or name, or an id")
    ordering = ("code",)
    fieldsets = (
        (None, {"fields": (("code", "name"), ("ttl_minutes", "is_default"))}),
        (_("Limits against hoarding"), {"fields": _LIMITS}),
        (_("Freeze"), {"fields": ("frozen",)}),
    )
    inlines = (SourceInline,)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """A code is for ever; the first store is the default one."""
        return ("code", "is_default", "frozen") if obj else ("is_default",)

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """A new store is not frozen."""
        return self.fieldsets if obj else self.fieldsets[:-1]

    def within(self, rows: QuerySet[Any], codes: Collection[str]) -> QuerySet[Any]:
        """Those that sell from there."""
        return rows.filter(Exists(StoreWarehouse.objects.filter(store=OuterRef("pk"), warehouse__code__in=codes)))

    def get_queryset(self, request: HttpRequest) -> QuerySet[Store]:
        sources = StoreWarehouse.objects.select_related("warehouse").order_by("priority", "warehouse__code")
        if codes := warehouse_codes_of(request.user):
            sources = sources.filter(warehouse__code__in=codes)
        stores: QuerySet[Store] = super().get_queryset(request)
        return stores.prefetch_related(Prefetch("sources", sources, to_attr="seen_sources"))

    def store(self, request: HttpRequest, form: Any, formsets: list[Any]) -> Model:
        rows = [row for row in formsets[0].cleaned_data if row and not row.get("DELETE")]
        saved = master_data.put_store(
            asker_of(request),
            form.instance.code,
            name=form.cleaned_data["name"],
            ttl_minutes=form.cleaned_data["ttl_minutes"],
            priorities={row["warehouse"].code: row["priority"] for row in rows},
            claim=None,
            **{name: form.cleaned_data[name] for name in _LIMITS},
        )
        return cast(Model, cast(Saved, saved).row)

    @admin.display(description=_("sells from"))
    def sells_from(self, store: Store) -> str:
        return ", ".join(source.warehouse.code for source in getattr(store, "seen_sources", ())) or "–"
