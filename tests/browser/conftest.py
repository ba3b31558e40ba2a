"""Browser tests run where the machine has a Chromium; CI installs one."""

import os
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.browser.pages import CHROMIUM, DESKTOP, QUIET, Open
from tests.staff import browser_of, make_staff

PATIENCE_MILLISECONDS = 60_000
"""The timeout of expectations, long enough for busy machines."""
REFUSED_FORM = "the server responded with a status of 422"
"""The browser's console message for a form that is shown again with its errors."""
CUT_OFF = ("net::ERR_FAILED", "net::ERR_INTERNET_DISCONNECTED")
"""The browser's console messages for a request that a test lets fail on its way."""
UNDER_WAY = "the server responded with a status of 409"
"""The console message when a page sends what the page before it has just sent: the first is still being answered, and
the page asks again. What a person is told of it, tests look for on the page."""
KNOWN = (REFUSED_FORM, UNDER_WAY, *CUT_OFF)
collect_ignore_glob = [] if CHROMIUM else ["test_*.py"]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """The system's Chromium, headless, without background network requests."""
    # Playwright's loop makes Django think that the test is asynchronous.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    with sync_playwright() as playwright:
        expect.set_options(timeout=PATIENCE_MILLISECONDS)
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield chromium
        chromium.close()


@pytest.fixture
def open_context(browser: Browser, live_server: Any) -> Iterator[Callable[..., BrowserContext]]:
    """Open a separate browser context. After the test, no page has logged an error or contacted another host.

    ``group`` is the group of the logged-in user, None for no login; ``warehouses`` limit the user's reach.
    """
    opened: list[BrowserContext] = []
    asked: list[str] = []
    complaints: list[str] = []

    def open_one(group: str | None = None, *warehouses: str, **options: Any) -> BrowserContext:
        context = browser.new_context(base_url=live_server.url, **{"viewport": DESKTOP, **options})
        opened.append(context)
        context.on("request", lambda request: asked.append(request.url))
        context.on("weberror", lambda error: complaints.append(str(error.error)))
        context.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
        if group is not None:
            session = browser_of(make_staff(group, *warehouses)).cookies["sessionid"].value
            context.add_cookies([{"name": "sessionid", "value": session, "url": live_server.url}])
        return context

    yield open_one
    for context in opened:
        context.close()
    hosts = {urlsplit(url).netloc for url in asked if urlsplit(url).scheme in {"http", "https", "ws", "wss"}}
    assert hosts == {urlsplit(live_server.url).netloc}
    assert [text for text in complaints if not any(known in text for known in KNOWN)] == []


@pytest.fixture
def open_page(open_context: Callable[..., BrowserContext]) -> Open:
    """Open a page in a browser of its own, as one of a group (``open_context``)."""

    def open_one(
        path: str = "/admin/",
        group: str | None = "administrator",
        *warehouses: str,
        size: Any = DESKTOP,
        shade: Any = "light",
        **options: Any,
    ) -> Page:
        page: Page = open_context(group, *warehouses, viewport=size, color_scheme=shade, **options).new_page()
        page.goto(path)
        return page

    return open_one
