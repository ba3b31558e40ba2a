"""Undo in the browser: offered for ten seconds after posting, and kept on the document's page."""

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from inventory.models import StockDocument, StockLevel
from tests.browser.pages import DESKTOP, PHONE, Open, faults_of
from tests.factories import counters, make_level

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("store")]


def receive(page: Page, level: StockLevel, units: int) -> Any:
    """Receive units, without the dialog over the list. Returns the offer to undo it."""
    page.goto(f"/admin/inventory/stocklevel/{level.pk}/receive/")
    page.get_by_label("Quantity").fill(str(units))
    page.get_by_label("In your own words").fill("typed")
    page.get_by_role("button", name="Receive", exact=True).click()
    return page.get_by_role("link", name="Undo", exact=True)


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_undo_takes_back_what_was_posted_and_goes_after_ten_seconds(open_page: Open, size: Any) -> None:
    level = make_level(20)
    page = open_page("/admin/", "warehouse", "wh-001", size=size)
    offer = receive(page, level, 5)
    expect(offer).to_be_visible()
    assert faults_of(page) == []
    offer.click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_label("Reason")).to_have_value("Posted by mistake")
    dialog.get_by_role("button", name="Reverse").click()
    first = StockDocument.objects.get(kind="RC")
    expect(page.get_by_text(f"{first} is reversed.")).to_be_visible()
    expect(offer).to_have_count(0)
    assert counters(level) == (20, 0)

    page.clock.install()
    expect(receive(page, level, 7)).to_have_text("Undo (10)")
    page.mouse.move(0, 0)
    page.clock.run_for(4_000)
    expect(offer).to_have_text("Undo (6)")
    offer.focus()
    page.clock.run_for(20_000)
    expect(offer).to_have_text("Undo (6)")
    offer.blur()
    page.clock.run_for(6_000)
    expect(offer).to_have_count(0)
    page.get_by_role("link", name=str(StockDocument.objects.latest("id"))).first.click()
    expect(page.get_by_role("heading", name="Lines")).to_be_visible()
    assert faults_of(page) == []
    assert counters(level) == (27, 0)
