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
"""A level has recovered when it is this part of its low line above the line: a tenth, and at least one unit."""
SALES_DAYS: Final = 30
"""The number of days for the mean of daily shipments."""


class Severity(StrEnum):
    """How low a level is."""

    LOW = "LOW"
    CRITICAL = "CRITICAL"


class Settings(Protocol):
    """The settings of a level that define when it is low, in units; a level without any of them is not watched."""

    @property
    def reorder_point(self) -> int | None: ...
    @property
    def reorder_quantity(self) -> int | None: ...
    @property
    def max_stock_level(self) -> int | None: ...


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
    return max(level.reorder_point or 0, full * low_parts // PARTS, full * CRITICAL_PARTS // PARTS)


def severity(level: Settings, available: int, low_parts: int = LOW_PARTS) -> Severity | None:
    """The severity of a level with these available units; None if it isn't low, or isn't watched."""
    full = full_level(level)
    if full is None:
        return None
    if available <= 0 or available <= full * CRITICAL_PARTS // PARTS:
        return Severity.CRITICAL
    if available <= max(level.reorder_point or 0, full * low_parts // PARTS):
        return Severity.LOW
    return None


def crossing(level: Settings, before: int, after: int) -> Severity | None:
    """The severity after a change of the available units; None if it is no worse than before."""
    if after >= before:
        return None
    reached = severity(level, after)
    return reached if reached is not None and reached != severity(level, before) else None


def has_recovered(level: Settings, available: int) -> bool:
    """Whether a level is far enough above its low line to resolve its alert, or isn't watched any more.

    Without this slack, a level whose stock goes up and down by a few units around the line would open one alert after
    another.
    """
    line = low_line(level)
    return line is None or available > line + max(1, line // SLACK_DIVISOR)


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

    The smallest multiple of the reorder quantity that lifts the level above its low line; without a reorder quantity,
    the units missing to the full level.
    """
    full, line, expected = full_level(level), low_line(level), available + incoming
    if full is None or line is None:
        return None
    if expected > line:
        return 0
    lot = level.reorder_quantity
    return ((line - expected) // lot + 1) * lot if lot else max(0, full - expected)
