"""Chainable reads of products, warehouses, stores and levels."""

from collections.abc import Collection
from typing import TYPE_CHECKING, Self
from uuid import UUID

from django.apps import apps
from django.db import models
from django.db.models import Q

if TYPE_CHECKING:
    from inventory.models import Product, StockLevel, Store, Warehouse  # noqa: F401 - named in the bases' strings


class ProductQuerySet(models.QuerySet["Product"]):
    """Products and variants."""

    def search(self, text: str) -> Self:
        """By a part of SKU or name, or by the whole barcode."""
        return self.filter(Q(sku__icontains=text) | Q(name__icontains=text) | Q(barcode=text))


class WarehouseQuerySet(models.QuerySet["Warehouse"]):
    """Warehouses."""

    def visible_to(self, store_codes: Collection[str]) -> Self:
        """Those that these stores sell from; all where no store is named."""
        return self.filter(stores__code__in=store_codes).distinct() if store_codes else self


class StoreQuerySet(models.QuerySet["Store"]):
    """Stores."""

    def visible_to(self, store_codes: Collection[str]) -> Self:
        """Those with these codes; all where none is named."""
        return self.filter(code__in=store_codes) if store_codes else self


class StockLevelQuerySet(models.QuerySet["StockLevel"]):
    """Stock levels."""

    def visible_to(self, store_codes: Collection[str]) -> Self:
        """Those in warehouses that these stores sell from; all where no store is named."""
        if not store_codes:
            return self
        sources = apps.get_model("inventory", "StoreWarehouse")._default_manager
        return self.filter(warehouse__in=sources.filter(store__code__in=store_codes).values("warehouse"))

    def of_product(self, product_id: UUID) -> Self:
        """The levels of one product or variant, in order of their warehouses' codes."""
        return self.filter(product_id=product_id).select_related("warehouse").order_by("warehouse__code")
