"""The events that a client may read: those of its stores, and of the warehouses that they sell from."""

import time
from collections.abc import Sequence
from typing import Final

import msgspec
from django.conf import settings
from django.db.models import Exists, OuterRef

from audit.feed import Reach
from inventory.errors import UnknownStore
from inventory.models import Store, StoreWarehouse, Warehouse
from inventory.models.catalogue_querysets import warehouses_of

_MOST_REMEMBERED: Final = 1000
_read: dict[frozenset[str], tuple[float, Reach]] = {}


def reach_of(store_codes: Sequence[str], store_code: str | None = None) -> Reach | None:
    """The reach of a client that is limited to some stores, or of one of them; None if it isn't limited.

    Empty ``store_codes`` mean no limit. Cached for ``CATALOGUE_CACHE_SECONDS``.

    Raises UnknownStore for a store that doesn't exist or is out of reach.
    """
    if store_code is None:
        return _reach(frozenset(store_codes)) if store_codes else None
    reach = _reach(frozenset({store_code}))
    if not reach.stores or (store_codes and store_code not in store_codes):
        raise UnknownStore.at("?storeId", f"There is no store {store_code}.")
    return reach if store_codes else msgspec.structs.replace(reach, is_limit=False)


def _reach(codes: frozenset[str]) -> Reach:
    """Those of these stores that exist, and their warehouses."""
    now = time.monotonic()
    cached = _read.get(codes)
    if cached and now - cached[0] < settings.CATALOGUE_CACHE_SECONDS:
        return cached[1]
    stores = Store.objects.filter(code__in=codes).values_list("code", flat=True)
    sold_from = Warehouse.objects.filter(pk__in=warehouses_of(codes))
    shared = sold_from.filter(
        Exists(StoreWarehouse.objects.filter(warehouse=OuterRef("pk")).exclude(store__code__in=codes))
    )
    reach = Reach(
        frozenset(stores),
        frozenset(sold_from.values_list("code", flat=True)),
        frozenset(shared.values_list("code", flat=True)),
    )
    if len(_read) >= _MOST_REMEMBERED:
        _read.clear()
    _read[codes] = (now, reach)
    return reach


def forget_reaches() -> None:
    """Clear the cache."""
    _read.clear()
