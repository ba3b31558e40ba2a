"""Warnings for people who move or sell goods: frozen, discontinued, or in a closed warehouse.

For every page on which goods are shown, found or scanned. One query, whatever the number of rows.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from django.db import connection
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from audit.db import columns
from inventory.selling import PRODUCT_IS_ACTIVE, PRODUCT_IS_LISTED, freeze_of, frozen

_LABELS: Final[dict[str, Promise]] = {
    "product_frozen": _("Frozen"),
    "product_inactive": _("Discontinued"),
    "listing_expired": _("Listing ended"),
    "warehouse_frozen": _("Warehouse frozen"),
    "warehouse_inactive": _("Warehouse closed"),
}
_FREEZES: Final = frozenset({"product_frozen", "warehouse_frozen"})


@dataclass(frozen=True, slots=True)
class StockWarning:
    """One warning about a product or a stock level. ``code`` is that of the error which refuses new holds.

    ``reason`` is that of a freeze, else empty.
    """

    code: str
    reason: str = ""

    @property
    def label(self) -> str:
        """One or two words, such as "Frozen"."""
        return str(_LABELS[self.code])

    @property
    def is_freeze(self) -> bool:
        """Whether it is a freeze, of the product or of the warehouse."""
        return self.code in _FREEZES

    def __str__(self) -> str:
        return f"{self.label}: {self.reason}" if self.reason else self.label


Warnings = tuple[StockWarning, ...]

_FACTS: Final = f"""
    {frozen("product")} OR {frozen("parent")}, {freeze_of("product", "parent")}, {PRODUCT_IS_ACTIVE},
    {PRODUCT_IS_LISTED}, {frozen("warehouse")}, warehouse.freeze_reason, coalesce(warehouse.is_active, true)
"""
_OF_PRODUCTS: Final = f"""
SELECT product.id, {_FACTS} FROM inventory_product product
LEFT JOIN inventory_product parent ON parent.id = product.parent_id
LEFT JOIN inventory_warehouse warehouse ON warehouse.code = %s
WHERE product.id = ANY(%s)
"""  # noqa: S608 - constants only
_OF_LEVELS: Final = f"""
SELECT level.id, {_FACTS} FROM inventory_stocklevel level
JOIN inventory_product product ON product.id = level.product_id
LEFT JOIN inventory_product parent ON parent.id = product.parent_id
JOIN inventory_warehouse warehouse ON warehouse.id = level.warehouse_id
WHERE level.id = ANY(%s)
"""  # noqa: S608 - constants only


def warnings_of(product_ids: Collection[UUID], warehouse: str = "") -> dict[UUID, Warnings]:
    """The warnings about products, in the warehouse with this code if one is given, by product; products without any
    are left out. One query."""
    return _read(_OF_PRODUCTS, [warehouse, columns.uuids(product_ids)]) if product_ids else {}


def warnings_of_levels(level_ids: Collection[UUID]) -> dict[UUID, Warnings]:
    """The warnings about stock levels, by level; levels without any are left out. One query."""
    return _read(_OF_LEVELS, [columns.uuids(level_ids)]) if level_ids else {}


def in_words(warnings: Warnings) -> str:
    """All warnings in one line, such as "Frozen: recall of lot 7 · Discontinued"; empty without any."""
    return " · ".join(map(str, warnings))


def _read(statement: str, parameters: list[Any]) -> dict[UUID, Warnings]:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        found = {row[0]: tuple(_warnings(row[1:])) for row in cursor.fetchall()}
    return {key: warnings for key, warnings in found.items() if warnings}


def _warnings(facts: Sequence[Any]) -> Iterator[StockWarning]:
    """The warnings of one row of ``_FACTS``."""
    is_frozen, reason, _until, is_active, is_listed, is_warehouse_frozen, warehouse_reason, is_warehouse_active = facts
    if is_frozen:
        yield StockWarning("product_frozen", reason or "")
    if not is_active:
        yield StockWarning("product_inactive")
    elif not is_listed:
        yield StockWarning("listing_expired")
    if is_warehouse_frozen:
        yield StockWarning("warehouse_frozen", warehouse_reason or "")
    if not is_warehouse_active:
        yield StockWarning("warehouse_inactive")
