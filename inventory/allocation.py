"""Allocation: which levels serve a line. Plain Python, no database, no clock.

The rule is docs/explanation/rules.md, rule 5. A line that names a warehouse is served only by that warehouse. The other
lines are sourced: from the first warehouse that covers all of them; if there is none, line by line, from the first
warehouse that covers the line, or else from the fewest warehouses that cover it together.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Generic, NamedTuple, TypeVar

P = TypeVar("P", bound=Hashable)
"""The type of a product's key: its id, or anything hashable that is cheaper for the caller to look up."""
W = TypeVar("W", bound=Hashable)
"""The type of a warehouse's key."""


class Demand(NamedTuple, Generic[P, W]):
    """Units of one product that a request asks for. ``warehouse_id`` is None for a line that is sourced."""

    product_id: P
    quantity: int
    warehouse_id: W | None = None


class Part(NamedTuple, Generic[W]):
    """Units of one demand (by index) that one warehouse serves."""

    demand: int
    warehouse_id: W
    quantity: int


class Short(NamedTuple):
    """A demand (by index) that can't be met, and how many units of it were sellable."""

    demand: int
    available: int


Stock = Mapping[tuple[P, W], int]
"""Sellable units by (product, warehouse); a missing key means 0."""


def allocate(demands: Sequence[Demand[P, W]], stock: Stock[P, W], sources: Sequence[W]) -> list[Part[W]] | list[Short]:
    """Return the parts that serve all demands, or else all demands that are short.

    ``sources`` are the warehouses that may serve sourced lines, the preferred first. The same input always gives the
    same result, and the parts of a demand sum to its quantity.
    """
    left = dict(stock)
    parts: list[Part[W]] = []
    short: list[Short] = []

    def take(index: int, warehouse_id: W, quantity: int) -> None:
        left[demands[index].product_id, warehouse_id] -= quantity
        parts.append(Part(index, warehouse_id, quantity))

    for index, demand in enumerate(demands):
        if demand.warehouse_id is not None:
            sellable = left.get((demand.product_id, demand.warehouse_id), 0)
            if sellable >= demand.quantity:
                take(index, demand.warehouse_id, demand.quantity)
            else:
                short.append(Short(index, sellable))

    open_lines = [index for index, demand in enumerate(demands) if demand.warehouse_id is None]
    single = _one_for_all(open_lines, demands, left, sources)
    if single is not None:
        for index in open_lines:
            take(index, single, demands[index].quantity)
    else:
        sourced = (_source_line(index, demands[index], left, sources, take) for index in open_lines)
        short.extend(missing for missing in sourced if missing)
    return sorted(short, key=lambda s: s.demand) if short else parts


def find_short(
    wanted: Mapping[tuple[P, W | None], int], levels: Mapping[P, Sequence[tuple[W, int]]]
) -> set[tuple[P, W | None]]:
    """Those of the wanted units, by (product, named warehouse or None), that ``allocate`` finds short.

    Faster than ``allocate``: no warehouses are chosen, and only the wanted products are looked at.

    ``levels``: (warehouse, sellable units) of each product, in the warehouses that may serve sourced lines.
    """
    short: set[tuple[P, W | None]] = set()
    taken: dict[P, int] = {}
    for place, quantity in wanted.items():
        product_id, named = place
        if named is None:
            continue
        if sum([units for warehouse, units in levels.get(product_id, ()) if warehouse == named]) < quantity:
            short.add(place)
        else:
            taken[product_id] = taken.get(product_id, 0) + quantity
    for place, quantity in wanted.items():
        product_id, named = place
        if named is None:
            free = sum([units for _, units in levels.get(product_id, ())]) - taken.get(product_id, 0)
            if free < quantity:
                short.add(place)
    return short


def _one_for_all(
    open_lines: Sequence[int], demands: Sequence[Demand[P, W]], left: Stock[P, W], sources: Sequence[W]
) -> W | None:
    """The first warehouse that covers every open line."""
    wanted: dict[P, int] = {}
    for index in open_lines:
        wanted[demands[index].product_id] = wanted.get(demands[index].product_id, 0) + demands[index].quantity
    for warehouse_id in sources if wanted else ():
        if all(left.get((product_id, warehouse_id), 0) >= quantity for product_id, quantity in wanted.items()):
            return warehouse_id
    return None


def _source_line(
    index: int, demand: Demand[P, W], left: Stock[P, W], sources: Sequence[W], take: Callable[[int, W, int], None]
) -> Short | None:
    """Serve one line from the first warehouse that covers it, else from the fewest, those with most units first."""
    sellable = {warehouse_id: left.get((demand.product_id, warehouse_id), 0) for warehouse_id in sources}
    for warehouse_id in sources:
        if sellable[warehouse_id] >= demand.quantity:
            take(index, warehouse_id, demand.quantity)
            return None
    if sum(sellable.values()) < demand.quantity:
        return Short(index, sum(sellable.values()))
    missing = demand.quantity
    for warehouse_id in sorted(sources, key=lambda w: -sellable[w]):  # stable: equals stay in order of preference
        part = min(missing, sellable[warehouse_id])
        take(index, warehouse_id, part)
        missing -= part
        if not missing:
            break
    return None
