"""Returns are bounded by what their order was sold, through every door (docs/explanation/rules.md, rule 37)."""

from typing import Any
from uuid import UUID

import pytest
from django.urls import reverse

from audit.errors import Invalid
from inventory.errors import MoreThanSold
from inventory.models import Movement, StockLevel
from inventory.services.stock.adjustments import Adjusted, Adjustment, AdjustRequest, apply_adjustments
from inventory.services.stock.import_files import COLUMNS, read_file
from inventory.services.stock.imports import Imported, foresee_import, import_stock, plan_import
from reservations.services.holds.resolution import ConsumeRequest, consume_hold
from reservations.services.holds.selecting import Selector
from tests.conftest import Api, body_of
from tests.factories import ACTOR, counters, hold, lines, make_level, make_product, make_store, receive, recorded
from tests.staff import browser_of, make_staff, post

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("store")]


def sell(level: StockLevel, units: int, order: str = "order-1", **held: Any) -> None:
    """Sell units of a level to an order."""
    reservation = hold((level, units), **held)
    consume_hold(ConsumeRequest(ACTOR, order, Selector(reservation_id=reservation.id)))


def back(product: UUID, units: int, order: str = "order-1", warehouse: str = "wh-001", **fields: Any) -> Adjustment:
    return Adjustment(product, None, warehouse, units, "RETURN", "came back", order_id=order, **fields)


def take_back(*wanted: Adjustment) -> Adjusted:
    done = apply_adjustments(AdjustRequest(ACTOR, wanted))
    assert isinstance(done, Adjusted)
    return done


def test_at_most_what_was_sold_and_has_not_come_back_is_returned() -> None:
    level = make_level(10)
    sell(level, 3)
    take_back(back(level.product_id, 2))
    with pytest.raises(MoreThanSold) as refused:
        take_back(back(level.product_id, 2))
    (fault,) = refused.value.faults
    assert fault.pointer == "/adjustments/0/quantity"
    bound = {"orderId": "order-1", "requested": 2, "sold": 3, "returned": 2, "returnable": 1}
    assert fault.facts == bound
    take_back(back(level.product_id, 1, warehouse="wh-002"))
    with pytest.raises(MoreThanSold):
        take_back(back(level.product_id, 1))
    assert counters(level) == (9, 0)


def test_lines_of_a_product_are_added_up_and_each_one_over_its_bound_is_named() -> None:
    level, other = make_level(10), make_level(10)
    sell(level, 3)
    sell(other, 5)
    with pytest.raises(MoreThanSold) as refused:
        take_back(back(level.product_id, 2), back(other.product_id, 5), back(level.product_id, 2, warehouse="wh-002"))
    assert [fault.pointer for fault in refused.value.faults] == ["/adjustments/0/quantity", "/adjustments/2/quantity"]
    assert counters(other) == (5, 0)
    with pytest.raises(MoreThanSold):
        take_back(back(other.product_id, 1, "order-2"))
    with pytest.raises(MoreThanSold):
        take_back(back(make_product().pk, 1))


def test_units_of_a_variant_come_back_as_that_variant_alone() -> None:
    parent = make_product()
    sold, other = (receive(make_product(parent=parent), 5) for _ in range(2))
    sell(sold, 2)
    with pytest.raises(MoreThanSold):
        take_back(back(other.product_id, 1))
    take_back(Adjustment(parent.pk, sold.product_id, "wh-001", 2, "RETURN", "came back", order_id="order-1"))


def test_a_return_names_its_order_and_keeps_a_reference_of_its_own() -> None:
    level = make_level(10)
    sell(level, 3)
    take_back(back(level.product_id, 1, reference="RMA-7"))
    movement = Movement.objects.get(type="RETURN")
    assert (movement.reference_type, movement.reference) == ("order", "order-1")
    assert movement.reason == "came back (RMA-7)"
    changes = recorded("inventory_stock_adjusted")[-1].changes
    assert (changes["orderId"], changes["reference"], changes["reason"]) == ("order-1", "RMA-7", "came back")


def test_only_a_return_has_an_order_and_the_rest_must_fit() -> None:
    level = make_level(10)
    for kind in ("RECEIPT", "SHIPMENT", "ADJUSTMENT"):
        line = Adjustment(level.product_id, None, "wh-001", 1, kind, "x", order_id="order-1")
        with pytest.raises(Invalid) as refused:
            take_back(line)
        assert refused.value.faults[0].pointer == "/adjustments/0/orderId"
    with pytest.raises(Invalid) as refused:
        take_back(Adjustment(level.product_id, None, "wh-001", 1, "RETURN", "x" * 490, "y" * 99, order_id="order-1"))
    assert refused.value.faults[0].pointer == "/adjustments/0/reference"
    apply_adjustments(AdjustRequest(ACTOR, (Adjustment(level.product_id, None, "wh-001", 99, "RETURN", "no order"),)))
    assert counters(level) == (109, 0)


def test_a_return_over_http_is_bounded_and_repeated_with_its_key(api: Api) -> None:
    level = make_level(10)
    sell(level, 3)
    (line,) = lines((level, 3), warehouseId="wh-001", type="RETURN", reason="unworn", orderId="order-1")
    first = api.put("adjust", {"adjustments": [line]}, Idempotency_Key="once")
    again = api.put("adjust", {"adjustments": [line]}, Idempotency_Key="once")
    assert body_of(first) == body_of(again)
    problem = body_of(api.put("adjust", {"adjustments": [line]}), 409)
    assert problem["code"] == "more_than_sold"
    assert problem["errors"][0]["returnable"] == 0
    wrong = body_of(api.put("adjust", {"adjustments": [line | {"type": "RECEIPT"}]}), 400)
    assert wrong["errors"][0]["pointer"] == "/adjustments/0/orderId"
    for bad in ("", "x" * 65, 5, "a\x00b"):
        assert body_of(api.put("adjust", {"adjustments": [line | {"orderId": bad}]}), 400)
    assert counters(level) == (10, 0)


def test_an_order_of_another_store_was_sold_nothing(make_api: Any) -> None:
    make_store("outlet", "wh-001", is_default=False)
    level = make_level(10)
    sell(level, 3, store="outlet")
    (line,) = lines((level, 1), warehouseId="wh-001", type="RETURN", reason="r", orderId="order-1")
    problem = body_of(make_api(name="main", stores=("main",)).put("adjust", {"adjustments": [line]}), 409)
    assert problem["errors"][0]["sold"] == 0
    body_of(make_api(name="outlet", stores=("outlet",)).put("adjust", {"adjustments": [line]}))


def test_returns_in_files_are_bounded_where_their_reference_is_an_order() -> None:
    level = make_level(10)
    sku = level.product.sku
    sell(level, 3)
    rows = [
        f"{sku},wh-001,{units},RETURN,back,{order}" for units, order in ((2, "order-1"), (5, "RMA"), (4, "order-1"))
    ]
    file = read_file("returns.csv", "\n".join([",".join(COLUMNS), *rows]).encode())
    detail = "is more than can be returned from order order-1: 3 sold, 2 returned"
    for done in (plan_import(ACTOR, file, skip_bad=False), import_stock(ACTOR, file), foresee_import(ACTOR, file)):
        assert [(fault.row, fault.column, fault.detail) for fault in done.bad] == [(4, "quantity", detail)]  # type: ignore[union-attr]
    assert counters(level) == (7, 0)
    done = import_stock(ACTOR, file, skip_bad=True)
    assert isinstance(done, Imported)
    assert (done.applied, [fault.row for fault in done.bad], counters(level)) == (2, [4], (14, 0))
    with pytest.raises(MoreThanSold):
        take_back(back(level.product_id, 2))


def test_a_clerk_takes_back_what_an_order_was_sold() -> None:
    level = make_level(10)
    sell(level, 3)
    clerk = browser_of(make_staff("warehouse", "wh-001"))
    address = reverse("admin:inventory_stocklevel_take_back", args=[level.pk])
    refused = post(clerk, address, quantity="4", remark="unworn", order="order-1")
    assert "Order order-1: 3 sold, 0 returned. At most 3 can be returned." in refused.content.decode()
    assert counters(level) == (7, 0)
    done = post(clerk, address, quantity="3", remark="unworn", order=" order-1 ")
    assert "7 → 10 on hand" in done.content.decode()
    assert Movement.objects.get(type="RETURN").reference == "order-1"
    post(clerk, address, quantity="2", remark="found", order="")
    assert counters(level) == (12, 0)
