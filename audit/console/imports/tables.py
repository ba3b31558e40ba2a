"""Reading of CSV and XLSX files as rows of texts, each with its row number in an editor or a spreadsheet.

Pure. django-import-export reads both as well, but it doesn't count blank lines, so its row numbers differ from those
that people see; it takes the last result of a formula for a typed value; and it unpacks a workbook of any size.
"""

import csv
import io
import re
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.utils.translation import gettext
from openpyxl import load_workbook
from openpyxl.utils import get_column_letter

MOST_BYTES: Final = 1024 * 1024
MOST_ROWS: Final = 5000
_MOST_UNPACKED_BYTES: Final = 32 * 1024 * 1024
_MOST_COLUMNS: Final = 50
_LAST_ROW: Final = 100_000
_DELIMITERS: Final = ",;\t"
_WORKBOOK: Final = b"PK\x03\x04"
_OLD_WORKBOOK: Final = b"\xd0\xcf\x11\xe0"
_GUARDED: Final = re.compile(r"'+[=+\-@\t\r\n]")
_FORMULA: Final = re.compile(r"'*[=+\-@\t\r\n]")


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
    """Put an apostrophe before a text that a spreadsheet would evaluate as a formula. A formula that is guarded already
    gets one more, so that ``unguarded`` restores every text."""
    return f"'{text}" if _FORMULA.match(text) else text


def unguarded(text: str) -> str:
    """Undo ``guarded``. An apostrophe that people typed before a formula is removed as well."""
    return text[1:] if text[:1] == "'" and _GUARDED.match(text) else text


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
    for number, cells in rows:
        stripped = [unguarded(cell.strip()) for cell in cells]
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
    if twice := next((name for name in lowered if lowered.count(name) > 1), ""):
        raise Unreadable(gettext("is there twice"), number, twice)
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
    """The rows of a workbook's active sheet, including blank ones, with their numbers. Raises Unreadable."""
    try:
        yield from _sheet_rows(content)
    except Unreadable:
        raise
    except Exception as error:  # openpyxl raises many kinds of errors for a broken workbook
        raise Unreadable(gettext("is a workbook that can't be read: save it anew as XLSX, or as CSV")) from error


def _sheet_rows(content: bytes) -> Iterator[tuple[int, list[str]]]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        if sum(part.file_size for part in archive.infolist()) > _MOST_UNPACKED_BYTES:
            raise Unreadable(gettext("is too large: split it, or save it as CSV"))
    book = load_workbook(io.BytesIO(content), read_only=True, keep_links=False)
    try:
        sheet = book.active
        sheet.reset_dimensions()  # The dimensions that a file declares may be wrong.
        for number, cells in enumerate(sheet.iter_rows(), 1):
            if number > _LAST_ROW:
                raise Unreadable(gettext("a file has at most %(most)s rows: split it") % {"most": MOST_ROWS}, number)
            if any(cell.value is not None for cell in cells[_MOST_COLUMNS:]):
                message = gettext("a file has at most %(most)s columns")
                raise Unreadable(message % {"most": _MOST_COLUMNS}, number)
            yield number, [_text(cell) for cell in cells[:_MOST_COLUMNS]]
    finally:
        book.close()


def _text(cell: Any) -> str:
    """The text of a cell. Raises Unreadable for a formula, because its result was not typed, and for an error value."""
    if cell.value is None:
        return ""
    if cell.data_type in {"f", "e"}:
        message = gettext("has a formula: copy the cells, and paste their values alone")
        raise Unreadable(message, cell.row, f"{get_column_letter(cell.column)}{cell.row}")
    return _plain(cell.value)


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, datetime):
        return value.isoformat(sep=" ", timespec="seconds")
    return str(value)
