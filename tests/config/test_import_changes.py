"""Import of changes of stock: pages, rows and roles."""

import pytest
from django.contrib.auth.models import Permission
from django.test import Client

from inventory.models import Movement, StockLevel
from inventory.services.stock.import_files import read_file
from inventory.services.stock.imports import lock_of
from tests.books import assert_books_balance
from tests.concurrency.threads import stranger
from tests.config.import_pages import BOOKINGS, LINES, confirm, faults, look, shown
from tests.factories import counters, hold, make_level, make_product
from tests.staff import browser_of, make_staff

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("store")]


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
