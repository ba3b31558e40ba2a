"""The pages of a place in a warehouse: what is here, count it, and put goods away here."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _

from audit.console.base import actor_of
from audit.console.scans import (
    Outcome,
    Scan,
    ScanAnswer,
    ScanChoice,
    ScanLine,
    answer_scans,
    repeated,
    scan_claim,
)
from audit.console.wording import wording_of
from audit.errors import Busy, DomainError, IdempotencyInProgress, NotFound
from audit.idempotency import StoredAnswer, lifetime
from inventory.admin.stock.finding import answer_find, place_address
from inventory.models import Product, StockCount, StockCountLine, StockLevel, Warehouse
from inventory.services.catalogue.codes import products_by_code
from inventory.services.catalogue.master_data import Saved
from inventory.services.counts import opening
from inventory.services.counts.documents import ProductRef
from inventory.services.counts.opening import OpenRequest
from inventory.services.stock.places import Place, find_places, name_of, place_at, put_away

PUT_AWAY: Final = "inventory.receive_stock"
"""The permission to put goods away: that to receive them."""
COUNT: Final = "inventory.count_stock"
_MOST_SHOWN: Final = 200
_RECOUNT_SHARE: Final = Decimal("0.1")


class PlacePages:
    """The pages of places, and the address that finds what a code names, for the list of stock levels."""

    admin_site: Any
    opts: Any
    require_view: Any

    def get_urls(self) -> list[URLPattern]:
        named = {
            "find": ("find/", self.find),
            "place": ("place/", self.place),
            "count_place": ("place/count/", self.count_place),
            "put_away": ("place/put-away/", self.put_away),
            "put_away_scans": ("place/put-away/scans/", self.put_away_scans),
        }
        own = [
            path(address, self.admin_site.admin_view(view), name=f"inventory_stocklevel_{name}")
            for name, (address, view) in named.items()
        ]
        return [*own, *super().get_urls()]  # type: ignore[misc]

    def find(self, request: HttpRequest) -> HttpResponse:
        """Look up scanned codes."""
        self.require_view(request)
        return answer_find(request)

    def place(self, request: HttpRequest) -> HttpResponse:
        """What is at a place, and what can be done there."""
        place = self._place(request)
        levels = list(place.levels[: _MOST_SHOWN + 1])
        return self._place_page(
            request,
            "console/stock/place.html",
            place,
            levels=levels[:_MOST_SHOWN],
            is_cut=len(levels) > _MOST_SHOWN,
            may_count=request.user.has_perm(COUNT),
            put_away=place_address(place, "put_away") if request.user.has_perm(PUT_AWAY) else "",
            count=place_address(place, "count_place"),
        )

    def count_place(self, request: HttpRequest) -> HttpResponse:
        """Open a count of what is at a place, and begin; or go on with the open count that has it."""
        place = self._place(request, COUNT)
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        levels = list(place.levels[: opening.MOST_LINES])
        going_on = _open_line_at(place, levels)
        if going_on is not None:
            return redirect(_walk(going_on.count_id, f"?line={going_on.pk}"))
        try:
            count_id = _opened(request, place, levels)
        except DomainError as error:
            messages.error(request, wording_of(error))
            return redirect(place_address(place))
        return redirect(_walk(count_id))

    def put_away(self, request: HttpRequest) -> HttpResponse:
        """The page on which scanned products get this place."""
        place = self._place(request, PUT_AWAY)
        return self._place_page(
            request,
            "console/stock/put_away.html",
            place,
            scans=place_address(place, "put_away_scans"),
            page=place_address(place),
        )

    def put_away_scans(self, request: HttpRequest) -> HttpResponse:
        """Take the scans of that page."""
        place = self._place(request, PUT_AWAY)

        def take(scans: Sequence[Scan]) -> ScanAnswer:
            return ScanAnswer(outcomes=[_put_away(request, place, scan) for scan in scans])

        return answer_scans(request, take, known_for=lifetime())

    def _place(self, request: HttpRequest, permission: str = "") -> Place:
        """The place that the query names. Raises PermissionDenied, and Http404 for a warehouse out of reach."""
        self.require_view(request)
        if permission and not request.user.has_perm(permission):
            raise PermissionDenied
        seen = Warehouse.objects.visible_to(actor_of(request))
        warehouse = seen.filter(code=_asked(request, "warehouse")).first()
        name = _asked(request, "place")
        if warehouse is None or not name:
            raise Http404
        return place_at(warehouse, name)

    def _place_page(self, request: HttpRequest, template: str, place: Place, **more: Any) -> HttpResponse:
        title = _("Place %(place)s") % {"place": place.code}
        context = {**self.admin_site.each_context(request), "opts": self.opts, "title": title, "place": place, **more}
        return TemplateResponse(request, template, context)


def _asked(request: HttpRequest, name: str) -> str:
    """A text of the query; empty if it is missing, too long, or has characters that aren't printed."""
    text = request.GET.get(name, "").strip()
    return text if len(text) <= 64 and text.isprintable() else ""


def _walk(count_id: UUID, query: str = "") -> str:
    return reverse("admin:inventory_stockcount_walk", args=[count_id]) + query


def _open_line_at(place: Place, levels: Sequence[StockLevel]) -> StockCountLine | None:
    """The first line at this place of an open count, one that isn't counted yet if there is one."""
    open_ = StockCountLine.objects.filter(
        level__in=[level.pk for level in levels],
        count__warehouse=place.warehouse,
        count__status=StockCount.Status.OPEN,
    )
    return open_.order_by("counted_at", "level__product__sku").first() if levels else None


def _opened(request: HttpRequest, place: Place, levels: Sequence[StockLevel]) -> UUID:
    """Open a count of these levels and return its id. Raises DomainError."""
    asked = OpenRequest(
        actor_of(request),
        place.warehouse.code,
        StockCount.Scope.PRODUCTS,
        products=tuple(ProductRef(level.product_id) for level in levels),
        recount_share=_RECOUNT_SHARE,
        note=_("Place %(place)s") % {"place": place.name},
    )
    opening.open_count(asked)
    return asked.id


def _put_away(request: HttpRequest, place: Place, scan: Scan) -> Outcome:
    """Raises Busy and IdempotencyInProgress: these scans are sent again."""
    products = products_by_code(scan.text) if scan.text else []
    chosen = [product for product in products if str(product.pk) == scan.choice] or products
    if len(chosen) > 1:
        choices = tuple(ScanChoice(key=str(row.pk), sku=row.sku, name=row.name) for row in chosen)
        words = _("%(code)s is the code of several products. Which one is it?") % {"code": scan.text}
        return Outcome(id=scan.id, status="ambiguous", message=words, choices=choices)
    if not chosen:
        return _other_place(request, scan)
    return _moved(request, place, scan, chosen[0])


def _other_place(request: HttpRequest, scan: Scan) -> Outcome:
    """The outcome of a code that is no product's: another place to go on at, or unknown."""
    found = find_places(actor_of(request), scan.text) if scan.text else []
    if len(found) == 1:
        address = place_address(found[0], "put_away")
        return Outcome(id=scan.id, status="place", message=found[0].code, address=address)
    words = _("No product has the code %(code)s. Nothing was put away.") % {"code": scan.code.strip()}
    return Outcome(id=scan.id, status="unknown", message=words)


def _moved(request: HttpRequest, place: Place, scan: Scan, product: Product) -> Outcome:
    levels = StockLevel.objects.filter(product=product.pk, warehouse=place.warehouse)
    before = name_of(*(levels.values_list("zone", "aisle", "shelf").first() or ("", "", "")))

    def render(saved: Saved) -> Outcome:
        words = _("%(sku)s is at %(place)s now.")
        if before and before != place.name:
            words = _("%(sku)s is at %(place)s now; it was at %(before)s.")
        message = words % {"sku": product.sku, "place": place.name, "before": before}
        line = ScanLine(
            key=str(product.pk), sku=product.sku, name=product.name, quantity=saved.row.on_hand, text=before
        )
        return Outcome(id=scan.id, status="added", message=message, line=line)

    try:
        result = put_away(actor_of(request), place, product.pk, claim=scan_claim(request, scan, render))
    except (Busy, IdempotencyInProgress):
        raise
    except NotFound:
        words = _("%(sku)s is not kept in %(warehouse)s yet. Receive it first.")
        message = words % {"sku": product.sku, "warehouse": place.warehouse.code}
        return Outcome(id=scan.id, status="refused", message=message)
    except DomainError as error:
        return Outcome(id=scan.id, status="refused", message=wording_of(error))
    return repeated(result) if isinstance(result, StoredAnswer) else render(result)
