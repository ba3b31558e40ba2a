"""Transfers between warehouses: sending, receiving and cancelling."""

from typing import Any

import pytest
from uuid_utils.compat import uuid7

from audit.errors import Invalid
from inventory.errors import (
    InsufficientStock,
    MixedRoute,
    MoreThanInTransit,
    QuantityLimit,
    TransferClosed,
    UnknownProduct,
    UnknownWarehouse,
)
from inventory.models import QUANTITY_LIMIT, Movement, StockLevel, Transfer
from inventory.services.transfers.commands import (
    Arrived,
    MoveLine,
    ReceiveRequest,
    SendRequest,
    TransferRequest,
    change_draft,
    receive_transfer,
    send_transfer,
)
from tests.factories import (
    ACTOR,
    counters,
    hold,
    make_level,
    make_product,
    make_variant,
    receive,
)
from tests.inventory.transfers import CLERK, became, cancelled, done, moved, received, sent, there, wanted

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("store", "books_balance")]


# --- sending ---------------------------------------------------------------------------------------------------------


def test_what_is_sent_leaves_its_source_at_once_and_is_in_transit() -> None:
    level = make_level(30)
    transfer = sent(wanted(level, 10), reason="balance")
    assert counters(level) == (20, 0)
    assert moved(level) == [("TRANSFER", -10, 30, 20)]
    assert became(transfer) == ("IN_TRANSIT", [(0, 0, 0, 10)])
    assert (there(level).on_hand, there(level).incoming_quantity) == (0, 10)


def test_a_movement_names_its_transfer_its_reason_and_who() -> None:
    level = make_level(30)
    transfer = sent(wanted(level, 10), reason="balance", actor=CLERK)
    movement = Movement.objects.get(reference_type="transfer")
    assert (movement.reference, movement.reason, movement.actor) == (transfer.document.public_id, "balance", "clerk")
    assert movement.created_at == transfer.now == transfer.document.shipped_at


def test_what_is_expected_counts_on_hand_and_all_in_transit() -> None:
    level = make_level(30)
    receive(level.product_id, 5, "wh-002")
    first, second = sent(wanted(level, 10)), sent(wanted(level, 7))
    assert [list(each.expected.values()) for each in (first, second)] == [[15], [22]]
    assert list(second.sources.values()) == [(20, 13)]


def test_items_of_one_product_are_one_line() -> None:
    level = make_level(30)
    transfer = sent(wanted(level, 10), wanted(level, 5))
    (item,) = transfer.document.items
    assert (item.quantity, item.shipped, moved(level)) == (15, 15, [("TRANSFER", -15, 30, 15)])


def test_all_items_share_one_route() -> None:
    level = make_level(30)
    with pytest.raises(MixedRoute) as refused:
        sent(wanted(level, 1), wanted(level, 1, "wh-001", "wh-003"), wanted(level, 1, "wh-002", "wh-001"))
    assert [fault.pointer for fault in refused.value.faults] == ["/items/1", "/items/2"]
    assert counters(level) == (30, 0)


def test_a_transfer_goes_to_another_warehouse() -> None:
    level = make_level(30)
    with pytest.raises(Invalid) as refused:
        sent(wanted(level, 1, "wh-001", "wh-001"))
    assert [fault.pointer for fault in refused.value.faults] == ["/items/0/toWarehouseId"]


def test_what_is_reserved_at_the_source_can_not_leave() -> None:
    level, plenty = make_level(10), make_level(10)
    hold((level, 8))
    with pytest.raises(InsufficientStock) as refused:
        sent(wanted(plenty, 1), wanted(level, 2), wanted(level, 1))
    (short,) = refused.value.shortages
    assert (short.pointer, short.requested, short.available, short.warehouse) == ("/items/1", 3, 2, "wh-001")
    assert (counters(level), counters(plenty)) == ((10, 8), (10, 0))
    sent(wanted(level, 2))
    assert counters(level) == (8, 8)


def test_safety_stock_may_leave() -> None:
    level = make_level(10, min_stock_level=9)
    sent(wanted(level, 10))
    assert counters(level) == (0, 0)


def test_all_items_or_none_and_every_short_one_is_returned() -> None:
    level, short, nowhere = make_level(10), make_level(1), make_product()
    with pytest.raises(InsufficientStock) as refused:
        sent(wanted(level, 5), wanted(short, 2), wanted(nowhere, 1))
    assert [(s.pointer, s.available) for s in refused.value.shortages] == [("/items/1", 1), ("/items/2", 0)]
    assert (counters(level), Transfer.objects.count()) == ((10, 0), 0)
    assert not StockLevel.objects.filter(warehouse__code="wh-002").exists(), "a refusal makes no levels"


def test_no_more_is_sent_than_the_destination_may_have_with_all_that_is_coming() -> None:
    level = make_level(30)
    target = receive(level.product_id, 1, "wh-002")
    sent(wanted(level, 2))
    StockLevel.objects.filter(pk=target.pk).update(on_hand=QUANTITY_LIMIT - 5)
    with pytest.raises(QuantityLimit) as refused:
        sent(wanted(level, 4))
    assert refused.value.faults[0].pointer == "/items/0/quantity"
    sent(wanted(level, 3))
    StockLevel.objects.filter(pk=target.pk).update(on_hand=1)


def test_unknown_names_are_refused_with_their_pointer() -> None:
    level, variant = make_level(10), make_variant(make_product())
    for item, pointer in [
        (MoveLine(uuid7(), None, 1, "wh-001", "wh-002"), "/items/1/productId"),
        (MoveLine(level.product_id, variant.id, 1, "wh-001", "wh-002"), "/items/1/variantId"),
    ]:
        with pytest.raises(UnknownProduct) as refused:
            sent(wanted(level, 1), item)
        assert [fault.pointer for fault in refused.value.faults] == [pointer]
    with pytest.raises(UnknownProduct) as refused:
        sent(*(MoveLine(uuid7(), None, 1, "wh-001", "wh-002") for _ in range(2)))
    assert [fault.pointer for fault in refused.value.faults] == ["/items/0/productId", "/items/1/productId"]
    for source, target, pointers in [
        ("nowhere", "wh-002", ["/items/0/fromWarehouseId"]),
        ("wh-001", "nowhere", ["/items/0/toWarehouseId"]),
        ("nowhere", "no-place", ["/items/0/fromWarehouseId", "/items/0/toWarehouseId"]),
    ]:
        with pytest.raises(UnknownWarehouse) as refused_place:
            sent(wanted(level, 1, source, target))
        assert [fault.pointer for fault in refused_place.value.faults] == pointers
    assert counters(level) == (10, 0)


def test_a_variant_is_transferred_by_either_of_its_names() -> None:
    parent = make_product()
    variant = make_variant(parent)
    receive(variant, 10)
    transfer = sent(
        MoveLine(parent.id, variant.id, 2, "wh-001", "wh-002"),
        MoveLine(variant.id, None, 3, "wh-001", "wh-002"),
    )
    (item,) = transfer.document.items
    assert (item.product_id, item.variant_id, item.quantity) == (parent.id, variant.id, 5)
    by_both, by_own = Arrived(parent.id, variant.id, 1), Arrived(variant.id, None, 1)
    part = done(receive_transfer(ReceiveRequest(ACTOR, transfer.document.id, (by_both, by_own))))
    assert part.document.items[0].received == 2
    with pytest.raises(UnknownProduct):
        receive_transfer(ReceiveRequest(ACTOR, transfer.document.id, (Arrived(parent.id, None, 1),)))


# --- receiving -------------------------------------------------------------------------------------------------------


def test_what_arrives_is_on_hand_at_the_destination() -> None:
    level, other = make_level(10), make_level(10)
    transfer = sent(wanted(level, 4), wanted(other, 6), reason="balance")
    part = received(transfer, (level, 3))
    assert became(part) == ("PARTIALLY_RECEIVED", [(3, 0, 0, 1), (0, 0, 0, 6)])
    assert counters(there(level)) == (3, 0)
    assert list(part.destinations.values()) == [(0, 3)]
    assert list(part.expected.values()) == [4]
    whole = received(transfer)
    assert became(whole) == ("RECEIVED", [(4, 0, 0, 0), (6, 0, 0, 0)])
    assert moved(there(level)) == [("TRANSFER", 3, 0, 3), ("TRANSFER", 1, 3, 4)]
    assert (there(level).incoming_quantity, counters(there(other))) == (0, (6, 0))
    assert whole.document.closed_at == whole.now


def test_lines_of_one_product_that_arrive_are_summed() -> None:
    level = make_level(10)
    transfer = sent(wanted(level, 4))
    with pytest.raises(MoreThanInTransit) as refused:
        received(transfer, (level, 3), (level, 2))
    (fault,) = refused.value.faults
    assert fault.pointer == "/items/1/quantityReceived"
    assert fault.facts == {"productId": str(level.product_id), "requested": 5, "inTransit": 4}
    assert became(transfer) == ("IN_TRANSIT", [(0, 0, 0, 4)])
    assert received(transfer, (level, 3), (level, 1)).document.status == "RECEIVED"


def test_no_more_is_received_than_is_in_transit_still() -> None:
    level = make_level(10)
    transfer = sent(wanted(level, 4))
    received(transfer, (level, 3))
    with pytest.raises(MoreThanInTransit) as refused:
        received(transfer, (level, 2), close=True)
    assert refused.value.faults[0].facts["inTransit"] == 1
    assert counters(there(level)) == (3, 0)


def test_what_is_not_in_the_transfer_is_not_received() -> None:
    level, other = make_level(10), make_level(10)
    transfer = sent(wanted(level, 4))
    with pytest.raises(UnknownProduct) as refused:
        received(transfer, (level, 1), (other, 1))
    assert refused.value.faults[0].pointer == "/items/1/productId"


def test_to_receive_nothing_is_refused_unless_it_closes() -> None:
    level = make_level(10)
    transfer = sent(wanted(level, 4))
    with pytest.raises(Invalid):
        received(transfer, (level, 0))
    assert became(received(transfer, (level, 0), close=True)) == ("RECEIVED", [(0, 0, 4, 0)])


def test_closing_receives_and_takes_off_what_is_missing() -> None:
    level, other = make_level(10), make_level(10)
    transfer = sent(wanted(level, 4), wanted(other, 6), reason="balance")
    closed = received(transfer, (level, 3), close=True, reason="pallet fell")
    assert became(closed) == ("RECEIVED", [(3, 0, 1, 0), (0, 0, 6, 0)])
    assert moved(there(level)) == [("TRANSFER", 4, 0, 4), ("ADJUSTMENT", -1, 4, 3)]
    assert moved(there(other)) == [("TRANSFER", 6, 0, 6), ("ADJUSTMENT", -6, 6, 0)]
    reasons = Movement.objects.filter(type="ADJUSTMENT", reference=transfer.document.public_id)
    assert set(reasons.values_list("reason", flat=True)) == {"lost in transit: pallet fell"}
    assert sorted(closed.destinations.values()) == [(0, 0), (0, 3)]
    assert sorted(closed.expected.values()) == [0, 3]


def test_closing_what_has_all_arrived_loses_nothing() -> None:
    level = make_level(10)
    closed = received(sent(wanted(level, 4)), close=True)
    assert became(closed) == ("RECEIVED", [(4, 0, 0, 0)])
    assert moved(there(level)) == [("TRANSFER", 4, 0, 4)]


def test_a_loss_without_a_reason_and_one_with_a_long_one_have_a_reason() -> None:
    level = make_level(10)
    received(sent(wanted(level, 4)), (level, 1), close=True)
    received(sent(wanted(level, 4)), (level, 1), close=True, reason="x" * 500)
    lost = Movement.objects.filter(type="ADJUSTMENT").order_by("id").values_list("reason", flat=True)
    assert list(lost) == ["lost in transit", f"lost in transit: {'x' * 483}"]


def test_no_more_is_received_than_a_level_may_have() -> None:
    level = make_level(10)
    transfer = sent(wanted(level, 4))
    StockLevel.objects.filter(pk=there(level).pk).update(on_hand=QUANTITY_LIMIT - 3)
    for arrived in [((level, 4),), ()]:
        with pytest.raises(QuantityLimit) as refused:
            received(transfer, *arrived)
        assert refused.value.faults[0].pointer == ("/items/0/quantityReceived" if arrived else "")
    with pytest.raises(QuantityLimit):
        received(transfer, (level, 1), close=True)
    StockLevel.objects.filter(pk=there(level).pk).update(on_hand=0)
    assert became(transfer) == ("IN_TRANSIT", [(0, 0, 0, 4)])


# --- cancelling ------------------------------------------------------------------------------------------------------


def test_cancelling_brings_back_what_is_in_transit() -> None:
    level, other = make_level(10), make_level(10)
    transfer = sent(wanted(level, 4), wanted(other, 6))
    back = cancelled(transfer, reason="wrong truck")
    assert became(back) == ("CANCELLED", [(0, 4, 0, 0), (0, 6, 0, 0)])
    assert (counters(level), counters(other), there(level).incoming_quantity) == ((10, 0), (10, 0), 0)
    assert moved(level)[-1] == ("TRANSFER", 4, 6, 10)
    assert list(back.sources.values()) == [(6, 10), (4, 10)]
    assert Movement.objects.filter(level=level).latest("id").reason == "wrong truck"


def test_a_transfer_cancelled_after_a_part_arrived_is_received() -> None:
    level = make_level(10)
    transfer = sent(wanted(level, 4))
    received(transfer, (level, 1))
    assert became(cancelled(transfer)) == ("RECEIVED", [(1, 3, 0, 0)])
    assert (counters(level), counters(there(level))) == ((9, 0), (1, 0))


def test_no_more_comes_back_than_the_source_may_have() -> None:
    level = make_level(10)
    transfer = sent(wanted(level, 4))
    StockLevel.objects.filter(pk=level.pk).update(on_hand=QUANTITY_LIMIT - 3)
    with pytest.raises(QuantityLimit):
        cancelled(transfer)
    StockLevel.objects.filter(pk=level.pk).update(on_hand=6)


@pytest.mark.parametrize("end", [received, cancelled])
def test_what_is_closed_stays_closed(end: Any) -> None:
    level = make_level(10)
    transfer = sent(wanted(level, 4))
    end(transfer)
    before = counters(level), counters(there(level)), became(transfer)
    for again in (received, cancelled):
        with pytest.raises(TransferClosed):
            again(transfer)
    with pytest.raises(TransferClosed):
        send_transfer(SendRequest(ACTOR, transfer.document.id))
    with pytest.raises(TransferClosed):
        change_draft(transfer.document.id, TransferRequest(ACTOR, (wanted(level, 1),)))
    assert (counters(level), counters(there(level)), became(transfer)) == before
