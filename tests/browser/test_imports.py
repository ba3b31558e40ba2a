"""Imports and bulk settings in the browser: export, change, preview, import once."""

from pathlib import Path
from typing import Any

import pytest
from django.urls import reverse
from playwright.sync_api import Page, expect

from audit.console.imports import page as import_page
from audit.console.imports import tasks
from audit.models import FileImport
from inventory.models import Movement
from tests.books import assert_books_balance
from tests.browser.pages import DESKTOP, PHONE, Open, findings, fits
from tests.factories import counters, make_level, recorded

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("store")]

STOCK = "/admin/inventory/stocklevel/"
SIZES = pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
SHADES = pytest.mark.parametrize("shade", ["light", "dark"])


def choose(page: Page, text: str) -> None:
    """Upload a file with this text for a preview."""
    file: Any = {"name": "file.csv", "mimeType": "text/csv", "buffer": text.encode()}
    page.locator("input[type=file]").set_input_files(file)
    page.get_by_role("button", name="Preview").click()


@SIZES
@SHADES
def test_settings_are_taken_away_changed_and_brought_back_once(open_page: Open, size: Any, shade: str) -> None:
    level = make_level(5, reorder_point=4, zone="A")
    make_level(5)
    page = open_page(STOCK, "manager", size=size, shade=shade)
    with page.expect_download() as download:
        page.get_by_role("link", name="Export settings, CSV").click()
    exported = Path(download.value.path()).read_text("utf-8-sig")
    page.get_by_role("link", name="Import settings").click()
    expect(page.get_by_role("button", name="Preview")).to_be_visible()
    assert findings(page) == []
    assert fits(page)
    choose(page, exported.replace(f"{level.product.sku},", "NO-SUCH,"))
    expect(page.get_by_text("there is no product NO-SUCH")).to_be_visible()
    assert findings(page) == []
    assert fits(page)
    choose(page, exported.replace(",4,", ",14,"))
    expect(page.get_by_text("Nothing has changed yet.")).to_be_visible()
    expect(page.get_by_role("row", name=level.product.sku)).to_contain_text("14")
    assert findings(page) == []
    assert fits(page)
    page.get_by_role("button", name="Import").dblclick()
    expect(page.get_by_text("Settings of 1 level changed.")).to_be_visible()
    level.refresh_from_db()
    assert (level.reorder_point, level.zone) == (14, "A")
    assert len(recorded("inventory_level_changed")) == 1


def test_changes_of_stock_are_booked_once_from_two_tabs(open_page: Open) -> None:
    level = make_level(5)
    page = open_page(STOCK, "warehouse")
    page.get_by_role("link", name="Import changes of stock").click()
    file = f"sku,warehouse,quantity,type,reason,reference\n{level.product.sku},wh-001,7,RECEIPT,delivery,DN-1\n"
    choose(page, file)
    expect(page.get_by_role("row", name=level.product.sku)).to_contain_text("12")
    second = page.context.new_page()
    second.goto(reverse("admin:inventory_stocklevel_import_changes"))
    choose(second, file)
    for tab, message in ((page, "1 row booked."), (second, "Nothing was booked again.")):
        tab.get_by_role("button", name="Import").click()
        expect(tab.get_by_text(message)).to_be_visible()
    assert counters(level) == (12, 0)
    assert Movement.objects.filter(reference="DN-1").count() == 1
    assert_books_balance()


@SIZES
def test_file_of_another_system_is_mapped_and_imported_in_the_background(
    open_page: Open, size: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(import_page, "AT_ONCE_ROWS", 0)
    level = make_level(5)
    page = open_page(reverse("admin:inventory_stocklevel_import_changes"), "warehouse", "wh-001", size=size)
    file = f"Item;Warehouse;Balance Qty;Value\n{level.product.sku};Main store;7,00;1,50\n"
    choose(page, file)
    expect(page.get_by_text("This looks like a file of ERPNext.")).to_be_visible()
    expect(page.get_by_label("Balance Qty")).to_have_value("quantity")
    assert findings(page) == []
    assert fits(page)
    page.get_by_label("Warehouse").first.select_option("")
    page.get_by_role("button", name="Preview").click()
    expect(page.get_by_role("alert")).to_contain_text("Type is missing, but required")
    page.locator("#constant-warehouse").fill("wh-001")
    page.locator("#constant-type").select_option("RECEIPT")
    page.locator("#constant-reason").fill("first stock")
    page.get_by_role("button", name="Preview").click()
    expect(page.get_by_role("row", name=level.product.sku)).to_contain_text("12")
    page.get_by_role("button", name="Import", exact=True).click()
    expect(page.get_by_role("progressbar")).to_be_visible()
    assert findings(page) == []
    assert fits(page)
    tasks.work_on_file(str(FileImport.objects.get().pk))
    expect(page.get_by_text("1 row booked.")).to_be_visible()
    assert counters(level) == (12, 0)
    page.get_by_role("link", name="Import another file").click()
    choose(page, file + "\n")
    expect(page.get_by_text("Booked before", exact=True).first).to_be_visible()
    assert findings(page) == []
    assert fits(page)
    page.get_by_label("Row 2").check()
    page.get_by_role("button", name="Import", exact=True).click()
    expect(page.get_by_role("progressbar")).to_be_visible()
    tasks.work_on_file(str(FileImport.objects.latest("created_at").pk))
    expect(page.get_by_text("1 row booked.")).to_be_visible()
    assert counters(level) == (19, 0)
    assert_books_balance()


@SIZES
def test_chosen_rows_are_set_together(open_page: Open, size: Any) -> None:
    first, second = make_level(1, reorder_quantity=3), make_level(2, zone="B")
    page = open_page(STOCK, "manager", size=size)
    for box in page.locator("input.action-select").all():
        box.check()
    page.get_by_label("Select action to run").select_option("set_chosen")
    page.get_by_role("button", name="Run").click()
    page.get_by_label("Reorder point").first.fill("12")
    assert findings(page) == []
    assert fits(page)
    page.get_by_role("button", name="Save").dblclick()
    expect(page.get_by_text("2 rows set: Reorder point 12.")).to_be_visible()
    for level in (first, second):
        level.refresh_from_db()
    assert (first.reorder_point, first.reorder_quantity, second.reorder_point, second.zone) == (12, 3, 12, "B")
    assert len(recorded("inventory_level_changed")) == 2


def test_settings_of_one_level_open_over_its_page(open_page: Open) -> None:
    level = make_level(1)
    page = open_page(reverse("admin:inventory_stocklevel_change", args=[level.pk]), "manager")
    page.get_by_role("link", name="Settings", exact=True).click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Maximum stock").first.fill("30")
    dialog.get_by_role("button", name="Save").click()
    expect(page.get_by_text("1 row set: Maximum stock 30.")).to_be_visible()
    expect(page.get_by_role("heading", name="What can be sold")).to_be_visible()
    level.refresh_from_db()
    assert level.max_stock_level == 30
