"""Drafts of arrivals and of transfers: changed by commands, posted once."""

import threading
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from msgspec.structs import replace
from uuid_utils.compat import uuid7

from audit.actors import Actor
from audit.errors import Invalid, NotFound
from inventory.errors import (
    DraftChanged,
    InsufficientStock,
    TransferAlreadySent,
    TransferNotSent,
    UnknownWarehouse,
)
from inventory.models import (
    StockLevel,
    Transfer,
    TransferLine,
)
from inventory.services.drafts import posting, receiving
from inventory.services.drafts.lines import LineCommand
from inventory.services.drafts.posting import PostDraftRequest, PostedBefore
from inventory.services.transfers import commands as transfers
from inventory.services.transfers import documents, drafting
from inventory.services.transfers.commands import MoveLine, SendRequest, TransferRequest
from inventory.services.transfers.drafting import TransferDetails
from inventory.services.transfers.moves import Transferred
from tests.books import assert_books_balance
from tests.factories import ACTOR, counters, make_level, make_product, make_warehouse, receive, recorded
from tests.inventory.drafts import ANNA, BERT, add, post, put, version_of

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("store")]


def sent(level: StockLevel, units: int, to: str = "wh-002") -> UUID:
    """Send units of a level to another warehouse. Returns the transfer's id."""
    make_warehouse(to)
    done = transfers.start_transfer(TransferRequest(ACTOR, (MoveLine(level.product_id, None, units, "wh-001", to),)))
    assert isinstance(done, Transferred)
    return done.document.id


# --- arrivals ---------------------------------------------------------------------------------------------------------


def arrive(draft_id: UUID, actor: Actor = ANNA, **fields: Any) -> Any:
    return posting.post_arrival(PostDraftRequest(actor, draft_id, **{"version": version_of(draft_id), **fields}))


def test_arrival_is_scanned_and_posted_once_and_takes_only_its_products() -> None:
    level = make_level(20)
    transfer = sent(level, 8)
    draft = receiving.open_arrival(ANNA, transfer)
    assert receiving.open_arrival(ANNA, transfer) == draft
    done = receiving.change_lines(ANNA, draft, [add(level.product_id, 3), add(make_product().pk)])
    assert [outcome.verdict for outcome in done.outcomes] == ["done", "not_expected"]
    assert isinstance(arrive(draft), Transferred)
    assert isinstance(arrive(draft), PostedBefore)
    there = StockLevel.objects.get(product=level.product, warehouse__code="wh-002")
    assert there.on_hand == 3
    rest = receiving.open_arrival(ANNA, transfer)
    assert rest != draft
    with pytest.raises(Invalid):
        arrive(rest)
    assert isinstance(arrive(rest, close=True, reason="lost"), Transferred)
    assert Transfer.objects.get(pk=transfer).status == "RECEIVED"
    with pytest.raises(NotFound):
        receiving.open_arrival(replace(BERT, warehouse_codes=("wh-001",)), transfer)
    assert_books_balance()


def test_draft_of_a_transfer_does_not_arrive() -> None:
    level = make_level(20)
    make_warehouse("wh-002")
    with pytest.raises(TransferNotSent):
        receiving.open_arrival(ANNA, drafting.open_draft(ANNA, "wh-001", "wh-002"))
    delivery = receiving.open_delivery(ANNA, "wh-001", "")
    receiving.change_lines(ANNA, delivery, [add(level.product_id)])
    with pytest.raises(Invalid):
        arrive(delivery)


# --- transfers --------------------------------------------------------------------------------------------------------


def test_transfer_is_drafted_line_by_line_and_sent_as_it_was_seen() -> None:
    level, other = make_level(20), make_level(5)
    make_warehouse("wh-002")
    draft = drafting.open_draft(ANNA, "wh-001", "wh-002")
    assert drafting.open_draft(ANNA, "wh-001", "wh-002") == draft
    assert drafting.open_draft(BERT, "wh-001", "wh-002") != draft
    with pytest.raises(Invalid):
        transfers.send_transfer(SendRequest(ANNA, draft))
    scans = [add(level.product_id), add(other.product_id), put(level.product_id, 8, seen=1)]
    for verdict in ("done", "repeat"):
        changed = drafting.change_lines(ANNA, draft, scans)
        assert [outcome.verdict for outcome in changed.outcomes] == [verdict] * 3
    drafting.set_details(ANNA, draft, TransferDetails("wh-001", "wh-002", "T-1"), TransferDetails("wh-001", "wh-002"))
    seen = documents.read_transfers([draft])[draft].version
    drafting.change_lines(BERT, draft, [LineCommand(uuid7(), other.product_id, "remove", seen=1)])
    with pytest.raises(DraftChanged):
        transfers.send_transfer(SendRequest(ANNA, draft, seen=seen))
    assert counters(level) == (20, 0)
    seen = documents.read_transfers([draft])[draft].version
    transfers.send_transfer(SendRequest(ANNA, draft, seen=seen))
    assert (counters(level), counters(other)) == ((12, 0), (5, 0))
    assert Transfer.objects.get(pk=draft).reference == "T-1"
    with pytest.raises(TransferAlreadySent):
        drafting.change_lines(ANNA, draft, [add(level.product_id)])
    assert len(recorded("inventory_transfer_created")) == 2
    assert_books_balance()


def test_draft_of_a_transfer_is_changed_only_within_reach() -> None:
    level = make_level(20)
    make_warehouse("wh-002")
    draft = drafting.open_draft(ANNA, "wh-001", "wh-002")
    limited = replace(ANNA, warehouse_codes=("wh-002",))
    details = TransferDetails("wh-001", "wh-002")
    with pytest.raises(NotFound):
        drafting.change_lines(limited, draft, [add(level.product_id)])
    with pytest.raises(NotFound):
        drafting.set_details(limited, draft, replace_reference(details), details)
    with pytest.raises(UnknownWarehouse):
        drafting.open_draft(limited, "wh-001", "wh-002")
    drafting.change_lines(ANNA, draft, [add(level.product_id, 21)])
    with pytest.raises(InsufficientStock):
        transfers.send_transfer(SendRequest(ANNA, draft))
    assert TransferLine.objects.get(transfer=draft).quantity == 21


def replace_reference(details: TransferDetails) -> TransferDetails:
    return TransferDetails(details.from_warehouse, details.to_warehouse, "T-9")


# --- at the same time -------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_scans_and_posts_at_the_same_time_lose_nothing_and_book_nothing_twice() -> None:
    product = make_product()
    receive(product, 1)
    draft = receiving.open_delivery(ANNA, "wh-001", "PO-1")

    def at_once(*works: Any) -> list[Any]:
        results: list[Any] = []

        def run(work: Any) -> None:
            try:
                results.append(work())
            finally:
                connection.close()

        threads = [threading.Thread(target=run, args=(work,)) for work in works]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return results

    batches = [[add(product.pk) for _ in range(5)] for _ in range(4)]
    at_once(*(lambda batch=batch: receiving.change_lines(ANNA, draft, batch) for batch in batches))
    assert receiving.quantities_of(draft) == {product.pk: 20}
    seen = version_of(draft)
    done = at_once(*(lambda: post(draft, version=seen) for _ in range(4)))
    assert sorted(type(result).__name__ for result in done) == ["Adjusted"] + ["PostedBefore"] * 3
    assert StockLevel.objects.get(product=product).on_hand == 21
    assert_books_balance()
