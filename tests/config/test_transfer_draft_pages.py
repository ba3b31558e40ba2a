"""Pages of transfers that are drafted and received over HTTP."""

import pytest
from django.test import Client
from django.urls import reverse

from inventory.models import StockLevel, Transfer
from tests.books import assert_books_balance
from tests.config.draft_pages import scan, scanned, sent, statuses
from tests.drafts import begin_delivery, begin_transfer, draft_form, review_and_post, type_units
from tests.factories import counters, make_level, make_product, make_warehouse
from tests.staff import browser_of, make_staff

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("store")]


# --- transfers --------------------------------------------------------------------------------------------------------


def test_transfer_is_drafted_by_scanning_and_sent_once(clerk: Client) -> None:
    level = make_level(20)
    make_warehouse("wh-002")
    path = begin_transfer(clerk)
    assert begin_transfer(clerk) == path
    (outcome,) = scanned(clerk, path, scan(level.product.sku, quantity=8))
    assert outcome["line"]["text"] == "20 available in wh-001"
    type_units(clerk, path, {level.product_id: 5}, reference="T-1")
    draft = Transfer.objects.get()
    assert (draft.reference, draft.lines.get().quantity, counters(level)) == ("T-1", 5, (20, 0))
    reviewed = clerk.post(path, draft_form(clerk, path) | {"do": "review"}).headers["Location"]
    form = draft_form(clerk, reviewed) | {"do": "post:send"}
    page = clerk.post(path, form, follow=True)
    assert "5 units are on their way from wh-001 to wh-002." in page.content.decode()
    document = reverse("admin:inventory_transfer_change", args=[draft.pk])
    assert page.redirect_chain[-1][0] == document
    assert "nothing was booked twice" in clerk.post(path, form, follow=True).content.decode()
    assert clerk.get(reviewed).headers["Location"] == document
    assert statuses(scanned(clerk, path, scan(level.product.sku))) == ["refused"]
    assert counters(level) == (15, 0)
    assert_books_balance()


def test_short_line_of_a_transfer_is_named_and_the_draft_is_kept(clerk: Client) -> None:
    level = make_level(5)
    make_warehouse("wh-002")
    path = begin_transfer(clerk)
    scanned(clerk, path, scan(level.product.sku, quantity=6))
    page = review_and_post(clerk, path, "send").content.decode()
    assert f"{level.product.sku}: 6 wanted, 5 free." in page
    assert Transfer.objects.get().lines.get().quantity == 6


def test_two_people_receive_the_same_units_once() -> None:
    level = make_level(20)
    path = sent(level, 8)
    anna, bert = browser_of(make_staff("warehouse")), browser_of(make_staff("warehouse"))
    forms = []
    for browser in (anna, bert):
        assert statuses(scanned(browser, path, scan(level.product.sku, quantity=3), scan(make_product().sku))) == [
            "added",
            "refused",
        ]
        reviewed = browser.post(path, draft_form(browser, path) | {"do": "review"}).headers["Location"]
        forms.append(draft_form(browser, reviewed) | {"do": "post:receive"})
    page = anna.post(path, forms[0], follow=True).content.decode()
    assert "3 units received; 5 units still on the way." in page
    assert "nothing was booked twice" in anna.post(path, forms[0], follow=True).content.decode()
    assert "check it again" in bert.post(path, forms[1], follow=True).content.decode()
    there = StockLevel.objects.get(product=level.product, warehouse__code="wh-002")
    assert there.on_hand == 3
    assert "3 units received; 2 units still on the way." in review_and_post(bert, path, "receive").content.decode()
    assert_books_balance()


@pytest.mark.parametrize("version", ["9" * 5000, "x", "", "-1", "\u0663"])
def test_posting_what_is_no_version_posts_nothing(clerk: Client, version: str) -> None:
    level = make_level(20)
    delivery, arrival = begin_delivery(clerk), sent(level, 8)
    for path in (delivery, arrival):
        scanned(clerk, path, scan(level.product.sku))
        form = draft_form(clerk, path) | {"version": version, f"seen-{level.product_id}": version}
        assert clerk.post(path, form | {"do": "save"}).status_code == 302
        page = clerk.post(path, form | {"do": "post:receive"}, follow=True)
        assert "check it again" in page.content.decode()
    assert counters(level) == (12, 0)


def test_arrival_is_typed_checked_and_closed_with_what_is_lost(clerk: Client) -> None:
    level = make_level(20)
    path = sent(level, 8)
    type_units(clerk, path, {level.product_id: 9})
    page = clerk.post(path, draft_form(clerk, path) | {"do": "review"}, follow=True).content.decode()
    assert f"{level.product.sku}: 9 are more than the 8 on their way." in page
    type_units(clerk, path, {level.product_id: 7})
    reviewed = clerk.post(path, draft_form(clerk, path) | {"do": "review"}).headers["Location"]
    form = draft_form(clerk, reviewed) | {"do": "post:receive", "close": "on", "reason": "broken"}
    page = clerk.post(path, form, follow=True).content.decode()
    assert "7 units received. The transfer is closed: 1 unit lost." in page
    document = reverse("admin:inventory_transfer_change", args=[Transfer.objects.get().pk])
    assert clerk.get(reviewed).headers["Location"] == document
    assert "nothing was booked twice" in clerk.post(path, form, follow=True).content.decode()
    assert statuses(scanned(clerk, path, scan(level.product.sku))) == ["refused"]
    assert_books_balance()
