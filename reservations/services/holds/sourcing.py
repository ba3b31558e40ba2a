"""Sourcing: resolve the names in a request's lines, sum the lines, and choose the levels that serve them.

Shared by holds, baskets, late payments and dry runs, so that all of them decide in the same way.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from decimal import Decimal
from uuid import UUID

import msgspec

from audit.errors import DomainError, Fault, Invalid
from inventory import allocation
from inventory.errors import InsufficientStock, Shortage
from inventory.services.catalogue.lookup import (
    Catalogue,
    ProductFacts,
    Source,
    StoreFacts,
    require_open,
    require_sellable,
)
from reservations.services.holds.documents import HeldItem


class RequestLine(msgspec.Struct, frozen=True, gc=False):
    """A line of a request. ``warehouse`` is a code, or None to let the service choose; ``quantity`` is in units."""

    product_id: UUID
    variant_id: UUID | None
    quantity: int
    warehouse: str | None = None
    unit_price: Decimal | None = None


class SummedLine(msgspec.Struct, frozen=True, gc=False):
    """The sum of all lines of one product and warehouse. ``pointer`` is the JSON pointer of the first of them."""

    pointer: str
    product: ProductFacts
    source: Source | None
    quantity: int
    unit_price: Decimal | None


def resolve_lines(lines: Sequence[RequestLine], store: StoreFacts, catalogue: Catalogue) -> list[SummedLine]:
    """Resolve the names in the lines and sum them by product and warehouse, in the order of their first lines.

    Raises UnknownProduct, UnknownWarehouse, WarehouseNotInStore, or Invalid if lines of one product differ in price;
    with a fault for every such line.
    """
    wanted: dict[tuple[UUID, str | None], SummedLine] = {}
    prices: dict[UUID, Decimal | None] = {}
    problems: list[tuple[DomainError, Fault]] = []
    foreign: dict[int, str] = {}
    for index, line in enumerate(lines):
        try:
            product = catalogue.product_for(line.product_id, line.variant_id)
        except DomainError as error:
            problems.append((error, error.fault(f"/items/{index}/{'variantId' if line.variant_id else 'productId'}")))
            continue
        source = store.source(line.warehouse) if line.warehouse is not None else None
        if line.warehouse is not None and source is None:
            foreign[index] = line.warehouse
            continue
        if prices.setdefault(product.id, line.unit_price) != line.unit_price:
            invalid = Invalid("Lines of one product have one unit price.")
            problems.append((invalid, invalid.fault(f"/items/{index}/unitPrice")))
            continue
        key = (product.id, line.warehouse)
        before = wanted.get(key)
        wanted[key] = (
            SummedLine(before.pointer, product, source, before.quantity + line.quantity, line.unit_price)
            if before
            else SummedLine(f"/items/{index}", product, source, line.quantity, line.unit_price)
        )
    if foreign:
        refusals = store.refusals_of(set(foreign.values()))
        problems += [(refusals[code], refusals[code].fault(f"/items/{i}/warehouseId")) for i, code in foreign.items()]
    _raise_first(problems)
    return list(wanted.values())


def require_all_sellable(wanted: Collection[SummedLine], store: StoreFacts, *, store_pointer: str = "/storeId") -> None:
    """Raise StoreFrozen, ProductInactive, ListingExpired, ProductFrozen, WarehouseInactive or WarehouseFrozen if new
    holds for these lines are not allowed. ``store_pointer`` is the JSON pointer of the store in the request.
    """
    if wanted:
        require_open(store, store_pointer)
    problems: list[tuple[DomainError, Fault]] = []
    for want in wanted:
        try:
            require_sellable(want.product, want.source)
        except DomainError as error:
            problems.append((error, error.fault(want.pointer)))
    _raise_first(problems)


def _raise_first(problems: Sequence[tuple[DomainError, Fault]]) -> None:
    if problems:
        first = problems[0][0]
        raise type(first)(first.detail, [fault for _, fault in problems])


Place = tuple[int, str]
"""A product, by its number in the request, and a warehouse's code. Such pairs are looked up six times as fast as pairs
of UUIDs, whose hash is computed in Python."""


def _numbers(wanted: Iterable[SummedLine]) -> list[int]:
    """The number of each line's product: lines of one product share it."""
    numbers: dict[UUID, int] = {}
    return [numbers.setdefault(want.product.id, len(numbers)) for want in wanted]


def candidate_levels(wanted: Sequence[SummedLine], store: StoreFacts, catalogue: Catalogue) -> dict[Place, UUID]:
    """The levels that may serve these lines. The caller locks them before choosing items."""
    selling = store.selling_sources
    levels: dict[Place, UUID] = {}
    for number, want in zip(_numbers(wanted), wanted, strict=True):
        by_warehouse = catalogue.levels.get(want.product.id, {})
        for source in [want.source] if want.source else selling:
            if level_id := by_warehouse.get(source.id):
                levels[number, source.code] = level_id
    return levels


def choose_items(
    wanted: Sequence[SummedLine], store: StoreFacts, catalogue: Catalogue, sellable: Mapping[UUID, int]
) -> list[HeldItem]:
    """Choose the items that serve all lines, one per level.

    ``sellable`` is in units by level. Raises InsufficientStock with every line that is short.
    """
    numbers = _numbers(wanted)
    demands = [
        allocation.Demand(number, want.quantity, want.source.code if want.source else None)
        for number, want in zip(numbers, wanted, strict=True)
    ]
    selling = {source.code: source for source in store.selling_sources}
    candidates = candidate_levels(wanted, store, catalogue)
    stock = {place: sellable.get(level_id, 0) for place, level_id in candidates.items()}
    chosen = allocation.allocate(demands, stock, list(selling))
    shortages: list[Shortage] = []
    items: dict[UUID, HeldItem] = {}
    for part in chosen:
        want = wanted[part.demand]
        if isinstance(part, allocation.Short):
            code = want.source.code if want.source else None
            shortages.append(Shortage(want.pointer, *_named(want), code, want.quantity, part.available))
            continue
        source = want.source or selling[part.warehouse_id]
        level_id = candidates[numbers[part.demand], source.code]
        place, is_pinned = (source.id, source.code), want.source is not None
        item = HeldItem(level_id, *_named(want), *place, part.quantity, want.unit_price, is_pinned)
        items[level_id] = merged(items.get(level_id), item)
    if shortages:
        raise InsufficientStock(shortages, levels=candidates.values())
    return list(items.values())


def _named(want: SummedLine) -> tuple[UUID, UUID | None]:
    """The product of a line, or the parent and the variant."""
    product = want.product
    return (product.parent_id, product.id) if product.parent_id else (product.id, None)


def merged(first: HeldItem | None, second: HeldItem) -> HeldItem:
    """Merge two items of one level; the result is pinned if one of them is."""
    if first is None:
        return second
    return HeldItem(
        second.level_id,
        second.product_id,
        second.variant_id,
        second.warehouse_id,
        second.warehouse,
        first.quantity + second.quantity,
        second.unit_price,
        first.pinned or second.pinned,
    )
