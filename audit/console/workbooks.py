"""XLSX workbooks of exports.

openpyxl makes all parts of a workbook but the rows, which are written as text, in the form that openpyxl gives them: it
would build an element for each cell, which takes several times as long.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from io import BytesIO
from itertools import chain, islice
from shutil import copyfileobj
from tempfile import TemporaryFile
from typing import IO, Any, Final
from xml.sax.saxutils import escape
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.styles import Font
from openpyxl.utils import get_column_letter

from audit.console.export_cells import fitting, value_of
from audit.console.imports.guards import kept
from audit.console.imports.spoiled import kind_of
from audit.db.pool import give_back_connection

WORKBOOK: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
MOST_ON_A_SHEET: Final = 1_048_575
"""The most rows of a sheet below its header, by the format."""
_END_OF_ROWS: Final = b"</sheetData>"


@contextmanager
def written_workbook(name: str, header: Sequence[Any], rows: Iterable[Sequence[Any]]) -> Iterator[IO[bytes]]:
    """An XLSX file in a temporary file, opened at its beginning. Rows beyond those of a sheet go to a further sheet.

    Texts are marked as such: a spreadsheet keeps the zeros of a barcode also when somebody types another one.
    """
    book = Workbook(write_only=True)
    left = iter(rows)
    following: list[Sequence[Any]] = []
    with TemporaryFile() as file:
        with ExitStack() as opened:
            sheets: list[IO[bytes]] = []
            while not sheets or following:
                style = _add_sheet(book, f"{name[:25]} {len(sheets) + 1}" if sheets else name[:31], header)
                sheets.append(opened.enter_context(TemporaryFile()))
                of_sheet = islice(chain(following, left), MOST_ON_A_SHEET)
                sheets[-1].writelines(_written_rows(of_sheet, len(header), style))
                following = list(islice(left, 1))
            give_back_connection()
            _assemble(book, sheets, file)
        file.seek(0)
        yield file


def _add_sheet(book: Any, title: str, header: Sequence[Any]) -> int:
    """Add a sheet with its header. Returns the number of the style of texts."""
    sheet = book.create_sheet(title)
    sheet.freeze_panes = "A2"
    cells = [WriteOnlyCell(sheet, str(cell)) for cell in header]
    for cell in cells:
        cell.font = Font(bold=True)
    sheet.append(cells)
    text = WriteOnlyCell(sheet)
    text.number_format = "@"
    return int(text.style_id)


def _written_rows(rows: Iterable[Sequence[Any]], columns: int, style: int) -> Iterator[bytes]:
    """The rows of a sheet below its header, as XML."""
    letters = [get_column_letter(column) for column in range(1, columns + 1)]
    for number, row in enumerate(rows, 2):
        cells = (
            _written_cell(f'<c r="{letter}{number}"', value_of(cell), style)
            for letter, cell in zip(letters, row, strict=True)
        )
        yield f'<row r="{number}">{"".join(cells)}</row>'.encode()


def _written_cell(begun: str, value: Any, style: int) -> str:
    """A cell as XML; no text for an empty one.

    A text that is marked as one needs no apostrophe for a spreadsheet to keep it, but for what files are searched for.
    """
    if not isinstance(value, str):
        return f'{begun} t="{"b" if isinstance(value, bool) else "n"}"><v>{value:.16g}</v></c>'
    if not value:
        return ""
    is_safe = kind_of(value) and not kind_of(value, "t")
    text = fitting(value if is_safe else kept(value))
    stripped = text.strip()
    space = ' xml:space="preserve"' if stripped and stripped != text else ""
    return f'{begun} s="{style}" t="inlineStr"><is><t{space}>{escape(text)}</t></is></c>'


def _assemble(book: Any, sheets: Sequence[IO[bytes]], file: IO[bytes]) -> None:
    """Write the workbook, with the rows of each of its sheets after the header."""
    skeleton = BytesIO()
    book.save(skeleton)
    rows = {sheet.path.lstrip("/"): of_sheet for sheet, of_sheet in zip(book.worksheets, sheets, strict=True)}
    with ZipFile(skeleton) as parts, ZipFile(file, "w", ZIP_DEFLATED) as made:
        for part in parts.infolist():
            content = parts.read(part)
            if part.filename in rows:
                _write_sheet(made, part, content, rows[part.filename])
            else:
                made.writestr(part, content)


def _write_sheet(made: ZipFile, part: ZipInfo, content: bytes, rows: IO[bytes]) -> None:
    header, _, ending = content.rpartition(_END_OF_ROWS)
    written = ZipInfo(part.filename, part.date_time)
    written.compress_type = part.compress_type
    written.file_size = len(content) + rows.tell()  # Expected, so that a part beyond 2 GiB has room for its size.
    rows.seek(0)
    with made.open(written, "w") as sheet:
        sheet.write(header)
        copyfileobj(rows, sheet)
        sheet.write(_END_OF_ROWS + ending)
