"""Pages of deliveries over HTTP: saved at each step, merged, posted once, and only within reach."""

from uuid import uuid4

import pytest
from django.conf import settings
from django.test import Client
from django.urls import reverse

from audit.models import StaffAccess
from inventory.models import Movement, ReceivingDraft
from tests.books import assert_books_balance
from tests.config.draft_pages import scan, scanned, send, sent, statuses
from tests.drafts import RECEIVE, begin_delivery, begin_transfer, draft_form, review_and_post, type_units
from tests.factories import counters, make_level, make_product, make_warehouse, recorded
from tests.staff import browser_of, make_staff

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("store")]

DASHBOARD = "/admin/"
NOBODYS = "01900000-0000-7000-8000-000000000001"
"""An id that nothing has."""


def lines_of(draft: str) -> dict[str, int]:
    """The lines of a delivery's draft, by SKU."""
    found = ReceivingDraft.objects.get(pk=draft.rstrip("/").rpartition("/")[2])
    return dict(found.lines.values_list("product__sku", "quantity"))


# --- deliveries -------------------------------------------------------------------------------------------------------


def test_delivery_is_begun_scanned_typed_reviewed_and_posted_once(clerk: Client) -> None:
    level, lamp = make_level(5), make_product(sku="LAMP-1", name="Lamp", barcode="4006381333931")
    make_warehouse("wh-002")
    path = begin_delivery(clerk, reference="DN-1")
    assert begin_delivery(clerk, reference="DN-1") == path
    first, again = scan("4006381333931"), scan("lamp-1", quantity=2)
    outcomes = scanned(clerk, path, first, again, scan("NO-SUCH-CODE"), first)
    assert statuses(outcomes) == ["added", "added", "unknown", "repeat"]
    assert outcomes[1]["line"] == {
        "key": str(lamp.pk),
        "sku": "LAMP-1",
        "name": "Lamp",
        "quantity": 3,
        "text": "",
        "warning": "",
    }
    assert outcomes[1]["message"] == "LAMP-1 Lamp: 3"
    assert statuses(scanned(clerk, path, again)) == ["repeat"]
    type_units(clerk, path, {level.product_id: 4})
    assert lines_of(path) == {"LAMP-1": 3, level.product.sku: 4}
    assert counters(level) == (5, 0)
    reviewed = clerk.post(path, draft_form(clerk, path) | {"do": "review"}).headers["Location"]
    form = draft_form(clerk, reviewed) | {"do": "post:receive"}
    posted = clerk.post(path, form, follow=True)
    assert posted.redirect_chain == [(path, 302)]
    page = posted.content.decode()
    assert "Received 7 units on 2 lines into wh-001." in page
    assert "Delivery received" in page
    again_page = clerk.post(path, form, follow=True).content.decode()
    assert "This delivery was received before: nothing was booked twice." in again_page
    assert "Delivery received" in clerk.get(reviewed).content.decode()
    assert statuses(scanned(clerk, path, scan("LAMP-1"))) == ["refused"]
    late = {"id": str(uuid4()), "key": str(lamp.pk), "do": "set", "quantity": 9}
    assert send(clerk, path, "changes", changes=[late]).status_code == 409
    assert counters(level) == (9, 0)
    assert Movement.objects.filter(reference="DN-1", reason="Delivery").count() == 2
    assert_books_balance()


def test_line_of_a_delivery_takes_as_many_units_as_one_of_the_api(clerk: Client) -> None:
    level = make_level(5)
    path = begin_delivery(clerk)
    scanned(clerk, path, scan(level.product.sku))
    for typed, found in (("1000001", 1), ("1000000", 1_000_000)):
        form = draft_form(clerk, path) | {f"units-{level.product_id}": typed, "do": "save"}
        page = clerk.post(path, form, follow=True).content.decode()
        assert ("1,000,000" in page, lines_of(path)) == (found == 1, {level.product.sku: found})


def test_two_tabs_on_one_delivery_keep_what_the_other_did(clerk: Client) -> None:
    level, other = make_level(5), make_product()
    path = begin_delivery(clerk)
    scanned(clerk, path, scan(level.product.sku))
    stale = draft_form(clerk, path)
    scanned(clerk, path, scan(level.product.sku), scan(other.sku, quantity=7))
    clerk.post(path, stale | {"do": "save"})
    assert lines_of(path) == {level.product.sku: 2, other.sku: 7}
    page = clerk.post(path, stale | {f"units-{level.product_id}": "9", "do": "save"}, follow=True).content.decode()
    assert f"{level.product.sku} is 2 now: it was changed in another tab or on another device." in page
    change = {"id": str(uuid4()), "key": str(level.product_id), "do": "set", "quantity": 9, "seen": 1}
    refused = send(clerk, path, "changes", changes=[change]).json()
    assert (refused["outcomes"][0]["status"], refused["outcomes"][0]["line"]["quantity"]) == ("refused", 2)
    for expected in ("added", "repeat"):
        answer = send(clerk, path, "changes", changes=[change | {"seen": 2}]).json()
        assert (answer["outcomes"][0]["status"], answer["lines"], answer["units"]) == (expected, 2, 16)
    removed = {"id": str(uuid4()), "key": str(other.pk), "do": "remove", "seen": 7}
    assert send(clerk, path, "changes", changes=[removed]).json()["units"] == 9
    # What was reviewed before that isn't posted.
    reviewed = clerk.post(path, draft_form(clerk, path) | {"do": "review"}).headers["Location"]
    form = draft_form(clerk, reviewed)
    scanned(clerk, path, scan(other.sku))
    page = clerk.post(path, form | {"do": "post:receive"}, follow=True).content.decode()
    assert "Nothing was posted: check it again." in page
    assert counters(level) == (5, 0)


def test_form_of_a_draft_that_is_sent_twice_adds_once(clerk: Client) -> None:
    level = make_level(5)
    path = begin_delivery(clerk)
    form = draft_form(clerk, path) | {"do": "add", "code": level.product.sku}
    for _ in range(2):
        page = clerk.post(path, form, follow=True).content.decode()
        assert f"{level.product.sku} {level.product.name}: 1" in page
    assert lines_of(path) == {level.product.sku: 1}
    form = draft_form(clerk, path) | {"do": f"remove:{level.product_id}"}
    assert clerk.post(path, form).status_code == 302
    assert lines_of(path) == {}


@pytest.mark.parametrize("typed", ["abc", "-1", "1.5", "99999999999", "1_000", "\u0663", "9" * 64])
def test_units_that_are_no_number_are_refused_and_kept(clerk: Client, typed: str) -> None:
    level, other = make_level(5), make_product()
    path = begin_delivery(clerk)
    scanned(clerk, path, scan(level.product.sku), scan(other.sku))
    answer = type_units(clerk, path, {level.product_id: typed, other.pk: 8})
    assert answer.status_code == 422
    page = answer.content.decode()
    assert f"{level.product.sku}: “" in page
    assert f'value="{typed}"' in page
    assert lines_of(path) == {level.product.sku: 1, other.sku: 8}


def test_details_are_saved_beside_the_lines_and_only_where_they_were_changed(clerk: Client) -> None:
    make_warehouse("wh-002")
    path = begin_delivery(clerk, reference="DN-1")
    stale = draft_form(clerk, path)
    assert clerk.post(path, stale | {"reference": "DN-2", "do": "save"}).status_code == 302
    assert clerk.post(path, stale | {"reason": "Late", "do": "save"}).status_code == 302
    draft = ReceivingDraft.objects.get()
    assert (draft.reference, draft.note) == ("DN-2", "Late")
    refused = clerk.post(path, stale | {"reference": "DN-3", "do": "save"})
    assert refused.status_code == 422
    begin_delivery(clerk, reference="DN-4")
    assert clerk.post(path, draft_form(clerk, path) | {"reference": "DN-4", "do": "save"}).status_code == 422
    assert clerk.post(path, draft_form(clerk, path) | {"warehouse": "wh-009", "do": "save"}).status_code == 422


@pytest.mark.parametrize(
    "body",
    [
        "",
        "[]",
        '{"changes": []}',
        '{"changes": [{"id": "x", "key": "y", "do": "set"}]}',
        f'{{"changes": [{{"id": "{NOBODYS}", "key": "{NOBODYS}", "do": "set", "quantity": 2147483648}}]}}',
        f'{{"changes": [{{"id": "{NOBODYS}", "key": "{NOBODYS}", "do": "set", "quantity": 1}}]}}',
        "[" * 10_000,
    ],
)
def test_changes_of_the_wrong_shape_are_refused_with_the_reason(clerk: Client, body: str) -> None:
    make_warehouse("wh-001")
    path = begin_delivery(clerk)
    answer = clerk.post(f"{path}changes/", body, content_type="application/json")
    assert answer.status_code == 400
    assert answer.json()["message"]
    for page in ("changes", "scans"):
        assert clerk.get(f"{path}{page}/").status_code == 405
        assert clerk.post(f"{path}{page}/", {"once": "x"}).status_code == 400


def test_line_has_at_most_a_million_units_and_a_code_of_several_products_is_not_guessed(clerk: Client) -> None:
    level = make_level(5)
    make_product(sku="A-1", barcode="123")
    make_product(sku="A-2", barcode="123")
    path = begin_delivery(clerk)
    outcomes = scanned(clerk, path, scan(level.product.sku, quantity=1_000_000), scan(level.product.sku), scan("123"))
    assert statuses(outcomes) == ["added", "refused", "ambiguous"]
    assert "a line has at most 1,000,000 units" in outcomes[1]["message"]
    assert [choice["sku"] for choice in outcomes[2]["choices"]] == ["A-1", "A-2"]
    chosen = scan("123", choice=outcomes[2]["choices"][1]["key"])
    assert scanned(clerk, path, chosen)[0]["line"]["sku"] == "A-2"
    page = clerk.post(path, draft_form(clerk, path) | {"do": "add", "code": "123"}, follow=True).content.decode()
    assert "123 is the code of several products. Which one is it?" in page


def test_delivery_without_lines_is_not_reviewed_and_one_is_discarded_on_request(clerk: Client) -> None:
    level = make_level(5)
    path = begin_delivery(clerk, reference="DN-1")
    page = clerk.post(path, draft_form(clerk, path) | {"do": "review"}, follow=True).content.decode()
    assert "There is nothing to post yet: scan a product first." in page
    scanned(clerk, path, scan(level.product.sku))
    assert (
        f"The draft is deleted after {settings.DRAFT_DAYS} days without a change." in clerk.get(path).content.decode()
    )
    form = {"once": str(uuid4())}
    assert "DN-1" in clerk.get(f"{path}discard/").content.decode()
    page = clerk.post(f"{path}discard/", form, follow=True).content.decode()
    assert "The delivery was discarded. Nothing was received." in page
    assert clerk.get(path).status_code == 404
    assert clerk.post(f"{path}discard/", form).status_code == 404
    assert len(recorded("inventory_draft_discarded")) == 1


def test_draft_stays_with_a_renamed_account_and_is_taken_over_from_one_that_is_gone(clerk: Client) -> None:
    level, anna = make_level(5), make_staff("warehouse", "wh-001", name="anna")
    browser = browser_of(anna)
    path = begin_delivery(browser, reference="PO-123")
    scanned(browser, path, scan(level.product.sku, quantity=3))
    anna.username = "anne"
    anna.save()
    make_staff("warehouse", "wh-001", name="anna")
    assert f'href="{path}"' in browser.get(DASHBOARD).content.decode()
    assert statuses(scanned(browser, path, scan(level.product.sku))) == ["added"]
    take_over = f"{path}take_over/"
    assert take_over not in clerk.get(DASHBOARD).content.decode()
    assert clerk.get(take_over).status_code == clerk.get(path).status_code == 404
    anna.is_active = False
    anna.save()
    for page in (DASHBOARD, RECEIVE):
        assert "Take over delivery PO-123 of anna, 1 line" in clerk.get(page).content.decode()
    elsewhere = browser_of(make_staff("warehouse", "wh-002"))
    assert elsewhere.get(take_over).status_code == 404
    assert browser_of(make_staff("viewer", "wh-001")).get(take_over).status_code == 403
    assert "Begun by" in clerk.get(take_over).content.decode()
    form = {"once": str(uuid4())}
    page = clerk.post(take_over, form, follow=True).content.decode()
    assert "The delivery is yours now. Its lines are kept." in page
    assert clerk.post(take_over, form).headers["Location"] == path
    assert lines_of(path) == {level.product.sku: 4}
    assert "Delivery received" in review_and_post(clerk, path, "receive").content.decode()


def test_dashboard_and_the_first_page_offer_to_continue(clerk: Client) -> None:
    level = make_level(20)
    make_warehouse("wh-002")
    delivery, unnamed = begin_delivery(clerk, reference="PO-123"), begin_delivery(clerk)
    transfer, arrival = begin_transfer(clerk), sent(level, 8)
    for path in (delivery, unnamed, transfer, arrival):
        assert f'href="{path}"' not in clerk.get(DASHBOARD).content.decode()
        scanned(clerk, path, scan(level.product.sku))
    begun_before = "You began this before, and continue it here."
    assert begin_delivery(clerk, reference="PO-123") == delivery
    assert begun_before in clerk.get(delivery).content.decode()
    assert begin_transfer(clerk) == transfer
    assert begun_before in clerk.get(transfer).content.decode()
    page = clerk.get(DASHBOARD).content.decode()
    for words, path in (
        ("Continue delivery PO-123, 1 line", delivery),
        ("Continue delivery, 1 line", unnamed),
        ("Continue transfer wh-001 → wh-002, 1 line", transfer),
        ("Continue receiving transfer wh-001 → wh-002, 1 line", arrival),
    ):
        assert f'<a class="flow-link" href="{path}">{words}</a>' in page
    assert "Continue delivery PO-123" in clerk.get(RECEIVE).content.decode()
    assert "Continue transfer" in clerk.get(reverse("admin:inventory_transfer_new_transfer")).content.decode()
    other = browser_of(make_staff("warehouse"))
    assert "Continue" not in other.get(DASHBOARD).content.decode()


# --- who may ----------------------------------------------------------------------------------------------------------


def test_clerk_of_one_warehouse_scans_at_once_and_posts_only_within_reach() -> None:
    level = make_level(5)
    make_level(5, "wh-009")
    person = make_staff("warehouse", "wh-001")
    browser = browser_of(person)
    path = browser.get(RECEIVE).headers["Location"]
    assert browser.get(RECEIVE).headers["Location"] == path
    assert browser.post(RECEIVE, {"once": str(uuid4()), "warehouse": "wh-009"}).status_code == 422
    scanned(browser, path, scan(level.product.sku))
    reviewed = browser.post(path, draft_form(browser, path) | {"do": "review"}).headers["Location"]
    form = draft_form(browser, reviewed) | {"do": "post:receive"}
    for other in (browser_of(make_staff("warehouse")), browser_of(make_staff())):
        assert (other.get(path).status_code, other.post(path, form).status_code) == (404, 404)
        assert send(other, path, scans=[scan(level.product.sku)]).status_code == 404
        assert other.get(f"{path}discard/").status_code == 404
    StaffAccess.objects.filter(user=person).update(warehouse_codes=["wh-009"])
    assert (browser.get(path).status_code, browser.post(path, form).status_code) == (404, 404)
    assert send(browser, path, scans=[scan(level.product.sku)]).status_code == 404
    assert "Continue" not in browser.get(DASHBOARD).content.decode()
    assert counters(level) == (5, 0)


def test_viewer_has_no_drafts() -> None:
    level = make_level(5)
    viewer, path = browser_of(make_staff("viewer")), begin_delivery(browser_of(make_staff("warehouse")))
    assert viewer.get(RECEIVE).status_code == 403
    for address in (path, f"{path}scans/", f"{path}changes/", f"{path}discard/"):
        assert (viewer.get(address).status_code, viewer.post(address).status_code) == (403, 403), address
    assert counters(level) == (5, 0)
