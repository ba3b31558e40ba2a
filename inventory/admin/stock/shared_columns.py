"""Columns that are the same in all lists whose rows belong to a stock level."""

from typing import Any

from django.contrib import admin
from django.urls import reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from audit.console.filters import link


class OfLevel:
    """Columns of rows with a ``level``. The list must select its product and warehouse as well."""

    @admin.display(description=_("SKU"), ordering="level__product__sku")
    def sku(self, row: Any) -> Any:
        return row.level.product.sku

    @admin.display(description=_("product"), ordering="level__product__name")
    def name(self, row: Any) -> Any:
        return row.level.product.name

    @admin.display(description=_("warehouse"), ordering="level__warehouse__code")
    def warehouse(self, row: Any) -> Any:
        return row.level.warehouse.code

    @admin.display(description=_("product"))
    def level_link(self, row: Any) -> SafeString:
        """A link to the level's page, where stock is received and counted."""
        return link(row.level.product, reverse("admin:inventory_stocklevel_change", args=[row.level_id]))
