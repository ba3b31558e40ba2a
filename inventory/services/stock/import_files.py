"""Reading of files of stock changes: their lines, and the faults of each line."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID, uuid5

from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from audit.console.imports.columns import Column, ColumnMap, strict_map
from audit.console.imports.rows import RowFault, TableRow, Unreadable
from audit.console.imports.tables import RowReader, Sheet, open_sheet
from audit.whole_numbers import NotWhole, parse_whole_number
from inventory.codes import sku_key
from inventory.models import CODE, CODE_HINT, Movement

TYPES: Final = ("RECEIPT", "SHIPMENT", "ADJUSTMENT", "RETURN")
DESCRIBED: Final = (
    Column("sku", _("SKU"), _("The product, or the variant."), is_needed=True, is_code=True, is_key=True),
    Column("warehouse", _("Warehouse"), _("Its code."), is_needed=True, is_code=True),
    Column("quantity", _("Quantity"), _("Units; negative only for an ADJUSTMENT."), is_needed=True, is_key=True),
    Column(
        "type",
        _("Type"),
        _("RECEIPT and RETURN add, SHIPMENT takes away, ADJUSTMENT does either."),
        is_needed=True,
        choices=TYPES,
    ),
    Column("reason", _("Reason"), _("Why, in a few words."), is_needed=True),
    Column("reference", _("Reference"), _("Delivery note, order or ticket number. Optional."), is_code=True),
)
"""The columns, for the header and for the import page."""
COLUMNS: Final = tuple(column.name for column in DESCRIBED)
MOST_LINES: Final = 1_000_000
_MOST_NAMED: Final = 20
_MOST_UNITS: Final = 1_000_000
_NAMESPACE: Final = UUID("0d3f4b52-7c3e-5f0c-9d38-5f7f3c1f2a6e")
_COLUMNSPACE: Final = UUID("0d3f4b52-7c3e-5f0c-9d38-5f7f3c1f2a6e")


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

    @property
    def key(self) -> tuple[str, str, str, int, str]:
        """What makes two lines the same booking, in whatever file: all but the reason; a SKU without regard to case."""
        return sku_key(self.sku), self.warehouse, self.type, self.quantity, self.reference


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


def read_file(
    name: str, content: bytes, chosen: Mapping[str, str] | None = None, constants: Mapping[str, str] | None = None
) -> ImportFile:
    """Read a CSV file or a workbook. ``chosen`` are our columns by the titles of the file's, for a file of another
    system: all its other columns are ignored then; ``constants`` are the values of columns that it doesn't have.

    Never raises: a file that can't be read has no lines, and a fault with the reason.
    """
    bad: list[RowFault] = []
    lines: list[FileLine] = []
    try:
        sheet = open_sheet(content, DESCRIBED, most_rows=MOST_LINES)
        reader = RowReader(sheet, _map_of(sheet, chosen or {}, constants or {}), DESCRIBED)
        lines = lines_of(reader.header, reader.rows(), bad)
        bad += reader.faults
    except Unreadable as error:
        bad.append(RowFault(error.row, error.column, error.detail))
    return file_of(name, content, lines, bad)


def file_of(name: str, content: bytes, lines: Sequence[FileLine], bad: Sequence[RowFault]) -> ImportFile:
    """Make a file of its content and what was read from it."""
    sha256 = hashlib.sha256(content).hexdigest()
    return ImportFile(
        uuid5(_NAMESPACE, sha256), name, sha256, tuple(lines), tuple(sorted(bad, key=lambda each: each.row))
    )


def _map_of(sheet: Sheet, chosen: Mapping[str, str], constants: Mapping[str, str]) -> ColumnMap:
    """The map of a file's columns. Raises Unreadable for a header that has other columns than ours."""
    if not chosen and not constants:
        if found := strict_map(sheet.titles, DESCRIBED):
            return found
        detail = gettext("the header is %(header)s, not %(columns)s")
        titles = ",".join(title[:_MOST_NAMED] for title in sheet.titles[:_MOST_NAMED])
        raise Unreadable(detail % {"header": titles, "columns": ",".join(COLUMNS)}, sheet.header_row)
    if missing := [title for title in chosen if title not in sheet.titles]:
        raise Unreadable(gettext("is not in the header"), sheet.header_row, missing[0])
    own = {title: title.lower() for title in sheet.titles if title.lower() in COLUMNS}
    return ColumnMap(tuple((own | dict(chosen)).get(title, "") for title in sheet.titles), constants)


def lines_of(header: Sequence[str], rows: Iterable[TableRow], bad: list[RowFault]) -> list[FileLine]:
    """The lines of a table's rows; the faults of the others are added to ``bad``. A row that says the same as an
    earlier one is a fault: it may have been pasted twice."""
    lines: list[FileLine] = []
    first: dict[tuple[object, ...], int] = {}
    for row in rows:
        line = _line_of(row.number, dict(zip(header, row.cells, strict=True)), bad)
        if line is None:
            continue
        seen = first.setdefault((*line.key, line.reason), line.row)
        if seen == line.row:
            lines.append(line)
        else:
            message = gettext("is the same as row %(row)s: remove it, or give it another reference")
            bad.append(RowFault(line.row, "", message % {"row": seen}))
    return lines


def _line_of(row: int, cells: Mapping[str, str], bad: list[RowFault]) -> FileLine | None:
    """The line of a row; None, with its faults, if it is invalid."""
    kind = cells["type"].upper()
    faults = list(_faults(cells, kind))
    quantity = 0
    try:
        quantity = _quantity_of(cells["quantity"], kind)
    except NotWhole as error:
        faults.append(("quantity", str(error)))
    if faults:
        bad.extend(RowFault(row, column, detail) for column, detail in faults)
        return None
    return FileLine(row, cells["sku"], cells["warehouse"], quantity, kind, cells["reason"], cells.get("reference", ""))


def _faults(cells: Mapping[str, str], kind: str) -> Iterator[tuple[str, str]]:
    """The faults of a line's cells but for its quantity, as (column, detail)."""
    for column, longest, is_needed in (("sku", 64, True), ("reason", 500, True), ("reference", 100, False)):
        if fault := fault_of_text(cells.get(column, ""), longest, is_needed=is_needed):
            yield column, fault
    if not CODE.fullmatch(cells["warehouse"]):
        yield "warehouse", gettext("is no code: %(hint)s") % {"hint": CODE_HINT}
    if kind not in TYPES:
        yield "type", gettext("is none of %(types)s") % {"types": ", ".join(TYPES)}


def fault_of_text(text: str, longest: int, *, is_needed: bool) -> str | None:
    """The fault of a clean text, as a predicate such as "is empty"; None if it is valid."""
    if is_needed and not text:
        return gettext("is empty")
    if len(text) > longest:
        return gettext("has more than %(most)s characters") % {"most": longest}
    return None


def _quantity_of(text: str, kind: str) -> int:
    """Raises NotWhole."""
    quantity = parse_whole_number(text, least=-_MOST_UNITS, most=_MOST_UNITS)
    if quantity == 0:
        raise NotWhole(gettext("must not be 0"))
    if quantity < 0 and kind in TYPES and kind != Movement.Type.ADJUSTMENT:
        raise NotWhole(gettext("is negative: a %(type)s has a positive quantity") % {"type": kind})
    return quantity
