"""Lines that were booked before, in whatever file they are, and files that the command reads as the console does."""

import io
from pathlib import Path

import pytest
from openpyxl import Workbook

from audit.idempotency import Claim, StoredAnswer
from inventory.models import Product
from inventory.services.stock.adjustments import Adjustment, AdjustRequest, apply_adjustments
from inventory.services.stock.import_files import COLUMNS, read_file
from inventory.services.stock.import_history import EVERY_ROW
from inventory.services.stock.imports import Imported, foresee_import, import_stock, plan_import
from tests.books import assert_books_balance
from tests.factories import ACTOR, counters, make_level, make_product, recorded
from tests.inventory.test_imports import HEADER, command, places, sku

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
