"""The columns that a file may have, and how the header of a file names them. Pure."""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from audit.console.wording import LazyText

_APART: Final = re.compile(r"[\s_\-./]+")
_AROUND: Final = re.compile(r"\s*(?:\([^)]*\)|\*)\s*$")


@dataclass(frozen=True, slots=True)
class Column:
    """The description of a column, for the import page."""

    name: str
    label: LazyText
    help: LazyText = ""
    is_needed: bool = False
    is_read: bool = True
    """Whether the column is imported; others are for people who read the file, and ignored."""
    is_code: bool = False
    """Whether it has codes, such as a SKU, in which nothing is accepted that a spreadsheet has spoiled."""
    is_key: bool = False
    """Whether it identifies a row, so that it can't have the same value in all rows."""
    choices: tuple[str, ...] = ()
    """All values that it may have, if they are few."""
    also: tuple[str, ...] = ()
    """Other names of the column in headers."""


@dataclass(frozen=True, slots=True)
class Format:
    """The files of another system, known by some names in their header.

    ``fields`` are our columns by the system's; ``values`` are our values by the system's, for a column of ours;
    ``filled_down`` are columns that have a value only on the first row of several, by the column that groups these.
    """

    name: str
    known_by: tuple[str, ...]
    fields: Mapping[str, str]
    values: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    filled_down: Mapping[str, str] = field(default_factory=dict)
    decimals: tuple[str, ...] = ()
    """Our columns of whole numbers, which the system writes as ``12.00``."""
    skipped_without: str = ""
    """Our column without which a row is left out, such as the row of a further picture."""
    advice: LazyText = ""


@dataclass(frozen=True, slots=True)
class ColumnMap:
    """Which columns of a file are imported: ``fields`` has a column of ours, or nothing, for each of the file's.

    ``constants`` are the values, the same in all rows, of columns that the file doesn't have. ``format_name`` is that
    of the format that it follows. ``is_strict`` if the file has our columns, so that all others are faults.
    """

    fields: tuple[str, ...]
    constants: Mapping[str, str] = field(default_factory=dict)
    format_name: str = ""
    is_strict: bool = False


def spelled(name: str) -> str:
    """A name as it is compared: without regard to case, blanks, underscores, and what stands in brackets after it."""
    plain = unicodedata.normalize("NFKC", name).replace("\ufeff", "")
    return _APART.sub(" ", plain).strip().casefold()


def names_of(columns: Iterable[Column]) -> dict[str, str]:
    """The names of columns by all spellings: the name itself, the label of the console, and others."""
    found: dict[str, str] = {}
    for column in columns:
        for name in (column.name, str(column.label), *column.also):
            found.setdefault(spelled(name), column.name)
    return found


def field_of(title: str, names: Mapping[str, str]) -> str:
    """The column that a cell of a header names; empty if none does. "SKU *" and "SKU (required)" are a SKU, too."""
    return names.get(spelled(title)) or names.get(spelled(_AROUND.sub("", title)), "")


def format_of(titles: Sequence[str], formats: Sequence[Format]) -> Format | None:
    """The first format of which the header has all the names that it is known by."""
    seen = {spelled(title) for title in titles}
    return next((each for each in formats if all(spelled(name) in seen for name in each.known_by)), None)


def unknown_titles(titles: Sequence[str], columns: Sequence[Column]) -> list[str]:
    """The titles that name none of our columns."""
    names = names_of(columns)
    return [title for title in titles if title and not field_of(title, names)]


def strict_map(titles: Sequence[str], columns: Sequence[Column]) -> ColumnMap | None:
    """The map of a file with our own columns: each title is one of them, or blank, and no needed one is missing."""
    names = names_of(columns)
    fields = tuple(field_of(title, names) for title in titles)
    is_known = all(name or not title for title, name in zip(titles, fields, strict=True))
    is_whole = all(column.name in fields for column in columns if column.is_needed)
    return ColumnMap(fields, is_strict=True) if is_known and is_whole else None


def proposed_map(titles: Sequence[str], columns: Sequence[Column], formats: Sequence[Format]) -> ColumnMap:
    """A map for a file of another system: by its format if it is known, else by names that are ours. No column of ours
    is taken from two."""
    found = format_of(titles, formats)
    known = {spelled(name): target for name, target in found.fields.items()} if found else {}
    names = names_of(column for column in columns if column.is_read)
    fields: list[str] = []
    for title in titles:
        name = known.get(spelled(title)) if found else field_of(title, names)
        fields.append(name if name and name not in fields else "")
    return ColumnMap(tuple(fields), format_name=found.name if found else "")
