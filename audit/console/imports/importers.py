"""What a kind of file has, what it would change, and how it is imported: apart from the page that shows it, because
large files are read and imported in the background."""

from abc import ABC, abstractmethod
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Generic, TypeVar
from uuid import UUID

from django.contrib.admin import autodiscover
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from audit.actors import Actor
from audit.console.imports.cells import MOST_SHOWN, ReadRow, changes_in_words
from audit.console.imports.columns import Column, Format
from audit.console.imports.rows import RowFault, Table
from audit.console.wording import LazyText, Worded
from audit.db.statements import Progress
from audit.idempotency import Claim, StoredAnswer
from audit.whole_numbers import grouped

P = TypeVar("P")
R = TypeVar("R")
C = TypeVar("C")


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
    changes: Sequence[tuple[Any, str, str]]
    is_new: bool = False


@dataclass(frozen=True, slots=True)
class BookedRow:
    """A row that is left out, unless ticked, because it was booked before. ``says`` has when and by whom; ``doubt`` is
    what is asked about it once it is ticked, empty if nothing is."""

    row: int
    name: str
    says: str
    doubt: str = ""


@dataclass(frozen=True, slots=True)
class RowDoubt:
    """A row with a figure far from the usual, which somebody must confirm, and the sentence about it."""

    row: int
    text: str


@dataclass(frozen=True, slots=True)
class Reading(Generic[P]):
    """The result of reading a file: a plan and its preview, or faults. ``same`` is the number of unchanged rows."""

    plan: P | None = None
    shown: Sequence[PreviewRow] = ()
    same: int = 0
    faults: Sequence[RowFault] = ()
    notes: Sequence[str] = ()
    booked: Sequence[BookedRow] = ()
    doubts: Sequence[RowDoubt] = ()

    @property
    def is_ready(self) -> bool:
        """Whether the file has changes and no faults."""
        return bool(self.shown or self.booked) and not self.faults


@dataclass(frozen=True, slots=True)
class Preview:
    """What a page shows of a reading: ``MOST_SHOWN`` rows of each sort, and how many there are. ``doubtful_booked`` are
    the numbers of all rows with doubts among those booked before."""

    shown: Sequence[PreviewRow] = ()
    faults: Sequence[RowFault] = ()
    booked: Sequence[BookedRow] = ()
    notes: Sequence[str] = ()
    count: int = 0
    new_count: int = 0
    fault_count: int = 0
    booked_count: int = 0
    doubts: Sequence[RowDoubt] = ()
    doubt_count: int = 0
    doubtful_booked: Sequence[int] = ()
    same: int = 0
    is_ready: bool = False

    @property
    def hidden(self) -> int:
        """The number of faults or rows beyond ``MOST_SHOWN``."""
        return max(0, (self.fault_count or self.count) - MOST_SHOWN)

    @property
    def hidden_in_words(self) -> str:
        """``hidden`` with separators between its thousands."""
        return grouped(self.hidden)

    @property
    def booked_in_words(self) -> str:
        """``booked_count`` with separators between its thousands."""
        return grouped(self.booked_count)

    @property
    def counts(self) -> Sequence[tuple[LazyText, str]]:
        """The numbers of new, changed and unchanged rows and of those booked before, with labels; zeros left out."""
        counts = [
            (_("New"), self.new_count),
            (_("Changed"), self.count - self.new_count),
            (_("Unchanged"), self.same),
            (_("Booked before"), self.booked_count),
        ]
        return [(label, grouped(count)) for label, count in counts if count]

    @classmethod
    def of(cls, reading: Reading[Any]) -> "Preview":
        """The preview of a reading."""
        return cls(
            shown=[
                PreviewRow(
                    row.row, row.name, [(str(label), old, new) for label, old, new in row.changes], is_new=row.is_new
                )
                for row in reading.shown[:MOST_SHOWN]
            ],
            faults=reading.faults[:MOST_SHOWN],
            booked=reading.booked[:MOST_SHOWN],
            notes=[str(note) for note in reading.notes],
            count=len(reading.shown),
            new_count=sum(row.is_new for row in reading.shown),
            fault_count=len(reading.faults),
            booked_count=len(reading.booked),
            doubts=reading.doubts[:MOST_SHOWN],
            doubt_count=len(reading.doubts),
            doubtful_booked=[row.row for row in reading.booked if row.doubt],
            same=reading.same,
            is_ready=reading.is_ready,
        )


IMPORTERS: Final[dict[str, "type[Importer[Any, Any]]"]] = {}
"""The importers by the kinds of their files: those of the pages that were loaded."""


def kind_named(name: str) -> "type[Importer[Any, Any]]":
    """The importer of a kind of files. A worker has loaded no pages, which define the importers: they are loaded then.

    Raises KeyError.
    """
    if name not in IMPORTERS:
        autodiscover()
    return IMPORTERS[name]


class Importer(Worded, ABC, Generic[P, R]):
    """Reads files of one kind for a member of staff, and imports them, all rows or none.

    A subclass defines the texts, the columns, ``read``, which makes a plan from a file and changes nothing, and
    ``carry_out``, which passes the plan to a service. ``plan_type`` is the plan's type, by which msgspec decodes it.
    """

    title: ClassVar[LazyText]
    intro: ClassVar[LazyText]
    permission: ClassVar[str]
    file_name: ClassVar[str]
    """The kind of the files: a name for empty ones, and the key of ``IMPORTERS``."""
    columns: ClassVar[Sequence[Column]]
    formats: ClassVar[Sequence[Format]] = ()
    plan_type: ClassVar[Any]
    wordings: ClassVar[Mapping[str, LazyText]] = {
        "version_conflict": _("Somebody else has changed this since the preview."),
    }

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "file_name" in vars(cls):
            IMPORTERS[cls.file_name] = cls

    def __init__(self, user: Any, actor: Actor, import_id: UUID | None = None) -> None:
        """``import_id`` is the id of the ``FileImport``."""
        self.user = user
        self.actor = actor
        self.import_id = import_id

    @classmethod
    def allows(cls, user: Any) -> bool:
        """Whether the user may import such files."""
        return bool(user.has_perm(cls.permission))

    @abstractmethod
    def read(self, upload: Upload) -> Reading[P]:
        """The plan and the preview of a file."""

    @abstractmethod
    def carry_out(self, plan: P, claim: Claim, again: Container[int], progress: Progress) -> R | StoredAnswer:
        """Call the service. ``again`` are the ticked rows among those booked before; ``progress`` is called with the
        number of rows done. Raises DomainError; PermissionDenied if something has left the user's reach meanwhile."""

    @abstractmethod
    def row_of(self, plan: P, index: int) -> int:
        """The number of the file's row for an index in the plan."""

    @abstractmethod
    def size_of(self, plan: P) -> int:
        """The number of rows in a plan."""

    @abstractmethod
    def tell(self, result: R) -> str:
        """The message of success, in one sentence."""

    def tell_again(self, result: R) -> str:
        """The message for a preview that is confirmed a second time."""
        return self.tell(result)

    def notice(self, request: HttpRequest, message: str) -> str:
        """The message as it is shown, perhaps with links to what the import made."""
        return message

    def refused(self, result: R) -> Sequence[RowFault]:
        """The faults of a result, for a service that returns them instead of raising; nothing was done then."""
        return ()


@dataclass(frozen=True, slots=True)
class PlannedRow(Generic[C]):
    """A row of the file as the service takes it."""

    row: int
    change: C


class RowImporter(Importer[list[PlannedRow[C]], R], Generic[C, R]):
    """The importer of files whose plan is a list of changes, each from one row of the file."""

    def row_of(self, plan: list[PlannedRow[C]], index: int) -> int:
        return plan[index].row

    def size_of(self, plan: list[PlannedRow[C]]) -> int:
        return len(plan)

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
