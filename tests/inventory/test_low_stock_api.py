"""Low stock and its alerts over HTTP."""

from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from audit.roles import Role
from inventory.models import LowStockAlert, Movement, StockLevel, Transfer, TransferLine
from inventory.services.low_stock import alerts as low_stock
from tests.conftest import Api, body_of
from tests.contract.problems import pointers, problem
from tests.factories import hold, make_level, make_store, make_variant, receive, recorded

NOBODY = "01900000-0000-7000-8000-000000000001"
pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("store")]


def listed(api: Api, path: str = "low-stock") -> list[tuple[UUID, str]]:
    """(product, status) of all pages."""
    found, following = [], ""
    while True:
        page = body_of(api.get(path + following))
        found += [(UUID(item["productId"]), item["status"]) for item in page["items"]]
        if page["next"] is None:
            return found
        following = f"{'&' if '?' in path else '?'}cursor={page['next']}"


def test_the_worst_comes_first_and_pages_hold_everything_once(api: Api) -> None:
    settings = {"reorder_point": 50, "reorder_quantity": 50}
    levels = {available: make_level(available, **settings) for available in (50, 3, 51, 10, 11, 30, 100)}
    levels |= {10_000 + number: make_level(20, **settings) for number in range(5)}
    expected = [levels[3], levels[10], levels[11]]
    twins = sorted((level for key, level in levels.items() if key >= 10_000), key=lambda level: level.id)
    expected += [*twins, levels[30], levels[50]]
    in_order = [level.product_id for level in expected]
    for limit in (1, 2, 3, 50):
        found = listed(api, f"low-stock?limit={limit}")
        assert [product for product, _ in found] == in_order
        assert [status for _, status in found] == ["CRITICAL"] * 2 + ["LOW"] * 8
    page = body_of(api.get("low-stock?limit=1"))
    assert (page["totalItems"], page["criticalItems"], page["lowItems"]) == (10, 2, 8)


def test_each_filter_counts_what_it_shows(api: Api) -> None:
    here, there = make_level(5, reorder_point=50), make_level(30, "wh-002", reorder_point=50)
    make_store("outlet", "wh-002", is_default=False)
    for path, expected in {
        "low-stock?warehouseId=wh-001": [here],
        "low-stock?warehouseId=wh-002": [there],
        "low-stock?storeId=outlet": [there],
        "low-stock?storeId=main": [here, there],
        "low-stock?severity=CRITICAL": [here],
        "low-stock?severity=LOW": [there],
    }.items():
        assert [product for product, _ in listed(api, path)] == [level.product_id for level in expected], path
        assert body_of(api.get(path))["totalItems"] == len(expected)
    problem(api.get("low-stock?storeId=nowhere"), 422, "unknown_store")


@pytest.mark.parametrize(("threshold", "count"), [("0.2", 1), ("0.5", 2), ("1", 3), ("0.000001", 0)])
def test_the_threshold_is_a_share_of_the_full_level(api: Api, threshold: str, count: int) -> None:
    for available in (20, 50, 100):
        make_level(available, max_stock_level=100)
    assert body_of(api.get(f"low-stock?threshold={threshold}"))["totalItems"] == count


@pytest.mark.parametrize("threshold", ["0", "-0.1", "1.1", "nan", "inf", "x", ""])
def test_a_threshold_is_more_than_0_and_at_most_1(api: Api, threshold: str) -> None:
    assert pointers(api.get(f"low-stock?threshold={threshold}")) == ["?threshold"]


@pytest.mark.parametrize("cursor", ["x", "AAAA", "é", "A" * 32, "f_gAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"])
def test_a_cursor_is_one_or_refused(api: Api, cursor: str) -> None:
    make_level(1, reorder_point=5)
    assert api.get(f"low-stock?cursor={cursor}").status_code in {200, 400}
    assert api.get(f"alerts?cursor={cursor}").status_code in {200, 400}


def test_what_is_reserved_is_left_out(api: Api) -> None:
    level = make_level(100, reorder_point=20)
    hold((level, 85))
    (item,) = body_of(api.get("low-stock"))["items"]
    assert (item["currentStock"], item["reorderPoint"], item["percentageRemaining"]) == (15, 20, 75.0)


def test_a_level_without_a_reorder_point_has_no_percentage_and_one_without_sales_no_days(api: Api) -> None:
    variant = make_variant(make_level(1).product)
    level = receive(variant, 4)
    StockLevel.objects.filter(pk=level.pk).update(max_stock_level=100)
    (item,) = body_of(api.get("low-stock"))["items"]
    assert item == {
        "productId": str(variant.parent_id),
        "variantId": str(variant.id),
        "productSku": variant.sku,
        "productName": variant.name,
        "warehouseId": "wh-001",
        "currentStock": 4,
        "reorderPoint": None,
        "percentageRemaining": None,
        "daysOfSupply": None,
        "suggestedOrderQuantity": 96,
        "status": "CRITICAL",
    }


def ship(level: StockLevel, quantity: int, days_ago: int) -> None:
    at = timezone.now() - timedelta(days=days_ago)
    Movement.objects.create(
        level=level,
        type="SHIPMENT",
        quantity=-quantity,
        quantity_before=quantity,
        quantity_after=0,
        actor="tests",
        created_at=at,
    )


def test_days_of_supply_counts_the_shipments_of_30_days(api: Api) -> None:
    level, other = make_level(10, reorder_point=20), make_level(12, reorder_point=20)
    ship(level, 20, 1)
    ship(level, 40, 29)
    ship(level, 1000, 31)
    ship(other, 7, 3)
    assert [item["daysOfSupply"] for item in body_of(api.get("low-stock"))["items"]] == [5, 51]


def test_what_is_on_its_way_is_not_ordered_again(api: Api) -> None:
    source, level = make_level(50, "wh-002"), make_level(5, max_stock_level=100)
    transfer = Transfer.objects.create(
        status="IN_TRANSIT",
        from_warehouse=source.warehouse,
        to_warehouse=level.warehouse,
        initiated_by="tests",
        initiated_at=timezone.now(),
        shipped_at=timezone.now(),
    )
    TransferLine.objects.create(
        transfer=transfer,
        product=level.product,
        source_level=source,
        destination_level=level,
        quantity=10,
        quantity_shipped=10,
        quantity_received=2,
    )
    assert [item["suggestedOrderQuantity"] for item in body_of(api.get("low-stock"))["items"]] == [87]


def test_a_page_of_1_or_50_is_the_same_queries(api: Api) -> None:
    for _ in range(50):
        make_level(5, reorder_point=20)
    counts = []
    for limit in (1, 50, 50):
        with CaptureQueriesContext(connection) as queries:
            body_of(api.get(f"low-stock?limit={limit}"))
        counts.append(len(queries))
    # The page with the totals, its products, warehouses, shipments, transfers and retired levels; the token is cached.
    assert counts[1] == counts[2] == 6


def test_a_client_limited_to_stores_sees_their_warehouses_alone(make_api: Callable[..., Api]) -> None:
    make_store("outlet", "wh-009", is_default=False)
    theirs, own = make_level(50, reorder_point=20), make_level(50, "wh-009", reorder_point=20)
    hold((theirs, 45))
    StockLevel.objects.filter(pk=own.pk).update(reorder_point=60)
    low_stock.raise_missed()
    api = make_api(Role.WAREHOUSE, stores=("outlet",))
    page = body_of(api.get("low-stock"))
    assert [item["productId"] for item in page["items"]] == [str(own.product_id)]
    assert (page["totalItems"], page["criticalItems"]) == (1, 0)
    assert [item["productId"] for item in body_of(api.get("alerts"))["items"]] == [str(own.product_id)]
    problem(api.get("low-stock?storeId=main"), 422, "unknown_store")
    problem(api.get("alerts?storeId=main"), 422, "unknown_store")
    alert = LowStockAlert.objects.get(level=theirs)
    problem(api.post(f"alerts/{alert.public_id}/acknowledge", {}), 404, "not_found")
    problem(api.post(f"alerts/{alert.public_id}/snooze", {"until": None}), 404, "not_found")


# --- alerts --------------------------------------------------------------------------------------------------------


@pytest.fixture
def alert() -> LowStockAlert:
    hold((make_level(100, reorder_point=20), 85))
    return LowStockAlert.objects.get()


def test_an_alert_is_listed_with_what_happened_to_it(api: Api, alert: LowStockAlert) -> None:
    hold((alert.level, 5))
    (item,) = body_of(api.get("alerts"))["items"]
    opened = item.pop("openedAt")
    assert opened.endswith("Z")
    product = alert.level.product
    assert item == {
        "alertId": alert.public_id,
        "productId": str(product.id),
        "productSku": product.sku,
        "productName": product.name,
        "warehouseId": "wh-001",
        "severity": "LOW",
        "currentStock": 10,
        "alertedStock": 15,
        "reorderPoint": 20,
        "worsenedAt": None,
        "acknowledgedAt": None,
        "acknowledgedBy": None,
        "snoozedUntil": None,
        "resolvedAt": None,
    }


def test_alerts_are_listed_newest_first_by_state_severity_and_place(api: Api) -> None:
    first, second, third = (make_level(100, code, reorder_point=20) for code in ("wh-001", "wh-002", "wh-001"))
    for level, quantity in ((first, 85), (second, 85), (third, 100)):
        hold((level, quantity))
    LowStockAlert.objects.filter(level=first).update(resolved_at=timezone.now())
    make_store("outlet", "wh-002", is_default=False)
    for path, expected in {
        "alerts": [third, second],
        "alerts?state=RESOLVED": [first],
        "alerts?state=ALL": [third, second, first],
        "alerts?severity=CRITICAL": [third],
        "alerts?warehouseId=wh-002": [second],
        "alerts?storeId=outlet": [second],
    }.items():
        found = [UUID(item["productId"]) for item in body_of(api.get(path))["items"]]
        assert found == [level.product_id for level in expected], path
    page = body_of(api.get("alerts?limit=1"))
    rest = body_of(api.get(f"alerts?limit=1&cursor={page['next']}"))
    assert [UUID(each["items"][0]["productId"]) for each in (page, rest)] == [third.product_id, second.product_id]
    assert rest["next"] is None


def test_an_alert_is_acknowledged_once_and_a_retry_gets_the_same_answer(api: Api, alert: LowStockAlert) -> None:
    path = f"alerts/{alert.public_id}/acknowledge"
    first = body_of(api.post(path, {"note": "ordered"}, Idempotency_Key="k"))
    assert first["acknowledgedBy"]
    again = api.post(path, {"note": "ordered"}, Idempotency_Key="k")
    assert (body_of(again), again.headers["Idempotent-Replayed"]) == (first, "true")
    assert body_of(api.post(path, {})) == first
    assert len(recorded("inventory_alert_acknowledged")) == 1


def test_an_alert_is_snoozed_until_a_moment_in_the_future(api: Api, alert: LowStockAlert) -> None:
    path = f"alerts/{alert.public_id}/snooze"
    assert body_of(api.post(path, {"until": "2090-01-01T02:00:00+02:00"}))["snoozedUntil"] == "2090-01-01T00:00:00Z"
    assert body_of(api.post(path, {"until": None}))["snoozedUntil"] is None
    for wrong in ("2020-01-01T00:00:00Z", "2090-01-01T00:00:00", "0001-01-01T00:00:00+23:00", 5):
        assert pointers(api.post(path, {"until": wrong})) == ["/until"]
    assert pointers(api.post(path, {})) == ["/until"]


def test_an_alert_that_is_over_can_not_be_answered(api: Api, alert: LowStockAlert) -> None:
    LowStockAlert.objects.update(resolved_at=timezone.now())
    problem(api.post(f"alerts/{alert.public_id}/acknowledge", {}), 409, "alert_resolved")
    problem(api.post(f"alerts/{alert.public_id}/snooze", {"until": None}), 409, "alert_resolved")


@pytest.mark.parametrize("alert_id", ["x", "alr-x", f"res-{NOBODY}", f"alr-{NOBODY}"])
def test_an_unknown_alert_is_404(api: Api, alert_id: str) -> None:
    problem(api.post(f"alerts/{alert_id}/acknowledge", {}), 404, "not_found")
