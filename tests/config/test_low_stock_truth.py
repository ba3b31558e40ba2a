"""Low stock: goods sold out again, goods that can't be sold, and settings judged at once, by API, form and file."""

from collections.abc import Callable
from typing import Any

import pytest
from django.core import mail
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import IntegrityError, connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from inventory.models import AlertSubscription, LowStockAlert, Product, StockLevel, Warehouse
from inventory.services.low_stock import alerts as low_stock
from inventory.services.low_stock import digests
from inventory.services.stock.adjustments import Adjustment, AdjustRequest, apply_adjustments
from inventory.services.stock.level_settings import LevelChange, set_levels
from reservations.services.holds.resolution import ReleaseRequest, release_hold
from reservations.services.holds.selecting import Selector
from tests.conftest import Api, body_of
from tests.factories import (
    ACTOR,
    hold,
    make_level,
    make_product,
    make_variant,
    make_warehouse,
    published,
    receive,
    recorded,
)

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("store")]
PAST = "2020-01-01T00:00:00Z"


def adjust(level: StockLevel, quantity: int) -> None:
    line = Adjustment(level.product_id, None, level.warehouse.code, quantity, "ADJUSTMENT", "counted")
    apply_adjustments(AdjustRequest(actor=ACTOR, adjustments=(line,)))


def open_severities() -> list[str]:
    return list(LowStockAlert.objects.unresolved().order_by("pk").values_list("severity", flat=True))


# ------------------------------------------------------------------------------------------------------ sold out again


@pytest.mark.parametrize("settings", [{"reorder_point": 20}, {"max_stock_level": 100, "min_stock_level": 2}])
def test_sold_out_again_is_published_and_mailed_again_though_acknowledged(settings: dict[str, int]) -> None:
    level = make_level(50, **settings)
    AlertSubscription.objects.create(warehouse=Warehouse.objects.get(code="wh-001"), email="x@example.com")
    adjust(level, -50)
    digests.send_digests()
    alert = LowStockAlert.objects.get()
    low_stock.acknowledge(alert.pk, ACTOR)
    adjust(level, 5)
    assert len(published("LowStockAlertEvent")) == 1
    made = hold((level, 3))
    if level.min_stock_level == 0:
        assert len(published("LowStockAlertEvent")) == 1, "2 are left"
        hold((level, 2))
    assert len(published("LowStockAlertEvent")) == 2
    alert.refresh_from_db()
    assert (alert.resolved_at, alert.acknowledged_at, alert.severity) == (None, None, "CRITICAL")
    assert digests.send_digests() == 1
    assert "sold out again" in str(mail.outbox[-1].body).lower()
    release_hold(ReleaseRequest(ACTOR, Selector(reservation_id=made.id)))
    assert len(published("LowStockAlertEvent")) == 2, "getting better is nothing to publish"


def test_nothing_sellable_is_critical_in_list_and_alert_and_comes_first(api: Api) -> None:
    almost = make_level(1, reorder_point=20)
    low = make_level(10, reorder_point=20)
    sold_out = make_level(12, min_stock_level=10, reorder_point=5)
    hold((sold_out, 2))
    body = body_of(api.get("low-stock"))
    assert [(item["productId"], item["status"]) for item in body["items"]] == [
        (str(almost.product_id), "CRITICAL"),
        (str(sold_out.product_id), "CRITICAL"),
        (str(low.product_id), "LOW"),
    ]
    assert (body["criticalItems"], body["lowItems"]) == (2, 1)
    seen, cursor = [], ""
    while cursor is not None:
        page = body_of(api.get(f"low-stock?limit=1{cursor and f'&cursor={cursor}'}"))
        seen += [item["productId"] for item in page["items"]]
        cursor = page["next"]
    assert seen == [item["productId"] for item in body["items"]]
    assert [event["severity"] for event in published("LowStockAlertEvent")] == ["CRITICAL"]


# -------------------------------------------------------------------------------------------------- what can't be sold


def _product(api: Api, product: Product, **fields: Any) -> None:
    body = {
        "sku": product.sku,
        "name": product.name,
        **({"parentId": str(product.parent_id)} if product.parent else {}),
    }
    body_of(api.put(f"/api/v1/products/{product.pk}", {**body, **fields}))


def _warehouse(api: Api, _product: Product, **fields: Any) -> None:
    body = {"name": "wh-001", "type": "MAIN", "address": {"city": "Graz"}}
    body_of(api.put("/api/v1/warehouses/wh-001", {**body, **fields}))


def _parent(api: Api, product: Product, **fields: Any) -> None:
    assert product.parent is not None
    _product(api, product.parent, **fields)


RETIRED = [
    (_product, {"isActive": False}),
    (_product, {"listingExpiresAt": PAST}),
    (_parent, {"isActive": False}),
    (_parent, {"listingExpiresAt": PAST}),
    (_warehouse, {"isActive": False}),
]


@pytest.mark.parametrize(("change", "fields"), RETIRED)
def test_goods_that_can_not_be_sold_resolve_their_alerts_at_once_and_raise_none(
    api: Api, change: Callable[..., None], fields: dict[str, Any]
) -> None:
    level = receive(make_variant(make_product()), 40)
    StockLevel.objects.filter(pk=level.pk).update(reorder_point=20)
    other = make_level(30, "wh-002", reorder_point=20)
    adjust(other, -20)
    adjust(level, -25)
    assert open_severities() == ["LOW", "LOW"]
    change(api, level.product, **fields)
    (left,) = LowStockAlert.objects.unresolved()
    assert left.level_id == other.pk, "resolved at once"
    assert [item["warehouseId"] for item in body_of(api.get("low-stock"))["items"]] == ["wh-002"]
    adjust(level, -15)
    low_stock.raise_missed()
    assert len(published("LowStockAlertEvent")) == 2, "sold out, but nothing to order"
    alert = LowStockAlert.objects.get(level=level)
    assert low_stock.outlooks([alert.level])[level.pk].suggested_order is None
    change(api, level.product)
    assert sorted(open_severities()) == ["CRITICAL", "LOW"], "sold again: judged at once"


def test_an_ended_listing_is_neither_mailed_nor_left_open(api: Api) -> None:
    level = make_level(30, reorder_point=20)
    AlertSubscription.objects.create(warehouse=level.warehouse, email="x@example.com")
    adjust(level, -20)
    Product.objects.filter(pk=level.product_id).update(listing_expires_at=timezone.now())
    assert digests.send_digests() == 0, "though the task hasn't resolved it yet"
    assert low_stock.resolve_recovered() == 1


def test_a_frozen_product_is_still_ordered() -> None:
    level = make_level(30, reorder_point=20)
    Product.objects.filter(pk=level.product_id).update(frozen_at=timezone.now())
    adjust(level, -20)
    assert open_severities() == ["LOW"]
    assert low_stock.resolve_recovered() == 0


# --------------------------------------------------------------------------------------------------- settings, at once


def test_settings_are_judged_at_once_in_the_api(api: Api) -> None:
    level = make_level(10)
    path = f"{level.product_id}/levels/wh-001"
    body_of(api.patch(path, {"reorderPoint": 20}))
    assert (open_severities(), len(published("LowStockAlertEvent"))) == (["LOW"], 1)
    body_of(api.patch(path, {"minStockLevel": 10}))
    assert open_severities() == ["CRITICAL"]
    body_of(api.patch(path, {"minStockLevel": 0, "reorderPoint": 5}))
    assert open_severities() == []


def test_judging_many_levels_takes_no_more_statements_than_one() -> None:
    counts = []
    for count in (1, 20):
        levels = [make_level(10) for _ in range(count)]
        changes = [LevelChange(level.product_id, "wh-001", {"reorder_point": 20}) for level in levels]
        with CaptureQueriesContext(connection) as queries:
            set_levels(ACTOR, changes, claim=None)
        counts.append(len(queries))
    assert counts[0] == counts[1]
    assert len(open_severities()) == 21


# --------------------------------------------------------------------------------- a reorder point above the maximum


def test_a_reorder_point_above_the_maximum_is_refused_in_the_api(api: Api) -> None:
    level = make_level(10, max_stock_level=40)
    path = f"{level.product_id}/levels/wh-001"
    for body in ({"reorderPoint": 41}, {"reorderPoint": 50, "maxStockLevel": 49}):
        problem = body_of(api.patch(path, body), 400)
        assert problem["errors"][0]["pointer"] == "/reorderPoint"
        assert "above the maximum" in problem["detail"]
    body_of(api.patch(path, {"reorderPoint": 40}))
    assert "above the maximum" in body_of(api.patch(path, {"maxStockLevel": 39}), 400)["detail"]
    body_of(api.patch(path, {"reorderPoint": 50, "maxStockLevel": 50}))


def test_a_reorder_point_above_the_maximum_is_refused_in_form_bulk_and_file(manager: Client) -> None:
    first, second = make_level(1, max_stock_level=40), make_level(1, max_stock_level=90)
    url = reverse("admin:inventory_stocklevel_set_rows")
    for sent in ({"reorder_point": "50"}, {"reorder_point": "50", "max_stock_level": "49"}):
        page = manager.get(url, {"level": [str(first.pk), str(second.pk)]})
        opened = page.context["form"].initial
        carried = {"once": str(opened["once"]), "seen": opened["seen"]}
        answer = manager.post(url, {**carried, "level": [str(first.pk), str(second.pk)], **sent})
        assert answer.status_code == 422
        assert "above the maximum" in answer.content.decode()
    lines = f"sku,warehouse,reorder_point\n{first.product.sku},wh-001,41\n{second.product.sku},wh-001,41\n"
    file = SimpleUploadedFile("settings.csv", lines.encode())
    url = reverse("admin:inventory_stocklevel_import_settings")
    looked = manager.post(url, {"do": "look", "file": file})
    found = looked.context["dialog"].preview.faults
    assert [(fault.row, fault.column) for fault in found] == [(2, "reorder_point")]
    assert not recorded("inventory_level_changed")
    with pytest.raises(IntegrityError, match="level_reorder_point_within_maximum"), transaction.atomic():
        StockLevel.objects.filter(pk=first.pk).update(reorder_point=41)


def test_a_closed_warehouse_with_many_alerts_is_settled_in_bounded_batches(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(low_stock, "_BATCH", 2)
    make_warehouse()
    for _ in range(5):
        adjust(make_level(30, reorder_point=20), -20)
    _warehouse(api, make_product(), isActive=False)
    assert open_severities() == []
