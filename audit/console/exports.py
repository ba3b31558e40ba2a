"""Exports of lists: streamed CSV files, and XLSX workbooks, of exactly the rows that pass a list's filters.

A text that begins like a formula would be evaluated by a spreadsheet, so it gets an apostrophe in front; and so does
one that a spreadsheet would take for something else, such as ``#N/A``. What no spreadsheet opens is replaced.
"""

import csv
import re
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from contextvars import ContextVar
from datetime import datetime, tzinfo
from itertools import chain, islice
from operator import attrgetter
from tempfile import TemporaryFile
from typing import IO, Any, Final, TypeVar

from django.db import transaction
from django.db.models import Q, QuerySet
from django.http import HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.utils import timezone
from django.utils.translation import gettext
from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.styles import Font

from audit.console.imports.guards import kept
from audit.console.imports.spoiled import kind_of
from audit.db.pool import give_back_connection

_BATCH: Final = 250
ROWS_OF_CURSOR: Final = 20_000
_ROWS_OF_FETCH: Final = 1000
_BY_CURSOR: Final = ContextVar("by_cursor", default=False)
_LENGTH_OF_A_PIECE: Final = 64 * 1024
MOST_ON_A_SHEET: Final = 1_048_575
"""The most rows of a sheet below its header, by the format."""
_MOST_IN_A_CELL: Final = 32_767
"""The most UTF-16 units in a cell: a spreadsheet refuses a workbook with more, and breaks the rows of a CSV file."""
_UNOPENABLE: Final = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
WORKBOOK: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"

ExportRow = Sequence[Any]
A = TypeVar("A", bound=HttpResponseBase)


def plain(cell: Any) -> Any:
    """The value of a cell of a CSV file: numbers as they are, times in the reader's zone, texts guarded."""
    value = _value(cell)
    return _fitting(kept(value)) if isinstance(value, str) else value


def _value(cell: Any) -> Any:
    if cell is None:
        return ""
    if isinstance(cell, bool | int | float):
        return cell
    if isinstance(cell, datetime):
        return timezone.localtime(cell).isoformat(sep=" ", timespec="seconds")
    return str(cell)


def _fitting(text: str) -> str:
    """The text without what a spreadsheet can't open: characters that XML doesn't have, and more than a cell holds."""
    text = _UNOPENABLE.sub("\ufffd", text)
    if len(text) <= _MOST_IN_A_CELL // 2:
        return text
    units = text.encode("utf-16-le")
    if len(units) <= 2 * _MOST_IN_A_CELL:
        return text
    ending = gettext("… (cut: the limit of a cell)")
    return units[: 2 * (_MOST_IN_A_CELL - len(ending))].decode("utf-16-le", "ignore") + ending


class _Echo:
    """A file whose ``write`` returns the text, so that ``csv.writer`` returns each line."""

    def write(self, text: str) -> str:
        return text


def csv_file(name: str, header: ExportRow, rows: Iterable[ExportRow]) -> StreamingHttpResponse:
    """A CSV file, streamed while the rows are read: UTF-8 with a byte-order mark, for spreadsheets to recognise it."""
    pieces = csv_pieces(header, iter(rows), timezone.get_current_timezone())
    return _named(StreamingHttpResponse(pieces, content_type="text/csv; charset=utf-8"), f"{name}.csv")


def csv_pieces(
    header: ExportRow, rows: Iterator[ExportRow], zone: tzinfo, length: int = _LENGTH_OF_A_PIECE
) -> Iterator[bytes]:
    """The lines of a CSV file, about 64 KiB at a time. Each piece may be asked for in another thread, which doesn't
    know the zone of the request; a zone must not stay with a thread, either."""
    writer = csv.writer(_Echo())
    piece = "\ufeff" + writer.writerow([plain(cell) for cell in header])
    while piece:
        yield piece.encode()
        with timezone.override(zone):
            piece = _joined((writer.writerow([plain(cell) for cell in row]) for row in rows), length)


def _joined(lines: Iterable[str], most: int) -> str:
    """As many of the lines as a piece has."""
    taken: list[str] = []
    length = 0
    for line in lines:
        taken.append(line)
        length += len(line)
        if length >= most:
            break
    return "".join(taken)


def workbook(name: str, header: ExportRow, rows: Iterable[ExportRow]) -> HttpResponse:
    """An XLSX file. It is built in memory: a list of many rows is exported in the background."""
    with written_workbook(name, header, rows) as file:
        return _named(HttpResponse(file.read(), content_type=WORKBOOK), f"{name}.xlsx")


@contextmanager
def written_workbook(name: str, header: ExportRow, rows: Iterable[ExportRow]) -> Iterator[IO[bytes]]:
    """An XLSX file in a temporary file, opened at its beginning. Rows beyond those of a sheet go to a further sheet.

    Texts are marked as such: a spreadsheet keeps the zeros of a barcode also when somebody types another one.
    """
    book = Workbook(write_only=True)
    left, sheets = iter(rows), 0
    following: list[ExportRow] = []
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


def _write_sheet(sheet: Any, header: ExportRow, rows: Iterable[ExportRow]) -> None:
    """Write the header and as many of the rows as a sheet has."""
    sheet.freeze_panes = "A2"
    text = WriteOnlyCell(sheet)
    text.number_format = "@"
    title = WriteOnlyCell(sheet)
    title.font = Font(bold=True)
    sheet.append([_cell(sheet, str(cell), title) for cell in header])
    for row in islice(rows, MOST_ON_A_SHEET):
        sheet.append([_cell(sheet, _value(cell), text) for cell in row])


def _cell(sheet: Any, value: Any, like: Any) -> Any:
    """A cell of a workbook: a text in the style of another cell, any other value as it is.

    A text that is marked as one needs no apostrophe for a spreadsheet to keep it, but for what files are searched for.
    """
    if not isinstance(value, str) or not value:
        return value if value != "" else None
    is_safe = kind_of(value) and not kind_of(value, "t")
    cell = WriteOnlyCell(sheet, None)
    cell._value = _fitting(value if is_safe else kept(value))
    cell.data_type = "s"
    cell._style = like._style
    return cell


def _named(answer: A, name: str) -> A:
    answer.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return answer


@contextmanager
def read_by_cursor() -> Iterator[None]:
    """Within it, the functions below read ``ROWS_OF_CURSOR`` rows at a time by a cursor; for work in the background.

    A single cursor for all rows would keep its snapshot until the end. Old versions of the rows that each hold changes
    couldn't be cleaned up meanwhile, and every hold would be slower.
    """
    token = _BY_CURSOR.set(True)
    try:
        yield
    finally:
        _BY_CURSOR.reset(token)


def _first_of(ordered: QuerySet[Any]) -> Generator[Any, None, None]:
    """The first rows, as many as are read at a time. By a cursor, a transaction is open until the last one."""
    if not _BY_CURSOR.get():
        yield from list(ordered[:_BATCH])
        return
    with transaction.atomic():
        yield from ordered[:ROWS_OF_CURSOR].iterator(chunk_size=_ROWS_OF_FETCH)


def _paged(ordered: QuerySet[Any], after: Callable[[Any], QuerySet[Any]]) -> Iterator[Any]:
    """All rows, some at a time: the first ones, and then those after the last row that was read."""
    rows: QuerySet[Any] | None = ordered
    while rows is not None:
        last = None
        with closing(_first_of(rows)) as page:
            for last in page:
                yield last
        rows = after(last) if last is not None else None


def newest_first(rows: QuerySet[Any], at: str = "") -> Iterator[Any]:
    """Iterate over all rows, the newest first by UUIDv7, or by the time field ``at`` and then the id.

    Reads 250 rows per query. A database cursor would hold its snapshot for as long as the reader takes, and no other
    thread of the process runs while the rows of a query are converted.
    """
    ordered = rows.order_by(f"-{at}", "-pk") if at else rows.order_by("-pk")

    def after(last: Any) -> QuerySet[Any]:
        if not at:
            return ordered.filter(pk__lt=last.pk)
        moment = getattr(last, at)
        return ordered.filter(Q(**{f"{at}__lt": moment}) | Q(pk__lt=last.pk), **{f"{at}__lte": moment})

    return _paged(ordered, after)


def in_batches(rows: QuerySet[Any]) -> Iterator[list[Any]]:
    """Iterate over all rows in the given order, in lists of 250. Reads all ids first, because rows may change
    their place meanwhile."""
    keys = list(rows.values_list("pk", flat=True))
    for start in range(0, len(keys), _BATCH):
        wanted = keys[start : start + _BATCH]
        found = {row.pk: row for row in rows.order_by().filter(pk__in=wanted)}
        yield [found[key] for key in wanted if key in found]


def by_keys(rows: QuerySet[Any], *paths: str) -> Iterator[Any]:
    """Iterate over all rows in the order of a unique key of one or two fields, 250 rows per query."""
    ordered = rows.order_by(*paths)

    def after(row: Any) -> QuerySet[Any]:
        last = [attrgetter(path.replace("__", "."))(row) for path in paths]
        later = Q(**{f"{paths[0]}__gt": last[0]})
        if len(paths) > 1:
            later |= Q(**{paths[0]: last[0], f"{paths[1]}__gt": last[1]})
        return ordered.filter(later, **{f"{paths[0]}__gte": last[0]})

    return _paged(ordered, after)
