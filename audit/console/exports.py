"""Exports of lists: streamed CSV files, and XLSX workbooks, of exactly the rows that pass a list's filters.

A text that begins like a formula would be evaluated by a spreadsheet, so it gets an apostrophe in front.
"""

import csv
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, tzinfo
from operator import attrgetter
from typing import Any, ClassVar, Final, TypeVar

import tablib
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import PAGE_VAR
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from audit.console.base import AbstractAdmin, ConsoleAdmin
from audit.console.imports.tables import guarded
from audit.db.pool import give_back_connection

_BATCH: Final = 250
_LENGTH_OF_A_PIECE: Final = 64 * 1024
_MOST_IN_A_WORKBOOK: Final = 50_000
_WORKBOOK: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"

ExportRow = Sequence[Any]
A = TypeVar("A", bound=HttpResponseBase)


def plain(cell: Any) -> Any:
    """The value of a cell: numbers as they are, times in the reader's zone, texts guarded against formulas."""
    if cell is None:
        return ""
    if isinstance(cell, bool | int | float):
        return cell
    if isinstance(cell, datetime):
        return timezone.localtime(cell).isoformat(sep=" ", timespec="seconds")
    return guarded(str(cell))


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
    """An XLSX file. It is built in memory, so it has at most 50,000 rows; its last line says if there are more."""
    sheet = tablib.Dataset(headers=[plain(cell) for cell in header], title=name[:31])
    for number, row in enumerate(rows):
        if number == _MOST_IN_A_WORKBOOK:
            message = str(_("A workbook has no more lines than these. Take the CSV file for all of them."))
            sheet.append([message, *[""] * (len(header) - 1)])
            break
        sheet.append([plain(cell) for cell in row])
    give_back_connection()
    return _named(HttpResponse(sheet.export("xlsx"), content_type=_WORKBOOK), f"{name}.xlsx")


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
