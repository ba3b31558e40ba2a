"""The import page: choose a file, preview its changes, import it once, all rows or none."""

import re
import zlib
from abc import abstractmethod
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Generic, NoReturn, TypeVar, cast
from uuid import UUID

import msgspec
from django import forms
from django.contrib import messages
from django.core import signing
from django.core.exceptions import PermissionDenied
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminFileFieldWidget
from uuid_utils.compat import uuid7

from audit.actors import Actor
from audit.console.base import ConsoleAdmin, actor_of, claimant_of, reach_of
from audit.console.dialogs import Dialog
from audit.console.exports import csv_file, workbook
from audit.console.imports.cells import MOST_SHOWN, ReadRow, changes_in_words
from audit.console.imports.columns import Column, proposed_map, strict_map, unknown_titles
from audit.console.imports.leases import reading_lease
from audit.console.imports.rows import RowFault, Table, Unreadable
from audit.console.imports.tables import MOST_ROWS, Sheet, open_sheet, table_of
from audit.console.wording import LazyText
from audit.db.pool import give_back_connection
from audit.errors import DomainError
from audit.idempotency import Claim, StoredAnswer, fingerprint, lifetime

P = TypeVar("P")
R = TypeVar("R")
C = TypeVar("C")
MOST_BYTES: Final = 1024 * 1024
_MOST_SEALED: Final = 1_500_000
"""The most characters of a plan that a page carries: Django accepts forms of up to 2 MiB."""
_INDEX: Final = re.compile(r"/[a-z]+/(\d+)")


@dataclass(frozen=True, slots=True)
class Upload:
    """An uploaded file: its name, its content, and the table read from it."""

    name: str
    content: bytes
    table: Table


@dataclass(frozen=True, slots=True)
class PreviewRow:
    """A row of the preview: what it is about, and its changes as (label, old, new)."""

    row: int
    name: str
    changes: Sequence[tuple[LazyText, str, str]]
    is_new: bool = False


@dataclass(frozen=True, slots=True)
class Reading(Generic[P]):
    """The result of reading a file: a plan and its preview, or faults. ``same`` is the number of unchanged rows."""

    plan: P | None = None
    shown: Sequence[PreviewRow] = ()
    same: int = 0
    faults: Sequence[RowFault] = ()
    notes: Sequence[str] = ()

    @property
    def is_ready(self) -> bool:
        """Whether the file has changes and no faults."""
        return bool(self.shown) and not self.faults


class UploadForm(forms.Form):
    """A form that takes the file."""

    file = forms.FileField(
        label=_("File"),
        max_length=200,
        widget=UnfoldAdminFileFieldWidget(attrs={"accept": ".csv,.xlsx"}),
        help_text=_("CSV (UTF-8) or XLSX"),
    )

    def clean_file(self) -> UploadedFile:
        """Refuse a file that is too large."""
        file: UploadedFile = self.cleaned_data["file"]
        if (file.size or 0) > MOST_BYTES:
            message = _("The file is larger than %(most)s KiB. Split it.")
            raise forms.ValidationError(message, params={"most": MOST_BYTES // 1024})
        return file


class ImportPage(Dialog[R], Generic[P, R]):
    """A page that takes a file, shows what it would change, and imports it once.

    A subclass defines the columns, ``read``, which makes a plan from a file and changes nothing, and ``carry_out``,
    which passes the plan to a service. ``plan_type`` is the plan's type, by which msgspec decodes it.
    """

    template = "console/imports/page.html"
    wordings: ClassVar[Mapping[str, LazyText]] = {
        "version_conflict": _("Somebody else has changed this since the preview."),
    }
    submit = _("Import")
    file_name: ClassVar[str]
    columns: ClassVar[Sequence[Column]]
    plan_type: ClassVar[Any]
    step = "choose"
    sealed = ""

    def __init__(self, model_admin: Any, request: HttpRequest) -> None:
        super().__init__(model_admin, request)
        self.reading: Reading[P] = Reading()

    # ------------------------------------------------------------------------------------ what a subclass defines

    @classmethod
    def allows(cls, request: HttpRequest) -> bool:
        """Whether the user may import such files."""
        return request.user.has_perm(cls.permission)

    @abstractmethod
    def read(self, upload: Upload) -> Reading[P]:
        """The plan and the preview of a file."""

    @abstractmethod
    def carry_out(self, actor: Actor, plan: P, claim: Claim) -> R | StoredAnswer:
        """Call the service. Raises DomainError; PermissionDenied if something has left the user's reach meanwhile."""

    @abstractmethod
    def row_of(self, plan: P, index: int) -> int:
        """The number of the file's row for an index in the plan."""

    def refused(self, result: R) -> Sequence[RowFault]:
        """The faults of a result, for a service that returns them instead of raising; nothing was done then."""
        return ()

    # ------------------------------------------------------------------------------------------ what this class does

    def perform(self, actor: Actor, given: dict[str, Any], claim: Claim) -> R | StoredAnswer:
        """Carry out the previewed plan."""
        return self.carry_out(actor, given["plan"], claim)

    def answer(self) -> HttpResponse:
        if not self.allows(self.request):
            raise PermissionDenied
        if self.request.method != "POST":
            return self._template() or self._show()
        return self._import() if self.request.POST.get("do") == "import" else self._look()

    def _template(self) -> HttpResponse | None:
        """An empty file with the header if the request asks for a template, else None."""
        make: Callable[..., Any] | None = {"csv": csv_file, "xlsx": workbook}.get(self.request.GET.get("template", ""))
        if make is None:
            return None
        answer: HttpResponse = make(self.file_name, [column.name for column in self.columns if column.is_read], ())
        return answer

    def _show(self, form: forms.Form | None = None, status: int = 200) -> HttpResponse:
        return self._page(form or UploadForm(), status)  # type: ignore[arg-type]

    def _look(self) -> HttpResponse:
        form = UploadForm(self.request.POST, self.request.FILES)
        if not form.is_valid():
            return self._show(form, 422)
        file = form.cleaned_data["file"]
        try:
            with reading_lease(cast(int, self.request.user.pk)):
                self.reading = self._read(file.name or "", file.read())
            if self.reading.is_ready:
                self._seal()
        except Unreadable as error:
            self.reading = Reading(faults=[RowFault(error.row, error.column, error.detail)])
        self.step = "preview" if self.reading.is_ready else "faults" if self.reading.faults else "nothing"
        return self._show(status=422 if self.reading.faults else 200)

    def _read(self, name: str, content: bytes) -> Reading[P]:
        give_back_connection()
        sheet = open_sheet(content, self.columns)
        chosen = strict_map(sheet.titles, self.columns)
        if chosen is None:
            self._refuse_header(sheet)
        return self.read(Upload(name, content, table_of(sheet, chosen, self.columns)))

    def _refuse_header(self, sheet: Sheet) -> NoReturn:
        """Raise Unreadable for an unknown or a missing column."""
        known = [column.name for column in self.columns]
        if unknown := unknown_titles(sheet.titles, self.columns):
            message = gettext("is no column here: these are %(columns)s")
            raise Unreadable(message % {"columns": ", ".join(known)}, sheet.header_row, unknown[0][:64])
        found = proposed_map(sheet.titles, self.columns, ()).fields
        missing = next((column.name for column in self.columns if column.is_needed and column.name not in found), "")
        raise Unreadable(gettext("is missing: each row needs it"), sheet.header_row, missing)

    # -------------------------------------------------------------------------------- from the preview to the import

    def _signer(self) -> signing.TimestampSigner:
        return signing.TimestampSigner(salt=f"import {self.request.path} {self.request.user.pk}")

    def _seal(self) -> None:
        """Sign the plan with an idempotency key, for the page to carry. Raises Unreadable if it is too large."""
        packed = zlib.compress(uuid7().bytes + msgspec.json.encode(self.reading.plan))
        self.sealed = self._signer().sign(urlsafe_b64encode(packed).decode())
        if len(self.sealed) > _MOST_SEALED:
            raise Unreadable(gettext("is too large: split it"))

    def _unseal(self, sealed: str) -> tuple[UUID, P]:
        """The idempotency key and the plan. Raises BadSignature if this service didn't sign it for this user, or signed
        it longer ago than idempotency keys are kept."""
        packed = self._signer().unsign(sealed, max_age=lifetime())
        content = zlib.decompress(urlsafe_b64decode(packed))
        try:
            return UUID(bytes=content[:16]), msgspec.json.decode(content[16:], type=self.plan_type)
        except msgspec.MsgspecError as error:
            raise signing.BadSignature("made by another version") from error

    def _import(self) -> HttpResponse:
        sealed = self.request.POST.get("plan", "")
        try:
            once, plan = self._unseal(sealed)
        except signing.BadSignature:
            message = gettext("This preview is too old. Choose the file again.")
            self.reading, self.step = Reading(notes=[message]), "choose"
            return self._show(status=422)
        print_ = fingerprint("POST", self.request.path, sealed.encode(), reach_of(self.request))
        claim = Claim(claimant_of(self.request), f"import-{once}", print_, self._render)
        try:
            result = self.perform(actor_of(self.request), {"plan": plan}, claim)
        except DomainError as error:
            return self._refused(plan, sealed, error)
        if isinstance(result, StoredAnswer):
            messages.success(self.request, msgspec.json.decode(result.body, type=str))
            return redirect(self.way_back())
        if faults := self.refused(result):
            self.reading, self.step = Reading(faults=faults), "faults"
            return self._show(status=422)
        return self.done(result)

    def _refused(self, plan: P, sealed: str, error: DomainError) -> HttpResponse:
        """Show a refusal: the faults row by row, or else the reason with a button to try the same plan again."""
        faults = [
            RowFault(self.row_of(plan, int(found[1])), "", self.wording_of(fault))
            for fault in error.faults
            if (found := _INDEX.fullmatch(fault.pointer))
        ]
        if faults:
            self.reading, self.step = Reading(faults=faults), "faults"
        else:
            self.reading, self.step, self.sealed = Reading(notes=[self.wording_of(error)]), "again", sealed
        return self._show(status=422)

    # --------------------------------------------------------------------------------------------- for the template

    @property
    def faults(self) -> Sequence[RowFault]:
        """The faults, ``MOST_SHOWN`` at most."""
        return self.reading.faults[:MOST_SHOWN]

    @property
    def shown(self) -> Sequence[PreviewRow]:
        """The rows of the preview, ``MOST_SHOWN`` at most."""
        return self.reading.shown[:MOST_SHOWN]

    @property
    def hidden(self) -> int:
        """The number of faults or rows beyond ``MOST_SHOWN``."""
        return max(0, len(self.reading.faults or self.reading.shown) - MOST_SHOWN)

    @property
    def counts(self) -> Sequence[tuple[LazyText, int]]:
        """The numbers of new, changed and unchanged rows, with labels; zeros are left out."""
        new = sum(row.is_new for row in self.reading.shown)
        counts = [(_("New"), new), (_("Changed"), len(self.reading.shown) - new), (_("As they are"), self.reading.same)]
        return [(label, count) for label, count in counts if count]

    @property
    def most_rows(self) -> int:
        """The most rows that a file may have."""
        return MOST_ROWS


@dataclass(frozen=True, slots=True)
class PlannedRow(Generic[C]):
    """A row of the file as the service takes it."""

    row: int
    change: C


class RowImport(ImportPage[list[PlannedRow[C]], R], Generic[C, R]):
    """The page of an import whose plan is a list of changes, each from one row of the file."""

    def row_of(self, plan: list[PlannedRow[C]], index: int) -> int:
        return plan[index].row

    def reading_of(
        self, rows: Sequence[ReadRow], changes: Sequence[tuple[ReadRow, C]], faults: Sequence[RowFault]
    ) -> Reading[list[PlannedRow[C]]]:
        """The result of reading a file: ``rows`` are its valid rows, ``changes`` those that change something."""
        shown = [
            PreviewRow(row.number, ", ".join(row.key), changes_in_words(row, self.columns), is_new=row.before is None)
            for row, _change in changes
        ]
        plan = [PlannedRow(row.number, change) for row, change in changes]
        return Reading(plan, shown, len(rows) - len(changes), sorted(faults, key=lambda fault: fault.row))


class ImportedAdmin(ConsoleAdmin):
    """A list with links to import pages. ``import_pages`` are keyed by the end of their addresses."""

    import_pages: ClassVar[Mapping[str, type[ImportPage[Any, Any]]]]
    list_before_template = "console/lists/tools.html"

    def get_urls(self) -> list[URLPattern]:
        made = [
            path(f"import-{name}/", self.admin_site.admin_view(self._page(kind)), name=self._import_name(name))
            for name, kind in self.import_pages.items()
        ]
        urls: list[URLPattern] = super().get_urls()
        return made + urls

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        links = [
            {"title": kind.title, "url": reverse(f"admin:{self._import_name(name)}")}
            for name, kind in self.import_pages.items()
            if kind.allows(request)
        ]
        return super().changelist_view(request, {**(extra_context or {}), "imports": links})

    def _import_name(self, name: str) -> str:
        return f"{self.opts.app_label}_{self.opts.model_name}_import_{name}"

    def _page(self, kind: type[ImportPage[Any, Any]]) -> Callable[[HttpRequest], HttpResponse]:
        return lambda request: kind(self, request).answer()
