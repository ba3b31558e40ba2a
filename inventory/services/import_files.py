"""A file of stock changes as people make it: CSV with a header, and what is wrong with it, line by line. Pure."""

import csv
import hashlib
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID, uuid5

from inventory.models import CODE, CODE_HINT, Movement

COLUMNS: Final = ("sku", "warehouse", "quantity", "type", "reason", "reference")
MOST_LINES: Final = 1_000_000
TYPES: Final = ("RECEIPT", "SHIPMENT", "ADJUSTMENT", "RETURN")
_MOST_UNITS: Final = 1_000_000
_WHOLE_NUMBER: Final = re.compile(r"[+-]?[0-9]{1,18}")
_UNPRINTABLE: Final = re.compile(r"[\x00-\x1f\x7f]")
_NAMESPACE: Final = UUID("0d3f4b52-7c3e-5f0c-9d38-5f7f3c1f2a6e")


@dataclass(frozen=True, slots=True)
class Line:
    """One line. ``row`` is where it starts in the file, the header being row 1; ``quantity`` is signed only for an
    ADJUSTMENT."""

    row: int
    sku: str
    warehouse: str
    quantity: int
    type: str
    reason: str
    reference: str


@dataclass(frozen=True, slots=True)
class BadCell:
    """What is wrong with a line. ``column`` is empty where it is the line as such."""

    row: int
    column: str
    detail: str


@dataclass(frozen=True, slots=True)
class ImportFile:
    """A file that was read: its lines that make sense, and what is wrong with the others.

    ``id`` is made of the content alone: the same file under another name is the same file.
    """

    id: UUID
    name: str
    sha256: str
    lines: tuple[Line, ...]
    bad: tuple[BadCell, ...]


def read_file(name: str, content: bytes) -> ImportFile:
    """Read a file: UTF-8 with or without byte-order mark, with commas or semicolons. Never raises: what isn't such a
    file has no lines and says why."""
    sha256 = hashlib.sha256(content).hexdigest()
    lines: list[Line] = []
    bad: list[BadCell] = []
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        bad.append(BadCell(content.count(b"\n", 0, error.start) + 1, "", "is not UTF-8"))
    else:
        _read(text, lines, bad)
    return ImportFile(uuid5(_NAMESPACE, sha256), name, sha256, tuple(lines), tuple(bad))


def _read(text: str, lines: list[Line], bad: list[BadCell]) -> None:
    header, _, _ = text.partition("\n")
    delimiter = ";" if header.count(";") > header.count(",") else ","
    rows = _rows(text, delimiter, bad)
    columns = _columns(next(rows, (1, []))[1], bad)
    if columns is None:
        return
    for number, (row, cells) in enumerate(rows, 1):
        if number > MOST_LINES:
            bad.append(BadCell(row, "", f"a file has at most {MOST_LINES:,} lines: split it"))
            return
        if len(cells) != len(columns):
            bad.append(BadCell(row, "", f"has {len(cells)} cells, not {len(columns)}"))
            continue
        named = dict(zip(columns, (cell.strip() for cell in cells), strict=True))
        found = list(_faults(named))
        if found:
            bad.extend(BadCell(row, column, detail) for column, detail in found)
        else:
            lines.append(
                Line(
                    row,
                    named["sku"],
                    named["warehouse"],
                    int(named["quantity"]),
                    named["type"].upper(),
                    named["reason"],
                    named["reference"],
                )
            )


def _rows(text: str, delimiter: str, bad: list[BadCell]) -> Iterator[tuple[int, list[str]]]:
    """The records that aren't blank, each with the row that it starts on; up to the first that can't be read."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    starts = 1
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield starts, cells
            starts = reader.line_num + 1
    except csv.Error as error:
        bad.append(BadCell(starts, "", f"can't be read, nor what follows: {error}"))


def _columns(header: Sequence[str], bad: list[BadCell]) -> list[str] | None:
    """The names of the columns in their order; None where they aren't those that there are."""
    names = [cell.strip().lower() for cell in header]
    if sorted(names) == sorted(COLUMNS):
        return names
    bad.append(BadCell(1, "", f"the header is {','.join(names) or 'missing'}, not {','.join(COLUMNS)}"))
    return None


def _faults(cells: dict[str, str]) -> Iterator[tuple[str, str]]:
    """What is wrong with a line's cells, by column."""
    for column, longest, is_needed in (("sku", 64, True), ("reason", 500, True), ("reference", 100, False)):
        text = cells[column]
        if is_needed and not text:
            yield column, "is empty"
        elif len(text) > longest:
            yield column, f"has more than {longest} characters"
        elif _UNPRINTABLE.search(text):
            yield column, "has a character that can't be printed"
    if not CODE.fullmatch(cells["warehouse"]):
        yield "warehouse", f"is no code: {CODE_HINT}"
    kind = cells["type"].upper()
    if kind not in TYPES:
        yield "type", f"is none of {', '.join(TYPES)}"
    if fault := _fault_of_quantity(cells["quantity"], kind):
        yield "quantity", fault


def _fault_of_quantity(text: str, kind: str) -> str | None:
    if not _WHOLE_NUMBER.fullmatch(text):
        return "is no whole number"
    if int(text) == 0:
        return "must not be 0"
    if abs(int(text)) > _MOST_UNITS:
        return f"is more than {_MOST_UNITS:,}"
    if int(text) < 0 and kind in TYPES and kind != Movement.Type.ADJUSTMENT:
        return f"is negative: a {kind} has a positive quantity"
    return None
