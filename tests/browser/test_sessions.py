"""Work in the browser isn't lost when its session or token ends, the network fails, or Back is pressed."""

import pytest
from django.contrib.auth.models import User
from django.urls import reverse
from playwright.sync_api import Dialog, Page, Route, expect

from inventory.models import StockLevel
from tests.browser.pages import Open, findings
from tests.factories import counters, make_level
from tests.staff import PASSWORD

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("store")]


def end_session() -> str:
    """End the only person's session by setting their password. Returns the name."""
    user = User.objects.get()
    user.set_password(PASSWORD)
    user.save()
    return user.username


def begin_receiving(open_page: Open, level: StockLevel, units: str) -> Page:
    """The dialog that receives units, filled in by a clerk of one warehouse."""
    page = open_page(reverse("admin:inventory_stocklevel_receive", args=[level.pk]), "warehouse", "wh-001")
    page.get_by_label("Quantity").fill(units)
    page.get_by_label("In your own words").fill("Delivery")
    return page


def test_session_that_ends_brings_the_login_over_the_page_and_the_work_goes_on(open_page: Open) -> None:
    level = make_level(5)
    page = begin_receiving(open_page, level, "7")
    name = end_session()
    page.get_by_role("button", name="Receive").dblclick()
    login = page.get_by_role("dialog", name="Your session has ended")
    expect(login.get_by_text(f"Log in again as {name} to continue.")).to_be_visible()
    expect(login.get_by_label("Password")).to_be_focused()
    assert findings(page) == []
    for password in ("not the password", PASSWORD):
        login.get_by_label("Password").fill(password)
        page.keyboard.press("Enter")
        if password != PASSWORD:
            expect(login.get_by_role("alert")).to_contain_text("username or password")
    expect(page.get_by_text("5 → 12 on hand")).to_be_visible()
    assert counters(level) == (12, 0)


def test_rotated_token_and_lost_network_lose_no_form(open_page: Open) -> None:
    level = make_level(5)
    page = begin_receiving(open_page, level, "7")
    page.context.clear_cookies(name="csrftoken")

    def refuse(route: Route) -> None:
        route.abort()

    page.route("**/admin/session/", refuse)
    page.get_by_role("button", name="Receive").click()
    offline = page.get_by_role("dialog", name="No connection")
    offline.get_by_role("button", name="Try again").click()
    expect(offline.get_by_role("alert")).to_have_text("Still no connection.")
    page.unroute("**/admin/session/")
    offline.get_by_role("button", name="Try again").click()
    expect(page.get_by_text("5 → 12 on hand")).to_be_visible()
    assert counters(level) == (12, 0)


def test_leaving_with_something_unsent_asks_and_going_back_sends_nothing_again(open_page: Open) -> None:
    level = make_level(5)
    asked: list[str] = []

    def stay(dialog: Dialog) -> None:
        asked.append(dialog.type)
        dialog.dismiss()

    page = begin_receiving(open_page, level, "abc")
    page.on("dialog", stay)
    with page.expect_event("dialog"):
        page.get_by_role("link", name="Stock", exact=True).first.click(no_wait_after=True)
    expect(page.get_by_label("Quantity")).to_have_value("abc")
    assert asked == ["beforeunload"]
    page.get_by_role("button", name="Receive").click()
    expect(page.get_by_text("is not a whole number")).to_be_visible()
    page.get_by_label("Quantity").fill("7")
    page.get_by_role("button", name="Receive").click()
    expect(page.get_by_text("5 → 12 on hand")).to_be_visible()
    page.go_back()
    expect(page.get_by_label("Quantity")).to_be_visible()
    page.reload()
    expect(page.get_by_label("Quantity")).to_be_visible()
    page.goto("/admin/")
    assert asked == ["beforeunload"]
    assert counters(level) == (12, 0)


def test_dialog_with_something_typed_is_closed_only_after_a_question(open_page: Open) -> None:
    level = make_level(5)
    answers: list[bool] = []
    asked: list[str] = []

    def answer(question: Dialog) -> None:
        asked.append(question.message)
        question.accept() if answers.pop(0) else question.dismiss()

    page = open_page(reverse("admin:inventory_stocklevel_change", args=[level.pk]), "warehouse", "wh-001")
    page.on("dialog", answer)
    dialog, receive = page.locator("dialog[open]"), page.get_by_role("link", name="Receive", exact=True).first
    cancel = dialog.get_by_role("link", name="Cancel").or_(dialog.get_by_role("button", name="Cancel"))
    for leave in (lambda: page.keyboard.press("Escape"), cancel.click):
        receive.click()
        expect(dialog.get_by_label("Quantity")).to_be_visible()
        leave()
        expect(dialog).to_have_count(0)
        receive.click()
        dialog.get_by_label("Quantity").fill("x")
        answers += [False, False, True]
        for times in (1, 2):  # A second Escape closes dialogs unasked in some browsers.
            leave()
            expect(dialog.get_by_label("Quantity")).to_have_value("x")
            assert len(answers) == 3 - times
        leave()
        expect(dialog).to_have_count(0)
    assert set(asked) == {"What you typed here is not saved yet. Close it, and lose it?"}
    # What was sent back with what is wrong is still not saved.
    receive.click()
    dialog.get_by_label("Quantity").fill("x")
    dialog.get_by_role("button", name="Receive").click()
    expect(dialog.get_by_text("is not a whole number")).to_be_visible()
    answers += [False, True]
    page.keyboard.press("Escape")
    expect(dialog.get_by_label("Quantity")).to_have_value("x")
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    assert answers == []
    assert counters(level) == (5, 0)
