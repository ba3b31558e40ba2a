"""Times lie within one bound, at every door: bodies and queries of the API, forms of the console, and files."""

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from audit.console.imports.cells import TimeCell
from audit.instants import NotAnInstant, parse_instant
from inventory.models import LowStockAlert, Product, StockLevel, Transfer
from tests.conftest import Api, body_of
from tests.drafts import begin_transfer, type_units
from tests.factories import make_level, make_product, make_warehouse
from tests.staff import browser_of, make_staff

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("store")]

OUTSIDE = [
    "0001-01-01T00:00:00Z",
    "0001-01-01T00:00:00+14:00",
    "1970-01-01T00:00:00Z",
    "1999-12-31T23:59:59.999999Z",
    "2000-01-01T00:00:00+00:01",
    "2200-01-01T00:00:00Z",
    "2199-12-31T23:59:59-00:01",
    "9999-12-31T23:59:59Z",
    "9999-12-31T23:59:59.999999-14:00",
]
NO_TIMES = ["0", "1700000000", "1700000000.5", "1e9", "-5", "45000", "x", "2026-01-01", "2026-01-01T00:00:00", "nan"]
WITHIN = ["2000-01-01T00:00:00Z", "2199-12-31T23:59:59.999999Z", "2030-01-01T00:00:00+14:00"]


def bodies(api: Api, value: Any) -> dict[str, Any]:
    """The answers of every route that takes a time in its body."""
    level, other = make_level(10), make_warehouse("wh-002")
    alert = LowStockAlert.objects.create(level=level, severity="LOW", available=1, opened_at=timezone.now())
    item = {"productId": str(level.product_id), "quantity": 1, "fromWarehouseId": "wh-001"}
    transfer = {"items": [{**item, "toWarehouseId": other.code}], "draft": True}
    product = f"/api/v1/products/{level.product_id}"
    return {
        "/expectedDelivery": api.post("/api/v1/inventory/transfer", {**transfer, "expectedDelivery": value}),
        "/listingExpiresAt": api.put(product, {"sku": "S", "name": "N", "listingExpiresAt": value}),
        "/until of a freeze": api.post(f"{product}/freeze", {"reason": "r", "until": value}),
        "/until": api.post(f"/api/v1/inventory/alerts/alr-{alert.pk}/snooze", {"until": value}),
    }


def queries(api: Api, value: str) -> dict[str, Any]:
    """The answers of every route that takes a time as a parameter."""
    level = make_level(10)
    return {
        "?since": api.get(f"/api/v1/inventory/movements?since={value}"),
        "?until": api.get(f"/api/v1/inventory/movements?until={value}"),
        "?at": api.get(f"/api/v1/inventory/{level.product_id}/explain?warehouseId=wh-001&at={value}"),
    }


@pytest.mark.parametrize("value", [*OUTSIDE[::2], *NO_TIMES[::3], 1_700_000_000, 1.5, True])
def test_bodies_take_no_time_outside_and_nothing_that_is_no_time(api: Api, value: Any) -> None:
    for field, answer in bodies(api, value).items():
        problem = body_of(answer, 400)
        assert problem["errors"][0]["pointer"] == field.partition(" ")[0]
        wanted = "must be a time within 2000-01-01 to 2199-12-31" if value in OUTSIDE else "must be a time with its"
        assert wanted in problem["errors"][0]["detail"]


@pytest.mark.parametrize("value", [*OUTSIDE, *NO_TIMES])
def test_parameters_take_no_time_outside_and_nothing_that_is_no_time(api: Api, value: str) -> None:
    for name, answer in queries(api, value.replace("+", "%2B")).items():
        assert body_of(answer, 400)["errors"][0]["pointer"] == name


@pytest.mark.parametrize("value", WITHIN)
def test_times_at_the_bounds_are_taken(api: Api, value: str) -> None:
    for answer in queries(api, value.replace("+", "%2B")).values():
        assert "must be a time" not in answer.content.decode()
    assert body_of(bodies(api, value)["/expectedDelivery"], 201)


def test_plus_that_arrived_as_a_blank_gets_a_hint(api: Api) -> None:
    for answer in queries(api, "2026-01-01T00:00:00+02:00").values():
        assert "A + in a query means a blank: write %2B instead." in body_of(answer, 400)["errors"][0]["detail"]
    number = body_of(api.get("/api/v1/inventory/movements?since=1700000000"), 400)
    assert "not a number" in number["errors"][0]["detail"]


@pytest.mark.parametrize("value", ["1_000", "1e1", "1.0", "%2B5", "٣", "５", "0x10", "5%20", "%205", "", "1,0"])
def test_whole_numbers_of_parameters_are_digits_alone(api: Api, value: str) -> None:
    answer = body_of(api.get(f"/api/v1/inventory/movements?limit={value}"), 400)
    assert answer["errors"][0]["pointer"] == "?limit"
    assert "whole number from 1 to 200, written in the digits 0 to 9, but is" in answer["errors"][0]["detail"]


# ----------------------------------------------------------------------------------------------------------- console


def snooze(browser: Client, level: StockLevel, value: str) -> Any:
    """The answer of the form that snoozes an alert."""
    alert = LowStockAlert.objects.create(level=level, severity="LOW", available=1, opened_at=timezone.now())
    address = reverse("admin:inventory_lowstockalert_snooze", args=[alert.pk])
    return browser.post(address, {"once": str(uuid4()), "until": value})


def typed(browser: Client, value: str) -> dict[str, Any]:
    """The answers of all forms of the console that take a time."""
    level = make_level(10)
    make_warehouse("wh-002")
    product = make_product()
    day, _, hour = value.partition("T")
    inlines = {f"{prefix}-{part}_FORMS": "0" for prefix in ("variants", "levels") for part in ("TOTAL", "INITIAL")}
    return {
        "draft": type_units(browser, begin_transfer(browser), {level.product_id: 1}, expected=value),
        "snooze": snooze(browser, level, value),
        "freeze": browser.post(
            reverse("admin:inventory_product_freeze", args=[level.product_id]),
            {"once": str(uuid4()), "until": value, "reason": "r"},
        ),
        "product": browser.post(
            reverse("admin:inventory_product_change", args=[product.pk]),
            {"sku": product.sku, "name": "n", "listing_expires_at_0": day, "listing_expires_at_1": hour, **inlines},
        ),
    }


@pytest.mark.usefixtures("without_menu")
@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "America/Los_Angeles"])
@pytest.mark.parametrize("value", ["0001-01-01T00:00", "1999-12-30T00:00", "2200-01-02T00:00", "9999-12-31T23:59"])
def test_forms_take_no_time_outside(value: str, zone: str) -> None:
    browser = browser_of(make_staff())
    browser.cookies["console_zone"] = zone
    for name, answer in typed(browser, value).items():
        errors = answer.context.get("errors") or answer.context["form"].errors
        assert "2000-01-01 to 2199-12-31" in str(errors), name
    assert not Transfer.objects.exclude(expected_delivery=None).exists()
    assert not Product.objects.exclude(listing_expires_at=None, frozen_at=None).exists()
    assert not LowStockAlert.objects.exclude(snoozed_until=None).exists()


@pytest.mark.parametrize("value", ["1700000000", "20300101", "2030-W01-1", "45000", "٢٠٣٠-٠١-٠١ 10:00", "tomorrow"])
def test_forms_and_files_take_nothing_that_is_no_time(value: str) -> None:
    answer = snooze(browser_of(make_staff()), make_level(10), value)
    assert f"“{value}” is not a time such as 2030-12-31 18:00." in answer.content.decode()
    with pytest.raises(ValueError, match="is not a time such as"):
        TimeCell().clean(value)


def test_times_of_files_and_forms_are_in_the_readers_zone_unless_they_say_otherwise() -> None:
    with timezone.override("Europe/Vienna"):
        zone = timezone.get_current_timezone()
        for text in ("2030-12-31 18:00", "2030-12-31T18:00", "2030-12-31 18:00:00", " 2030-12-31T18:00:00.000 "):
            assert parse_instant(text, zone) == datetime(2030, 12, 31, 17, tzinfo=UTC)
        assert parse_instant("2030-12-31 18:00Z", zone) == datetime(2030, 12, 31, 18, tzinfo=UTC)
        assert parse_instant("2030-12-31 18:00+05:30", zone) == datetime(2030, 12, 31, 12, 30, tzinfo=UTC)
        assert parse_instant("2030-12-31", zone) == datetime(2030, 12, 30, 23, tzinfo=UTC)
        for text in ("2030-02-30", "2030-12-31 25:00", "2030-12-31 18:00+25:00", "2030-13-01", "2030-12-31 18"):
            with pytest.raises(NotAnInstant, match="is not a time such as"):
                parse_instant(text, zone)
        for text in ("0001-01-01", "9999-12-31 23:59", "2200-01-01 01:00", "2199-12-31 23:59-02:00"):
            with pytest.raises(NotAnInstant, match="2000-01-01 to 2199-12-31"):
                parse_instant(text, zone)
