"""Steps of an import: columns of other systems, and rows booked before."""

import re
from typing import Any

import pytest
from django.test import Client

from audit.console.imports import page
from audit.models import FileImport, RememberedColumns
from inventory.models import Movement, Product
from inventory.services.stock.import_files import read_file
from inventory.services.stock.imports import import_stock
from tests.books import assert_books_balance
from tests.config.import_pages import BOOKINGS, LINES, PRODUCTS, SETTINGS, confirm, faults, look, shown
from tests.config.import_steps import dialog, send_columns
from tests.factories import ACTOR, counters, make_level, make_product
from tests.inventory.test_imported_again import saved_again
from tests.staff import browser_of, make_staff

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("store")]


def taken(answer: Any) -> dict[str, str]:
    """The columns that are proposed, by title."""
    return {column.title: column.field for column in dialog(answer).mapping.columns if column.field}


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
