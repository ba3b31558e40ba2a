"""Import of settings and products: pages, rows and roles."""

import csv
import io
from datetime import UTC, datetime
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from openpyxl import load_workbook

from audit.models import AuditEntry
from inventory.models import Product, StockLevel
from tests.config.import_pages import LEVELS_CSV, PRODUCTS, SETTINGS, confirm, faults, look, shown, taken
from tests.factories import make_level, make_product, make_variant, recorded

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("store")]
LEVELS_XLSX = reverse("admin:inventory_stocklevel_export_xlsx")
PRODUCTS_CSV = reverse("admin:inventory_product_export_csv")
PRODUCTS_XLSX = reverse("admin:inventory_product_export_xlsx")


# ------------------------------------------------------------------------------------------------------------- settings


def test_preview_shows_old_and_new_and_changes_nothing(manager: Client) -> None:
    level, other = make_level(1, reorder_point=5, zone="A"), make_level(1, reorder_point=9)
    before = AuditEntry.objects.count()
    looked = look(
        manager,
        SETTINGS,
        "sku,warehouse,reorder_point,safety_stock,zone",
        f"{level.product.sku},wh-001,10,2,",
        f"{other.product.sku},wh-001,9,,",
    )
    changes = [("Reorder point", "5", "10"), ("Safety stock", "0", "2"), ("Zone", "A", "–")]
    assert shown(looked) == [(2, f"{level.product.sku}, wh-001", changes)]
    assert looked.context["dialog"].preview.same == 1
    level.refresh_from_db()
    assert (level.reorder_point, AuditEntry.objects.count()) == (5, before)


def test_settings_are_changed_by_the_service_once_however_often_it_is_confirmed(manager: Client) -> None:
    level = make_level(1, reorder_point=5, zone="A", aisle="1")
    looked = look(
        manager, SETTINGS, "warehouse;sku;most_to_keep;zone;product", f"wh-001;{level.product.sku};40;B;any name"
    )
    for _ in range(2):
        assert "Settings of 1 level changed." in confirm(manager, looked, SETTINGS).content.decode()
    level.refresh_from_db()
    assert (level.reorder_point, level.max_stock_level, level.zone, level.aisle) == (5, 40, "B", "1")
    (entry,) = recorded("inventory_level_changed")
    assert (entry.actor, entry.source, entry.changes) == (
        "mia",
        "admin",
        {"max_stock_level": [None, 40], "zone": ["A", "B"]},
    )


def test_what_somebody_else_changed_since_the_preview_stops_all_of_it(manager: Client) -> None:
    first, second = make_level(1, reorder_point=5), make_level(1, reorder_point=5)
    rows = [f"{level.product.sku},wh-001,10" for level in (first, second)]
    looked = look(manager, SETTINGS, "sku,warehouse,reorder_point", *rows)
    StockLevel.objects.filter(pk=second.pk).update(reorder_point=6)
    answer = confirm(manager, looked, SETTINGS)
    assert faults(answer) == [(3, "")]
    assert "Somebody else has changed this since the preview." in answer.content.decode()
    first.refresh_from_db()
    assert first.reorder_point == 5
    assert not recorded("inventory_level_changed")


def test_each_bad_row_of_settings_is_reported_with_number_and_column(manager: Client) -> None:
    level, product = make_level(1), make_product()
    sku = level.product.sku
    answer = look(
        manager,
        SETTINGS,
        "sku,warehouse,reorder_point,reorder_quantity,zone",
        f"{sku},wh-001,x,0,",
        f"{sku},wh-001,1,1,",
        "NO-SUCH,wh-404,1,1,",
        f"{product.sku},wh-001,1,1,",
        f"{sku},wh-002,,,elevenchars",
        ",wh-001,,,",
    )
    assert faults(answer) == [
        (2, "reorder_point"),
        (2, "reorder_quantity"),
        (3, ""),
        (4, "sku"),
        (4, "warehouse"),
        (5, ""),
        (6, "zone"),
        (7, "sku"),
    ]
    assert "about the same as row 2" in answer.content.decode()
    assert "receive it there first" in answer.content.decode()


@pytest.mark.parametrize("kind", ["csv", "xlsx"])
def test_settings_that_were_exported_are_imported_again(manager: Client, kind: str) -> None:
    level = make_level(1, reorder_point=5, min_stock_level=1, zone="=1+1", aisle="'=2", shelf="-3")
    make_level(1, max_stock_level=7)
    Product.objects.filter(pk=level.product_id).update(sku="A-1", name="=cmd()")
    exported = taken(manager, LEVELS_CSV if kind == "csv" else LEVELS_XLSX)
    assert kind == "xlsx" or b",=" not in exported
    again = look(manager, SETTINGS, content=exported, name=f"levels.{kind}")
    assert (again.status_code, again.context["dialog"].step, again.context["dialog"].preview.same) == (
        200,
        "nothing",
        2,
    )
    edited = exported.replace(b",5,", b",6,") if kind == "csv" else with_cell(exported, "D2", 6)
    looked = look(manager, SETTINGS, content=edited)
    assert shown(looked) == [(2, "A-1, wh-001", [("Reorder point", "5", "6")])]
    confirm(manager, looked, SETTINGS)
    level.refresh_from_db()
    assert (level.reorder_point, level.zone, level.aisle, level.shelf) == (6, "=1+1", "'=2", "-3")


def with_cell(content: bytes, place: str, value: Any) -> bytes:
    book = load_workbook(io.BytesIO(content))
    book.active[place] = value
    stream = io.BytesIO()
    book.save(stream)
    return stream.getvalue()


# ------------------------------------------------------------------------------------------------------------- products

HEADER = "sku,name,variant_of,barcode,active,listed_until,most_units_a_customer"


def test_products_with_variants_are_added_and_changed(manager: Client) -> None:
    lamp = make_product(sku="LAMP", name="Lamp", barcode="1")
    looked = look(
        manager,
        PRODUCTS,
        HEADER,
        "SHIRT-S,Shirt small,SHIRT,4006381333931,yes,,",
        "SHIRT,Shirt,,,yes,2031-01-01 12:00,3",
        "LAMP,Lamp,,,no,,",
    )
    assert shown(looked)[2] == (4, "LAMP", [("Barcode", "1", "–"), ("Active", "yes", "no")])
    assert [row.is_new for row in looked.context["dialog"].preview.shown] == [True, True, False]
    assert not Product.objects.filter(sku="SHIRT").exists()
    for _ in range(2):
        text = confirm(manager, looked, PRODUCTS).content.decode()
        assert "2 products added, 1 product changed." in text
    shirt = Product.objects.get(sku="SHIRT")
    assert (shirt.listing_expires_at, shirt.max_units_per_customer) == (datetime(2031, 1, 1, 12, tzinfo=UTC), 3)
    small = Product.objects.get(sku="SHIRT-S")
    assert (small.parent, small.barcode, small.name) == (shirt, "4006381333931", "Shirt small")
    lamp.refresh_from_db()
    assert (lamp.is_active, lamp.barcode) == (False, "")
    assert {entry.actor for entry in recorded("inventory_product_created")} == {"mia"}


def test_column_that_is_left_out_stays_and_time_is_the_readers(manager: Client) -> None:
    until = datetime(2031, 1, 1, 12, 0, 0, 123456, tzinfo=UTC)
    lamp = make_product(sku="LAMP", name="Lamp", barcode="1", listing_expires_at=until)
    manager.cookies["console_zone"] = "Europe/Vienna"
    same = look(manager, PRODUCTS, "sku,listed_until,name", "LAMP,2031-01-01 13:00,Light")
    assert shown(same) == [(2, "LAMP", [("Name", "Lamp", "Light")])]
    confirm(manager, same, PRODUCTS)
    lamp.refresh_from_db()
    assert (lamp.name, lamp.barcode, lamp.listing_expires_at) == ("Light", "1", until)


def test_each_bad_row_of_products_is_reported_with_number_and_column(manager: Client) -> None:
    parent = make_product(sku="PARENT")
    make_variant(parent, sku="VARIANT")
    answer = look(
        manager,
        PRODUCTS,
        HEADER,
        "NEW-1,,,,perhaps,tomorrow,0",
        "NEW-2,x,NO-SUCH,,yes,,",
        "NEW-3,x,VARIANT,,yes,,",
        "PARENT,x,NEW-2,,yes,,",
        "NEW-2,x,,,yes,,",
        "NEW-4,x,NEW-4,,yes,9999-12-31 23:59-14:00,1.5",
    )
    assert faults(answer) == [
        (2, "name"),
        (2, "active"),
        (2, "listed_until"),
        (2, "most_units_a_customer"),
        (3, "variant_of"),
        (4, "variant_of"),
        (5, "variant_of"),
        (6, ""),
        (7, "listed_until"),
        (7, "most_units_a_customer"),
    ]
    assert faults(look(manager, PRODUCTS, "sku,barcode", "NEW,1", "PARENT,1")) == [(2, "name")]
    assert Product.objects.count() == 2


def test_product_that_was_added_since_the_preview_is_reported(manager: Client) -> None:
    looked = look(manager, PRODUCTS, "sku,name", "NEW,New", "OTHER,Other")
    make_product(sku="OTHER")
    answer = confirm(manager, looked, PRODUCTS)
    assert faults(answer) == [(3, "")]
    assert "Another product has this SKU." in answer.content.decode()
    assert not Product.objects.filter(sku="NEW").exists()


@pytest.mark.parametrize("kind", ["csv", "xlsx"])
def test_products_that_were_exported_are_imported_again(manager: Client, kind: str) -> None:
    until = datetime(2031, 1, 1, 12, 0, 0, 5, tzinfo=UTC)
    parent = make_product(sku="=HYPERLINK(1)", name="-5 °", listing_expires_at=until, max_units_per_customer=2)
    make_variant(parent, sku="00123", name="'=x", barcode="0012", is_active=False)
    exported = taken(manager, PRODUCTS_CSV if kind == "csv" else PRODUCTS_XLSX)
    again = look(manager, PRODUCTS, content=exported)
    assert (again.context["dialog"].step, again.context["dialog"].preview.same) == ("nothing", 2)
    if kind == "csv":
        rows = list(csv.reader(io.StringIO(exported.decode("utf-8-sig"))))
        assert {row[0] for row in rows} == {"sku", "00123", "'=HYPERLINK(1)"}
