"""Match a basket with the items that its cart holds already: what it keeps, and what is to be held in addition."""

from collections.abc import Iterable, Sequence
from uuid import UUID

from msgspec.structs import replace

from inventory.errors import InsufficientStock
from inventory.services.catalogue.lookup import StoreFacts
from reservations.services.holds import sourcing
from reservations.services.holds.documents import HeldItem
from reservations.services.holds.sourcing import SummedLine


def keep(
    wanted: Sequence[SummedLine], own: Sequence[HeldItem], store: StoreFacts
) -> tuple[list[HeldItem], list[SummedLine]]:
    """Match the wanted lines with the cart's own items. Returns the items to keep and the lines to hold in addition.

    Lines that name a warehouse are matched first; the others keep the items in the store's preferred warehouses.
    """
    rank = {source.id: index for index, source in enumerate(store.sources)}
    left = {item.level_id: item for item in summed([], own)}
    kept: list[HeldItem] = []
    growth: list[SummedLine] = []
    for want in sorted(wanted, key=lambda w: w.source is None):
        missing = want.quantity
        for item in sorted(left.values(), key=lambda i: rank.get(i.warehouse_id, len(rank))):
            fits = want.source is None or want.source.id == item.warehouse_id
            if missing and fits and item.stock_id == want.product.id:
                taken = min(missing, item.quantity)
                missing -= taken
                kept.append(replace(item, quantity=taken, unit_price=want.unit_price, pinned=want.source is not None))
                left[item.level_id] = replace(item, quantity=item.quantity - taken)
        if missing:
            growth.append(replace(want, quantity=missing))
    return kept, growth


def as_asked(error: InsufficientStock, wanted: Sequence[SummedLine], growth: Sequence[SummedLine]) -> InsufficientStock:
    """The error with the units that the cart keeps added: they are requested and available, too."""
    own = {want.pointer: want.quantity for want in wanted}
    for want in growth:
        own[want.pointer] -= want.quantity
    shortages = [
        replace(short, requested=short.requested + own[short.pointer], available=short.available + own[short.pointer])
        for short in error.shortages
    ]
    return InsufficientStock(shortages, levels=error.levels)


def summed(first: Iterable[HeldItem], second: Iterable[HeldItem]) -> list[HeldItem]:
    """Merge items of the same level into one."""
    items: dict[UUID, HeldItem] = {}
    for item in (*first, *second):
        items[item.level_id] = sourcing.merged(items.get(item.level_id), item)
    return [item for item in items.values() if item.quantity]
