"""Flows in the browser: deliveries, transfers, counts and incidents, each completed and then checked in
the database."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.urls import reverse
from playwright.sync_api import Locator, Page, expect

from inventory.models import Movement, StockCount, StockCountLine, StockLevel, Transfer
from reservations.models import ShortageIncident
from tests.books import assert_books_balance
from tests.browser.pages import DESKTOP, PHONE, Open, findings, fits
from tests.factories import counters, hold, make_level, make_product, make_warehouse
from tests.staff import PASSWORD

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("store")]

RECEIVE = "/admin/inventory/movement/receive/"


def scan(page: Page, code: str) -> None:
    """As a wedge scanner does: types quickly into whatever has the focus, and presses Enter."""
    page.keyboard.type(code)
    page.keyboard.press("Enter")


def begin(page: Page, reference: str) -> None:
    """Begin a delivery into wh-001."""
    page.get_by_label("Warehouse").select_option("wh-001")
    page.get_by_label("Reference").fill(reference)
    page.get_by_role("button", name="Begin scanning").click()
    expect(page.get_by_label("Scan or type a SKU or barcode")).to_be_focused()


def units_of(page: Page, sku: str) -> Locator:
    return page.get_by_label(f"Units of {sku}", exact=True)


def scan_line(page: Page, code: str, sku: str, units: int) -> None:
    """Scan a code, and wait for its line."""
    page.get_by_label("Scan or type a SKU or barcode").focus()
    scan(page, code)
    expect(units_of(page, sku)).to_have_value(str(units))


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_delivery_survives_refresh_menu_second_tab_and_is_posted_once(open_page: Open, size: Any) -> None:
    level, make = make_level(5), make_warehouse("wh-002")
    sku = level.product.sku
    make_product(sku="LAMP-1", name="Lamp", barcode="4006381333931")
    page = open_page(RECEIVE, "warehouse", make.code, "wh-001", size=size)
    begin(page, "PO-123")
    scan_line(page, "4006381333931", "LAMP-1", 1)
    scan(page, "NO-SUCH-CODE")
    expect(page.get_by_text("No product has the code NO-SUCH-CODE").first).to_be_visible()
    scan_line(page, sku, sku, 1)
    units_of(page, sku).fill("24")
    page.keyboard.press("Tab")
    expect(page.get_by_text("Units 25")).to_be_visible()
    page.reload()
    expect(units_of(page, sku)).to_have_value("24")
    assert findings(page) == []
    assert fits(page)
    other = change_in_two_tabs(page, sku)
    page.get_by_role("button", name="Review").click()
    expect(page.get_by_text("2 products, 32 units")).to_be_visible()
    assert findings(page) == []
    assert fits(page)
    page.get_by_role("button", name="Receive all").dblclick()
    expect(page.get_by_text("Received 32 units on 2 lines into wh-001.")).to_be_visible()
    assert findings(page) == []
    for _ in range(2):
        page.go_back()
        expect(page.get_by_role("heading", name="Delivery received")).to_be_visible()
    other.get_by_role("button", name="Review").click()
    expect(other.get_by_text("This delivery was received before: nothing was booked twice.")).to_be_visible()
    assert counters(level) == (35, 0)
    assert Movement.objects.filter(reference="PO-123", type="RECEIPT").count() == 2
    assert_books_balance()


def change_in_two_tabs(page: Page, sku: str) -> Page:
    """Change the delivery in a second tab, whose change wins over a later one in the first. Returns the second tab."""
    page.goto("/admin/")
    assert findings(page) == []
    other = page.context.new_page()
    other.goto("/admin/")
    other.get_by_role("link", name="Continue delivery PO-123, 2 lines").click()
    scan_line(other, "lamp-1", "LAMP-1", 2)
    page.get_by_role("link", name="Continue delivery PO-123").click()
    expect(units_of(page, "LAMP-1")).to_have_value("2")
    units_of(other, sku).fill("30")
    other.keyboard.press("Tab")
    expect(other.get_by_text("Units 32")).to_be_visible()
    units_of(page, sku).fill("7")
    page.keyboard.press("Tab")
    expect(page.get_by_text(f"{sku} is 30 now: it was changed in another tab")).to_be_visible()
    expect(units_of(page, sku)).to_have_value("30")
    return other


def test_edits_of_a_delivery_are_saved_at_once_and_its_sums_follow(open_page: Open) -> None:
    first, second = make_level(5), make_level(5)
    page = open_page(RECEIVE, "warehouse", "wh-001")
    sums = page.locator(".flow-total")
    scan_line(page, first.product.sku, first.product.sku, 1)
    scan_line(page, second.product.sku, second.product.sku, 1)
    expect(sums).to_have_text("Products 2 · Units 2")
    units = units_of(page, first.product.sku)
    # By hand, key by key: a Tab right after a scan may belong to the scan.
    units.focus()
    page.keyboard.type("2x", delay=150)
    page.keyboard.press("Tab")
    expect(units).to_have_attribute("aria-invalid", "true")
    expect(page.get_by_text("Enter a whole number. Use only the digits 0 to 9.")).to_be_visible()
    units.focus()
    page.keyboard.type("24", delay=150)
    page.keyboard.press("Tab")
    expect(sums).to_have_text("Products 2 · Units 25")
    expect(units).not_to_have_attribute("aria-invalid", "true")
    page.get_by_label("Reference").fill("DN-7")
    page.get_by_role("button", name=f"Remove {second.product.sku}").click()
    expect(sums).to_have_text("Products 1 · Units 24")
    page.reload()
    expect(page.get_by_label("Reference")).to_have_value("DN-7")
    expect(units_of(page, first.product.sku)).to_have_value("24")
    expect(units_of(page, second.product.sku)).to_have_count(0)


def test_session_that_ends_while_a_delivery_is_scanned_loses_no_scan(open_page: Open) -> None:
    level = make_level(5)
    page = open_page(RECEIVE, "warehouse", "wh-001")
    scan_line(page, level.product.sku, level.product.sku, 1)
    person = User.objects.get()
    person.set_password(PASSWORD)
    person.save()
    units_of(page, level.product.sku).fill("24")
    page.keyboard.press("Tab")
    login = page.get_by_role("dialog", name="Your session has ended")
    login.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_text("Units 24")).to_be_visible()
    page.get_by_role("button", name="Review").click()
    page.get_by_role("button", name="Receive all").click()
    expect(page.get_by_text("Received 24 units on 1 line into wh-001.")).to_be_visible()
    assert counters(level) == (29, 0)


def test_delivery_is_received_without_scripts(open_page: Open) -> None:
    level = make_level(5)
    context = open_page("/admin/", "warehouse", "wh-001").context
    page = context.browser.new_context(base_url=context.pages[0].url, java_script_enabled=False).new_page()  # type: ignore[union-attr]
    page.context.add_cookies(context.cookies())  # type: ignore[arg-type]
    page.goto(RECEIVE)
    for _ in range(2):
        page.get_by_label("Scan or type a SKU or barcode").fill(level.product.sku)
        page.get_by_label("Scan or type a SKU or barcode").press("Enter")
    expect(page.get_by_label(f"Units of {level.product.sku}")).to_have_value("2")
    page.get_by_role("button", name="Review").click()
    page.get_by_role("button", name="Receive all").click()
    expect(page.get_by_text("Received 2 units on 1 line into wh-001.")).to_be_visible()
    page.go_back()
    expect(page.get_by_role("heading", name="Delivery received")).to_be_visible()
    page.context.close()
    assert counters(level) == (7, 0)


def address(model: str, name: str, *arguments: Any) -> str:
    return reverse(f"admin:{model}_{name}", args=arguments)


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_transfer_is_sent_received_in_part_and_closed_with_what_is_lost(open_page: Open, size: Any) -> None:
    level = make_level(20)
    make_warehouse("wh-002")
    page = open_page(address("inventory_transfer", "new_transfer"), "warehouse", size=size)
    page.get_by_label("From").select_option("wh-001")
    page.get_by_label("To", exact=False).nth(0).select_option("wh-002")
    page.get_by_role("button", name="Begin scanning").click()
    scan_line(page, level.product.sku, level.product.sku, 1)
    expect(page.get_by_text("20 available in wh-001")).to_be_visible()
    page.get_by_label(f"Units of {level.product.sku}").fill("8")
    assert findings(page) == []
    assert fits(page)
    page.get_by_role("button", name="Review").click()
    page.get_by_role("button", name="Send it now").dblclick()
    expect(page.get_by_text("8 units are on their way from wh-001 to wh-002.")).to_be_visible()
    assert counters(level) == (12, 0)
    transfer = Transfer.objects.get()
    page.goto(address("inventory_transfer", "receive", transfer.pk))
    expect(page.get_by_label("Scan or type a SKU or barcode")).to_be_focused()
    for number in range(3):
        scan_line(page, level.product.sku, level.product.sku, number + 1)
    page.get_by_role("button", name="Review").click()
    expect(page.get_by_role("button", name="Receive")).to_be_visible()
    assert findings(page) == []
    page.get_by_role("button", name="Receive").dblclick()
    expect(page.get_by_text("3 units received; 5 units still on the way.")).to_be_visible()
    page.goto(address("inventory_transfer", "receive", transfer.pk))
    page.get_by_label(f"Units of {level.product.sku}").fill("4")
    page.get_by_role("button", name="Review").click()
    page.get_by_label("Nothing more will come").check()
    page.get_by_role("button", name="Receive").click()
    expect(page.get_by_text("4 units received. The transfer is closed: 1 unit lost.")).to_be_visible()
    transfer.refresh_from_db()
    assert transfer.status == "RECEIVED"
    assert StockLevel.objects.get(product=level.product, warehouse__code="wh-002").on_hand == 7
    assert_books_balance()


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_count_is_walked_blind_with_the_keyboard_and_recounted(open_page: Open, size: Any) -> None:
    # Without digits in their names: the page must not show 44.
    first = make_level(33, product=make_product(sku="LAMP", name="Lamp"), zone="A", shelf="1")
    second = make_level(44, product=make_product(sku="MUG", name="Mug"), zone="A", shelf="2")
    page = open_page(address("inventory_stockcount", "open_count"), "warehouse", size=size)
    page.get_by_label("Warehouse").select_option("wh-001")
    assert findings(page) == []
    page.get_by_role("button", name="Open and begin").dblclick()
    for level, counted in ((first, "33"), (second, "20")):
        expect(page.get_by_text(level.product.sku, exact=True).first).to_be_visible()
        expect(page.get_by_label("How many are there?")).to_be_focused()
        assert "44" not in page.locator("main").inner_text()
        assert findings(page) == []
        page.keyboard.type(counted)
        page.keyboard.press("Enter")
        expect(page.get_by_text(f"{level.product.sku}: {counted} counted.")).to_be_visible()
    expect(page.get_by_text("2 of 2 lines counted")).to_be_visible()
    assert StockCount.objects.count() == 1
    page.get_by_role("link", name="Start recounting").click()
    expect(page.get_by_label("How many are there?")).to_be_focused()
    assert fits(page)
    page.keyboard.type("41")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Nothing is left to recount.")).to_be_visible()
    line = StockCountLine.objects.get(level=second)
    assert (line.counted, line.recounted, line.recount_expected) == (20, 41, 44)
    assert counters(second) == (44, 0)


def test_posting_shows_who_gives_way_and_lets_a_manager_choose_another(open_page: Open) -> None:
    level = make_level(10)
    older, newer = hold((level, 4), order_id="ORDER-1"), hold((level, 4), order_id="ORDER-2")
    page = open_page(address("inventory_stockcount", "open_count"), "manager")
    page.get_by_label("Warehouse").select_option("wh-001")
    page.get_by_label("Recount if off by more than (%)").fill("")
    page.get_by_role("button", name="Open and begin").click()
    page.get_by_label("How many are there?").fill("5")
    page.keyboard.press("Enter")
    expect(page.get_by_text("All lines are counted.")).to_be_visible()
    page.goto(address("inventory_stockcount", "post_count", StockCount.objects.get().pk))
    expect(page.get_by_label("ORDER-2")).to_be_visible()
    assert "will be cancelled" in page.locator("label", has_text="ORDER-2").inner_text()
    page.locator("label", has_text="ORDER-1").get_by_role("checkbox").check()
    page.get_by_role("button", name="Update the selection").click()
    expect(page.locator("label", has_text="ORDER-1").get_by_text("will be cancelled")).to_be_visible()
    assert findings(page) == []
    page.get_by_role("button", name="Post", exact=True).dblclick()
    expect(page.get_by_text("Posted: 1 difference. 1 reservation was cancelled: see Incidents.")).to_be_visible()
    assert counters(level) == (5, 4)
    page.goto("/admin/")
    page.get_by_role("link", name="Incidents").first.click()
    expect(page.get_by_text("ORDER-1")).to_be_visible()
    incident = ShortageIncident.objects.get()
    page.goto(address("reservations_shortageincident", "change", incident.pk))
    page.get_by_role("link", name="Resolve").first.click()
    page.get_by_label("What was done").fill("Called the customer of ORDER-1.")
    assert findings(page) == []
    page.get_by_role("dialog").get_by_role("button", name="Resolve").dblclick()
    expect(page.get_by_text("is resolved.")).to_be_visible()
    incident.refresh_from_db()
    assert incident.resolution == "Called the customer of ORDER-1."
    assert older.id != newer.id
    assert_books_balance()
