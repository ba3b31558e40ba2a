"""The rows of an uploaded file, and what is wrong with them. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple


class RawRow(NamedTuple):
    """A row as it is in the file. ``number`` is that of an editor or a spreadsheet; ``types`` has a letter for each
    cell of a workbook, as ``workbook_reader`` names them, and none for those of a CSV file."""

    number: int
    cells: Sequence[str]
    types: str = ""


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
    """The names of the columns that are imported, the rows that aren't blank, and the faults of others."""

    header: tuple[str, ...]
    rows: tuple[TableRow, ...]
    faults: tuple[RowFault, ...] = ()
