"""Settings of many chosen rows at once, and products found by their codes in files."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from inventory.models import Product, StockLevel
from inventory.services.stock.import_files import COLUMNS as CHANGES
from tests.config.import_pages import BOOKINGS, PRODUCTS, SET, SETTINGS, choose, confirm, faults, look, shown
from tests.factories import make_level, make_product, make_warehouse, recorded
from tests.staff import browser_of, make_staff

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("store")]


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
