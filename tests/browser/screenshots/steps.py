"""Steps that lead to what a picture shows: clicks and keys on the console's pages, as a person would use them."""

import contextlib
import re
from collections.abc import Callable
from typing import Any, Final

from playwright.sync_api import Error, Locator, Page, expect

from reservations.management.demo_catalogue import articles, barcode

_STILL: Final = """async () => {
    await document.fonts.ready;
    await Promise.all(document.getAnimations().map(animation => animation.finished.catch(() => null)));
}"""

Steps = Callable[[Page], None]


def settle(page: Page) -> None:
    """Wait until requests have ended, fonts are loaded and charts are at rest."""
    for _ in range(3):
        page.wait_for_timeout(150)
        page.wait_for_load_state("networkidle")
        # If the page navigates meanwhile, the evaluation fails and is repeated.
        with contextlib.suppress(Error):
            page.evaluate(_STILL)
            return


def follow(page: Page, entry: str) -> None:
    """Click an entry of the sidebar, which a phone hides behind a button."""
    link = page.locator("#nav-sidebar-apps a").filter(has=page.get_by_text(entry, exact=True))
    if not link.is_visible():
        page.get_by_role("button", name="Show or hide the menu").click()
    link.click()
    settle(page)


def stay(page: Page) -> None:
    """No steps: the page as the entry of the sidebar opens it."""


def then(*steps: Steps) -> Steps:
    """Take these steps one after the other."""

    def take(page: Page) -> None:
        for step in steps:
            step(page)

    return take


def search(words: str, *steps: Steps) -> Steps:
    """Search for these words, followed by Enter, as a scanner types."""

    def take(page: Page) -> None:
        page.locator("#searchbar").fill(words)
        page.locator("#searchbar").press("Enter")
        settle(page)
        then(*steps)(page)

    return take


def open_row(words: str = "") -> Steps:
    """Open the first row with these words."""

    def take(page: Page) -> None:
        page.locator("#result_list tbody tr").filter(has_text=words).get_by_role("link").first.click()
        settle(page)

    return take


def _named(page: Page, name: str) -> Locator:
    """A link or button, with or without a sign before its name. A phone has a page's actions behind a button."""
    exactly = re.compile(rf"(^|\s){re.escape(name)}\s*$")
    named = page.locator("a, button").filter(has_text=exactly)
    if not named.filter(visible=True).count():
        page.locator("[x-on\\:click='showActions = !showActions']").click()
    return named.filter(visible=True).last


def dialog(name: str) -> Steps:
    """Open the dialog of one of the page's buttons."""

    def take(page: Page) -> None:
        _named(page, name).click()
        expect(page.get_by_role("dialog")).to_be_visible()

    return take


def submit(button: str, said: str) -> Steps:
    """Click the dialog's button, and wait for the console's message."""

    def take(page: Page) -> None:
        page.get_by_role("dialog").get_by_role("button", name=button, exact=True).click()
        expect(page.get_by_text(said).first).to_be_visible()
        settle(page)

    return take


def go_to(words: str) -> Steps:
    """Scroll to these words."""
    return lambda page: page.get_by_text(words, exact=True).first.evaluate("e => e.scrollIntoView(true)") and None


def press(name: str, said: str = "") -> Steps:
    """Click a button or a link of the page, and wait for the console's message."""

    def take(page: Page) -> None:
        _named(page, name).click()
        if said:
            expect(page.get_by_text(said).first).to_be_visible()
        settle(page)

    return take


def choose(label: str, value: str) -> Steps:
    """Choose an option of a form's field."""
    return lambda page: page.get_by_label(label).first.select_option(value) and None


def type_in(label: str, words: str) -> Steps:
    """Fill a field of a form."""
    return lambda page: page.get_by_label(label).first.fill(words)


def choose_file(*lines: str) -> Steps:
    """Upload a file of these lines for a preview."""

    def take(page: Page) -> None:
        content = "\n".join(lines).encode()
        file: Any = {"name": "file.csv", "mimeType": "text/csv", "buffer": content}
        page.locator("input[type=file]").set_input_files(file)
        _named(page, "Preview").click()
        settle(page)

    return take


def scan(*codes: str) -> Steps:
    """As a wedge scanner does: types quickly, and presses Enter."""

    def take(page: Page) -> None:
        field = page.get_by_label("Scan or type a SKU or barcode")
        field.focus()
        for code in codes:
            page.keyboard.type(code)
            with page.expect_response(lambda answer: answer.request.method == "POST"):
                page.keyboard.press("Enter")
            expect(field).to_have_value("")
            settle(page)

    return take


def count(*units: str) -> Steps:
    """Enter counted units line by line, each with Enter."""

    def take(page: Page) -> None:
        for counted in units:
            field = page.get_by_label("How many are there?")
            expect(field).to_be_focused()
            field.fill(counted)
            field.press("Enter")
            expect(page.get_by_text(f": {counted} counted.").first).to_be_visible()
        settle(page)

    return take


def barcode_of(sku: str) -> str:
    skus = [article.sku for _, article in articles()]
    return barcode(skus.index(sku) + 1)


def delivery(reference: str) -> Steps:
    """Scan a delivery with this reference: each picture has a draft of its own."""
    return then(
        press("Receive a delivery"),
        choose("Warehouse", "wh-001"),
        type_in("Reference", reference),
        _begin,
        scan(barcode_of("STOVE-GAS"), barcode_of("STOVE-GAS"), "GROUND-2P", "JKT-RAIN-XL"),
        type_units("GROUND-2P", "12"),
        type_units("JKT-RAIN-XL", "20"),
    )


def _begin(page: Page) -> None:
    """Begin scanning, unless the page of the draft is open already: who works in one warehouse can scan at once."""
    button = page.get_by_role("button", name="Begin scanning")
    if button.is_visible():
        button.click()
    else:
        with page.expect_response(lambda answer: answer.request.method == "POST"):
            page.keyboard.press("Tab")
    settle(page)


def type_units(sku: str, units: str) -> Steps:
    """Type the units of a line, and wait until they are saved."""

    def take(page: Page) -> None:
        page.get_by_label(f"Units of {sku}").fill(units)
        with page.expect_response(lambda answer: answer.request.method == "POST"):
            page.keyboard.press("Tab")
        settle(page)

    return take
