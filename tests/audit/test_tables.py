"""Reading of tables in uploaded files."""

import io
import re
import unicodedata
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openpyxl import Workbook

from audit.console.exports import plain
from audit.console.imports import tables, workbook_reader
from audit.console.imports.tables import Unreadable, guarded, read_table, unguarded


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
        (b"sku,name\nA,\xff\n", 2, "UTF-8"),
        ("sku,name\nA,b".encode("utf-16"), 1, "UTF-8"),
        (b'sku,name\nA,"open\n', 2, "can't be read"),
        (b"sku,,name\n", 1, "without a name"),
        (b"sku,name,SKU\n", 1, "twice"),
        (b"sku,name\nA\n", 2, "has 1 cells"),
        (b"sku,name\nA,b,c\n", 2, "has 3 cells"),
        (b"\xd0\xcf\x11\xe0old", 1, "old kind"),
        (b"PK\x03\x04 broken", 1, "can't be read"),
        (workbook_of(["sku", "n"], ["A", "=1+1"]), 2, "formula"),
        (workbook_of(["sku", "n"], ["A", "#REF!"]), 2, "formula"),
        (workbook_of(["x"] * 60), 1, "columns"),
    ],
)
def test_what_is_no_table_says_why_and_where(content: bytes, row: int, says: str) -> None:
    refused = refusal(content)
    assert (refused.row, says in refused.detail) == (row, True), refused.detail


def test_formula_is_reported_with_its_cell() -> None:
    assert refusal(workbook_of(["sku", "n"], ["A", "=1+1"])).column == "B2"


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


def test_guard_takes_time_in_proportion_to_the_text() -> None:
    for unit in ("\n", " ", ";", "'", "; ", "\t'", "=;"):
        text = unit * 100_000
        assert unguarded(guarded(text)) == text


def test_header_of_many_names_is_refused_at_once() -> None:
    names = ",".join(f"c{number}" for number in range(24_000))
    assert "at most 50 columns" in refusal(names.encode()).detail
    formatted = ",".join(["sku", "name", *[""] * 70_000])
    assert rows_of(f"{formatted}\nA,b".encode()) == [(2, ("A", "b"))]


def test_reader_and_tables_agree_on_the_last_column() -> None:
    assert workbook_reader.MOST_COLUMNS == tables.MOST_COLUMNS
