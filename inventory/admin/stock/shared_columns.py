"""What is the same in all lists whose rows belong to a stock level: columns, and the search for a product's code."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from audit.console.filters import link
from inventory.admin.stock.marks import marked
from inventory.models import Product


class FoundByCode:
    """A list whose search finds the rows of all products with a code, and of their variants, before anything else."""

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        if found := Product.objects.scanned(search_term):
            return queryset.filter(level__product__in=found), False
        results: tuple[QuerySet[Any], bool] = super().get_search_results(request, queryset, search_term)  # type: ignore[misc]
        return results


class OfLevel:
    """Columns of rows with a ``level``. The list must select its product and warehouse as well.

    Levels ``with_warnings`` are shown with their marks.
    """

    @admin.display(description=_("SKU"), ordering="level__product__sku")
    def sku(self, row: Any) -> Any:
        return marked(row.level.product.sku, row.level)

    @admin.display(description=_("product"), ordering="level__product__name")
    def name(self, row: Any) -> Any:
        return row.level.product.name

    @admin.display(description=_("warehouse"), ordering="level__warehouse__code")
    def warehouse(self, row: Any) -> Any:
        return row.level.warehouse.code

    @admin.display(description=_("product"))
    def level_link(self, row: Any) -> SafeString:
        """A link to the level's page, where stock is received and counted."""
        address = reverse("admin:inventory_stocklevel_change", args=[row.level_id])
        return marked(link(row.level.product, address), row.level)
