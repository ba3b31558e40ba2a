"""Reservations in the browser: released, extended and sold once, one or many at a time, with permissions."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.urls import reverse
from playwright.sync_api import BrowserContext, Page, expect

from reservations.models import Reservation
from tests.browser.pages import DESKTOP, PHONE, faults_of
from tests.factories import counters, hold, make_due, make_level, make_store, recorded
from tests.staff import browser_of, make_staff

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("store")]

LIST = "/admin/reservations/reservation/"


@pytest.fixture
def context(open_context: Callable[..., BrowserContext]) -> BrowserContext:
    """A manager's browser."""
    return open_context("manager")


def page_of(id_: Any) -> str:
    return reverse("admin:reservations_reservation_change", args=[id_])


def choose(page: Page, action: str) -> None:
    """Tick all rows and run an action."""
    page.locator("#action-toggle").check()
    page.locator("select[name=action]").select_option(label=action)
    with page.expect_navigation():
        page.locator("#changelist-actions-wrapper button[type=submit]").click()


def states() -> dict[str, str]:
    return {row.cart_id or "": row.status for row in Reservation.objects.all()}


def test_hold_is_released_once_by_a_double_click_and_its_timeline_has_actor_and_reason(context: BrowserContext) -> None:
    level = make_level(10)
    held = hold((level, 3))
    page = context.new_page()
    page.goto(page_of(held.id))
    page.get_by_role("link", name="Release").first.click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Reason").fill("Shopper called")
    dialog.get_by_role("button", name="Release").dblclick()
    expect(page.get_by_text("3 units are available again.")).to_be_visible()
    assert counters(level) == (10, 0)
    (entry,) = recorded("inventory_reservation_released")
    assert (entry.actor, entry.source, entry.changes["reason"]) == ("manager-0", "admin", "Shopper called")
    life = page.locator(".console-life li")
    expect(life).to_have_count(2)
    expect(life.last).to_contain_text("Released – Shopper called")
    expect(life.last).to_contain_text("by manager-0 in the console")
    expect(life.last.get_by_role("link", name=entry.request_id)).to_be_visible()
    expect(page.get_by_role("link", name="Release")).to_have_count(0)


def test_same_form_in_two_tabs_sells_once(context: BrowserContext) -> None:
    level = make_level(10)
    held = hold((level, 4))
    address = reverse("admin:reservations_reservation_consume", args=[held.id])
    first, second = context.new_page(), context.new_page()
    first.goto(address)
    second.goto(address)
    once = first.locator("main [name=once]").input_value()
    second.locator("main [name=once]").evaluate("(field, once) => { field.value = once }", once)
    for tab in (first, second):
        tab.get_by_label("Order").fill("ORD-7")
        tab.get_by_label("Order").press("Enter")
        expect(tab.get_by_text("4 units sold for order ORD-7.")).to_be_visible()
    assert counters(level) == (6, 0)
    assert len(recorded("inventory_reservation_consumed")) == 1


def test_many_are_released_with_a_result_for_each(context: BrowserContext) -> None:
    level = make_level(20)
    made = [hold((level, units), cart_id=f"cart-{units}") for units in (1, 2, 3)]
    page = context.new_page()
    page.goto(f"{LIST}?state=ACTIVE")
    choose(page, "Release")
    page.get_by_label("Reason").fill("Shop closed")
    page.get_by_role("button", name="Release").click()
    expect(page.get_by_role("heading", name="Released: 3 of 3")).to_be_visible()
    assert counters(level) == (20, 0)
    page.get_by_role("link", name="Back to the list").click()
    expect(page).to_have_url(re.compile(r"\?state=ACTIVE$"))
    page.go_back()
    page.reload()
    expect(page.locator("#changelist")).to_be_visible()  # Not the form once more.
    assert len(recorded("inventory_reservation_released")) == len(made)


def test_holds_that_cannot_be_sold_are_listed_first_and_the_rest_is_sold(context: BrowserContext) -> None:
    level = make_level(20)
    dead, live = hold((level, 1), cart_id="dead"), hold((level, 2), cart_id="live")
    make_due(dead.id)
    page = context.new_page()
    page.goto(LIST)
    expect(page.locator("tr", has_text="dead").locator("[data-state]")).to_have_text("Expired")
    choose(page, "Sell for an order")
    page.get_by_label("Order").fill("ORD-1")
    page.get_by_role("button", name="Sell").click()
    expect(page.get_by_role("heading", name="Sold: 1 of 2")).to_be_visible()
    results = page.locator(".console-told li")
    expect(results.first).to_contain_text(dead.public_id[-8:])
    expect(results.first).to_contain_text("This reservation has expired; its units are available to others.")
    expect(results.last).to_contain_text(live.public_id[-8:])
    assert states() == {"dead": "ACTIVE", "live": "CONSUMED"}
    assert counters(level) == (18, 1)


def test_hold_is_extended_with_the_keyboard_once_and_then_refused_in_words(context: BrowserContext) -> None:
    held = hold((make_level(10), 1))
    page = context.new_page()
    page.goto(reverse("admin:reservations_reservation_extend", args=[held.id]))
    page.get_by_label("Minutes").fill("10")
    page.get_by_label("Minutes").press("Enter")
    expect(page.get_by_text(f"{held.public_id[-8:]}: Reserved until")).to_be_visible()
    row = Reservation.objects.get(pk=held.id)
    assert (row.expires_at - held.expires_at).total_seconds() == 600
    page.goto(reverse("admin:reservations_reservation_extend", args=[held.id]))
    page.get_by_role("button", name="Extend").click()
    expect(page.get_by_role("alert")).to_contain_text("can be extended only once")
    assert Reservation.objects.get(pk=held.id).expires_at == row.expires_at


def test_time_left_counts_down_and_ends_as_expired(context: BrowserContext) -> None:
    held = hold((make_level(10), 1))
    page = context.new_page()
    page.clock.install()
    page.goto(LIST)
    left = page.locator(".console-countdown")
    before = left.inner_text()
    page.clock.run_for(3000)
    assert left.inner_text() != before
    page.clock.fast_forward(int((held.expires_at - held.created_at).total_seconds() * 1000))
    page.clock.run_for(1100)
    expect(left).to_have_text("ended")
    expect(page.locator("[data-state]")).to_have_text("Expired")


def test_limited_users_see_only_holds_in_reach_and_clerks_change_none(
    open_context: Callable[..., BrowserContext],
) -> None:
    mine, other = make_level(10), make_level(10, "wh-009")
    make_store("far", "wh-009", is_default=False)
    make_store("both", "wh-001", "wh-009", is_default=False)
    seen, hidden = hold((mine, 1)), hold((other, 1), store="far")
    shared = hold((mine, 1), (other, 2), store="both")
    page = open_context("manager", "wh-001").new_page()
    page.goto(LIST)
    expect(page.get_by_text(seen.public_id)).to_be_visible()
    expect(page.get_by_text(hidden.public_id)).to_have_count(0)
    expect(page.locator("tr", has_text=shared.public_id).locator(".field-units")).to_have_text("1")
    choose(page, "Release")
    form = page.locator("main form").last
    form.locator("[name=chosen]").evaluate(
        "(field, ids) => { field.value = ids }", ",".join(str(hold_.id) for hold_ in (seen, hidden, shared))
    )
    form.get_by_label("Reason").fill("mine")
    form.get_by_role("button", name="Release").click()
    expect(page.get_by_role("heading", name="Released: 1 of 3")).to_be_visible()
    assert Reservation.objects.get(pk=seen.id).status == "RELEASED"
    assert set(Reservation.objects.filter(pk__in=[hidden.id, shared.id]).values_list("status", flat=True)) == {"ACTIVE"}
    viewer = browser_of(make_staff("warehouse"))
    for verb in ("release", "extend", "consume"):
        for url in (
            reverse(f"admin:reservations_reservation_{verb}", args=[hidden.id]),
            reverse(f"admin:reservations_reservation_chosen_{verb}"),
        ):
            assert viewer.post(url, {"chosen": str(hidden.id)}).status_code == 403


@pytest.mark.parametrize(("shade", "size"), [("light", DESKTOP), ("dark", PHONE)], ids=["desktop", "phone"])
def test_pages_have_no_serious_finding(context: BrowserContext, shade: Any, size: Any) -> None:
    page = context.new_page()
    page.set_viewport_size(size)
    page.emulate_media(color_scheme=shade)
    page.goto(f"{LIST}?state=ACTIVE")
    expect(page.get_by_text("Try fewer words or clear the filters.")).to_be_visible()
    level = make_level(20)
    held, dead = hold((level, 2)), hold((level, 1), order_id="ORD-1")
    make_due(dead.id)
    found = {}
    for path in (LIST, page_of(held.id), page_of(dead.id), f"{LIST}{held.id}/release/"):
        page.goto(path)
        found[path] = faults_of(page)
    assert {path: faults for path, faults in found.items() if faults} == {}
