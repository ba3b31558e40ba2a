"""Reading of uploaded files as tables: find the header, take the columns that are imported, and check their cells.

django-import-export reads files as well, but it doesn't count blank lines, so its row numbers differ from those that
people see; it takes the last result of a formula for a typed value; and it unpacks a workbook of any size. A CSV file
is read in this process, because its cost grows with its bytes alone; a workbook is read in a child process.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Final

from django.utils.translation import gettext, gettext_noop

from audit.console.imports.columns import (
    Column,
    ColumnMap,
    Format,
    field_of,
    format_of,
    names_of,
    spelled,
)
from audit.console.imports.csv_files import WESTERN, csv_rows, decoded
from audit.console.imports.guards import unguarded
from audit.console.imports.rows import RawRow, RowFault, Table, TableRow, Unreadable
from audit.console.imports.spoiled import fault_of_cell
from audit.console.imports.workbook_reader import LAST_ROW, MOST_COLUMNS
from audit.console.imports.workbooks import Refusal, read_workbook
from audit.texts import RefusedCharacter, clean_code, clean_line, without_refused

MOST_ROWS: Final = 50_000
_TITLE_ROWS: Final = 20
"""How many rows that aren't blank are searched for the header: reports have some lines of text above it."""
_NO_FRACTION: Final = re.compile(r"(?<=\d)[.,](?!000\Z)0+\Z")
"""A fraction of zeros. Three of them may as well be the end of a thousand, so that they stay, and are refused."""
_MARKUP: Final = re.compile(r"\s*<(?:!doctype|!--|\?xml|html|head|meta|body|table|style)\b", re.IGNORECASE | re.ASCII)
"""How a page begins that was saved under the name of a workbook."""
_WORKBOOK: Final = b"PK\x03\x04"
_OLD_WORKBOOK: Final = b"\xd0\xcf\x11\xe0"
_REFUSALS: Final = {
    "columns": gettext_noop("a file has at most %(columns)s columns"),
    "rows": gettext_noop("a file has at most %(rows)s rows: split it"),
    "large": gettext_noop("is too large: split it, or save it as CSV"),
    "slow": gettext_noop("takes too long to read: split it, or save it as CSV"),
    "busy": gettext_noop("can't be read while others are importing files: try again in a moment"),
    "broken": gettext_noop("is a workbook that can't be read: save it again as XLSX, or as CSV"),
}


@dataclass(slots=True)
class Sheet:
    """A file whose header was found. ``titles`` are its cells without blanks at the end; ``rows`` are read once."""

    titles: tuple[str, ...]
    header_row: int
    rows: Iterator[RawRow]
    is_workbook: bool
    is_guessed: bool = False
    """Whether its encoding is a guess."""


def letters_of(index: int) -> str:
    """The name of a column in a spreadsheet, by its index: A, B, …, Z, AA."""
    letters = ""
    number = index + 1
    while number:
        number, rest = divmod(number - 1, 26)
        letters = chr(ord("A") + rest) + letters
    return letters


def open_sheet(
    content: bytes, columns: Sequence[Column], formats: Sequence[Format] = (), most_rows: int | None = None
) -> Sheet:
    """Find the header of a CSV file or of a workbook's open sheet. Raises Unreadable, also while its rows are read:
    for more than ``most_rows``, ``MOST_ROWS`` by default."""
    if content.startswith(_OLD_WORKBOOK):
        raise Unreadable(gettext("is a workbook of an old kind, or a locked one: save it as XLSX or CSV"))
    is_workbook = content.startswith(_WORKBOOK)
    most = MOST_ROWS if most_rows is None else most_rows
    text, encoding = ("", "") if is_workbook else decoded(content)
    if _MARKUP.match(text):
        raise Unreadable(gettext("is a web page, not a table: open it in a spreadsheet, and save it as XLSX or CSV"))
    rows = _filled(workbook_rows(content, most + _TITLE_ROWS + 1) if is_workbook else csv_rows(text))
    first = list(islice(rows, _TITLE_ROWS))
    if not first:
        raise Unreadable(gettext("is empty"))
    place = _header_place(first, columns, formats)
    titles = [without_refused(cell) for cell in first[place].cells]
    while titles and not titles[-1]:
        titles.pop()
    if not titles:
        raise Unreadable(gettext("is empty"))
    rest = _bounded(chain(first[place + 1 :], rows), most)
    return Sheet(tuple(titles), first[place].number, rest, is_workbook, is_guessed=encoding == WESTERN)


def _filled(rows: Iterable[RawRow]) -> Iterator[RawRow]:
    """The rows that aren't blank. Raises Unreadable for a value beyond the last column that is read."""
    for row in rows:
        if len(row.cells) > MOST_COLUMNS and any(map(str.strip, row.cells[MOST_COLUMNS:])):
            raise Unreadable(gettext("a file has at most %(most)s columns") % {"most": MOST_COLUMNS}, row.number)
        if any(cell and not cell.isspace() for cell in row.cells):
            yield row


def _bounded(rows: Iterable[RawRow], most: int) -> Iterator[RawRow]:
    for number, row in enumerate(rows, 1):
        if number > most:
            raise Unreadable(gettext("a file has at most %(most)s rows: split it") % {"most": most}, row.number)
        yield row


def _header_place(rows: Sequence[RawRow], columns: Sequence[Column], formats: Sequence[Format]) -> int:
    """Which of the first rows is the header: the first one that has the names of a format or all columns that are
    needed, else the one with most names of columns, else the first of those with most cells."""
    names = names_of(columns)
    needed = {column.name for column in columns if column.is_needed}
    scores: list[tuple[int, int]] = []
    for place, row in enumerate(rows):
        titles = [cell.strip() for cell in row.cells if cell and not cell.isspace()]
        found = {field_of(title, names) for title in titles} - {""}
        if needed <= found or format_of(titles, formats):
            return place
        scores.append((len(found), len(titles)))
    return max(range(len(rows)), key=lambda place: (*scores[place], -place))


def table_of(sheet: Sheet, chosen: ColumnMap, columns: Sequence[Column], formats: Sequence[Format] = ()) -> Table:
    """The table of the columns that a map takes from a sheet. Raises Unreadable."""
    reader = RowReader(sheet, chosen, columns, formats)
    rows = tuple(reader.rows())
    return Table(reader.header, rows, tuple(reader.faults))


class RowReader:
    """Reads a sheet's rows by a map: in the order of ``header``, cleaned, without the guards of exports. ``faults`` has
    those of the rows that were read.

    Raises Unreadable where the map takes a column from two, or where a needed one is missing.
    """

    def __init__(
        self, sheet: Sheet, chosen: ColumnMap, columns: Sequence[Column], formats: Sequence[Format] = ()
    ) -> None:
        self.faults: list[RowFault] = []
        self._sheet = sheet
        self._chosen = chosen
        known = {column.name: column for column in columns if column.is_read}
        self._check(columns)
        self._taken = [(index, known[name]) for index, name in enumerate(chosen.fields) if name in known]
        self._constants = {name: value for name, value in chosen.constants.items() if name in known and value}
        self.header = (*(column.name for _, column in self._taken), *self._constants)
        self._format = next((each for each in formats if each.name == chosen.format_name), None)
        self._above: dict[str, tuple[str, str]] = {}
        self._width = len(sheet.titles)
        self._untitled = [index for index, title in enumerate(sheet.titles) if not title] if chosen.is_strict else []

    def _check(self, columns: Sequence[Column]) -> None:
        seen: set[str] = set()
        for name in filter(None, self._chosen.fields):
            if name in seen:
                raise Unreadable(gettext("appears twice in the header"), self._sheet.header_row, name)
            seen.add(name)
        for column in columns:
            if column.is_needed and column.name not in seen and not self._chosen.constants.get(column.name):
                raise Unreadable(gettext("is missing, but required"), self._sheet.header_row, column.name)

    def rows(self) -> Iterator[TableRow]:
        """The valid rows. The faults of the others are in ``faults`` then. Raises Unreadable."""
        for raw in self._sheet.rows:
            if fault := self._fault_of_width(raw):
                self.faults.append(fault)
            elif row := self._row(raw):
                yield row

    def _row(self, raw: RawRow) -> TableRow | None:
        """The row; None if it has faults, or if its format has such rows for other purposes."""
        cells = self._filled_down(self._format, raw.cells) if self._format else raw.cells
        texts: list[str] = []
        faults: list[RowFault] = []
        for index, column in self._taken:
            text = cells[index] if index < len(cells) else ""
            type_ = raw.types[index] if index < len(raw.types) else "s"
            try:
                texts.append(self._cell(raw.number, index, column, text, type_))
            except ValueError as error:
                faults.append(RowFault(raw.number, column.name, str(error)))
                texts.append(text)
        if self._format and self._is_skipped(self._format, texts):
            return None
        self.faults += faults
        return None if faults else TableRow(raw.number, (*texts, *self._constants.values()))

    def _fault_of_width(self, raw: RawRow) -> RowFault | None:
        """A row that is wider than the header, or shorter unless a workbook has left out its empty cells."""
        cells = raw.cells
        if len(cells) != self._width:
            is_short = len(cells) < self._width and not self._sheet.is_workbook
            if is_short or any(cell.strip() for cell in cells[self._width :]):
                message = gettext("has %(cells)s cells, and the header has %(columns)s")
                return RowFault(raw.number, "", message % {"cells": len(cells), "columns": self._width})
        for index in self._untitled:
            if index < len(cells) and cells[index].strip():
                message = gettext("has a value in a column without a name")
                return RowFault(raw.number, letters_of(index), message)
        return None

    def _cell(self, number: int, index: int, column: Column, text: str, type_: str) -> str:
        """The text of a cell. Raises ValueError with what is wrong."""
        text = text.strip(" ")
        if not text:
            return ""
        place = f"{letters_of(index)}{number}"
        if fault := fault_of_cell(place, text, type_, is_code=column.is_code):
            raise ValueError(fault)
        try:
            text = (clean_code if column.is_code else clean_line)(unguarded(text))
        except RefusedCharacter as error:
            raise ValueError(str(error)) from error
        if self._format and column.name in self._format.decimals:
            text = _NO_FRACTION.sub("", text)
        values: Mapping[str, str] = self._format.values.get(column.name, {}) if self._format else {}
        return values.get(text.casefold(), text) if values else text

    def _filled_down(self, shape: Format, cells: Sequence[str]) -> Sequence[str]:
        """The cells with those that have a value on the first row of their group alone."""
        if not shape.filled_down:
            return cells
        filled = list(cells)
        titles = {spelled(title): index for index, title in enumerate(self._sheet.titles)}
        for title, by in shape.filled_down.items():
            index, group = titles.get(spelled(title)), titles.get(spelled(by))
            if index is None or group is None or max(index, group) >= len(filled):
                continue
            if filled[index].strip():
                self._above[title] = (filled[group], filled[index])
            elif (above := self._above.get(title)) and above[0] == filled[group]:
                filled[index] = above[1]
        return filled

    def _is_skipped(self, shape: Format, texts: Sequence[str]) -> bool:
        if shape.skipped_without not in self.header:
            return False
        place = self.header.index(shape.skipped_without)
        return place < len(texts) and not texts[place]


def workbook_rows(content: bytes, most_rows: int) -> Iterator[RawRow]:
    """The rows of a workbook's active sheet that aren't blank, with their numbers. Raises Unreadable."""
    try:
        for number, cells, types in read_workbook(content, most_rows):
            yield RawRow(number, cells, types)
    except Refusal as refusal:
        bounds = {"columns": MOST_COLUMNS, "rows": min(most_rows, LAST_ROW)}
        detail = gettext(_REFUSALS[refusal.code]) % bounds
        raise Unreadable(detail, refusal.row, refusal.column) from refusal
