"""Severity, days of supply and order quantity (docs/explanation/rules.md, rule 6), without a database."""

from dataclasses import dataclass

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from inventory import planning
from inventory.planning import Severity

LOW, CRITICAL = Severity.LOW, Severity.CRITICAL


@dataclass(frozen=True)
class Level:
    """A level's settings."""

    reorder_point: int | None = None
    reorder_quantity: int | None = None
    max_stock_level: int | None = None
    safety_stock: int = 0


POINT = Level(reorder_point=20, reorder_quantity=30)
"""Full at 50: low at 20, critical at 5."""


@pytest.mark.parametrize(
    ("level", "available", "expected"),
    [
        (POINT, 21, None),
        (POINT, 20, LOW),
        (POINT, 6, LOW),
        (POINT, 5, CRITICAL),
        (POINT, 0, CRITICAL),
        (Level(max_stock_level=100), 21, None),
        (Level(max_stock_level=100), 20, LOW),
        (Level(max_stock_level=100), 10, CRITICAL),
        (Level(reorder_point=5, max_stock_level=100), 20, LOW),
        (Level(reorder_point=50, max_stock_level=100), 50, LOW),
        (Level(reorder_point=50, reorder_quantity=1000, max_stock_level=100), 51, None),
        (Level(reorder_point=20), 20, LOW),
        (Level(reorder_point=20), 2, CRITICAL),
        (Level(reorder_point=0), 1, None),
        (Level(reorder_point=0), 0, CRITICAL),
        (Level(max_stock_level=9), 1, LOW),
        (Level(max_stock_level=9), 0, CRITICAL),
        (Level(max_stock_level=4), 1, None),
        (Level(), 0, None),
        (Level(reorder_quantity=50), 0, None),
        (Level(reorder_point=5, safety_stock=10), 10, CRITICAL),
        (Level(reorder_point=5, safety_stock=10), 11, None),
        (Level(max_stock_level=100, safety_stock=15), 15, CRITICAL),
        (Level(max_stock_level=100, safety_stock=15), 16, LOW),
        (Level(safety_stock=10), 0, None),
    ],
)
def test_severity_follows_reorder_point_and_full_level(level: Level, available: int, expected: Severity | None) -> None:
    assert planning.severity(level, available) == expected
    line = planning.low_line(level)
    assert (line is not None and available <= line) == (expected is not None)


@pytest.mark.parametrize(
    ("parts", "available", "expected"),
    [(500_000, 50, LOW), (500_000, 51, None), (1_000_000, 100, LOW), (50_000, 10, CRITICAL), (50_000, 11, None)],
)
def test_the_actor_may_set_the_share_that_is_low_but_critical_stays(
    parts: int, available: int, expected: Severity | None
) -> None:
    assert planning.severity(Level(max_stock_level=100), available, parts) == expected


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (21, 20, LOW),
        (21, 5, CRITICAL),
        (20, 5, CRITICAL),
        (20, 19, None),
        (5, 4, None),
        (100, 21, None),
        (5, 20, None),
        (0, 100, None),
        (7, 7, None),
    ],
)
def test_only_getting_worse_is_a_crossing(before: int, after: int, expected: Severity | None) -> None:
    assert planning.crossing(POINT, before, after) == expected


def test_selling_out_is_a_crossing_even_of_a_level_that_was_critical() -> None:
    safe = Level(max_stock_level=100, safety_stock=3)
    assert [planning.crossing(POINT, 3, after) for after in (1, 0)] == [None, CRITICAL]
    assert [planning.crossing(safe, 5, after) for after in (4, 3, 0)] == [None, CRITICAL, CRITICAL]
    assert planning.crossing(safe, 3, 0) is None, "nothing was sellable before"


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        (POINT, 22),
        (Level(reorder_point=3), 4),
        (Level(reorder_point=5, safety_stock=30), 33),
        (Level(reorder_point=50, max_stock_level=100), 55),
        (Level(reorder_point=95, max_stock_level=100), 99),
        (Level(reorder_point=9, max_stock_level=10), 9),
        (Level(reorder_point=10, max_stock_level=10), 10),
        (Level(), None),
    ],
)
def test_an_alert_resolves_a_tenth_above_the_line_and_at_the_maximum_at_the_latest(
    level: Level, expected: int | None
) -> None:
    assert planning.resolve_line(level) == expected


def test_percentage_is_of_the_reorder_point() -> None:
    assert planning.percentage_remaining(Level(reorder_point=20), 5) == 25.0
    assert planning.percentage_remaining(Level(reorder_point=3), 1) == 33.3
    assert planning.percentage_remaining(Level(max_stock_level=20), 5) is None
    assert planning.percentage_remaining(Level(reorder_point=0), 0) is None


def test_supply_lasts_whole_days_at_the_mean_of_a_month() -> None:
    assert planning.days_of_supply(5, 75) == 2
    assert planning.days_of_supply(5, 76) == 1
    assert planning.days_of_supply(0, 30) == 0
    assert planning.days_of_supply(5, 0) is None


@pytest.mark.parametrize(
    ("level", "available", "incoming", "expected"),
    [
        (POINT, 5, 0, 30),
        (POINT, 20, 0, 30),
        (Level(reorder_point=20, reorder_quantity=6), 0, 0, 24),
        (Level(reorder_point=20, reorder_quantity=6), 0, 10, 18),
        (POINT, 5, 16, 30),
        (POINT, 5, 18, 0),
        (Level(max_stock_level=100), 10, 0, 90),
        (Level(max_stock_level=100), 10, 5, 85),
        (Level(max_stock_level=100, reorder_quantity=12), 10, 0, 24),
        (Level(reorder_point=20), 5, 0, 18),
        (Level(reorder_point=20), 20, 0, 3),
        (Level(reorder_point=50, reorder_quantity=80, max_stock_level=60), 10, 0, 50),
        (Level(reorder_point=10, max_stock_level=10), 4, 0, 6),
        (Level(reorder_point=10, max_stock_level=10), 10, 0, 0),
        (Level(reorder_point=5, reorder_quantity=2, safety_stock=10), 10, 0, 2),
        (Level(), 0, 0, None),
    ],
)
def test_an_order_is_whole_lots_and_counts_what_is_on_its_way(
    level: Level, available: int, incoming: int, expected: int | None
) -> None:
    assert planning.suggested_order(level, available, incoming) == expected


@given(
    reorder_point=st.none() | st.integers(0, 60),
    reorder_quantity=st.none() | st.integers(1, 60),
    most=st.none() | st.integers(1, 60),
    safety_stock=st.integers(0, 20),
    available=st.integers(0, 80),
    incoming=st.integers(0, 40),
)
def test_an_order_resolves_the_alert_and_never_exceeds_the_maximum(
    *,
    reorder_point: int | None,
    reorder_quantity: int | None,
    most: int | None,
    safety_stock: int,
    available: int,
    incoming: int,
) -> None:
    assume(reorder_point is None or most is None or reorder_point <= most)
    level = Level(reorder_point, reorder_quantity, most, safety_stock)
    ordered, line = planning.suggested_order(level, available, incoming), planning.resolve_line(level)
    assert (ordered is None) == (line is None)
    if ordered is None or line is None:
        return
    reached = available + incoming + ordered
    assert ordered == 0 or most is None or reached <= most
    assert reached > line or reached == most or (most is not None and available + incoming > most)
    assert reached > line or (most is not None and planning.severity(level, most) is not None), "low even when full"
