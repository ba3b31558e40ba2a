"""Transfers between warehouses."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from msgspec.structs import replace
from uuid_utils.compat import uuid7

from audit.actors import Actor
from audit.errors import Invalid, NotFound
from audit.roles import Role
from inventory.errors import (
    InsufficientStock,
    MixedRoute,
    MoreThanInTransit,
    QuantityLimit,
    TransferAlreadySent,
    TransferClosed,
    TransferNotSent,
    UnknownProduct,
    UnknownWarehouse,
    WarehouseNotInStore,
)
from inventory.models import QUANTITY_LIMIT, Movement, Product, StockLevel, Transfer, TransferLine
from inventory.services.stock.adjustments import Adjustment, AdjustRequest, apply_adjustments
from inventory.services.transfers.commands import (
    Arrived,
    CancelTransferRequest,
    MoveLine,
    ReceiveRequest,
    SendRequest,
    TransferRequest,
    cancel_transfer,
    change_draft,
    draft_transfer,
    receive_transfer,
    send_transfer,
    start_transfer,
)
from inventory.services.transfers.moves import Transferred
from tests.books import assert_books_balance
from tests.conftest import Api, body_of
from tests.factories import (
    ACTOR,
    counters,
    hold,
    lines,
    make_level,
    make_product,
    make_store,
    make_variant,
    make_warehouse,
    published,
    receive,
    recorded,
)

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("store")]
CLERK = Actor("clerk", uuid7(), "request-1", "api")
OUTLET = Actor("outlet clerk", None, "", "api", ("outlet",))


@pytest.fixture(autouse=True)
def _books_balance(db: None) -> Any:
    yield
    assert_books_balance()


def wanted(what: StockLevel | Product, units: int, source: str = "wh-001", target: str = "wh-002") -> MoveLine:
    product_id = what.product_id if isinstance(what, StockLevel) else what.id
    return MoveLine(product_id, None, units, source, target)


def done(outcome: Any) -> Transferred:
    assert isinstance(outcome, Transferred)
    return outcome


def sent(*items: MoveLine, **fields: Any) -> Transferred:
    return done(start_transfer(TransferRequest(**{"actor": ACTOR, "items": items, **fields})))


def received(transfer: Transferred, *arrived: tuple[StockLevel, int], **fields: Any) -> Transferred:
    items = tuple(Arrived(level.product_id, None, units) for level, units in arrived) or None
    request = ReceiveRequest(**{"actor": ACTOR, "transfer_id": transfer.document.id, "items": items, **fields})
    return done(receive_transfer(request))


def cancelled(transfer: Transferred, **fields: Any) -> Transferred:
    return done(
        cancel_transfer(CancelTransferRequest(**{"actor": ACTOR, "transfer_id": transfer.document.id, **fields}))
    )


def there(level: StockLevel, warehouse: str = "wh-002") -> StockLevel:
    return StockLevel.objects.with_incoming().get(product=level.product_id, warehouse__code=warehouse)


def moved(level: StockLevel, reference_type: str = "transfer") -> list[tuple[str, int, int, int]]:
    rows = Movement.objects.filter(level=level, reference_type=reference_type).order_by("id")
    return list(rows.values_list("type", "quantity", "quantity_before", "quantity_after"))


def became(transfer: Transferred) -> tuple[str, list[tuple[int, int, int, int]]]:
    """Read the status, and for each line the units received, returned, lost and in transit."""
    rows = TransferLine.objects.filter(transfer=transfer.document.id).order_by("id")
    figures = rows.values_list("quantity_received", "quantity_returned", "quantity_lost", "in_transit")
    return Transfer.objects.get(pk=transfer.document.id).status, list(figures)


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


# --- drafts ----------------------------------------------------------------------------------------------------------


def drafted(*items: MoveLine, **fields: Any) -> Transferred:
    return done(draft_transfer(TransferRequest(**{"actor": ACTOR, "items": items, **fields})))


def test_a_draft_takes_nothing_and_makes_no_level() -> None:
    level = make_level(10)
    draft = drafted(wanted(level, 40))
    assert became(draft) == ("PENDING", [(0, 0, 0, 0)])
    assert counters(level) == (10, 0)
    assert not StockLevel.objects.filter(warehouse__code="wh-002").exists()


def test_a_draft_is_changed_until_it_is_sent() -> None:
    level, other = make_level(10), make_level(10)
    draft = drafted(wanted(level, 40), reason="first", actor=CLERK)
    anew = TransferRequest(ACTOR, (wanted(other, 2), wanted(level, 4)), reason="second", reference="T-1")
    changed = done(change_draft(draft.document.id, anew)).document
    assert (changed.id, changed.initiated_by, changed.reason) == (draft.document.id, "clerk", "second")
    assert changed.initiated_at == draft.document.initiated_at
    transfer = done(send_transfer(SendRequest(ACTOR, draft.document.id)))
    assert [item.quantity for item in transfer.document.items] == [2, 4]
    assert (transfer.document.reason, transfer.document.reference) == ("second", "T-1")
    assert (counters(level), counters(other)) == ((6, 0), (8, 0))
    assert became(transfer) == ("IN_TRANSIT", [(0, 0, 0, 2), (0, 0, 0, 4)])
    for again in (
        lambda: send_transfer(SendRequest(ACTOR, draft.document.id)),
        lambda: change_draft(draft.document.id, anew),
    ):
        with pytest.raises(TransferAlreadySent):
            again()


def test_a_draft_that_is_short_stays_a_draft() -> None:
    level = make_level(10)
    draft = drafted(wanted(level, 40))
    with pytest.raises(InsufficientStock) as refused:
        send_transfer(SendRequest(ACTOR, draft.document.id))
    assert refused.value.shortages[0].pointer == "/items/0"
    assert became(draft) == ("PENDING", [(0, 0, 0, 0)])


def test_nothing_of_a_draft_is_received_and_cancelling_it_moves_nothing() -> None:
    level = make_level(10)
    draft = drafted(wanted(level, 4))
    with pytest.raises(TransferNotSent):
        received(draft)
    assert became(cancelled(draft)) == ("CANCELLED", [(0, 0, 0, 0)])
    assert (moved(level), published("InventoryTransferredEvent")) == ([], [])


# --- audit and events ----------------------------------------------------------------------------------------------


def test_every_command_is_audited_and_those_that_move_stock_are_published() -> None:
    level = make_level(10)
    draft = drafted(wanted(level, 3), actor=CLERK)
    change_draft(draft.document.id, TransferRequest(CLERK, (wanted(level, 4),)))
    send_transfer(SendRequest(CLERK, draft.document.id))
    received(draft, (level, 1), actor=CLERK)
    received(draft, (level, 1), close=True, reason="lost", actor=CLERK)
    cancelled(sent(wanted(level, 2)))
    entries = {
        verb: recorded(f"inventory_transfer_{verb}")
        for verb in ("created", "changed", "sent", "received", "closed", "cancelled")
    }
    assert {verb: len(found) for verb, found in entries.items()} == {
        "created": 2,
        "changed": 1,
        "sent": 2,
        "received": 1,
        "closed": 1,
        "cancelled": 1,
    }
    sent_entry = entries["sent"][0]
    assert (sent_entry.actor, sent_entry.request_id, sent_entry.subject_id) == ("clerk", "request-1", draft.document.id)
    assert sent_entry.changes["status"] == ["PENDING", "IN_TRANSIT"]
    assert sent_entry.changes["items"] == [{"productId": str(level.product_id), "quantity": 4, "onHand": [10, 6]}]
    closed = entries["closed"][0].changes
    assert (closed["status"], closed["reason"]) == (["PARTIALLY_RECEIVED", "RECEIVED"], "lost")
    assert closed["items"][0] | {"productId": ""} == {
        "productId": "",
        "quantity": 1,
        "quantityLost": 2,
        "onHand": [1, 2],
    }
    events = published("InventoryTransferredEvent")
    assert [(event["change"], event["status"]) for event in events] == [
        ("SENT", "IN_TRANSIT"),
        ("RECEIVED", "PARTIALLY_RECEIVED"),
        ("CLOSED", "RECEIVED"),
        ("SENT", "IN_TRANSIT"),
        ("CANCELLED", "CANCELLED"),
    ]
    assert events[2]["items"] == [{"productId": str(level.product_id), "quantity": 1, "quantityLost": 2}]
    assert (events[0]["fromWarehouseId"], events[0]["toWarehouseId"]) == ("wh-001", "wh-002")
    assert events[0]["transferId"] == draft.document.public_id


# --- over HTTP -------------------------------------------------------------------------------------------------------


def body(*items: tuple[StockLevel, int], **fields: Any) -> dict[str, Any]:
    return {"items": lines(*items, fromWarehouseId="wh-001", toWarehouseId="wh-002"), **fields}


def test_a_transfer_is_sent_and_received_over_http(api: Api) -> None:
    level = make_level(10)
    draft = body_of(api.post("transfer", body((level, 9), draft=True)), 201)
    place = f"transfer/{draft['transferId']}"
    assert (draft["status"], draft["shippedAt"]) == ("PENDING", None)
    assert body_of(api.put(place, body((level, 6), reason="balance")))["items"][0]["quantity"] == 6
    on_its_way = body_of(api.post(f"{place}/send", None))
    assert on_its_way["status"] == "IN_TRANSIT"
    ends = {"fromWarehouse": {"id": "wh-001", "previousQuantity": 10, "newQuantity": 4}}
    ends["toWarehouse"] = {"id": "wh-002", "expectedQuantity": 6}
    assert on_its_way["items"][0] | ends == on_its_way["items"][0]
    part = {"items": [{"productId": str(level.product_id), "quantityReceived": 2}]}
    arrived = body_of(api.post(f"{place}/receive", part))
    ends = {"toWarehouse": {"id": "wh-002", "previousQuantity": 0, "newQuantity": 2, "expectedQuantity": 6}}
    assert arrived["items"][0] | ends == arrived["items"][0]
    assert arrived["status"] == "PARTIALLY_RECEIVED"
    over = body_of(api.post(f"{place}/receive", {"items": [{**part["items"][0], "quantityReceived": 5}]}), 409)
    assert (over["code"], over["errors"][0]["inTransit"]) == ("more_than_in_transit", 4)
    ended = body_of(api.post(f"{place}/cancel", {"reason": "wrong truck"}))
    assert (ended["status"], ended["items"][0]["quantityReturned"]) == ("RECEIVED", 4)
    assert body_of(api.post(f"{place}/receive", {}), 409)["code"] == "transfer_closed"
    read = body_of(api.get(place))
    assert read["items"][0]["fromWarehouse"] == {"id": "wh-001"}
    assert {name: read[name] for name in read if name != "items"} == {
        name: ended[name] for name in ended if name != "items"
    }


@pytest.mark.parametrize("verb", ["transfer", "send", "receive", "cancel"])
def test_a_command_with_a_key_is_done_once(api: Api, verb: str) -> None:
    level = make_level(10)
    made = body_of(api.post("transfer", body((level, 4), draft=verb == "send")), 201)
    path, sends = f"transfer/{made['transferId']}/{verb}", {"send": None, "receive": {}, "cancel": {}}.get(verb)
    if verb == "transfer":
        path, sends = "transfer", body((level, 4))
    first, again = (api.post(path, sends, Idempotency_Key="key") for _ in range(2))
    assert (first.status_code, first.content) == (again.status_code, again.content)
    assert (first.status_code, again.headers["Idempotent-Replayed"]) == (201 if verb == "transfer" else 200, "true")
    expected = {"transfer": (2, 0, 8), "send": (6, 0, 4), "receive": (6, 4, 0), "cancel": (10, 0, 0)}[verb]
    assert (counters(level)[0], there(level).on_hand, there(level).incoming_quantity) == expected


def test_what_is_in_transit_is_incoming_and_never_sellable(api: Api) -> None:
    level = make_level(10)
    receive(level.product_id, 1, "wh-002")
    sent(wanted(level, 4))
    sent(wanted(level, 3))
    read = body_of(api.get(str(level.product_id)))["warehouses"]
    assert [(each["quantityAvailable"], each["incomingQuantity"]) for each in read] == [(3, 0), (1, 7)]
    listed = body_of(api.get("levels?warehouseId=wh-002"))["items"]
    assert [(each["quantityAvailable"], each["incomingQuantity"]) for each in listed] == [(1, 7)]
    changed = body_of(api.patch(f"{level.product_id}/levels/wh-002", {"reorderPoint": 3}))
    assert changed["incomingQuantity"] == 7
    found = body_of(api.post("check-availability", {"items": lines((level, 5))}))["items"][0]
    assert (found["status"], found["availableQuantity"]) == ("INSUFFICIENT", 4)
    assert api.post("reserve", {"cartId": "c", "items": lines((level, 5))}).status_code == 409


def test_transfers_are_listed_the_newest_first_by_state_and_route(api: Api) -> None:
    level = make_level(20)
    make_warehouse("wh-003")
    done_ = received(sent(wanted(level, 1)))
    open_, elsewhere = sent(wanted(level, 2)), sent(wanted(level, 3, "wh-001", "wh-003"))
    draft = drafted(wanted(level, 4))
    ids = [each.document.public_id for each in (draft, elsewhere, open_, done_)]

    def listed(query: str) -> list[str]:
        return [each["transferId"] for each in body_of(api.get(f"transfers?{query}"))["items"]]

    assert listed("") == ids
    assert listed("status=RECEIVED") == ids[3:]
    assert listed("toWarehouseId=wh-003") == listed("fromWarehouseId=wh-001&toWarehouseId=wh-003") == ids[1:2]
    assert listed("fromWarehouseId=wh-002") == []
    first = body_of(api.get("transfers?limit=3"))
    assert [each["transferId"] for each in first["items"]] == ids[:3]
    assert listed(f"limit=3&cursor={first['next']}") == ids[3:]


def test_overdue_is_what_should_have_arrived_and_is_open(api: Api) -> None:
    level = make_level(20)
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        now = cursor.fetchone()[0]
    past, future = now - timedelta(seconds=1), now + timedelta(hours=1)
    late = sent(wanted(level, 2), expected_delivery=past)
    received(late, (level, 1))
    received(sent(wanted(level, 1), expected_delivery=past))
    for fields in ({}, {"expected_delivery": future}):
        sent(wanted(level, 1), **fields)
    drafted(wanted(level, 1), expected_delivery=past)
    (found,) = body_of(api.get("transfers?overdue=true"))["items"]
    assert (found["transferId"], found["isOverdue"]) == (late.document.public_id, True)
    everything = body_of(api.get("transfers?overdue=false"))["items"]
    assert [each["isOverdue"] for each in everything] == [False, False, False, False, True]


def test_a_limited_client_sends_between_its_stores_warehouses_only(make_api: Callable[..., Api]) -> None:
    make_store("outlet", "wh-003", is_default=False)
    level = make_level(10)
    for source, target in (("wh-001", "wh-003"), ("wh-003", "wh-001"), ("wh-001", "wh-002")):
        with pytest.raises(UnknownWarehouse):
            sent(wanted(level, 1, source, target), actor=OUTLET)
    make_store("both", "wh-001", "wh-003", is_default=False)
    sent(wanted(level, 1, "wh-001", "wh-003"), actor=replace(OUTLET, store_codes=("both",)))
    assert counters(level) == (9, 0)


def test_a_limited_client_touches_its_own_end_of_a_transfer_and_sees_no_others(make_api: Callable[..., Api]) -> None:
    make_store("outlet", "wh-003", is_default=False)
    level = make_level(10)
    here, away, none = (
        sent(wanted(level, 2, "wh-001", "wh-003")),
        sent(wanted(level, 2, "wh-001", "wh-003")),
        sent(wanted(level, 2)),
    )
    outlet = make_api(Role.WAREHOUSE, stores=("outlet",))
    assert [each["transferId"] for each in body_of(outlet.get("transfers"))["items"]] == [
        away.document.public_id,
        here.document.public_id,
    ]
    unseen = f"transfer/{none.document.public_id}"
    assert body_of(outlet.get(unseen), 404)["code"] == "not_found"
    for verb in ("receive", "cancel"):
        assert body_of(outlet.post(f"{unseen}/{verb}", {}), 404)["code"] == "not_found"
    with pytest.raises(WarehouseNotInStore):
        cancelled(here, actor=OUTLET)
    assert received(here, actor=OUTLET).document.status == "RECEIVED"
    main = make_api(Role.WAREHOUSE, stores=("main",))
    place = f"transfer/{away.document.public_id}"
    assert body_of(main.post(f"{place}/receive", {}), 422)["code"] == "warehouse_not_in_store"
    assert body_of(main.post(f"{place}/cancel", {}))["status"] == "CANCELLED"
    draft = drafted(wanted(level, 1, "wh-001", "wh-003"))
    with pytest.raises(WarehouseNotInStore):
        send_transfer(SendRequest(OUTLET, draft.document.id))


@pytest.mark.parametrize("name", ["x", "tr-", "res-01900000-0000-7000-8000-000000000001"])
def test_an_unknown_transfer_is_not_found(api: Api, name: str) -> None:
    level = make_level(10)
    for method, path, sends in [
        ("GET", "", None),
        ("PUT", "", body((level, 1))),
        ("POST", "/send", None),
        ("POST", "/receive", {}),
        ("POST", "/cancel", {}),
    ]:
        assert body_of(api.send(method, f"transfer/{name}{path}", sends), 404)["code"] == "not_found"
    with pytest.raises(NotFound):
        send_transfer(SendRequest(ACTOR, uuid7()))


def test_a_delivery_out_of_time_is_refused(api: Api) -> None:
    level = make_level(10)
    refused = body_of(api.post("transfer", body((level, 1), expectedDelivery="0001-01-01T00:00:00+14:00")), 400)
    assert refused["errors"][0]["pointer"] == "/expectedDelivery"
    assert body_of(api.post("transfer", body((level, 1), expectedDelivery="2030-01-01T00:00:00")), 400)


def test_a_transfer_of_1_or_200_lines_is_the_same_statements() -> None:
    products = Product.objects.bulk_create(Product(sku=f"S{number}", name="n") for number in range(200))
    for place in ("wh-001", "wh-002"):
        stocked = tuple(Adjustment(product.id, None, place, 10, "RECEIPT", "r") for product in products)
        apply_adjustments(AdjustRequest(ACTOR, stocked))

    def there_and_back(count: int) -> list[str]:
        with CaptureQueriesContext(connection) as captured:
            transfer = done(send_transfer(SendRequest(ACTOR, drafted(*map(three, products[:count])).document.id)))
            arrived = tuple(Arrived(product.id, None, 1) for product in products[:count])
            receive_transfer(ReceiveRequest(ACTOR, transfer.document.id, arrived))
            cancelled(transfer)
            received(sent(*map(three, products[:count])), close=True)
        return [query["sql"].split("(")[0] for query in captured.captured_queries if "SAVEPOINT" not in query["sql"]]

    def three(product: Product) -> MoveLine:
        return wanted(product, 3)

    assert there_and_back(1) == there_and_back(200)
