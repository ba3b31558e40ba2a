"""Stock pages of the console: permissions, reach, messages and figures."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from audit.models import StaffAccess
from inventory.admin.stock import levels
from inventory.models import AdjustmentReason, Movement, StockCount, StockLevel, Transfer, Warehouse
from reservations.admin.availability.level_page import on_hand_chart
from tests.factories import counters, hold, make_due, make_level, make_product, make_variant, receive, recorded
from tests.forms import save_form
from tests.staff import browser_of, make_staff

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("store")]

ACTIONS = ("receive", "adjust", "ship", "transfer", "count")
LIST = "/admin/inventory/stocklevel/"


def address(action: str, level: StockLevel) -> str:
    return reverse(f"admin:inventory_stocklevel_{action}", args=[level.pk])


def send(browser: Client, action: str, level: StockLevel, quantity: int, **fields: str) -> Any:
    sent = {"once": str(uuid4()), "quantity": str(quantity), "remark": "because", **fields}
    return browser.post(address(action, level), sent, follow=True)


def found(browser: Client, **asked: str) -> set[Any]:
    """The ids of the levels that the list shows."""
    return {row.pk for row in browser.get(LIST, asked).context["cl"].result_list}


# -------------------------------------------------------------------------------------------------------------- doors


@pytest.mark.parametrize("action", ACTIONS)
def test_viewer_opens_and_sends_no_dialog(action: str) -> None:
    level, viewer = make_level(10), browser_of(make_staff("viewer"))
    assert viewer.get(address(action, level)).status_code == 403
    assert send(viewer, action, level, 3, to_warehouse="wh-002").status_code == 403
    for rows in ("receive_rows", "transfer_rows"):
        assert viewer.get(reverse(f"admin:inventory_stocklevel_{rows}"), {"level": level.pk}).status_code == 403
    assert counters(level) == (10, 0)


@pytest.mark.parametrize("action", ACTIONS)
def test_clerk_of_another_warehouse_finds_no_dialog_by_its_address(action: str) -> None:
    level, browser = make_level(10), browser_of(make_staff("warehouse", "wh-009"))
    assert browser.get(address(action, level)).status_code == 404
    assert send(browser, action, level, 3).status_code == 404
    for rows in ("receive_rows", "transfer_rows"):
        assert browser.get(reverse(f"admin:inventory_stocklevel_{rows}"), {"level": level.pk}).status_code == 404
    assert counters(level) == (10, 0)


def test_rows_out_of_reach_are_left_out_of_a_form_and_never_changed() -> None:
    mine, other = make_level(1), make_level(1, "wh-009")
    browser = browser_of(make_staff("warehouse", "wh-001"))
    url = reverse("admin:inventory_stocklevel_receive_rows")
    assert other.product.sku not in browser.get(url, {"level": [mine.pk, other.pk]}).content.decode()
    units = {f"units-{level.pk}": "5" for level in (mine, other)}
    browser.post(url, {"once": str(uuid4()), "level": [mine.pk, other.pk], "remark": "x", **units})
    assert (counters(mine), counters(other)) == ((6, 0), (1, 0))


def test_transfer_goes_to_any_other_active_warehouse() -> None:
    level = make_level(10)
    make_level(1, "wh-009")
    Warehouse.objects.filter(code="wh-002").update(is_active=False)
    browser = browser_of(make_staff("warehouse", "wh-001"))
    offered = browser.get(address("transfer", level)).context["form"].fields["to_warehouse"].choices
    assert [code for code, _ in offered] == ["wh-009"]
    for code in ("wh-001", "wh-002", "wh-404"):
        assert send(browser, "transfer", level, 1, to_warehouse=code).status_code == 422
    assert not Transfer.objects.exists()
    Warehouse.objects.filter(code="wh-009").update(is_active=False)
    assert "no other active warehouse" in browser.get(address("transfer", level)).content.decode()


# ------------------------------------------------------------------------------------------------------------ dialogs


def test_each_dialog_confirms_what_it_did(clerk: Client) -> None:
    level = make_level(20)
    receive(level.product, 1, "wh-002")
    hold((level, 2))
    assert "20 → 30 on hand, 28 available" in send(clerk, "receive", level, 10).content.decode()
    assert "30 → 27 on hand, 25 available" in send(clerk, "adjust", level, -3).content.decode()
    assert "27 → 26 on hand, 24 available" in send(clerk, "ship", level, 1).content.decode()
    moved = send(clerk, "transfer", level, 6, to_warehouse="wh-002").content.decode()
    assert "26 → 20 on hand in wh-001" in moved
    assert "your count is entered" in send(clerk, "count", level, 19).content.decode()
    assert counters(level) == (20, 2)
    assert StockCount.objects.get().status == "OPEN"
    entry = recorded("inventory_stock_adjusted")[-1]
    assert (entry.actor, entry.source) == ("bob", "admin")


def test_form_sent_twice_acts_once_and_says_so(clerk: Client) -> None:
    level, once = make_level(20), str(uuid4())
    sent_before = "This form was sent before: nothing was booked twice."
    for is_again in (False, True):
        page = send(clerk, "receive", level, 5, once=once).content.decode()
        assert "20 → 25 on hand" in page
        assert (sent_before in page) is is_again
    assert counters(level) == (25, 0)
    for is_again in (False, True):
        page = send(clerk, "count", level, 5, once=str(level.pk)).content.decode()
        assert "your count is entered" in page
        assert (sent_before in page) is is_again
    assert StockCount.objects.count() == 1


def test_form_sent_again_after_the_person_was_limited_is_refused() -> None:
    level, once, person = make_level(20), str(uuid4()), make_staff("warehouse")
    assert send(browser_of(person), "receive", level, 5, once=once).status_code == 200
    StaffAccess.objects.filter(user=person).update(all_warehouses=False, warehouse_codes=["wh-001"])
    again = send(browser_of(person), "receive", level, 5, once=once)
    assert again.status_code == 422
    assert "20 → 25 on hand" not in again.content.decode()
    assert counters(level) == (25, 0)


def test_change_of_stock_needs_a_reason_and_joins_both_texts(clerk: Client) -> None:
    level = make_level(20)
    assert send(clerk, "receive", level, 5, remark="").status_code == 422
    AdjustmentReason.objects.create(text="Delivery", kinds=["RECEIVE"])
    send(clerk, "receive", level, 5, reason="Delivery", remark="two boxes", reference="DN-1")
    movement = Movement.objects.order_by("-id")[0]
    assert (movement.reason, movement.reference) == ("Delivery: two boxes", "DN-1")
    assert send(clerk, "ship", level, 5, reason="Delivery").status_code == 422
    assert counters(level) == (25, 0)


def test_nothing_is_no_difference_and_what_is_held_stays(clerk: Client) -> None:
    level = make_level(20)
    hold((level, 15))
    assert send(clerk, "adjust", level, 0).status_code == 422
    for action, quantity in (("adjust", -6), ("ship", 6)):
        answer = send(clerk, action, level, quantity)
        assert (answer.status_code, "You can remove up to 5" in answer.content.decode()) == (422, True)
    assert send(clerk, "receive", level, 2_000_000_000).status_code == 422
    assert counters(level) == (20, 15)


def test_product_in_an_open_count_is_not_counted_beside_it(clerk: Client) -> None:
    level = make_level(20)
    send(clerk, "count", level, 20)
    answer = send(clerk, "count", level, 20)
    assert (answer.status_code, "open count already" in answer.content.decode()) == (422, True)
    assert StockCount.objects.count() == 1


def test_rows_are_sent_together_or_not_at_all(clerk: Client) -> None:
    plenty, short, empty = make_level(20), make_level(3), make_level(1)
    receive(plenty.product, 1, "wh-002")
    levels = [plenty, short, empty]
    url = reverse("admin:inventory_stocklevel_transfer_rows")
    sent = {"level": [level.pk for level in levels], "to_warehouse": "wh-002", "once": str(uuid4())}
    units = {f"units-{plenty.pk}": "5", f"units-{short.pk}": "4"}
    answer = clerk.post(url, {**sent, **units})
    assert answer.status_code == 422
    assert answer.context["form"].errors[f"units-{short.pk}"] == ["You can remove up to 3; the rest is reserved."]
    assert f"units-{plenty.pk}" not in answer.context["form"].errors
    assert counters(plenty) == (20, 0)
    page = clerk.post(url, {**sent, **units, f"units-{short.pk}": "3"}, follow=True).content.decode()
    assert "8 units of 2 rows are on their way from wh-001 to wh-002" in page
    assert [counters(level) for level in levels] == [(15, 0), (0, 0), (1, 0)]
    assert clerk.post(url, {**sent, "once": str(uuid4())}).status_code == 422


def test_chosen_rows_lead_to_their_form_and_a_transfer_takes_those_of_one_warehouse(clerk: Client) -> None:
    here, there = make_level(1), make_level(1, "wh-002")
    chosen = {"_selected_action": [here.pk, there.pk], "index": "0"}
    answer = clerk.post(LIST, {"action": "receive_chosen", **chosen}, follow=True)
    assert answer.request["PATH_INFO"].endswith("/receive-rows/")
    assert len(answer.context["form"].levels) == 2
    answer = clerk.post(LIST, {"action": "transfer_chosen", **chosen}, follow=True)
    assert "Choose rows of one warehouse" in answer.content.decode()


# --------------------------------------------------------------------------------------------------- search and filters


def test_scanned_code_opens_the_only_level_and_lists_several(clerk: Client) -> None:
    level = receive(make_product(barcode="4006381333931"), 5)
    make_level(1)
    answer = clerk.get(LIST, {"q": " 4006381333931 "})
    assert answer.headers["Location"] == reverse("admin:inventory_stocklevel_change", args=[level.pk])
    second = receive(level.product, 1, "wh-002")
    assert found(clerk, q=level.product.sku) == {level.pk, second.pk}
    only_there = browser_of(make_staff("warehouse", "wh-002")).get(LIST, {"q": "4006381333931"})
    assert only_there.headers["Location"].endswith(f"{second.pk}/change/")


def test_scanned_product_brings_its_variants(clerk: Client) -> None:
    parent = make_product(sku="SHIRT")
    small, large = (receive(make_variant(parent), 1) for _ in range(2))
    receive(make_product(sku="SHIRT-OTHER"), 1)
    assert found(clerk, q="SHIRT") == {small.pk, large.pk}


@pytest.mark.parametrize("typed", ["rain jack", "jkt", "JKT-RAIN", "rain", "ain jac", "rain-m", "10 l"])
def test_typed_words_find_levels_by_their_beginnings_else_by_a_part(clerk: Client, typed: str) -> None:
    jacket = receive(make_product(sku="JKT-RAIN-M", name="Rain jacket, 10 l"), 5)
    also = receive(jacket.product, 5, "wh-002")
    receive(make_product(sku="TENT", name="Tent"), 5)
    assert found(clerk, q=typed) == {jacket.pk, also.pk}


def test_search_that_fits_too_many_products_says_so(clerk: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(levels, "_MOST_PRODUCTS", 2)
    first, second = (receive(make_product(sku=f"LAMP-{number}"), 1) for number in range(2))
    receive(first.product, 1, "wh-002")
    shown = clerk.get(LIST, {"q": "lamp"})
    assert (shown.context["cl"].result_count, "More than" in shown.content.decode()) == (3, False)
    receive(make_product(sku="LAMP-2"), 1)
    shown = clerk.get(LIST, {"q": "lamp"})
    assert "More than 2 products match." in shown.content.decode()
    assert {row.product_id for row in shown.context["cl"].result_list} == {first.product_id, second.product_id}
    for number in range(3):
        make_product(sku=f"BULB-{number}", name="Lamp bulb, never received")
    assert len(found(clerk, q="lamp")) == 3
    assert found(clerk, q="lamp", warehouse__id__exact=str(first.warehouse_id)) == {first.pk, second.pk}


def test_units_of_all_rows_that_are_left_are_added_up(clerk: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    level = make_level(1200)
    hold((level, 2))
    make_level(30, "wh-002")

    def totals(**asked: str) -> list[str]:
        return [units for _, units in clerk.get(LIST, asked).context["totals"]]

    assert totals() == ["1,230", "2", "1,228"]
    assert totals(state="held") == ["1,200", "2", "1,198"]
    assert totals(counted="old") == []
    monkeypatch.setattr("audit.console.base.COUNTED_AT_MOST", 1)
    assert totals() == []


def test_filters_ask_what_a_warehouse_asks(clerk: Client) -> None:
    critical = make_level(1, reorder_point=20, zone="A")
    low = make_level(15, reorder_point=20, zone="B", last_counted_at=timezone.now())
    fine = make_level(50, reorder_point=20)
    old = timezone.now() - timedelta(days=40)
    elsewhere = make_level(1, "wh-002", zone="A", last_movement_at=old)
    assert found(clerk, severity="any") == {critical.pk, low.pk}
    assert found(clerk, severity="CRITICAL") == {critical.pk}
    assert found(clerk, severity="LOW") == {low.pk}
    assert found(clerk, state="free") == {critical.pk, low.pk, fine.pk, elsewhere.pk}
    assert found(clerk, counted="old") == set()
    assert found(clerk, counted="never") == {critical.pk, fine.pk, elsewhere.pk}
    assert found(clerk, moved="not30") == {elsewhere.pk}
    here = str(critical.warehouse_id)
    assert found(clerk, warehouse__id__exact=here, zone="A") == {critical.pk}
    assert "zone" not in [spec.parameter_name for spec in clerk.get(LIST).context["cl"].filter_specs[1:2]]


# ------------------------------------------------------------------------------------------------------------- the page


def test_page_of_a_level_says_why_its_figures_are_what_they_are(clerk: Client) -> None:
    level = make_level(20, min_stock_level=3, reorder_point=30)
    receive(level.product, 9, "wh-002")
    held, due = hold((level, 2), order_id="order-7"), hold((level, 1))
    make_due(due.id)
    send(clerk, "transfer", StockLevel.objects.get(warehouse__code="wh-002"), 4, to_warehouse="wh-001")
    answer = clerk.get(reverse("admin:inventory_stocklevel_change", args=[level.pk]))
    why, page = answer.context["why"], answer.content.decode()
    assert (why.on_hand, why.reserved, why.safety_stock, why.due.units, why.sellable) == (20, 3, 3, 1, 15)
    assert reverse("admin:reservations_reservation_change", args=[held.id]) in page
    assert "order-7" in page
    assert why.incoming.units == 4
    assert answer.context["severity"] == "LOW"
    assert answer.context["chart"]["last"] == (timezone.localdate(), 20)


def test_time_left_of_a_hold_goes_on_counting_on_the_page(clerk: Client) -> None:
    level = make_level(20)
    hold((level, 2), timeout_minutes=10)
    page = clerk.get(reverse("admin:inventory_stocklevel_change", args=[level.pk])).content.decode()
    assert 'data-seconds-left="59' in page
    assert "console/countdown.js" in page


def test_chart_steps_from_day_to_day() -> None:
    first = date(2026, 1, 1)
    chart = on_hand_chart([(first, 0), (first + timedelta(days=1), 10)])
    assert chart["line"] == "0.0,152.0 300.0,152.0 300.0,8.0 600.0,8.0"
    assert (chart["least"], chart["most"]) == (0, 10)
    assert on_hand_chart([(first, 0)])["line"] == "0.0,152.0 600.0,152.0"


def test_on_hand_by_day_has_the_first_and_the_last_figure_of_each_day() -> None:
    level = make_level(10)
    at = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
    for hours, change, before in ((0, 5, 10), (2, -3, 15), (26, 1, 12)):
        Movement.objects.create(
            level=level,
            type="ADJUSTMENT",
            quantity=change,
            quantity_before=before,
            quantity_after=before + change,
            actor="ada",
            created_at=at + timedelta(hours=hours),
        )
    days = Movement.objects.on_hand_by_day(level.pk, date(2026, 3, 1))
    assert days[date(2026, 3, 1)] == (10, 12)
    assert days[date(2026, 3, 2)] == (12, 13)


# --------------------------------------------------------------------------------------------------------- the reasons


def test_managers_keep_the_reasons_and_clerks_choose_from_those_in_use(clerk: Client) -> None:
    AdjustmentReason.objects.all().delete()
    manager = browser_of(make_staff("manager", name="mia"))
    add = reverse("admin:inventory_adjustmentreason_add")
    assert manager.post(add, {"text": "Nobody", "is_active": "on"}).status_code == 200
    assert manager.post(add, {"text": "Delivery", "kinds": ["RECEIVE"], "is_active": "on"}).status_code == 302
    assert manager.post(add, {"text": "Old", "kinds": ["RECEIVE"]}).status_code == 302
    assert clerk.get(add).status_code == 403
    assert recorded("inventory_adjustmentreason_created")[-1].actor == "mia"
    form = clerk.get(address("receive", make_level(1))).context["form"]
    assert [value for value, _ in form.fields["reason"].choices] == ["", "Delivery"]
    reason = AdjustmentReason.objects.get(text="Old")
    url = reverse("admin:inventory_adjustmentreason_change", args=[reason.pk])
    assert save_form(manager, url, {"text": "Delivery", "kinds": ["SHIP"]}).status_code == 200
    assert save_form(manager, url, {"text": "Older", "kinds": ["SHIP"], "is_active": "on"}).status_code == 302
    reason.refresh_from_db()
    assert (reason.text, reason.kinds, reason.is_active) == ("Older", ["SHIP"], True)
