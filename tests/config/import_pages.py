"""Helpers for tests that show and confirm files on the pages of imports."""

from typing import Any

from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from inventory.models import StockLevel
from inventory.services.stock.import_files import COLUMNS as CHANGES

SETTINGS = reverse("admin:inventory_stocklevel_import_settings")
BOOKINGS = reverse("admin:inventory_stocklevel_import_changes")
PRODUCTS = reverse("admin:inventory_product_import_products")
LEVELS_CSV = reverse("admin:inventory_stocklevel_export_csv")
SET = reverse("admin:inventory_stocklevel_set_rows")


def look(browser: Client, url: str, *lines: str, content: bytes | None = None, name: str = "file.csv") -> Any:
    """Upload a file for a preview."""
    file = SimpleUploadedFile(name, "\n".join(lines).encode() if content is None else content)
    return browser.post(url, {"do": "look", "file": file})


def confirm(browser: Client, looked: Any, url: str) -> Any:
    """Confirm the preview."""
    assert looked.context["dialog"].step == "preview", looked.context["dialog"].preview
    return browser.post(url, {"do": "import", "plan": looked.context["dialog"].sealed}, follow=True)


def faults(answer: Any) -> list[tuple[int, str]]:
    assert answer.status_code == 422
    return [(fault.row, fault.column) for fault in answer.context["dialog"].preview.faults]


def shown(answer: Any) -> list[tuple[int, str, list[tuple[str, str, str]]]]:
    rows = answer.context["dialog"].preview.shown
    return [(row.row, row.name, [(str(label), old, new) for label, old, new in row.changes]) for row in rows]


def taken(browser: Client, url: str) -> bytes:
    """The content of an export."""
    answer = browser.get(url)
    assert answer.status_code == 200
    return b"".join(answer.streaming_content) if answer.streaming else answer.content  # type: ignore[arg-type]


# -------------------------------------------------------------------------------------------------------------- changes

LINES = ",".join(CHANGES)


# ------------------------------------------------------------------------------------------------ many rows at once


def choose(browser: Client, *levels: StockLevel) -> Any:
    return browser.get(SET, {"level": [str(level.pk) for level in levels]})
