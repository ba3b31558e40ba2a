"""Imports of stock changes from a file."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from audit.console.imports.tables import RowFault
from inventory.models import QUANTITY_LIMIT, Movement, StockLevel
from inventory.services.stock import imports
from inventory.services.stock.import_files import COLUMNS, read_file
from inventory.services.stock.imports import Imported, import_stock, plan_import
from tests.books import assert_books_balance
from tests.factories import (
    ACTOR,
    counters,
    hold,
    make_level,
    make_product,
    make_variant,
    make_warehouse,
    published,
    recorded,
)
from tests.inventory.import_files import HEADER, file_of, on_hand, places, run, sku

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("store")]


# ------------------------------------------------------------------------------------------------------------ the file


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("delimiter", [",", ";"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_commas_or_semicolons_with_or_without_a_mark(mark: bytes, delimiter: str, end: str) -> None:
    text = end.join([HEADER, "A-1,wh-001,5,RECEIPT,Lieferung größer,PO-1", ""]).replace(",", delimiter)
    file = read_file("f", mark + text.encode())
    assert file.bad == ()
    (line,) = file.lines
    assert (line.row, line.sku, line.warehouse, line.quantity) == (2, "A-1", "wh-001", 5)
    assert (line.type, line.reason, line.reference) == ("RECEIPT", "Lieferung größer", "PO-1")


def test_columns_in_any_order_spaces_blank_lines_and_quotes() -> None:
    header = " Reference ,REASON,type,quantity,warehouse,sku"
    file = file_of("", '"PO, 1","said ""so""", receipt , +5 ,wh-001, A-1', " , , , , , ", header=header)
    assert file.bad == ()
    (line,) = file.lines
    assert (line.row, line.sku, line.quantity, line.type) == (3, "A-1", 5, "RECEIPT")
    assert (line.reason, line.reference) == ('said "so"', "PO, 1")


def test_rows_are_counted_as_an_editor_does() -> None:
    file = file_of('A-1,wh-001,5,RECEIPT,"two\nlines",', "A-1,wh-001,x,RECEIPT,r,")
    assert places(file.bad) == [(2, "reason"), (4, "quantity")]


@pytest.mark.parametrize(
    ("content", "row", "says"),
    [
        (b"", 1, "is empty"),
        (b"sku,warehouse\n", 1, "header"),
        ((HEADER + ",cost\n").encode(), 1, "header"),
        (HEADER.encode() + b"\nA,wh-001,1,RECEIPT,r,\nA,wh-001,1,RECEIPT,\xc3\xa4\xff,", 3, "UTF-8"),
        (HEADER.encode() + b"\nA,wh-001,1,RECEIPT,r\n", 2, "has 5 cells, and the header has 6"),
        (HEADER.encode() + b'\nA,wh-001,1,RECEIPT,r,"open\n', 2, "can't be read"),
        (b"PK\x03\x04\x00\x00" * 10, 1, "workbook that can't be read"),
    ],
)
def test_what_is_no_such_file_says_why_and_where(content: bytes, row: int, says: str) -> None:
    file = read_file("f", content)
    assert [cell.row for cell in file.bad] == [row]
    assert says in file.bad[0].detail


@pytest.mark.parametrize(
    ("line", "column"),
    [
        (",wh-001,1,RECEIPT,r,", "sku"),
        ("x" * 65 + ",wh-001,1,RECEIPT,r,", "sku"),
        ("A,,1,RECEIPT,r,", "warehouse"),
        ("A,no code,1,RECEIPT,r,", "warehouse"),
        ("A,wh-001,,RECEIPT,r,", "quantity"),
        ("A,wh-001,1.5,RECEIPT,r,", "quantity"),
        ("A,wh-001,1e3,RECEIPT,r,", "quantity"),
        ("A,wh-001,٣,RECEIPT,r,", "quantity"),
        ("A,wh-001,0,ADJUSTMENT,r,", "quantity"),
        ("A,wh-001,-1,RECEIPT,r,", "quantity"),
        ("A,wh-001,-1,SHIPMENT,r,", "quantity"),
        ("A,wh-001,-1,RETURN,r,", "quantity"),
        ("A,wh-001,1000001,RECEIPT,r,", "quantity"),
        ("A,wh-001," + "9" * 5000 + ",RECEIPT,r,", "quantity"),
        ("A,wh-001,1,TRANSFER,r,", "type"),
        ("A,wh-001,1,RECEIPT,,", "reason"),
        ("A,wh-001,1,RECEIPT," + "x" * 501 + ",", "reason"),
        ("A,wh-001,1,RECEIPT,r," + "x" * 101, "reference"),
        ("A,wh-001,1,RECEIPT,r,a\tb", "reference"),
    ],
)
def test_a_bad_cell_is_reported_with_row_and_column(line: str, column: str) -> None:
    assert places(file_of("A,wh-001,1,RECEIPT,r,", line).bad) == [(3, column)]


def test_all_faults_are_returned_at_once() -> None:
    level = make_level(10)
    imported = run("A,wh-001,x,WRONG,,", f"{sku(level)},wh-001,1,RECEIPT,r,", "B,wh-404,1,RECEIPT,r,")
    assert places(imported.bad) == [
        (2, "reason"),
        (2, "type"),
        (2, "quantity"),
        (4, "sku"),
        (4, "warehouse"),
    ]
    assert (imported.applied, counters(level)) == (0, (10, 0))


def test_header_of_many_names_is_named_in_short() -> None:
    (fault,) = read_file("f.csv", ",".join(f"c{number}" for number in range(200)).encode()).bad
    assert fault.detail.startswith("the header is c0,c1,")
    assert len(fault.detail) < 700
    (twice,) = read_file("f.csv", ",".join([*COLUMNS, COLUMNS[0]]).encode()).bad
    assert (twice.column, twice.detail) == ("sku", "appears twice in the header")


def test_a_file_has_a_most_number_of_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inventory.services.stock.import_files.MOST_LINES", 2)
    lines = [f"A,wh-001,1,RECEIPT,r,{number}" for number in range(4)]
    assert file_of(*lines[:2]).bad == ()
    assert places(file_of(*lines).bad) == [(4, "")]


# -------------------------------------------------------------------------------------------------------- what it does


def test_lines_are_applied_as_adjustments_are() -> None:
    level, product = make_level(10), make_product(sku="NEW")
    variant = make_variant(product, sku="NEW-RED")
    make_warehouse("wh-002")
    imported = run(
        f"{sku(level)},wh-001,4,SHIPMENT,sold offline,SO-1",
        f"{sku(level)},wh-001,-1,ADJUSTMENT,broken,",
        f"{sku(level)},wh-001,2,RETURN,came back,R-1",
        "NEW,wh-002,7,RECEIPT,delivery,PO-1",
        "NEW-RED,wh-001,3,RECEIPT,delivery,PO-1",
    )
    assert imported == Imported(5, 0, ())
    assert (counters(level), on_hand(product, "wh-002"), on_hand(variant)) == ((7, 0), 7, 3)
    moved = Movement.objects.filter(level=level).order_by("id").values_list("type", "quantity", "reason", "reference")
    assert list(moved)[1:] == [
        ("RETURN", 2, "came back", "R-1"),
        ("SHIPMENT", -4, "sold offline", "SO-1"),
        ("ADJUSTMENT", -1, "broken", ""),
    ]
    entry = recorded("inventory_stock_adjusted")[-1]
    assert (entry.actor, entry.source) == ("tests", "command")
    of_variant = next(event for event in published("StockAdjustedEvent") if event.get("variantId") == str(variant.id))
    assert (of_variant["productId"], of_variant["newStock"]) == (str(product.id), 3)
    (summary,) = recorded("inventory_stock_imported")
    assert (summary.changes["file"], summary.changes["rows"]) == ("stock.csv", [2, 3, 4, 5, 6])
    assert_books_balance()


def test_all_lines_or_none() -> None:
    level, short = make_level(10), make_level(5)
    hold((short, 3))
    make_product(sku="NEW")
    lines = (
        f"{sku(level)},wh-001,1,RECEIPT,r,",
        f"{sku(short)},wh-001,3,SHIPMENT,r,",
        "NEW,wh-001,1,RECEIPT,r,",
        "NEW,wh-001,2,SHIPMENT,r,",
    )
    imported = run(*lines)
    assert imported.applied == 0
    assert [(cell.row, cell.column, cell.detail) for cell in imported.bad] == [
        (3, "quantity", "takes 3 away, 2 are free"),
        (5, "quantity", "takes 2 away, 1 are free"),
    ]
    assert (counters(level), counters(short)) == ((10, 0), (5, 3))
    assert not StockLevel.objects.filter(product__sku="NEW").exists()
    assert not recorded("inventory_stock_imported")


def test_skip_bad_applies_all_that_can_be() -> None:
    level, short = make_level(10), make_level(5)
    lines = (
        f"{sku(short)},wh-001,3,SHIPMENT,r,",
        f"{sku(level)},wh-001,nothing,RECEIPT,r,",
        f"{sku(short)},wh-001,3,SHIPMENT,r,again",
        f"{sku(short)},wh-001,2,SHIPMENT,r,",
        "NOBODY,wh-001,2,RECEIPT,r,",
        f"{sku(level)},wh-001,1,RECEIPT,r,",
    )
    imported = run(*lines, skip_bad=True)
    assert (imported.applied, places(imported.bad)) == (3, [(3, "quantity"), (4, "quantity"), (6, "sku")])
    assert (counters(level), counters(short)) == ((11, 0), (0, 0))
    assert recorded("inventory_stock_imported")[0].changes["rows"] == [2, 5, 7]
    assert_books_balance()


def test_additions_of_a_level_are_applied_first_wherever_they_are() -> None:
    product, other = make_product(sku="NEW"), make_product(sku="OTHER")
    make_warehouse()
    both = ((5, "SHIPMENT"), (6, "RECEIPT"))
    lines = [f"{name},wh-001,{n},{kind},r," for n, kind in both for name in ("NEW", "OTHER")]
    assert plan_import(ACTOR, file_of(*lines), skip_bad=False) == Imported(4, 0, ())
    assert run(*lines) == Imported(4, 0, ())
    assert (on_hand(product), on_hand(other)) == (1, 1)
    assert_books_balance()


def test_a_removal_makes_no_level() -> None:
    make_product(sku="NEW")
    make_warehouse()
    imported = run("NEW,wh-001,1,SHIPMENT,r,", skip_bad=True)
    assert (imported.applied, imported.bad[0].detail) == (0, "takes 1 away, 0 are free")
    assert not StockLevel.objects.exists()


def test_a_level_has_a_limit() -> None:
    level = make_level(10)
    StockLevel.objects.filter(pk=level.pk).update(on_hand=QUANTITY_LIMIT - 1)
    lines = [f"{sku(level)},wh-001,1,RECEIPT,r,{number}" for number in range(2)]
    assert places(run(*lines).bad) == [(3, "quantity")]
    assert run(*lines, skip_bad=True).applied == 1
    assert counters(level) == (QUANTITY_LIMIT, 0)


@pytest.mark.parametrize("skip_bad", [False, True])
def test_a_dry_run_says_the_same_and_writes_nothing(*, skip_bad: bool) -> None:
    level = make_level(5)
    make_product(sku="NEW")
    good = (f"{sku(level)},wh-001,5,SHIPMENT,r,", "NEW,wh-001,1,RECEIPT,r,")
    bad = (f"{sku(level)},wh-001,1,SHIPMENT,r,", "NEW,wh-001,1,WRONG,r,")
    for lines in (good, good + bad):
        file = file_of(*lines)
        with CaptureQueriesContext(connection) as queries:
            plan = plan_import(ACTOR, file, skip_bad=skip_bad)
        assert all(query["sql"].lstrip().upper().startswith("SELECT") for query in queries)
        assert counters(level) == (5, 0)
        assert not StockLevel.objects.filter(product__sku="NEW").exists()
        if lines == good + bad:
            assert import_stock(ACTOR, file, skip_bad=skip_bad) == plan
            assert (plan.applied, places(plan.bad)) == (2 if skip_bad else 0, [(4, "quantity"), (5, "type")])


# ------------------------------------------------------------------------------------------------------ only ever once


@pytest.mark.parametrize("skip_bad", [False, True])
def test_the_same_file_again_changes_nothing_whatever_its_name(*, skip_bad: bool) -> None:
    level = make_level(10)
    content = f"{HEADER}\n{sku(level)},wh-001,1,RECEIPT,r,\n{sku(level)},wh-001,1,RECEIPT,r,2\n".encode()
    first = import_stock(ACTOR, read_file("monday.csv", content), skip_bad=skip_bad)
    assert (first, counters(level)) == (Imported(2, 0, ()), (12, 0))
    for again in (skip_bad, not skip_bad):
        assert import_stock(ACTOR, read_file("copy.csv", content), skip_bad=again) == Imported(0, 2, ())
    assert plan_import(ACTOR, read_file("copy.csv", content), skip_bad=skip_bad) == Imported(0, 2, ())
    assert counters(level) == (12, 0)
    other = import_stock(ACTOR, read_file("monday.csv", content + b"\n"), skip_bad=skip_bad)
    assert (other, counters(level)) == (Imported(0, 2, ()), (12, 0))


def test_a_line_that_was_skipped_is_tried_again_and_no_other() -> None:
    level = make_level(10)
    lines = (f"{sku(level)},wh-001,1,RECEIPT,r,", "LATER,wh-001,3,RECEIPT,r,")
    assert run(*lines, skip_bad=True).applied == 1
    assert run(*lines, skip_bad=True) == Imported(0, 1, (RowFault(3, "sku", "there is no product LATER"),))
    product = make_product(sku="LATER")
    assert run(*lines) == Imported(1, 1, ())
    assert run(*lines) == Imported(0, 2, ())
    assert (counters(level), on_hand(product)) == ((11, 0), 3)
    assert [entry.changes["rows"] for entry in recorded("inventory_stock_imported")] == [[2], [3]]


@pytest.mark.parametrize("batch", [1, 2, 3, 7])
@pytest.mark.parametrize("skip_bad", [False, True])
def test_batches_change_nothing_but_the_number_of_statements(
    monkeypatch: pytest.MonkeyPatch, batch: int, *, skip_bad: bool
) -> None:
    levels = [make_level(10) for _ in range(3)]
    lines = [f"{sku(level)},wh-001,{n},{kind},r," for kind, n in (("SHIPMENT", 12), ("RECEIPT", 4)) for level in levels]
    monkeypatch.setattr(imports, "BATCH", batch)
    shown: list[int] = []
    assert run(*lines, skip_bad=skip_bad, progress=shown.append) == Imported(6, 0, ())
    assert {counters(level) for level in levels} == {(2, 0)}
    assert shown == [*range(batch, 6, batch), 6]
    assert run(*lines, skip_bad=skip_bad) == Imported(0, 6, ())
    assert_books_balance()


def test_the_number_of_statements_does_not_depend_on_the_number_of_lines() -> None:
    levels = [make_level(10) for _ in range(40)]
    counts = []
    for some in (levels[:2], levels):
        file = file_of(*(f"{sku(level)},wh-001,1,RECEIPT,r," for level in some))
        with CaptureQueriesContext(connection) as queries:
            import_stock(ACTOR, file)
        counts.append(len(queries))
    assert counts[0] == counts[1]
