"""Exported files: spreadsheets can open them, and importing them again restores each text."""

import csv
import io
from typing import Any

import pytest
from openpyxl import load_workbook

from audit.console.exports import csv_file, workbook
from tests.audit.test_tables import COLUMNS, open_sheet, strict_map, table_of

CODES = (
    *("#N/A", "#NV", "#REF!", "#BEZUG!", "TRUE", "WAHR", "1-Mar", "Mär-26", "2026-03-01", "12:30", "4.00638E+12"),
    *("######", "00123", "4006381333931", "=1+1", "-5", "'#N/A", "'=1", "''TRUE", "A-1", "'0012"),
)


def exported(kind: str, rows: list[list[Any]]) -> bytes:
    header = ["sku", "name"]
    if kind == "xlsx":
        return workbook("codes", header, rows).content
    return b"".join(csv_file("codes", header, rows))


@pytest.mark.parametrize("kind", ["csv", "xlsx"])
def test_codes_are_imported_as_they_were_exported(kind: str) -> None:
    content = exported(kind, [[code, f"name of {code}"] for code in CODES])
    sheet = open_sheet(content, COLUMNS)
    chosen = strict_map(sheet.titles, COLUMNS)
    assert chosen is not None
    table = table_of(sheet, chosen, COLUMNS)
    assert table.faults == ()
    assert [row.cells for row in table.rows] == [(code, f"name of {code}") for code in CODES]


def test_error_name_is_a_text_in_a_workbook_and_guarded_in_a_file_of_text() -> None:
    book = load_workbook(io.BytesIO(exported("xlsx", [["#N/A", "x"]])))
    cell = book.active["A2"]
    assert (cell.value, cell.data_type, cell.number_format) == ("#N/A", "s", "@")
    assert b"\n'#N/A,x" in exported("csv", [["#N/A", "x"]])


@pytest.mark.parametrize("kind", ["csv", "xlsx"])
def test_what_no_spreadsheet_opens_is_replaced_or_cut(kind: str) -> None:
    long = "😀" * 40_000
    content = exported(kind, [["A\0B\x1bC\ufffeD\uffffE", long], ["\x07=1", "two\nlines\tand a tab"]])
    if kind == "csv":
        rows = list(csv.reader(io.StringIO(content.decode("utf-8-sig"))))
    else:
        rows = [list(row) for row in load_workbook(io.BytesIO(content)).active.iter_rows(values_only=True)]
    assert rows[1][0] == "A�B�C�D�E"
    assert len(rows[1][1].encode("utf-16-le")) <= 2 * 32_767
    assert rows[1][1].startswith("😀" * 16_000)
    assert rows[1][1].endswith("(cut: the limit of a cell)")
    assert rows[2] == ["�=1", "two\nlines\tand a tab"]
