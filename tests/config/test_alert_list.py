"""Low-stock alerts in the console: handled once and within reach, exported, and mailed to subscribers."""

import csv
import io
import re
from datetime import timedelta
from typing import Any

import pytest
import tablib
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from uuid_utils.compat import uuid7

from inventory.models import AlertSubscription, LowStockAlert, StockLevel
from inventory.services.low_stock import alerts as low_stock
from tests.factories import make_level, make_product, make_warehouse, receive, recorded
from tests.forms import edit
from tests.staff import browser_of, make_staff, post

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("store")]

LIST = reverse("admin:inventory_lowstockalert_changelist")


def address(name: str, *arguments: Any) -> str:
    return reverse(f"admin:inventory_lowstockalert_{name}", args=arguments)


def make_alert(available: int = 1, warehouse: str = "wh-001", **product: Any) -> LowStockAlert:
    """Make a level below its reorder point of 5, with a full level of 20, and let the beat open its alert."""
    make_warehouse(warehouse)
    level = receive(make_product(**product), available, warehouse)
    StockLevel.objects.filter(pk=level.pk).update(reorder_point=5, max_stock_level=20)
    low_stock.raise_missed()
    return LowStockAlert.objects.get(level=level)


def listed(browser: Client, **asked: str) -> list[Any]:
    return [row.pk for row in browser.get(LIST, asked).context["cl"].result_list]


def test_the_critical_come_first_and_what_is_over_is_left_out(clerk: Client) -> None:
    low, critical, over = make_alert(4), make_alert(1), make_alert(1)
    LowStockAlert.objects.filter(pk=over.pk).update(resolved_at=timezone.now())
    assert listed(clerk) == [critical.pk, low.pk]
    assert listed(clerk, state="resolved") == [over.pk]
    assert len(listed(clerk, state="all")) == 3
    page = clerk.get(LIST).content.decode()
    assert "Critical" in page
    assert ">19<" in page, "what is missing to the maximum stock"


def test_page_asks_no_more_for_more_alerts(clerk: Client) -> None:
    make_alert()

    def ask() -> int:
        with CaptureQueriesContext(connection) as queries:
            assert clerk.get(LIST).status_code == 200
        return len(queries)

    few = ask()
    for _ in range(8):
        make_alert()
    assert ask() == few


def test_acknowledging_user_is_named_and_a_form_sent_twice_acts_once(clerk: Client) -> None:
    alert = make_alert(sku="LAMP-1")
    sent = {"once": str(uuid7()), "note": "ordered"}
    first = clerk.post(address("acknowledge", alert.pk), sent, follow=True)
    again = clerk.post(address("acknowledge", alert.pk), sent, follow=True)
    for answer in (first, again):
        assert "LAMP-1 in wh-001 is assigned to bob." in answer.content.decode()
    (entry,) = recorded("inventory_alert_acknowledged")
    assert (entry.actor, entry.source, entry.changes) == ("bob", "admin", {"note": "ordered"})
    assert listed(clerk, state="acknowledged") == [alert.pk]
    assert listed(clerk, state="new") == []


def test_alert_is_snoozed_until_a_moment_and_woken(clerk: Client) -> None:
    alert = make_alert()
    until = timezone.now() + timedelta(days=2)
    edit(clerk, address("snooze", alert.pk), until=f"{until:%Y-%m-%dT%H:%M}")
    alert.refresh_from_db()
    assert alert.snoozed_until == until.replace(second=0, microsecond=0)
    assert listed(clerk, state="snoozed") == [alert.pk]
    edit(clerk, address("snooze", alert.pk), until="")
    alert.refresh_from_db()
    assert alert.snoozed_until is None


def test_moment_that_has_passed_and_alert_that_is_over_are_refused_in_words(clerk: Client) -> None:
    alert = make_alert()
    answer = edit(clerk, address("snooze", alert.pk), until="2020-01-01T08:00")
    assert answer.status_code == 422
    assert "A snooze must end in the future." in answer.content.decode()
    LowStockAlert.objects.update(resolved_at=timezone.now())
    answer = post(clerk, address("acknowledge", alert.pk))
    assert answer.status_code == 422
    assert "this alert is resolved" in answer.content.decode()


def test_viewer_can_not_change_an_alert() -> None:
    alert, viewer = make_alert(), browser_of(make_staff("viewer"))
    for name in ("acknowledge", "snooze"):
        assert post(viewer, address(name, alert.pk)).status_code == 403
    alert.refresh_from_db()
    assert alert.acknowledged_at is None


def test_alert_of_another_warehouse_is_out_of_reach() -> None:
    mine, other = make_alert(), make_alert(warehouse="wh-009")
    clerk = browser_of(make_staff("warehouse", "wh-001"))
    assert listed(clerk) == [mine.pk]
    assert post(clerk, address("acknowledge", other.pk)).status_code == 404


# ------------------------------------------------------------------------------------------------------------- exports


def exported(browser: Client, **asked: str) -> list[list[str]]:
    answer = browser.get(address("export_csv"), asked)
    assert answer.status_code == 200
    text = b"".join(answer.streaming_content).decode("utf-8-sig")  # type: ignore[attr-defined]
    return list(csv.reader(io.StringIO(text)))


def test_export_has_the_rows_of_the_list_with_what_to_order(manager: Client) -> None:
    make_alert(4, sku="B")
    make_alert(1, sku="A")
    header, *rows = exported(manager)
    named = [dict(zip(header, row, strict=True)) for row in rows]
    assert [(row["SKU"], row["Severity"], row["Suggested order"]) for row in named] == [
        ("A", "Critical", "19"),
        ("B", "Low", "16"),
    ]
    assert [row[0] for row in exported(manager, severity__exact="LOW")[1:]] == ["B"]


def test_workbook_has_the_same_rows(manager: Client) -> None:
    make_alert(1, sku="A")
    answer = manager.get(address("export_xlsx"))
    sheet = tablib.Dataset().load(answer.content, format="xlsx")
    assert (sheet["SKU"], sheet["Suggested order"]) == (["A"], [19])


def test_no_text_of_an_export_is_a_formula(manager: Client) -> None:
    make_alert(name='=HYPERLINK("x")', sku="@sum")
    row = exported(manager)[1]
    assert row[:2] == ["'@sum", '\'=HYPERLINK("x")']


def test_export_keeps_to_reach_and_permissions() -> None:
    make_alert(sku="MINE")
    make_alert(warehouse="wh-009", sku="OTHER")
    limited = browser_of(make_staff("manager", "wh-001"))
    assert [row[0] for row in exported(limited)[1:]] == ["MINE"]
    for kind in ("export_csv", "export_xlsx"):
        assert browser_of(make_staff("warehouse")).get(address(kind)).status_code == 403


def test_export_asks_a_bounded_number_of_questions(manager: Client) -> None:
    make_alert()

    def ask() -> int:
        with CaptureQueriesContext(connection) as queries:
            exported(manager)
        return len(queries)

    few = ask()
    for _ in range(8):
        make_alert()
    assert ask() == few


# -------------------------------------------------------------------------------------------------------- subscriptions


def test_staff_choose_for_themselves_what_they_are_mailed_about() -> None:
    user = make_staff("viewer", name="vic")
    user.email = "vic@example.com"
    user.save()
    browser = browser_of(user)
    make_warehouse("wh-009")
    answer = edit(browser, address("subscribe"), warehouses=["wh-001", "wh-009"])
    assert "You get mail about low stock in wh-001, wh-009." in answer.content.decode()
    edit(browser, address("subscribe"), warehouses=["wh-009"])
    kept = AlertSubscription.objects.get()
    assert (kept.user, kept.email, kept.warehouse.code) == (user, "vic@example.com", "wh-009")
    changes = [(entry.changes["warehouseId"], entry.changes["mailed"]) for entry in recorded("inventory_alerts_chosen")]
    assert sorted(changes) == [("wh-001", [False, True]), ("wh-001", [True, False]), ("wh-009", [False, True])]
    edit(browser, address("subscribe"))
    assert not AlertSubscription.objects.exists()


def test_address_that_was_subscribed_already_becomes_its_owners() -> None:
    user = make_staff("viewer", name="vic")
    user.email = "vic@example.com"
    user.save()
    AlertSubscription.objects.create(warehouse=make_warehouse("wh-001"), email="VIC@example.com")
    edit(browser_of(user), address("subscribe"), warehouses=["wh-001"])
    assert AlertSubscription.objects.get().user == user


def test_mail_needs_an_address_and_a_warehouse_in_reach() -> None:
    homeless = browser_of(make_staff("viewer"))
    assert edit(homeless, address("subscribe"), warehouses=["wh-001"]).status_code == 422
    user = make_staff("viewer", "wh-001")
    user.email = "w@example.com"
    user.save()
    outside = make_warehouse("wh-009")
    theirs = AlertSubscription.objects.create(warehouse=outside, email=user.email, user=user)
    assert edit(browser_of(user), address("subscribe"), warehouses=["wh-009"]).status_code == 422
    edit(browser_of(user), address("subscribe"), warehouses=[])
    assert AlertSubscription.objects.get() == theirs, "chosen by who could reach it then"


def test_empty_list_says_what_to_do(clerk: Client) -> None:
    make_level(10)
    assert "Levels with a reorder point" in clerk.get(LIST).content.decode()
    assert "Clear filters" in clerk.get(LIST, {"q": "nothing"}).content.decode()


def test_orders_by_the_level_look_up_the_levels_of_the_alerts_alone(clerk: Client) -> None:
    """A join would read all levels, of which there may be a million."""
    made = [make_alert(available, sku=sku) for available, sku in ((3, "b"), (1, "c"), (2, "a"))]
    by_sku, by_available = [made[2].pk, made[0].pk, made[1].pk], [made[1].pk, made[2].pk, made[0].pk]
    assert [listed(clerk, o="1"), listed(clerk, o="-1")] == [by_sku, by_sku[::-1]]
    assert [listed(clerk, o="4"), listed(clerk, o="-4")] == [by_available, by_available[::-1]]
    for order in ("1", "2", "4"):
        with CaptureQueriesContext(connection) as caught:
            listed(clerk, o=order)
        (sql,) = [query["sql"] for query in caught if "ORDER BY (SELECT" in query["sql"]]
        with connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN {sql}")
            plan = "\n".join(row[0] for row in cursor.fetchall())
        assert re.search(r"Sort Key: \(?\(SubPlan", plan), plan
