"""Columns of rows that speak of one product in one warehouse, the same in every list of the console."""

from typing import Any

from django.contrib import admin
from django.urls import reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from audit.console.filters import link


class OfLevel:
    """For rows with a ``level``, whose product and warehouse the list selects along with it."""

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
        """To its stock, where it is received and counted."""
        return link(row.level.product, reverse("admin:inventory_stocklevel_change", args=[row.level_id]))
