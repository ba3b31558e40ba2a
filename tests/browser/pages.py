"""The browser and checks of pages, for the browser tests and the pictures of the staff guide: nothing of Django."""

import shutil
from collections.abc import Callable
from typing import Any, Final

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
DESKTOP: Final[Any] = {"width": 1280, "height": 860}
PHONE: Final[Any] = {"width": 390, "height": 844}

Open = Callable[..., Page]
"""The fixture ``open_page``."""


_SETTLED: Final = """async () => {
    const isEnding = motion => motion.effect.getComputedTiming().endTime !== Infinity;
    const ended = document.getAnimations().filter(isEnding).map(motion => motion.finished);
    const patience = new Promise(done => setTimeout(done, 1000));
    await Promise.race([Promise.allSettled([document.fonts.ready, ...ended]), patience]);
}"""


def settle(page: Page) -> None:
    """Wait until the page is loaded, with its fonts, and nothing moves or fades any more."""
    page.wait_for_load_state()
    page.evaluate(_SETTLED)


def findings(page: Page) -> list[str]:
    """The findings of axe-core, of any impact."""
    settle(page)
    return _findings_now(page)


# Only the violations: the passed checks take the browser as long to send as some rules take to run.
_FINDINGS: Final = """options => axe.run(options).then(({violations}) => violations.flatMap(
    rule => rule.nodes.map(node => `${rule.id}: ${node.html.slice(0, 160)}`)))"""


def _findings_now(page: Page, *rules: str) -> list[str]:
    if not page.evaluate("'axe' in window"):
        page.evaluate(Axe().axe_script)
    only: dict[str, Any] = {"runOnly": {"type": "rule", "values": rules}} if rules else {}
    options = {"resultTypes": ["violations"], "selectors": False, **only}
    found: list[str] = page.evaluate(_FINDINGS, options)
    return found


def faults_now(page: Page, *rules: str) -> list[str]:
    """The findings of axe-core by these rules, all by default, and whether the page is wider than the screen: at once,
    for walks over many pages."""
    page.wait_for_function("!document.documentElement.hasAttribute('x-cloak')")
    return [*_findings_now(page, *rules), *([] if fits(page) else ["wider than the screen"])]


def fits(page: Page) -> bool:
    """Whether nothing is wider than the screen."""
    return not page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")


def faults_of(page: Page) -> list[str]:
    """The findings of axe-core, and whether the page is wider than the screen."""
    return [*findings(page), *([] if fits(page) else ["wider than the screen"])]
