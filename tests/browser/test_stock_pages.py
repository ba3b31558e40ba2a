"""Stock in the browser: each dialog on a desktop and a phone, sent once, with the figures afterwards."""

import re
from collections.abc import Iterator
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.urls import reverse
from playwright.sync_api import Locator, Page, expect

from inventory.models import AdjustmentReason, Movement, StockCountLine, StockLevel, Transfer
from tests.books import assert_books_balance
from tests.browser.pages import DESKTOP, PHONE, Open, faults_of
from tests.factories import counters, hold, make_level, make_product, receive
from tests.staff import PASSWORD, make_staff

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("store", "reasons")]

LIST = "/admin/inventory/stocklevel/"
sizes = pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])


@pytest.fixture
def reasons() -> None:
    """Reasons to choose from."""
    AdjustmentReason.objects.update_or_create(
        text="Delivery", defaults={"kinds": ["RECEIVE", "ADJUST", "SHIP", "TRANSFER", "COUNT"]}
    )


@pytest.fixture(autouse=True)
def _books(live_server: Any) -> Iterator[None]:
    """Check the books after each test."""
    yield
    assert_books_balance()


def open_dialog(page: Page, name: str) -> Locator:
    """Open the dialog of an action of the only row."""
    page.get_by_role("button", name="Actions").first.click()
    link = page.get_by_role("link", name=name, exact=True).first
    link.scroll_into_view_if_needed()
    page.wait_for_timeout(300)  # The menu moves with its row one frame after scrolling.
    link.click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    return dialog


@sizes
def test_received_units_are_on_hand_and_confirmed_in_a_message(open_page: Open, size: Any) -> None:
    level = make_level(20)
    hold((level, 2))
    page = open_page(LIST, "warehouse", size=size)
    dialog = open_dialog(page, "Receive")
    quantity = dialog.get_by_label("Quantity")
    expect(quantity).to_be_focused()
    page.keyboard.type("10")
    dialog.get_by_label("Reason").select_option("Delivery")
    dialog.get_by_label("Reference").fill("DN-7")
    quantity.press("Enter")
    expect(page.get_by_text("20 → 30 on hand, 28 available")).to_be_visible()
    assert counters(level) == (30, 2)
    movement = Movement.objects.order_by("-id")[0]
    assert (movement.type, movement.reason, movement.reference) == ("RECEIPT", "Delivery", "DN-7")


@sizes
def test_adjusting_takes_a_signed_difference(open_page: Open, size: Any) -> None:
    level = make_level(20)
    page = open_page(LIST, "warehouse", size=size)
    dialog = open_dialog(page, "Adjust")
    expect(dialog.get_by_label("Difference")).to_be_focused()
    page.keyboard.type("-3")
    dialog.get_by_label("In your own words").fill("fell off the shelf")
    dialog.get_by_role("button", name="Adjust").click()
    expect(page.get_by_text("20 → 17 on hand, 17 available")).to_be_visible()
    assert counters(level) == (17, 0)


@sizes
def test_shipping_more_than_is_free_is_refused_at_the_quantity(open_page: Open, size: Any) -> None:
    level = make_level(20)
    hold((level, 15))
    page = open_page(LIST, "warehouse", size=size)
    dialog = open_dialog(page, "Ship")
    dialog.get_by_label("Quantity").fill("6")
    dialog.get_by_label("Reason").select_option("Delivery")
    dialog.get_by_role("button", name="Ship").click()
    expect(dialog.get_by_text("You can remove up to 5")).to_be_visible()
    expect(dialog.get_by_label("Quantity")).to_be_focused()
    expect(page).to_have_url(re.compile(f"{LIST}$"))
    assert counters(level) == (20, 15)
    dialog.get_by_label("Quantity").fill("5")
    dialog.get_by_role("button", name="Ship").click()
    expect(page.get_by_text("20 → 15 on hand, 0 available")).to_be_visible()
    assert counters(level) == (15, 15)


@sizes
def test_transferred_units_are_on_their_way(open_page: Open, size: Any) -> None:
    level = make_level(20)
    receive(level.product, 1, "wh-002")
    page = open_page(f"{LIST}?warehouse__id__exact={level.warehouse_id}", "warehouse", size=size)
    dialog = open_dialog(page, "Transfer")
    dialog.get_by_label("Quantity").fill("4")
    dialog.get_by_label("To").select_option("wh-002")
    dialog.get_by_role("button", name="Send").click()
    expect(page.get_by_text("are on their way to wh-002")).to_be_visible()
    assert counters(level) == (16, 0)
    assert Transfer.objects.get().status == "IN_TRANSIT"


@sizes
def test_count_is_entered_blind_and_changes_nothing_yet(open_page: Open, size: Any) -> None:
    level = make_level(20)
    page = open_page(LIST, "warehouse", size=size)
    dialog = open_dialog(page, "Count")
    expect(dialog.get_by_text("On hand")).to_have_count(0)
    dialog.get_by_label("Counted").fill("18")
    dialog.get_by_role("button", name="Enter the count").click()
    expect(page.get_by_text("your count is entered")).to_be_visible()
    line = StockCountLine.objects.get()
    assert (line.counted, line.expected, line.is_open) == (18, 20, True)
    assert counters(level) == (20, 0)


def test_unusual_number_is_booked_by_a_tick_and_never_by_another_enter(open_page: Open) -> None:
    level = make_level(20)
    page = open_page(LIST, "warehouse")
    dialog = open_dialog(page, "Receive")
    dialog.get_by_label("Reason").select_option("Delivery")
    dialog.get_by_label("Quantity").fill("45781")
    dialog.get_by_label("Quantity").press("Enter")
    question = page.get_by_text(f"{level.product.sku}: 45,781, that is 45 thousand 781 units. The usual is about 20.")
    expect(question).to_be_visible()
    for _ in range(2):  # As a scanner does at the end of each scan.
        page.get_by_label("Quantity").press("Enter")
        page.wait_for_load_state()
        expect(question).to_be_visible()
    assert counters(level) == (20, 0)
    assert faults_of(page) == []
    page.get_by_label("Yes, this is right.").check()
    page.get_by_role("button", name="Receive").click()
    expect(page.get_by_text("20 → 45801 on hand")).to_be_visible()
    assert counters(level) == (45_801, 0)


def test_double_click_receives_once(open_page: Open) -> None:
    level = make_level(20)
    page = open_page(LIST, "warehouse")
    dialog = open_dialog(page, "Receive")
    dialog.get_by_label("Quantity").fill("10")
    dialog.get_by_label("Reason").select_option("Delivery")
    dialog.get_by_role("button", name="Receive").dblclick()
    expect(page.get_by_text("20 → 30 on hand")).to_be_visible()
    assert counters(level) == (30, 0)


def test_form_that_is_sent_again_from_a_second_tab_receives_once(open_page: Open) -> None:
    level = make_level(20)
    page = open_page(reverse("admin:inventory_stocklevel_receive", args=[level.pk]), "warehouse")
    second = page.context.new_page()
    second.goto(page.url)
    once = page.locator("#id_once").input_value()
    second.evaluate("value => { document.getElementById('id_once').value = value }", once)
    for tab in (page, second):
        tab.get_by_label("Quantity").fill("10")
        tab.get_by_label("Reason").select_option("Delivery")
        tab.get_by_role("button", name="Receive").click()
        expect(tab.get_by_text("20 → 30 on hand")).to_be_visible()
    assert counters(level) == (30, 0)


def test_chosen_rows_are_received_together(open_page: Open) -> None:
    first, second = make_level(1), make_level(2)
    page = open_page(LIST, "warehouse")
    for box in page.locator("input.action-select").all():
        box.check()
    page.get_by_label("Select action to run").select_option("receive_chosen")
    page.get_by_role("button", name="Run").click()
    page.get_by_label(f"Quantity of {first.product.sku} in wh-001").fill("10")
    page.get_by_label(f"Quantity of {second.product.sku} in wh-001").fill("20")
    page.get_by_label("Reason").select_option("Delivery")
    page.get_by_role("button", name="Receive").click()
    expect(page.get_by_text("Received 2 lines")).to_be_visible()
    assert (counters(first), counters(second)) == ((11, 0), (22, 0))


def test_scanned_barcode_opens_its_level(open_page: Open) -> None:
    level = receive(make_product(barcode="4006381333931", name="Lamp"), 5)
    make_level(1)
    page = open_page(LIST, "warehouse")
    expect(page.locator("#searchbar")).to_be_focused()
    page.keyboard.type("4006381333931")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="What can be sold")).to_be_visible()
    assert str(level.pk) in page.url


def test_time_left_of_a_hold_counts_down_on_the_page_of_its_level(open_page: Open) -> None:
    level = make_level(20)
    hold((level, 2), timeout_minutes=10)
    page = open_page(reverse("admin:inventory_stocklevel_change", args=[level.pk]), "warehouse")
    left = page.locator(".console-countdown")
    expect(left).to_have_text(re.compile(r"9:\d\d"))
    before = left.inner_text()
    expect(left).not_to_have_text(before)


@pytest.mark.parametrize("zone", ["Asia/Tokyo", "America/St_Johns"])
def test_times_are_those_of_the_readers_clock_from_the_first_page_on(open_page: Open, zone: str) -> None:
    level = make_level(20)
    moved = Movement.objects.get(level=level).created_at.astimezone(ZoneInfo(zone))
    page = open_page("/admin/login/", None, timezone_id=zone)
    page.get_by_label("Username").fill(make_staff("warehouse", password=PASSWORD).username)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", name="Dashboard")).to_be_visible()
    page.goto(reverse("admin:inventory_stocklevel_change", args=[level.pk]))
    expect(page.get_by_role("link", name=f"{moved.day} {moved:%b %Y, %H:%M}")).to_be_visible()


def test_viewer_finds_no_action(open_page: Open) -> None:
    level = make_level(20)
    page = open_page(LIST, "viewer")
    expect(page.get_by_text(level.product.sku)).to_be_visible()
    expect(page.get_by_role("button", name="Actions")).to_have_count(0)
    expect(page.locator("input.action-select")).to_have_count(0)
    page.goto(reverse("admin:inventory_stocklevel_change", args=[level.pk]))
    expect(page.get_by_role("heading", name="What can be sold")).to_be_visible()
    expect(page.get_by_role("link", name="Receive", exact=True)).to_have_count(0)


def _shown() -> StockLevel:
    """A level with rows of every kind."""
    level = make_level(20, reorder_point=30, zone="A", aisle="1", shelf="2", min_stock_level=1)
    hold((level, 2), order_id="order-1")
    return level


@pytest.mark.parametrize(("shade", "size"), [("light", DESKTOP), ("dark", PHONE)], ids=["desktop", "phone"])
def test_pages_of_stock_have_no_serious_finding(open_page: Open, size: Any, shade: str) -> None:
    level = _shown()
    page = open_page(LIST, "warehouse", size=size, shade=shade)
    found = {}
    for path in (
        LIST,
        f"{LIST}?q=nothing-like-it",
        reverse("admin:inventory_stocklevel_change", args=[level.pk]),
        reverse("admin:inventory_stocklevel_adjust", args=[level.pk]),
        reverse("admin:inventory_stocklevel_transfer_rows") + f"?level={level.pk}",
    ):
        page.goto(path)
        found[path] = faults_of(page)
    assert {path: faults for path, faults in found.items() if faults} == {}
