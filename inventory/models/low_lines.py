"""The lines at which levels are low, in SQL, and the mark of those that may be below theirs (docs/explanation/rules.md,
rule 6)."""

from typing import Any, Final

import pgtrigger
from django.db.models import BigIntegerField, ExpressionWrapper, F, Value
from django.db.models.functions import Cast, Coalesce, Greatest, Least

from inventory.planning import CRITICAL_PARTS, LOW_PARTS, PARTS, SLACK_DIVISOR


def whole(expression: Any) -> Any:
    """Cast an expression to 64-bit integers."""
    return ExpressionWrapper(expression, output_field=BigIntegerField())


def full_level(path: str) -> Coalesce:
    """``planning.full_level`` in SQL, for the level at this path."""
    ordered = whole(Cast(f"{path}reorder_point", BigIntegerField()) + Coalesce(F(f"{path}reorder_quantity"), 0))
    return Coalesce(Cast(f"{path}max_stock_level", BigIntegerField()), ordered)


def share_of_full(full: Any, parts: int) -> Any:
    return whole(full * Value(parts, BigIntegerField()) / Value(PARTS, BigIntegerField()))


def low_line(path: str, low_parts: int) -> Greatest:
    """``planning.low_line`` in SQL, for the level at this path."""
    full, low = full_level(path), max(low_parts, CRITICAL_PARTS)
    reorder_point = Cast(Coalesce(F(f"{path}reorder_point"), 0), BigIntegerField())
    return Greatest(reorder_point, share_of_full(full, low), Cast(f"{path}min_stock_level", BigIntegerField()))


def resolve_line(path: str) -> Greatest:
    """``planning.resolve_line`` in SQL, for the level at this path."""
    line = low_line(path, LOW_PARTS)
    slack = Greatest(whole(line / Value(SLACK_DIVISOR, BigIntegerField())), Value(1, BigIntegerField()))
    below_most = whole(Cast(f"{path}max_stock_level", BigIntegerField()) - Value(1, BigIntegerField()))
    return Greatest(line, Least(whole(line + slack), below_most))


# ``low_line`` as text: the condition of a trigger can't read generated columns, so ``available`` is written out.
_FULL: Final = "coalesce(NEW.max_stock_level::bigint, NEW.reorder_point::bigint + coalesce(NEW.reorder_quantity, 0))"
_LINE: Final = f"greatest(coalesce(NEW.reorder_point, 0), {_FULL} * {LOW_PARTS} / {PARTS}, NEW.min_stock_level::bigint)"
_MOST: Final = f"{_LINE} * CASE WHEN NEW.may_be_low THEN {SLACK_DIVISOR + 1} ELSE {SLACK_DIVISOR} END / {SLACK_DIVISOR}"
_MAY_BE_LOW: Final = (
    "(NEW.reorder_point IS NOT NULL OR NEW.max_stock_level IS NOT NULL)"
    f" AND NEW.on_hand - NEW.reserved <= {_MOST} + NEW.may_be_low::int"
)


def marking_low_levels() -> pgtrigger.Trigger:
    """The trigger that keeps ``StockLevel.may_be_low``.

    A level is marked once it is at its low line, and unmarked once it is above it by more than a tenth and by more than
    one unit. A level that stays around its line is not marked and unmarked each time, which would update all indexes.
    The function is called for these changes alone; every other update pays for the condition. Migration 0034 makes it
    fire also where other triggers are off.
    """
    return pgtrigger.Trigger(
        name="may_be_low",
        when=pgtrigger.Before,
        operation=pgtrigger.Insert | pgtrigger.Update,
        condition=pgtrigger.Condition(f"NEW.may_be_low IS DISTINCT FROM ({_MAY_BE_LOW})"),
        func="NEW.may_be_low = NOT NEW.may_be_low; RETURN NEW;",
    )
