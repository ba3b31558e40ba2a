"""XLSX workbooks of exports."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, islice
from tempfile import TemporaryFile
from typing import IO, Any, Final

from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.styles import Font

from audit.console.export_cells import fitting, value_of
from audit.console.imports.guards import kept
from audit.console.imports.spoiled import kind_of
from audit.db.pool import give_back_connection

WORKBOOK: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
MOST_ON_A_SHEET: Final = 1_048_575
"""The most rows of a sheet below its header, by the format."""


@contextmanager
def written_workbook(name: str, header: Sequence[Any], rows: Iterable[Sequence[Any]]) -> Iterator[IO[bytes]]:
    """An XLSX file in a temporary file, opened at its beginning. Rows beyond those of a sheet go to a further sheet.

    Texts are marked as such: a spreadsheet keeps the zeros of a barcode also when somebody types another one.
    """
    book = Workbook(write_only=True)
    left, sheets = iter(rows), 0
    following: list[Sequence[Any]] = []
    while sheets == 0 or following:
        sheets += 1
        sheet = book.create_sheet(name[:31] if sheets == 1 else f"{name[:25]} {sheets}")
        _write_sheet(sheet, header, chain(following, left))
        following = list(islice(left, 1))
    give_back_connection()
    with TemporaryFile() as file:
        book.save(file)
        file.seek(0)
        yield file


def _write_sheet(sheet: Any, header: Sequence[Any], rows: Iterable[Sequence[Any]]) -> None:
    """Write the header and as many of the rows as a sheet has."""
    sheet.freeze_panes = "A2"
    text = WriteOnlyCell(sheet)
    text.number_format = "@"
    title = WriteOnlyCell(sheet)
    title.font = Font(bold=True)
    sheet.append([_cell(sheet, str(cell), title) for cell in header])
    for row in islice(rows, MOST_ON_A_SHEET):
        sheet.append([_cell(sheet, value_of(cell), text) for cell in row])


def _cell(sheet: Any, value: Any, like: Any) -> Any:
    """A cell of a workbook: a text in the style of another cell, any other value as it is.

    A text that is marked as one needs no apostrophe for a spreadsheet to keep it, but for what files are searched for.
    """
    if not isinstance(value, str) or not value:
        return value if value != "" else None
    is_safe = kind_of(value) and not kind_of(value, "t")
    cell = WriteOnlyCell(sheet, None)
    cell._value = fitting(value if is_safe else kept(value))
    cell.data_type = "s"
    cell._style = like._style
    return cell
