"""Import pages of the console: preview, import once by the services, all rows or none, and export."""

import csv
import io
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from openpyxl import load_workbook

from audit.console.imports import tables
from audit.models import AuditEntry
from inventory.models import Movement, Product, StockLevel
from inventory.services.stock.import_files import COLUMNS as CHANGES
from inventory.services.stock.import_files import read_file
from inventory.services.stock.imports import lock_of
from tests.audit.test_tables import workbook_of
from tests.books import assert_books_balance
from tests.concurrency.threads import stranger
from tests.factories import counters, hold, make_level, make_product, make_variant, make_warehouse, recorded
from tests.staff import browser_of, make_staff

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("store")]

SETTINGS = reverse("admin:inventory_stocklevel_import_settings")
BOOKINGS = reverse("admin:inventory_stocklevel_import_changes")
PRODUCTS = reverse("admin:inventory_product_import_products")
LEVELS_CSV = reverse("admin:inventory_stocklevel_export_csv")
LEVELS_XLSX = reverse("admin:inventory_stocklevel_export_xlsx")
PRODUCTS_CSV = reverse("admin:inventory_product_export_csv")
PRODUCTS_XLSX = reverse("admin:inventory_product_export_xlsx")
SET = reverse("admin:inventory_stocklevel_set_rows")


def look(browser: Client, url: str, *lines: str, content: bytes | None = None, name: str = "file.csv") -> Any:
    """Upload a file for a preview."""
    file = SimpleUploadedFile(name, "\n".join(lines).encode() if content is None else content)
    return browser.post(url, {"do": "look", "file": file})


def confirm(browser: Client, looked: Any, url: str) -> Any:
    """Confirm the preview."""
    assert looked.context["dialog"].step == "preview", looked.context["dialog"].preview
    return browser.post(url, {"do": "import", "plan": looked.context["dialog"].sealed}, follow=True)


def faults(answer: Any) -> list[tuple[int, str]]:
    assert answer.status_code == 422
    return [(fault.row, fault.column) for fault in answer.context["dialog"].preview.faults]


def shown(answer: Any) -> list[tuple[int, str, list[tuple[str, str, str]]]]:
    rows = answer.context["dialog"].preview.shown
    return [(row.row, row.name, [(str(label), old, new) for label, old, new in row.changes]) for row in rows]


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


def taken(browser: Client, url: str) -> bytes:
    """The content of an export."""
    answer = browser.get(url)
    assert answer.status_code == 200
    return b"".join(answer.streaming_content) if answer.streaming else answer.content  # type: ignore[arg-type]


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


# -------------------------------------------------------------------------------------------------------------- changes

LINES = ",".join(CHANGES)


def test_changes_of_stock_are_booked_once_even_from_two_previews(manager: Client) -> None:
    level, product = make_level(10), make_product(sku="NEW")
    hold((level, 2))
    sku = level.product.sku
    rows = (f"{sku},wh-001,5,receipt,delivery,DN-1", f"{sku},wh-001,-3,ADJUSTMENT,broken,", "NEW,wh-002,4,RETURN,back,")
    first, second = (look(manager, BOOKINGS, LINES, *rows) for _ in range(2))
    assert shown(first) == [
        (2, f"{sku}, wh-001", [("On hand", "10", "15")]),
        (3, f"{sku}, wh-001", [("On hand", "15", "12")]),
        (4, "NEW, wh-002", [("On hand", "0", "4")]),
    ]
    assert counters(level) == (10, 2)
    assert "3 rows booked." in confirm(manager, first, BOOKINGS).content.decode()
    for again in (first, second):
        assert "Nothing was booked again." in confirm(manager, again, BOOKINGS).content.decode()
    assert counters(level) == (12, 2)
    assert StockLevel.objects.get(product=product).on_hand == 4
    assert Movement.objects.filter(actor="mia").count() == 3
    third = look(manager, BOOKINGS, LINES, *rows)
    assert third.context["dialog"].step == "nothing"
    assert "3 rows of this file were imported before" in third.content.decode()
    assert_books_balance()


def test_each_bad_change_is_reported_with_number_and_column_and_none_is_booked(manager: Client) -> None:
    level = make_level(10)
    hold((level, 8))
    sku = level.product.sku
    answer = look(
        manager,
        BOOKINGS,
        LINES,
        f"{sku},wh-001,4,SHIPMENT,sold,",
        f"{sku},wh-001,1,RECEIPT,delivery,",
        f"{sku},wh-001,1,RECEIPT,delivery,",
        f"{sku},wh-404,x,GIFT,,",
        f"{sku},wh-404,1,RECEIPT,x,",
        "NO-SUCH,wh-001,1,RECEIPT,x,",
    )
    assert faults(answer) == [
        (2, "quantity"),
        (4, ""),
        (5, "reason"),
        (5, "type"),
        (5, "quantity"),
        (6, "warehouse"),
        (7, "sku"),
    ]
    assert "is the same as row 3" in answer.content.decode()
    assert counters(level) == (10, 8)


def test_stock_that_is_held_meanwhile_stops_all_of_the_file(manager: Client) -> None:
    level, other = make_level(10), make_level(10)
    rows = [f"{row.product.sku},wh-001,5,SHIPMENT,sold," for row in (other, level)]
    looked = look(manager, BOOKINGS, LINES, *rows)
    hold((level, 8))
    answer = confirm(manager, looked, BOOKINGS)
    assert faults(answer) == [(3, "quantity")]
    assert (counters(level), counters(other)) == ((10, 8), (10, 0))


def test_file_that_somebody_else_is_importing_is_kept_to_be_tried_again(manager: Client) -> None:
    level = make_level(10)
    content = f"{LINES}\n{level.product.sku},wh-001,5,RECEIPT,x,".encode()
    looked = look(manager, BOOKINGS, content=content)
    with stranger() as other:
        other.execute("SELECT pg_advisory_xact_lock(%s)", [lock_of(read_file("file.csv", content).id)])
        answer = confirm(manager, looked, BOOKINGS)
    assert (answer.status_code, answer.context["dialog"].step) == (422, "again")
    assert "This is already in progress." in answer.content.decode()
    assert counters(level) == (10, 0)
    again = manager.post(BOOKINGS, {"do": "import", "plan": answer.context["dialog"].sealed}, follow=True)
    assert "1 row booked." in again.content.decode()
    assert counters(level) == (15, 0)


def test_clerk_books_only_what_dialogs_allow_and_where(manager: Client) -> None:
    mine, other = make_level(10), make_level(10, "wh-009")
    clerk = browser_of(make_staff("warehouse", "wh-001"))
    rows = [f"{row.product.sku},{row.warehouse.code},1,RECEIPT,x," for row in (mine, other)]
    assert faults(look(clerk, BOOKINGS, LINES, *rows)) == [(3, "warehouse")]
    assert "1 row booked." in confirm(clerk, look(clerk, BOOKINGS, LINES, rows[0]), BOOKINGS).content.decode()
    assert (counters(mine), counters(other)) == ((11, 0), (10, 0))
    receiver = make_staff(name="rex")
    receiver.is_superuser = False
    receiver.save()
    codes = ("receive_stock", "view_stocklevel")
    receiver.user_permissions.add(*Permission.objects.filter(codename__in=codes))
    shipped = look(browser_of(receiver), BOOKINGS, LINES, f"{mine.product.sku},wh-001,1,SHIPMENT,x,")
    assert faults(shipped) == [(2, "type")]


# -------------------------------------------------------------------------------------------------- who, and what files


@pytest.mark.parametrize(
    ("group", "warehouses", "may"),
    [
        ("viewer", (), set()),
        ("warehouse", (), {BOOKINGS}),
        ("warehouse", ("wh-001",), {BOOKINGS}),
        ("manager", (), {BOOKINGS, SETTINGS, PRODUCTS}),
        ("manager", ("wh-001",), {BOOKINGS, SETTINGS}),
        ("administrator", (), {BOOKINGS, SETTINGS, PRODUCTS}),
    ],
)
def test_groups_import_what_they_may_change(group: str, warehouses: tuple[str, ...], may: set[str]) -> None:
    browser = browser_of(make_staff(group, *warehouses))
    every = {BOOKINGS, SETTINGS, PRODUCTS}
    assert {url for url in every if browser.get(url).status_code == 200} == may
    assert {url for url in every if look(browser, url, "x").status_code != 403} == may
    assert {url for url in every if browser.post(url, {"do": "import", "plan": "x"}).status_code != 403} == may
    lists = [reverse(f"admin:inventory_{name}_changelist") for name in ("stocklevel", "product")]
    linked = "".join(browser.get(url).content.decode() for url in lists)
    assert {url for url in every if f'"{url}"' in linked} == may


def test_limited_manager_sets_and_takes_away_settings_of_reach_alone() -> None:
    mine, other = make_level(1, reorder_point=1), make_level(1, "wh-009", reorder_point=1)
    browser = browser_of(make_staff("manager", "wh-001"))
    rows = [f"{row.product.sku},{row.warehouse.code},9" for row in (mine, other)]
    assert faults(look(browser, SETTINGS, "sku,warehouse,reorder_point", *rows)) == [(3, "warehouse")]
    assert b"wh-009" not in taken(browser, LEVELS_CSV)
    looked = look(browser, SETTINGS, "sku,warehouse,reorder_point", rows[0])
    confirm(browser, looked, SETTINGS)
    mine.refresh_from_db()
    assert mine.reorder_point == 9


def test_preview_is_its_readers_own_and_ends_with_the_key_that_guards_it(
    manager: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    level = make_level(1)
    looked = look(manager, SETTINGS, "sku,warehouse,reorder_point", f"{level.product.sku},wh-001,9")
    sealed = looked.context["dialog"].sealed
    other = browser_of(make_staff("manager"))
    for browser, plan in ((other, sealed), (manager, sealed[:-2]), (manager, ""), (manager, "a:b:c")):
        answer = browser.post(SETTINGS, {"do": "import", "plan": plan})
        assert (answer.status_code, "too old" in answer.content.decode()) == (422, True)
    assert manager.post(PRODUCTS, {"do": "import", "plan": sealed}).status_code == 422
    monkeypatch.setattr("audit.console.imports.page.lifetime", lambda: timedelta(seconds=-1))
    assert manager.post(SETTINGS, {"do": "import", "plan": sealed}).status_code == 422
    level.refresh_from_db()
    assert level.reorder_point is None


HOSTILE: dict[str, bytes] = {
    "nothing": b"",
    "picture": b"\x89PNG\r\n\x1a\n\x00\x00",
    "latin": "sku,warehouse,quantity,type,reason,reference,name\nGröße".encode("latin-1"),
    "wrong header": b"article,place\nA,b\n",
    "no key": b"name,reorder_point\nA,1\n",
    "formula": workbook_of(["sku", "warehouse", "name"], ["A", "wh-001", "=1+1"]),
    "broken zip": workbook_of(["sku"])[:200],
    "too wide": b",".join(b"c%d" % number for number in range(400)),
    "nul": b"sku,warehouse,name\nA\x00,b,c\n",
    "one long cell": b"sku,name,warehouse\n" + b"x" * 200_000,
    "old": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("url", [SETTINGS, BOOKINGS, PRODUCTS])
def test_unreadable_file_gets_a_message(manager: Client, url: str, content: bytes) -> None:
    answer = look(manager, url, content=content)
    page = answer.context["dialog"]
    assert (answer.status_code, page.step) in [(422, "choose"), (422, "faults"), (200, "columns")]
    assert answer.context["form"].errors or page.preview.faults or page.mapping.columns


def test_file_is_bounded_in_bytes_and_rows(manager: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    make_level(1)
    assert manager.post(SETTINGS, {"do": "look"}).status_code == 422
    monkeypatch.setattr("audit.console.imports.page.MOST_BYTES", 100)
    answer = look(manager, PRODUCTS, "sku,name", *(f"NEW-{number},New" for number in range(20)))
    assert (answer.status_code, "larger than" in answer.content.decode()) == (422, True)
    monkeypatch.undo()
    monkeypatch.setattr(tables, "MOST_ROWS", 3)
    assert faults(look(manager, PRODUCTS, "sku,name", *(f"NEW-{number},New" for number in range(4)))) == [(5, "")]


def _settings(levels: list[StockLevel]) -> list[str]:
    return ["sku,warehouse,reorder_point", *(f"{level.product.sku},wh-001,77" for level in levels)]


def _bookings(levels: list[StockLevel]) -> list[str]:
    return [LINES, *(f"{level.product.sku},wh-001,7,RECEIPT,r," for level in levels)]


def _products(levels: list[StockLevel]) -> list[str]:
    new = [f"N{level.pk},New,{level.product.sku}" for level in levels]
    return ["sku,name,variant_of", *(f"{level.product.sku},Other," for level in levels), *new]


@pytest.mark.parametrize(("url", "lines"), [(SETTINGS, _settings), (BOOKINGS, _bookings), (PRODUCTS, _products)])
def test_statements_do_not_grow_with_the_rows(manager: Client, url: str, lines: Callable[..., list[str]]) -> None:
    counts = []
    for number in (2, 30):
        content = "\n".join(lines([make_level(1) for _ in range(number)])).encode()
        with CaptureQueriesContext(connection) as asked:
            looked = look(manager, url, content=content)
            answer = manager.post(url, {"do": "import", "plan": looked.context["dialog"].sealed})
        assert answer.status_code == 302
        counts.append(len(asked))
    assert counts[0] == counts[1]


@pytest.mark.parametrize("url", [SETTINGS, BOOKINGS, PRODUCTS])
def test_empty_file_to_begin_with_has_the_columns(manager: Client, url: str) -> None:
    page = manager.get(url)
    expected = [column.name for column in page.context["dialog"].columns if column.is_read]
    assert taken(manager, f"{url}?template=csv").decode("utf-8-sig").split() == [",".join(expected)]
    book = load_workbook(io.BytesIO(taken(manager, f"{url}?template=xlsx")))
    assert [cell.value for cell in book.active[1]] == expected


# ------------------------------------------------------------------------------------------------ many rows at once


def choose(browser: Client, *levels: StockLevel) -> Any:
    return browser.get(SET, {"level": [str(level.pk) for level in levels]})


def set_rows(browser: Client, page: Any, *levels: StockLevel, **fields: Any) -> Any:
    opened = page.context["form"].initial
    sent = {"once": str(opened["once"]), "seen": opened["seen"]}
    return browser.post(SET, {**sent, "level": [str(level.pk) for level in levels], **fields}, follow=True)


def test_chosen_rows_get_what_is_filled_in_and_keep_the_rest(manager: Client) -> None:
    first = make_level(1, reorder_point=5, max_stock_level=50, zone="A")
    second = make_level(1, reorder_quantity=9, zone="B", shelf="1")
    page = choose(manager, first, second)
    assert "reorder at 5" in page.content.decode()
    sent = {"reorder_point": "0", "aisle": "7", "clear": ["max_stock_level", "shelf"]}
    for _ in range(2):
        text = set_rows(manager, page, first, second, **sent).content.decode()
        assert "2 rows set: Reorder point 0, Aisle 7, Maximum stock none, Shelf none." in text
    for level in (first, second):
        level.refresh_from_db()
    assert (first.reorder_point, first.max_stock_level, first.zone, first.aisle) == (0, None, "A", "7")
    assert (second.reorder_point, second.reorder_quantity, second.zone, second.shelf) == (0, 9, "B", "")
    assert len(recorded("inventory_level_changed")) == 2


@pytest.mark.parametrize(
    "sent",
    [{}, {"reorder_point": "-1"}, {"zone": "elevenchars"}, {"shelf": "1", "clear": ["shelf"]}, {"clear": ["on_hand"]}],
)
def test_nothing_or_nonsense_sets_nothing(manager: Client, sent: dict[str, Any]) -> None:
    level = make_level(1, shelf="9")
    assert set_rows(manager, choose(manager, level), level, **sent).status_code == 422
    assert not recorded("inventory_level_changed")


def test_only_managers_set_rows_and_only_in_reach(manager: Client) -> None:
    mine, other = make_level(1), make_level(1, "wh-009")
    assert choose(browser_of(make_staff("warehouse")), mine).status_code == 403
    limited = browser_of(make_staff("manager", "wh-001"))
    assert choose(limited, other).status_code == 404
    set_rows(limited, choose(limited, mine), mine, other, reorder_point="3")
    mine.refresh_from_db()
    other.refresh_from_db()
    assert (mine.reorder_point, other.reorder_point) == (3, None)
    chosen = {"action": "set_chosen", "_selected_action": [str(mine.pk)]}
    listed = manager.post(reverse("admin:inventory_stocklevel_changelist"), chosen, follow=True)
    assert [level.pk for level in listed.context["dialog"].levels] == [mine.pk]
    alone = manager.get(reverse("admin:inventory_stocklevel_settings", args=[mine.pk]), follow=True)
    assert [level.pk for level in alone.context["dialog"].levels] == [mine.pk]


def test_new_warehouse_has_no_settings_to_import_yet(manager: Client) -> None:
    make_warehouse("wh-010")
    level = make_level(1)
    answer = look(manager, SETTINGS, "sku,warehouse,zone", f"{level.product.sku},wh-010,A")
    assert faults(answer) == [(2, "")]


# ------------------------------------------------------------------------------------------------------------- codes


def test_products_are_found_by_sku_in_any_case_and_keep_its_spelling(manager: Client) -> None:
    product = make_product(sku="Shirt-Ä", name="old")
    rows = ("sku,name,variant_of", "shirt-ä,new,", "shirt-l,L,SHIRT-Ä", "SHIRT-L,again,")
    assert faults(look(manager, PRODUCTS, *rows)) == [(4, "")]
    looked = look(manager, PRODUCTS, *rows[:-1])
    assert [name for _row, name, _changes in shown(looked)] == ["Shirt-Ä", "shirt-l"]
    confirm(manager, looked, PRODUCTS)
    product.refresh_from_db()
    assert (product.sku, product.name) == ("Shirt-Ä", "new")
    assert Product.objects.get(sku="shirt-l").parent_id == product.pk


def test_parents_of_a_file_are_found_in_any_case(manager: Client) -> None:
    confirm(manager, look(manager, PRODUCTS, "sku,name,variant_of", "s-1,S,Shirt", "SHIRT,Shirt,"), PRODUCTS)
    assert set(Product.objects.values_list("sku", "parent__sku")) == {("SHIRT", None), ("s-1", "SHIRT")}


def test_settings_are_found_by_sku_in_any_case(manager: Client) -> None:
    level = make_level(1)
    rows = ("sku,warehouse,reorder_point", f"{level.product.sku.lower()} ,wh-001,7")
    confirm(manager, look(manager, SETTINGS, *rows), SETTINGS)
    level.refresh_from_db()
    assert level.reorder_point == 7


def test_a_sku_of_several_products_is_asked_for_in_each_import(manager: Client) -> None:
    level = make_level(1)
    Product.objects.filter(pk=level.product_id).update(sku="F12", sku_key="f12")
    twin = make_product()
    Product.objects.filter(pk=twin.pk).update(sku="F12\u200b", sku_key="f12", sku_twin=1)
    for url, header, row in (
        (PRODUCTS, "sku,name", "f12,n"),
        (SETTINGS, "sku,warehouse,reorder_point", "f12,wh-001,1"),
        (BOOKINGS, ",".join(CHANGES), "f12,wh-001,1,RECEIPT,r,x"),
    ):
        answer = look(manager, url, header, row)
        assert faults(answer) == [(2, "sku")]
        assert "is the SKU of several products" in answer.content.decode()
        assert shown(look(manager, url, header, row.replace("f12", "F12").replace(",n", ",other")))


def test_preview_names_other_products_with_the_same_codes(manager: Client) -> None:
    level = make_level(1)
    make_product(sku="OTHER", barcode="036000291452")
    looked = look(manager, PRODUCTS, "sku,name,barcode", "new,n,0036000291452", "fine,n,5")
    (note,) = looked.context["dialog"].preview.notes
    assert "new (OTHER)" in note
    assert "fine" not in note
    assert not look(manager, PRODUCTS, "sku,name,barcode", "fine,n,5").context["dialog"].preview.notes
    Product.objects.filter(sku="OTHER").update(barcode_key=level.product.sku.lower())
    booked = look(manager, BOOKINGS, ",".join(CHANGES), f"{level.product.sku},wh-001,1,RECEIPT,r,x")
    assert f"{level.product.sku} (OTHER)" in booked.context["dialog"].preview.notes[0]


@pytest.mark.parametrize("character", ["\0", "\u200b", "\u202e", "\ufffe"])
def test_a_refused_character_is_named_with_its_cell_in_each_import(manager: Client, character: str) -> None:
    level = make_level(1)
    for url, header, row, column in (
        (PRODUCTS, "sku,name", f"F{character}1,n", "sku"),
        (PRODUCTS, "sku,name", f"F1,n{character}n", "name"),
        (SETTINGS, "sku,warehouse,zone", f"F{character}1,wh-001,A", "sku"),
        (SETTINGS, "sku,warehouse,zone", f"{level.product.sku},wh-001,A{character}1", "zone"),
        (SETTINGS, "sku,warehouse,zone", f"{level.product.sku},wh{character}1,A", "warehouse"),
        (BOOKINGS, ",".join(CHANGES), f"F{character}1,wh-001,1,RECEIPT,r,x", "sku"),
        (BOOKINGS, ",".join(CHANGES), f"{level.product.sku},wh-001,1,RECEIPT,r,x{character}x", "reference"),
        (BOOKINGS, ",".join(CHANGES), f"{level.product.sku},wh-001,1,RECEIPT,r{character}r,x", "reason"),
    ):
        assert faults(look(manager, url, header, row)) == [(2, column)], (url, row)
