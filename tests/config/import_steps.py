"""Helpers for tests of the step of an import that asks for columns."""

from typing import Any

from django.test import Client


def dialog(answer: Any) -> Any:
    return answer.context["dialog"]


def send_columns(browser: Client, url: str, asked: Any, **given: str) -> Any:
    """Send the step of columns as it is proposed, with changes."""
    assert dialog(asked).step == "columns"
    fields = {f"column-{column.index}": column.field for column in dialog(asked).mapping.columns}
    return browser.post(url, {"do": "columns", "plan": dialog(asked).sealed, **fields, **given})
