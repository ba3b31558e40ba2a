"""Lists and pages fit a notebook's and a phone's screen, also with long names."""

import re
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import Page, expect

from audit.models import AuditEntry
from inventory.models import LowStockAlert, Movement, StockCount, StockLevel, Transfer
from inventory.services.low_stock import alerts as low_stock
from reservations.models import Reservation, ShortageIncident
from tests.browser.pages import DESKTOP, PHONE, Open, findings, fits, settle
from tests.config.test_admin import MAKE_ONE
from tests.factories import hold, make_level, receive

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("store")]

MODELS = (AuditEntry, LowStockAlert, Movement, Reservation, ShortageIncident, StockCount, Transfer)
TABLET = {"width": 1100, "height": 800}

_HIDDEN = """() => {
    const table = document.querySelector("#result_list");
    const box = table.closest(".simplebar-content-wrapper") || table.parentElement;
    return box.scrollWidth - box.clientWidth;
}"""
_CUT = """() => [...document.querySelectorAll(".field-line, .field-line .readonly")]
    .filter(part => part.scrollWidth > part.clientWidth + 1).map(part => part.textContent.trim())"""


@pytest.fixture
def day(store: Any) -> None:
    """Rows of each kind, with realistic long names."""
    for number in (1, 2):
        level = make_level(3 * number, reorder_point=12, max_stock_level=200)
        StockLevel.objects.filter(pk=level.pk).update(zone="A", aisle="01", shelf="12")
        level.product.sku, level.product.name = f"TREK-PANTS-{number}-XL", "Trekking trousers, water-repellent, long"
        level.product.save()
    low_stock.raise_missed()
    LowStockAlert.objects.filter(severity="CRITICAL").update(
        acknowledged_by="warehouse.north.second-shift", acknowledged_at=timezone.now()
    )
    held = hold((make_level(10), 2), cart_id="shop-cart-4f0b2a9d71c6e8", customer_id="customer-00129677")
    Reservation.objects.filter(pk=held.id).update(order_id="web-order-2026-11-000417")
    for model in (Transfer, StockCount, ShortageIncident):
        MAKE_ONE[model]()
    Transfer.objects.update(expected_delivery=timezone.now(), reference="TR-2026-0417", status="PARTIALLY_RECEIVED")
    ShortageIncident.objects.update(request_id="01a1fecd-7a0f-7219-89c0-6b2deababebd")


def listing(model: Any) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")


def page_of(model: Any) -> str:
    return f"{listing(model)}{model._default_manager.latest('pk').pk}/change/"


@pytest.mark.usefixtures("day")
def test_lists_show_a_whole_row_on_a_notebook(open_page: Open) -> None:
    page = open_page("/admin/", size=DESKTOP)
    hidden = {}
    for model in MODELS:
        page.goto(listing(model))
        settle(page)
        hidden[model.__name__] = page.evaluate(_HIDDEN)
    assert {name: pixels for name, pixels in hidden.items() if pixels > 0} == {}


@pytest.mark.usefixtures("day")
@pytest.mark.parametrize("size", [DESKTOP, TABLET, PHONE], ids=["desktop", "tablet", "phone"])
def test_nothing_on_a_page_is_cut_or_wider_than_the_screen(open_page: Open, size: Any) -> None:
    page = open_page("/admin/", size=size)
    found: dict[str, Any] = {}
    for path in (*map(listing, MODELS), *map(page_of, MODELS)):
        page.goto(path)
        settle(page)
        found[path] = [*page.evaluate(_CUT), *([] if fits(page) else ["wider than the screen"])]
    assert {path: faults for path, faults in found.items() if faults} == {}


@pytest.mark.usefixtures("day")
def test_bar_over_a_page_begins_where_the_page_does(open_page: Open) -> None:
    page = open_page(page_of(Transfer), size=TABLET)
    settle(page)
    bar = page.locator("#header-inner").bounding_box()
    content = page.locator("#content-main").bounding_box()
    assert bar is not None
    assert content is not None
    assert abs(bar["x"] - content["x"]) <= 1


@pytest.mark.usefixtures("day")
def test_page_menu_of_a_phone_opens_by_its_name_and_shuts_with_escape(open_page: Open) -> None:
    page = open_page(listing(Transfer), size=PHONE)
    menu = page.get_by_role("button", name="Page menu")
    expect(menu).to_have_attribute("aria-expanded", "false")
    menu.press("Enter")
    expect(_offer(page)).to_be_visible()
    page.keyboard.press("Escape")
    expect(_offer(page)).to_be_hidden()
    page.goto(page_of(Transfer))
    expect(page.get_by_role("link", name="Back", exact=True)).to_be_visible()


def _offer(page: Page) -> Any:
    return page.get_by_role("link", name="New transfer")


@pytest.mark.usefixtures("day")
def test_page_menu_of_a_phone_lies_over_the_page(open_page: Open) -> None:
    Transfer.objects.update(status="PENDING", shipped_at=None)
    page = open_page(page_of(Transfer), size=PHONE)
    page.get_by_role("button", name="Page menu").click()
    offered = page.locator("#console-page-menu a")
    expect(offered.first).to_be_visible()
    for link in offered.all():
        link.click(trial=True)


@pytest.mark.parametrize("shade", ["light", "dark"])
def test_bar_of_actions_for_ticked_rows_is_readable(open_page: Open, shade: str) -> None:
    hold((make_level(10), 1))
    page = open_page(listing(Reservation), shade=shade)
    page.locator("#action-toggle").check()
    expect(page.locator("#changelist-actions")).to_be_visible()
    assert findings(page) == []


def test_icon_without_text_is_named_by_its_title(open_page: Open) -> None:
    hold((make_level(10), 1))
    page = open_page(f"{listing(Reservation)}?o=1")
    settle(page)
    expect(page.get_by_role("link", name="Toggle sorting")).to_be_visible()
    expect(page.locator("#nav-sidebar-apps [aria-current=page]")).to_contain_text("Reservations")


@pytest.mark.usefixtures("day")
def test_keyboard_alone_opens_menus_filters_and_shortcuts_and_comes_back(open_page: Open) -> None:
    page = open_page(listing(StockLevel), size=DESKTOP)
    settle(page)
    more = page.locator("#result_list").get_by_role("button", name="Actions").first
    more.press("Enter")
    expect(more).to_have_attribute("aria-expanded", "true")
    expect(page.get_by_role("link", name="Receive", exact=True)).to_be_focused()
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("link", name="Return", exact=True)).to_be_focused()
    assert findings(page) == []
    page.keyboard.press("Escape")
    expect(more).to_have_attribute("aria-expanded", "false")
    expect(more).to_be_focused()

    filters = page.get_by_role("button", name="Filters")
    filters.press("Enter")
    drawer = page.get_by_role("dialog", name="Filters")
    expect(drawer).to_be_visible()
    assert drawer.evaluate("drawer => drawer.contains(document.activeElement)")
    assert findings(page) == []
    page.keyboard.press("Escape")
    expect(filters).to_be_focused()

    page.keyboard.press("?")
    shortcuts = page.get_by_role("dialog", name="Keyboard shortcuts")
    expect(shortcuts.get_by_text("Counts")).to_be_visible()
    assert findings(page) == []
    page.keyboard.press("Escape")
    page.keyboard.press("g")
    page.wait_for_timeout(300)  # Keys that follow one another at once are a scan.
    page.keyboard.press("c")
    expect(page).to_have_url(re.compile(f"{listing(StockCount)}$"))


@pytest.mark.usefixtures("day")
def test_phone_shows_products_in_two_lines_and_the_daily_work_as_buttons(open_page: Open) -> None:
    page = open_page(listing(StockLevel), "warehouse", size=PHONE)
    settle(page)
    rows = page.locator("#result_list tbody tr")
    for row in rows.all():
        box = row.bounding_box()
        assert box is not None
        assert box["height"] <= 72
        for shown in (".field-available", ".field-on_hand", ".field-fullness"):
            expect(row.locator(shown)).to_be_visible()
        expect(row.locator(".field-where")).to_be_visible()
    assert findings(page) == []
    for name in ("Receive", "Move", "Count", "Find"):
        button = page.get_by_role("navigation", name="Daily work").get_by_role("link", name=name, exact=True)
        box = button.bounding_box()
        assert box is not None
        assert box["height"] >= 56
        assert box["y"] + box["height"] <= PHONE["height"]
    rows.first.locator(".field-what a").click()
    for name in ("Receive", "Move", "Ship", "Return", "Count", "Adjust"):
        expect(
            page.get_by_role("navigation", name="Actions").get_by_role("link", name=name, exact=True)
        ).to_be_visible()


@pytest.mark.usefixtures("day")
def test_list_refreshes_itself_only_while_nothing_is_done_with_it(open_page: Open) -> None:
    page = open_page(listing(StockLevel))
    settle(page)
    beat = """() => {
        const later = performance.now() + 60000;
        performance.now = () => later;
        return consoleLive.beat();
    }"""
    shown = page.locator("#result_list tbody").first.locator(".field-on_hand")
    StockLevel.objects.update(on_hand=471)
    page.locator("#result_list tbody input").first.check()
    page.evaluate(beat)
    expect(shown).not_to_contain_text("471")
    page.locator("#result_list tbody input").first.uncheck()
    page.locator("body").click(position={"x": 700, "y": 20})
    page.evaluate(beat)
    expect(shown).to_contain_text("471")
    assert not page.evaluate("consoleLive.hasNews()")
    receive(StockLevel.objects.earliest("pk").product_id, 1)
    assert page.evaluate("consoleLive.hasNews()")
