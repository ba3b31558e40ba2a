"""The console in a browser: accessible, readable in light and dark and on a phone, without requests to other hosts."""

import pytest
from django.urls import reverse
from playwright.sync_api import expect

from audit.models import ApiToken
from inventory.models import Product
from tests.browser.pages import PHONE, Open
from tests.factories import make_client, make_product

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("store")]


def test_keyboard_skips_to_the_content_and_opens_the_menu(open_page: Open) -> None:
    page = open_page("/admin/", size=PHONE)
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "console-main"
    page.get_by_role("button", name="Show or hide the menu").press("Enter")
    expect(page.get_by_role("link", name="Stock", exact=True).first).to_be_visible()


def test_token_is_issued_in_a_dialog_over_the_page_and_once_for_a_double_click(open_page: Open) -> None:
    client = make_client(name="till")
    page = open_page(reverse("admin:audit_apiclient_change", args=[client.pk]))
    page.get_by_role("link", name="Issue a token").first.click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    page.get_by_role("link", name="Issue a token").first.click()
    dialog.get_by_role("button", name="Issue").dblclick()
    expect(page.locator("#console-token")).to_be_visible()
    assert ApiToken.objects.filter(client=client).count() == 1


def test_product_is_made_with_the_keyboard(open_page: Open) -> None:
    make_product()
    page = open_page(reverse("admin:inventory_product_add"), group="manager")
    page.get_by_label("SKU").fill("LAMP-1")
    page.get_by_label("Name").fill("Lamp")
    page.get_by_label("Name").press("Enter")
    expect(page.get_by_text("was added successfully")).to_be_visible()
    assert Product.objects.get(sku="LAMP-1").name == "Lamp"
