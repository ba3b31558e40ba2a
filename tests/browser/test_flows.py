"""A working day in the browser: deliveries, transfers, counts and incidents, each walked to its end and looked up in
the database after."""

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect

from inventory.models import Movement, StockLevel
from tests.books import assert_books_balance
from tests.browser.test_console import DESKTOP, PHONE, findings, log_in
from tests.factories import counters, make_level, make_product
from tests.staff import PASSWORD, make_staff

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("store")]

RECEIVE = "/admin/inventory/movement/receive/"
LogIn = Callable[..., Page]


@pytest.fixture
def open_as(browser: Browser, live_server: Any) -> Iterator[LogIn]:
    """A page of a member of staff; in the end it has complained of nothing and spoken to nobody else."""
    contexts: list[Any] = []
    asked: list[str] = []
    complaints: list[str] = []

    def open_one(path: str, group: str = "warehouse", *warehouses: str, size: Any = DESKTOP, **more: Any) -> Page:
        context = browser.new_context(base_url=live_server.url, viewport=size, **more)
        contexts.append(context)
        page: Page = context.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
        log_in(page, make_staff(group, *warehouses, password=PASSWORD).username)
        page.goto(path)
        return page

    yield open_one
    for context in contexts:
        context.close()
    hosts = {urlsplit(url).netloc for url in asked if urlsplit(url).scheme in {"http", "https", "ws", "wss"}}
    assert hosts == {urlsplit(live_server.url).netloc}
    assert not complaints


def scan(page: Page, code: str) -> None:
    """As a wedge scanner does: types quickly into whatever has the focus, and presses Enter."""
    page.keyboard.type(code)
    page.keyboard.press("Enter")


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_delivery_is_received_by_scanning_alone(open_as: LogIn, size: Any) -> None:
    level = make_level(5)
    lamp = make_product(sku="LAMP-1", name="Lamp", barcode="4006381333931")
    page = open_as(RECEIVE, size=size)
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
    assert not page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
    page.get_by_role("button", name="Receive all").dblclick()
    expect(page.get_by_text("26 units received in wh-001, 2 lines on the paper.")).to_be_visible()
    assert counters(level) == (29, 0)
    assert StockLevel.objects.get(product=lamp).on_hand == 2
    assert Movement.objects.filter(reference="DN-77", type="RECEIPT").count() == 2
    assert_books_balance()


def test_unknown_code_is_told_at_once_and_the_rest_is_kept(open_as: LogIn) -> None:
    level = make_level(5)
    page = open_as(RECEIVE)
    expect(page.get_by_label("Scan or type a SKU or barcode")).to_be_focused()
    scan(page, level.product.sku)
    scan(page, "NO-SUCH-CODE")
    expect(page.get_by_text("No product has the code NO-SUCH-CODE")).to_be_visible()
    expect(page.get_by_label(f"Units of {level.product.sku}")).to_have_value("1")


def test_delivery_is_received_without_scripts(open_as: LogIn) -> None:
    level = make_level(5)
    context = open_as("/admin/").context
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


def test_second_tab_does_not_receive_a_delivery_twice(open_as: LogIn) -> None:
    level = make_level(5)
    page = open_as(RECEIVE)
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
