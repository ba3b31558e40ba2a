"""The search for products by id, code or words. Read only."""

from typing import Final

from audit.identifiers import parse_copied_id
from inventory.models import Product
from inventory.services.catalogue.codes import products_by_code
from inventory.words import beginning_so

_MOST_SORTED: Final = 50
"""The most products found by words that are sorted: a common word has hundreds of thousands."""


def products_meant(text: str, *, at_most: int) -> list[Product]:
    """The products that a text means: by id, by code, then by the beginnings of words. Up to three queries."""
    if named := parse_copied_id(text):
        return list(Product.objects.filter(pk=named))
    coded = products_by_code(text)[:at_most]
    words = beginning_so(text)
    if words is None or len(coded) == at_most:
        return coded
    known = {product.pk for product in coded}
    start = text.casefold()
    worded = sorted(
        Product.objects.filter(pk__in=Product.objects.ids_with(words, at_most=_MOST_SORTED)),
        key=lambda row: (not row.sku.casefold().startswith(start), not row.is_active, row.sku),
    )
    return [*coded, *(row for row in worded if row.pk not in known)][:at_most]
