"""Pages in a browser, without requests to other hosts."""

from collections.abc import Callable

import pytest
from django.contrib.auth import get_user_model
from playwright.sync_api import BrowserContext, Page, expect

from tests.factories import hold, make_level

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("store")]


@pytest.fixture
def page(open_context: Callable[..., BrowserContext]) -> Page:
    """A page without a login."""
    return open_context().new_page()


def test_swagger_ui_shows_the_api_and_asks_nobody_else(page: Page) -> None:
    page.goto("/api/docs/")
    expect(page.get_by_text("Reserve stock")).to_be_visible()
    page.get_by_text("Reserve stock").click()
    expect(page.get_by_text("Idempotency-Key").first).to_be_visible()


def test_staff_see_a_hold_and_can_change_nothing(page: Page) -> None:
    held = hold((make_level(10), 3), cart_id="cart-7")
    get_user_model().objects.create_superuser("clerk", password="correct horse battery")
    page.goto("/admin/")
    page.fill("#id_username", "clerk")
    page.fill("#id_password", "correct horse battery")
    page.click("button[type=submit]")
    page.goto("/admin/reservations/reservation/")
    expect(page.get_by_text("cart-7")).to_be_visible()
    page.get_by_text(held.public_id).click()
    expect(page.get_by_role("heading", name=held.public_id[-8:])).to_be_visible()
    assert page.locator("#content input:not([type=hidden])").count() == 0
    assert page.get_by_role("button", name="Save").count() == 0
