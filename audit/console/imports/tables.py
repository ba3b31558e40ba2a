"""Reading of CSV and XLSX files as rows of texts, each with its row number in an editor or a spreadsheet.

django-import-export reads both as well, but it doesn't count blank lines, so its row numbers differ from those that
people see; it takes the last result of a formula for a typed value; and it unpacks a workbook of any size. A CSV file
is read in this process, because its cost grows with its bytes alone; a workbook is read in a child process.
"""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from django.utils.translation import gettext, gettext_noop

from audit.console.imports.workbooks import Refusal, read_workbook

MOST_BYTES: Final = 1024 * 1024
MOST_ROWS: Final = 5000
MOST_COLUMNS: Final = 50
_LONGEST_NAME: Final = 64
_DELIMITERS: Final = ",;\t"
_WORKBOOK: Final = b"PK\x03\x04"
_OLD_WORKBOOK: Final = b"\xd0\xcf\x11\xe0"
_REFUSALS: Final = {
    "columns": gettext_noop("a file has at most %(columns)s columns"),
    "rows": gettext_noop("a file has at most %(rows)s rows: split it"),
    "formula": gettext_noop("has a formula: copy the cells, and paste their values alone"),
    "large": gettext_noop("is too large: split it, or save it as CSV"),
    "slow": gettext_noop("takes too long to read: split it, or save it as CSV"),
    "busy": gettext_noop("can't be read while others are importing files: try again in a moment"),
    "broken": gettext_noop("is a workbook that can't be read: save it anew as XLSX, or as CSV"),
}
_CELL_START: Final = r"(?:\A|(?<=[;\t\r\n]))"
"""Where a spreadsheet may begin a cell: it may split a CSV file at other signs than the one that was meant."""
_FORMULA_AHEAD: Final = r"""(?=(?:[^\S\t\r\n]|["'\u00ad\u200b-\u200f\u2060\ufeff])*[=+\-@\uff1d\uff0b\uff0d\uff20])"""
"""Blanks, quotes and characters without width, and then a sign that begins a formula, full-width or not."""
_BREAK_AHEAD: Final = r"(?='*[\t\r\n])"
_TO_GUARD: Final = re.compile(rf"{_CELL_START}{_FORMULA_AHEAD}|\A{_BREAK_AHEAD}")
_GUARD: Final = re.compile(rf"{_CELL_START}'{_FORMULA_AHEAD}|\A'{_BREAK_AHEAD}")


class Unreadable(Exception):
    """A file, or one of its rows, can't be read. ``detail`` is a predicate: its subject is the file, row or column."""

    def __init__(self, detail: str, row: int = 1, column: str = "") -> None:
        super().__init__(detail)
        self.detail = detail
        self.row = row
        self.column = column


@dataclass(frozen=True, slots=True)
class RowFault:
    """A fault of a row; ``column`` is empty if it concerns the whole row."""

    row: int
    column: str
    detail: str


@dataclass(frozen=True, slots=True)
class TableRow:
    """A row with as many cells as the header."""

    number: int
    cells: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """The names of the columns in lower case, and the rows that aren't blank."""

    header: tuple[str, ...]
    rows: tuple[TableRow, ...]


def guarded(text: str) -> str:
    """Put an apostrophe before whatever a spreadsheet would evaluate as a formula: at the start of a text, and after
    each ``;``, tab and line break in it, because the file may be split there. A formula that is guarded already gets
    one more, so that ``unguarded`` restores every text."""
    return _TO_GUARD.sub("'", text)


def unguarded(text: str) -> str:
    """Undo ``guarded``. An apostrophe that people typed before a formula is removed as well."""
    return _GUARD.sub("", text)


def read_table(content: bytes) -> Table:
    """Read a CSV file (UTF-8; commas, semicolons or tabs) or the open sheet of a workbook. The first row that isn't
    blank is the header. Raises Unreadable."""
    if content.startswith(_OLD_WORKBOOK):
        raise Unreadable(gettext("is a workbook of an old kind, or a locked one: save it as XLSX or CSV"))
    is_workbook = content.startswith(_WORKBOOK)
    rows = _filled(workbook_rows(content) if is_workbook else csv_rows(content))
    number, names = next(rows, (1, ()))
    header = _header(number, names)
    found: list[TableRow] = []
    for number, cells in rows:
        if len(found) == MOST_ROWS:
            raise Unreadable(gettext("a file has at most %(most)s rows: split it") % {"most": MOST_ROWS}, number)
        found.append(TableRow(number, _as_wide(number, cells, len(header), may_be_short=is_workbook)))
    return Table(header, tuple(found))


def _filled(rows: Iterable[tuple[int, Sequence[str]]]) -> Iterator[tuple[int, Sequence[str]]]:
    """The rows that aren't blank, stripped. Raises Unreadable for a value beyond the last column that is read."""
    for number, cells in rows:
        if any(map(str.strip, cells[MOST_COLUMNS:])):
            raise Unreadable(gettext("a file has at most %(most)s columns") % {"most": MOST_COLUMNS}, number)
        stripped = [unguarded(cell.strip()) for cell in cells[:MOST_COLUMNS]]
        if any(stripped):
            yield number, stripped


def _header(number: int, names: Sequence[str]) -> tuple[str, ...]:
    lowered = [name.lower() for name in names]
    while lowered and not lowered[-1]:
        lowered.pop()
    if not lowered:
        raise Unreadable(gettext("is empty"))
    if "" in lowered:
        raise Unreadable(gettext("has a column without a name"), number)
    seen: set[str] = set()
    for name in lowered:
        if name in seen:
            raise Unreadable(gettext("is there twice"), number, name[:_LONGEST_NAME])
        seen.add(name)
    return tuple(lowered)


def _as_wide(number: int, cells: Sequence[str], width: int, *, may_be_short: bool) -> tuple[str, ...]:
    """Pad a row to the width of the header. Raises Unreadable for a row that is wider, or shorter unless it may be:
    a workbook omits empty cells at the end of a row."""
    if any(cells[width:]) or (len(cells) < width and not may_be_short):
        message = gettext("has %(cells)s cells, and the header has %(columns)s")
        raise Unreadable(message % {"cells": len(cells), "columns": width}, number)
    return (*cells[:width], *[""] * (width - len(cells)))


def csv_rows(content: bytes) -> Iterator[tuple[int, list[str]]]:
    """The records of a CSV file, including blank ones, each with the number of its first row. Raises Unreadable."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        row = content.count(b"\n", 0, error.start) + 1
        raise Unreadable(gettext("is not UTF-8: save it as “CSV UTF-8”, or as XLSX"), row) from error
    first = text.partition("\n")[0]
    delimiter = max(_DELIMITERS, key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    starts = 1
    try:
        for cells in reader:
            yield starts, cells
            starts = reader.line_num + 1
    except csv.Error as error:
        message = gettext("can't be read, nor what follows: %(why)s")
        raise Unreadable(message % {"why": error}, starts) from error


def workbook_rows(content: bytes) -> Iterator[tuple[int, list[str]]]:
    """The rows of a workbook's active sheet that aren't blank, with their numbers. Raises Unreadable."""
    try:
        yield from read_workbook(content, MOST_ROWS + 2)
    except Refusal as refusal:
        detail = gettext(_REFUSALS[refusal.code]) % {"columns": MOST_COLUMNS, "rows": MOST_ROWS}
        raise Unreadable(detail, refusal.row, refusal.column) from refusal
