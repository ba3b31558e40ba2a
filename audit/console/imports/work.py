"""The steps of a file's import, in a request or in the background: mapping its columns, reading it, importing it."""

import hashlib
import re
import zlib
from collections.abc import Container, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final

import msgspec
from django.core.exceptions import PermissionDenied
from django.utils.translation import gettext, ngettext

from audit.console.base import actor_for, claimant_for, reach_for
from audit.console.doubts import Doubt
from audit.console.imports.columns import ColumnMap, proposed_map, spelled, strict_map
from audit.console.imports.importers import Importer, Preview, Reading, RowDoubt, Upload, kind_named
from audit.console.imports.rows import RowFault, Unreadable
from audit.console.imports.tables import Sheet, open_sheet, table_of
from audit.db.pool import give_back_connection
from audit.db.statements import Progress, no_progress
from audit.errors import DomainError
from audit.idempotency import Claim, StoredAnswer, fingerprint
from audit.models import FileImport, RememberedColumns
from audit.whole_numbers import grouped, visible

EVERY_ROW: Final = range(2**31)
_EXAMPLES: Final = 3
_INDEX: Final = re.compile(r"/[a-z]+/(\d+)")
State = FileImport.State


def importer_for(file: FileImport) -> Importer[Any, Any]:
    """The importer of a file, for its owner. Raises PermissionDenied if they may not import such files now."""
    kind = kind_named(file.kind)
    if not (file.user.is_active and file.user.is_staff and kind.allows(file.user)):
        raise PermissionDenied
    return kind(file.user, actor_for(file.user, file.request_id), file.pk)


# ------------------------------------------------------------------------------------------------------------- columns


@dataclass(frozen=True, slots=True)
class FileColumn:
    """A column of a file that is to be mapped: its title, some of its values, and the proposal."""

    index: int
    title: str
    examples: Sequence[str]
    field: str


@dataclass(frozen=True, slots=True)
class MappingStep:
    """The mapping step: a person chooses which columns are imported."""

    columns: Sequence[FileColumn]
    header_row: int = 1
    format_name: str = ""
    advice: str = ""
    constants: Mapping[str, str] = field(default_factory=dict)

    @property
    def titles(self) -> list[str]:
        """The file's header."""
        return [column.title for column in self.columns]


def header_of(titles: Sequence[str]) -> str:
    """The SHA-256 of a header, by which its columns are remembered."""
    return hashlib.sha256("\0".join(map(spelled, titles)).encode()).hexdigest()


def known_map(file: FileImport, importer: Importer[Any, Any], titles: Sequence[str]) -> ColumnMap | None:
    """The map of a file: the one that was chosen for it, that of our own columns, or the one that the same person chose
    for the same header. None if a person must choose."""
    if file.columns is not None:
        return msgspec.convert(file.columns, ColumnMap)
    if found := strict_map(titles, importer.columns):
        return found
    remembered = RememberedColumns.objects.filter(user=file.user_id, kind=file.kind, header=header_of(titles)).first()
    return msgspec.convert(remembered.columns, ColumnMap) if remembered else None


def mapping_of(sheet: Sheet, importer: Importer[Any, Any]) -> MappingStep:
    """The columns of a sheet with a proposal for each."""
    proposed = proposed_map(sheet.titles, importer.columns, importer.formats)
    rows = [row.cells for row, _ in zip(sheet.rows, range(20), strict=False)]
    columns = []
    for index, title in enumerate(sheet.titles):
        values = (row[index].strip() for row in rows if index < len(row))
        examples = list(dict.fromkeys(visible(value) for value in values if value))[:_EXAMPLES]
        columns.append(FileColumn(index, title, examples, proposed.fields[index]))
    format_ = next((each for each in importer.formats if each.name == proposed.format_name), None)
    return MappingStep(columns, sheet.header_row, proposed.format_name, str(format_.advice) if format_ else "")


def choose_again(file: FileImport, importer: Importer[Any, Any]) -> None:
    """The mapping step again, with the present mapping as the proposal."""
    sheet = open_sheet(zlib.decompress(file.content), importer.columns, importer.formats)
    chosen = known_map(file, importer, sheet.titles)
    step = mapping_of(sheet, importer)
    ask(file, with_choice(step, chosen) if chosen else step)


def with_choice(step: MappingStep, chosen: ColumnMap) -> MappingStep:
    """The mapping step with the values of its form."""
    columns = [replace(column, field=chosen.fields[column.index]) for column in step.columns]
    return replace(step, columns=columns, constants=chosen.constants)


def ask(file: FileImport, step: MappingStep) -> None:
    """Store the mapping step."""
    file.state = State.COLUMNS
    file.preview = msgspec.to_builtins(step)
    file.store("state", "preview")


def remember(file: FileImport, titles: Sequence[str], chosen: ColumnMap) -> None:
    """Use this mapping for the file, and for later files of the same person with the same header."""
    file.columns = asdict(chosen)
    file.store("columns")
    RememberedColumns.objects.update_or_create(
        user=file.user, kind=file.kind, header=header_of(titles), defaults={"columns": file.columns}
    )


# ------------------------------------------------------------------------------------------------------------- reading


def read(file: FileImport, importer: Importer[Any, Any]) -> None:
    """Read a file, and store its preview and its plan; or the step that asks for its columns, if its header has others
    than ours."""
    try:
        content = zlib.decompress(file.content)
        give_back_connection()  # Reading may take long.
        sheet = open_sheet(content, importer.columns, importer.formats)
        chosen = known_map(file, importer, sheet.titles)
        if chosen is None:
            ask(file, mapping_of(sheet, importer))
            return
        give_back_connection()
        table = table_of(sheet, chosen, importer.columns, importer.formats)
        reading = importer.read(Upload(file.name, content, table))
        if sheet.is_guessed:
            words = gettext("The file isn't in UTF-8. It was read as Windows-1252: check letters such as ä and é.")
            reading = replace(reading, notes=[words, *reading.notes])
    except Unreadable as error:
        reading = Reading(faults=[RowFault(error.row, error.column, error.detail)])
    file.state = State.READ
    file.preview = msgspec.to_builtins(Preview.of(reading))
    file.plan = zlib.compress(msgspec.json.encode(reading.plan), 1) if reading.is_ready else b""
    file.rows = importer.size_of(reading.plan) if reading.is_ready else 0
    file.store("state", "preview", "plan", "rows")


# --------------------------------------------------------------------------------------------------- the import itself


def claim_of(file: FileImport, importer: Importer[Any, Any]) -> Claim:
    """The idempotency key of a file's import: a preview that is confirmed twice is imported once."""
    body = msgspec.json.encode([str(file.pk), file.options], order="deterministic")
    print_ = fingerprint("POST", file.kind, body, reach_for(importer.actor))

    def render(result: Any) -> StoredAnswer:
        return StoredAnswer(200, msgspec.json.encode(importer.tell_again(result)))

    return Claim(claimant_for(file.user), f"import-{file.pk}", print_, render)


def ticked(options: Mapping[str, Any]) -> Container[int]:
    """The rows that are booked although they were booked before."""
    return EVERY_ROW if options.get("again_all") else frozenset(options.get("again", ()))


def doubts_of(file: FileImport, preview: Preview) -> list[Doubt]:
    """The doubts about the rows that would be imported, the ticked ones among those booked before included."""
    chosen = ticked(file.options)
    booked = [RowDoubt(row.row, row.doubt) for row in preview.booked if row.doubt and row.row in chosen]
    shown = [*preview.doubts, *booked]
    doubts = [
        Doubt(f"{file.pk} {doubt.row}", gettext("Row %(row)s: %(text)s") % {"row": doubt.row, "text": doubt.text})
        for doubt in shown
    ]
    rest = preview.doubt_count + sum(row in chosen for row in preview.doubtful_booked) - len(shown)
    if rest:
        words = ngettext("and %(count)s more row", "and %(count)s more rows", rest) % {"count": grouped(rest)}
        doubts.append(Doubt(f"{file.pk} and {rest}", words))
    return doubts


def carry_out(
    file: FileImport, importer: Importer[Any, Any], claim: Claim, progress: Progress = no_progress
) -> Preview | str:
    """Import a file's plan once. Returns the message, or a preview with what refused it; stores either.

    Raises DomainError where trying the same again may help, such as Busy; nothing was imported then.
    """
    plan = msgspec.json.decode(zlib.decompress(file.plan), type=importer.plan_type)
    try:
        result = importer.carry_out(plan, claim, ticked(file.options), progress)
    except DomainError as error:
        faults = [
            RowFault(importer.row_of(plan, int(found[1])), "", importer.wording_of(fault))
            for fault in error.faults
            if (found := _INDEX.fullmatch(fault.pointer))
        ]
        if not faults:
            raise
        return _end(file, State.REFUSED, Preview.of(Reading(faults=faults)))
    if isinstance(result, StoredAnswer):
        return _end(file, State.DONE, msgspec.json.decode(result.body, type=str))
    if faults := list(importer.refused(result)):
        return _end(file, State.REFUSED, Preview.of(Reading(faults=faults)))
    return _end(file, State.DONE, importer.tell(result))


def _end(file: FileImport, state: str, outcome: Preview | str) -> Preview | str:
    file.state = state
    if isinstance(outcome, Preview):
        file.preview = msgspec.to_builtins(outcome)
    else:
        file.outcome, file.content = outcome, b""
    file.store("state", "preview", "outcome", "content")
    return outcome


def fail(file: FileImport, words: str) -> None:
    """End work that can't go on: a file that was read is to be chosen again, an import may be tried again."""
    if file.state == State.IMPORTING:
        again_later(file, words)
        return
    file.state = State.READ
    file.preview = msgspec.to_builtins(Preview.of(Reading(faults=[RowFault(1, "", words)])))
    file.store("state", "preview")


def again_later(file: FileImport, words: str) -> Preview:
    """Keep the plan of an import that was refused for now, to be tried again, with the reason."""
    preview = Preview(notes=[words], is_ready=True)
    file.state, file.preview, file.begun_at = State.READ, msgspec.to_builtins(preview), None
    file.store("state", "preview", "begun_at")
    return preview
