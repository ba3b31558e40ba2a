"""The search over any page, by the keyboard alone."""

from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from inventory.models import Product
from tests.browser.pages import PHONE, Open, findings
from tests.factories import hold, make_level, make_store

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize(("size", "shade"), [(None, "light"), (PHONE, "dark")])
def test_the_search_is_used_by_the_keyboard_alone(open_page: Open, size: Any, shade: str) -> None:
    make_store()
    level = make_level(10)
    Product.objects.filter(pk=level.product_id).update(sku="MUG-01", name="Blue mug")
    hold((level, 1), cart_id="mug-cart")
    options = {"size": size} if size else {}
    page = open_page("/admin/inventory/stocklevel/", "warehouse", "wh-001", shade=shade, **options)
    dialog, field = page.locator("#console-search"), page.get_by_role("combobox", name="Search for")

    slash_opens_it_unless_something_is_typed(page, dialog, field)
    arrows_go_from_result_to_result(page, dialog, field)

    # Enter that comes before the results opens the first one.
    page.keyboard.press("Control+k")
    expect(field).to_be_focused()
    page.keyboard.type("mug-c", delay=60)
    page.keyboard.press("Enter")
    page.wait_for_url("**/reservations/reservation/*/change/")

    # A scanned code that is no product's and no place's is searched for.
    page.goto("/admin/")
    page.wait_for_load_state("networkidle")
    page.keyboard.type("Mug-cart")
    page.keyboard.press("Enter")
    expect(chosen_in(dialog)).to_contain_text("Cart mug-cart")
    expect(field).to_be_focused()
    assert findings(page) == []
    page.keyboard.press("Escape")
    expect(page.locator("section[data-failed]")).to_be_hidden()


def chosen_in(dialog: Locator) -> Locator:
    """The chosen cell of the results."""
    return dialog.locator("[role=gridcell][aria-selected=true]")


def slash_opens_it_unless_something_is_typed(page: Page, dialog: Locator, field: Locator) -> None:
    """A slash is a character while something is typed, and opens the search otherwise."""
    page.wait_for_load_state("networkidle")
    page.locator("#searchbar").focus()
    page.keyboard.press("/")
    expect(dialog).to_be_hidden()
    page.wait_for_timeout(300)  # Two keys that follow at once are a scanner's.
    page.locator("#console-main").focus()
    page.keyboard.press("/")
    expect(field).to_be_focused()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(page.locator("#console-main")).to_be_focused()


def arrows_go_from_result_to_result(page: Page, dialog: Locator, field: Locator) -> None:
    """Arrow keys choose a result and one of its actions; Enter opens that action's dialog over the page."""
    page.keyboard.press("Control+k")
    page.keyboard.type("mug", delay=60)
    chosen = chosen_in(dialog)
    expect(chosen).to_contain_text("MUG-01")
    expect(field).to_have_attribute("aria-expanded", "true")
    assert field.get_attribute("aria-activedescendant") == chosen.get_attribute("id")
    expect(dialog.get_by_role("rowgroup", name="Carts")).to_contain_text("mug-cart")
    assert dialog.evaluate("it => it.scrollWidth <= it.clientWidth")

    page.keyboard.press("ArrowDown")
    expect(chosen).to_contain_text("MUG-01 in wh-001")
    page.keyboard.press("ArrowRight")
    expect(chosen).to_have_text("Receive MUG-01 in wh-001")
    page.keyboard.press("Enter")
    expect(dialog).to_be_hidden()
    expect(page.locator("dialog.console-dialog").get_by_role("heading", name="Receive")).to_be_visible()
    page.keyboard.press("Escape")
