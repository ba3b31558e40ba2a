"""Flows in the browser: deliveries, transfers, counts and incidents, each completed and then checked in
the database."""

from typing import Any

import pytest
from django.urls import reverse
from playwright.sync_api import Page, Route, expect

from inventory.models import Movement, StockCount, StockCountLine, StockLevel, Transfer
from reservations.models import ShortageIncident
from tests.books import assert_books_balance
from tests.browser.pages import DESKTOP, PHONE, Open, findings, fits
from tests.factories import counters, hold, make_level, make_product, make_warehouse

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("store")]

RECEIVE = "/admin/inventory/movement/receive/"


def scan(page: Page, code: str) -> None:
    """As a wedge scanner does: types quickly into whatever has the focus, and presses Enter."""
    page.keyboard.type(code)
    page.keyboard.press("Enter")


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_delivery_is_received_by_scanning_alone(open_page: Open, size: Any) -> None:
    level = make_level(5)
    lamp = make_product(sku="LAMP-1", name="Lamp", barcode="4006381333931")
    page = open_page(RECEIVE, "warehouse", size=size)
    page.get_by_label("Warehouse").select_option("wh-001")
    page.get_by_label("Reference").fill("DN-77")
    code = page.get_by_label("Scan or type a SKU or barcode")
    code.focus()
    for scanned in ("4006381333931", level.product.sku, "NO-SUCH-CODE", "lamp-1"):
        scan(page, scanned)
    expect(page.get_by_label("Units of LAMP-1")).to_have_value("2")
    expect(page.get_by_label(f"Units of {level.product.sku}")).to_have_value("1")
    expect(code).to_be_focused()
    page.get_by_label(f"Units of {level.product.sku}").fill("24")
    assert findings(page) == []
    page.get_by_role("button", name="Look over and finish").click()
    expect(page.get_by_text("2 products, 26 units")).to_be_visible()
    assert findings(page) == []
    assert fits(page)
    page.get_by_role("button", name="Receive all").dblclick()
    expect(page.get_by_text("26 units received in wh-001, 2 lines on the paper.")).to_be_visible()
    assert counters(level) == (29, 0)
    assert StockLevel.objects.get(product=lamp).on_hand == 2
    assert Movement.objects.filter(reference="DN-77", type="RECEIPT").count() == 2
    assert_books_balance()


def test_sums_follow_every_scan_and_every_edit(open_page: Open) -> None:
    first, second = make_level(5), make_level(5)
    page = open_page(RECEIVE, "warehouse")
    code = page.get_by_label("Scan or type a SKU or barcode")
    sums = page.locator(".flow-total")
    code.focus()
    scan(page, first.product.sku)
    expect(sums).to_have_text("Products 1 · Units 1")
    scan(page, second.product.sku)
    scan(page, second.product.sku)
    expect(sums).to_have_text("Products 2 · Units 3")
    units = page.get_by_label(f"Units of {first.product.sku}")
    units.fill("24")
    expect(sums).to_have_text("Products 2 · Units 26")
    units.fill("2x")
    expect(sums).to_have_text("Products 1 · Units 2")
    expect(units).to_have_attribute("aria-invalid", "true")
    units.fill("7")
    expect(units).not_to_have_attribute("aria-invalid", "true")
    code.focus()
    scan(page, second.product.sku)
    expect(sums).to_have_text("Products 2 · Units 10")
    page.get_by_role("button", name=f"Remove {first.product.sku}").click()
    expect(sums).to_have_text("Products 1 · Units 3")


def test_unknown_code_is_reported_at_once_and_the_rest_is_kept(open_page: Open) -> None:
    level = make_level(5)
    page = open_page(RECEIVE, "warehouse")
    expect(page.get_by_label("Scan or type a SKU or barcode")).to_be_focused()
    scan(page, level.product.sku)
    scan(page, "NO-SUCH-CODE")
    expect(page.get_by_text("No product has the code NO-SUCH-CODE")).to_be_visible()
    expect(page.get_by_label(f"Units of {level.product.sku}")).to_have_value("1")


def test_number_typed_while_a_scan_is_on_its_way_stays(open_page: Open) -> None:
    level, other = make_level(5), make_level(5)
    page = open_page(RECEIVE, "warehouse")
    scan(page, level.product.sku)
    units = page.get_by_label(f"Units of {level.product.sku}")
    expect(units).to_have_value("1")
    on_their_way: list[Route] = []

    def keep(route: Route) -> None:  # Playwright takes no method of a list.
        on_their_way.append(route)

    page.route(f"**{RECEIVE}", keep)
    with page.expect_request(lambda request: request.method == "POST"):
        scan(page, other.product.sku)
    units.fill("12")
    page.wait_for_timeout(100)
    on_their_way[0].continue_()
    expect(page.get_by_label(f"Units of {other.product.sku}")).to_have_value("1")
    expect(units).to_have_value("12")
    expect(units).to_be_focused()


def test_delivery_is_received_without_scripts(open_page: Open) -> None:
    level = make_level(5)
    context = open_page("/admin/", "warehouse").context
    page = context.browser.new_context(base_url=context.pages[0].url, java_script_enabled=False).new_page()  # type: ignore[union-attr]
    page.context.add_cookies(context.cookies())  # type: ignore[arg-type]
    page.goto(RECEIVE)
    page.get_by_label("Warehouse").select_option("wh-001")
    for _ in range(2):
        page.get_by_label("Scan or type a SKU or barcode").fill(level.product.sku)
        page.get_by_label("Scan or type a SKU or barcode").press("Enter")
    expect(page.get_by_label(f"Units of {level.product.sku}")).to_have_value("2")
    page.get_by_role("button", name="Look over and finish").click()
    page.get_by_role("button", name="Receive all").click()
    expect(page.get_by_text("2 units received in wh-001")).to_be_visible()
    page.context.close()
    assert counters(level) == (7, 0)


def test_second_tab_does_not_receive_a_delivery_twice(open_page: Open) -> None:
    level = make_level(5)
    page = open_page(RECEIVE, "warehouse")
    page.get_by_label("Warehouse").select_option("wh-001")
    page.get_by_label("Scan or type a SKU or barcode").fill(level.product.sku)
    page.get_by_role("button", name="Look over and finish").click()
    expect(page.get_by_text("1 product, 1 unit")).to_be_visible()
    form = page.locator("form[data-once]")
    again = {field.get_attribute("name"): field.input_value() for field in form.locator("input[name]").all()}
    page.get_by_role("button", name="Receive all").click()
    expect(page.get_by_text("1 unit received in wh-001")).to_be_visible()
    page.request.post(RECEIVE, form={**again, "do": "post:receive"})
    assert counters(level) == (6, 0)


def address(model: str, name: str, *arguments: Any) -> str:
    return reverse(f"admin:{model}_{name}", args=arguments)


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_transfer_is_sent_received_in_part_and_closed_with_what_is_lost(open_page: Open, size: Any) -> None:
    level = make_level(20)
    make_warehouse("wh-002")
    page = open_page(address("inventory_transfer", "new_transfer"), "warehouse", size=size)
    page.get_by_label("From").select_option("wh-001")
    page.get_by_label("To", exact=False).nth(0).select_option("wh-002")
    page.get_by_label("Scan or type a SKU or barcode").focus()
    scan(page, level.product.sku)
    expect(page.get_by_text("20 free in wh-001")).to_be_visible()
    page.get_by_label(f"Units of {level.product.sku}").fill("8")
    assert findings(page) == []
    assert fits(page)
    page.get_by_role("button", name="Look over and finish").click()
    page.get_by_role("button", name="Send it now").dblclick()
    expect(page.get_by_text("8 units are on their way from wh-001 to wh-002.")).to_be_visible()
    assert counters(level) == (12, 0)
    transfer = Transfer.objects.get()
    page.goto(address("inventory_transfer", "receive", transfer.pk))
    expect(page.get_by_label("Scan or type a SKU or barcode")).to_be_focused()
    for _ in range(3):
        scan(page, level.product.sku)
    expect(page.get_by_label(f"Units of {level.product.sku}")).to_have_value("3")
    page.get_by_role("button", name="Look over and finish").click()
    expect(page.get_by_role("button", name="Receive")).to_be_visible()
    assert findings(page) == []
    page.get_by_role("button", name="Receive").dblclick()
    expect(page.get_by_text("3 units received; 5 units still on the way.")).to_be_visible()
    page.goto(address("inventory_transfer", "receive", transfer.pk))
    page.get_by_label(f"Units of {level.product.sku}").fill("4")
    page.get_by_label("Nothing more will come").check()
    page.get_by_role("button", name="Look over and finish").click()
    page.get_by_role("button", name="Receive").click()
    expect(page.get_by_text("4 units received. The transfer is closed: 1 unit lost.")).to_be_visible()
    transfer.refresh_from_db()
    assert transfer.status == "RECEIVED"
    assert StockLevel.objects.get(product=level.product, warehouse__code="wh-002").on_hand == 7
    assert_books_balance()


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_count_is_walked_blind_with_the_keyboard_and_recounted(open_page: Open, size: Any) -> None:
    first = make_level(33, zone="A", shelf="1")
    second = make_level(44, zone="A", shelf="2")
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
    page.get_by_role("link", name="Walk the recount list").click()
    expect(page.get_by_label("How many are there?")).to_be_focused()
    assert fits(page)
    page.keyboard.type("41")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Nothing is left to count again.")).to_be_visible()
    line = StockCountLine.objects.get(level=second)
    assert (line.counted, line.recounted, line.recount_expected) == (20, 41, 44)
    assert counters(second) == (44, 0)


def test_posting_shows_who_gives_way_and_lets_a_manager_choose_another(open_page: Open) -> None:
    level = make_level(10)
    older, newer = hold((level, 4), order_id="ORDER-1"), hold((level, 4), order_id="ORDER-2")
    page = open_page(address("inventory_stockcount", "open_count"), "manager")
    page.get_by_label("Warehouse").select_option("wh-001")
    page.get_by_label("Count again from").fill("")
    page.get_by_role("button", name="Open and begin").click()
    page.get_by_label("How many are there?").fill("5")
    page.keyboard.press("Enter")
    expect(page.get_by_text("All lines are counted.")).to_be_visible()
    page.goto(address("inventory_stockcount", "post_count", StockCount.objects.get().pk))
    expect(page.get_by_label("ORDER-2")).to_be_visible()
    assert "gives way" in page.locator("label", has_text="ORDER-2").inner_text()
    page.locator("label", has_text="ORDER-1").get_by_role("checkbox").check()
    page.get_by_role("button", name="Show who would give way").click()
    expect(page.locator("label", has_text="ORDER-1").get_by_text("gives way")).to_be_visible()
    assert findings(page) == []
    page.get_by_role("button", name="Post", exact=True).dblclick()
    expect(page.get_by_text("Posted: 1 difference. 1 reservation gave way: see the incidents.")).to_be_visible()
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
