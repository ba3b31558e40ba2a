"""The search for stock levels and places from any page."""

from typing import Final

from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from audit.console.base import actor_of
from audit.console.search import MOST_RESULTS, Found, Result, Subject, allowed_actions, first_of
from audit.identifiers import parse_copied_id
from audit.whole_numbers import grouped
from inventory.admin.catalogue.search import products_for
from inventory.admin.stock.dialogs import AdjustDialog, CountDialog, ReceiveDialog, TransferDialog
from inventory.admin.stock.finding import place_address
from inventory.admin.stock.marks import with_warnings
from inventory.models import StockLevel
from inventory.services.catalogue.codes import products_by_code
from inventory.services.stock.places import find_places, name_of, places_beginning_so

RECEIVE: Final = ReceiveDialog.permission
_FEW_PRODUCTS: Final = 2
"""The most products whose levels are listed: of more products, there would be too many."""


def _find_levels(request: HttpRequest, text: str) -> Found:
    """The levels of the product that is meant, or the level with this id."""
    products = products_for(request, text)
    levels = StockLevel.objects.visible_to(actor_of(request)).select_related("product", "warehouse")
    if named := parse_copied_id(text):
        rows = levels.filter(pk=named) if not products else levels.filter(product=named)
    elif 0 < len(products) <= _FEW_PRODUCTS:
        rows = levels.filter(product__in=products)
    else:
        return Found()
    found = with_warnings(rows.order_by("product__sku", "warehouse__code")[: MOST_RESULTS + 1])
    hint = _("It is in more warehouses: open its stock to see all.") if len(found) > MOST_RESULTS else ""
    return first_of((_result(request, level) for level in found[:MOST_RESULTS]), hint)


def _result(request: HttpRequest, level: StockLevel) -> Result:
    place = name_of(level.zone, level.aisle, level.shelf)
    values = {"available": grouped(level.available)}
    units = _("%(available)s available") % values
    warned = [str(warning.label) for warning in getattr(level, "warnings", ())]
    title = _("%(sku)s in %(warehouse)s") % {"sku": level.product.sku, "warehouse": level.warehouse.code}

    def page(name: str) -> str:
        return reverse(f"admin:inventory_stocklevel_{name}", args=[level.pk])

    dialogs = allowed_actions(
        request,
        (RECEIVE, _("Receive"), page("receive")),
        (TransferDialog.permission, _("Move"), page("transfer")),
        (CountDialog.permission, _("Count"), page("count")),
        (AdjustDialog.permission, _("Adjust"), page("adjust")),
        are_dialogs=True,
    )
    return Result(title, " · ".join(part for part in (place, units, *warned) if part), page("change"), dialogs)


def _find_places(request: HttpRequest, text: str) -> Found:
    """The places whose name begins with the text, with or without the code of a warehouse in front; with a code and a
    whole name also an empty one. A product's code is no place's."""
    if parse_copied_id(text) or ("/" not in text and products_by_code(text)):
        return Found()
    actor = actor_of(request)
    begun = places_beginning_so(actor, text, at_most=MOST_RESULTS + 1)
    found = {place.code.upper(): place for place in (begun or find_places(actor, text))}
    hint = _("There are more. Type more to narrow the search.") if len(found) > MOST_RESULTS else ""
    results = (
        Result(
            place.code,
            "",
            place_address(place),
            allowed_actions(request, (RECEIVE, _("Put away here"), place_address(place, "put_away"))),
        )
        for place in found.values()
    )
    return first_of(results, hint)


PLACES: Final = Subject(gettext_lazy("Places"), "inventory.stocklevel", _find_places)
LEVELS: Final = Subject(gettext_lazy("Stock"), "inventory.stocklevel", _find_levels)
