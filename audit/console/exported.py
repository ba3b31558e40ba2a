"""Lists that can be exported, with their filters: few rows at once, many in the background."""

from abc import abstractmethod
from collections.abc import Callable, Iterable
from typing import Any, ClassVar

from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import PAGE_VAR
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from audit.console.base import AbstractAdmin, ConsoleAdmin
from audit.console.exports import ExportRow, csv_file, workbook
from audit.console.large_exports.beginning import begin
from audit.console.lists import OLDER_VAR, estimated_rows


class ExportedAdmin(ConsoleAdmin, metaclass=AbstractAdmin):
    """A list with links that export it, with the current filters and search.

    Up to ``COUNTED_AT_MOST`` rows are answered at once. More, or rows that take long to find, are written in the
    background.
    """

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
        for name in (PAGE_VAR, OLDER_VAR):
            asked.pop(name, None)
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
                changelist = self.get_changelist_instance(request)
            except IncorrectLookupParameters:
                return redirect(f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist")
            name = f"{self.export_name}-{timezone.localdate():%Y-%m-%d}"
            found = changelist.all_rows(request)
            if changelist.searched or changelist.paginator.has_more:
                return begin(self, request, kind, name, estimated_rows(found))
            return (csv_file if kind == "csv" else workbook)(name, self.export_header, self.export_rows(request, found))

        return export
