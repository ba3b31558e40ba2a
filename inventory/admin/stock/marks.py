"""Marks of frozen and discontinued goods in lists and on pages."""

from collections.abc import Iterable
from typing import Any, Final

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from unfold.forms import PaginationInlineFormSet

from inventory.models import Product, StockLevel
from inventory.services.catalogue.stock_warnings import Warnings, in_words, warnings_of, warnings_of_levels

_RETIRED: Final = frozenset({"product_inactive", "listing_expired", "warehouse_inactive"})


def with_warnings(levels: Iterable[StockLevel]) -> list[Any]:
    """Set ``warnings``, and ``warned``, the same in words, on each level; one query for all."""
    rows: list[Any] = list(levels)
    known = warnings_of_levels([row.pk for row in rows])
    for row in rows:
        row.warnings = known.get(row.pk, ())
        row.warned = in_words(row.warnings)
    return rows


def with_product_warnings(rows: Iterable[Any]) -> None:
    """Set ``warnings`` on each row that has a ``product``; one query for all."""
    shown = list(rows)
    known = warnings_of({row.product_id for row in shown})
    for row in shown:
        row.warnings = known.get(row.product_id, ())


def is_retired(level: Any) -> bool:
    """Whether a level ``with_warnings`` has stock that can't be sold for good (``StockLevelQuerySet.retired``)."""
    return any(warning.code in _RETIRED for warning in level.warnings)


def marked(text: Any, row: Any) -> SafeString:
    """A text, followed by a badge for each warning of the row."""
    return format_html("{}{}", text, badges(getattr(row, "warnings", ())))


def badges(warnings: Warnings) -> SafeString:
    """A badge for each warning, its reason as the tooltip."""
    marks = ((" is-frozen" if each.is_freeze else "", str(each), each.label) for each in warnings)
    return format_html_join("", ' <span class="stock-badge is-warned{}" title="{}">{}</span>', marks)


def warned_of(level: StockLevel) -> str:
    """The warnings about one level, in words; empty without any. One query."""
    return in_words(warnings_of_levels([level.pk]).get(level.pk, ()))


def warned_of_product(product: Product) -> str:
    """The warnings about one product, in words; empty without any. One query."""
    return in_words(warnings_of([product.pk]).get(product.pk, ()))


def with_warning(message: str, warning: str) -> str:
    """A message about goods, followed by the warnings about them."""
    return " – ".join(part for part in (message, warning) if part)


class MarkedLines(PaginationInlineFormSet):  # type: ignore[misc]
    """The lines of a document on its page, with the warnings about their levels or products; one query for all."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        lines = self.get_queryset()
        if hasattr(self.model, "level_id"):
            with_warnings(line.level for line in lines)
        else:
            with_product_warnings(lines)
