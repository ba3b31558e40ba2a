"""Rows whose times are outside the bounds, from before there were any, still show on all pages and in all zones."""

from typing import Any

import pytest
from django.core import mail
from django.db import connection
from django.urls import reverse
from django.utils import timezone
from uuid_utils.compat import uuid7

from audit.models import ApiToken
from inventory.models import AlertSubscription, LowStockAlert, Product, StockLevel, Transfer, Warehouse
from inventory.services.low_stock.digests import send_digests
from tests.conftest import Api, body_of
from tests.factories import make_client, make_level, make_warehouse, receive
from tests.staff import browser_of, make_staff

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("store")]

EARLY = ("0001-12-31 22:54:39+00 BC", "0001-01-01 00:00:00+00", "-infinity")
LATE = ("9999-12-31 23:59:59.999999+00", "10000-01-01 07:59:59+00", "infinity")


def set_times(row: Any, **times: str) -> None:
    """Set times of a row by SQL: most of these can't be written otherwise."""
    columns = ", ".join(f"{name} = %s::text::timestamptz" for name in times)
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE {row._meta.db_table} SET {columns} WHERE id = %s", [*times.values(), row.pk])


@pytest.fixture
def level() -> StockLevel:
    """A level with rows around it that have times which no zone can show, or not even Python has."""
    made = make_level(10, reorder_point=20)
    source = receive(made.product, 10, make_warehouse("wh-002").code)
    for at in (*EARLY, *LATE):
        for shipped in (0, 1):
            transfer = Transfer.objects.create(
                from_warehouse=source.warehouse,
                to_warehouse=made.warehouse,
                status="IN_TRANSIT" if shipped else "PENDING",
                initiated_at=timezone.now(),
                initiated_by="x",
                shipped_at=timezone.now() if shipped else None,
            )
            ends = {"source_level": source, "destination_level": made} if shipped else {}
            transfer.lines.create(product=made.product, quantity=1, quantity_shipped=shipped, **ends)
            set_times(transfer, expected_delivery=at)
        token = ApiToken.objects.create(client=make_client(), prefix=str(uuid7())[-12:], digest=uuid7().bytes * 2)
        set_times(token, expires_at=at)
        product = make_level(1).product
        set_times(product, listing_expires_at=at)
        if at in LATE:
            set_times(product, frozen_at=EARLY[0], frozen_until=at)
    alert = LowStockAlert.objects.create(
        level=made, severity="CRITICAL", available=10, opened_at=timezone.now(), worsened_at=timezone.now()
    )
    set_times(alert, snoozed_until=LATE[1])
    set_times(made.warehouse, frozen_at=EARLY[0], frozen_until=LATE[2])
    return made


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "America/Los_Angeles"])
def test_every_page_shows_rows_outside_the_bounds(level: StockLevel, zone: str) -> None:
    browser = browser_of(make_staff())
    browser.cookies["console_zone"] = zone
    lists = {
        model: reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
        for model in (Transfer, ApiToken, LowStockAlert, Product, Warehouse, StockLevel)
    }
    pages = ["/admin/", f"{lists[Product]}export.csv", f"{lists[LowStockAlert]}export.xlsx", *lists.values()]
    for model, address in lists.items():
        pages += [f"{address}{pk}/change/" for pk in model._default_manager.values_list("pk", flat=True)]
    drafts = Transfer.objects.filter(status="PENDING").values_list("pk", flat=True)
    pages += [reverse("admin:inventory_transfer_change_draft", args=[pk]) for pk in drafts]
    pages += [reverse("admin:inventory_lowstockalert_snooze", args=[LowStockAlert.objects.get().pk])]
    answers = {page: browser.get(page, follow=True) for page in pages}
    assert len(pages) > 40
    assert {page: answer.status_code for page, answer in answers.items() if answer.status_code != 200} == {}


def test_api_and_mails_show_rows_outside_the_bounds(level: StockLevel, api: Api) -> None:
    shown = body_of(api.get("/api/v1/inventory/transfers"))["items"]
    times = {item["expectedDelivery"] for item in shown}
    assert times == {"0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z"}
    for path in ("products", "inventory/low-stock", "inventory/alerts", f"inventory/{level.product_id}/explain"):
        body_of(api.get(f"/api/v1/{path}"))
    set_times(LowStockAlert.objects.get(), snoozed_until=EARLY[1])
    AlertSubscription.objects.create(warehouse=level.warehouse, email="a@example.com")
    send_digests()
    assert level.product.sku in mail.outbox[0].body
