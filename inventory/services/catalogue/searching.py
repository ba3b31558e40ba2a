"""The search for products by id, code or words. Read only."""

from typing import Final
from uuid import UUID

from django.contrib.postgres.search import SearchQuery
from django.db import connection

from audit.identifiers import parse_copied_id
from inventory.models import Product
from inventory.services.catalogue.codes import products_by_code
from inventory.words import Words, beginning_so

_MOST_SORTED: Final = 50
"""The most products found by words that are sorted: a common word has hundreds of thousands."""
_SOME: Final = "WITH found AS MATERIALIZED ({found}) SELECT * FROM found LIMIT {most}"
"""Materialized, so that the planner uses the index of words: with the limit alone it scans the table, expecting
early matches, and computes the words of each product."""


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
        Product.objects.filter(pk__in=_some_with(words)),
        key=lambda row: (not row.sku.casefold().startswith(start), not row.is_active, row.sku),
    )
    return [*coded, *(row for row in worded if row.pk not in known)][:at_most]


def _some_with(words: SearchQuery) -> list[UUID]:
    rows = Product.objects.alias(words=Words("sku", "name")).filter(words=words).values_list("pk")
    found, parameters = rows.query.sql_with_params()
    with connection.cursor() as cursor:
        cursor.execute(_SOME.format(found=found, most=_MOST_SORTED), parameters)
        return [row[0] for row in cursor.fetchall()]
