"""The search for products, warehouses and stores from any page."""

from urllib.parse import urlencode

from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from audit.console.base import actor_of
from audit.console.search import MOST_RESULTS, Found, Result, ResultAction, Subject, allowed_actions, first_of
from inventory.models import Product, Store, Warehouse
from inventory.services.catalogue.searching import products_meant
from inventory.services.catalogue.stock_warnings import warnings_of


def products_for(request: HttpRequest, text: str) -> list[Product]:
    """The products that a text means, at most ``MOST_RESULTS``; found once for all subjects of a search."""
    found: dict[str, list[Product]] = request.__dict__.setdefault("_products_meant", {})
    if text not in found:
        found[text] = products_meant(text, at_most=MOST_RESULTS)
    return found[text]


def _find_products(request: HttpRequest, text: str) -> Found:
    found = products_for(request, text)
    warnings = warnings_of([row.pk for row in found])
    return first_of(
        Result(
            row.sku,
            " · ".join([row.name, *(str(warning.label) for warning in warnings.get(row.pk, ()))]),
            reverse("admin:inventory_product_change", args=[row.pk]),
            _actions(request, row),
        )
        for row in found
    )


def _actions(request: HttpRequest, product: Product) -> tuple[ResultAction, ...]:
    def listed(model: str, **more: str) -> str:
        return f"{reverse(f'admin:{model}_changelist')}?{urlencode({'q': str(product.pk), **more})}"

    return allowed_actions(
        request,
        ("inventory.view_stocklevel", _("Stock"), listed("inventory_stocklevel")),
        ("inventory.view_movement", _("Movements"), listed("inventory_movement")),
        ("reservations.view_reservation", _("Reservations"), listed("reservations_reservation")),
    )


def _coded(rows: QuerySet[Warehouse] | QuerySet[Store], text: str, page: str) -> Found:
    """Warehouses or stores whose code or a word of whose name begins with the text."""
    named = Q(name__istartswith=text) | Q(name__icontains=f" {text}")
    found = rows.filter(Q(code__istartswith=text) | named).order_by("code")[:MOST_RESULTS]
    return first_of(Result(row.code, row.name, reverse(f"admin:{page}_change", args=[row.pk])) for row in found)


def _find_warehouses(request: HttpRequest, text: str) -> Found:
    return _coded(Warehouse.objects.visible_to(actor_of(request)), text, "inventory_warehouse")


def _find_stores(request: HttpRequest, text: str) -> Found:
    return _coded(Store.objects.visible_to(actor_of(request)), text, "inventory_store")


PRODUCTS = Subject(gettext_lazy("Products"), "inventory.product", _find_products)
WAREHOUSES = Subject(gettext_lazy("Warehouses"), "inventory.warehouse", _find_warehouses)
STORES = Subject(gettext_lazy("Stores"), "inventory.store", _find_stores)
