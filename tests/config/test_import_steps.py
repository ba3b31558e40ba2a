"""Steps of an import: columns of other systems, rows booked before, work in the background."""

import re
from contextlib import nullcontext
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from audit.console.imports import page, tasks
from audit.models import FileImport, RememberedColumns
from config import bodies
from inventory.models import Movement, Product, StockDocument
from inventory.services.stock.import_files import read_file
from inventory.services.stock.imports import import_stock
from tests.books import assert_books_balance
from tests.config.test_import_pages import BOOKINGS, LINES, PRODUCTS, SETTINGS, confirm, faults, look, shown
from tests.factories import ACTOR, counters, hold, make_level, make_product
from tests.inventory.test_imported_again import saved_again
from tests.staff import browser_of, make_staff

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("store")]


def dialog(answer: Any) -> Any:
    return answer.context["dialog"]


def taken(answer: Any) -> dict[str, str]:
    """The columns that are proposed, by title."""
    return {column.title: column.field for column in dialog(answer).mapping.columns if column.field}


def send_columns(browser: Client, url: str, asked: Any, **given: str) -> Any:
    """Send the step of columns as it is proposed, with changes."""
    assert dialog(asked).step == "columns"
    fields = {f"column-{column.index}": column.field for column in dialog(asked).mapping.columns}
    return browser.post(url, {"do": "columns", "plan": dialog(asked).sealed, **fields, **given})


# ------------------------------------------------------------------------------------------------- columns of others

SHOPIFY = """Handle,Title,Body (HTML),Option1 Value,Variant SKU,Variant Price,Variant Barcode,Image Src,Status
lamp,Lamp,"<p>Nice,
really</p>",Red,LAMP-R,"19,90",4006381333931,https://x/1.png,active
lamp,,,Blue,LAMP-B,19.90,,,
lamp,,,,,,,https://x/2.png,
old,Old lamp,,Default Title,OLD,5.00,'0012,,archived
"""
WOO = """ID,Type,SKU,"GTIN, UPC, EAN, or ISBN",Name,Published,"Visibility in catalog",Stock,"In stock?",Parent
1,variable,SHIRT,,Shirt,1,visible,,1,
2,variation,SHIRT-S,4006381333931,Shirt small,0,visible,4,1,SHIRT
3,simple,,,Draft,-1,visible,,0,
"""
ODOO = "Internal Reference;Name;Barcode;Active;Sales Price\nA-1;Größe;;True;1,50\nA-2;Zwei;;False;2,50\n"
ERPNEXT = "ID,Item Code,Item Name,Item Group,Disabled,Variant Of\nX,A-1,One,Lamps,0,\nY,A-2,Two,Lamps,1,\n"


@pytest.mark.parametrize(
    ("name", "text", "rows"),
    [
        ("Shopify", SHOPIFY, {"LAMP-R": ("Lamp", True), "LAMP-B": ("Lamp", True), "OLD": ("Old lamp", False)}),
        ("WooCommerce", WOO, {"SHIRT": ("Shirt", True), "SHIRT-S": ("Shirt small", False)}),
        ("Odoo", ODOO, {"A-1": ("Größe", True), "A-2": ("Zwei", False)}),
        ("ERPNext", ERPNEXT, {"A-1": ("One", True), "A-2": ("Two", False)}),
    ],
)
def test_products_of_other_systems_are_recognised_and_proposed(
    manager: Client, name: str, text: str, rows: dict[str, tuple[str, bool]]
) -> None:
    asked = look(manager, PRODUCTS, content=text.encode())
    assert f"looks like a file of {name}" in asked.content.decode()
    assert {"sku", "name", "active"} <= set(taken(asked).values())
    looked = send_columns(manager, PRODUCTS, asked)
    assert dialog(looked).step == "preview", dialog(looked).preview
    confirm(manager, looked, PRODUCTS)
    assert {product.sku: (product.name, product.is_active) for product in Product.objects.all()} == rows
    if name == "Shopify":
        assert Product.objects.get(sku="OLD").barcode == "0012"
    if name == "WooCommerce":
        assert Product.objects.get(sku="SHIRT-S").parent == Product.objects.get(sku="SHIRT")


def test_stock_of_another_system_gets_what_it_lacks_for_all_rows(manager: Client) -> None:
    level = make_level(10)
    text = f"Product/Internal Reference;Location;Quantity;Cost\n{level.product.sku};WH/Stock;5,00;1,50\n"
    asked = look(manager, BOOKINGS, content=text.encode("utf-16"))
    assert taken(asked) == {
        "Product/Internal Reference": "sku",
        "Location": "warehouse",
        "Quantity": "quantity",
    }
    assert "Its quantities are totals" in asked.content.decode()
    lacking = send_columns(manager, BOOKINGS, asked, **{"column-1": "", "constant-warehouse": "wh-001"})
    assert (lacking.status_code, dialog(lacking).step) == (422, "columns")
    assert [fault.column for fault in dialog(lacking).preview.faults] == ["Type", "Reason"]
    given = {"constant-type": "RECEIPT", "constant-reason": "first stock"}
    looked = send_columns(manager, BOOKINGS, lacking, **{"constant-warehouse": "wh-001"}, **given)
    assert "1 row booked." in confirm(manager, looked, BOOKINGS).content.decode()
    assert counters(level) == (15, 0)
    assert Movement.objects.filter(reason="first stock", quantity=5).count() == 1


def test_units_of_another_system_with_three_zeros_behind_a_sign_are_refused(manager: Client) -> None:
    """They are one unit in some countries and a thousand in others."""
    sku = make_level(10).product.sku
    typed = ("1.000", "12,000", "5.0", "6,000000")
    rows = "".join(f"{sku};WH/Stock;{units}\n" for units in typed)
    asked = look(manager, BOOKINGS, content=f"Product/Internal Reference;Location;Quantity\n{rows}".encode())
    given = {
        "column-1": "",
        "constant-warehouse": "wh-001",
        "constant-type": "RECEIPT",
        "constant-reason": "first stock",
    }
    faults = dialog(send_columns(manager, BOOKINGS, asked, **given)).preview.faults
    assert [(fault.row, fault.detail.partition("”")[0]) for fault in faults] == [(2, "“1.000"), (3, "“12,000")]


def test_columns_are_mapped_by_hand_and_remembered_for_the_same_person(manager: Client) -> None:
    level = make_level(1, reorder_point=5)
    lines = ("Artikel;Lager;Meldebestand;Preis", f"{level.product.sku.lower()};wh-001;{{}};1,50")
    asked = look(manager, SETTINGS, lines[0], lines[1].format(7))
    assert (taken(asked), dialog(asked).mapping.columns[2].examples) == ({}, ["7"])
    twice = send_columns(manager, SETTINGS, asked, **{"column-0": "sku", "column-1": "sku", "column-2": "zone"})
    fault = dialog(twice).preview.faults[0]
    assert (fault.column, fault.detail) == ("SKU", "is taken from two columns")
    chosen = {"column-0": "sku", "column-1": "warehouse", "column-2": "reorder_point", "column-3": "no such"}
    looked = send_columns(manager, SETTINGS, twice, **chosen)
    assert shown(looked) == [(2, f"{level.product.sku}, wh-001", [("Reorder point", "5", "7")])]
    again = look(manager, SETTINGS, lines[0].upper(), lines[1].format(8))
    assert shown(again)[0][2] == [("Reorder point", "5", "8")]
    changed = manager.post(SETTINGS, {"do": "ask", "plan": dialog(again).sealed})
    assert taken(changed) == {"ARTIKEL": "sku", "LAGER": "warehouse", "MELDEBESTAND": "reorder_point"}
    looked = send_columns(manager, SETTINGS, changed, **{"column-2": "reorder_quantity"})
    confirm(manager, looked, SETTINGS)
    level.refresh_from_db()
    assert (level.reorder_point, level.reorder_quantity) == (5, 8)
    assert RememberedColumns.objects.get().user.username == "mia"
    other = browser_of(make_staff("manager"))
    assert dialog(look(other, SETTINGS, lines[0], lines[1].format(9))).step == "columns"
    stolen = other.post(SETTINGS, {"do": "columns", "plan": dialog(asked).sealed})
    assert stolen.status_code == 422


def test_header_and_values_with_hostile_characters_are_shown_and_no_500(manager: Client) -> None:
    asked = look(manager, SETTINGS, content=b"ab\0;\x1bc;d\na\0;\x07;\xf0\x9f\x98\x80\n")
    assert [column.title for column in dialog(asked).mapping.columns] == ["ab", "c", "d"]
    answer = send_columns(manager, SETTINGS, asked, **{"column-0": "sku", "constant-warehouse": "wh\u200b-001\x07"})
    assert faults(answer) == [(2, "sku")]


def test_preview_names_a_guessed_encoding(manager: Client) -> None:
    looked = look(manager, PRODUCTS, content="sku;name\nA;Größe".encode("cp1252"))
    assert "read as Windows-1252" in dialog(looked).preview.notes[0]
    assert ("Name", "–", "Größe") in shown(looked)[0][2]
    assert dialog(look(manager, PRODUCTS, content="sku;name\nA;Größe".encode())).preview.notes == []


# ------------------------------------------------------------------------------------------------- rows booked before


def test_rows_booked_before_are_named_and_left_out_unless_ticked(manager: Client) -> None:
    level = make_level(10)
    sku = level.product.sku
    known = f"{LINES}\n{sku},wh-001,5,RECEIPT,r,PO-1\n{sku},wh-001,2,RECEIPT,r,\n".encode()
    import_stock(ACTOR, read_file("monday.csv", known))
    more = known + f"{sku},wh-001,9,RECEIPT,r,PO-9\n".encode()
    looked = look(manager, BOOKINGS, content=saved_again(more, "xlsx"))
    assert [(row.row, row.name) for row in dialog(looked).preview.booked] == [
        (3, f"{sku}, wh-001"),
        (4, f"{sku}, wh-001"),
    ]
    assert "was booked before, on" in looked.content.decode()
    assert shown(looked) == [(5, f"{sku}, wh-001", [("On hand", "17", "26")])]
    plan = dialog(looked).sealed
    for _ in range(2):
        again = ["4", "9" * 5000, "x", ""]
        answer = manager.post(BOOKINGS, {"do": "import", "plan": plan, "again": again}, follow=True)
    assert "Nothing was booked again." in answer.content.decode()
    assert counters(level) == (28, 0)
    all_known = look(manager, BOOKINGS, content=saved_again(more, "tabs"))
    assert dialog(all_known).step == "nothing"
    sent = {"do": "import", "plan": dialog(all_known).sealed}
    assert "Nothing was booked again." in manager.post(BOOKINGS, sent, follow=True).content.decode()
    assert counters(level) == (28, 0)
    all_known = look(manager, BOOKINGS, content=saved_again(more, "tabs"))
    sent = {"do": "import", "plan": dialog(all_known).sealed, "again_all": "1"}
    for message in ("3 rows booked.", "Nothing was booked again."):
        assert message in manager.post(BOOKINGS, sent, follow=True).content.decode()
    assert counters(level) == (44, 0)
    assert_books_balance()


def test_file_that_goes_while_it_is_read_or_imported_does_no_harm(
    manager: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    level = make_level(10)
    content = f"{LINES}\n{level.product.sku},wh-001,5,RECEIPT,r,PO-1\n".encode()
    really_read = page.work.read

    def read_late(file: FileImport, importer: Any) -> None:
        FileImport.objects.filter(pk=file.pk).delete()
        really_read(file, importer)

    with monkeypatch.context() as patch:
        patch.setattr(page.work, "read", read_late)
        gone = dialog(look(manager, BOOKINGS, content=content)).sealed
    answer = manager.post(BOOKINGS, {"do": "import", "plan": gone})
    assert (answer.status_code, "Choose the file again." in answer.content.decode()) == (422, True)
    plan = dialog(look(manager, BOOKINGS, content=content)).sealed
    monkeypatch.setattr(page.work, "claim_of", lambda file, _importer: FileImport.objects.all().delete() and None)
    manager.post(BOOKINGS, {"do": "import", "plan": plan}, follow=True)
    assert counters(level) == (15, 0)


def test_sku_of_a_file_in_another_case_is_the_same_product(manager: Client) -> None:
    level = make_level(1, reorder_point=5)
    make_product(sku="Lamp", name="Lamp")
    looked = look(manager, PRODUCTS, "sku,name", "LAMP,Light", "new,New", "NEW,Newer")
    assert faults(looked) == [(4, "")]
    looked = look(manager, PRODUCTS, "sku,name,variant_of", "LAMP-R,Red,LAMP", "LAMP,Light,")
    confirm(manager, looked, PRODUCTS)
    assert Product.objects.get(sku="LAMP-R").parent == Product.objects.get(sku="Lamp", name="Light")
    looked = look(manager, SETTINGS, "sku,warehouse,reorder_point", f"{level.product.sku.lower()},wh-001,6")
    assert shown(looked)[0][1] == f"{level.product.sku}, wh-001"
    Product.objects.filter(sku="Lamp").update(sku_twin=1)
    make_product(sku="lamp")
    answer = look(manager, PRODUCTS, "sku,name", "LAMP,Light")
    assert faults(answer) == [(2, "sku")]
    assert {"Lamp", "lamp"} <= set(re.findall(r"\w+", dialog(answer).preview.faults[0].detail))


# --------------------------------------------------------------------------------------------------- in the background


def to_the_background(browser: Client, url: str, *lines: str) -> FileImport:
    """Upload a file that is read in the background, and have it read."""
    answer = look(browser, url, *lines)
    assert answer.status_code == 302
    file = FileImport.objects.get()
    waiting = browser.get(answer["Location"])
    assert (dialog(waiting).step, file.state) == ("working", "READING")
    tasks.work_on_file(str(file.pk))
    file.refresh_from_db()
    return file


def at(url: str, file: FileImport) -> str:
    return f"{url}?file={file.pk}"


@pytest.fixture
def all_in_background(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "AT_ONCE_BYTES", 10)
    monkeypatch.setattr(page, "AT_ONCE_ROWS", 0)


@pytest.mark.usefixtures("all_in_background")
@pytest.mark.parametrize("url", [SETTINGS, BOOKINGS, PRODUCTS])
def test_large_file_is_read_and_imported_in_the_background_once(manager: Client, url: str) -> None:
    level = make_level(10, reorder_point=1)
    sku = level.product.sku
    lines = {
        SETTINGS: ("sku,warehouse,reorder_point", f"{sku},wh-001,7"),
        BOOKINGS: (LINES, f"{sku},wh-001,5,RECEIPT,r,PO-1"),
        PRODUCTS: ("sku,name", f"{sku},Other", "NEW,New"),
    }[url]
    file = to_the_background(manager, url, *lines)
    looked = manager.get(at(url, file))
    assert (dialog(looked).step, dialog(looked).progress["working"]) == ("preview", False)
    for _ in range(2):
        answer = manager.post(url, {"do": "import", "plan": str(file.pk)})
        assert answer["Location"] == at(url, file)
    state = manager.get(f"{at(url, file)}&progress").json()
    assert state == {"working": True, "begun": False, "waiting": False, "done": 0, "rows": len(lines) - 1}
    for _ in range(2):
        tasks.work_on_file(str(file.pk))
    file.refresh_from_db()
    assert file.state == "DONE"
    assert bytes(file.content) == b""
    done = manager.get(at(url, file))
    assert dialog(done).step == "done"
    assert file.outcome in done.content.decode()
    level.refresh_from_db()
    changed = {
        SETTINGS: level.reorder_point == 7,
        BOOKINGS: level.on_hand == 15,
        PRODUCTS: Product.objects.count() == 2,
    }
    assert changed[url]
    FileImport.objects.update(state="IMPORTING")  # As if the worker had died before it could say that it was done.
    tasks.work_on_file(str(file.pk))
    file.refresh_from_db()
    level.refresh_from_db()
    assert (file.state, level.on_hand <= 15, Movement.objects.filter(reference="PO-1").count() <= 1) == (
        "DONE",
        True,
        True,
    )


@pytest.mark.usefixtures("all_in_background")
def test_columns_are_asked_for_after_a_large_file_was_read(manager: Client) -> None:
    level = make_level(10, reorder_point=1)
    file = to_the_background(manager, SETTINGS, "Artikel;Lager;Melde", f"{level.product.sku};wh-001;8")
    asked = manager.get(at(SETTINGS, file))
    chosen = {"column-0": "sku", "column-1": "warehouse", "column-2": "reorder_point"}
    assert send_columns(manager, SETTINGS, asked, **chosen).status_code == 302
    tasks.work_on_file(str(file.pk))
    assert shown(manager.get(at(SETTINGS, file))) == [
        (2, f"{level.product.sku}, wh-001", [("Reorder point", "1", "8")])
    ]


@pytest.mark.usefixtures("all_in_background")
def test_what_stops_a_large_import_is_shown_and_nothing_is_booked(manager: Client) -> None:
    level = make_level(10)
    sku = level.product.sku
    file = to_the_background(manager, BOOKINGS, LINES, f"{sku},wh-001,8,SHIPMENT,r,", f"{sku},wh-001,1,RECEIPT,r,")
    hold((level, 9))
    manager.post(BOOKINGS, {"do": "import", "plan": str(file.pk)})
    tasks.work_on_file(str(file.pk))
    answer = manager.get(at(BOOKINGS, file))
    assert (dialog(answer).step, [fault.row for fault in dialog(answer).preview.faults]) == ("faults", [2])
    assert counters(level) == (10, 9)


@pytest.mark.usefixtures("all_in_background")
def test_who_may_not_import_any_more_imports_nothing_in_the_background(manager: Client) -> None:
    level = make_level(10)
    file = to_the_background(manager, BOOKINGS, LINES, f"{level.product.sku},wh-001,8,RECEIPT,r,")
    manager.post(BOOKINGS, {"do": "import", "plan": str(file.pk)})
    User.objects.get(username="mia").groups.set([Group.objects.get(name="viewer")])
    tasks.work_on_file(str(file.pk))
    file.refresh_from_db()
    assert (file.state, counters(level)) == ("READ", (10, 0))
    assert "no longer have permission to import this" in str(file.preview)
    assert manager.get(at(BOOKINGS, file)).status_code == 403


@pytest.mark.usefixtures("all_in_background")
def test_error_of_a_worker_ends_the_work_with_a_message(manager: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    level = make_level(10)
    file = to_the_background(manager, BOOKINGS, LINES, f"{level.product.sku},wh-001,8,RECEIPT,r,")
    manager.post(BOOKINGS, {"do": "import", "plan": str(file.pk)})
    FileImport.objects.update(plan=b"not a plan")
    with pytest.raises(Exception, match="incorrect header"):
        tasks.work_on_file(str(file.pk))
    answer = manager.get(at(BOOKINGS, file))
    assert (dialog(answer).step, "error was logged" in answer.content.decode()) == ("again", True)


@pytest.mark.usefixtures("all_in_background")
def test_without_a_worker_the_page_says_so_and_the_work_is_sent_again(
    manager: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    level = make_level(10)
    file = to_the_background(manager, BOOKINGS, LINES, f"{level.product.sku},wh-001,8,RECEIPT,r,")
    monkeypatch.setattr(tasks.work_on_file.app.conf, "broker_url", "redis://127.0.0.1:1/0")
    monkeypatch.setattr(tasks.work_on_file.app, "_pool", None)
    assert manager.post(BOOKINGS, {"do": "import", "plan": str(file.pk)}).status_code == 302
    early = timezone.now() - timezone.timedelta(minutes=2)
    FileImport.objects.update(asked_at=early, seen_at=early)
    waiting = manager.get(at(BOOKINGS, file))
    assert dialog(waiting).progress["waiting"]
    file.refresh_from_db()
    assert file.seen_at is not None
    assert file.seen_at > early
    FileImport.objects.update(seen_at=early)
    tasks.tidy_file_imports()
    file.refresh_from_db()
    assert file.seen_at > early
    cancelled = manager.post(BOOKINGS, {"do": "cancel", "plan": str(file.pk)}, follow=True)
    assert dialog(cancelled).step == "preview"
    tasks.work_on_file(str(file.pk))
    assert counters(level) == (10, 0)
    FileImport.objects.update(created_at=timezone.now() - timezone.timedelta(days=2))
    assert tasks.tidy_file_imports() == 1


@pytest.mark.usefixtures("all_in_background")
@pytest.mark.parametrize("url", [SETTINGS, BOOKINGS, PRODUCTS])
def test_progress_of_each_kind_of_file_is_reported_by_rows(
    manager: Client, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    for module in ("audit.db.statements.MOST_ROWS", "inventory.services.stock.imports.BATCH"):
        monkeypatch.setattr(module, 2)
    levels = [make_level(1, reorder_point=1) for _ in range(5)]
    header, cells = {
        SETTINGS: ("sku,warehouse,reorder_point", "wh-001,7"),
        BOOKINGS: (LINES, "wh-001,5,RECEIPT,r,PO-1"),
        PRODUCTS: ("sku,name", "Other"),
    }[url]
    file = to_the_background(manager, url, header, *(f"{level.product.sku},{cells}" for level in levels))
    manager.post(url, {"do": "import", "plan": str(file.pk)})
    seen: list[int] = []
    monkeypatch.setattr(tasks, "_progress_of", lambda _file: nullcontext(seen.append))
    tasks.work_on_file(str(file.pk))
    file.refresh_from_db()
    assert (file.state, seen) == ("DONE", [2, 4, 5])


def test_progress_is_counted_by_rows(manager: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    levels = [make_level(1) for _ in range(6)]
    content = "\n".join([LINES, *(f"{level.product.sku},wh-001,1,RECEIPT,r," for level in levels)])
    monkeypatch.setattr("inventory.services.stock.imports.BATCH", 2)
    import_stock(ACTOR, read_file("a", content.encode()), progress=seen.append)
    assert seen == [2, 4, 6]


def test_files_of_a_person_are_few_and_their_bodies_larger_than_others(manager: Client) -> None:
    for number in range(25):
        look(manager, PRODUCTS, "sku,name", f"A{number},x")
    assert FileImport.objects.count() == 20
    assert bodies._limit_of_staff(PRODUCTS) > page.MOST_BYTES > bodies._limit_of_staff("/admin/")


def test_imported_file_has_a_document_with_its_page_and_undo_and_says_what_was_reversed(manager: Client) -> None:
    level = make_level(10)
    line = f"{level.product.sku},wh-001,5,RECEIPT,r,PO-1"
    page_text = confirm(manager, look(manager, BOOKINGS, LINES, line, name="monday.csv"), BOOKINGS).content.decode()
    document = StockDocument.objects.get()
    address = reverse("admin:inventory_stockdocument_change", args=[document.pk])
    undo = reverse("admin:inventory_stockdocument_reverse", args=[document.pk])
    assert document.pk == FileImport.objects.get().pk
    assert f'href="{address}">{document}' in page_text
    assert f'href="{undo}" data-dialog' in page_text
    assert str(document) in manager.get(at(BOOKINGS, FileImport.objects.get())).content.decode()
    shown_page = manager.get(address).content.decode()
    assert "monday.csv" in shown_page
    assert level.product.name in shown_page
    manager.post(undo, {"once": str(uuid4()), "reason": "by mistake"})
    assert counters(level) == (10, 0)
    looked = look(manager, BOOKINGS, LINES, line)
    assert "1 row was booked before and reversed since, and is imported again" in looked.content.decode()
    confirm(manager, looked, BOOKINGS)
    assert counters(level) == (15, 0)
    movement = Movement.objects.latest("created_at")
    named = StockDocument.objects.latest("created_at")
    page_of_movement = manager.get(reverse("admin:inventory_movement_change", args=[movement.pk])).content.decode()
    assert f">{named.short_number}<" in page_of_movement
    found = manager.get(reverse("admin:inventory_movement_changelist"), {"q": named.short_number})
    assert [row.pk for row in found.context["cl"].result_list] == [movement.pk]


def test_preview_asks_once_about_units_far_beyond_the_usual(manager: Client) -> None:
    level, other = make_level(10), make_level(3000)
    first, second = level.product.sku, other.product.sku
    rows = (
        f"{first},wh-001,45781,RECEIPT,r,A",
        f"{first},wh-001,1000,RECEIPT,r,B",
        f"{second},wh-001,30001,RECEIPT,r,C",
    )
    calm = f"{second},wh-001,30000,RECEIPT,r,D"
    looked = look(manager, BOOKINGS, LINES, *rows, calm)
    texts = [doubt.text for doubt in dialog(looked).doubts]
    assert [text.partition(":")[0] for text in texts] == ["Row 2", "Row 4"]
    assert "45,781, that is 45 thousand 781 units. The usual is about 10." in texts[0]
    assert "Please check: nothing has been done yet." in looked.content.decode()
    sent = {"do": "import", "plan": dialog(looked).sealed}
    for more in ({}, {"sure": "x"}):
        asked = manager.post(BOOKINGS, sent | more)
        assert (asked.status_code, counters(level)) == (422, (10, 0))
    assert "76,782" not in manager.post(BOOKINGS, sent | {"sure": dialog(asked).sure}, follow=True).content.decode()
    assert (counters(level), counters(other)) == ((46_791, 0), (63_001, 0))
    # Rows that were booked before are asked about when they are ticked. None of them is left out by accident.
    again = look(manager, BOOKINGS, LINES, *rows[:1], calm.replace(",D", ",E"))
    assert (dialog(again).doubts, dialog(again).preview.doubtful_booked) == ([], [2])
    sent = {"do": "import", "plan": dialog(again).sealed, "again": "2"}
    asked = manager.post(BOOKINGS, sent)
    assert [doubt.text.partition(":")[0] for doubt in dialog(asked).doubts] == ["Row 2"]
    assert 'name="again" value="2" checked' in asked.content.decode()
    manager.post(BOOKINGS, sent | {"sure": dialog(asked).sure})
    assert counters(level) == (46_791 + 45_781, 0)
    calm_only = look(manager, BOOKINGS, LINES, calm.replace(",D", ",F"))
    assert dialog(calm_only).doubts == []
    confirm(manager, calm_only, BOOKINGS)
