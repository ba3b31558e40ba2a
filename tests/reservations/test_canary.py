"""The canary sells a hidden product as a shop does, leaves nothing behind, and is seen by nobody."""

from typing import Any
from unittest import mock

import pytest
from django.conf import settings
from django.db import connection
from django.urls import reverse

from audit import feed, heartbeats, hidden
from audit.models import ApiClient, ApiToken, AuditEntry, Heartbeat, OutboxEvent
from inventory.models import LedgerOpening, Movement, Product, StockLevel, Store, Warehouse
from inventory.services.bookkeeping.reconciliation import Run
from reservations.models import Reservation, ReservationItem
from reservations.services.bookkeeping.reconciliation import NIGHTLY, reconcile
from reservations.services.canary import goods, run_canary, running
from reservations.services.canary.shops import HttpShop, ServiceShop, shop_at
from reservations.services.holds import expiry
from reservations.tasks import run_the_canary
from tests.conftest import body_of
from tests.factories import make_due, make_level
from tests.staff import browser_of, make_staff

WHOLE = (goods.STOCK, 0)


def documents() -> int:
    """How many rows the runs of the canary have left."""
    found = (Reservation.everything, ReservationItem.objects, Movement.everything, AuditEntry.objects)
    return sum(manager.count() for manager in found) + OutboxEvent.objects.count() + ApiToken.objects.count()


def balanced() -> Run:
    run = reconcile(NIGHTLY)
    assert run.finding_count == 0, run.counts
    return run


@pytest.mark.django_db
def test_a_run_sells_a_unit_and_leaves_nothing_but_its_heartbeat() -> None:
    before = documents()
    assert run_the_canary() == "ok"
    assert goods.counters() == WHOLE
    assert documents() == before
    beat = heartbeats.read()[heartbeats.CANARY]
    assert beat.detail["milliseconds"] > 0
    assert run_the_canary() == "ok"
    assert (documents(), StockLevel.everything.count(), LedgerOpening.objects.count()) == (before, 1, 1)
    assert balanced().levels_checked == 1


@pytest.mark.django_db
@pytest.mark.parametrize("steps", [("reserve",), ("reserve", "consume"), ("reserve", "consume", "give_back")])
def test_what_a_run_left_that_was_cut_off_is_healed_by_the_next(steps: tuple[str, ...]) -> None:
    before = documents()
    goods.prepare()
    for step in steps:
        getattr(ServiceShop(), step)()
    assert documents() > before
    assert balanced().levels_checked == 1  # Even then the books balance.
    assert run_the_canary() == "ok"
    assert (goods.counters(), documents()) == (WHOLE, before)
    balanced()


@pytest.mark.django_db
@pytest.mark.parametrize("step", ["reserve", "consume", "give_back"])
def test_a_run_that_fails_says_so_and_touches_no_other_stock(step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    level = make_level(7)
    mine = AuditEntry.objects.count(), Movement.objects.count(), OutboxEvent.objects.count()

    def fail(_self: Any) -> None:
        raise OSError("no route")

    counted = mock.Mock()
    monkeypatch.setattr(running, "CANARY_RUNS", counted)
    with monkeypatch.context() as patched:
        patched.setattr(ServiceShop, step, fail)
        assert run_the_canary() == "failed"
    assert counted.add.call_args.args == (1, "failed")
    assert not Heartbeat.objects.filter(name="canary").exists()
    assert run_the_canary() == "ok"
    assert (AuditEntry.objects.count(), Movement.objects.count(), OutboxEvent.objects.count()) == mine
    level.refresh_from_db()
    assert (level.on_hand, level.reserved) == (7, 0)


@pytest.mark.django_db
def test_a_difference_of_its_own_stock_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ServiceShop, "give_back", lambda _self: None)
    assert run_the_canary() == "failed"


@pytest.mark.django_db(transaction=True)
def test_a_second_run_at_once_does_nothing() -> None:
    with running._alone() as is_alone:
        assert is_alone
        assert run_canary() == "skipped"
    assert run_canary() == "ok"


@pytest.mark.django_db
def test_without_it_nothing_runs_and_nobody_waits_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "CANARY", False)
    assert run_the_canary() == "skipped"
    assert not Product.everything.exists()
    assert heartbeats.CANARY not in heartbeats.expected()


@pytest.mark.django_db(transaction=True)
def test_by_http_it_sells_as_a_shop_does(live_server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    before = documents()
    monkeypatch.setattr(settings, "CANARY_URL", live_server.url)
    assert run_the_canary() == "ok"
    assert (goods.counters(), documents()) == (WHOLE, before)
    monkeypatch.setattr(settings, "CANARY_URL", "http://127.0.0.1:1")
    assert run_the_canary() == "failed"
    assert not ApiToken.objects.exists()


@pytest.mark.django_db
def test_its_token_reaches_its_own_goods_alone(make_api: Any, store: Any) -> None:
    level = make_level(5)
    goods.prepare()
    with shop_at("http://127.0.0.1:1") as shop:
        assert isinstance(shop, HttpShop)
        api = make_api().__class__(shop._token)
    items = [{"productId": str(level.product_id), "quantity": 1}]
    assert api.post("reserve", {"cartId": "c", "items": items}).status_code == 401  # The run is over.
    assert ApiClient.objects.get(pk=hidden.CLIENT_ID).store_codes == [hidden.CODE]


# ---------------------------------------------------------------------------------------------------------- nobody sees


@pytest.fixture
def _in_the_middle(store: Any) -> None:
    """A run that was cut off after each of its steps, beside the goods of a shop."""
    make_level(3)
    goods.prepare()
    shop = ServiceShop()
    shop.reserve()
    shop.consume()
    shop.give_back()
    shop.reserve()
    feed.tick()


@pytest.mark.django_db
@pytest.mark.usefixtures("_in_the_middle")
def test_no_list_of_the_api_and_no_event_shows_it(make_api: Any) -> None:
    api = make_api()
    for path in (
        *("levels", "reservations", "movements", "low-stock", "/api/v1/products", "/api/v1/warehouses"),
        *("/api/v1/stores", "/api/v1/events?cursor=oldest", str(hidden.PRODUCT_ID)),
        *(
            f"/api/v1/products/{hidden.PRODUCT_ID}",
            f"/api/v1/warehouses/{hidden.CODE}",
            f"/api/v1/stores/{hidden.CODE}",
        ),
    ):
        response = api.get(path)
        assert response.status_code < 500
        shown = response.content.decode().replace(f"There is no product {hidden.PRODUCT_ID}", "")
        shown = shown.replace(f"There is no store {hidden.CODE}", "").replace(
            f"There is no warehouse {hidden.CODE}", ""
        )
        assert "canary" not in shown.lower(), path
        assert str(hidden.PRODUCT_ID) not in shown, path
    assert not OutboxEvent.objects.filter(payload__icontains="canary").exists()
    lines = {"items": [{"productId": str(hidden.PRODUCT_ID), "quantity": 1}]}
    assert "AVAILABLE" not in str(body_of(api.post("check-availability", lines))["items"][0].get("status"))


@pytest.mark.django_db
@pytest.mark.usefixtures("_in_the_middle")
def test_no_page_of_the_console_shows_it() -> None:
    ApiClient.objects.get_or_create(
        pk=hidden.CLIENT_ID, defaults={"name": hidden.CODE, "role": "manager", "store_codes": [hidden.CODE]}
    )
    browser = browser_of(make_staff("administrator", name="ada"))
    names = [
        *("inventory_stocklevel", "inventory_product", "inventory_warehouse", "inventory_store", "inventory_movement"),
        *("reservations_reservation", "audit_auditentry", "audit_apiclient", "audit_apitoken", "audit_outboxevent"),
    ]
    pages = [reverse(f"admin:{name}_changelist") for name in names]
    for page in (*pages, reverse("admin:index"), f"{reverse('admin:find')}?q=canary"):
        response = browser.get(page, follow=True)
        assert response.status_code == 200, page
        shown = response.content.decode().lower()
        for typed in ("q=canary", 'value="canary"', "<span>canary</span>"):
            shown = shown.replace(typed, "")
        assert "canary" not in shown, page
    level = reverse("admin:inventory_stocklevel_change", args=[hidden.LEVEL_ID])
    assert browser.get(level).status_code in (302, 404)


@pytest.mark.django_db
@pytest.mark.usefixtures("_in_the_middle")
def test_managers_of_hidden_rows_leave_them_out_and_everything_has_them() -> None:
    for model in (Product, Warehouse, Store, StockLevel, Reservation, Movement):
        assert model.everything.count() > model.objects.count(), model


@pytest.mark.django_db
@pytest.mark.usefixtures("_in_the_middle")
def test_the_sweeper_leaves_it_alone_so_that_no_event_is_written() -> None:
    mine = Reservation.everything.get(status="ACTIVE")
    make_due(mine.pk)
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE reservations_reservation SET expires_at = now() - interval '1 hour' WHERE id = %s", [mine.pk]
        )
    before = OutboxEvent.objects.count()
    assert expiry.expire_due_holds() == 0
    assert OutboxEvent.objects.count() == before
    assert run_the_canary() == "ok"
    assert documents() == before + AuditEntry.objects.count() + Movement.objects.count()
