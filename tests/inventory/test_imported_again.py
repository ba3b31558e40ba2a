"""Lines that were booked before, in whatever file they are, and files that the command reads as the console does."""

import io
from pathlib import Path

import msgspec
import pytest
from openpyxl import Workbook

from audit.idempotency import Claim, StoredAnswer
from inventory.errors import InsufficientStock
from inventory.models import Product, StockDocument
from inventory.services.stock.adjustments import Adjustment, AdjustRequest, apply_adjustments
from inventory.services.stock.documents import movements_of
from inventory.services.stock.import_files import COLUMNS, read_file
from inventory.services.stock.import_history import EVERY_ROW
from inventory.services.stock.imports import Imported, foresee_import, import_stock, plan_import
from inventory.services.stock.reversing import ReverseRequest, reverse_document
from reservations.services.holds.resolution import ReleaseRequest, release_hold
from reservations.services.holds.selecting import Selector
from tests.books import assert_books_balance
from tests.factories import ACTOR, counters, hold, make_level, make_product, recorded
from tests.inventory.import_files import HEADER, command, places, sku

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("store")]


def saved_again(content: bytes, kind: str) -> bytes:
    """The file as a spreadsheet saves it: other bytes, the same rows."""
    rows = [line.split(",") for line in content.decode().splitlines()]
    if kind == "windows":
        return b"sep=;\r\n" + "".join(";".join([*row, "", ""]) + "\r\n" for row in rows).encode("cp1252")
    if kind == "tabs":
        return "".join("\t".join(reversed(row)) + "\n" for row in rows).encode("utf-16")
    book = Workbook()
    book.active.append(["Deliveries of Monday"])
    for row in rows:
        book.active.append([int(cell) if cell.isdigit() and cell == str(int(cell)) else cell for cell in row])
    stream = io.BytesIO()
    book.save(stream)
    return stream.getvalue()


def receipts(*lines: str) -> bytes:
    return "\n".join([HEADER, *lines, ""]).encode()


@pytest.mark.parametrize("kind", ["windows", "tabs", "xlsx"])
def test_file_that_a_spreadsheet_saved_again_is_not_booked_again(kind: str) -> None:
    level = make_level(10)
    content = receipts(
        f"{sku(level)},wh-001,5,RECEIPT,Lieferung groß,PO-1",
        f"{sku(level)},wh-001,2,SHIPMENT,sold,",
        f"{sku(level)},wh-001,3,RECEIPT,delivery,",
    )
    assert import_stock(ACTOR, read_file("monday.csv", content)) == Imported(3, 0, ())
    again = read_file(f"monday.{kind}", saved_again(content, kind))
    assert (again.bad, len(again.lines)) == ((), 3)
    for done in (plan_import(ACTOR, again, skip_bad=False), import_stock(ACTOR, again)):
        assert done == Imported(0, 3, ())
        assert [fault.row for fault in done.repeated] == [line.row for line in again.lines]
        assert "was booked before, on" in done.repeated[0].detail
        assert "by tests" in done.repeated[0].detail
    assert counters(level) == (16, 0)
    forecast = foresee_import(ACTOR, again)
    assert ([line for line, _ in forecast.booked], forecast.effects) == (list(again.lines), ())
    assert import_stock(ACTOR, again, again={again.lines[0].row}) == Imported(1, 2, ())
    assert counters(level) == (21, 0)
    assert_books_balance()


def test_new_lines_beside_known_ones_are_booked() -> None:
    level = make_level(10)
    known = f"{sku(level)},wh-001,5,RECEIPT,r,PO-1"
    import_stock(ACTOR, read_file("a", receipts(known)))
    others = (
        f"{sku(level)},wh-001,6,RECEIPT,r,PO-1",
        f"{sku(level)},wh-001,5,RECEIPT,r,PO-2",
        f"{sku(level)},wh-001,5,RETURN,r,PO-1",
        f"{sku(level)},wh-001,5,RECEIPT,r,",
    )
    done = import_stock(ACTOR, read_file("b", receipts(known.replace(",r,", ",another reason,"), *others)))
    assert (done, counters(level)) == (Imported(4, 1, ()), (36, 0))


def test_what_was_booked_by_hand_is_known_by_its_reference_alone() -> None:
    level = make_level(10)
    for reference in ("DN-1", ""):
        line = Adjustment(level.product_id, None, "wh-001", 5, "RECEIPT", "delivery", reference)
        apply_adjustments(AdjustRequest(ACTOR, (line,)))
    file = read_file("a", receipts(*(f"{sku(level)},wh-001,5,RECEIPT,r,{reference}" for reference in ("DN-1", ""))))
    done = import_stock(ACTOR, file)
    assert (done, [fault.row for fault in done.repeated], counters(level)) == (Imported(1, 1, ()), [2], (25, 0))


def claim(key: str = "k") -> Claim:
    return Claim(Product.objects.get().pk, key, b"print", lambda done: StoredAnswer(200, str(done.applied).encode()))


def test_line_that_is_booked_again_on_purpose_is_booked_once_for_a_claim() -> None:
    level = make_level(10)
    file = read_file("a", receipts(f"{sku(level)},wh-001,5,RECEIPT,r,PO-1"))
    assert import_stock(ACTOR, file, claim=claim("1")) == Imported(1, 0, ())
    assert import_stock(ACTOR, file, again=EVERY_ROW, claim=claim("2")) == Imported(1, 0, ())
    assert import_stock(ACTOR, file, again=EVERY_ROW, claim=claim("2")) == StoredAnswer(200, b"1")
    assert counters(level) == (20, 0)
    assert [entry.changes["rows"] for entry in recorded("inventory_stock_imported")] == [[2], [2]]


def test_number_of_statements_does_not_depend_on_what_was_booked(django_assert_max_num_queries: object) -> None:
    levels = [make_level(10) for _ in range(20)]
    content = receipts(*(f"{sku(level)},wh-001,5,RECEIPT,r,PO-{n % 3}" for n, level in enumerate(levels)))
    import_stock(ACTOR, read_file("a", content))
    with django_assert_max_num_queries(8):  # type: ignore[operator]
        assert plan_import(ACTOR, read_file("b", content + b"\n"), skip_bad=False).before == 20


def test_rows_that_say_the_same_are_refused_by_the_command_as_by_the_console() -> None:
    level = make_level(10)
    line = f"{sku(level)},wh-001,5,RECEIPT,r,PO-1"
    file = read_file("a", receipts(line, line, line.lower().replace("receipt", "RECEIPT").replace("po-1", "PO-1")))
    assert places(file.bad) == [(3, ""), (4, "")]
    assert "the same as row 2" in file.bad[0].detail


def test_sku_is_found_without_regard_to_case_and_asked_for_if_it_is_two() -> None:
    level = make_level(10)
    make_product(sku="twin")
    Product.objects.filter(sku="twin").update(sku="TWIN", sku_twin=1)
    make_product(sku="twin")
    lines = (f"{sku(level).lower()},wh-001,5,RECEIPT,r,PO-1", "Twin,wh-001,2,RECEIPT,r,", "twin,wh-001,1,RECEIPT,r,")
    file = read_file("a", receipts(*lines))
    (fault,) = import_stock(ACTOR, file).bad  # type: ignore[union-attr]
    assert (fault.row, fault.column) == (3, "sku")
    assert "several products: TWIN, twin." in fault.detail
    done = import_stock(ACTOR, file, skip_bad=True)
    assert (done.applied, counters(level)) == (2, (15, 0))  # type: ignore[union-attr]


# ----------------------------------------------------------------------------------------------------- the command


def test_the_command_lists_what_was_booked_and_books_it_if_told(tmp_path: Path) -> None:
    level = make_level(10)
    path, other = tmp_path / "monday.csv", tmp_path / "monday.xlsx"
    content = receipts(f"{sku(level)},wh-001,5,RECEIPT,r,PO-1", f"{sku(level)},wh-001,1,RECEIPT,r,")
    path.write_bytes(content)
    other.write_bytes(saved_again(content, "xlsx"))
    assert command(str(path)) == (0, "2 lines applied.\n", "")
    for arguments in ([str(other), "--dry-run"], [str(other)]):
        status, out, errors = command(*arguments)
        assert (status, out.partition(" lines")[0], "2 imported before" in out) == (0, "0", True)
        assert [line.partition(" ")[0] for line in errors.splitlines()] == [f"{other}:3", f"{other}:4"]
        assert "left out (--again applies it)" in errors
    assert counters(level) == (16, 0)
    assert command(str(other), "--again") == (0, "2 lines applied.\n", "")
    assert counters(level) == (22, 0)
    assert command(str(other), "--again", "--skip-bad")[0] == 2


def test_the_command_maps_the_columns_of_another_system(tmp_path: Path) -> None:
    level = make_level(10)
    path = tmp_path / "shop.csv"
    path.write_text(f"Handle;Variant SKU;Cost;Qty\nlamp;{sku(level)};1,50;4\n")
    status, out, errors = command(str(path))
    assert (status, out.partition(",")[0]) == (1, "0 lines applied")
    assert "the header is Handle,Variant SKU,Cost,Qty" in errors
    constants = [f"--set={pair}" for pair in ("warehouse=wh-001", "type=RECEIPT", "reason=first stock")]
    mapped = [str(path), "--map=Variant SKU=sku", "--map=Qty=quantity"]
    assert command(*mapped, *constants) == (0, "1 lines applied.\n", "")
    assert counters(level) == (14, 0)
    assert command(*mapped)[0] == 1
    for wrong in ("--map=Qty=units", "--map=quantity", "--set=units=3"):
        assert command(str(path), wrong)[0] == 2
    assert "is not in the header" in command(str(path), "--map=SKU=sku")[2]


def test_workbook_of_the_command_obeys_the_rules_of_codes(tmp_path: Path) -> None:
    make_level(10)
    book = Workbook()
    book.active.append([*COLUMNS, None])
    book.active.append([4.00638e12 + 0.5, "wh-001", 1, "RECEIPT", "r", "PO"])
    book.active.append(["#N/A", "wh-001", 1, "RECEIPT", "r", True])
    path = tmp_path / "a.xlsx"
    book.save(path)
    status, _, errors = command(str(path))
    assert status == 1
    assert [line.split(" ")[0:3] for line in errors.splitlines()] == [
        [f"{path}:2", "sku", "A2"],
        [f"{path}:3", "sku", "A3"],
        [f"{path}:3", "reference", "F3"],
    ]


# ----------------------------------------------------------------------------------------------- documents, reversals

CLERK = msgspec.structs.replace(ACTOR, name="clerk", source="admin")


def reversed_by_hand(document: StockDocument) -> StockDocument:
    reverse_document(ReverseRequest(CLERK, document.pk, "posted by mistake"))
    return StockDocument.objects.get(reverses=document)


def test_file_imported_by_hand_is_a_document_and_its_rows_can_be_imported_after_its_reversal() -> None:
    first, second = make_level(10), make_level(10)
    content = receipts(
        f"{sku(first)},wh-001,5,RECEIPT,r,PO-1",
        f"{sku(second)},wh-001,3,RECEIPT,r,",
        f"{sku(first)},wh-001,1,RETURN,r,",
    )
    file = read_file("monday.csv", content)
    assert import_stock(CLERK, file).document == str(StockDocument.objects.get())  # type: ignore[union-attr]
    document = StockDocument.objects.get()
    assert (document.kind, document.file_name, document.file_id, document.reason) == ("AD", "monday.csv", file.id, "r")
    assert list(movements_of(document).values_list("quantity", flat=True)) == [5, 1, 3]
    assert import_stock(CLERK, file) == Imported(0, 3, ())
    reversal = reversed_by_hand(document)
    assert (counters(first), counters(second)) == ((10, 0), (10, 0))
    again = read_file("tuesday.xlsx", saved_again(content, "xlsx"))
    for known in (file, again):
        forecast = foresee_import(CLERK, known)
        assert (forecast.booked, len(forecast.effects)) == ((), 3)
        assert [fault.row for fault in forecast.restored] == [line.row for line in known.lines]
        assert f"and reversed by {reversal}" in forecast.restored[0].detail
        assert plan_import(CLERK, known, skip_bad=False).restored == forecast.restored
    assert import_stock(CLERK, again) == Imported(3, 0, ())
    assert foresee_import(CLERK, file).effects == ()  # Booked by the other file, and not reversed.
    assert import_stock(CLERK, file) == Imported(0, 3, ())
    assert (counters(first), counters(second)) == ((16, 0), (13, 0))
    assert_books_balance()


def test_each_booking_of_a_file_is_a_document_of_its_own_and_one_that_stands_counts() -> None:
    level = make_level(10)
    file = read_file("a", receipts(f"{sku(level)},wh-001,5,RECEIPT,r,PO-1", f"{sku(level)},wh-001,2,RECEIPT,r,PO-2"))
    import_stock(CLERK, file)
    import_stock(CLERK, file, again={2}, claim=claim())
    first, second = StockDocument.objects.order_by("number")
    assert (first.kind, second.kind, second.reference) == ("RC", "RC", "PO-1")
    reversed_by_hand(first)
    assert counters(level) == (15, 0)
    assert import_stock(CLERK, file) == Imported(1, 1, ())
    assert counters(level) == (17, 0)
    reversed_by_hand(second)
    assert import_stock(CLERK, file) == Imported(1, 1, ())
    assert_books_balance()


def test_reversal_of_a_correction_is_no_booking_of_the_opposite_row() -> None:
    level = make_level(10)
    posted = AdjustRequest(CLERK, (Adjustment(level.product_id, None, "wh-001", 4, "ADJUSTMENT", "found", "T-1"),))
    apply_adjustments(posted)
    reversed_by_hand(StockDocument.objects.get())
    for units in (-4, 4):
        done = import_stock(ACTOR, read_file("a", receipts(f"{sku(level)},wh-001,{units},ADJUSTMENT,r,T-1")))
        assert (done, len(done.restored)) == (Imported(1, 0, ()), int(units > 0))  # type: ignore[union-attr]


def test_file_of_which_units_are_gone_is_not_reversed_and_a_large_one_is_in_pieces(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("inventory.services.stock.adjustments.MOST_ROWS", 2)
    level, other = make_level(5), make_level(1)
    content = receipts(
        *(f"{sku(other)},wh-001,{units},RECEIPT,r,PO" for units in (3, 4, 6)),
        *(f"{sku(level)},wh-001,{units},ADJUSTMENT,r,PO" for units in (2, -7)),
    )
    import_stock(CLERK, read_file("a", content))
    document = StockDocument.objects.get()
    shopper = hold((other, 2))
    with pytest.raises(InsufficientStock):
        reversed_by_hand(document)
    assert (counters(level), counters(other)) == ((0, 0), (14, 2))
    release_hold(ReleaseRequest(ACTOR, Selector(reservation_id=shopper.id)))
    reversed_by_hand(document)
    assert (counters(level), counters(other)) == ((5, 0), (1, 0))
    assert_books_balance()


def test_command_says_what_it_applies_after_a_reversal(tmp_path: Path) -> None:
    level = make_level(10)
    content = receipts(f"{sku(level)},wh-001,5,RECEIPT,r,PO-1")
    import_stock(CLERK, read_file("a", content))
    reversal = reversed_by_hand(StockDocument.objects.get())
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    for arguments, verb in ([str(path), "--dry-run"], "would be applied"), ([str(path)], "applied"):
        status, out, errors = command(*arguments)
        assert (status, out) == (0, f"1 lines {verb}.\n")
        assert f"{path}:2 was booked on" in errors
        assert f"reversed by {reversal}: applied again" in errors
    assert (counters(level), StockDocument.objects.count()) == ((15, 0), 2)
