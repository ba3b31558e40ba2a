"""Whatever is posted by hand links to its document, and can be undone there."""

import re
from html import unescape
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse
from uuid_utils.compat import uuid7

from audit.actors import Actor
from inventory.models import StockCount, StockDocument, StockLevel, Transfer
from inventory.services.drafts import receiving
from inventory.services.drafts.lines import LineCommand
from inventory.services.transfers.commands import ReceiveRequest, receive_transfer
from tests.factories import ACTOR, counters, hold, make_level, receive
from tests.staff import browser_of, make_staff, post

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("store")]


@pytest.fixture
def clerk() -> Client:
    return browser_of(make_staff("warehouse", "wh-001", "wh-002", name="bob"))


def of_level(action: str, level: StockLevel) -> str:
    return reverse(f"admin:inventory_stocklevel_{action}", args=[level.pk])


def of_document(action: str, document: StockDocument) -> str:
    return reverse(f"admin:inventory_stockdocument_{action}", args=[document.pk])


def message_of(answer: Any) -> str:
    """The last message on the page, as HTML."""
    return str(list(answer.context["messages"])[-1])


def text_of(answer: Any) -> str:
    page = re.sub(r"</?a\b[^>]*>", "", answer.content.decode())
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", page)).split())


def typed(clerk: Client, action: str, level: StockLevel, quantity: int, **fields: str) -> Any:
    return post(clerk, of_level(action, level), quantity=str(quantity), remark="typed", **fields)


def test_each_way_to_post_offers_its_document_and_undo(clerk: Client) -> None:
    level = make_level(20)
    wanted = [
        ("RC", typed(clerk, "receive", level, 5)),
        ("SH", typed(clerk, "ship", level, 1)),
        ("AD", typed(clerk, "adjust", level, -2)),
        ("RT", typed(clerk, "take_back", level, 1)),
        ("RC", _rows(clerk, level)),
        ("RC", _delivery(clerk, level)),
    ]
    documents = list(StockDocument.objects.order_by("id"))
    assert [document.kind for document in documents] == [kind for kind, _ in wanted]
    for document, (_, answer) in zip(documents, wanted, strict=True):
        message = message_of(answer)
        assert f'<a class="console-link" href="{of_document("change", document)}">{document}</a>' in message
        assert f'href="{of_document("reverse", document)}" data-dialog data-undo="10">Undo</a>' in message
        assert message in answer.content.decode()
    for document in documents:
        post(clerk, of_document("reverse", document), reason="posted by mistake")
    assert counters(level) == (20, 0)


def _rows(clerk: Client, level: StockLevel) -> Any:
    rows = {"level": str(level.pk), f"units-{level.pk}": "3", "remark": "typed"}
    return post(clerk, reverse("admin:inventory_stocklevel_receive_rows"), **rows)


def _delivery(clerk: Client, level: StockLevel) -> Any:
    account = User.objects.get(username="bob").pk
    bob = Actor("bob", None, "", "admin", warehouse_codes=("wh-001", "wh-002"), account_id=account)
    draft = receiving.open_delivery(bob, "wh-001", "PO-7")
    version = receiving.change_lines(bob, draft, [LineCommand(uuid7(), level.product_id, "add", 4)]).version
    address = reverse("admin:inventory_movement_delivery", args=[draft])
    posted = post(clerk, address, do="post:receive", version=version)
    assert f'href="{of_document("change", StockDocument.objects.latest("id"))}"' in posted.content.decode()
    return posted


def test_page_of_a_document_shows_lines_labels_and_how_it_ended(clerk: Client) -> None:
    level = make_level(20)
    typed(clerk, "receive", level, 5, reference="PO-1")
    document = StockDocument.objects.get()
    page = clerk.get(of_document("change", document))
    assert f"{level.product} wh-001 Receipt +5 25" in text_of(page)
    assert of_document("reverse", document) in page.content.decode()
    moves = clerk.get(reverse("admin:inventory_movement_changelist"), {"q": str(document).lower()})
    assert [move.quantity for move in moves.context["cl"].result_list] == [5]
    none = clerk.get(reverse("admin:inventory_movement_changelist"), {"q": f"RC-{document.number + 1}"})
    assert not none.context["cl"].result_list
    labels = clerk.get(of_document("labels", document))
    assert level.product.sku in labels.content.decode()
    assert f"Labels of {document}" in labels.content.decode()
    done = post(clerk, of_document("reverse", document), reason="wrong order")
    reversal = StockDocument.objects.get(kind="RV")
    assert f"{document} is reversed." in message_of(done)
    assert "data-undo" not in message_of(done)
    page = clerk.get(of_document("change", document))
    assert f"Reversed by {reversal}" in text_of(page)
    assert of_document("reverse", document) not in page.content.decode()
    assert f"This document reverses {document}" in text_of(clerk.get(of_document("change", reversal)))


def test_a_document_is_reversed_once_from_however_many_tabs(clerk: Client) -> None:
    level = make_level(20)
    typed(clerk, "receive", level, 5)
    document = StockDocument.objects.get()
    once = str(uuid7())
    for _ in range(2):
        post(clerk, of_document("reverse", document), reason="mistake", once=once)
    reversal = StockDocument.objects.get(kind="RV")
    for answer in (
        post(clerk, of_document("reverse", document), reason="mistake"),
        clerk.get(of_document("reverse", document), follow=True),
    ):
        assert f"{document} was reversed before, by {reversal}." in text_of(answer)
        assert f'href="{of_document("change", reversal)}"' in answer.content.decode()
    refused = post(clerk, of_document("reverse", reversal), reason="mistake")
    assert "This is a reversal." in text_of(refused)
    assert counters(level) == (20, 0)


def test_what_is_gone_or_reserved_is_named_and_a_reason_is_needed(clerk: Client) -> None:
    level = make_level(1)
    typed(clerk, "receive", level, 5)
    hold((level, 3))
    document = StockDocument.objects.get()
    refused = post(clerk, of_document("reverse", document), reason="mistake")
    assert refused.status_code == 422
    assert f"{level.place}: 5 to reverse, 3 available." in text_of(refused)
    assert post(clerk, of_document("reverse", document), reason=" ").status_code == 422
    assert counters(level) == (6, 3)
    assert 'value="Posted by mistake"' in clerk.get(of_document("reverse", document)).content.decode()


def test_undo_needs_its_permission_and_all_of_the_warehouses(clerk: Client) -> None:
    level = make_level(20)
    other = receive(level.product, 5, "wh-002")
    rows = {"level": [str(level.pk), str(other.pk)], f"units-{level.pk}": "3", f"units-{other.pk}": "4", "remark": "x"}
    post(clerk, reverse("admin:inventory_stocklevel_receive_rows"), **rows)
    document = StockDocument.objects.get()
    assert document.warehouse_codes == ["wh-001", "wh-002"]
    limited = browser_of(make_staff("warehouse", "wh-001"))
    page = limited.get(of_document("change", document))
    assert "wh-001 Receipt +3" in text_of(page)
    assert "wh-002 Receipt" not in text_of(page)
    assert of_document("reverse", document) not in page.content.decode()
    assert post(limited, of_document("reverse", document), reason="x").status_code == 404
    stranger = browser_of(make_staff("warehouse", "wh-009"))
    for action in ("change", "reverse", "labels"):
        assert stranger.get(of_document(action, document)).status_code == 404
    for group in ("viewer", "auditor"):
        assert post(browser_of(make_staff(group)), of_document("reverse", document), reason="x").status_code == 403
    person = make_staff("viewer", name="receives")
    person.user_permissions.add(Permission.objects.get(codename="receive_stock"))
    message = message_of(typed(browser_of(person), "receive", level, 1))
    assert ("console-link" in message, "data-undo" in message) == (True, False)
    assert counters(level) == (24, 0)


def test_a_transfer_is_undone_by_cancelling_it_and_later_by_sending_it_back(clerk: Client) -> None:
    level = make_level(20)
    message = message_of(typed(clerk, "transfer", level, 6, to_warehouse="wh-002"))
    transfer = Transfer.objects.get()
    assert f'href="{reverse("admin:inventory_transfer_change", args=[transfer.pk])}">{transfer}</a>' in message
    cancel, back = (reverse(f"admin:inventory_transfer_{name}", args=[transfer.pk]) for name in ("cancel", "send_back"))
    assert f'href="{cancel}" data-dialog data-undo="10"' in message
    refused = post(clerk, back, reason="wrong place")
    assert "Cancel the transfer while its units are on the way." in text_of(refused)
    receive_transfer(ReceiveRequest(ACTOR, transfer.pk))
    page = clerk.get(reverse("admin:inventory_transfer_change", args=[transfer.pk]))
    assert (back in page.content.decode(), cancel in page.content.decode()) == (True, False)
    assert (
        level.product.sku in clerk.get(reverse("admin:inventory_transfer_labels", args=[transfer.pk])).content.decode()
    )
    post(clerk, back, reason="wrong place")
    returning = Transfer.objects.get(reverses=transfer)
    again = clerk.get(back, follow=True)
    assert f"{transfer} was sent back before, as {returning}." in text_of(again)
    assert back not in again.content.decode()
    assert post(browser_of(make_staff("warehouse", "wh-001")), back, reason="x").status_code == 404


def test_a_count_that_was_entered_links_to_it(clerk: Client) -> None:
    message = message_of(typed(clerk, "count", make_level(20), 19))
    count = StockCount.objects.get()
    assert f">{count}</a>" in message
    assert "data-undo" not in message
