"""Reading of tables in uploaded files."""

import io
import re
import unicodedata
from datetime import date, datetime, time, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openpyxl import Workbook

from audit.console.export_cells import plain
from audit.console.imports import tables
from audit.console.imports.columns import Column, strict_map
from audit.console.imports.guards import guarded, unguarded
from audit.console.imports.rows import Table, Unreadable
from audit.console.imports.tables import open_sheet, table_of

COLUMNS = (
    Column("sku", "SKU", is_needed=True, is_code=True),
    *(Column(name, name.title()) for name in ("name", "n", "yes", "at")),
    Column("reorder_point", "Reorder point"),
)


def read_table(content: bytes) -> Table:
    """The table of a file with our own columns. Raises Unreadable for the first fault."""
    sheet = open_sheet(content, COLUMNS)
    chosen = strict_map(sheet.titles, COLUMNS)
    if chosen is None:
        raise Unreadable(f"has other columns: {sheet.titles}", sheet.header_row)
    table = table_of(sheet, chosen, COLUMNS)
    for fault in table.faults:
        raise Unreadable(fault.detail, fault.row, fault.column)
    return table


def workbook_of(*rows: Any) -> bytes:
    book = Workbook()
    for row in rows:
        book.active.append(row)
    stream = io.BytesIO()
    book.save(stream)
    return stream.getvalue()


def refusal(content: bytes) -> Unreadable:
    with pytest.raises(Unreadable) as refused:
        read_table(content)
    return refused.value


def rows_of(content: bytes) -> list[tuple[int, tuple[str, ...]]]:
    return [(row.number, row.cells) for row in read_table(content).rows]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_table_of_text_is_read_with_the_numbers_of_an_editor(delimiter: str, mark: str, end: str) -> None:
    text = end.join([mark + "SKU, Name", "", 'A, "so, or so"', " , ", "B,Größe", ""]).replace(", ", ",")
    text = text.replace(",", delimiter).replace(f"so{delimiter}or", "so,or")
    table = read_table(text.encode())
    assert table.header == ("sku", "name")
    assert rows_of(text.encode()) == [(3, ("A", "so,or so")), (5, ("B", "Größe"))]


def test_workbook_is_read_as_it_shows_itself() -> None:
    content = workbook_of(
        ["sku", "n", "yes", "at", None, None],
        [],
        ["A", 4006381333931, True, datetime(2030, 1, 2, 3, 4, 5)],
        ["B", 2.0, False, None],
        ["C", 2.5],
    )
    assert read_table(content).header == ("sku", "n", "yes", "at")
    assert rows_of(content) == [
        (3, ("A", "4006381333931", "yes", "2030-01-02 03:04:05")),
        (4, ("B", "2", "no", "")),
        (5, ("C", "2.5", "", "")),
    ]


@pytest.mark.parametrize(
    ("content", "row", "says"),
    [
        (b"", 1, "is empty"),
        (b"\n ,\n", 1, "is empty"),
        ("sku,name\nA,ß".encode() + b"\xff", 2, "UTF-8"),
        ("sku,name\nA,b".encode("utf-16-le"), 1, "UTF-8"),
        (b"sku,name\nA,b\0\n", 2, "U+0000"),
        (b'sku,name\nA,"open\n', 2, "can't be read"),
        (b"sku,,name\nA,x,b", 2, "without a name"),
        (b"sku,name,SKU\n", 1, "twice"),
        (b"sku,name\nA\n", 2, "has 1 cells"),
        (b"sku,name\nA,b,c\n", 2, "has 3 cells"),
        (b"\xd0\xcf\x11\xe0old", 1, "old kind"),
        (b"<html><table><tr><td>sku</td></tr></table></html>", 1, "a web page"),
        (b"\xef\xbb\xbf\n<?xml version='1.0'?>\n<Workbook/>", 1, "a web page"),
        (b"<!DOCTYPE html>\n<title>Log in</title>", 1, "a web page"),
        (b"PK\x03\x04 broken", 1, "can't be read"),
        (workbook_of(["sku", "n"], ["A", "=1+1"]), 2, "formula"),
        (workbook_of(["sku", "n"], ["A", "#REF!"]), 2, "an error"),
        (workbook_of(["x"] * 300), 1, "columns"),
    ],
)
def test_what_is_no_table_says_why_and_where(content: bytes, row: int, says: str) -> None:
    refused = refusal(content)
    assert (refused.row, says in refused.detail) == (row, True), refused.detail


def test_formula_is_reported_with_its_cell() -> None:
    refused = refusal(workbook_of(["sku", "n"], ["A", "=1+1"]))
    assert (refused.column, refused.detail.partition(" ")[0]) == ("n", "B2")


def test_table_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "MOST_ROWS", 2)
    assert len(read_table(b"sku\nA\n\nB\n").rows) == 2
    assert refusal(b"sku\nA\n\nB\nC\n").row == 5


@given(st.text(alphabet="'=+-@;\t\r\n \u00a0\u3000\u200b\"＝－ab", max_size=8))
def test_guard_against_formulas_is_taken_off_as_it_was_put_on(text: str) -> None:
    assert unguarded(guarded(text)) == text
    assert plain(text) == guarded(text)
    for cell in re.split("[;\t\r\n]", guarded(text)):
        assert unicodedata.normalize("NFKC", cell).strip(' "\u200b')[:1] not in set("=+-@") or not cell


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("=1+1", "'=1+1"),
        ("  =1+1", "'  =1+1"),
        ("\u00a0=1+1", "'\u00a0=1+1"),
        ("\u200b\ufeff@SUM(A1)", "'\u200b\ufeff@SUM(A1)"),
        ("＝1+1", "'＝1+1"),
        ("＋1", "'＋1"),
        ("－1", "'－1"),
        ("＠SUM(A1)", "'＠SUM(A1)"),
        ("Tent;=1+1", "Tent;'=1+1"),
        ("Tent\t =1+1", "Tent\t' =1+1"),
        ("Tent\r\n-1", "Tent\r\n'-1"),
        ('Tent;"=1+1"', 'Tent;\'"=1+1"'),
        ("A-1; b=2, c + d", "A-1; b=2, c + d"),
    ],
)
def test_text_is_guarded_wherever_a_spreadsheet_may_begin_a_cell(text: str, written: str) -> None:
    assert guarded(text) == written


def test_formula_of_other_systems_around_a_code_is_taken_off() -> None:
    assert rows_of(b'sku,name\n="00123",b\n"=""A-1""",=""\n') == [(2, ("00123", "b")), (3, ("A-1", ""))]
    assert refusal(workbook_of(["sku", "name"], ["A", '=""&"x"'])).column == "name"


def test_guard_takes_time_in_proportion_to_the_text() -> None:
    for unit in ("\n", " ", ";", "'", "; ", "\t'", "=;"):
        text = unit * 100_000
        assert unguarded(guarded(text)) == text


def test_header_of_many_names_is_refused_at_once() -> None:
    names = ",".join(f"c{number}" for number in range(24_000))
    assert "at most 256 columns" in refusal(names.encode()).detail
    formatted = ",".join(["sku", "name", *[""] * 70_000])
    assert rows_of(f"{formatted}\nA,b".encode()) == [(2, ("A", "b"))]


# ------------------------------------------------------------------------------------- files as spreadsheets make them


@pytest.mark.parametrize(
    "content",
    [
        b"sku;name\nA;b\n",
        b"sep=;\r\nsku;name\r\nA;b\r\n",
        b'"sep=;"\nsku;name\nA;b\n',
        b"sep=\t\nsku\tname\nA\tb",
        "\ufeffsep=;\nsku;name\nA;b".encode(),
        b"Products of the warehouse, all of them;\nas of 1 March 2026;\n;\n\nsku;name\nA;b\n",
        b"Products\n\n\nsku,name\nA,b",
        "SKU;Name;;;\nA;b;;;\n;;;;\n".encode("utf-16"),
        "\ufeffsku\tname\nA\tb\n".encode("utf-16-be"),
        b"SKU *,Name (needed),\nA,b,\n",
        b"sku,name\rA,b\r",
    ],
)
def test_header_is_found_whatever_stands_around_it(content: bytes) -> None:
    table = read_table(content)
    assert (table.header, [row.cells for row in table.rows]) == (("sku", "name"), [("A", "b")])


def test_row_numbers_count_the_lines_above_the_header() -> None:
    content = b'sep=,\nList\n\nsku,name\nA,"two\nlines"\nB,b\n'
    sheet = open_sheet(content, COLUMNS)
    assert (sheet.header_row, [row.number for row in sheet.rows]) == (4, [5, 7])
    titled = workbook_of(["List of products"], [], ["SKU", "Reorder Point"], ["A", 5])
    assert (read_table(titled).header, rows_of(titled)) == (("sku", "reorder_point"), [(4, ("A", "5"))])


@pytest.mark.parametrize(
    "title", ["Reorder point", "reorder_point", "REORDER POINT", "Reorder-Point", " reorder  point"]
)
def test_header_may_have_the_labels_of_the_console(title: str) -> None:
    assert read_table(f"sku,{title}\nA,5".encode()).header == ("sku", "reorder_point")


def test_decimal_commas_do_not_hide_the_delimiter() -> None:
    content = "sku;name\n" + "\n".join(f"A{n};{n},50" for n in range(9))
    assert rows_of(content.encode())[0] == (2, ("A0", "0,50"))


def test_text_of_windows_is_read_and_damaged_text_is_refused() -> None:
    western = "sku;name\nA;Größe “S”, 5 €, é, ñ, Ø"
    assert rows_of(western.encode("cp1252")) == [(2, ("A", "Größe “S”, 5 €, é, ñ, Ø"))]
    cyrillic = "sku;name\nA;Молоко".encode("cp1251")
    for content in (cyrillic, "sku\nä".encode() + b"\xe4", "sku\nA".encode("utf-32"), b"sku;name\nA;\x81"):
        assert "UTF-8" in refusal(content).detail


SPOILED = {
    "4.00638E+12": "shortened a long number",
    "4,00638E+12": "shortened a long number",
    "1E+05": "shortened a long number",
    "4006381333931.0": "decimal number",
    "#N/A": "an error",
    "#NV": "an error",
    "#REF!": "an error",
    "#BEZUG!": "an error",
    "#VALEUR!": "an error",
    "#N/D": "an error",
    "#¡REF!": "an error",
    "#name?": "an error",
    "Err:502": "an error",
    "######": "too narrow",
    "2026-03-01": "a date",
    "01.03.2026": "a date",
    "3/1/26": "a date",
    "1-Mar": "a date",
    "Mar-26": "a date",
    "01. Mrz": "a date",
    "TRUE": "yes or no",
    "WAHR": "yes or no",
    "12:30": "a time",
    "1:02:03 PM": "a time",
}


@pytest.mark.parametrize(("text", "says"), SPOILED.items())
@pytest.mark.parametrize("kind", ["csv", "xlsx"])
def test_code_that_a_spreadsheet_spoiled_is_refused_with_its_cell(text: str, says: str, kind: str) -> None:
    rows = [["name", "sku"], ["x", text]]
    content = workbook_of(*rows) if kind == "xlsx" else "\n".join(";".join(row) for row in rows).encode()
    refused = refusal(content)
    assert (refused.row, refused.column) == (2, "sku")
    assert refused.detail.startswith(f"B2 shows “{text}”")
    assert says in refused.detail
    meant = f"name;sku\nx;'{text}".encode()
    assert rows_of(meant) == [(2, ("x", text))]


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (date(2026, 3, 1), "a date"),
        (datetime(2026, 3, 1, 12), "a date"),
        (time(12, 30), "a time"),
        (timedelta(hours=30), "a time"),
        (True, "“TRUE”"),
        (1.5, "trailing zeros"),
        (12345678901234567, "more than 15 digits"),
        ("=A1", "formula"),
    ],
)
def test_cell_of_a_workbook_that_is_no_code_is_refused(value: Any, says: str) -> None:
    assert says in refusal(workbook_of(["sku"], [value])).detail


def test_spoiled_texts_are_refused_in_codes_alone_but_errors_everywhere() -> None:
    assert rows_of(b"sku,name,at\nA,TRUE,2026-03-01\n") == [(2, ("A", "TRUE", "2026-03-01"))]
    assert "an error" in refusal(b"sku,name\nA,#N/A").detail
    for code in ("MAR-26", "1E5", "10-20-30", "A#1!", "#1", "true-1", "12:30-A"):
        assert rows_of(f"sku\n{code}".encode()) == [(2, (code,))]


def test_number_with_a_format_of_zeros_is_read_as_it_is_shown() -> None:
    shown = {"00000": "00123", "0": "123", "General": "123", "#,##0": "123", "0.00": "123", '"A-"0000': "A-0123"}
    shown |= {"00-00": "01-23", "00000;[Red]-00000": "00123", '0 "pcs"': "123"}
    book = Workbook()
    book.active.append(["sku"])
    for row, number_format in enumerate(shown, 2):
        cell = book.active.cell(row, 1, 123)
        cell.number_format = number_format
    stream = io.BytesIO()
    book.save(stream)
    assert [cells for _, cells in rows_of(stream.getvalue())] == [(text,) for text in shown.values()]


def test_codes_are_cleaned_and_invisible_characters_are_refused() -> None:
    assert rows_of("sku,name\n A\u00a0,x\u00a0y ".encode()) == [(2, ("A", "x y"))]
    assert "U+200B" in refusal("sku\nA\u200bB".encode()).detail
    assert "U+FFFE" in refusal("sku\nA\ufffe".encode()).detail
