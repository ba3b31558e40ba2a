"""Marks of frozen and discontinued goods in lists and on pages."""

from collections.abc import Iterable
from typing import Any, Final

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from inventory.models import StockLevel
from inventory.services.catalogue.stock_warnings import Warnings, in_words, warnings_of_levels

_RETIRED: Final = frozenset({"product_inactive", "listing_expired", "warehouse_inactive"})


def with_warnings(levels: Iterable[StockLevel]) -> list[Any]:
    """Set ``warnings``, and ``warned``, the same in words, on each level; one query for all."""
    rows: list[Any] = list(levels)
    known = warnings_of_levels([row.pk for row in rows])
    for row in rows:
        row.warnings = known.get(row.pk, ())
        row.warned = in_words(row.warnings)
    return rows


def is_retired(level: Any) -> bool:
    """Whether a level ``with_warnings`` has stock that can't be sold for good (``StockLevelQuerySet.retired``)."""
    return any(warning.code in _RETIRED for warning in level.warnings)


def marked(text: str, row: Any) -> SafeString:
    """A text, followed by a badge for each warning of the row."""
    return format_html("{}{}", text, badges(getattr(row, "warnings", ())))


def badges(warnings: Warnings) -> SafeString:
    """A badge for each warning, its reason as the tooltip."""
    marks = ((" is-frozen" if each.is_freeze else "", str(each), each.label) for each in warnings)
    return format_html_join("", ' <span class="stock-badge is-warned{}" title="{}">{}</span>', marks)
