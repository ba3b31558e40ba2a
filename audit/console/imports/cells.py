"""Conversion of a file's cells to values (texts, units, yes or no, times), and of its rows to changes."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Final

from django.utils import timezone
from django.utils.translation import gettext
from import_export.resources import Resource
from import_export.results import RowResult
from import_export.widgets import Widget

from audit.console.imports.columns import Column
from audit.console.imports.rows import RowFault, Table
from audit.console.wording import LazyText
from audit.db.pool import give_back_connection
from audit.instants import parse_instant
from audit.whole_numbers import parse_whole_number

MOST_SHOWN: Final = 200
_YES: Final = frozenset(
    ["yes", "true", "1", "ja", "wahr", "oui", "vrai", "sí", "si", "verdadero", "sì", "vero", "waar"]
)
_NO: Final = frozenset(["no", "false", "0", "nein", "falsch", "non", "faux", "falso", "onwaar", "nee"])
"""Also as spreadsheets in other languages write them."""


class TextCell(Widget):  # type: ignore[misc]
    """A line of text that was cleaned."""

    def __init__(self, longest: int, *, is_needed: bool = False) -> None:
        super().__init__()
        self.longest = longest
        self.is_needed = is_needed

    def clean(self, value: str, row: Any = None, **kwargs: Any) -> str:
        """Raises ValueError."""
        if self.is_needed and not value:
            raise ValueError(gettext("is empty"))
        if len(value) > self.longest:
            raise ValueError(gettext("has more than %(most)s characters") % {"most": self.longest})
        return value


class UnitsCell(Widget):  # type: ignore[misc]
    """A whole number; ``empty`` is the value of an empty cell."""

    def __init__(self, *, least: int = 0, most: int = 2_000_000_000, empty: int | None = None) -> None:
        super().__init__()
        self.least = least
        self.most = most
        self.empty = empty

    def clean(self, value: str, row: Any = None, **kwargs: Any) -> int | None:
        """Raises ValueError."""
        if not value:
            return self.empty
        return parse_whole_number(value, least=self.least, most=self.most)


class YesNoCell(Widget):  # type: ignore[misc]
    """A boolean: yes, true or 1; no, false or 0."""

    def clean(self, value: str, row: Any = None, **kwargs: Any) -> bool:
        """Raises ValueError."""
        if value.lower() not in _YES | _NO:
            raise ValueError(gettext("must be yes or no"))
        return value.lower() in _YES


class TimeCell(Widget):  # type: ignore[misc]
    """A date or a time, in the reader's time zone unless it names one."""

    def clean(self, value: str, row: Any = None, **kwargs: Any) -> datetime | None:
        """Raises ValueError."""
        if not value:
            return None
        return parse_instant(value, timezone.get_current_timezone())


@dataclass(frozen=True, slots=True)
class ReadRow:
    """A row of a file compared with the existing one, ``before`` (None if new). ``changes`` are (column, old, new)."""

    number: int
    key: tuple[str, ...]
    before: Any | None
    after: Any
    changes: tuple[tuple[str, Any, Any], ...]


class Cells(Resource):  # type: ignore[misc]
    """The columns of a file, and the changes that its rows would make.

    A subclass declares its columns as ``Field``s, ``key``, the columns that identify a row, and ``init_instance``,
    which makes a new row. ``known`` holds the existing rows by key.

    The library's own widgets are too lenient: they read 1.5 as 1 unit, and "yse" as no.
    """

    key: ClassVar[tuple[str, ...]]

    class Meta:
        skip_unchanged = True
        skip_html_diff = True
        store_instance = True

    def __init__(self, known: Mapping[tuple[str, ...], Any]) -> None:
        super().__init__()
        self.known = known

    def get_instance(self, instance_loader: Any, row: Mapping[str, str]) -> Any:
        return self.known.get(self.key_of(row))

    def key_of(self, row: Mapping[str, str]) -> tuple[str, ...]:
        """The key of a row: its values in the key columns."""
        return tuple(row[name] for name in self.key)

    def read(self, table: Table) -> tuple[list[ReadRow], list[RowFault]]:
        """The valid rows, and the faults of the others. Sends no query, and holds no pooled connection."""
        give_back_connection()
        rows: list[ReadRow] = []
        faults = list(table.faults)
        first: dict[tuple[str, ...], int] = {}
        for number, cells in ((row.number, row.cells) for row in table.rows):
            row = dict(zip(table.header, cells, strict=True))
            key = self.key_of(row)
            if "" in key:
                empty = (name for name in self.key if not row[name])
                faults.extend(RowFault(number, name, gettext("is empty")) for name in empty)
                continue
            if (seen := first.setdefault(key, number)) != number:
                faults.append(RowFault(number, "", gettext("is about the same as row %(row)s") % {"row": seen}))
                continue
            result = self.import_row(row, None, dry_run=True, using_transactions=False, row_number=number)
            if result.errors:
                raise result.errors[0].error
            if result.validation_error is None:
                rows.append(self._compared(number, key, row, result))
                continue
            for column, details in result.validation_error.message_dict.items():
                faults.extend(RowFault(number, column, detail) for detail in details)
        return rows, faults

    def _compared(self, number: int, key: tuple[str, ...], row: Mapping[str, str], result: RowResult) -> ReadRow:
        is_new = result.import_type == RowResult.IMPORT_TYPE_NEW
        before = None if is_new else result.original
        pairs = (
            (each.column_name, None if is_new else each.get_value(before), each.get_value(result.instance))
            for each in self.get_import_fields()
            if each.column_name in row and each.column_name not in self.key
        )
        changes = tuple(pair for pair in pairs if pair[1] != pair[2] and (not is_new or pair[2] not in (None, "")))
        return ReadRow(number, key, before, result.instance, changes)


def cell_in_words(value: Any) -> str:
    """The text of a value in the preview."""
    if value is None or value == "":
        return "–"
    if isinstance(value, bool):
        return gettext("yes") if value else gettext("no")
    return f"{timezone.localtime(value):%Y-%m-%d %H:%M}" if isinstance(value, datetime) else str(value)


def changes_in_words(row: ReadRow, columns: Collection[Column]) -> list[tuple[LazyText, str, str]]:
    """The changes of a row for the preview, as (label, old, new)."""
    labels = {column.name: column.label for column in columns}
    return [(labels[name], cell_in_words(old), cell_in_words(new)) for name, old, new in row.changes]
