"""The dashboard: figures that agree with the linked lists, permissions and readability."""

from datetime import timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from playwright.sync_api import expect

from inventory.models import LowStockAlert, ReconciliationRun, StockCount, StockLevel, Transfer
from reservations.services.holds.resolution import ConsumeRequest, ReleaseRequest, consume_hold, release_hold
from reservations.services.holds.selecting import Selector
from tests.browser.pages import DESKTOP, PHONE, Open, faults_of
from tests.factories import ACTOR, hold, make_due, make_level
from tests.staff import browser_of, make_staff

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("store")]


@pytest.fixture
def day() -> StockLevel:
    """A day in two warehouses: holds of each kind, an alert of each severity, a late transfer, an open count."""
    level, other = make_level(50), make_level(7, "wh-002")
    hold((level, 1)), hold((level, 2)), hold((other, 1))
    make_due(hold((level, 3)).id, ago=timedelta(seconds=5))
    release_hold(ReleaseRequest(ACTOR, Selector(hold((level, 4)).id)))
    consume_hold(ConsumeRequest(ACTOR, "ORD-1", Selector(hold((level, 5)).id)))
    now = timezone.now()
    for low, severity in ((level, "CRITICAL"), (other, "LOW")):
        LowStockAlert.objects.create(level=low, severity=severity, available=1, opened_at=now)
    LowStockAlert.objects.create(level=level, severity="LOW", available=1, opened_at=now, resolved_at=now)
    for late in (now - timedelta(days=1), now + timedelta(days=1)):
        Transfer.objects.create(
            status="IN_TRANSIT",
            from_warehouse=level.warehouse,
            to_warehouse=other.warehouse,
            expected_delivery=late,
            initiated_by="tests",
            initiated_at=now,
            shipped_at=now,
        )
    StockCount.objects.create(warehouse=level.warehouse, scope="ALL", opened_by="tests", opened_at=now)
    StockLevel.objects.filter(pk=other.pk).update(last_counted_at=now - timedelta(days=100))
    ReconciliationRun.objects.create(started_at=now, finished_at=now, actor="tests", levels_checked=2)
    return level


def figures(browser: Client) -> dict[str, Any]:
    """The figures on the page, by card and label, with their links."""
    context = browser.get("/admin/").context
    cards = {str(card.title): card.figures for card in context["cards"]}
    chart = [figure for _, figure in context["chart"].totals] if "chart" in context else []
    shown = {"": context["head"], "Hours": chart, **cards}
    return {f"{title}/{figure.label}".lstrip("/"): figure for title, listed in shown.items() for figure in listed}


def test_figures_are_those_of_the_database(day: StockLevel) -> None:
    shown = {name: figure.value for name, figure in figures(browser_of(make_staff("administrator"))).items()}
    assert shown["On hand"] == 52
    assert shown["Reserved"] == 7
    assert shown["Available"] == 45
    assert shown["Active reservations"] == 3
    assert (shown["Reservations/End within 5 minutes"], shown["Reservations/End later"]) == (0, 3)
    assert shown["Reservations/Expired, being released"] == 1
    assert [shown[f"Hours/{kind}"] for kind in ("Made", "Sold", "Expired", "Released")] == [6, 1, 1, 1]
    assert (shown["Low stock/Critical"], shown["Low stock/Low"]) == (1, 1)
    assert (shown["Transfers/On their way"], shown["Transfers/Overdue"]) == (2, 1)
    assert shown["Counts/Open counts"] == 1
    assert (shown["Counts/Never counted"], shown["Counts/Not counted for 90 days"]) == (1, 1)
    assert (shown["Reconciliation/Differences found"], shown["Reconciliation/Levels looked at"]) == (0, 2)
    assert shown["The service/Expiry delay"].endswith(" s")


@pytest.mark.parametrize("warehouses", [(), ("wh-002",)])
def test_each_figure_counts_the_rows_of_the_list_it_leads_to(day: StockLevel, warehouses: tuple[str, ...]) -> None:
    browser = browser_of(make_staff("manager", *warehouses))
    units = ("On hand", "Reserved", "Available")
    others = {"The service/Expiry delay", "Reconciliation/Levels looked at", "Reconciliation/Last run"}
    followed = 0
    for name, figure in figures(browser).items():
        if not figure.link:
            continue
        answer = browser.get(figure.link)
        assert answer.status_code == 200, name
        if name in units:
            assert answer.context["totals"][units.index(name)][1] == figure.shown, name
        elif name not in others:
            assert answer.context["cl"].result_count == figure.value, name
            followed += 1
    assert followed >= 13


def test_hours_of_the_chart_lead_to_their_holds_and_begin_as_the_readers_clock_has_them(day: StockLevel) -> None:
    browser = browser_of(make_staff("manager"))
    browser.cookies["console_zone"] = "Asia/Kolkata"
    hours = browser.get("/admin/").context["chart"].hours
    assert len(hours) == 24
    assert {(hour.begins.minute, hour.begins.utcoffset()) for hour in hours} == {(0, timedelta(hours=5, minutes=30))}
    followed = [figure for hour in hours for figure in (hour.made, *hour.ended) if figure.value]
    assert sum(figure.value for figure in followed) == 9
    for figure in followed:
        assert browser.get(figure.link).context["cl"].result_count == figure.value, figure.label


def test_every_figure_of_a_dashboard_without_stock_leads_to_an_empty_list() -> None:
    browser = browser_of(make_staff("administrator"))
    for name, figure in figures(browser).items():
        if figure.link:
            answer = browser.get(figure.link)
            assert (answer.status_code, answer.context["cl"].result_count) == (200, 0), name


def test_user_of_one_warehouse_is_shown_its_figures_alone(day: StockLevel) -> None:
    shown = {name: figure.value for name, figure in figures(browser_of(make_staff("manager", "wh-002"))).items()}
    assert (shown["On hand"], shown["Reserved"], shown["Active reservations"]) == (7, 1, 1)
    assert (shown["Low stock/Critical"], shown["Low stock/Low"], shown["Counts/Open counts"]) == (0, 1, 0)
    assert [shown[f"Hours/{kind}"] for kind in ("Made", "Sold", "Expired", "Released")] == [1, 0, 0, 0]
    assert not [name for name in shown if name.startswith(("The service", "Reconciliation"))]


def test_figures_of_closed_lists_are_not_shown(day: StockLevel) -> None:
    clerk = figures(browser_of(make_staff("warehouse")))
    assert not [name for name in clerk if name.startswith(("The service", "Reconciliation"))]
    manager = figures(browser_of(make_staff("manager")))
    assert "The service/Expiry delay" in manager
    assert "The service/Pending events" not in manager
    assert "The service/Pending events" in figures(browser_of(make_staff("administrator")))
    nobody = make_staff("viewer")
    nobody.groups.clear()
    page = browser_of(nobody).get("/admin/")
    assert (page.context["head"], page.context["cards"]) == ([], [])
    assert "Ask an administrator" in page.content.decode()


def test_page_asks_at_most_35_queries_however_much_there_is(day: StockLevel) -> None:
    browser = browser_of(make_staff("administrator"))
    asked = []
    for _ in range(2):
        cache.clear()
        with CaptureQueriesContext(connection) as captured:
            assert browser.get("/admin/").status_code == 200
        asked.append(len([query for query in captured if query["sql"].lstrip().startswith(("SELECT", "UPDATE"))]))
        for _ in range(5):
            hold((day, 1))
    assert asked[0] == asked[1] <= 35  # Of which 13 tell an administrator what runs and what is behind.


def test_dashboard_without_stock_explains_what_it_will_show() -> None:
    page = browser_of(make_staff("administrator")).get("/admin/").content.decode()
    assert "as soon as shops make them" in page
    assert "Nothing is low on stock." in page
    assert "Nothing is on its way." in page


@pytest.mark.parametrize(("shade", "size"), [("light", DESKTOP), ("dark", PHONE)], ids=["desktop", "phone"])
def test_page_is_readable_and_leads_on_by_keyboard(open_page: Open, day: StockLevel, shade: str, size: Any) -> None:
    page = open_page("/admin/", shade=shade, size=size)
    page.get_by_text("Figures by hour").press("Enter")
    assert faults_of(page) == []
    page.get_by_role("link", name="Overdue 1").press("Enter")
    expect(page.locator("#result_list tbody tr")).to_have_count(1)
