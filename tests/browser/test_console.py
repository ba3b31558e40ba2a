"""The console as staff meet it: within reach, readable in light and dark and on a phone, silent to other hosts."""

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.urls import reverse
from playwright.sync_api import Browser, Page, expect

from audit.authentication import issue_token
from audit.models import ApiClient, ApiToken
from inventory.models import Product
from tests.factories import hold, make_client, make_level, make_product
from tests.staff import PASSWORD, make_staff

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("store")]

DESKTOP, PHONE = {"width": 1280, "height": 860}, {"width": 390, "height": 844}
SERIOUS = ("serious", "critical")

Open = Callable[..., Page]


@pytest.fixture
def open_page(browser: Browser, live_server: Any) -> Iterator[Open]:
    """Open a page, logged in as an administrator; in the end ask what it complained of and whom it spoke to."""
    contexts: list[Any] = []
    asked: list[str] = []
    complaints: list[str] = []

    def open_one(path: str, *, shade: str = "light", size: Any = DESKTOP, group: str | None = "administrator") -> Page:
        context = browser.new_context(base_url=live_server.url, color_scheme=shade, viewport=size)
        contexts.append(context)
        page: Page = context.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
        if group is not None:
            log_in(page, make_staff(group, password=PASSWORD).username)
        page.goto(path)
        return page

    yield open_one
    for context in contexts:
        context.close()
    hosts = {urlsplit(url).netloc for url in asked if urlsplit(url).scheme in {"http", "https", "ws", "wss"}}
    assert hosts == {urlsplit(live_server.url).netloc}
    assert not complaints


def log_in(page: Page, name: str) -> None:
    page.goto("/admin/login/")
    page.get_by_label("Username").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", name="Dashboard")).to_be_visible()


def findings(page: Page) -> list[str]:
    """What axe-core finds serious."""
    page.wait_for_load_state("networkidle")
    found = Axe().run(page).response["violations"]
    return [
        f"{rule['id']}: {node['html'][:160]}" for rule in found if rule["impact"] in SERIOUS for node in rule["nodes"]
    ]


@pytest.mark.parametrize(("shade", "size"), [("light", DESKTOP), ("dark", PHONE)], ids=["desktop", "phone"])
def test_pages_have_no_serious_finding(open_page: Open, shade: str, size: Any) -> None:
    assert findings(open_page("/admin/login/", shade=shade, size=size, group=None)) == []
    hold((make_level(10), 2))
    issue_token(make_client())
    page = open_page("/admin/", shade=shade, size=size)
    token, client = ApiToken.objects.get(), ApiClient.objects.get()
    found: dict[str, Any] = {}
    for path in (
        "/admin/",
        reverse("admin:inventory_stocklevel_changelist"),
        reverse("admin:inventory_product_change", args=[Product.objects.get().pk]),
        reverse("admin:inventory_warehouse_add"),
        reverse("admin:audit_apiclient_change", args=[client.pk]),
        reverse("admin:audit_apitoken_revoke", args=[token.pk]),
    ):
        page.goto(path)
        found[path] = findings(page)
        if page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"):
            found[path].append("wider than the screen")
    assert {path: faults for path, faults in found.items() if faults} == {}


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
