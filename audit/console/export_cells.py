"""Cells of exported files: what is written for a value, so that any spreadsheet opens the file and changes no text.

A text that begins like a formula would be evaluated by a spreadsheet, so it gets an apostrophe in front; and so does
one that a spreadsheet would take for something else, such as ``#N/A``. Characters that no spreadsheet opens are
replaced.
"""

import re
from datetime import datetime
from typing import Any, Final

from django.utils import timezone
from django.utils.translation import gettext

from audit.console.imports.guards import kept

_MOST_IN_A_CELL: Final = 32_767
"""The most UTF-16 units in a cell: a spreadsheet refuses a workbook with more, and breaks the rows of a CSV file."""
_UNOPENABLE: Final = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def plain(cell: Any) -> Any:
    """The value of a cell of a CSV file: numbers as they are, times in the reader's zone, texts guarded."""
    value = value_of(cell)
    return fitting(kept(value)) if value and isinstance(value, str) else value


def value_of(cell: Any) -> Any:
    """A number, a truth value, or the text for any other value; empty for None. Times are in the reader's zone."""
    if cell is None:
        return ""
    if isinstance(cell, bool | int | float | str):
        return cell
    if isinstance(cell, datetime):
        return timezone.localtime(cell).isoformat(sep=" ", timespec="seconds")
    return str(cell)


def fitting(text: str) -> str:
    """The text without characters that XML forbids, cut to what a cell holds: spreadsheets can open neither."""
    text = _UNOPENABLE.sub("\ufffd", text)
    if len(text) <= _MOST_IN_A_CELL // 2:
        return text
    units = text.encode("utf-16-le")
    if len(units) <= 2 * _MOST_IN_A_CELL:
        return text
    ending = gettext("… (cut: the limit of a cell)")
    return units[: 2 * (_MOST_IN_A_CELL - len(ending))].decode("utf-16-le", "ignore") + ending
