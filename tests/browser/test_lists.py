"""Alerts, movements, the trail and labels on a desktop and a phone, in light and dark."""

from datetime import timedelta
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import Page, expect

from audit.models import AuditEntry
from inventory.models import LowStockAlert, Movement, Product, StockLevel
from inventory.services.low_stock import alerts as low_stock
from tests.browser.pages import DESKTOP, PHONE, Open, faults_of
from tests.factories import hold, make_level

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("store")]


@pytest.fixture
def stock(store: Any) -> None:
    """Some levels, two of them low."""
    for units in (1, 4, 40):
        make_level(units, reorder_point=5, max_stock_level=20, zone="A", aisle="01", shelf=str(units))
    hold((make_level(10), 2))
    low_stock.raise_missed()


def addresses() -> dict[str, str]:
    movement, entry = Movement.objects.order_by("-id")[0], AuditEntry.objects.order_by("-id")[0]
    level = StockLevel.objects.exclude(zone="")[0]
    return {
        "alerts": reverse("admin:inventory_lowstockalert_changelist"),
        "alert": reverse("admin:inventory_lowstockalert_change", args=[LowStockAlert.objects.all()[0].pk]),
        "nothing": reverse("admin:inventory_lowstockalert_changelist") + "?state=resolved",
        "subscribe": reverse("admin:inventory_lowstockalert_subscribe"),
        "movements": reverse("admin:inventory_movement_changelist") + f"?day={timezone.localdate():%Y-%m-%d}",
        "movement": reverse("admin:inventory_movement_change", args=[movement.pk]),
        "audit": reverse("admin:audit_auditentry_changelist"),
        "entry": reverse("admin:audit_auditentry_change", args=[entry.pk]),
        "product": reverse("admin:inventory_product_change", args=[level.product_id]),
        "freeze": reverse("admin:inventory_product_freeze", args=[level.product_id]),
        "products": reverse("admin:inventory_product_changelist"),
        "labels": reverse("admin:inventory_product_labels") + "?size=100x50",
        "places": reverse("admin:inventory_warehouse_labels", args=[level.warehouse_id]),
    }


@pytest.mark.usefixtures("stock")
@pytest.mark.parametrize(("shade", "size"), [("light", DESKTOP), ("dark", PHONE)], ids=["desktop", "phone"])
def test_pages_are_readable_and_fit(open_page: Open, shade: str, size: Any) -> None:
    page = open_page("/admin/", shade=shade, size=size)
    found: dict[str, Any] = {}
    for name, path in addresses().items():
        page.goto(path)
        found[name] = faults_of(page)
    assert {name: faults for name, faults in found.items() if faults} == {}


def row_action(page: Page, name: str) -> None:
    page.locator("td.field-actions_holder button").first.click()
    page.get_by_role("link", name=name).click()


@pytest.mark.usefixtures("stock")
def test_alert_is_taken_care_of_from_the_list_and_once_for_a_double_click(open_page: Open) -> None:
    page = open_page(reverse("admin:inventory_lowstockalert_changelist"), group="warehouse")
    row_action(page, "Assign to me")
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Reason").fill("ordered")
    dialog.get_by_role("button", name="Assign to me").dblclick()
    expect(page.get_by_text("is assigned to")).to_be_visible()
    assert LowStockAlert.objects.filter(acknowledged_at__isnull=False).count() == 1
    assert AuditEntry.objects.filter(action="inventory_alert_acknowledged").count() == 1


@pytest.mark.usefixtures("stock")
def test_alert_is_snoozed_in_the_readers_own_time(open_page: Open) -> None:
    page = open_page(reverse("admin:inventory_lowstockalert_changelist"), group="warehouse", size=PHONE)
    row_action(page, "Snooze")
    until = (timezone.now() + timedelta(days=3)).replace(second=0, microsecond=0)
    page.get_by_role("dialog").get_by_label("Until").fill(f"{until:%Y-%m-%dT%H:%M}")
    page.get_by_role("dialog").get_by_role("button", name="Snooze").click()
    expect(page.get_by_text("is snoozed until")).to_be_visible()
    assert LowStockAlert.objects.get(snoozed_until__isnull=False).snoozed_until is not None


@pytest.mark.usefixtures("stock")
def test_days_and_files_are_above_the_list(open_page: Open) -> None:
    page = open_page(reverse("admin:inventory_movement_changelist"), group="manager")
    page.get_by_role("navigation", name="Days").get_by_role("link", name="Today").click()
    expect(page.get_by_role("navigation", name="Days").locator("[aria-current]").first).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("link", name="Export CSV").click()
    assert download.value.suggested_filename.startswith("movements-")
    assert len(download.value.path().read_text("utf-8-sig").splitlines()) == Movement.objects.count() + 1


@pytest.mark.usefixtures("stock")
def test_product_is_frozen_from_its_page(open_page: Open) -> None:
    product = Product.objects.order_by("sku")[0]
    page = open_page(reverse("admin:inventory_product_change", args=[product.pk]), group="manager")
    page.get_by_role("link", name="Freeze", exact=True).click()
    page.get_by_role("dialog").get_by_label("Reason").fill("recall")
    page.get_by_role("dialog").get_by_role("button", name="Freeze").click()
    expect(page.get_by_text("is frozen until the freeze is lifted.")).to_be_visible()
    product.refresh_from_db()
    assert (product.freeze_reason, product.frozen_until) == ("recall", None)


@pytest.mark.usefixtures("stock")
def test_headers_stay_numbers_align_and_what_is_sent_is_busy(open_page: Open) -> None:
    for _ in range(20):
        make_level(12345)
    page = open_page(reverse("admin:inventory_stocklevel_changelist"), size=DESKTOP)
    page.locator("#result_list tbody").last.scroll_into_view_if_needed()
    page.locator(".console-table").evaluate("table => table.scrollTo(0, table.scrollHeight)")
    expect(page.locator("#result_list th.column-on_hand")).to_be_in_viewport()
    cell = page.locator("#result_list td.field-on_hand", has_text="12,345").last
    assert cell.evaluate("cell => getComputedStyle(cell).textAlign") == "right"
    page.locator("#result_list tbody input").last.check()
    page.get_by_label("Select action to run").select_option("set_chosen")
    run = page.get_by_role("button", name="Run")
    before = run.bounding_box()
    page.evaluate("""() => {
        window.sends = 0;
        addEventListener("submit", event => {
            if (!event.defaultPrevented) window.sends += 1;
            event.preventDefault();
        });
    }""")
    run.click()
    busy = page.locator("#changelist-actions button[aria-busy=true]")
    expect(busy).to_be_visible()
    assert busy.bounding_box() == before
    page.locator("#changelist-form").evaluate("form => form.requestSubmit()")
    page.wait_for_load_state("networkidle")
    assert page.evaluate("window.sends") == 1
