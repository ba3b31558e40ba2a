"""Actions on selected rows of lists: ticked, or all that match the filter, up to a limit that the message names."""

import re
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from msgspec.structs import replace
from uuid_utils.compat import uuid7

from inventory.admin.low_stock import assigning
from inventory.admin.stock import levels
from inventory.models import LowStockAlert, Product, StockLevel
from inventory.services.low_stock import alerts as low_stock
from reservations.admin.holds import lists as holds
from reservations.models import Reservation
from tests.factories import ACTOR, hold, make_product, make_warehouse, receive, recorded
from tests.forms import form_on
from tests.staff import browser_of, make_staff

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("store")]

ALERTS = reverse("admin:inventory_lowstockalert_changelist")
ASSIGN = reverse("admin:inventory_lowstockalert_assign_selected")
LEVELS = reverse("admin:inventory_stocklevel_changelist")
HOLDS = reverse("admin:reservations_reservation_changelist")


def make_alerts(count: int, warehouse: str = "wh-001") -> list[LowStockAlert]:
    make_warehouse(warehouse)
    made = [receive(make_product(), 1, warehouse).pk for _ in range(count)]
    StockLevel.objects.filter(pk__in=made).update(reorder_point=5, max_stock_level=20)
    low_stock.raise_missed()
    return list(LowStockAlert.objects.filter(level__in=made))


def act(browser: Client, url: str, action: str, *ticked: Any, across: bool = False) -> Any:
    sent = {"action": action, "select_across": str(int(across)), "index": "0"}
    return browser.post(url, {**sent, "_selected_action": [str(row.pk) for row in ticked]}, follow=True)


def told(answer: Any) -> list[str]:
    return [str(message) for message in answer.context["messages"]]


def names() -> dict[Any, str]:
    return dict(LowStockAlert.objects.values_list("pk", "acknowledged_by"))


def test_all_alerts_that_fit_are_assigned_to_the_user_each_with_an_entry() -> None:
    clerk = make_staff("warehouse", "wh-001", name="bob")
    mine, others = make_alerts(30), make_alerts(2, "wh-002")
    answer = act(browser_of(clerk), f"{ALERTS}?severity__exact=CRITICAL", "assign_to_me", mine[0], across=True)
    assert told(answer) == ["30 alerts assigned to bob."]
    assert names() == {row.pk: "bob" for row in mine} | {row.pk: "" for row in others}
    entries = recorded("inventory_alert_acknowledged")
    assert {entry.subject_id for entry in entries} == {row.pk for row in mine}
    assert {entry.actor for entry in entries} == {"bob"}
    assert entries[0].changes == {"acknowledgedBy": [None, "bob"], "note": ""}
    again = act(browser_of(clerk), ALERTS, "assign_to_me", mine[0], others[0])
    assert told(again) == ["0 alerts assigned to bob. 1 was assigned to bob already."]
    assert len(recorded("inventory_alert_acknowledged")) == 30


def test_selected_alerts_are_assigned_once_to_somebody_who_may_see_them_all() -> None:
    clerk = make_staff("warehouse", name="bob")
    make_staff("warehouse", "wh-001", name="one")
    make_staff("viewer", "wh-001", "wh-002", name="both")
    make_staff("auditor", "wh-003", name="elsewhere")
    make_staff("", "wh-001", name="limited-root")
    gone = make_staff("warehouse", name="gone")
    gone.is_active = False
    gone.save()
    near, far, over = *make_alerts(1), *make_alerts(1, "wh-002"), *make_alerts(1)
    browser = browser_of(clerk)
    page = act(browser, f"{ALERTS}?state=new", "assign_selected", near, far, over)
    form = page.context["form"]
    assert [name for name, _ in form.fields["assignee"].choices] == ["bob", "both"]
    LowStockAlert.objects.filter(pk=over.pk).update(resolved_at=timezone.now())
    sent = {**form.initial, "assignee": "both", "note": "ordered", "next": page.context["way_back"]}
    for answer in (browser.post(ASSIGN, sent, follow=True), browser.post(ASSIGN, sent, follow=True)):
        assert told(answer)[0].startswith("2 alerts assigned to both. 1 was left out: resolved")
        assert answer.redirect_chain[-1][0] == f"{ALERTS}?state=new"
    entries = recorded("inventory_alert_acknowledged")
    assert [entry.changes for entry in entries] == [{"acknowledgedBy": [None, "both"], "note": "ordered"}] * 2
    for refused in ("one", "limited-root", "elsewhere", "gone", "nobody", ""):
        answer = browser.post(ASSIGN, {**sent, "once": str(uuid7()), "assignee": refused})
        assert (answer.status_code, "assignee" in answer.context["form"].errors) == (422, True), refused
    assert names() == {near.pk: "both", far.pk: "both", over.pk: ""}


def test_alerts_are_assigned_as_they_were_seen_all_or_none() -> None:
    for name in ("bob", "ada", "eve"):
        make_staff("warehouse", name=name)
    browser = browser_of(User.objects.get(username="bob"))
    free, seen, taken, mine = make_alerts(4)
    LowStockAlert.objects.filter(pk=seen.pk).update(acknowledged_by="eve", acknowledged_at=timezone.now())
    page = act(browser, ALERTS, "assign_selected", free, seen, taken, mine)
    assert ("Assigned now", "Unassigned (3), eve (1)") in [(str(name), text) for name, text in page.context["facts"]]
    sent = {**form_on(page), "assignee": "bob"}
    low_stock.acknowledge(taken.pk, replace(ACTOR, name="ada"), note="")
    low_stock.acknowledge(mine.pk, replace(ACTOR, name="bob"), note="")
    before = names()
    page = browser.post(ASSIGN, sent)
    errors = " ".join(page.context["form"].non_field_errors())
    assert page.status_code == 422
    assert f"{taken.level.place}, assigned to: you saw “nobody”, it is now “ada” (changed by ada," in errors
    assert mine.level.place not in errors, "bob has it, as was wanted"
    assert (errors.count("you saw"), names()) == (1, before), "none of them is assigned"
    bare = {name: value for name, value in sent.items() if name != "seen"}
    assert (browser.post(ASSIGN, bare).status_code, names()) == (422, before)
    answer = browser.post(ASSIGN, form_on(page) | {"assignee": "bob"}, follow=True)
    assert told(answer) == ["3 alerts assigned to bob. 1 was assigned to bob already."]
    assert set(names().values()) == {"bob"}


def test_assigning_to_oneself_takes_nothing_from_somebody_else_unseen() -> None:
    make_staff("warehouse", name="ada")
    browser = browser_of(make_staff("warehouse", name="bob"))
    free, taken = make_alerts(2)
    low_stock.acknowledge(taken.pk, replace(ACTOR, name="ada"), note="")
    page = act(browser, ALERTS, "assign_to_me", free, taken)
    assert told(page) == [
        "1 of these alerts is assigned to somebody else. Nothing was done: check it, then assign them."
    ]
    assert names() == {free.pk: "", taken.pk: "ada"}
    form = form_on(page)
    assert form["assignee"] == ["bob"]
    assert told(browser.post(ASSIGN, form, follow=True)) == ["2 alerts assigned to bob."]


def test_assigning_asks_for_permission_reach_and_rows() -> None:
    (far,) = make_alerts(1, "wh-002")
    viewer = browser_of(make_staff("viewer"))
    act(viewer, ALERTS, "assign_to_me", far)
    sent = {"once": str(uuid7()), "alerts": str(far.pk), "assignee": "bob", "note": ""}
    assert [viewer.post(ASSIGN, sent).status_code, viewer.get(ASSIGN).status_code] == [403, 403]
    clerk = browser_of(make_staff("warehouse", "wh-001", name="bob"))
    assert told(clerk.post(ASSIGN, sent, follow=True)) == [
        "0 alerts assigned to bob. 1 was left out: resolved, or no longer in your warehouses."
    ]
    assert told(clerk.get(ASSIGN, follow=True)) == ["Select rows in the list first."]
    for nonsense in ("", "x", "1" * 5000, ",".join(str(uuid7()) for _ in range(501))):
        answer = clerk.post(ASSIGN, {**sent, "once": str(uuid7()), "alerts": nonsense})
        assert (answer.status_code, "alerts" in answer.context["form"].errors) == (422, True), nonsense[:20]
    for field in ("alerts", "assignee", "note"):
        assert 400 <= clerk.post(ASSIGN, {**sent, "once": str(uuid7()), field: "\0"}).status_code < 500, field
    assert names() == {far.pk: ""}
    assert recorded("inventory_alert_acknowledged") == []


def test_user_who_may_not_see_alerts_is_no_assignee() -> None:
    make_alerts(1)
    without = make_staff("warehouse", name="without")
    without.groups.clear()
    without.user_permissions.add(Permission.objects.get(codename="settle_alerts"))
    page = act(browser_of(make_staff(name="root")), ALERTS, "assign_selected", *LowStockAlert.objects.all())
    assert [name for name, _ in page.context["form"].fields["assignee"].choices] == ["root"]


@pytest.mark.parametrize(
    ("url", "action"),
    [
        (ALERTS, "assign_to_me"),
        (ALERTS, "assign_selected"),
        (LEVELS, "receive_chosen"),
        (LEVELS, "transfer_chosen"),
        (LEVELS, "set_chosen"),
        (HOLDS, "release_chosen"),
        (HOLDS, "extend_chosen"),
        (HOLDS, "consume_chosen"),
    ],
)
def test_action_takes_all_that_fit_or_says_how_many_are_too_many(
    url: str, action: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    alerts = make_alerts(4)
    level = receive(make_product(), 40)
    for _ in range(5):
        hold((level, 1))
    browser = browser_of(make_staff("manager"))
    rows = {ALERTS: alerts, LEVELS: [level], HOLDS: list(Reservation.objects.all())}[url]
    page = act(browser, url, action, rows[0], across=True)
    assert page.status_code == 200
    assert not any("Nothing was done" in text for text in told(page))
    for module, name in ((assigning, "MOST_ALERTS"), (levels, "MOST_ROWS"), (holds, "CHOSEN_AT_MOST")):
        monkeypatch.setattr(module, name, 3)
    selected = {ALERTS: 4, LEVELS: 5, HOLDS: 5}[url]
    assert told(act(browser, url, action, rows[0], across=True)) == [
        f"Nothing was done: {selected} rows are selected, and at most 3 can be. Filter the list first."
    ]


def test_all_that_fit_can_be_selected_in_lists_with_actions() -> None:
    make_alerts(26)
    browser = browser_of(make_staff("manager"))
    for url in (ALERTS, LEVELS):
        assert "Select all 26" in browser.get(url).content.decode(), url


def test_numbers_in_lists_have_separators_and_stand_to_the_right_but_texts_of_digits_stay() -> None:
    receive(make_product(sku="1234567"), 1_234_567)
    page = browser_of(make_staff("manager")).get(LEVELS).content.decode()
    assert re.search(r'<td class="console-number [^"]*field-on_hand[^"]*"[^>]*>1,234,567</td>', page)
    assert re.search(r'<th class="[^"]*column-on_hand console-number', page)
    assert re.search(r'<th class="[^"]*column-incoming console-number', page)
    assert "1234567" in page
    moved = browser_of(make_staff("manager")).get(reverse("admin:inventory_movement_changelist")).content.decode()
    assert re.search(r'<td class="console-number [^"]*field-change[^"]*"[^>]*>(<[^>]*>)?\+1,234,567<', moved)
    assert re.search(r">\s*1234567\s*<", moved)


def test_number_of_rows_to_select_has_separators() -> None:
    warehouse = make_warehouse()
    products = [Product(sku=f"S-{number}", name="x") for number in range(1001)]
    Product.objects.bulk_create(products)
    StockLevel.objects.bulk_create([StockLevel(product=product, warehouse=warehouse) for product in products])
    page = browser_of(make_staff("manager")).get(LEVELS).content.decode()
    assert "Select all 1,001 " in page
    assert "All 1,001 selected" in page
    assert "1001" not in page
