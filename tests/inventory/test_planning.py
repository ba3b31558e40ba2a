"""Severity, days of supply and order quantity (docs/explanation/rules.md, rule 6), without a database."""

from dataclasses import dataclass

import pytest

from inventory import planning
from inventory.planning import Severity

LOW, CRITICAL = Severity.LOW, Severity.CRITICAL


@dataclass(frozen=True)
class Level:
    """A level's settings."""

    reorder_point: int | None = None
    reorder_quantity: int | None = None
    max_stock_level: int | None = None


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


def test_recovery_takes_a_tenth_more_than_the_line_and_at_least_a_unit() -> None:
    assert [planning.has_recovered(POINT, available) for available in (20, 21, 22, 23)] == [False, False, False, True]
    small = Level(reorder_point=3)
    assert [planning.has_recovered(small, available) for available in (3, 4, 5)] == [False, False, True]


def test_what_is_not_watched_has_recovered() -> None:
    assert planning.has_recovered(Level(), 0)


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
        (Level(reorder_point=20, reorder_quantity=6), 0, 10, 12),
        (POINT, 5, 16, 0),
        (Level(max_stock_level=100), 10, 0, 90),
        (Level(max_stock_level=100), 10, 5, 85),
        (Level(max_stock_level=100, reorder_quantity=12), 10, 0, 12),
        (Level(reorder_point=20), 5, 0, 15),
        (Level(reorder_point=20), 20, 0, 0),
        (Level(), 0, 0, None),
    ],
)
def test_an_order_is_whole_lots_and_counts_what_is_on_its_way(
    level: Level, available: int, incoming: int, expected: int | None
) -> None:
    assert planning.suggested_order(level, available, incoming) == expected
