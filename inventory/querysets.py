"""Chainable reads of what is where, and of what happens to it."""

from collections.abc import Collection
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self
from uuid import UUID

from django.apps import apps
from django.db import models
from django.db.models import BigIntegerField, F, OuterRef, Q, Subquery, Sum
from django.db.models.functions import Coalesce, Now

if TYPE_CHECKING:
    from inventory.models import (  # noqa: F401 - named in the bases' strings
        LowStockAlert,
        Movement,
        Product,
        StockCount,
        StockLevel,
        Store,
        Transfer,
        Warehouse,
    )


def warehouses_of(store_codes: Collection[str]) -> models.QuerySet[Any]:
    """The ids of the warehouses that these stores sell from, as a subquery."""
    sources: models.Manager[Any] = apps.get_model("inventory", "StoreWarehouse")._default_manager
    return sources.filter(store__code__in=store_codes).values("warehouse")


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
        return self.filter(warehouse__in=warehouses_of(store_codes)) if store_codes else self

    def of_product(self, product_id: UUID) -> Self:
        """The levels of one product or variant, in order of their warehouses' codes."""
        return self.filter(product_id=product_id).select_related("warehouse").order_by("warehouse__code")

    def with_ledger_balance(self, at: datetime | None = None) -> Self:
        """Each with ``ledger_on_hand``: what its opening and the movements after it add up to, in units; with ``at``,
        those up to and including that moment.

        It means nothing for a moment before the level's opening: those movements are archived.
        """
        movements: models.Manager[Any] = apps.get_model("inventory", "Movement")._default_manager
        of_level = movements.filter(level=OuterRef("pk"))
        if at is not None:
            of_level = of_level.filter(created_at__lte=at)
        moved = of_level.order_by().values("level").annotate(total=Sum("quantity")).values("total")
        return self.annotate(
            ledger_on_hand=Coalesce(F("opening__on_hand"), 0) + Coalesce(Subquery(moved, BigIntegerField()), 0)
        )


class MovementQuerySet(models.QuerySet["Movement"]):
    """Movements."""

    def visible_to(self, store_codes: Collection[str]) -> Self:
        """Those in warehouses that these stores sell from; all where no store is named."""
        return self.filter(level__warehouse__in=warehouses_of(store_codes)) if store_codes else self


class TransferQuerySet(models.QuerySet["Transfer"]):
    """Transfers; ``Now`` is the database's clock."""

    def visible_to(self, store_codes: Collection[str]) -> Self:
        """Those from or to a warehouse that these stores sell from; all where no store is named."""
        if not store_codes:
            return self
        seen = warehouses_of(store_codes)
        return self.filter(Q(from_warehouse__in=seen) | Q(to_warehouse__in=seen))

    def on_the_way(self) -> Self:
        """Those that have left their source and are not closed."""
        return self.filter(status__in=["IN_TRANSIT", "PARTIALLY_RECEIVED"])

    def overdue(self) -> Self:
        """Those on the way that should have arrived."""
        return self.on_the_way().filter(expected_delivery__lt=Now())


class StockCountQuerySet(models.QuerySet["StockCount"]):
    """Counts."""

    def visible_to(self, store_codes: Collection[str]) -> Self:
        """Those of warehouses that these stores sell from; all where no store is named."""
        return self.filter(warehouse__in=warehouses_of(store_codes)) if store_codes else self


class LowStockAlertQuerySet(models.QuerySet["LowStockAlert"]):
    """Alerts of low stock."""

    def visible_to(self, store_codes: Collection[str]) -> Self:
        """Those of levels in warehouses that these stores sell from; all where no store is named."""
        return self.filter(level__warehouse__in=warehouses_of(store_codes)) if store_codes else self

    def unresolved(self) -> Self:
        """Those whose level is still low."""
        return self.filter(resolved_at__isnull=True)
