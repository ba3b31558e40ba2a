"""The look-up of scans on pages without lines: they lead to the stock of a product, or to a place."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _

from audit.actors import Actor
from audit.console.base import actor_of
from audit.console.scans import Outcome, Scan, ScanAnswer, ScanChoice, answer_scans
from inventory.models import Product, StockLevel
from inventory.services.catalogue.codes import products_by_code
from inventory.services.stock.places import Place, find_places

_PLACE = "place:"


def answer_find(request: HttpRequest) -> HttpResponse:
    """The address of what each code names. Nothing is changed, so that no scan is remembered.

    The query's ``page`` is the address of the open page: on the pages of products a product's own page is meant, on all
    others its stock.
    """

    def take(scans: Sequence[Scan]) -> ScanAnswer:
        return ScanAnswer(outcomes=[_found(request, scan) for scan in scans])

    return answer_scans(request, take)


def _found(request: HttpRequest, scan: Scan) -> Outcome:
    actor = actor_of(request)
    products = products_by_code(scan.text) if scan.text else []
    places = find_places(actor, scan.text) if scan.text else []
    if scan.choice:
        products = [product for product in products if str(product.pk) == scan.choice]
        places = [place for place in places if _PLACE + place.code == scan.choice]
    if len(products) + len(places) > 1:
        of_products = [ScanChoice(key=str(row.pk), sku=row.sku, name=row.name) for row in products]
        of_places = [ScanChoice(key=_PLACE + place.code, sku=place.code, name="") for place in places]
        words = _("Several products or places have the code %(code)s. Which one is it?") % {"code": scan.text}
        return Outcome(id=scan.id, status="ambiguous", message=words, choices=(*of_products, *of_places))
    if places:
        return Outcome(id=scan.id, status="place", message=places[0].code, address=place_address(places[0]))
    if products:
        address = _address_of(request, actor, products[0])
        return Outcome(id=scan.id, status="added", message=products[0].sku, address=address)
    words = _("No product and no place has the code %(code)s.") % {"code": scan.code.strip()}
    return Outcome(id=scan.id, status="unknown", message=words)


def _address_of(request: HttpRequest, actor: Actor, product: Product) -> str:
    page = request.GET.get("page", "")
    of_product = reverse("admin:inventory_product_change", args=[product.pk])
    may_view = request.user.has_perm("inventory.view_product")
    if may_view and page.startswith(reverse("admin:inventory_product_changelist")):
        return of_product
    ids = [product.pk, *Product.objects.filter(parent=product.pk).values_list("pk", flat=True)]
    levels = list(StockLevel.objects.visible_to(actor).filter(product__in=ids).values_list("pk", flat=True)[:2])
    if len(levels) == 1:
        return reverse("admin:inventory_stocklevel_change", args=levels)
    if levels or not may_view:
        return f"{reverse('admin:inventory_stocklevel_changelist')}?{urlencode({'q': product.sku})}"
    return of_product


def place_address(place: Place, page: str = "place", **more: Any) -> str:
    """The address of a place's page, or of another page about it: ``put_away``."""
    asked = urlencode({"warehouse": place.warehouse.code, "place": place.name, **more})
    return f"{reverse(f'admin:inventory_stocklevel_{page}')}?{asked}"
