"""Concurrent returns of one order together stay within what it was sold."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from inventory.errors import MoreThanSold
from inventory.models import StockLevel
from inventory.services.stock.adjustments import Adjusted, Adjustment, AdjustRequest, apply_adjustments
from inventory.services.stock.import_files import COLUMNS, read_file
from inventory.services.stock.imports import Imported, import_stock
from reservations.services.holds.resolution import ConsumeRequest, consume_hold
from reservations.services.holds.selecting import Selector
from tests.concurrency.statements import Step, checked, step_of
from tests.concurrency.threads import together
from tests.factories import ACTOR, counters, hold, make_level, receive

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("store")]


def sold(units: int, order: str) -> StockLevel:
    level = make_level(10)
    receive(level.product_id, 10, "wh-002")
    consume_hold(ConsumeRequest(ACTOR, order, Selector(reservation_id=hold((level, units)).id)))
    return level


def returning(level: StockLevel, order: str, warehouse: str = "wh-001") -> Callable[[], Any]:
    line = Adjustment(level.product_id, None, warehouse, 2, "RETURN", "back", order_id=order)
    return partial(apply_adjustments, AdjustRequest(ACTOR, (line,)))


def test_of_two_returns_at_the_same_time_only_what_was_sold_comes_back() -> None:
    for number in range(6):
        order = f"order-{number}"
        level = sold(3, order)
        row = f"{level.product.sku},wh-001,2,RETURN,back,{order}"
        file = read_file("returns.csv", "\n".join([",".join(COLUMNS), row]).encode())
        outcomes = together(
            returning(level, order), returning(level, order, "wh-002"), partial(import_stock, ACTOR, file)
        )
        done = [one for one in outcomes if isinstance(one, Adjusted) or (isinstance(one, Imported) and one.applied)]
        refused = [
            one for one in outcomes if isinstance(one, MoreThanSold) or (isinstance(one, Imported) and not one.applied)
        ]
        assert (len(done), len(refused)) == (1, 2)


def test_orders_are_locked_before_levels() -> None:
    level = sold(3, "order-1")
    _, (statements,) = checked(returning(level, "order-1"))
    assert [step for step in map(step_of, statements) if step and step is not Step.WRITE] == [Step.CART, Step.LEVELS]
    assert counters(level) == (9, 0)
