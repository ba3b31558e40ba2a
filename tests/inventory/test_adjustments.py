"""Adjustments of on hand."""

from decimal import Decimal

import msgspec
import pytest
from uuid_utils.compat import uuid7

from audit.actors import Actor
from audit.errors import DomainError, Invalid, VersionConflict
from inventory.errors import InsufficientStock, QuantityLimit, UnknownProduct, UnknownWarehouse
from inventory.models import QUANTITY_LIMIT, Movement, StockLevel
from inventory.services.stock.adjustments import Adjustment
from tests.conftest import Api
from tests.factories import (
    counters,
    hold,
    lines,
    make_level,
    make_product,
    make_store,
    make_variant,
    make_warehouse,
    published,
    recorded,
)
from tests.inventory.adjusting import adjust, line

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("store")]


def moved(level: StockLevel) -> list[tuple[str, int, int, int]]:
    """The movements after the first receipt."""
    rows = Movement.objects.filter(level=level).order_by("id")
    return list(rows.values_list("type", "quantity", "quantity_before", "quantity_after"))[1:]


@pytest.mark.parametrize(
    ("kind", "quantity", "after"),
    [("RECEIPT", 3, 13), ("RETURN", 3, 13), ("SHIPMENT", 3, 7), ("ADJUSTMENT", 3, 13), ("ADJUSTMENT", -3, 7)],
)
def test_each_kind_has_its_sign(kind: str, quantity: int, after: int) -> None:
    level = make_level(10)
    (applied,) = adjust(line(level, quantity, kind)).lines
    assert (applied.before, applied.after, counters(level)) == (10, after, (after, 0))
    assert moved(level) == [(kind, after - 10, 10, after)]


@pytest.mark.parametrize(
    ("kind", "quantity"), [("RECEIPT", -1), ("RETURN", -1), ("SHIPMENT", -1), ("ADJUSTMENT", 0), ("RECEIPT", 0)]
)
def test_a_wrong_sign_is_refused_in_its_place(kind: str, quantity: int) -> None:
    level = make_level(10)
    with pytest.raises(Invalid) as refused:
        adjust(line(level, 1), line(level, quantity, kind))
    assert [fault.pointer for fault in refused.value.faults] == ["/adjustments/1/quantity"]
    assert counters(level) == (10, 0)


def test_a_movement_has_actor_reason_and_command() -> None:
    level = make_level(10)
    adjusted = adjust(
        line(level, 2, "RECEIPT", reference="PO-1", cost_per_unit=Decimal("1.50")),
        actor=Actor("clerk", None, "", "api"),
    )
    movement = Movement.objects.get(adjustment_id=adjusted.id)
    assert (movement.actor, movement.reason, movement.reference) == ("clerk", "test", "PO-1")
    assert (movement.cost_per_unit, movement.created_at) == (Decimal("1.50"), adjusted.now)
    level.refresh_from_db()
    assert level.last_movement_at == level.updated_at == adjusted.now


def test_an_adjustment_is_audited_and_published() -> None:
    level = make_level(10)
    client = uuid7()
    adjusted = adjust(line(level, -3), actor=Actor("clerk", client, "request-1", "api"))
    entry = recorded("inventory_stock_adjusted")[-1]
    assert (entry.actor, entry.client_id, entry.request_id, entry.source) == ("clerk", client, "request-1", "api")
    assert (entry.subject_id, entry.changes["onHand"]) == (level.id, [10, 7])
    assert entry.changes["adjustmentId"] == f"adj-{adjusted.id}"
    event = published("StockAdjustedEvent")[-1]
    assert (event["quantity"], event["previousStock"], event["newStock"]) == (-3, 10, 7)


@pytest.mark.parametrize(
    "reasons", [["test"], ["test"] * 50, ["first", "second"] * 25], ids=["one", "alike", "different"]
)
def test_each_line_is_written_with_its_own_reason_reference_and_cost(reasons: list[str]) -> None:
    levels = [make_level(10) for _ in reasons]
    fields = [{"reference": f"of {reason}", "cost_per_unit": Decimal(len(reason))} for reason in reasons]
    adjust(
        *(
            msgspec.structs.replace(line(level, 3, **given), reason=reason)
            for level, reason, given in zip(levels, reasons, fields, strict=True)
        )
    )
    for level, reason, given in zip(levels, reasons, fields, strict=True):
        movement = Movement.objects.filter(level=level).latest("id")
        assert (movement.reason, movement.quantity, movement.quantity_after) == (reason, 3, 13)
        assert (movement.reference, movement.cost_per_unit) == (given["reference"], given["cost_per_unit"])
        entry = [entry for entry in recorded("inventory_stock_adjusted") if entry.subject_id == level.id][-1]
        assert (entry.changes["reason"], entry.changes["reference"]) == (reason, given["reference"])


def test_lines_of_one_level_are_decided_on_by_their_sum_and_answered_in_order() -> None:
    level = make_level(10)
    hold((level, 8))
    adjusted = adjust(line(level, -20), line(level, 15), line(level, 5, "SHIPMENT"), line(level, 8, "RETURN"))
    assert counters(level) == (8, 8)
    assert [applied.adjustment.quantity for applied in adjusted.lines] == [-20, 15, 5, 8]
    assert all(applied.after - applied.before == applied.adjustment.change for applied in adjusted.lines)
    assert all(min(before, after) >= 0 for _, _, before, after in moved(level))
    assert moved(level)[-1][3] == 8


def test_stock_that_is_reserved_is_not_taken_away() -> None:
    level = make_level(10)
    hold((level, 8))
    with pytest.raises(InsufficientStock) as refused:
        adjust(line(level, -2), line(level, 1, "SHIPMENT"))
    (short,) = refused.value.shortages
    assert (short.pointer, short.requested, short.available) == ("/adjustments/0", 3, 2)
    assert counters(level) == (10, 8)
    adjust(line(level, -2))
    assert counters(level) == (8, 8)


def test_safety_stock_is_physical_stock_that_may_be_taken() -> None:
    level = make_level(10, min_stock_level=9)
    adjust(line(level, 10, "SHIPMENT"))
    assert counters(level) == (0, 0)


def test_all_lines_or_none() -> None:
    level, short = make_level(10), make_level(1)
    with pytest.raises(InsufficientStock) as refused:
        adjust(line(level, 5), line(short, -2), line(make_product(), -1))
    assert [shortage.pointer for shortage in refused.value.shortages] == ["/adjustments/1", "/adjustments/2"]
    assert (counters(level), counters(short), moved(level)) == ((10, 0), (1, 0), [])


def test_a_first_addition_creates_the_level_a_removal_does_not() -> None:
    product = make_product()
    with pytest.raises(InsufficientStock) as refused:
        adjust(line(product, 1, "SHIPMENT"))
    assert refused.value.shortages[0].available == 0
    assert not StockLevel.objects.filter(product=product).exists()
    adjust(line(product, 4, "RETURN"), line(product, -1))
    assert counters(StockLevel.objects.get(product=product)) == (3, 0)


def test_two_warehouses_are_two_levels() -> None:
    level = make_level(10)
    adjust(line(level, -4), line(level, 4, warehouse="wh-002"))
    assert counters(level) == (6, 0)
    assert counters(StockLevel.objects.get(product=level.product_id, warehouse__code="wh-002")) == (4, 0)


@pytest.mark.parametrize(("quantity", "fits"), [(1, True), (2, False)])
def test_a_level_has_a_limit(quantity: int, *, fits: bool) -> None:
    level = make_level(10)
    StockLevel.objects.filter(pk=level.pk).update(on_hand=QUANTITY_LIMIT - 1)
    if fits:
        adjust(line(level, quantity))
        assert counters(level)[0] == QUANTITY_LIMIT
        return
    with pytest.raises(QuantityLimit) as refused:
        adjust(line(level, quantity))
    assert refused.value.faults[0].pointer == "/adjustments/0/quantity"


def test_the_limit_holds_for_the_sum_of_200_lines() -> None:
    level = make_level(10)
    StockLevel.objects.filter(pk=level.pk).update(on_hand=QUANTITY_LIMIT)
    adjust(*[line(level, 1_000_000), line(level, -1_000_000)] * 100)
    assert counters(level)[0] == QUANTITY_LIMIT
    assert all(0 <= min(before, after) <= max(before, after) <= QUANTITY_LIMIT for _, _, before, after in moved(level))


def test_200_additions_to_a_nearly_full_level_are_refused_by_name() -> None:
    level = make_level(10)
    StockLevel.objects.filter(pk=level.pk).update(on_hand=QUANTITY_LIMIT - 1)
    with pytest.raises(QuantityLimit):
        adjust(*[line(level, 1_000_000)] * 199, line(level, -1_000_000))
    assert (counters(level)[0], moved(level)) == (QUANTITY_LIMIT - 1, [])


def test_an_outdated_version_is_refused() -> None:
    level = make_level(10)
    level.refresh_from_db()
    read = level.version
    hold((level, 1))
    with pytest.raises(VersionConflict) as refused:
        adjust(line(level, 1), line(level, 1, expected_version=read))
    assert [fault.pointer for fault in refused.value.faults] == ["/adjustments/1/expectedVersion"]
    assert refused.value.faults[0].facts == {"expected": str(read), "version": read + 1}
    level.refresh_from_db()
    adjust(line(level, 1, expected_version=level.version))
    assert counters(level) == (11, 1)


def test_unknown_names_are_refused_with_their_pointer() -> None:
    level, variant = make_level(10), make_variant(make_product())
    wrong: list[tuple[Adjustment, type[DomainError], str]] = [
        (Adjustment(uuid7(), None, "wh-001", 1, "RECEIPT", "r"), UnknownProduct, "productId"),
        (Adjustment(level.product_id, variant.id, "wh-001", 1, "RECEIPT", "r"), UnknownProduct, "variantId"),
        (Adjustment(level.product_id, None, "nowhere", 1, "RECEIPT", "r"), UnknownWarehouse, "warehouseId"),
    ]
    for adjustment, error, field in wrong:
        with pytest.raises(error) as refused:
            adjust(line(level, 1), adjustment)
        assert [fault.pointer for fault in refused.value.faults] == [f"/adjustments/1/{field}"]
    with pytest.raises(UnknownProduct) as all_refused:
        adjust(*(adjustment for adjustment, _, _ in wrong))
    pointers = [f"/adjustments/{index}/{field}" for index, (_, _, field) in enumerate(wrong)]
    assert [fault.pointer for fault in all_refused.value.faults] == pointers
    assert [fault.code for fault in all_refused.value.faults] == [error.code for _, error, _ in wrong]
    assert counters(level) == (10, 0)


def test_a_variant_is_adjusted_by_either_of_its_names() -> None:
    parent = make_product()
    variant = make_variant(parent)
    make_warehouse()
    by_both = Adjustment(parent.id, variant.id, "wh-001", 2, "RECEIPT", "r")
    by_own = Adjustment(variant.id, None, "wh-001", 3, "RECEIPT", "r")
    applied = adjust(by_both, by_own).lines
    assert {(each.product_id, each.variant_id) for each in applied} == {(parent.id, variant.id)}
    assert StockLevel.objects.get(product=variant).on_hand == 5


def test_a_limited_client_adjusts_in_its_stores_warehouses_only() -> None:
    make_store("outlet", "wh-003", is_default=False)
    level = make_level(10)
    clerk = Actor("clerk", None, "", "api", ("outlet",))
    with pytest.raises(UnknownWarehouse):
        adjust(line(level, 1), actor=clerk)
    adjust(line(level, 1, warehouse="wh-003"), actor=clerk)
    assert counters(level) == (10, 0)


def test_over_http_a_shortage_has_the_available_units(api: Api) -> None:
    level = make_level(10)
    hold((level, 8))
    (body,) = lines((level, 3), warehouseId="wh-001", type="SHIPMENT", reason="r")
    response = api.put("adjust", {"adjustments": [body]})
    document = response.json()  # type: ignore[attr-defined]
    assert (response.status_code, document["code"]) == (409, "insufficient_stock")
    (error,) = document["errors"]
    assert (error["pointer"], error["requested"], error["available"]) == ("/adjustments/0", 3, 2)
