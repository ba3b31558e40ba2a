"""The import page: choose a file, say which columns are taken, preview its changes, import it once, all rows or none.

Large files are read and imported in the background, and the page shows how far that is.
"""

import zlib
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final, cast

import msgspec
from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminFileFieldWidget

from audit.actors import Actor
from audit.console.base import ConsoleAdmin, actor_of
from audit.console.dialogs import Dialog
from audit.console.doubts import SURE
from audit.console.exports import csv_file, workbook
from audit.console.imports import tasks, work
from audit.console.imports.columns import Column, ColumnMap
from audit.console.imports.importers import Importer, Preview
from audit.console.imports.leases import reading_lease
from audit.console.imports.rows import RowFault, Unreadable
from audit.console.imports.tables import MOST_ROWS
from audit.console.wording import LazyText
from audit.context import request_id_of
from audit.errors import DomainError
from audit.idempotency import Claim, lifetime
from audit.identifiers import parse_uuid
from audit.models import FileImport
from audit.texts import without_refused
from audit.whole_numbers import grouped, parse_hidden_number

MOST_BYTES: Final = 8 * 1024 * 1024
AT_ONCE_BYTES: Final = 1024 * 1024
"""A file of at most so many bytes is read in the request that brings it."""
AT_ONCE_ROWS: Final = 5000
"""At most so many rows are imported in the request that confirms them."""
_MOST_KEPT: Final = 20
"""The most files of a person that are kept between the steps."""
_LONGEST_VALUE: Final = 500
State = FileImport.State


class UploadForm(forms.Form):
    """A form that takes the file."""

    file = forms.FileField(
        label=_("File"),
        max_length=200,
        widget=UnfoldAdminFileFieldWidget(attrs={"accept": ".csv,.xlsx,.tsv,.txt"}),
        help_text=_("CSV or XLSX"),
    )

    def clean_file(self) -> UploadedFile:
        """Refuse a file that is too large."""
        file: UploadedFile = self.cleaned_data["file"]
        if (file.size or 0) > MOST_BYTES:
            message = _("The file is larger than %(most)s KiB. Split it.")
            raise forms.ValidationError(message, params={"most": MOST_BYTES // 1024})
        return file


class ImportPage(Dialog[Any]):
    """The page of one kind of file, for one request."""

    template = "console/imports/page.html"
    submit = _("Import")

    def __init__(self, model_admin: Any, request: HttpRequest, kind: type[Importer[Any, Any]]) -> None:
        super().__init__(model_admin, request)
        self.kind = kind
        self.title = kind.title  # type: ignore[misc]  # of this page alone
        self.intro = kind.intro  # type: ignore[misc]
        self.step = "choose"
        self.file: FileImport | None = None
        self.preview = Preview()
        self.mapping: work.MappingStep | None = None

    def perform(self, actor: Actor, given: dict[str, Any], claim: Claim) -> Preview | str:
        """Import the plan of a file."""
        return work.carry_out(given["file"], self._importer, claim)

    def tell(self, result: Any) -> str:
        return str(result)

    @property
    def _importer(self) -> Importer[Any, Any]:
        return self.kind(self.request.user, actor_of(self.request), self.file.pk if self.file else None)

    def answer(self) -> HttpResponse:
        if not self.kind.allows(self.request.user):
            raise PermissionDenied
        if self.request.method != "POST":
            return self._template() or self._shown_again()
        do = self.request.POST.get("do", "")
        if do == "look":
            return self._look()
        self.file = self._find(self.request.POST.get("plan", ""))
        if self.file is None:
            return self._gone()
        steps: Mapping[str, Callable[[FileImport], HttpResponse]] = {
            "columns": self._map,
            "ask": self._ask,
            "cancel": self._cancel,
        }
        return steps.get(do, self._import)(self.file)

    def _template(self) -> HttpResponse | None:
        """An empty file with the header if the request asks for a template, else None."""
        make: Callable[..., Any] | None = {"csv": csv_file, "xlsx": workbook}.get(self.request.GET.get("template", ""))
        if make is None:
            return None
        titles = [column.name for column in self.columns if column.is_read]
        answer: HttpResponse = make(self.kind.file_name, titles, ())
        return answer

    # ------------------------------------------------------------------------------------------------- one step each

    def _look(self) -> HttpResponse:
        form = UploadForm(self.request.POST, self.request.FILES)
        if not form.is_valid():
            return self._show(form, 422)
        uploaded = form.cleaned_data["file"]
        content = uploaded.read()
        self._forget_old()
        self.file = FileImport.objects.create(
            user=cast(Any, self.request.user),
            kind=self.kind.file_name,
            name="".join(letter for letter in uploaded.name or "" if letter.isprintable())[-200:],
            content=zlib.compress(content, 1),
            request_id=request_id_of(self.request),
        )
        return self._read(self.file, len(content))

    def _read(self, file: FileImport, size: int) -> HttpResponse:
        if size > AT_ONCE_BYTES:
            return self._in_background(file, State.READING)
        try:
            with reading_lease(file.user_id):
                work.read(file, self._importer)
        except Unreadable as error:
            work.fail(file, error.detail)
        return self._show_file(file)

    def _ask(self, file: FileImport) -> HttpResponse:
        """Show the mapping step again, for a file that was read."""
        if file.state in (State.READ, State.REFUSED) and file.content:
            work.choose_again(file, self._importer)
        return self._show_file(file)

    def _map(self, file: FileImport) -> HttpResponse:
        """Store the mapping that was chosen, and read the file."""
        if file.state != State.COLUMNS:
            return self._show_file(file)
        step = self.mapping = msgspec.convert(file.preview, work.MappingStep)
        given = self.request.POST
        known = {column.name for column in self.columns if column.is_read}
        fields = tuple(given.get(f"column-{column.index}", "") for column in step.columns)
        fields = tuple(name if name in known else "" for name in fields)
        constants = {
            name: value
            for name in sorted(known)
            if name not in fields and (value := without_refused(given.get(f"constant-{name}", "")[:_LONGEST_VALUE]))
        }
        chosen = ColumnMap(fields, constants, step.format_name)
        if faults := self._faults_of_map(step, chosen):
            self.mapping = work.with_choice(step, chosen)
            self.preview, self.step = Preview(faults=faults, fault_count=len(faults)), "columns"
            return self._show(status=422)
        work.remember(file, step.titles, chosen)
        return self._read(file, len(zlib.decompress(file.content)))

    def _faults_of_map(self, step: work.MappingStep, chosen: ColumnMap) -> list[RowFault]:
        faults = []
        for column in self.columns:
            if chosen.fields.count(column.name) > 1:
                faults.append(RowFault(step.header_row, str(column.label), gettext("is taken from two columns")))
            elif column.is_needed and column.name not in chosen.fields and column.name not in chosen.constants:
                faults.append(RowFault(step.header_row, str(column.label), gettext("is missing, but required")))
        return faults

    def _import(self, file: FileImport) -> HttpResponse:
        if file.state in (State.READING, State.IMPORTING):
            return redirect(self._address_of(file))
        if not file.plan:
            return self._gone()
        if file.state == State.READ:
            again = [row for row in map(parse_hidden_number, self.request.POST.getlist("again")) if row]
            file.options = {"again": again, "again_all": bool(self.request.POST.get("again_all"))}
            file.store("options")
            self.doubts = work.doubts_of(file, msgspec.convert(file.preview, Preview))
            if self.doubts and self.request.POST.get(SURE) != self.sure:
                return self._show_file(file, 422)
        if file.rows > AT_ONCE_ROWS and file.state == State.READ:
            return self._in_background(file, State.IMPORTING)
        return self._import_at_once(file)

    def _import_at_once(self, file: FileImport) -> HttpResponse:
        try:
            claim = work.claim_of(file, self._importer)
            result = self.perform(actor_of(self.request), {"file": file}, claim)
        except DomainError as error:
            work.again_later(file, self._importer.wording_of(error))
            self.preview, self.step = msgspec.convert(file.preview, Preview), "again"
            return self._show(status=422)
        if isinstance(result, str):
            messages.success(self.request, self._importer.notice(self.request, result))
            return redirect(self.way_back())
        return self._show_file(file)

    def _cancel(self, file: FileImport) -> HttpResponse:
        """Cancel an import that no worker has begun."""
        waiting = FileImport.objects.filter(pk=file.pk, begun_at=None, state=State.IMPORTING)
        waiting.update(state=State.READ)
        return redirect(self._address_of(file))

    def _in_background(self, file: FileImport, state: str) -> HttpResponse:
        now = timezone.now()
        file.state, file.asked_at, file.begun_at, file.seen_at, file.rows_done = state, now, None, now, 0
        file.store("state", "asked_at", "begun_at", "seen_at", "rows_done")
        tasks.send(file)
        return redirect(self._address_of(file))

    # --------------------------------------------------------------------------------------------------- what is shown

    def _shown_again(self) -> HttpResponse:
        """The page of a file that was brought before, or the first step."""
        asked = self.request.GET.get("file", "")
        if not asked:
            return self._show()
        self.file = self._find(asked)
        if self.file is None:
            return self._gone()
        tasks.send_if_forgotten(self.file)
        if "progress" in self.request.GET:
            return JsonResponse(self.progress)
        return self._show_file(self.file, status=200)

    def _show_file(self, file: FileImport, status: int | None = None) -> HttpResponse:
        """Show a file in the state that it has."""
        if file.state in (State.READING, State.IMPORTING):
            self.step = "working"
            return self._show()
        if file.state == State.DONE:
            self.step = "done"
            return self._show()
        if file.state == State.COLUMNS:
            self.mapping, self.step = msgspec.convert(file.preview, work.MappingStep), "columns"
            return self._show()
        self.preview = msgspec.convert(file.preview, Preview)
        if self.preview.faults:
            self.step = "faults"
        elif self.preview.is_ready:
            self.step = "preview" if self.preview.count else "nothing" if self.preview.booked else "again"
            self.doubts = work.doubts_of(file, self.preview)
        else:
            self.step = "nothing"
        failed = 422 if self.step in ("faults", "again") else 200
        return self._show(status=failed if status is None else status)

    def _gone(self) -> HttpResponse:
        self.preview = Preview(notes=[gettext("This preview is too old. Choose the file again.")])
        self.file, self.step = None, "choose"
        return self._show(status=422)

    def _show(self, form: forms.Form | None = None, status: int = 200) -> HttpResponse:
        return self._page(form or UploadForm(), status)  # type: ignore[arg-type]

    # ------------------------------------------------------------------------------------------------------- the files

    def _find(self, file_id: str | None) -> Any:
        """The file of this person and kind; None if there is none, or an old one."""
        found = parse_uuid(file_id or "")
        if file_id is None or found is None:
            return None
        since = timezone.now() - lifetime()
        rows = FileImport.objects.filter(pk=found, user=self.request.user.pk, created_at__gt=since)
        return rows.filter(kind=self.kind.file_name).select_related("user").defer("content", "plan").first()

    def _forget_old(self) -> None:
        """Delete the oldest files of this person but for those that are being worked on."""
        rows = FileImport.objects.filter(user=self.request.user.pk).exclude(state__in=(State.READING, State.IMPORTING))
        kept = rows.order_by("-created_at").values_list("pk", flat=True)[: _MOST_KEPT - 1]
        rows.exclude(pk__in=list(kept)).delete()

    def _address_of(self, file: FileImport) -> str:
        return f"{self.request.path}?file={file.pk}"

    # --------------------------------------------------------------------------------------------- for the template

    @property
    def sealed(self) -> str:
        """The id of the file, for the forms of the page; empty before there is one."""
        return str(self.file.pk) if self.file else ""

    @property
    def options(self) -> Mapping[str, Any]:
        """The ticks of the preview."""
        return self.file.options if self.file else {}

    @property
    def outcome(self) -> str:
        """What the import did, with links."""
        return self._importer.notice(self.request, self.file.outcome) if self.file else ""

    @property
    def columns(self) -> Any:
        """The columns that a file may have."""
        return self.kind.columns

    @property
    def fields(self) -> list[Column]:
        """The columns that a file's column may be taken for."""
        return [column for column in self.columns if column.is_read]

    @property
    def constant_fields(self) -> list[tuple[Column, str]]:
        """The columns that may have one value for all rows, with the value."""
        constants = self.mapping.constants if self.mapping else {}
        return [(column, constants.get(column.name, "")) for column in self.fields if not column.is_key]

    @property
    def has_other_columns(self) -> bool:
        """Whether the columns of the file were mapped by hand, and can be mapped again."""
        return bool(self.file and self.file.columns is not None and self.file.content)

    @property
    def progress(self) -> dict[str, Any]:
        """How far the work in the background is, for the page that waits for it."""
        file = self.file
        if file is None:
            return {}
        is_working = file.state in (State.READING, State.IMPORTING)
        done = file.rows_done if file.state == State.IMPORTING else 0
        waited = (timezone.now() - file.asked_at).total_seconds() if file.asked_at and not file.begun_at else 0
        return {
            "working": is_working,
            "begun": file.begun_at is not None,
            "waiting": is_working and waited > tasks.SLOW_SECONDS,
            "done": done,
            "rows": file.rows if file.state == State.IMPORTING else 0,
        }

    @property
    def most_rows(self) -> str:
        """The most rows that a file may have."""
        return grouped(MOST_ROWS)

    @property
    def rows(self) -> str:
        """The number of rows that are imported."""
        return grouped(self.file.rows) if self.file else ""


class ImportedAdmin(ConsoleAdmin):
    """A list with links to import pages. ``importers`` are keyed by the end of their addresses."""

    importers: ClassVar[Mapping[str, type[Importer[Any, Any]]]]
    list_before_template = "console/lists/tools.html"

    def get_urls(self) -> list[URLPattern]:
        made = [
            path(f"import-{name}/", self.admin_site.admin_view(self._page(kind)), name=self._import_name(name))
            for name, kind in self.importers.items()
        ]
        urls: list[URLPattern] = super().get_urls()
        return made + urls

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        links: list[dict[str, LazyText]] = [
            {"title": kind.title, "url": reverse(f"admin:{self._import_name(name)}")}
            for name, kind in self.importers.items()
            if kind.allows(request.user)
        ]
        return super().changelist_view(request, {**(extra_context or {}), "imports": links})

    def _import_name(self, name: str) -> str:
        return f"{self.opts.app_label}_{self.opts.model_name}_import_{name}"

    def _page(self, kind: type[Importer[Any, Any]]) -> Callable[[HttpRequest], HttpResponse]:
        return lambda request: ImportPage(self, request, kind).answer()
