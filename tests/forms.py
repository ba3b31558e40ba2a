"""Forms of pages, as a browser reads and sends them."""

from html.parser import HTMLParser
from typing import Any

from django.http import HttpResponse
from django.test import Client
from uuid_utils.compat import uuid7


class _Form(HTMLParser):
    """Collects the fields of the page's forms that are sent by POST."""

    def __init__(self) -> None:
        super().__init__()
        self.values: dict[str, list[str]] = {}
        self._is_inside = False
        self._select: str | None = None
        self._text: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        name = given.get("name") or ""
        if tag == "form":
            self._is_inside = (given.get("method") or "").lower() == "post"
        if not self._is_inside or "disabled" in given:
            return
        if tag == "input" and name:
            kind = given.get("type") or "text"
            if kind in ("submit", "button", "file") or (kind in ("checkbox", "radio") and "checked" not in given):
                return
            self.values.setdefault(name, []).append(given.get("value") or ("on" if kind == "checkbox" else ""))
        elif tag == "select":
            self._select = name
        elif tag == "option" and self._select and "selected" in given:
            self.values.setdefault(self._select, []).append(given.get("value") or "")
        elif tag == "textarea":
            self._text = name
            self.values.setdefault(name, []).append("")

    def handle_data(self, data: str) -> None:
        if self._text:
            self.values[self._text][-1] += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._is_inside = False
        elif tag == "select":
            self._select = None
        elif tag == "textarea":
            self._text = None


def form_on(page: HttpResponse) -> dict[str, Any]:
    """The values that the forms of a page would send, without those of the rows that a script adds."""
    parsed = _Form()
    parsed.feed(page.content.decode())
    return {name: values for name, values in parsed.values.items() if "__prefix__" not in name}


def open_form(browser: Client, url: str, **changes: Any) -> dict[str, Any]:
    """Open a page and fill in these fields; None unticks or clears one. Send the result to save the form."""
    page = browser.get(url)
    assert page.status_code == 200, page.status_code
    return filled_in(form_on(page), **changes)


def filled_in(form: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A form with these fields changed; None unticks or clears one."""
    return {name: value for name, value in {**form, **changes}.items() if value is not None}


def save_form(browser: Client, url: str, sent: dict[str, Any]) -> Any:
    """Send these values alone to a form, with what it is opened with now."""
    return browser.post(url, {**sent, "seen": form_on(browser.get(url))["seen"]})


def edit(browser: Client, url: str, **fields: Any) -> Any:
    """Open a dialog that replaces values, send its form once, and follow to the page that it leads to."""
    page = browser.get(url)
    opened = form_on(page) if page.status_code == 200 else {}
    return browser.post(url, {"once": str(uuid7()), "seen": opened.get("seen", ""), **fields}, follow=True)
