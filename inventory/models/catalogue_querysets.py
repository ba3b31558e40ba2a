"""Querysets of products, warehouses and stores: what an actor may see, and what a code or a text finds."""

from collections.abc import Collection
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Any, Final, Self
from uuid import UUID

import msgspec
from django.apps import apps
from django.db import models
from django.db.models import BooleanField, Exists, ExpressionWrapper, OuterRef, Q
from django.db.models.functions import Now

from audit.actors import Actor
from inventory.codes import barcode_key, sku_key, sku_keys
from inventory.words import Words, beginning_so, some_ids

if TYPE_CHECKING:
    from inventory.models.catalogue import Product, Store, Warehouse  # noqa: F401 - the rows of the querysets below

_FEW: Final = 1000
"""The most products of a search that are found by their ids."""
_FEW_OF_STORES: Final = 5000
"""The most stock levels of a store whose products are found by their ids."""


def in_reach(actor: Actor, *warehouses: str) -> Q:
    """A condition that one of these warehouses (names of foreign keys) is in an actor's reach; empty if all are."""
    found = Q()
    if actor.store_codes:
        sold_from = warehouses_of(actor.store_codes)
        found &= reduce(or_, (Q(**{f"{warehouse}__in": sold_from}) for warehouse in warehouses))
    if actor.warehouse_codes is not None:
        codes = actor.warehouse_codes
        found &= reduce(or_, (Q(**{f"{warehouse}__code__in": codes}) for warehouse in warehouses))
    return found


def warehouses_of(store_codes: Collection[str]) -> models.QuerySet[Any]:
    """A subquery of the ids of the warehouses that these stores sell from."""
    sources: models.Manager[Any] = apps.get_model("inventory", "StoreWarehouse")._default_manager
    return sources.filter(store__code__in=store_codes).values("warehouse")


def _has_barcode(code: str) -> Q:
    """A condition on products: this barcode. An empty one finds nothing."""
    key = barcode_key(code)
    return Q(barcode_key=key) if key else Q(pk__in=())


def _has_code(code: str) -> Q:
    """A condition on products: this SKU or barcode. An empty one finds nothing."""
    return _has_barcode(code) | Q(sku_key__in=sku_keys(code)) if barcode_key(code) else Q(pk__in=())


class _Freezables(models.QuerySet[Any]):
    """Rows that staff can freeze."""

    def with_freezes(self) -> Self:
        """Annotate rows with ``is_frozen`` (``selling.frozen``), by the database's clock."""
        lasts = Q(frozen_until__isnull=True) | Q(frozen_until__gt=Now())
        return self.annotate(
            is_frozen=ExpressionWrapper(Q(frozen_at__isnull=False) & lasts, output_field=BooleanField())
        )


class ProductQuerySet(_Freezables, models.QuerySet["Product"]):
    """Products and variants."""

    def retired(self) -> Self:
        """The products that can't be sold for good: they or their parent are inactive, or a listing has ended.

        Found by ids, so that the few products with an end or inactive are read by their index, and not all products.
        """
        all_products = self.model.everything
        ended = all_products.filter(Q(is_active=False) | Q(listing_expires_at__lte=Now())).values("pk")
        return self.filter(pk__in=ended.union(all_products.filter(parent__in=ended).values("pk"), all=True))

    def update(self, **fields: Any) -> int:
        """Change fields of all rows; the keys of codes go with them."""
        for source, key in (("sku", sku_key), ("barcode", barcode_key)):
            if isinstance(given := fields.get(source), str):
                fields.setdefault(f"{source}_key", key(given))
        return super().update(**fields)

    def coded(self, code: str) -> Self:
        """Filter by a code: all products that have it as SKU or barcode (docs/explanation/rules.md, rule 34). None for
        an empty code. Invisible characters are ignored.
        """
        return self.filter(_has_code(code))

    def search(self, text: str) -> Self:
        """Filter by a part of the SKU or name, or by a whole code."""
        return self.filter(Q(sku__icontains=text) | Q(name__icontains=text) | _has_code(text))

    def meant(self, text: str) -> Self:
        """Filter by a search text: by the whole code if it is a barcode, else by words of SKU and name that begin with
        the text's words, else by any part of SKU or name, which no index supports. Up to two queries besides its own.

        Where few products have the words, they are found first: in a sorted list with a limit, the planner would walk
        all products instead, in their order, and compute the words of each.
        """
        if self.filter(_has_barcode(text)).exists():
            return self.coded(text)
        words = beginning_so(text)
        found = self.ids_with(words, at_most=_FEW + 1) if words is not None else []
        if len(found) > _FEW:
            return self._with_words(words)
        return self.filter(pk__in=found) if found else self.search(text)

    def _with_words(self, words: Any) -> Self:
        return self.alias(words=Words("sku", "name")).filter(words=words)

    def ids_with(self, words: Any, *, at_most: int) -> list[UUID]:
        """The ids of some products with these words (``words.beginning_so``), by the index of words. One query."""
        return some_ids(self._with_words(words), at_most=at_most)

    def of_stores(self, store_ids: Collection[UUID]) -> Self:
        """Products with a stock level in a warehouse that one of these stores sells from, and parents of such variants.
        Up to three queries besides its own.

        If they are few, their ids are read first: the planner would walk all products, in their order, to find them.
        """
        sources: models.Manager[Any] = apps.get_model("inventory", "StoreWarehouse")._default_manager
        places = list(sources.filter(store__in=store_ids).values_list("warehouse", flat=True))
        levels: models.Manager[Any] = apps.get_model("inventory", "StockLevel")._default_manager
        here = levels.filter(warehouse__in=places)
        ids = set(here.order_by().values_list("product", flat=True)[: _FEW_OF_STORES + 1])
        if len(ids) <= _FEW_OF_STORES:
            return self.filter(pk__in=[*ids, *self._parents_of(ids)])
        of_variant = here.filter(product__parent=OuterRef("pk"))
        return self.filter(Exists(here.filter(product=OuterRef("pk"))) | Exists(of_variant))

    def _parents_of(self, ids: Collection[UUID]) -> models.QuerySet[Any, Any]:
        variants = self.model._default_manager.filter(pk__in=ids, parent__isnull=False)
        parents: models.QuerySet[Any, Any] = variants.order_by().values_list("parent", flat=True).distinct()
        return parents

    def scanned(self, code: str) -> list[UUID]:
        """The ids of products with this code, and of their variants. Two queries."""
        found = list(self.coded(code).values_list("pk", flat=True))
        return found and [*found, *self.filter(parent__in=found).values_list("pk", flat=True)]


class WarehouseQuerySet(_Freezables, models.QuerySet["Warehouse"]):
    """Warehouses."""

    def visible_to(self, actor: Actor) -> Self:
        """The warehouses in an actor's reach: those its stores sell from, or those it is limited to."""
        codes = actor.warehouse_codes
        seen = self if codes is None else self.filter(code__in=codes)
        return seen.filter(stores__code__in=actor.store_codes).distinct() if actor.store_codes else seen

    def destinations_for(self, actor: Actor) -> Self:
        """The warehouses that an actor may send to, inactive ones included: of its stores, and otherwise all. An actor
        limited to some warehouses may send to any other, without seeing its stock."""
        return self.visible_to(msgspec.structs.replace(actor, warehouse_codes=None))


class StoreQuerySet(_Freezables, models.QuerySet["Store"]):
    """Stores."""

    def visible_to(self, actor: Actor) -> Self:
        """The stores in an actor's reach: those it is limited to, or those that sell from a warehouse in its reach."""
        seen = self.filter(code__in=actor.store_codes) if actor.store_codes else self
        if actor.warehouse_codes is not None:
            sources: models.Manager[Any] = apps.get_model("inventory", "StoreWarehouse")._default_manager
            here = sources.filter(store=OuterRef("pk"), warehouse__code__in=actor.warehouse_codes)
            seen = seen.filter(Exists(here))
        return seen
