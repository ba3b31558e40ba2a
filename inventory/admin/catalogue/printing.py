"""Printing of labels: for products, and for the locations of a warehouse."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.functional import Promise
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext_lazy as _

from inventory.admin.catalogue.label_codes import code_128, qr_code
from inventory.models import Product, StockLevel, Warehouse
from inventory.services.stock.places import Place, name_of

MOST: Final = 500


@dataclass(frozen=True, slots=True)
class Size:
    """A size of labels, in millimetres. ``across`` is the number of labels in a row of a sheet; 0 for a roll."""

    name: str
    title: Promise
    width: int
    height: int
    across: int = 0


SIZES: Final = (
    Size("62x29", _("62 × 29 mm, roll"), 62, 29),
    Size("100x50", _("100 × 50 mm, roll"), 100, 50),
    Size("70x37", _("70 × 37 mm, 24 on A4"), 70, 37, 3),
    Size("99x68", _("99 × 68 mm, 8 on A4"), 99, 68, 2),
)


@dataclass(frozen=True, slots=True)
class Label:
    """A label: its texts, and the code for scanners."""

    title: str
    text: str
    code: str

    @property
    def qr(self) -> SafeString:
        """The label's QR code. Safe as HTML: the SVG contains only numbers."""
        return mark_safe(qr_code(self.code))  # noqa: S308

    @property
    def bars(self) -> SafeString:
        """The label's Code 128, if it can be encoded. Safe as HTML: the SVG contains only numbers."""
        return mark_safe(code_128(self.code))  # noqa: S308


def labels_of_products(products: Iterable[Product]) -> list[Label]:
    """A label for each product. Its code is the product's barcode, or else the SKU."""
    return [Label(row.sku, row.name, row.barcode or row.sku) for row in products]


def print_document(request: HttpRequest, number: str, products: Iterable[Product], way_back: str) -> HttpResponse:
    """The page that prints the labels of a document's lines: one for each of these products."""
    named = {product.pk: product for product in products}
    title = str(_("Labels of %(number)s")) % {"number": number}
    return print_page(request, title, labels_of_products(named.values()), way_back, len(named))


def labels_of_places(warehouse: Warehouse) -> tuple[list[Label], int]:
    """Labels of the locations that the stock levels of a warehouse name, and how many locations there are.

    One query for both, as each would read all levels of the warehouse.
    """
    rows = StockLevel.objects.filter(warehouse=warehouse).exclude(zone="", aisle="", shelf="")
    places = list(rows.order_by("zone", "aisle", "shelf").values_list("zone", "aisle", "shelf").distinct())
    named = [Place(warehouse, name_of(*place)) for place in places[:MOST]]
    return [Label(place.name, warehouse.name, place.code) for place in named], len(places)


def print_page(request: HttpRequest, title: Any, labels: list[Label], way_back: str, asked: int) -> HttpResponse:
    """The page to print, in the size that the request asks for. It says so if ``asked`` are more than the labels."""
    sent = request.POST if request.method == "POST" else request.GET
    size = next((each for each in SIZES if each.name == sent.get("size")), SIZES[0])
    kept = [
        (name, value)
        for name, values in sent.lists()
        if name not in ("size", "csrfmiddlewaretoken")
        for value in values
    ]
    context = {
        "title": title,
        "labels": labels,
        "asked": asked,
        "most": MOST,
        "size": size,
        "sizes": SIZES,
        "kept": kept,
        "way_back": way_back,
    }
    return TemplateResponse(request, "console/labels/print.html", context)
