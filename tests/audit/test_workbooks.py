"""Workbooks that explode, and innocent ones that are formatted to the end of the sheet."""

import io
import subprocess
import sys
import threading
import zipfile
from collections import Counter
from collections.abc import Iterable
from typing import Any

import pytest
from openpyxl import Workbook

from audit.console.imports import tables, workbook_reader, workbooks
from audit.console.imports.tables import letters_of, open_sheet
from tests.audit.test_tables import read_table, refusal, workbook_of

MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
SHEET = "xl/worksheets/sheet1.xml"
STRINGS = "xl/sharedStrings.xml"
HEADER = '<row r="1"><c r="A1" t="inlineStr"><is><t>sku</t></is></c></row>'
FIRST = '<row r="2"><c r="A2"><v>7</v></c></row>'


def with_parts(parts: dict[str, bytes], *rows: list[str]) -> bytes:
    """A workbook in which some parts are others."""
    types = f'<Override PartName="/{STRINGS}" ContentType="{workbooks_type("sharedStrings")}"/></Types>'
    stream = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(workbook_of(*rows))) as made,
        zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive,
    ):
        for name in {*made.namelist(), *parts}:
            content = parts[name] if name in parts else made.read(name)
            if name == "[Content_Types].xml" and STRINGS in parts:
                content = content.replace(b"</Types>", types.encode())
            archive.writestr(name, content)
    return stream.getvalue()


def workbooks_type(part: str) -> str:
    return f"application/vnd.openxmlformats-officedocument.spreadsheetml.{part}+xml"


def sheet(rows: Iterable[str], after: str = "") -> bytes:
    filled = "".join(rows)
    return f'<worksheet xmlns="{MAIN}"><sheetData>{filled}</sheetData>{after}</worksheet>'.encode()


def with_sheet(*rows: str, after: str = "") -> bytes:
    return with_parts({SHEET: sheet(rows, after)})


def letters(column: int) -> str:
    return letters_of(column - 1)


def styled(row: int, columns: int) -> str:
    cells = "".join(f'<c r="{letters(column)}{row}" s="0"/>' for column in range(1, columns + 1))
    return f'<row r="{row}" s="0" customFormat="1">{cells}</row>'


def entities() -> bytes:
    names = [f'<!ENTITY a{n} "{f"&a{n - 1};" * 10 if n else "ha" * 10}">' for n in range(9)]
    return f"<!DOCTYPE worksheet [{''.join(names)}]><worksheet xmlns='{MAIN}'>&a8;</worksheet>".encode()


def strings(text: str, times: int) -> bytes:
    return f'<sst xmlns="{MAIN}">{f"<si><t>{text}</t></si>" * times}</sst>'.encode()


def many_sheets(number: int, part: bytes, relations: int = 0, active: int = 0) -> dict[str, bytes]:
    """Sheets that share one part, which has relations."""
    namespace = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006/relationships"
    start = (
        f'<workbook xmlns="{MAIN}" xmlns:r="{namespace}"><bookViews><workbookView activeTab="{active}"/></bookViews>'
    )
    named = "".join(f'<sheet name="s{n}" sheetId="{n + 1}" r:id="r{n}"/>' for n in range(number))
    kind = f'Type="{namespace}/worksheet" Target="worksheets/sheet1.xml"'
    links = "".join(f'<Relationship Id="r{n}" {kind}/>' for n in range(number))
    more = "".join(f'<Relationship Id="q{n}" {kind}/>' for n in range(relations))
    return {
        "xl/workbook.xml": f"{start}<sheets>{named}</sheets></workbook>".encode(),
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{package}">{links}</Relationships>'.encode(),
        "xl/worksheets/_rels/sheet1.xml.rels": f'<Relationships xmlns="{package}">{more}</Relationships>'.encode(),
        SHEET: part,
    }


def shared_by_all_cells() -> bytes:
    row = "<row>" + '<c t="s"><v>0</v></c>' * 50 + "</row>"
    return with_parts({STRINGS: strings("x" * 30_000, 1), SHEET: sheet([row] * 1000)})


def lying_directory() -> bytes:
    """An archive whose directory says that the sheet has one byte."""
    content = bytearray(with_sheet(HEADER, FIRST, *(styled(row, 3) for row in range(3, 1000))))
    entry = content.rindex(SHEET.encode()) - 46
    assert content[entry : entry + 4] == b"PK\x01\x02"
    content[entry + 24 : entry + 28] = (1).to_bytes(4, "little")
    return bytes(content)


def nested() -> bytes:
    """An archive in an archive, in place of the sheet."""
    return with_parts({SHEET: with_parts({SHEET: b"<a/>" * 1_000_000})})


EXPLOSIVE = {
    "cells": (
        lambda: with_sheet("<row>" + "<c/>" * 16_384 + "</row>", *(["<row>" + "<c/>" * 16_000 + "</row>"] * 80)),
        "large",
    ),
    "one row": (lambda: with_sheet("<row>" + "<c/>" * 500_000 + "</row>"), "large"),
    "shared strings": (lambda: with_parts({STRINGS: strings("x", 1_000_000)}), "large"),
    "one string in all cells": (shared_by_all_cells, "large"),
    "zip bomb": (lambda: with_parts({SHEET: b"<a>" + b" " * (140 << 20)}), "large"),
    "part beside the sheet": (lambda: with_parts({"xl/other.xml": b"<a>" + b"<b/>" * 200_000}), "large"),
    "styles": (
        lambda: with_parts({"xl/styles.xml": f'<styleSheet xmlns="{MAIN}"><cellXfs>'.encode() + b"<xf/>" * 200_000}),
        "large",
    ),
    "sheets": (
        lambda: with_parts({"xl/workbook.xml": f'<workbook xmlns="{MAIN}"><sheets>'.encode() + b"<sheet/>" * 300}),
        "large",
    ),
    "names": (lambda: with_parts({SHEET: b"<a>" + b"".join(b"<a%d/>" % n for n in range(3000))}), "large"),
    "depth": (lambda: with_parts({SHEET: b"<a>" * 100_000}), "large"),
    "one tag": (lambda: with_parts({SHEET: b'<worksheet a="' + b"a" * (20 << 20)}), "large"),
    "comment": (lambda: with_parts({SHEET: b"<worksheet><!--" + b"a" * (20 << 20)}), "large"),
    "merged cells": (
        lambda: with_sheet(HEADER, after="<mergeCells>" + '<mergeCell ref="A1:B2"/>' * 200_000 + "</mergeCells>"),
        "large",
    ),
    "parts": (lambda: with_parts({f"xl/p{n}": b"" for n in range(3000)}), "large"),
    "entities": (lambda: with_parts({SHEET: entities()}), "broken"),
    "lying directory": (lying_directory, "broken"),
    "nested archive": (nested, "broken"),
    "value in the last column": (
        lambda: with_sheet(HEADER, FIRST, '<row r="3"><c r="XFD3"><v>1</v></c></row>'),
        "columns",
    ),
    "value in the last row": (
        lambda: with_sheet(HEADER, '<row r="1048576"><c r="A1048576"><v>1</v></c></row>'),
        "rows",
    ),
    "digits": (lambda: with_sheet(HEADER, f'<row r="2"><c r="A2"><v>{"9" * 1_000_000}</v></c></row>'), "broken"),
}


@pytest.mark.parametrize("case", EXPLOSIVE)
def test_workbook_that_explodes_is_refused(case: str) -> None:
    make, code = EXPLOSIVE[case]
    content = make()
    assert len(content) <= 2**20
    answer = workbooks._answer(content, 5000)
    assert (answer.refusal, answer.rows) == (code, [])


INNOCENT = {
    "every column": lambda: with_sheet(HEADER, FIRST, *(styled(row, 16_384) for row in range(3, 13))),
    "last column alone": lambda: with_sheet(
        HEADER, FIRST, *(f'<row r="{r}"><c r="XFD{r}" s="0"/></row>' for r in range(3, 9))
    ),
    "last row": lambda: with_sheet(HEADER, FIRST, styled(1_048_576, 2)),
    "every row": lambda: with_sheet(HEADER, FIRST, '<row s="0" customFormat="1"/>' * 200_000),
    "merged": lambda: with_sheet(HEADER, FIRST, after='<mergeCells><mergeCell ref="A3:XFD1048576"/></mergeCells>'),
    "columns": lambda: with_sheet(HEADER, FIRST, after='<cols><col min="1" max="16384" width="9"/></cols>'),
    "wrong dimension": lambda: with_parts(
        {SHEET: sheet([HEADER, FIRST]).replace(b"<sheetData>", b'<dimension ref="A1:XFD1048576"/><sheetData>')}
    ),
}


def test_sheets_that_share_a_part_cost_no_more_than_one(monkeypatch: pytest.MonkeyPatch) -> None:
    content = with_parts(many_sheets(200, sheet([HEADER, FIRST]), relations=10, active=199))
    unpacked = Counter[str]()
    unpack = zipfile.ZipFile.open

    def counting(archive: zipfile.ZipFile, name: Any, *more: Any, **fields: Any) -> Any:
        unpacked[getattr(name, "filename", name)] += 1
        return unpack(archive, name, *more, **fields)

    monkeypatch.setattr(zipfile.ZipFile, "open", counting)
    rows = workbook_reader.read(content, 5000)
    assert [(number, cells) for number, cells, _ in rows] == [(1, ["sku"]), (2, ["7"])]
    assert unpacked[SHEET] == 2  # By the scan, and for its rows.
    assert max(unpacked.values()) == 2


def test_sheet_that_was_shown_last_is_read() -> None:
    book = Workbook()
    book.active.append(["first"])
    book.create_sheet("second").append(["second"])
    book.create_chartsheet("third")
    stream = io.BytesIO()
    for active, header in enumerate([("first",), ("second",)]):
        book.active = active
        book.save(stream)
        assert open_sheet(stream.getvalue(), ()).titles == header
    book.active = 2
    book.save(stream := io.BytesIO())
    assert "read" in refusal(stream.getvalue()).detail


@pytest.mark.parametrize("case", INNOCENT)
def test_workbook_formatted_to_the_end_is_read(case: str) -> None:
    table = read_table(INNOCENT[case]())
    assert (table.header, [(row.number, row.cells) for row in table.rows]) == (("sku",), [(2, ("7",))])


def test_largest_table_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "MOST_ROWS", 5000)
    rows = [["sku", "name"], *([f"{number}", f"text {number}"] for number in range(5000))]
    assert len(read_table(workbook_of(*rows)).rows) == 5000
    assert "at most 5000 rows" in refusal(workbook_of(*rows, ["one more"])).detail


def test_reader_gets_no_environment_and_little_memory() -> None:
    """The limits hold where the scan was mistaken."""
    script = "import os, runpy, sys; sys.argv = ['r', '1', str(os.getppid())]; "
    script += f"runpy.run_path({workbooks._READER!r}, run_name='__main__'); "
    script += "print(dict(os.environ).keys() - {'LC_CTYPE'}); bytearray(600 << 20)"
    ended = subprocess.run([sys.executable, "-I", "-c", script], input=b"", capture_output=True, env={}, check=False)
    assert ended.returncode == 1
    assert b"MemoryError" in ended.stderr
    assert b"set()" in ended.stdout


def test_reader_that_takes_too_long_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workbooks, "MOST_SECONDS", 0.001)
    assert "takes too long" in refusal(workbook_of(["sku"])).detail


def test_reader_that_dies_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    monkeypatch.setattr(workbooks, "_READER", f"{tmp_path}/missing.py")
    assert "too large" in refusal(workbook_of(["sku"])).detail


def test_server_runs_few_readers_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workbooks, "MOST_WAITING_SECONDS", 0.01)
    monkeypatch.setattr(workbooks, "_readers", threading.BoundedSemaphore(1))
    assert read_table(workbook_of(["sku"])).header == ("sku",)
    with workbooks._readers:
        assert "while others" in refusal(workbook_of(["sku"])).detail
    assert read_table(workbook_of(["sku"])).header == ("sku",)
