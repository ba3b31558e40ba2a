"""Warehouses in the console."""

from collections.abc import Collection, Mapping
from typing import Any, Final, cast

from django import forms
from django.contrib import admin
from django.db.models import Model
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from audit.console.base import actor_of, multiple_choice, text_field
from audit.console.dialogs import staff_action
from audit.errors import VersionConflict
from audit.preconditions import Precondition
from inventory.admin.catalogue.freezing import FreezableAdmin, FrozenFilter
from inventory.admin.catalogue.printing import labels_of_places, print_page
from inventory.models import Warehouse
from inventory.services.catalogue import master_data
from inventory.services.catalogue.master_data import Saved

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
    """Merge the form's fields into the stored document: keys of integrators are kept, empty fields are removed."""
    merged = {**(kept or {}), **given}
    return {name: value for name, value in merged.items() if name not in given or value not in ("", None, False)}


class WarehouseForm(forms.ModelForm):  # type: ignore[type-arg]
    """The form of a warehouse, with address, contact and capabilities as fields. ``code`` can't be changed."""

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
        """Address, contact and capabilities as arguments of the service."""
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
    """Warehouses."""

    form = WarehouseForm
    actions_detail = ("labels", "freeze", "unfreeze")
    warehouse_paths = ("code",)
    list_display = ("code", "name", "type", "state", "created_at")
    empty_hint = _("No warehouse yet. Add the first one: stock lies in warehouses.")
    list_filter = ("type", "is_active", FrozenFilter)
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
        """Print a label for each location."""
        warehouse = self.get_object(request, object_id)
        if warehouse is None:
            raise Http404
        way_back = reverse("admin:inventory_warehouse_change", args=[warehouse.pk])
        labels, asked = labels_of_places(warehouse)
        title = _("Places in %(warehouse)s") % {"warehouse": warehouse.code}
        return print_page(request, title, labels, way_back, asked)

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """For users who may only view, show address, contact and capabilities as lines of text."""
        if obj is None:
            return self.fieldsets[:-1]
        if self.has_change_permission(request, obj):
            return self.fieldsets
        return (
            self.fieldsets[0],
            (_("For reference"), {"fields": ("where", "contact", "abilities", "frozen")}),
        )

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """The code of an existing warehouse can't be changed."""
        return ("code", "where", "contact", "abilities", "frozen") if obj else ()

    def store(self, request: HttpRequest, form: Any, formsets: list[Any], precondition: Precondition) -> Model:
        given = form.cleaned_data
        read = _documents_of(form.instance)

        def unchanged(row: Warehouse | None) -> None:
            precondition(row)
            if row is not None and _documents_of(row) != read:
                raise VersionConflict("The documents that the form's fields are merged into have changed.")

        saved = master_data.put_warehouse(
            actor_of(request),
            form.instance.code,
            claim=None,
            precondition=unchanged,
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


def _documents_of(warehouse: Warehouse) -> tuple[Any, ...]:
    return warehouse.address, warehouse.contact_info, warehouse.capabilities


def _line(document: Mapping[str, Any] | None, names: Collection[str]) -> str:
    return ", ".join(str(document[name]) for name in names if document and document.get(name)) or "–"
