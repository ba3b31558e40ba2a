"""Exports of lists: streamed CSV files, and XLSX workbooks, of exactly the rows that pass a list's filters."""

import csv
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from contextvars import ContextVar
from datetime import tzinfo
from itertools import chain
from typing import Any, Final, TypeVar

from django.db import transaction
from django.db.models import Q, QuerySet
from django.http import HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.utils import timezone

from audit.console.export_cells import plain
from audit.console.workbooks import WORKBOOK, written_workbook
from audit.db.lookups import among

_BATCH: Final = 1000
ROWS_OF_CURSOR: Final = 20_000
_ROWS_OF_FETCH: Final = 1000
_BY_CURSOR: Final = ContextVar("by_cursor", default=False)
_LENGTH_OF_A_PIECE: Final = 64 * 1024

ExportRow = Sequence[Any]
A = TypeVar("A", bound=HttpResponseBase)


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


def in_batches(rows: QuerySet[Any], columns: Sequence[str]) -> Iterator[list[ExportRow]]:
    """Iterate over all rows in the given order, in lists of a thousand. Each row is a tuple of the given columns.

    Reads all primary keys first, by one query: rows may change their place in the order meanwhile, and to apply the
    filters of a list for each batch again may take longer than everything else. A cursor would keep its snapshot for
    as long as the client takes to receive the file.
    """
    keys = list(rows.values_list("pk", flat=True))
    read = rows.model._default_manager.values_list("pk", *columns)
    for start in range(0, len(keys), _BATCH):
        wanted = keys[start : start + _BATCH]
        found = {row[0]: row[1:] for row in read.filter(among("pk", wanted))}
        yield [found[key] for key in wanted if key in found]


def newest_first(rows: QuerySet[Any], columns: Sequence[str], at: str = "") -> Iterator[ExportRow]:
    """Iterate over all rows, the newest first by UUIDv7, or by the time field ``at`` and then the id.

    Each row is a tuple of the given columns, which must include ``id`` and the field ``at``.
    """
    ordered = rows.order_by(f"-{at}", "-pk") if at else rows.order_by("-pk")

    def after(last: ExportRow) -> QuerySet[Any]:
        key = last[columns.index("id")]
        if not at:
            return ordered.filter(pk__lt=key)
        moment = last[columns.index(at)]
        return ordered.filter(Q(**{f"{at}__lt": moment}) | Q(pk__lt=key), **{f"{at}__lte": moment})

    return _all_of(ordered, columns, after)


def by_keys(rows: QuerySet[Any], columns: Sequence[str], *paths: str) -> Iterator[ExportRow]:
    """Iterate over all rows in the order of a unique key of one or two fields.

    Each row is a tuple of the given columns, which must include those of the key.
    """
    ordered = rows.order_by(*paths)

    def after(row: ExportRow) -> QuerySet[Any]:
        last = [row[columns.index(path)] for path in paths]
        later = Q(**{f"{paths[0]}__gt": last[0]})
        if len(paths) > 1:
            later |= Q(**{paths[0]: last[0], f"{paths[1]}__gt": last[1]})
        return ordered.filter(later, **{f"{paths[0]}__gte": last[0]})

    return _all_of(ordered, columns, after)


def _all_of(
    ordered: QuerySet[Any], columns: Sequence[str], after: Callable[[ExportRow], QuerySet[Any]]
) -> Iterator[ExportRow]:
    """Iterate over all rows: in batches by their keys, or, within ``read_by_cursor``, by one cursor after another.

    ``after`` returns the rows after a row: those of the next cursor.
    """
    if not _BY_CURSOR.get():
        yield from chain.from_iterable(in_batches(ordered, columns))
        return
    rows: QuerySet[Any] | None = ordered
    while rows is not None:
        last = None
        with closing(_first_of(rows.values_list(*columns))) as page:
            for last in page:
                yield last
        rows = after(last) if last is not None else None


def _first_of(ordered: QuerySet[Any]) -> Generator[ExportRow, None, None]:
    """The first ``ROWS_OF_CURSOR`` rows, by a cursor, in a transaction that ends after the last of them."""
    with transaction.atomic():
        yield from ordered[:ROWS_OF_CURSOR].iterator(chunk_size=_ROWS_OF_FETCH)
