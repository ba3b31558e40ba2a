"""Which levels serve a line (docs/explanation/rules.md, rule 5): plain Python, no database."""

import itertools
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inventory.allocation import Demand, Part, Short, Stock, allocate, find_short

P, Q = UUID(int=1), UUID(int=2)
A, B, C, D = (UUID(int=number) for number in (11, 12, 13, 14))
SOURCES = [A, B, C]


def parts(chosen: list[Part] | list[Short]) -> list[tuple[int, UUID, int]]:
    """The chosen parts as plain tuples; fails if a line is short."""
    return [(part.demand, part.warehouse_id, part.quantity) for part in chosen if isinstance(part, Part)]


def short(chosen: list[Part] | list[Short]) -> list[tuple[int, int]]:
    """The short lines as plain tuples."""
    return [(line.demand, line.available) for line in chosen if isinstance(line, Short)]


@pytest.mark.parametrize(
    ("demands", "stock", "expected"),
    [
        pytest.param([], {}, [], id="nothing asked, nothing taken"),
        pytest.param(
            [Demand(P, 5), Demand(Q, 5)],
            {(P, A): 5, (Q, A): 4, (P, B): 5, (Q, B): 5},
            [(0, B, 5), (1, B, 5)],
            id="one warehouse for all goes before a preferred one for some",
        ),
        pytest.param(
            [Demand(P, 5)], {(P, A): 5, (P, B): 50}, [(0, A, 5)], id="priority decides between warehouses that cover"
        ),
        pytest.param(
            [Demand(P, 5), Demand(Q, 5)],
            {(P, A): 5, (Q, B): 5},
            [(0, A, 5), (1, B, 5)],
            id="line by line where no warehouse has all",
        ),
        pytest.param(
            [Demand(P, 5), Demand(Q, 5)],
            {(P, B): 5, (P, C): 9, (Q, A): 5, (Q, C): 4},
            [(0, B, 5), (1, A, 5)],
            id="each line takes the first warehouse that covers it whole",
        ),
        pytest.param(
            [Demand(P, 9)],
            {(P, A): 1, (P, B): 5, (P, C): 5},
            [(0, B, 5), (0, C, 4)],
            id="the fewest together, though a preferred one has some",
        ),
        pytest.param(
            [Demand(P, 7)], {(P, A): 5, (P, B): 5, (P, C): 5}, [(0, A, 5), (0, B, 2)], id="equals go by priority"
        ),
        pytest.param(
            [Demand(P, 3), Demand(P, 4)], {(P, A): 6, (P, B): 7}, [(0, B, 3), (1, B, 4)], id="lines of one product sum"
        ),
        pytest.param([Demand(P, 5, D)], {(P, D): 5, (P, A): 9}, [(0, D, 5)], id="a named warehouse serves alone"),
        pytest.param(
            [Demand(P, 4), Demand(P, 6, A)],
            {(P, A): 9, (P, B): 4},
            [(1, A, 6), (0, B, 4)],
            id="named lines take first, wherever they stand",
        ),
    ],
)
def test_lines_are_served_by_rule_5(demands: list[Demand], stock: Stock, expected: list[tuple[int, UUID, int]]) -> None:
    assert parts(allocate(demands, stock, SOURCES)) == expected


@pytest.mark.parametrize(
    ("demands", "stock", "expected"),
    [
        pytest.param([Demand(P, 1)], {}, [(0, 0)], id="no stock at all"),
        pytest.param([Demand(P, 9)], {(P, A): 4, (P, B): 4}, [(0, 8)], id="all that is sellable is returned"),
        pytest.param([Demand(P, 9)], {(P, D): 9}, [(0, 0)], id="other warehouses than the store's don't count"),
        pytest.param([Demand(P, 5, A)], {(P, A): 4, (P, B): 9}, [(0, 4)], id="only the named warehouse counts"),
        pytest.param(
            [Demand(P, 4), Demand(P, 6, A)], {(P, A): 9}, [(0, 3)], id="an open line has what the named ones left"
        ),
        pytest.param(
            [Demand(P, 9), Demand(Q, 1), Demand(Q, 5, B)],
            {(P, A): 1, (Q, A): 1},
            [(0, 1), (2, 0)],
            id="every short line",
        ),
        pytest.param(
            [Demand(Q, 9), Demand(P, 9, A)], {}, [(0, 0), (1, 0)], id="in the order of the request, not of the decision"
        ),
    ],
)
def test_short_lines_are_returned_with_what_is_sellable(
    demands: list[Demand], stock: Stock, expected: list[tuple[int, int]]
) -> None:
    assert short(allocate(demands, stock, SOURCES)) == expected


def test_a_refused_named_line_takes_nothing_from_the_others() -> None:
    chosen = allocate([Demand(P, 9, A), Demand(P, 8)], {(P, A): 8}, SOURCES)
    assert short(chosen) == [(0, 8)]


def test_the_stock_given_is_left_as_it_was() -> None:
    stock = {(P, A): 5, (P, B): 5}
    allocate([Demand(P, 7)], stock, SOURCES)
    assert stock == {(P, A): 5, (P, B): 5}


demands_ = st.lists(
    st.builds(Demand, st.sampled_from([P, Q]), st.integers(1, 12), st.sampled_from([None, None, A, B, C])), max_size=4
)
stocks = st.dictionaries(st.tuples(st.sampled_from([P, Q]), st.sampled_from(SOURCES)), st.integers(0, 9))


@settings(max_examples=150)
@given(demands_, stocks, st.permutations(SOURCES))
def test_parts_of_any_demand_sum_up_and_never_exceed_the_stock(
    demands: list[Demand], stock: dict[tuple[UUID, UUID], int], sources: list[UUID]
) -> None:
    chosen = allocate(demands, stock, sources)
    assert chosen == allocate(demands, dict(reversed(stock.items())), sources)
    if short(chosen):
        assert all(available < demands[index].quantity for index, available in short(chosen))
        assert not parts(chosen)
        return
    taken: dict[tuple[UUID, UUID], int] = {}
    served = [0] * len(demands)
    for index, warehouse, quantity in parts(chosen):
        assert quantity > 0
        assert demands[index].warehouse_id in (None, warehouse)
        taken[demands[index].product_id, warehouse] = taken.get((demands[index].product_id, warehouse), 0) + quantity
        served[index] += quantity
    assert served == [demand.quantity for demand in demands]
    assert all(quantity <= stock.get(key, 0) for key, quantity in taken.items())


@settings(max_examples=150)
@given(st.integers(1, 30), st.lists(st.integers(0, 9), min_size=1, max_size=5))
def test_an_open_line_is_served_by_as_few_warehouses_as_can(quantity: int, amounts: list[int]) -> None:
    sources = [UUID(int=100 + index) for index in range(len(amounts))]
    chosen = allocate([Demand(P, quantity)], {(P, w): n for w, n in zip(sources, amounts, strict=True)}, sources)
    sizes = [
        size
        for size in range(1, len(amounts) + 1)
        if any(sum(some) >= quantity for some in itertools.combinations(amounts, size))
    ]
    if not sizes:
        assert short(chosen) == [(0, sum(amounts))]
        return
    assert len(parts(chosen)) == sizes[0]
    if sizes[0] == 1:
        first = next(warehouse for warehouse, amount in zip(sources, amounts, strict=True) if amount >= quantity)
        assert parts(chosen) == [(0, first, quantity)]


@settings(max_examples=300)
@given(demands_, stocks)
def test_wanted_units_are_found_short_as_the_allocation_finds_them(
    demands: list[Demand], stock: dict[tuple[UUID, UUID], int]
) -> None:
    wanted: dict[tuple[UUID, UUID | None], int] = {}
    for demand in demands:
        place = demand.product_id, demand.warehouse_id
        wanted[place] = wanted.get(place, 0) + demand.quantity
    places = list(wanted)
    chosen = allocate([Demand(product, wanted[product, named], named) for product, named in places], stock, SOURCES)
    levels: dict[UUID, list[tuple[UUID, int]]] = {}
    for (product, warehouse), units in stock.items():
        levels.setdefault(product, []).append((warehouse, units))
    assert find_short(wanted, levels) == {places[index] for index, _ in short(chosen)}
