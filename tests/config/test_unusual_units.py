"""Units far beyond the usual are asked about once more, in every dialog of the console that books units."""

from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from django.urls import reverse

from inventory.models import StockCount, StockLevel, Transfer
from inventory.services.counts.opening import OpenRequest, open_count
from inventory.services.stock.adjustments import Adjustment, AdjustRequest, apply_adjustments
from inventory.services.stock.usual import usual_units
from inventory.services.transfers.commands import MoveLine, TransferRequest, draft_transfer
from tests.drafts import begin_delivery, begin_transfer, draft_form, review_and_post, type_units
from tests.factories import ACTOR, counters, make_level, make_warehouse, receive
from tests.staff import browser_of, make_staff

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("store")]

ASKED = "Please check: nothing has been done yet."


@pytest.fixture
def browser() -> Client:
    return browser_of(make_staff())


def book(level: StockLevel, units: int, kind: str, times: int = 1, warehouse: str = "wh-001") -> None:
    line = Adjustment(level.product_id, None, warehouse, units, kind, "test")
    for _ in range(times):
        apply_adjustments(AdjustRequest(actor=ACTOR, adjustments=(line,)))


def sent_twice(browser: Client, url: str, form: dict[str, Any]) -> tuple[Any, Any]:
    """The answers to a form without and with the tick that it asks for."""
    form = {"once": str(uuid4()), **form}
    asked = browser.post(url, form)
    assert ASKED in asked.content.decode()
    return asked, browser.post(url, {**form, "sure": asked.context["dialog"].sure}, follow=True)


def of_level(action: str, level: StockLevel) -> str:
    return reverse(f"admin:inventory_stocklevel_{action}", args=[level.pk])


@pytest.mark.parametrize(
    ("action", "units", "after"),
    [
        ("receive", "45781", 95_781),
        ("take_back", "1001", 51_001),
        ("ship", "1001", 48_999),
        ("adjust", "−1500", 48_500),
        ("transfer", "2000", 48_000),
    ],
)
def test_dialogs_of_a_level_ask_once_and_book_what_was_confirmed(
    browser: Client, action: str, units: str, after: int
) -> None:
    level = make_level(50)
    book(level, 49_950, "ADJUSTMENT")
    make_warehouse("wh-002")
    form = {"quantity": units, "remark": "because", "to_warehouse": "wh-002"}
    if action == "adjust":
        book(level, -1, "ADJUSTMENT", times=3)
        book(level, 3, "ADJUSTMENT")
    url = of_level(action, level)
    once = str(uuid4())
    asked = browser.post(url, {"once": once, **form})
    assert ASKED in asked.content.decode()
    assert counters(level)[0] == 50_000
    sure = asked.context["dialog"].sure
    changed = browser.post(url, {"once": once, **form, "quantity": units + "0", "sure": sure})
    assert ASKED in changed.content.decode()  # The tick confirms the figure that was shown, and no other.
    assert counters(level)[0] == 50_000
    for _ in range(2):
        browser.post(url, {"once": once, **form, "sure": sure})
        assert counters(level)[0] == after


def test_question_says_the_number_in_words_and_what_is_usual(browser: Client) -> None:
    level = make_level(12)
    book(level, 12, "RECEIPT", times=4)
    page = browser.post(of_level("receive", level), {"once": str(uuid4()), "quantity": "45781", "remark": "x"})
    text = f"{level.product.sku}: 45,781, that is 45 thousand 781 units. The usual is about 12."
    assert text in page.content.decode()
    new = browser.post(of_level("ship", level), {"once": str(uuid4()), "quantity": "1001", "remark": "x"})
    assert "1,001, that is 1 thousand 1 units. There is no usual quantity for it yet." in new.content.decode()


def test_what_is_usual_is_not_asked_about(browser: Client) -> None:
    level = make_level(500)
    send = {"remark": "x"}
    for units, is_asked in (("1000", False), ("5000", False), ("10001", True)):
        answer = browser.post(of_level("receive", level), {"once": str(uuid4()), "quantity": units, **send})
        assert (answer.status_code == 422) is is_asked, units


def test_rows_deliveries_and_transfers_ask_about_the_products_concerned(browser: Client) -> None:
    level, usual, other = make_level(5), make_level(5), make_level(2_000)
    make_warehouse("wh-002")
    book(level, 5_000, "ADJUSTMENT", warehouse="wh-002")
    source = StockLevel.objects.get(product=level.product_id, warehouse__code="wh-002")
    many, few = f"units-{level.pk}", f"units-{usual.pk}"
    rows = {"level": [str(level.pk), str(usual.pk)], many: "4000", few: "9", "remark": "x"}
    asked, done = sent_twice(browser, reverse("admin:inventory_stocklevel_receive_rows"), rows)
    assert len(asked.context["dialog"].doubts) == 1
    assert (counters(level)[0], counters(usual)[0], done.status_code) == (4_005, 14, 200)

    delivery = begin_delivery(browser)
    assert draft_asked_twice(browser, delivery, level, "receive").count(ASKED) == 1
    assert counters(level)[0] == 5_205

    draft = begin_transfer(browser, "wh-002", "wh-001")
    draft_asked_twice(browser, draft, level, "send")
    transfer = Transfer.objects.get()
    assert counters(source)[0] == 3_800
    url = reverse("admin:inventory_transfer_receive", args=[transfer.pk])
    type_units(browser, url, {level.product_id: 1_200})
    answer = review_and_post(browser, url, "receive")
    assert ASKED not in answer.content.decode()  # As many were sent: that is the usual now.
    assert counters(level)[0] == 6_405

    make_draft = TransferRequest(ACTOR, (MoveLine(other.product_id, None, 1_500, "wh-001", "wh-002"),))
    draft_transfer(make_draft)
    kept = Transfer.objects.latest("id")
    url = reverse("admin:inventory_transfer_send", args=[kept.pk])
    sent_twice(browser, url, {"version": browser.get(url).context["form"].initial["version"]})
    assert counters(other)[0] == 500


def draft_asked_twice(browser: Client, path: str, level: StockLevel, ending: str) -> str:
    """Type 1,200 units into a draft, and post it without and with the tick. Returns the review, which asks at once."""
    type_units(browser, path, {level.product_id: 1_200})
    refused = review_and_post(browser, path, ending)
    page = str(refused.content.decode())
    assert "tick the box below them" in page
    form = draft_form(browser, f"{path}?review")
    done = browser.post(path, form | {"do": f"post:{ending}", "sure": refused.context["dialog"].sure}, follow=True)
    assert ASKED not in done.content.decode()
    return page


def test_counts_ask_without_saying_how_many_there_are(browser: Client) -> None:
    level = make_level(7)
    request = OpenRequest(actor=ACTOR, warehouse="wh-001", scope="ALL", recount_share=None)
    open_count(request)
    count = StockCount.objects.get()
    walk = reverse("admin:inventory_stockcount_walk", args=[count.pk])
    form = browser.get(walk).context["form"].initial
    asked, _ = sent_twice(browser, walk, {"once": str(form["once"]), "line": str(form["line"]), "counted": "2500"})
    doubts = [doubt.text for doubt in asked.context["dialog"].doubts]
    assert doubts == [f"{level.product.sku}: 2,500, that is 2 thousand 500 units."]
    assert count.lines.get().counted == 2_500
    other = make_level(7)
    asked, _ = sent_twice(browser, of_level("count", other), {"quantity": "2500"})
    assert "usual" not in asked.context["dialog"].doubts[0].text
    assert StockCount.objects.count() == 2


def test_usual_units_are_the_median_of_the_last_movements_of_a_kind() -> None:
    level, other = make_level(100), make_level(1)
    book(level, 3, "SHIPMENT", times=21)
    book(level, 30, "SHIPMENT")
    receive(level.product, 9_000, "wh-002")
    assert usual_units("SHIPMENT", [level.product_id, other.product_id]) == {level.product_id: 3}
    assert usual_units("RECEIPT", [level.product_id]) == {level.product_id: 100}
    assert usual_units("COUNT", [other.product_id]) == {other.product_id: 1}
