"""Explanations of sellable units, and on hand at a moment of the past."""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from django.conf import LazySettings
from django.core.management import call_command
from django.db import connection
from django.db.models.functions import Now
from django.test.utils import CaptureQueriesContext
from uuid_utils.compat import uuid7

from audit.roles import Role
from inventory.locking import read_clock
from inventory.models import Movement, Product, StockLevel, Warehouse
from reservations.services.availability import explanation
from tests.archives import let_days_pass
from tests.conftest import Api
from tests.contract.problems import pointers, problem
from tests.factories import (
    ACTOR,
    hold,
    make_due,
    make_level,
    make_product,
    make_store,
    make_variant,
    make_warehouse,
    receive,
)

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("store")]


def explained(api: Api, level: StockLevel, query: str = "") -> dict[str, Any]:
    response = api.get(f"{level.product_id}/explain?{query}")
    assert response.status_code == 200, response.content
    answer: dict[str, Any] = response.json()  # type: ignore[attr-defined]
    return answer


def only(api: Api, level: StockLevel) -> dict[str, Any]:
    """The explanation of the only warehouse with the level's product."""
    (warehouse,) = explained(api, level)["warehouses"]
    return dict(warehouse)


def test_every_figure_is_explained_by_what_it_is_made_of(api: Api) -> None:
    level = make_level(20, min_stock_level=3)
    second = hold((level, 4), cart_id="cart", order_id="order", customer_id="ada", timeout_minutes=20)
    first = hold((level, 2))
    dead = hold((level, 5))
    make_due(dead.id)
    answer = explained(api, level)
    (figures,) = answer["warehouses"]
    assert answer["sellable"] == figures["sellable"] == 20 - 11 + 5 - 3
    assert (figures["quantityOnHand"], figures["quantityReserved"], figures["quantityAvailable"]) == (20, 11, 9)
    assert (figures["safetyStock"], figures["blockedBy"], figures["warehouseId"]) == (3, [], "wh-001")
    assert (figures["holds"]["count"], figures["holds"]["units"]) == (2, 6)
    assert [item["reservationId"] for item in figures["holds"]["items"]] == [first.public_id, second.public_id]
    ours = figures["holds"]["items"][1]
    assert 1190 < ours.pop("expiresInSeconds") <= 1200
    assert ours.pop("expiresAt").endswith("Z")
    assert ours == {
        "reservationId": second.public_id,
        "storeId": "main",
        "cartId": "cart",
        "orderId": "order",
        "customerId": "ada",
        "quantity": 4,
    }
    assert (figures["dueHolds"]["count"], figures["dueHolds"]["units"]) == (1, 5)
    assert [item["expiresInSeconds"] for item in figures["dueHolds"]["items"]] == [0]
    assert "lowStock" not in figures
    assert answer["asOf"].endswith("Z")


def test_sellable_is_what_reserve_decides_by(api: Api) -> None:
    level = make_level(10, min_stock_level=2)
    hold((level, 3))
    make_due(hold((level, 4)).id)
    sellable = explained(api, level)["sellable"]
    line = {"productId": str(level.product_id), "quantity": sellable + 1}
    body = problem(api.post("reserve", {"cartId": "c", "items": [line]}), 409, "insufficient_stock")
    assert body["errors"][0]["available"] == sellable
    assert api.post("reserve", {"cartId": "c", "items": [{**line, "quantity": sellable}]}).status_code == 201
    assert explained(api, level)["sellable"] == 0


@pytest.mark.parametrize(
    ("model", "change", "code"),
    [
        (Product, {"is_active": False}, "product_inactive"),
        (Product, {"listing_expires_at": Now()}, "listing_expired"),
        (Product, {"frozen_at": Now(), "freeze_reason": "recall"}, "product_frozen"),
        (Warehouse, {"is_active": False}, "warehouse_inactive"),
        (Warehouse, {"frozen_at": Now(), "freeze_reason": "flood"}, "warehouse_frozen"),
    ],
)
def test_each_reason_that_blocks_holds_is_named(api: Api, model: Any, change: dict[str, Any], code: str) -> None:
    level = make_level(10)
    model.objects.update(**change)
    figures = only(api, level)
    assert [block["code"] for block in figures["blockedBy"]] == [code]
    assert (figures["sellable"], figures["quantityOnHand"]) == (0, 10)
    assert figures["blockedBy"][0]["detail"]
    assert "until" not in figures["blockedBy"][0]


def test_a_freeze_ends_at_its_end_and_a_parents_freezes_its_variants(api: Api) -> None:
    make_warehouse()
    parent = make_product()
    level = receive(make_variant(parent), 5)
    now = read_clock()
    Product.objects.filter(pk=parent.pk).update(frozen_at=now, frozen_until=now + timedelta(hours=1))
    Warehouse.objects.update(frozen_at=now - timedelta(hours=2), frozen_until=now - timedelta(hours=1))
    answer = explained(api, level)
    assert (answer["productId"], answer["variantId"]) == (str(parent.id), str(level.product_id))
    (block,) = answer["warehouses"][0]["blockedBy"]
    assert (block["code"], datetime.fromisoformat(block["until"])) == ("product_frozen", now + timedelta(hours=1))
    Product.objects.filter(pk=parent.pk).update(is_active=False)
    assert [block["code"] for block in only(api, level)["blockedBy"]] == ["product_inactive", "product_frozen"]


def test_what_is_coming_and_what_moved_last_is_shown(api: Api) -> None:
    source = make_level(50, "wh-002")
    receive(source.product_id, 1, "wh-001")
    for number in range(1, 12):
        receive(source.product_id, number, "wh-001")
    for quantity, expected in ((3, "2150-05-02T00:00:00Z"), (4, None), (5, "2027-05-01T00:00:00Z")):
        item = {"productId": str(source.product_id), "quantity": quantity}
        route = {"fromWarehouseId": "wh-002", "toWarehouseId": "wh-001"}
        body = {"items": [{**item, **route}], "reason": "rebalance"}
        sent = api.post("transfer", body | ({"expectedDelivery": expected} if expected else {}))
        assert sent.status_code == 201, sent.content
    here, there = explained(api, source)["warehouses"]
    assert here["incoming"]["units"] == 12
    coming = [(each["quantity"], each["fromWarehouseId"]) for each in here["incoming"]["transfers"]]
    assert coming == [(5, "wh-002"), (3, "wh-002"), (4, "wh-002")]
    assert here["incoming"]["transfers"][0]["transferId"].startswith("tr-")
    assert here["sellable"] == sum(range(12)) + 1
    assert [line["quantity"] for line in here["lastMovements"]] == list(range(11, 1, -1))
    assert there["incoming"] == {"units": 0, "transfers": []}
    assert there["lastMovements"][0]["referenceType"] == "transfer"


def test_the_open_alert_and_a_cost_are_shown(api: Api) -> None:
    level = make_level(10, reorder_point=8)
    line = {"productId": str(level.product_id), "warehouseId": "wh-001", "reason": "r"}
    for change in ({"quantity": 2, "type": "RETURN", "costPerUnit": "2.50"}, {"quantity": 11, "type": "SHIPMENT"}):
        assert api.put("adjust", {"adjustments": [{**line, **change}]}).status_code == 200
    figures = only(api, level)
    assert figures["lowStock"]["severity"] == "LOW"
    assert figures["lowStock"]["alertId"].startswith("alr-")
    assert figures["lastMovements"][1]["costPerUnit"] == "2.50"
    (listed,) = (m for m in api.get("movements?type=RETURN").json()["items"])  # type: ignore[attr-defined]
    assert listed == figures["lastMovements"][1]


def test_warehouses_are_those_asked_for_and_seen(make_api: Callable[..., Api], api: Api) -> None:
    make_store("outlet", "wh-002", "wh-003", is_default=False)
    level = make_level(1)
    for number, code in enumerate(("wh-002", "wh-003"), 2):
        receive(level.product_id, number, code)
    hold((StockLevel.objects.get(warehouse__code="wh-002"), 2), cart_id="ours", store="outlet")
    receive(level.product_id, 1, "wh-002")
    line = {"productId": str(level.product_id), "quantity": 1, "warehouseId": "wh-002"}
    assert api.post("reserve", {"cartId": "theirs", "items": [line]}).status_code == 201

    def codes(of: Api, query: str = "") -> list[str]:
        return [each["warehouseId"] for each in explained(of, level, query)["warehouses"]]

    outlet = make_api(Role.CHECKOUT, stores=("outlet",))
    assert codes(api) == ["wh-001", "wh-002", "wh-003"]
    assert codes(api, "warehouseId=wh-002") == ["wh-002"]
    assert codes(outlet) == ["wh-002", "wh-003"]
    problem(outlet.get(f"{level.product_id}/explain?warehouseId=wh-001"), 422, "unknown_warehouse")
    shared = explained(outlet, level, "warehouseId=wh-002")["warehouses"][0]["holds"]
    assert (shared["count"], shared["units"]) == (2, 3)
    assert [item["cartId"] for item in shared["items"]] == ["ours"]
    assert explained(outlet, level, "at=2026-01-01T00:00:00Z")["warehouses"][0]["warehouseId"] == "wh-002"


def test_lists_are_bounded_and_totals_are_not(api: Api) -> None:
    level = make_level(100)
    for _ in range(60):
        hold((level, 1))
    holds = only(api, level)["holds"]
    assert (holds["count"], holds["units"], len(holds["items"])) == (60, 60, explanation.SHOWN_AT_MOST)


def test_it_is_one_statement_of_one_instant_however_much_there_is() -> None:
    level = make_level(100)

    def queries() -> int:
        with CaptureQueriesContext(connection) as sent:
            explanation.explain(ACTOR, level.product_id, None)
        return len(sent)

    assert queries() == 1
    for code in ("wh-002", "wh-003"):
        make_warehouse(code)
        receive(level.product_id, 5, code)
        hold((level, 1))
    assert queries() == 1


def test_unknown_and_unstocked_products(api: Api) -> None:
    for query in ("", "?at=2026-01-01T00:00:00Z"):
        problem(api.get(f"{uuid7()}/explain{query}"), 404, "not_found")
    product = make_product()
    answer = api.get(f"{product.id}/explain").json()  # type: ignore[attr-defined]
    assert (answer["productId"], answer["sellable"], answer["warehouses"]) == (str(product.id), 0, [])


# --- a moment of the past --------------------------------------------------------------------------------------------


def then(api: Api, level: StockLevel, at: datetime) -> dict[str, int]:
    answer = explained(api, level, f"at={quote(at.isoformat())}")
    by_code = {each["warehouseId"]: each["quantityOnHand"] for each in answer["warehouses"]}
    assert answer["totalQuantity"] == sum(by_code.values())
    assert datetime.fromisoformat(answer["at"]) == at
    return by_code


def test_on_hand_of_a_moment_is_what_the_ledger_adds_up_to(api: Api) -> None:
    level = make_level(10)
    receive(level.product_id, 5)
    receive(level.product_id, 7, "wh-002")
    first, second, third = Movement.objects.order_by("created_at").values_list("created_at", flat=True)
    instant = timedelta(microseconds=1)
    assert then(api, level, first - instant) == {"wh-001": 0, "wh-002": 0}
    assert then(api, level, first) == {"wh-001": 10, "wh-002": 0}
    assert then(api, level, second) == {"wh-001": 15, "wh-002": 0}
    assert then(api, level, third) == {"wh-001": 15, "wh-002": 7}


def test_before_the_opening_it_is_archived(settings: LazySettings, tmp_path: Path, api: Api) -> None:
    settings.ARCHIVE_DIR = tmp_path
    level = make_level(10)
    receive(level.product_id, 7, "wh-002")
    let_days_pass(400)
    receive(level.product_id, 5)
    (first, other, last) = Movement.objects.order_by("created_at").values_list("created_at", flat=True)
    call_command("archive", verbosity=0)
    assert then(api, level, other) == {"wh-001": 10, "wh-002": 7}
    assert then(api, level, last) == {"wh-001": 15, "wh-002": 7}
    for at, codes in ((first, ["wh-002"]), (first - timedelta(seconds=1), ["wh-001", "wh-002"])):
        refused = problem(api.get(f"{level.product_id}/explain?at={quote(at.isoformat())}"), 410, "archived")
        assert [fault["warehouseId"] for fault in refused["errors"]] == codes
    assert api.get(f"{level.product_id}/explain?warehouseId=wh-001&at={quote(first.isoformat())}").status_code == 200


@pytest.mark.parametrize(
    "at", ["2999-01-01T00:00:00Z", "2026-01-01", "2026-01-01T00:00:00", "0001-01-01T00:00:00%2B14:00"]
)
def test_what_no_moment_of_the_past_can_be_is_refused(api: Api, at: str) -> None:
    response = api.get(f"{make_level(1).product_id}/explain?at={at}")
    problem(response, 400, "invalid")
    assert pointers(response) == ["?at"]
