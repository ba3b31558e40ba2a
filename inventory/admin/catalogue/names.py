"""The names of products, warehouses and stores, for ids in audit entries."""

from collections.abc import Collection, Mapping
from uuid import UUID

from audit.console.changes import register_names
from inventory.models import Product, Store, Warehouse


def _names(ids: Collection[UUID]) -> Mapping[UUID, str]:
    """Three queries."""
    products = Product.objects.filter(pk__in=ids).values_list("pk", "sku")
    codes = [rows.filter(pk__in=ids).values_list("pk", "code") for rows in (Warehouse.objects, Store.objects)]
    return {id_: name for found in (products, *codes) for id_, name in found}


register_names(_names)
