"""Reading of CSV files of stock changes: their lines, and the faults of each line. Pure."""

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID, uuid5

from django.utils.translation import gettext

from audit.console.imports.tables import RowFault, Unreadable, csv_rows, unguarded
from inventory.models import CODE, CODE_HINT, Movement

COLUMNS: Final = ("sku", "warehouse", "quantity", "type", "reason", "reference")
MOST_LINES: Final = 1_000_000
TYPES: Final = ("RECEIPT", "SHIPMENT", "ADJUSTMENT", "RETURN")
_MOST_NAMED: Final = 50
_LONGEST_HEADER: Final = 500
_MOST_UNITS: Final = 1_000_000
_WHOLE_NUMBER: Final = re.compile(r"[+-]?[0-9]{1,18}")
_UNPRINTABLE: Final = re.compile(r"[\x00-\x1f\x7f]")
_NAMESPACE: Final = UUID("0d3f4b52-7c3e-5f0c-9d38-5f7f3c1f2a6e")


@dataclass(frozen=True, slots=True)
class FileLine:
    """A line. ``row`` is the row of the file on which it starts; the header is row 1. ``quantity`` is signed only for
    an ADJUSTMENT."""

    row: int
    sku: str
    warehouse: str
    quantity: int
    type: str
    reason: str
    reference: str


@dataclass(frozen=True, slots=True)
class ImportFile:
    """A file that was read: its valid lines, and the faults of the others.

    ``id`` is computed from the content alone: a renamed file has the same id.
    """

    id: UUID
    name: str
    sha256: str
    lines: tuple[FileLine, ...]
    bad: tuple[RowFault, ...]


def read_file(name: str, content: bytes) -> ImportFile:
    """Read a CSV file: UTF-8 with or without byte-order mark, with commas, semicolons or tabs. Never raises: a file
    that can't be read has no lines, and a fault that says why."""
    return file_of(name, content, csv_rows(content))


def file_of(name: str, content: bytes, rows: Iterable[tuple[int, Sequence[str]]]) -> ImportFile:
    """Make a file from its content and its numbered rows; blank rows are left out. Never raises: invalid and unreadable
    rows become faults."""
    sha256 = hashlib.sha256(content).hexdigest()
    lines: list[FileLine] = []
    bad: list[RowFault] = []
    try:
        _take(iter((row, cells) for row, cells in rows if any(cell.strip() for cell in cells)), lines, bad)
    except Unreadable as error:
        bad.append(RowFault(error.row, error.column, error.detail))
    return ImportFile(uuid5(_NAMESPACE, sha256), name, sha256, tuple(lines), tuple(bad))


def _take(rows: Iterator[tuple[int, Sequence[str]]], lines: list[FileLine], bad: list[RowFault]) -> None:
    columns = _columns(next(rows, (1, ()))[1], bad)
    if columns is None:
        return
    for number, (row, cells) in enumerate(rows, 1):
        if number > MOST_LINES:
            bad.append(RowFault(row, "", gettext("a file has at most %(most)s lines: split it") % {"most": MOST_LINES}))
            return
        if len(cells) != len(columns):
            detail = gettext("has %(cells)s cells, not %(columns)s")
            bad.append(RowFault(row, "", detail % {"cells": len(cells), "columns": len(columns)}))
            continue
        named = dict(zip(columns, (unguarded(cell.strip()) for cell in cells), strict=True))
        found = list(_faults(named))
        if found:
            bad.extend(RowFault(row, column, detail) for column, detail in found)
        else:
            lines.append(
                FileLine(
                    row,
                    named["sku"],
                    named["warehouse"],
                    int(named["quantity"]),
                    named["type"].upper(),
                    named["reason"],
                    named["reference"],
                )
            )


def _columns(header: Sequence[str], bad: list[RowFault]) -> list[str] | None:
    """The names of the columns in their order; None, with a fault, unless they are exactly the known columns."""
    names = [cell.strip().lower() for cell in header]
    if len(names) == len(COLUMNS) and set(names) == set(COLUMNS):
        return names
    detail = gettext("the header is %(header)s, not %(columns)s")
    given = ",".join(names[:_MOST_NAMED])[:_LONGEST_HEADER] or gettext("missing")
    bad.append(RowFault(1, "", detail % {"header": given, "columns": ",".join(COLUMNS)}))
    return None


def _faults(cells: dict[str, str]) -> Iterator[tuple[str, str]]:
    """The faults of a line's cells, as (column, detail)."""
    for column, longest, is_needed in (("sku", 64, True), ("reason", 500, True), ("reference", 100, False)):
        if fault := fault_of_text(cells[column], longest, is_needed=is_needed):
            yield column, fault
    if not CODE.fullmatch(cells["warehouse"]):
        yield "warehouse", gettext("is no code: %(hint)s") % {"hint": CODE_HINT}
    kind = cells["type"].upper()
    if kind not in TYPES:
        yield "type", gettext("is none of %(types)s") % {"types": ", ".join(TYPES)}
    if fault := _fault_of_quantity(cells["quantity"], kind):
        yield "quantity", fault


def fault_of_text(text: str, longest: int, *, is_needed: bool) -> str | None:
    """The fault of a text, as a predicate such as "is empty"; None if it is valid."""
    if is_needed and not text:
        return gettext("is empty")
    if len(text) > longest:
        return gettext("has more than %(most)s characters") % {"most": longest}
    if _UNPRINTABLE.search(text):
        return gettext("has a character that can't be printed")
    return None


def _fault_of_quantity(text: str, kind: str) -> str | None:
    if not _WHOLE_NUMBER.fullmatch(text):
        return gettext("is no whole number")
    if int(text) == 0:
        return gettext("must not be 0")
    if abs(int(text)) > _MOST_UNITS:
        return gettext("is more than %(most)s") % {"most": _MOST_UNITS}
    if int(text) < 0 and kind in TYPES and kind != Movement.Type.ADJUSTMENT:
        return gettext("is negative: a %(type)s has a positive quantity") % {"type": kind}
    return None
