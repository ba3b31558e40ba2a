"""Drafts of transfers, and what a transfer leaves in the audit trail and the events."""

from typing import Any

import pytest

from inventory.errors import (
    InsufficientStock,
    TransferAlreadySent,
    TransferNotSent,
)
from inventory.models import StockLevel
from inventory.services.transfers.commands import (
    SendRequest,
    TransferRequest,
    change_draft,
    send_transfer,
)
from tests.factories import (
    ACTOR,
    counters,
    make_level,
    published,
    recorded,
)
from tests.inventory.transfers import CLERK, became, cancelled, done, drafted, moved, received, sent, wanted

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("store", "books_balance")]


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
    require_events(published("InventoryTransferredEvent"), level, draft.document.public_id)


def require_events(events: list[dict[str, Any]], level: StockLevel, transfer_id: str) -> None:
    assert [(event["change"], event["status"]) for event in events] == [
        ("SENT", "IN_TRANSIT"),
        ("RECEIVED", "PARTIALLY_RECEIVED"),
        ("CLOSED", "RECEIVED"),
        ("SENT", "IN_TRANSIT"),
        ("CANCELLED", "CANCELLED"),
    ]
    assert events[2]["items"] == [{"productId": str(level.product_id), "quantity": 1, "quantityLost": 2}]
    assert (events[0]["fromWarehouseId"], events[0]["toWarehouseId"]) == ("wh-001", "wh-002")
    assert events[0]["transferId"] == transfer_id
