"""What is posted by hand has a document, which is reversed at most once (docs/explanation/rules.md, rule 39)."""

from typing import Any, Final
from uuid import UUID

import msgspec
import pytest
from django.db import connection

from audit.errors import Archived, NotFound
from inventory.errors import (
    DocumentReversed,
    InsufficientStock,
    MoreThanSold,
    ReversalIsFinal,
    TransferNotReceived,
)
from inventory.models import Movement, StockDocument, StockLevel, Transfer
from inventory.models.documents import parse_number
from inventory.services.stock.adjustments import Adjusted, Adjustment, AdjustRequest, apply_adjustments
from inventory.services.stock.import_files import COLUMNS, read_file
from inventory.services.stock.imports import import_stock
from inventory.services.stock.reversing import ReverseRequest, reverse_document
from inventory.services.transfers.commands import (
    Arrived,
    CancelTransferRequest,
    MoveLine,
    ReceiveRequest,
    TransferRequest,
    cancel_transfer,
    receive_transfer,
    start_transfer,
)
from inventory.services.transfers.reversing import SendBackRequest, send_back
from reservations.services.holds.resolution import ConsumeRequest, consume_hold
from reservations.services.holds.selecting import Selector
from tests.books import assert_books_balance
from tests.factories import ACTOR, counters, hold, make_due, make_level, make_warehouse, published, receive, recorded

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("store")]

CLERK: Final = msgspec.structs.replace(ACTOR, name="clerk", source="admin")


def line(level: StockLevel, units: int, kind: str = "RECEIPT", warehouse: str = "wh-001", **fields: Any) -> Adjustment:
    return Adjustment(level.product_id, None, warehouse, units, kind, "typed", **fields)


def by_hand(*lines: Adjustment) -> Adjusted:
    done = apply_adjustments(AdjustRequest(CLERK, lines))
    assert isinstance(done, Adjusted)
    return done


def reverse(document: UUID, actor: Any = CLERK) -> Adjusted:
    done = reverse_document(ReverseRequest(actor, document, "posted by mistake"))
    assert isinstance(done, Adjusted)
    return done


def moved(level: StockLevel) -> list[tuple[str, int]]:
    """The type and the quantity of the movements after the first receipt."""
    rows = Movement.objects.filter(level=level).order_by("id")
    return list(rows.values_list("type", "quantity"))[1:]


@pytest.mark.parametrize(
    ("kind", "units", "prefix"),
    [("RECEIPT", 5, "RC"), ("SHIPMENT", 5, "SH"), ("ADJUSTMENT", -5, "AD"), ("RETURN", 5, "RT")],
)
def test_what_is_posted_by_hand_has_a_document_and_its_reversal_nets_it_out(kind: str, units: int, prefix: str) -> None:
    level = make_level(10)
    posted = by_hand(line(level, units, kind, reference="PO-1"))
    document = StockDocument.objects.get()
    assert posted.document == str(document) == f"{prefix}-{document.number}"
    assert (document.pk, document.actor, document.reference, document.reason) == (posted.id, "clerk", "PO-1", "typed")
    assert (document.warehouse_codes, document.created_at) == (["wh-001"], posted.now)
    reversal = reverse(document.pk)
    assert reversal.document.startswith("RV-")
    assert counters(level) == (10, 0)
    change = posted.lines[0].adjustment.change
    assert moved(level) == [(kind, change), (kind, -change)]
    event = published("StockAdjustedEvent")[-1]
    assert (event["adjustmentType"], event["quantity"], event["newStock"]) == ("ADJUSTMENT", -change, 10)
    entry = recorded("inventory_document_reversed")[0]
    assert (entry.subject_id, entry.changes) == (
        document.pk,
        {"reversedBy": reversal.document, "reason": "posted by mistake"},
    )
    assert_books_balance()


def test_numbers_rise_for_each_kind_by_itself() -> None:
    level = make_level(10)
    first, other, second = (by_hand(line(level, 1, kind)).document for kind in ("RECEIPT", "SHIPMENT", "RECEIPT"))
    assert int(second[3:]) == int(first[3:]) + 1
    assert (other[:3], int(first[3:]) > 1000) == ("SH-", True)
    assert by_hand(line(level, 1, "RECEIPT"), line(level, 1, "SHIPMENT")).document.startswith("AD-")


def test_clients_and_files_of_the_command_have_no_documents() -> None:
    level = make_level(10)
    apply_adjustments(AdjustRequest(ACTOR, (line(level, 1),)))
    row = f"{level.product.sku},wh-001,2,RECEIPT,goods,"
    import_stock(ACTOR, read_file("stock.csv", "\n".join([",".join(COLUMNS), row]).encode()))
    assert (counters(level), StockDocument.objects.count()) == ((13, 0), 0)


def test_a_document_is_reversed_once_and_a_reversal_never() -> None:
    level = make_level(10)
    posted = by_hand(line(level, 5))
    reversal = reverse(posted.id)
    with pytest.raises(DocumentReversed) as refused:
        reverse(posted.id)
    assert refused.value.faults[0].facts == {"reversedBy": reversal.document}
    with pytest.raises(ReversalIsFinal):
        reverse(reversal.id)
    assert counters(level) == (10, 0)


def test_only_what_is_still_there_is_taken_back_and_each_short_line_is_named() -> None:
    level, held, fine = make_level(0 + 1), make_level(1), make_level(1)
    posted = by_hand(line(level, 5), line(fine, 5), line(held, 5))
    apply_adjustments(AdjustRequest(ACTOR, (line(level, 3, "SHIPMENT"),)))
    reservation = hold((held, 4))
    with pytest.raises(InsufficientStock) as refused:
        reverse(posted.id)
    assert [(each.pointer, each.requested, each.available) for each in refused.value.shortages] == [
        ("/adjustments/0", 5, 3),
        ("/adjustments/2", 5, 2),
    ]
    assert (counters(level), counters(fine), counters(held)) == ((3, 0), (6, 0), (6, 4))
    apply_adjustments(AdjustRequest(ACTOR, (line(level, 3),)))
    make_due(reservation.id)
    reverse(posted.id)
    assert (counters(level), counters(fine), counters(held)) == ((1, 0), (1, 0), (1, 0))


def test_lines_of_one_level_are_taken_back_together() -> None:
    level = make_level(10)
    posted = by_hand(line(level, 5), line(level, 12, "SHIPMENT"), line(level, 7, "ADJUSTMENT"))
    reverse(posted.id)
    assert counters(level) == (10, 0)
    assert_books_balance()


def test_a_return_that_is_reversed_may_come_back_again() -> None:
    level = make_level(10)
    consume_hold(ConsumeRequest(ACTOR, "order-1", Selector(reservation_id=hold((level, 3)).id)))
    back = line(level, 3, "RETURN", order_id="order-1")
    posted = by_hand(back)
    with pytest.raises(MoreThanSold):
        by_hand(back)
    reverse(posted.id)
    assert StockDocument.objects.get(pk=posted.id).reference == "order-1"
    by_hand(back)
    assert counters(level) == (10, 0)


def test_whoever_lacks_one_of_the_warehouses_reverses_nothing() -> None:
    level = make_level(10)
    receive(level.product_id, 10, "wh-002")
    posted = by_hand(line(level, 5), line(level, 5, warehouse="wh-002"))
    limited = msgspec.structs.replace(CLERK, warehouse_codes=("wh-001",))
    with pytest.raises(NotFound):
        reverse(posted.id, limited)
    assert StockDocument.objects.visible_to(limited).count() == 1
    assert not StockDocument.objects.visible_to(msgspec.structs.replace(CLERK, warehouse_codes=("wh-009",))).exists()
    reverse(posted.id, msgspec.structs.replace(CLERK, warehouse_codes=("wh-002", "wh-001")))


def test_a_document_whose_movements_are_archived_is_not_reversed() -> None:
    level = make_level(10)
    posted = by_hand(line(level, 5))
    StockDocument.objects.filter(pk=posted.id).update(created_at="2020-01-01T00:00:00Z")
    with pytest.raises(Archived):
        reverse(posted.id)


def test_typed_numbers_are_read_in_any_case_and_nothing_else_is() -> None:
    for text in ("RC-1042", "rc-1042", " Rc 1042 ", "rc1042"):
        assert parse_number(text, ("RC",)) == ("RC", 1042)
    for text in ("TR-1042", "RC-", "RC-1042-1", "XRC-1042", "RC-" + "9" * 19, "1042", "", "RC-١"):
        assert parse_number(text, ("RC",)) is None


# ----------------------------------------------------------------------------------------------------------- transfers


def sent(level: StockLevel, units: int = 4) -> Transfer:
    item = MoveLine(level.product_id, None, units, "wh-001", "wh-002")
    started: Any = start_transfer(TransferRequest(CLERK, (item,)))
    return Transfer.objects.get(pk=started.document.id)


def back(transfer: Transfer, actor: Any = CLERK) -> Transfer:
    done: Any = send_back(SendBackRequest(actor, transfer.pk, "wrong warehouse"))
    return Transfer.objects.get(pk=done.document.id)


def test_transfers_and_counts_have_short_numbers() -> None:
    first, second = sent(make_level(10)), sent(make_level(10))
    assert (str(first), second.number) == (f"TR-{first.number}", first.number + 1)


def test_what_a_transfer_brought_is_sent_back_once() -> None:
    level = make_level(10)
    transfer = sent(level)
    with pytest.raises(TransferNotReceived):
        back(transfer)
    receive_transfer(ReceiveRequest(CLERK, transfer.pk, (Arrived(level.product_id, None, 3),), close=True))
    returning = back(transfer)
    assert (returning.status, returning.reference, returning.reverses_id) == ("IN_TRANSIT", str(transfer), transfer.pk)
    assert (returning.from_warehouse.code, returning.to_warehouse.code) == ("wh-002", "wh-001")
    assert counters(StockLevel.objects.get(product=level.product, warehouse__code="wh-002")) == (0, 0)
    with pytest.raises(DocumentReversed) as refused:
        back(transfer)
    assert refused.value.faults[0].facts == {"reversedBy": str(returning)}
    cancel_transfer(CancelTransferRequest(CLERK, returning.pk))
    again = back(transfer)
    receive_transfer(ReceiveRequest(CLERK, again.pk))
    assert counters(level) == (9, 0)
    assert_books_balance()


def test_what_is_not_there_any_more_is_not_sent_back() -> None:
    level = make_level(10)
    transfer = sent(level)
    receive_transfer(ReceiveRequest(CLERK, transfer.pk))
    apply_adjustments(AdjustRequest(ACTOR, (line(level, 1, "SHIPMENT", "wh-002"),)))
    with pytest.raises(InsufficientStock) as refused:
        back(transfer)
    assert [(each.requested, each.available) for each in refused.value.shortages] == [(4, 3)]
    with pytest.raises(NotFound):
        back(transfer, msgspec.structs.replace(CLERK, warehouse_codes=("wh-001",)))


def test_numbers_are_unique_whoever_writes_them() -> None:
    make_warehouse("wh-002")
    transfer = sent(make_level(10))
    with connection.cursor() as cursor:
        cursor.execute("SELECT nextval('inventory_transfer_number')")
        assert cursor.fetchone()[0] == transfer.number + 1
