"""Takes the pictures, each as a user of the group that its page is for."""

import contextlib
import functools
from typing import Any

from playwright.sync_api import Browser, BrowserContext, Response, expect

from tests.browser.screenshots.service import Service
from tests.browser.screenshots.shots import Shot
from tests.browser.screenshots.steps import follow, settle


class Camera:
    """Takes the pictures, with one login per group, and one window per group, size and colour scheme."""

    def __init__(self, browser: Browser, service: Service) -> None:
        self._browser = browser
        self._service = service
        self._logins: dict[str, Any] = {}
        self._windows: dict[tuple[Any, ...], BrowserContext] = {}
        self.faults: list[str] = []

    def take(self, shot: Shot) -> bytes:
        """Take the picture as PNG. Errors of the page are added to ``faults``."""
        with contextlib.closing(self._window(shot).new_page()) as page:
            width, height = shot.size
            page.set_viewport_size({"width": width, "height": height})
            page.on("response", functools.partial(self._note_answer, shot))
            page.on("pageerror", lambda error: self.faults.append(f"{shot.name}: {error}"))
            page.goto("/admin/" if shot.entry else "/admin/login/")
            if shot.entry:
                follow(page, shot.entry)
            shot.steps(page)
            settle(page)
            return page.screenshot(animations="disabled", scale="css", type="png")

    def _note_answer(self, shot: Shot, answer: Response) -> None:
        if answer.status >= 400:
            self.faults.append(f"{shot.name}: {answer.status} {answer.url}")

    def _window(self, shot: Shot) -> BrowserContext:
        group = shot.group if shot.entry else None
        which = (group, shot.size[0], shot.shade)
        if which not in self._windows:
            self._windows[which] = self._browser.new_context(
                base_url=self._service.address,
                color_scheme=shot.shade,  # type: ignore[arg-type]
                reduced_motion="reduce",
                locale="en-GB",
                timezone_id="Europe/Vienna",
                storage_state=self._log_in(group) if group else None,
            )
            self._windows[which].set_default_timeout(10_000)
        return self._windows[which]

    def _log_in(self, group: str) -> Any:
        if group in self._logins:
            return self._logins[group]
        with contextlib.closing(self._browser.new_context(base_url=self._service.address)) as context:
            page = context.new_page()
            page.goto("/admin/login/")
            page.get_by_label("Username").fill(f"demo-{group}")
            page.get_by_label("Password").fill(self._service.password)
            page.get_by_role("button", name="Log in").click()
            expect(page.get_by_role("heading", name="Dashboard")).to_be_visible()
            self._logins[group] = context.storage_state()
        return self._logins[group]
