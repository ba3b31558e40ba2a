"""Drafts in a browser without scripts: begun, typed, reviewed and posted by forms."""

import re
from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID, uuid4

from django.test import Client
from django.urls import reverse

RECEIVE: Final = "/admin/inventory/movement/receive/"
_FIELD: Final = re.compile(r'<input[^>]*name="([\w-]+)"[^>]*value="([^"]*)"')
_CHOICE: Final = re.compile(r'<select name="(\w+)".*?</select>', re.DOTALL)
_CHOSEN: Final = re.compile(r'<option value="([^"]*)" selected')


def begin_delivery(browser: Client, warehouse: str = "wh-001", reference: str = "") -> str:
    """Begin a delivery. Returns the address of its draft."""
    given = {"once": str(uuid4()), "warehouse": warehouse, "reference": reference}
    return str(browser.post(RECEIVE, given).headers["Location"])


def begin_transfer(browser: Client, source: str = "wh-001", destination: str = "wh-002") -> str:
    """Begin the draft of a transfer. Returns its address."""
    given = {"once": str(uuid4()), "from_warehouse": source, "to_warehouse": destination}
    return str(browser.post(reverse("admin:inventory_transfer_new_transfer"), given).headers["Location"])


def draft_form(browser: Client, path: str) -> dict[str, str]:
    """The fields of the page of a draft, as it shows them."""
    page = browser.get(path).content.decode().split("<main", 1)[1]
    page = re.sub(r'<template.*?</template>|<input type="checkbox"[^>]*>', "", page, flags=re.DOTALL)
    chosen = {found[1]: _CHOSEN.search(found[0]) for found in _CHOICE.finditer(page)}
    return dict(_FIELD.findall(page)) | {name: option[1] for name, option in chosen.items() if option}


def type_units(browser: Client, path: str, units: Mapping[UUID, int | str], **fields: str) -> Any:
    """Type units of lines, also of new ones, and send the form."""
    typed = {f"units-{product}": str(quantity) for product, quantity in units.items()}
    return browser.post(path, draft_form(browser, path) | {"do": "save", **typed, **fields})


def review_and_post(browser: Client, path: str, ending: str, **fields: str) -> Any:
    """Review a draft and post it. Returns the page that this leads to."""
    reviewed = browser.post(path, draft_form(browser, path) | {"do": "review"}).headers["Location"]
    form = draft_form(browser, reviewed)
    return browser.post(path, form | {"do": f"post:{ending}", **fields}, follow=True)
