"""Stores in the console."""

from typing import Any, Final, cast

from django import forms
from django.contrib import admin
from django.db.models import Model, Prefetch, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from unfold.admin import TabularInline

from audit.actors import Actor
from audit.console.base import Reach, actor_of
from audit.console.model_forms import CheckedFields
from audit.preconditions import Precondition
from inventory.admin.catalogue.freezing import FreezableAdmin, FrozenFilter
from inventory.models import QUANTITY_LIMIT, Store, StoreWarehouse
from inventory.models.catalogue_querysets import in_reach
from inventory.services.catalogue.master_data import Saved
from inventory.services.catalogue.stores import put_store


class SourceForm(forms.ModelForm):  # type: ignore[type-arg]
    """One warehouse of a store. Sent rows are compared with one another only: they replace the stored ones."""

    def clean(self) -> dict[str, Any]:
        return self.cleaned_data


class SourceInline(Reach, CheckedFields, TabularInline):  # type: ignore[misc]
    """The warehouses that a store sells from."""

    model = StoreWarehouse
    form = SourceForm
    warehouse_paths = ("warehouse__code",)
    shared_by_all = True
    fields = ("priority", "warehouse")
    extra = 0
    hide_title = True
    verbose_name = _("warehouse")
    verbose_name_plural = _("Sells from, the lowest number first")
    ordering = ("priority", "warehouse__code")
    show_change_link = False

    def get_queryset(self, request: HttpRequest) -> QuerySet[StoreWarehouse]:
        return super().get_queryset(request).select_related("warehouse", "store")


_LIMITS: Final = ("max_units_per_customer", "max_holds_per_customer", "hold_window_minutes")


@admin.register(Store)
class StoreAdmin(FreezableAdmin):
    """Stores."""

    empty_hint = _(
        "No store yet. Add the first one, with the warehouses that it sells from: shops reserve stock through it."
    )
    list_display = ("code", "name", "state", "sells_from", "ttl_minutes", "is_default", "created_at")
    list_filter = (FrozenFilter,)
    search_fields = ("code", "name")
    search_help_text = _("A part of code or name, or an id")
    ordering = ("code",)
    fieldsets = (
        (None, {"fields": (("code", "name"), ("ttl_minutes", "is_default"))}),
        (_("Limits against hoarding"), {"fields": _LIMITS}),
        (_("Freeze"), {"fields": ("frozen",)}),
    )
    inlines = (SourceInline,)
    number_bounds = {
        "max_units_per_customer": (1, QUANTITY_LIMIT),
        "max_holds_per_customer": (1, 1_000_000),
        "hold_window_minutes": (1, 10_080),
    }

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """The code can't be changed, nor which store is the default: it is the first one."""
        return ("code", "is_default", "frozen") if obj else ("is_default",)

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Leave out the fields of a freeze for a new store."""
        return self.fieldsets if obj else self.fieldsets[:-1]

    def within(self, rows: Any, actor: Actor) -> QuerySet[Store]:
        """The stores that sell from warehouses in reach."""
        stores: QuerySet[Store] = rows.visible_to(actor)
        return stores

    def get_queryset(self, request: HttpRequest) -> QuerySet[Store]:
        sources = StoreWarehouse.objects.select_related("warehouse").order_by("priority", "warehouse__code")
        sources = sources.filter(in_reach(actor_of(request), "warehouse"))
        stores: QuerySet[Store] = super().get_queryset(request)
        return stores.prefetch_related(Prefetch("sources", sources, to_attr="seen_sources"))

    def store(self, request: HttpRequest, form: Any, formsets: list[Any], precondition: Precondition) -> Model:
        rows = [row for row in formsets[0].cleaned_data if row and not row.get("DELETE")]
        saved = put_store(
            actor_of(request),
            form.instance.code,
            name=form.cleaned_data["name"],
            ttl_minutes=form.cleaned_data["ttl_minutes"],
            priorities={row["warehouse"].code: row["priority"] for row in rows},
            claim=None,
            precondition=precondition,
            **{name: form.cleaned_data[name] for name in _LIMITS},
        )
        return cast(Model, cast(Saved, saved).row)

    @admin.display(description=_("sells from"))
    def sells_from(self, store: Store) -> str:
        return ", ".join(source.warehouse.code for source in getattr(store, "seen_sources", ())) or "–"
