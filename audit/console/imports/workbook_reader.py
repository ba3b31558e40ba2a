"""A program that reads the active sheet of an XLSX file: ``python workbook_reader.py 5001 $$ < file.xlsx``.

``workbooks`` starts it as a child process, so that a hostile file costs the server neither memory nor time. It imports
nothing of this project, and gets no environment: it has nothing to give away. It ends with the process that started
it, whose id is the second argument. Prints one JSON object: ``rows``, the
first rows that aren't blank as (number, texts, types), or ``refusal``, ``row`` and ``column``. A type is a letter for
each cell: ``s`` a text, ``t`` a text that is marked as one, ``n`` a whole number, ``l`` one of more digits than a
spreadsheet keeps, ``r`` another number, ``d`` a date, ``h`` a time, ``b`` yes or no, ``e`` an error, ``f`` a formula.

A streaming scan of all XML comes first. It builds nothing, and refuses what would cost openpyxl too much: openpyxl
makes an object for each shared string, style and cell, and fills the rows and cells that a file leaves out.
"""

import json
import os
import re
import resource
import sys
import zipfile
from collections import Counter
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from io import BytesIO
from threading import Thread
from time import sleep
from typing import Any, Final, NoReturn
from xml.parsers import expat

from openpyxl.reader.excel import ExcelReader
from openpyxl.styles.stylesheet import apply_stylesheet
from openpyxl.utils import column_index_from_string
from openpyxl.worksheet._read_only import ReadOnlyWorksheet

MOST_COLUMNS: Final = 256
LAST_ROW: Final = 100_000
"""The last row that may have a value. Formats may go on to the last row of a sheet."""
MOST_UNPACKED_BYTES: Final = 128 * 1024 * 1024
MOST_TEXT: Final = 16_000_000
"""The most characters of all cells together: cells may share a long string."""
MOST_ELEMENTS: Final[Mapping[str, int]] = {
    **dict.fromkeys(("c", "v"), 1_200_000),
    "row": 1_050_000,
    **dict.fromkeys(("si", "is", "t", "r", "f"), 600_000),
}
"""The most elements of a name in the whole file; enough for a format on a column down to the last row, and for a
different text in each cell of the largest table."""
MOST_OTHER_ELEMENTS: Final = 100_000
_MOST_CELLS_IN_A_ROW: Final = 16_384
"""As many as a sheet has columns. openpyxl reads a row as a whole."""
MOST_SHEETS: Final = 250
MOST_PARTS: Final = 2_000
_MOST_NAMES: Final = 2_000
_DEEPEST: Final = 64
_CHUNK: Final = 64 * 1024
_LONGEST_TOKEN: Final = 1024 * 1024
"""The most bytes of a tag or a comment: expat before 2.6 reads an unfinished one anew with each chunk."""
_MOST_MEMORY: Final = 512 * 1024 * 1024
_MOST_SECONDS: Final = 40
_LOOK_EVERY_SECONDS: Final = 0.25
_MOST_DIGITS: Final = 10**15
"""Numbers from here on were rounded by the spreadsheet."""
_PARTS: Final = re.compile(r'0|"[^"0]*"|\\[^0]|[- ]')
_FORMAT_OF_ZEROS: Final = re.compile(r'(?:0|"[^"0]*"|\\[^0]|[- ])+')

Row = tuple[int, list[str], str]


class Refused(Exception):
    """The file can't be read, or is not read; ``code`` says why."""

    def __init__(self, code: str, row: int = 1, column: str = "") -> None:
        super().__init__(code)
        self.code = code
        self.row = row
        self.column = column


@lru_cache(maxsize=20_000)
def _column_of(letters: str) -> int:
    return int(column_index_from_string(letters))


class PartScan:
    """The scan of one part: counts its elements, and finds the last row and the first too wide one with a value."""

    def __init__(self, counts: Counter[str]) -> None:
        self.counts = counts
        self.last_row = 0
        self.wide_row = 0
        self._row = 0
        self._column = 0
        self._cells = 0
        self._depth = 0
        self._cell_depth = 0
        self._parser = expat.ParserCreate()
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._text
        self._parser.StartDoctypeDeclHandler = self._doctype

    def feed(self, chunk: bytes, fed: int) -> bool:
        """Take the next bytes, ``fed`` with them. Returns False if the part isn't XML from here on: nobody reads on."""
        try:
            self._parser.Parse(chunk, False)
        except expat.ExpatError:
            return False
        if fed - self._parser.CurrentByteIndex > _LONGEST_TOKEN:
            raise Refused("large")
        return True

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        name = name.rpartition(":")[2]
        self.counts[name] += 1
        self._depth += 1
        is_many = self.counts[name] > MOST_ELEMENTS.get(name, MOST_OTHER_ELEMENTS)
        if is_many or self._depth > _DEEPEST or len(self.counts) > _MOST_NAMES:
            raise Refused("large")
        if name == "c":
            self._count_cell()
            letters = attributes.get("r", "").rstrip("0123456789").upper()
            self._column = _column_of(letters) if letters else self._column + 1
            self._cell_depth = self._depth
        elif name == "row":
            self._row = int(attributes["r"]) if "r" in attributes else self._row + 1
            self._column = self._cells = 0
        elif name == "f" and self._cell_depth:
            self._fill()

    def _count_cell(self) -> None:
        self._cells += 1
        if self._cells > _MOST_CELLS_IN_A_ROW:
            raise Refused("large")

    def _end(self, name: str) -> None:
        if self._depth == self._cell_depth:
            self._cell_depth = 0
        self._depth -= 1

    def _text(self, text: str) -> None:
        if self._cell_depth and not text.isspace():
            self._fill()

    def _fill(self) -> None:
        self.last_row = max(self.last_row, self._row)
        if self._column > MOST_COLUMNS:
            self.wide_row = self.wide_row or self._row

    def _doctype(self, *declared: Any) -> NoReturn:
        """Refuse a document type: workbooks have none, and only one can declare entities."""
        raise Refused("broken")


def scan(content: bytes) -> dict[str, PartScan]:
    """Scan all parts of a workbook by name. Raises Refused, and errors of ``zipfile`` for a broken archive.

    Counts the bytes that are really unpacked: the sizes that an archive declares may be wrong.
    """
    counts: Counter[str] = Counter()
    scans: dict[str, PartScan] = {}
    unpacked = 0
    with zipfile.ZipFile(BytesIO(content)) as archive:
        names = archive.namelist()
        if len(names) > MOST_PARTS or len(names) != len(set(names)):
            raise Refused("large")
        for name in names:
            part = scans[name] = PartScan(counts)
            fed = 0
            with archive.open(name) as source:
                while chunk := source.read(_CHUNK):
                    fed += len(chunk)
                    if unpacked + fed > MOST_UNPACKED_BYTES:
                        raise Refused("large")
                    if not part.feed(chunk, fed):
                        break
            unpacked += fed
    if counts["sheet"] > MOST_SHEETS:
        raise Refused("large")
    return scans


def read(content: bytes, most_rows: int) -> list[Row]:
    """The first rows of the active sheet that aren't blank, with their numbers. Raises Refused, and errors of openpyxl
    for a broken workbook."""
    scans = scan(content)
    sheet = _active_sheet(content)
    part = scans[sheet._worksheet_path]
    if part.wide_row:
        raise Refused("columns", part.wide_row)
    if part.last_row > LAST_ROW:
        raise Refused("rows", part.last_row)
    found: list[Row] = []
    characters = 0
    for number, cells in enumerate(sheet.iter_rows(max_row=max(part.last_row, 1), max_col=MOST_COLUMNS), 1):
        read_cells = [_read(cell) for cell in cells]
        while read_cells and not read_cells[-1][0].strip():
            read_cells.pop()
        if not read_cells:
            continue
        characters += sum(len(text) for text, _ in read_cells)
        if characters > MOST_TEXT:
            raise Refused("large", number)
        found.append((number, [text for text, _ in read_cells], "".join(letter for _, letter in read_cells)))
        if len(found) == most_rows:
            break
    return found


class _Sheet(ReadOnlyWorksheet):  # type: ignore[misc]
    """A sheet whose declared dimensions aren't looked for: they may be wrong, and it would be read once more."""

    def _get_size(self) -> None:
        pass


def _active_sheet(content: bytes) -> _Sheet:
    """The sheet that was shown when the workbook was saved.

    As openpyxl's ``load_workbook``, but of all sheets it looks at that one alone: hundreds of sheets may share a large
    part, which would be read for each of them. Raises errors of openpyxl for a broken workbook.
    """
    reader = ExcelReader(BytesIO(content), read_only=True, keep_links=False)
    reader.read_manifest()
    reader.read_strings()
    reader.read_workbook()
    apply_stylesheet(reader.archive, reader.wb)
    parts = set(reader.valid_files)
    sheets = [(sheet, relation) for sheet, relation in reader.parser.find_sheets() if relation.target in parts]
    sheet, relation = sheets[reader.wb._active_sheet_index]
    if "chartsheet" in relation.Type:
        raise Refused("broken")
    return _Sheet(reader.wb, sheet.name, relation.target, reader.shared_strings)


def _read(cell: Any) -> tuple[str, str]:
    """The text of a cell and the letter of its type."""
    value, kind = cell.value, cell.data_type
    if value is None or kind in ("f", "e"):
        return ("", "s") if value is None else (str(value), kind)
    if isinstance(value, str):
        return value, "t" if cell.has_style and _is_marked(cell) else "s"
    if isinstance(value, bool):
        return "yes" if value else "no", "b"
    if isinstance(value, date):
        return value.isoformat(*([" ", "seconds"] if isinstance(value, datetime) else [])), "d"
    return (str(value), "h") if isinstance(value, time | timedelta) else _number(cell, value)


def _is_marked(cell: Any) -> bool:
    """Whether a text was formatted as text, or typed with an apostrophe before it."""
    return cell.number_format == "@" or bool(cell.style_array.quotePrefix)


def _number(cell: Any, value: Any) -> tuple[str, str]:
    """The text of a number: as it is shown if its format is made of zeros, else its digits."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int):
        return str(value), "r"
    text = str(value)
    if cell.has_style and value >= 0 and (shown := _padded(text, cell.number_format)):
        text = shown
    return text, "l" if abs(value) > _MOST_DIGITS else "n"


@lru_cache(maxsize=1000)
def _zeros(number_format: str) -> tuple[tuple[str, ...], int]:
    """The parts of a format that is made of zeros, such as ``00000`` or ``00-000``, a zero each or a literal between
    them; and its number of zeros. Nothing for any other format."""
    if not _FORMAT_OF_ZEROS.fullmatch(number_format):
        return (), 0
    parts = tuple(part.strip('"\\') if part != "0" else "0" for part in _PARTS.findall(number_format))
    count = sum(part == "0" for part in _PARTS.findall(number_format))
    return (parts, count) if count > 1 else ((), 0)


def _padded(digits: str, number_format: str) -> str:
    """A whole number as a format of zeros shows it; empty if it has another format."""
    parts, count = _zeros(number_format.split(";", maxsplit=1)[0])
    if not count:
        return ""
    left = list(digits.rjust(count, "0"))
    ahead, left = "".join(left[: len(left) - count]), left[len(left) - count :]
    shown = []
    for part in parts:
        shown.append(ahead + left.pop(0) if part == "0" else part)
        ahead = "" if part == "0" else ahead
    return "".join(shown)


def answer(content: bytes, most_rows: int) -> dict[str, Any]:
    """What the program prints."""
    try:
        return {"rows": read(content, most_rows)}
    except Refused as refused:
        return {"refusal": refused.code, "row": refused.row, "column": refused.column}
    except MemoryError:
        return {"refusal": "large"}
    except Exception:  # noqa: BLE001 - zipfile, expat and openpyxl raise many kinds of errors for a broken workbook
        return {"refusal": "broken"}


def _limit(kind: int, most: int) -> None:
    """Lower a limit of this process; one that is lower already stays."""
    hard = resource.getrlimit(kind)[1]
    most = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(kind, (most, most))


def _end_with(parent: int) -> None:
    """End this program when its parent is another one: nobody waits for the answer any more."""
    while os.getppid() == parent:
        sleep(_LOOK_EVERY_SECONDS)
    os._exit(1)


if __name__ == "__main__":
    Thread(target=_end_with, args=[int(sys.argv[2])], daemon=True).start()
    _limit(resource.RLIMIT_AS, _MOST_MEMORY)
    _limit(resource.RLIMIT_CPU, _MOST_SECONDS)
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_FSIZE, 0)
    sys.stdout.write(json.dumps(answer(sys.stdin.buffer.read(), int(sys.argv[1]))))
