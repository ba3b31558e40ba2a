"""The flows of the console over HTTP: permissions, reach, and forms that are sent twice."""

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.http import HttpResponse
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from inventory.models import StockCount, StockCountLine, StockLevel, Transfer
from inventory.services.counts import entering, opening
from inventory.services.counts.documents import ProductRef
from inventory.services.counts.entering import EnteredCount, EnterRequest
from inventory.services.counts.opening import Opened, OpenRequest
from inventory.services.counts.posting import PostRequest, post_count
from inventory.services.transfers import commands as transfers
from inventory.services.transfers.commands import MoveLine, TransferRequest
from reservations.models import ShortageIncident
from tests.books import assert_books_balance
from tests.drafts import RECEIVE
from tests.factories import ACTOR, counters, hold, make_level, make_warehouse, recorded
from tests.staff import browser_of, make_staff

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("store")]

_FIELD = re.compile(r'<input[^>]*name="(\w+)"[^>]*value="([^"]*)"')


def at(name: str, *arguments: Any) -> str:
    return reverse(f"admin:{name}", args=arguments)


def opened_form(browser: Client, path: str) -> dict[str, str]:
    """The initial values of the form of a page."""
    page = browser.get(path)
    assert page.status_code == 200, path
    return dict(_FIELD.findall(page.content.decode()))


def page_after(answer: HttpResponse, browser: Client) -> str:
    """The text of the page that a submitted form leads to."""
    assert answer.status_code == 302, answer.content.decode()
    return browser.get(answer.headers["Location"]).content.decode()


def send_off(level: StockLevel, units: int, to: str = "wh-002", *, is_draft: bool = False) -> Transfer:
    """Make a transfer of a level's product to another warehouse."""
    make_warehouse(to)
    item = MoveLine(level.product_id, None, units, level.warehouse.code, to)
    start = transfers.draft_transfer if is_draft else transfers.start_transfer
    start(TransferRequest(ACTOR, (item,)))
    return Transfer.objects.latest("id")


def open_count(*levels: StockLevel, **fields: Any) -> StockCount:
    """Open a count of these levels' products."""
    refs = tuple(ProductRef(level.product_id) for level in levels)
    opened = opening.open_count(OpenRequest(ACTOR, levels[0].warehouse.code, "PRODUCTS", products=refs, **fields))
    assert isinstance(opened, Opened)
    return opened.count


def enter(count: StockCount, level: StockLevel, counted: int) -> None:
    entering.enter_counts(EnterRequest(ACTOR, count.pk, (EnteredCount(ProductRef(level.product_id), counted),)))


# --- who may ---------------------------------------------------------------------------------------------------------


def test_viewer_sees_the_flows_papers_and_acts_on_none() -> None:
    level = make_level(20)
    transfer, draft, count = send_off(level, 3), send_off(level, 1, is_draft=True), open_count(level)
    viewer = browser_of(make_staff("viewer"))
    for model, row in (("inventory_transfer", transfer), ("inventory_stockcount", count)):
        assert viewer.get(at(f"{model}_changelist")).status_code == 200
        assert viewer.get(at(f"{model}_change", row.pk)).status_code == 200
    for path in (
        RECEIVE,
        at("inventory_transfer_new_transfer"),
        at("inventory_transfer_receive", transfer.pk),
        at("inventory_transfer_cancel", transfer.pk),
        at("inventory_transfer_send", draft.pk),
        at("inventory_transfer_change_draft", draft.pk),
        at("inventory_stockcount_open_count"),
        at("inventory_stockcount_walk", count.pk),
        at("inventory_stockcount_recount", count.pk),
        at("inventory_stockcount_post_count", count.pk),
        at("inventory_stockcount_cancel_count", count.pk),
    ):
        assert (viewer.get(path).status_code, viewer.post(path, {"do": "add"}).status_code) == (403, 403), path


def test_documents_of_other_warehouses_are_not_found_by_a_limited_clerk() -> None:
    far = make_level(20, "wh-009")
    incoming, away, count = send_off(far, 3, "wh-001"), send_off(far, 2, "wh-002"), open_count(far)
    clerk = browser_of(make_staff("manager", "wh-001"))
    for model, row in (("inventory_transfer", away), ("inventory_stockcount", count)):
        assert clerk.get(at(f"{model}_change", row.pk)).status_code == 404
    for path in (
        at("inventory_transfer_receive", away.pk),
        at("inventory_transfer_cancel", away.pk),
        at("inventory_transfer_cancel", incoming.pk),
        at("inventory_transfer_send", incoming.pk),
        at("inventory_stockcount_walk", count.pk),
        at("inventory_stockcount_post_count", count.pk),
        at("inventory_stockcount_cancel_count", count.pk),
    ):
        assert (clerk.get(path).status_code, clerk.post(path).status_code) == (404, 404), path
    assert clerk.get(at("inventory_transfer_receive", incoming.pk)).status_code == 200


def test_clerk_counts_and_does_not_post(clerk: Client) -> None:
    count = open_count(make_level(5))
    assert clerk.get(at("inventory_stockcount_walk", count.pk)).status_code == 200
    for name in ("post_count", "cancel_count"):
        assert clerk.get(at(f"inventory_stockcount_{name}", count.pk)).status_code == 403
        assert clerk.post(at(f"inventory_stockcount_{name}", count.pk)).status_code == 403


# --- transfers -------------------------------------------------------------------------------------------------------


def test_new_transfer_is_offered_to_users_of_one_warehouse_too(clerk: Client) -> None:
    path = at("inventory_transfer_changelist")
    assert "New transfer" in clerk.get(path).content.decode()
    one = browser_of(make_staff("warehouse", "wh-001"))
    assert at("inventory_transfer_new_transfer") in one.get(path).content.decode()
    form = one.get(at("inventory_transfer_new_transfer")).context["form"]
    assert list(dict(form.fields["from_warehouse"].choices)) == ["wh-001"]
    assert {"wh-001", "wh-002"} <= dict(form.fields["to_warehouse"].choices).keys()


def test_overdue_transfers_are_marked(clerk: Client) -> None:
    level = make_level(5)
    transfer = send_off(level, 1)
    Transfer.objects.filter(pk=transfer.pk).update(expected_delivery="2020-01-01T00:00Z")
    assert "overdue" in clerk.get(at("inventory_transfer_changelist"), {"expected": "overdue"}).content.decode()
    send_off(level, 1)
    found = clerk.get(at("inventory_transfer_changelist"), {"expected": "overdue"}).context["cl"].result_list
    assert [row.pk for row in found] == [transfer.pk]


# --- counts ----------------------------------------------------------------------------------------------------------


def test_line_opened_in_two_tabs_is_counted_once() -> None:
    level = make_level(10)
    count = open_count(level)
    path = at("inventory_stockcount_walk", count.pk)
    anna, bert = browser_of(make_staff("warehouse")), browser_of(make_staff("warehouse"))
    first, second = opened_form(anna, path), opened_form(bert, path)
    assert anna.post(path, first | {"counted": "9"}).status_code == 302
    assert bert.post(path, second | {"counted": "9"}).status_code == 302
    refused = bert.post(path, second | {"counted": "8"})
    assert refused.status_code == 422
    line = StockCountLine.objects.get()
    assert line.counted == 9
    assert len(recorded("inventory_count_entered")) == 1


def test_expected_units_are_hidden_while_counting(clerk: Client) -> None:
    level = make_level(4711)
    count = open_count(level)
    for path in (at("inventory_stockcount_walk", count.pk), at("inventory_stockcount_change", count.pk)):
        assert "4711" not in clerk.get(path).content.decode().replace("4,711", "4711")


def test_product_scanned_where_a_number_is_asked_for_leads_to_its_line(clerk: Client) -> None:
    first, second = make_level(1, zone="A"), make_level(2, zone="B")
    count = open_count(first, second)
    path = at("inventory_stockcount_walk", count.pk)
    answer = clerk.post(path, opened_form(clerk, path) | {"counted": second.product.sku})
    assert answer.headers["Location"].endswith(f"?line={StockCountLine.objects.get(level=second).pk}")
    assert not recorded("inventory_count_entered")


def test_count_is_posted_once_from_two_tabs() -> None:
    level = make_level(10)
    count = open_count(level)
    enter(count, level, 8)
    manager = browser_of(make_staff("manager"))
    path = at("inventory_stockcount_post_count", count.pk)
    forms = [opened_form(manager, path) for _ in range(2)]
    for form in forms:
        assert "Posted: 1 difference." in page_after(manager.post(path, {"once": form["once"], "do": "post"}), manager)
    assert counters(level) == (8, 0)
    assert_books_balance()


def test_count_with_lines_left_is_not_posted_unless_they_are_left_out() -> None:
    level, other = make_level(10), make_level(10)
    count = open_count(level, other)
    enter(count, level, 8)
    manager = browser_of(make_staff("manager"))
    path = at("inventory_stockcount_post_count", count.pk)
    form = {"once": opened_form(manager, path)["once"], "do": "post"}
    assert manager.post(path, form).status_code == 422
    assert manager.post(path, form | {"skip_uncounted": "on"}).status_code == 302
    assert (counters(level), counters(other)) == ((8, 0), (10, 0))


def test_cancelled_count_changes_nothing() -> None:
    level = make_level(10)
    count = open_count(level)
    enter(count, level, 8)
    manager = browser_of(make_staff("manager"))
    path = at("inventory_stockcount_cancel_count", count.pk)
    assert "No stock was changed." in page_after(manager.post(path, opened_form(manager, path)), manager)
    count.refresh_from_db()
    assert (count.status, counters(level)) == ("CANCELLED", (10, 0))


# --- incidents -------------------------------------------------------------------------------------------------------


def test_incident_is_resolved_once_by_permitted_users() -> None:
    level = make_level(10)
    hold((level, 8), order_id="ORDER-8")
    count = open_count(level)
    enter(count, level, 5)
    post_count(PostRequest(ACTOR, count.pk))
    incident = ShortageIncident.objects.get()
    path = at("reservations_shortageincident_resolve", incident.pk)
    assert browser_of(make_staff("warehouse")).get(path).status_code == 403
    assert browser_of(make_staff("manager", "wh-002")).get(path).status_code == 404
    manager = browser_of(make_staff("manager"))
    assert "ORDER-8" in manager.get(at("reservations_shortageincident_changelist")).content.decode()
    form = opened_form(manager, path) | {"resolution": "Called the customer."}
    for _ in range(2):
        assert "is resolved." in page_after(manager.post(path, form), manager)
    assert len(recorded("inventory_shortage_resolved")) == 1


def test_recount_list_is_walked_and_a_line_corrected(clerk: Client) -> None:
    level = make_level(100)
    count = open_count(level, recount_share=Decimal("0.1"))
    enter(count, level, 50)
    path = at("inventory_stockcount_recount", count.pk)
    page = clerk.get(path).content.decode()
    assert level.product.sku in page
    assert ">100<" not in page
    assert clerk.post(path, opened_form(clerk, path) | {"counted": "98"}).status_code == 302
    line = StockCountLine.objects.get()
    assert (line.counted, line.recounted, line.needs_recount) == (50, 98, False)
    path = at("inventory_stockcount_walk", count.pk)
    form = dict(_FIELD.findall(clerk.get(path, {"line": str(line.pk)}).content.decode()))
    assert clerk.post(path, form | {"counted": "99"}).status_code == 302
    line.refresh_from_db()
    assert (line.counted, line.recounted) == (50, 99)


@pytest.mark.parametrize("line", ["x", "01890000-0000-7000-8000-000000000000"])
def test_line_of_another_count_is_not_there(clerk: Client, line: str) -> None:
    path = at("inventory_stockcount_walk", open_count(make_level(1)).pk)
    assert clerk.get(path, {"line": line}).status_code == 404
    assert clerk.post(path, {"line": line, "counted": "1"}).status_code == 404


def test_count_is_opened_of_products_that_are_scanned(clerk: Client) -> None:
    level = make_level(3)
    path = at("inventory_stockcount_open_count")
    form = opened_form(clerk, path) | {"warehouse": "wh-001", "scope": "PRODUCTS"}
    refused = clerk.post(path, form | {"products": "NO-SUCH-CODE"})
    assert "NO-SUCH-CODE is not the code of one product." in refused.content.decode()
    for _ in range(2):
        clerk.post(path, form | {"products": f"{level.product.sku}\r\n"})
    assert StockCount.objects.get().lines.get().level == level


def test_count_that_is_over_says_so(clerk: Client) -> None:
    count = open_count(make_level(1))
    entering.cancel_count(entering.CancelCountRequest(ACTOR, count.pk))
    page = clerk.get(at("inventory_stockcount_walk", count.pk)).content.decode()
    assert "This count is closed" in page
    assert "Enter and go on" not in page


# --- lists -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [send_off, lambda level, units: open_count(level)], ids=["transfers", "counts"])
def test_list_takes_as_many_queries_for_many_rows(
    clerk: Client, make: Callable[..., Any], django_assert_num_queries: Any
) -> None:
    row = make(make_level(20), 1)
    path = at(f"inventory_{row._meta.model_name}_changelist")
    clerk.get(path)
    with CaptureQueriesContext(connection) as few:
        clerk.get(path)
    for _ in range(5):
        make(make_level(20), 1)
    with django_assert_num_queries(len(few)):
        clerk.get(path)
