"""Low stock: severity, days of supply and suggested orders (docs/explanation/rules.md, rule 6).

Pure functions, without a database. All shares are integers in parts of a million, so that Python and the database
(``StockLevelQuerySet.low``) always agree.
"""

from enum import StrEnum
from typing import Final, Protocol

PARTS: Final = 1_000_000
"""The denominator of shares."""
LOW_PARTS: Final = 200_000
"""A level with at most this share of its full level is low, by default."""
CRITICAL_PARTS: Final = 100_000
"""A level with at most this share of its full level is critical."""
SLACK_DIVISOR: Final = 10
"""An alert resolves when its level is above its low line by more than this part of it: a tenth, at least one unit."""
SALES_DAYS: Final = 30
"""The number of days for the mean of daily shipments."""


class Severity(StrEnum):
    """How low a level is."""

    LOW = "LOW"
    CRITICAL = "CRITICAL"


class Settings(Protocol):
    """The settings of a level that define when it is low, in units.

    A level without a reorder point and without a maximum is not watched, whatever its safety stock.
    """

    @property
    def reorder_point(self) -> int | None: ...
    @property
    def reorder_quantity(self) -> int | None: ...
    @property
    def max_stock_level(self) -> int | None: ...
    @property
    def safety_stock(self) -> int: ...


def full_level(level: Settings) -> int | None:
    """The units of a full level: its maximum, else reorder point plus reorder quantity. None if not watched."""
    if level.max_stock_level is not None:
        return level.max_stock_level
    if level.reorder_point is None:
        return None
    return level.reorder_point + (level.reorder_quantity or 0)


def low_line(level: Settings, low_parts: int = LOW_PARTS) -> int | None:
    """The most available units at which a level is low. None if not watched."""
    full = full_level(level)
    if full is None:
        return None
    low = full * max(low_parts, CRITICAL_PARTS) // PARTS
    return max(level.reorder_point or 0, low, level.safety_stock)


def resolve_line(level: Settings) -> int | None:
    """The most available units at which an open alert stays open. None if not watched.

    It is above the low line by a tenth, and at least by one unit: otherwise a level whose stock goes up and down by a
    few units around the line would open one alert after another. A level at its maximum has recovered, unless that is
    low itself.
    """
    line = low_line(level)
    if line is None:
        return None
    slack = line + max(1, line // SLACK_DIVISOR)
    return slack if level.max_stock_level is None else max(line, min(slack, level.max_stock_level - 1))


def severity(level: Settings, available: int, low_parts: int = LOW_PARTS) -> Severity | None:
    """The severity of a level with these available units; None if it isn't low, or isn't watched.

    A level without sellable units, due holds left aside, is critical.
    """
    full = full_level(level)
    if full is None:
        return None
    if available <= level.safety_stock or available <= full * CRITICAL_PARTS // PARTS:
        return Severity.CRITICAL
    if available <= max(level.reorder_point or 0, full * low_parts // PARTS):
        return Severity.LOW
    return None


def crossing(level: Settings, before: int, after: int) -> Severity | None:
    """The severity after a change of the available units; None if it is no worse than before.

    A level that sells out gets worse, even if it was critical before.
    """
    if after >= before:
        return None
    reached = severity(level, after)
    if reached is None or after <= level.safety_stock < before:
        return reached
    return reached if reached != severity(level, before) else None


def percentage_remaining(level: Settings, available: int) -> float | None:
    """Available units as a percentage of the reorder point, to one decimal; None without one."""
    return round(100 * available / level.reorder_point, 1) if level.reorder_point else None


def days_of_supply(available: int, shipped: int) -> int | None:
    """The whole days that available units last at the mean of daily shipments; None without sales.

    ``shipped`` is the number of units shipped in the last ``SALES_DAYS`` days.
    """
    return available * SALES_DAYS // shipped if shipped > 0 else None


def suggested_order(level: Settings, available: int, incoming: int) -> int | None:
    """The units to order; 0 if the incoming units are enough. None if not watched.

    The fewest whole reorder quantities that lift the level above the line at which its alert resolves; without a
    reorder quantity, the units missing to the full level, or above that line. Never more than fit below the maximum.
    """
    full, line, expected = full_level(level), resolve_line(level), available + incoming
    if full is None or line is None or expected > line:
        return None if full is None else 0
    lot, most = level.reorder_quantity, level.max_stock_level
    units = ((line - expected) // lot + 1) * lot if lot else max(full, line + 1) - expected
    return units if most is None else max(0, min(units, most - expected))
