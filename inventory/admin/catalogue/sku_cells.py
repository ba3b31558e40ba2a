"""SKUs in uploaded files: spelled as they are stored, so that `f12` in a file is the product `F12`."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Final
from uuid import UUID

from django.utils.translation import gettext

from audit.console.imports.rows import RowFault, Table, TableRow
from inventory.codes import sku_key
from inventory.models import Product
from inventory.services.catalogue.codes import products_by_sku, several_words, skus_sharing

_MOST_NAMED: Final = 5


def with_stored_skus(table: Table, columns: Sequence[str]) -> tuple[Table, dict[str, Product]]:
    """The table with the SKUs of these columns as they are stored, and the products by SKU. Two queries.

    SKUs of new products are spelled as the first row of the first of these columns spells them. A row with a SKU that
    several products have is left out, and added to the table's faults.
    """
    places = [table.header.index(name) for name in columns if name in table.header]
    found = products_by_sku(row.cells[place] for row in table.rows for place in places)
    stored: dict[str, str] = {}
    first: dict[str, str] = {}
    for place in places:
        for row in table.rows:
            given = row.cells[place]
            if given not in stored:
                stored[given] = found[given][0].sku if given in found else first.setdefault(sku_key(given), given)
    faults = [*table.faults, *(fault for row in table.rows for fault in _unclear(row, table, places, found))]
    unclear = {fault.row for fault in faults}
    rows = tuple(_spelled(row, places, stored) for row in table.rows if row.number not in unclear)
    known = {products[0].sku: products[0] for products in found.values() if len(products) == 1}
    return replace(table, rows=rows, faults=tuple(faults)), known


def notes_on_sharing(codes: Mapping[UUID, tuple[str, str]]) -> list[str]:
    """What to say about products that have codes of others: nothing, or one sentence. ``codes`` as in
    ``skus_sharing``."""
    shared = skus_sharing(codes)
    if not shared:
        return []
    named = [f"{codes[product_id][0]} ({', '.join(skus)})" for product_id, skus in list(shared.items())[:_MOST_NAMED]]
    words = gettext("Other products have the same codes. Scanning one asks which product is meant: %(products)s")
    return [words % {"products": "; ".join(named) + (" …" if len(shared) > _MOST_NAMED else "")}]


def _unclear(
    row: TableRow, table: Table, places: Collection[int], found: Mapping[str, list[Product]]
) -> list[RowFault]:
    """The faults of cells with a SKU that several products have."""
    return [
        RowFault(row.number, table.header[place], several_words(product.sku for product in found[row.cells[place]]))
        for place in places
        if len(found.get(row.cells[place], ())) > 1
    ]


def _spelled(row: TableRow, places: Collection[int], stored: Mapping[str, str]) -> TableRow:
    cells = tuple(stored[cell] if place in places else cell for place, cell in enumerate(row.cells))
    return replace(row, cells=cells)
