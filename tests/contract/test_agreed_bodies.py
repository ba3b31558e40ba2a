"""Requests and answers as callers have agreed to them: every field of these bodies is there, by its exact name."""

import re
from datetime import datetime
from typing import Any
from uuid import UUID

import pytest

from inventory.models import Product, StockLevel, Store, StoreWarehouse, Warehouse
from tests.conftest import Api
from tests.factories import counters, make_due, make_warehouse, published, receive

pytestmark = pytest.mark.django_db

ONE, TWO = "550e8400-e29b-41d4-a716-446655440000", "660e8400-e29b-41d4-a716-446655440000"
ORDER, CUSTOMER = "ord-123e4567-e89b-12d3-a456-426614174000", "cust-123e4567-e89b-12d3-a456-426614174000"
BASES = ["/api/v1/inventory/", "/api/inventory/"]

CHECK = {"items": [{"productId": ONE, "quantity": 2, "warehouseId": "wh-001"}, {"productId": TWO, "quantity": 1}]}
RESERVE = {
    "orderId": ORDER,
    "customerId": CUSTOMER,
    "items": [{"productId": ONE, "quantity": 2, "warehouseId": "wh-001"}],
    "timeoutMinutes": 15,
}
ADJUST = {
    "adjustments": [
        {
            "productId": ONE,
            "warehouseId": "wh-001",
            "quantity": 10,
            "type": "RECEIPT",
            "reason": "New shipment received",
            "reference": "PO-12345",
        }
    ]
}
TRANSFER = {
    "items": [{"productId": ONE, "quantity": 10, "fromWarehouseId": "wh-001", "toWarehouseId": "wh-002"}],
    "reason": "Balancing inventory levels",
    "expectedDelivery": "2024-01-17T10:00:00Z",
}

# What was agreed, with the shape of each value instead of the value.
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z")


def public(prefix: str) -> re.Pattern[str]:
    return re.compile(prefix + r"-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


CHECKED = {
    "available": bool,
    "items": [
        {
            "productId": ONE,
            "requestedQuantity": 2,
            "availableQuantity": 20,
            "warehouses": [{"warehouseId": "wh-001", "availableQuantity": 20}],
            "status": "AVAILABLE",
        },
        {"productId": TWO, "requestedQuantity": 1, "availableQuantity": 0, "status": "OUT_OF_STOCK"},
    ],
}
RESERVED = {
    "reservationId": public("res"),
    "orderId": ORDER,
    "status": "RESERVED",
    "items": [{"productId": ONE, "quantity": 2, "warehouseId": "wh-001", "reserved": True}],
    "expiresAt": TIME,
    "createdAt": TIME,
}
RELEASED = {
    "reservationId": public("res"),
    "status": "RELEASED",
    "items": [{"productId": ONE, "quantity": 2, "warehouseId": "wh-001", "released": True}],
    "releasedAt": TIME,
}
LEVELS = {
    "productId": ONE,
    "totalQuantity": 45,
    "totalAvailable": 43,
    "totalReserved": 2,
    "warehouses": [
        {
            "warehouseId": "wh-001",
            "warehouseName": "Main Warehouse",
            "quantityOnHand": 20,
            "quantityReserved": 2,
            "quantityAvailable": 18,
            "reorderPoint": 10,
            "reorderQuantity": 50,
            "location": {"zone": "A", "aisle": "12", "shelf": "B3"},
        },
        {
            "warehouseId": "wh-002",
            "warehouseName": "Secondary Warehouse",
            "quantityOnHand": 25,
            "quantityReserved": 0,
            "quantityAvailable": 25,
        },
    ],
    "movements": {"last24Hours": {"received": 45, "shipped": 0, "adjusted": 0}},
    "lastUpdated": TIME,
}
ADJUSTED = {
    "adjustmentId": public("adj"),
    "status": "COMPLETED",
    "adjustments": [
        {
            "productId": ONE,
            "warehouseId": "wh-001",
            "previousQuantity": 20,
            "adjustedQuantity": 10,
            "newQuantity": 30,
            "type": "RECEIPT",
        }
    ],
    "adjustedAt": TIME,
    "adjustedBy": str,
}
TRANSFERRED = {
    "transferId": public("tr"),
    "status": "IN_TRANSIT",
    "items": [
        {
            "productId": ONE,
            "quantity": 10,
            "fromWarehouse": {"id": "wh-001", "previousQuantity": 30, "newQuantity": 20},
            "toWarehouse": {"id": "wh-002", "expectedQuantity": 35},
        }
    ],
    "initiatedAt": TIME,
    "expectedDelivery": "2024-01-17T10:00:00Z",
}
LOW_STOCK = {
    "items": [
        {
            "productId": ONE,
            "productSku": "PROD-0",
            "productName": "Widget",
            "warehouseId": "wh-001",
            "currentStock": 5,
            "reorderPoint": 10,
            "percentageRemaining": 50.0,
            "daysOfSupply": 10,
            "status": "CRITICAL",
        }
    ],
    "totalItems": 1,
    "criticalItems": 1,
    "lowItems": 0,
}
LINE = {"productId": ONE, "quantity": 2, "warehouseId": "wh-001"}
EVENTS = {
    "InventoryReservedEvent": {
        "eventId": public("ev"),
        "reservationId": public("res"),
        "orderId": ORDER,
        "items": [LINE],
        "expiresAt": TIME,
        "timestamp": TIME,
    },
    "InventoryReleasedEvent": {
        "eventId": public("ev"),
        "reservationId": public("res"),
        "orderId": ORDER,
        "items": [LINE],
        "reason": "Order cancelled",
        "timestamp": TIME,
    },
    "StockAdjustedEvent": {
        "eventId": public("ev"),
        "adjustmentId": public("adj"),
        "productId": ONE,
        "warehouseId": "wh-001",
        "adjustmentType": "RECEIPT",
        "quantity": 10,
        "previousStock": 20,
        "newStock": 30,
        "reason": "New shipment received",
        "adjustedBy": str,
        "timestamp": TIME,
    },
    "LowStockAlertEvent": {
        "eventId": public("ev"),
        "productId": ONE,
        "warehouseId": "wh-001",
        "currentStock": 5,
        "reorderPoint": 10,
        "severity": "CRITICAL",
        "timestamp": TIME,
    },
}


def assert_like(actual: Any, expected: Any, place: str = "$") -> None:
    """Check that every agreed field is there, with the agreed value or shape. Additional fields are allowed."""
    if isinstance(expected, dict):
        assert isinstance(actual, dict), place
        for name, value in expected.items():
            assert name in actual, f"{place}.{name} is missing"
            assert_like(actual[name], value, f"{place}.{name}")
    elif isinstance(expected, list):
        assert isinstance(actual, list), place
        assert len(actual) == len(expected), place
        for index, value in enumerate(expected):
            assert_like(actual[index], value, f"{place}[{index}]")
    elif isinstance(expected, re.Pattern):
        assert expected.fullmatch(actual), f"{place} is {actual}"
    elif isinstance(expected, type):
        assert type(actual) is expected, place
    else:
        assert (type(actual), actual) == (type(expected), expected), place


@pytest.fixture(params=BASES)
def api(request: Any, make_api: Any) -> Api:
    client: Api = make_api()
    client.base = request.param
    return client


@pytest.fixture(autouse=True)
def _printed_stock(db: None) -> None:
    make_warehouse("wh-001", name="Main Warehouse")
    make_warehouse("wh-002", name="Secondary Warehouse", type="SECONDARY")
    main = Store.objects.create(code="main", name="main", is_default=True)
    for priority, warehouse in enumerate(Warehouse.objects.order_by("code")):
        StoreWarehouse.objects.create(store=main, warehouse=warehouse, priority=priority)
    for number, product_id in enumerate((ONE, TWO)):
        Product.objects.create(id=product_id, sku=f"PROD-{number}", name="Widget")
    receive(UUID(ONE), 20, "wh-001")
    receive(UUID(ONE), 25, "wh-002")
    settings = {"reorder_point": 10, "reorder_quantity": 50, "zone": "A", "aisle": "12", "shelf": "B3"}
    StockLevel.objects.filter(warehouse__code="wh-001").update(**settings)


def sent(response: Any, status: int = 200) -> Any:
    assert response.status_code == status, response.content
    assert response.headers["Content-Type"] == "application/json"
    return response.json()


def test_check_availability_is_as_printed(api: Api) -> None:
    assert_like(sent(api.post("check-availability", CHECK)), CHECKED)
    everywhere = sent(api.post("check-availability", {"items": [{"productId": ONE, "quantity": 2}]}))
    expected = [{"warehouseId": "wh-001", "availableQuantity": 20}, {"warehouseId": "wh-002", "availableQuantity": 25}]
    assert (everywhere["available"], everywhere["items"][0]["availableQuantity"]) == (True, 45)
    assert everywhere["items"][0]["warehouses"] == expected
    assert "warehouses" not in sent(api.post("check-availability", CHECK))["items"][1]


def test_reserve_release_and_their_events_are_as_printed(api: Api) -> None:
    made = sent(api.post("reserve", RESERVE), 201)
    assert_like(made, RESERVED)
    assert made["customerId"] == CUSTOMER
    lifetime = datetime.fromisoformat(made["expiresAt"]) - datetime.fromisoformat(made["createdAt"])
    assert lifetime.total_seconds() == 15 * 60
    body = {"reservationId": made["reservationId"], "reason": "Order cancelled"}
    assert_like(sent(api.post("release", body)), RELEASED)
    for kind in ("InventoryReservedEvent", "InventoryReleasedEvent"):
        (event,) = published(kind)
        assert_like(event, EVENTS[kind])


def test_levels_are_as_printed(api: Api) -> None:
    sent(api.post("reserve", RESERVE), 201)
    levels = sent(api.get(ONE))
    assert_like(levels, LEVELS)
    assert not {"reorderPoint", "reorderQuantity", "location"} & set(levels["warehouses"][1])
    assert [each["warehouseId"] for each in sent(api.get(f"{ONE}?warehouseId=wh-001"))["warehouses"]] == ["wh-001"]


def test_adjust_and_its_event_are_as_printed(api: Api) -> None:
    adjusted = sent(api.put("adjust", ADJUST))
    assert_like(adjusted, ADJUSTED)
    event = published("StockAdjustedEvent")[-1]
    assert_like(event, EVENTS["StockAdjustedEvent"])
    assert event["adjustmentId"] == adjusted["adjustmentId"]


def test_transfer_is_as_printed(api: Api) -> None:
    sent(api.put("adjust", ADJUST))
    made = sent(api.post("transfer", TRANSFER), 201)
    assert_like(made, TRANSFERRED)
    assert_like(sent(api.get(f"transfer/{made['transferId']}")), {**TRANSFERRED, "items": [{"productId": ONE}]})
    (event,) = published("InventoryTransferredEvent")
    moved = {"transferId": made["transferId"], "items": [{"productId": ONE, "quantity": 10}], "timestamp": TIME}
    assert_like(event, {"eventId": public("ev"), **moved})


def test_low_stock_and_its_event_are_as_printed(api: Api) -> None:
    shipped = {**ADJUST["adjustments"][0], "type": "SHIPMENT", "quantity": 15}
    sent(api.put("adjust", {"adjustments": [shipped]}))
    assert_like(sent(api.get("low-stock?warehouseId=wh-001&threshold=0.2")), LOW_STOCK)
    (event,) = published("LowStockAlertEvent")
    assert_like(event, EVENTS["LowStockAlertEvent"])


# --- other behaviour that callers rely on ----------------------------------------------------------------------------


def level() -> StockLevel:
    return StockLevel.objects.get(product=ONE, warehouse__code="wh-001")


def test_reserving_raises_reserved_releasing_lowers_it_and_a_sale_lowers_both(api: Api) -> None:
    """docs/explanation/rules.md, rule 2."""
    made = sent(api.post("reserve", RESERVE), 201)
    assert counters(level()) == (20, 2)
    sent(api.post("release", {"reservationId": made["reservationId"]}))
    assert counters(level()) == (20, 0)
    made = sent(api.post("reserve", RESERVE), 201)
    sold = {"orderId": ORDER, "reservationId": made["reservationId"]}
    first = sent(api.post("consume", sold))
    assert counters(level()) == (18, 0)
    assert sent(api.post("consume", sold)) == first
    assert counters(level()) == (18, 0)


@pytest.mark.parametrize(("quantity", "status"), [(20, 201), (21, 409)])
def test_no_more_is_reserved_than_is_available(api: Api, quantity: int, status: int) -> None:
    line = {"productId": ONE, "quantity": quantity, "warehouseId": "wh-001"}
    response = api.post("reserve", {"cartId": "c", "items": [line]})
    assert response.status_code == status
    row = level()
    assert (row.available, row.reserved) == ((0, 20) if status == 201 else (20, 0))


def test_an_expired_reservation_makes_room_at_once(api: Api) -> None:
    """docs/explanation/rules.md, rule 3."""
    whole = {"cartId": "c", "items": [{"productId": ONE, "quantity": 20, "warehouseId": "wh-001"}]}
    made = sent(api.post("reserve", whole), 201)
    assert api.post("reserve", whole).status_code == 409
    make_due(UUID(made["reservationId"].removeprefix("res-")))
    sent(api.post("reserve", whole), 201)


def test_a_reservation_is_extended_once_and_a_cart_is_released_as_a_whole(api: Api) -> None:
    made = sent(api.post("reserve", {"cartId": "c", "items": RESERVE["items"]}), 201)
    extended = sent(api.post("extend", {"reservationId": made["reservationId"]}))
    assert extended["expiresAt"] > made["expiresAt"]
    assert api.post("extend", {"reservationId": made["reservationId"]}).status_code == 409
    assert len(sent(api.post("release", {"cartId": "c"}))["reservations"]) == 1
    assert counters(level()) == (20, 0)
