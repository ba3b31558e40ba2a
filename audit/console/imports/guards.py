"""Apostrophes before texts that a spreadsheet would change: put there by exports, taken off by imports. Pure."""

import re
from typing import Final

from audit.console.imports.spoiled import kind_of

_CELL_START: Final = r"(?:\A|(?<=[;\t\r\n]))"
"""Where a spreadsheet may begin a cell: it may split a CSV file at other signs than the one that was meant."""
_FORMULA_AHEAD: Final = r"""(?=(?:[^\S\t\r\n]|["'\u00ad\u200b-\u200f\u2060\ufeff])*[=+\-@\uff1d\uff0b\uff0d\uff20])"""
"""Blanks, quotes and characters without width, and then a sign that begins a formula, full-width or not."""
_BREAK_AHEAD: Final = r"(?='*[\t\r\n])"
_TO_GUARD: Final = re.compile(rf"{_CELL_START}{_FORMULA_AHEAD}|\A{_BREAK_AHEAD}")
_GUARD: Final = re.compile(rf"{_CELL_START}'{_FORMULA_AHEAD}|\A'{_BREAK_AHEAD}")

_FORMULA_OF_TEXT: Final = re.compile(r'="([^"]*)"')
"""How other systems keep a spreadsheet from changing a code: ``="00123"``."""


def guarded(text: str) -> str:
    """Put an apostrophe before whatever a spreadsheet would evaluate as a formula: at the start of a text, and after
    each ``;``, tab and line break in it, because the file may be split there. A formula that is guarded already gets
    one more, so that ``unguarded`` restores every text."""
    return _TO_GUARD.sub("'", text)


def unguarded(text: str) -> str:
    """Undo ``guarded`` and ``kept``. An apostrophe that people typed before a formula is removed as well, and so is the
    formula of other systems around a text."""
    if found := _FORMULA_OF_TEXT.fullmatch(text):
        return found[1]
    if text[:1] == "'" and _is_changed(text.lstrip("'")):
        return text[1:]
    return _GUARD.sub("", text)


def kept(text: str) -> str:
    """Put an apostrophe before a text that a spreadsheet would take for something else, such as ``#N/A`` or
    ``1-Mar``. Like a formula, a text that has one already gets one more."""
    bare = text.lstrip("'")
    return f"'{text}" if kind_of(bare) or (bare != text and _is_changed(bare)) else guarded(text)


def _is_changed(text: str) -> bool:
    """Whether a spreadsheet changes a text. People, and other systems, put an apostrophe before digits, too."""
    return bool(kind_of(text)) or (text.isascii() and text.isdigit())
