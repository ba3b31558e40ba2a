"""Exports of lists: streamed CSV files, and XLSX workbooks, of exactly the rows that pass a list's filters.

A text that begins like a formula would be evaluated by a spreadsheet, so it gets an apostrophe in front; and so does
one that a spreadsheet would take for something else, such as ``#N/A``. What no spreadsheet opens is replaced.
"""

import csv
import re
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, tzinfo
from io import BytesIO
from operator import attrgetter
from typing import Any, ClassVar, Final, TypeVar

from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import PAGE_VAR
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.styles import Font

from audit.console.base import AbstractAdmin, ConsoleAdmin
from audit.console.imports.guards import kept
from audit.console.imports.spoiled import kind_of
from audit.db.pool import give_back_connection

_BATCH: Final = 250
_LENGTH_OF_A_PIECE: Final = 64 * 1024
_MOST_IN_A_WORKBOOK: Final = 50_000
_MOST_IN_A_CELL: Final = 32_767
"""The most UTF-16 units in a cell: a spreadsheet refuses a workbook with more, and breaks the rows of a CSV file."""
_UNOPENABLE: Final = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_WORKBOOK: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"

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
    pieces = _pieces(header, iter(rows), timezone.get_current_timezone())
    return _named(StreamingHttpResponse(pieces, content_type="text/csv; charset=utf-8"), f"{name}.csv")


def _pieces(header: ExportRow, rows: Iterator[ExportRow], zone: tzinfo) -> Iterator[bytes]:
    """The lines of a CSV file, about 64 KiB at a time. Each piece may be asked for in another thread, which doesn't
    know the zone of the request; a zone must not stay with a thread, either."""
    writer = csv.writer(_Echo())
    piece = "\ufeff" + writer.writerow([plain(cell) for cell in header])
    while piece:
        yield piece.encode()
        with timezone.override(zone):
            piece = _joined(writer.writerow([plain(cell) for cell in row]) for row in rows)


def _joined(lines: Iterable[str]) -> str:
    """As many of the lines as a piece has."""
    taken: list[str] = []
    length = 0
    for line in lines:
        taken.append(line)
        length += len(line)
        if length >= _LENGTH_OF_A_PIECE:
            break
    return "".join(taken)


def workbook(name: str, header: ExportRow, rows: Iterable[ExportRow]) -> HttpResponse:
    """An XLSX file. It is built in memory, so it has at most 50,000 rows; its last line says if there are more.

    Texts are marked as such: a spreadsheet keeps the zeros of a barcode also when somebody types another one.
    """
    book = Workbook(write_only=True)
    sheet = book.create_sheet(name[:31])
    sheet.freeze_panes = "A2"
    text = WriteOnlyCell(sheet)
    text.number_format = "@"
    title = WriteOnlyCell(sheet)
    title.font = Font(bold=True)
    sheet.append([_cell(sheet, str(cell), title) for cell in header])
    for number, row in enumerate(rows):
        if number == _MOST_IN_A_WORKBOOK:
            message = gettext("An XLSX file has no room for more rows. Export as CSV to get all of them.")
            sheet.append([_cell(sheet, message, text)])
            break
        sheet.append([_cell(sheet, _value(cell), text) for cell in row])
    give_back_connection()
    stream = BytesIO()
    book.save(stream)
    return _named(HttpResponse(stream.getvalue(), content_type=_WORKBOOK), f"{name}.xlsx")


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


def newest_first(rows: QuerySet[Any], at: str = "") -> Iterator[Any]:
    """Iterate over all rows, the newest first by UUIDv7, or by the time field ``at`` and then the id.

    Reads 250 rows per query. A database cursor would hold its snapshot for as long as the reader takes, and no other
    thread of the process runs while the rows of a query are converted.
    """
    ordered = rows.order_by(f"-{at}", "-pk") if at else rows.order_by("-pk")
    page = list(ordered[:_BATCH])
    while page:
        yield from page
        last = page[-1]
        if at:
            moment = getattr(last, at)
            older = Q(**{f"{at}__lt": moment}) | Q(pk__lt=last.pk)
            page = list(ordered.filter(older, **{f"{at}__lte": moment})[:_BATCH])
        else:
            page = list(ordered.filter(pk__lt=last.pk)[:_BATCH])


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
    page = list(ordered[:_BATCH])
    while page:
        yield from page
        last = [attrgetter(path.replace("__", "."))(page[-1]) for path in paths]
        after = Q(**{f"{paths[0]}__gt": last[0]})
        if len(paths) > 1:
            after |= Q(**{paths[0]: last[0], f"{paths[1]}__gt": last[1]})
        page = list(ordered.filter(after, **{f"{paths[0]}__gte": last[0]})[:_BATCH])


class ExportedAdmin(ConsoleAdmin, metaclass=AbstractAdmin):
    """A list with links that export it, with the current filters and search."""

    export_permission: ClassVar[str]
    export_label: ClassVar[Any] = _("Export %(kind)s")
    export_name: ClassVar[str]
    export_formats: ClassVar[tuple[str, ...]] = ("csv",)
    export_header: ClassVar[tuple[Any, ...]]
    list_before_template = "console/lists/tools.html"

    @abstractmethod
    def export_rows(self, request: HttpRequest, rows: QuerySet[Any]) -> Iterable[ExportRow]:
        """The cells of each row, one tuple per row."""

    def get_urls(self) -> list[URLPattern]:
        made = [
            path(f"export.{kind}", self.admin_site.admin_view(self._export(kind)), name=self._name(kind))
            for kind in self.export_formats
        ]
        urls: list[URLPattern] = super().get_urls()
        return made + urls

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        may = request.user.has_perm(self.export_permission)
        asked = request.GET.copy()
        asked.pop(PAGE_VAR, None)
        links = [
            {
                "title": str(self.export_label) % {"kind": kind.upper()},
                "url": f"{reverse(f'admin:{self._name(kind)}')}?{asked.urlencode()}",
            }
            for kind in (self.export_formats if may else ())
        ]
        return super().changelist_view(request, {**(extra_context or {}), "exports": links})

    def _name(self, kind: str) -> str:
        return f"{self.opts.app_label}_{self.opts.model_name}_export_{kind}"

    def _export(self, kind: str) -> Callable[[HttpRequest], HttpResponseBase]:
        def export(request: HttpRequest) -> HttpResponseBase:
            if not (self.has_view_permission(request) and request.user.has_perm(self.export_permission)):
                raise PermissionDenied
            try:
                found = self.get_changelist_instance(request).get_queryset(request)
            except IncorrectLookupParameters:
                return redirect(f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist")
            rows = self.export_rows(request, found)
            name = f"{self.export_name}-{timezone.localdate():%Y-%m-%d}"
            return (csv_file if kind == "csv" else workbook)(name, self.export_header, rows)

        return export
