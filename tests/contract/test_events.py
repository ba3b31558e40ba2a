"""The payload of each event in the outbox: exactly these fields, by their exact names."""

from typing import Any

import msgspec
import pytest
from django.core.management import call_command
from django.db import connection
from uuid_utils.compat import uuid7

from audit.models import OutboxEvent
from audit.publishing import publish
from inventory.errors import InsufficientStock, ProductFrozen
from inventory.locking import read_clock
from inventory.models import Product, StockLevel
from inventory.services.catalogue.master_data import ProductChange, ProductFields, put_products
from reservations.services.holds.expiry import expire_due_holds
from reservations.services.holds.placing import HoldRequest, place_holds
from reservations.services.holds.refusals import failed_event
from reservations.services.holds.sourcing import RequestLine
from tests.conftest import Api
from tests.contract.payloads import EVENTS, assert_is_of_struct
from tests.factories import (
    ACTOR,
    lines,
    make_due,
    make_level,
    make_product,
    make_variant,
    make_warehouse,
    receive,
)

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("store")]


@pytest.fixture
def jacket() -> StockLevel:
    """Ten units of a product without variants, in ``wh-001``."""
    return make_level(10)


@pytest.fixture
def medium() -> StockLevel:
    """Ten units of a variant, in ``wh-002``."""
    make_warehouse("wh-002")
    return receive(make_variant(make_product()), 10, "wh-002")


def answer(response: Any) -> Any:
    assert response.status_code in (200, 201), response.content
    return response.json()


def assert_written(type_: str, key: str, payload: dict[str, Any]) -> None:
    """Check key and payload of the newest event of a type, apart from its id and time."""
    row = OutboxEvent.objects.filter(type=type_).latest("position")
    added = {"eventId": f"ev-{row.event_id}", "timestamp": msgspec.to_builtins(row.created_at)}
    assert (row.key, row.payload) == (key, added | payload)
    assert_is_of_struct(row.payload, EVENTS[type_])


def named(level: StockLevel) -> dict[str, Any]:
    """The product and warehouse of a level, as in payloads."""
    product = Product.objects.get(pk=level.product_id)
    names = {"productId": str(product.parent_id or product.id), "warehouseId": level.warehouse.code}
    return names | ({"variantId": str(product.id)} if product.parent_id else {})


def reserved(api: Api, jacket: StockLevel, medium: StockLevel) -> tuple[dict[str, Any], dict[str, Any]]:
    """The answer to a reservation of both, and the fields common to all its events."""
    parent_id = str(medium.product.parent_id)
    items = [*lines((jacket, 2)), {"productId": parent_id, "variantId": str(medium.product_id), "quantity": 1}]
    made = answer(api.post("reserve", {"cartId": "cart-1", "customerId": "ada", "storeId": "main", "items": items}))
    said = [{**named(jacket), "quantity": 2}, {**named(medium), "quantity": 1}]
    return made, {
        "reservationId": made["reservationId"],
        "storeId": "main",
        "cartId": "cart-1",
        "orderId": None,
        "items": said,
    }


# --- reservations ----------------------------------------------------------------------------------------------------


def test_reserved(api: Api, jacket: StockLevel, medium: StockLevel) -> None:
    made, hold = reserved(api, jacket, medium)
    assert_written("InventoryReservedEvent", made["reservationId"], {**hold, "expiresAt": made["expiresAt"]})


def test_reserved_for_an_order(api: Api, jacket: StockLevel) -> None:
    made = answer(api.post("reserve", {"orderId": "order-1", "items": lines((jacket, 2))}))
    payload = {
        "reservationId": made["reservationId"],
        "storeId": "main",
        "cartId": None,
        "orderId": "order-1",
        "items": [{**named(jacket), "quantity": 2}],
        "expiresAt": made["expiresAt"],
    }
    assert_written("InventoryReservedEvent", made["reservationId"], payload)


def test_extended(api: Api, jacket: StockLevel, medium: StockLevel) -> None:
    made, hold = reserved(api, jacket, medium)
    extended = answer(api.post("extend", {"reservationId": made["reservationId"], "minutes": 5}))
    assert extended["expiresAt"] != made["expiresAt"]
    assert_written("InventoryExtendedEvent", made["reservationId"], {**hold, "expiresAt": extended["expiresAt"]})


def test_released(api: Api, jacket: StockLevel, medium: StockLevel) -> None:
    made, hold = reserved(api, jacket, medium)
    answer(api.post("release", {"reservationId": made["reservationId"], "reason": "changed my mind"}))
    assert_written("InventoryReleasedEvent", made["reservationId"], {**hold, "reason": "changed my mind"})


def test_released_by_the_sweeper(api: Api, jacket: StockLevel, medium: StockLevel) -> None:
    made, hold = reserved(api, jacket, medium)
    make_due(made["reservationId"].removeprefix("res-"))
    assert expire_due_holds() == 1
    assert_written("InventoryReleasedEvent", made["reservationId"], {**hold, "reason": "expired"})


def test_consumed(api: Api, jacket: StockLevel, medium: StockLevel) -> None:
    made, hold = reserved(api, jacket, medium)
    answer(api.post("consume", {"reservationId": made["reservationId"], "orderId": "order-1"}))
    assert_written("InventoryConsumedEvent", made["reservationId"], {**hold, "orderId": "order-1"})


def test_broken(api: Api, jacket: StockLevel, medium: StockLevel) -> None:
    made, hold = reserved(api, jacket, medium)
    stolen = lines((jacket, -9), warehouseId="wh-001", type="ADJUSTMENT", reason="stolen", force=True)
    adjusted = answer(api.put("adjust", {"adjustments": stolen}))
    (incident,) = answer(api.get("incidents"))["items"]
    payload = {
        **hold,
        "customerId": "ada",
        "reason": "shortage",
        "cause": adjusted["adjustmentId"],
        "incidents": [incident["incidentId"]],
        "brokenBy": adjusted["adjustedBy"],
    }
    assert_written("InventoryReservationBrokenEvent", made["reservationId"], payload)
    assert_written("InventoryReleasedEvent", made["reservationId"], {**hold, "reason": "shortage"})


def test_reservation_failed(api: Api, jacket: StockLevel, medium: StockLevel) -> None:
    wanted = [*lines((jacket, 11), warehouseId="wh-001"), *lines((medium, 11))]
    data = {"orderId": "order-1", "cartId": "cart-1", "storeId": "main", "items": wanted}
    api.post("/api/v1/inbox", {"eventId": "e-1", "type": "OrderCreatedEvent", "data": data})
    said = {"requested": 11, "available": 10}
    payload = {
        "orderId": "order-1",
        "cartId": "cart-1",
        "storeId": "main",
        "code": "insufficient_stock",
        "reason": "Not enough stock for this request.",
        "lines": [{**named(jacket), **said}, {k: v for k, v in (named(medium) | said).items() if k != "warehouseId"}],
        "cause": "e-1",
    }
    assert_written("InventoryReservationFailedEvent", "order:order-1", payload)


@pytest.mark.parametrize("fixture", ["jacket", "medium"])
def test_reconciled(request: pytest.FixtureRequest, fixture: str) -> None:
    level = request.getfixturevalue(fixture)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE inventory_stocklevel SET on_hand = 17, reserved = 3 WHERE id = %s", [level.id])
    call_command("reconcile", "--repair", "--reason", "drill")
    row = OutboxEvent.objects.get(type="StockReconciledEvent")
    payload = {
        "reconciliationId": row.payload["reconciliationId"],
        **named(level),
        "previousStock": 17,
        "newStock": 10,
        "previousReserved": 3,
        "newReserved": 0,
        "reason": "drill",
        "repairedBy": row.payload["repairedBy"],
    }
    assert_written("StockReconciledEvent", str(level.id), payload)


@pytest.mark.parametrize("cart", [None, "cart-1"])
def test_failed(jacket: StockLevel, medium: StockLevel, cart: str | None) -> None:
    wanted = (RequestLine(jacket.product_id, None, 11), RequestLine(medium.product_id, None, 12, "wh-002"))
    (short,) = place_holds([HoldRequest(ACTOR, wanted, order_id="order-1", cart_id=cart)])
    assert isinstance(short, InsufficientStock)
    publish([failed_event("order-1", cart, "main", short)], now=read_clock())
    payload = {
        "orderId": "order-1",
        **({"cartId": cart} if cart else {}),
        "storeId": "main",
        "code": "insufficient_stock",
        "reason": short.detail,
        "lines": [
            {"productId": str(jacket.product_id), "requested": 11, "available": 10},
            {**named(medium), "requested": 12, "available": 10},
        ],
    }
    assert_written("InventoryReservationFailedEvent", "order:order-1", payload)
    publish([failed_event("order-2", cart, "main", ProductFrozen("A recall."))], now=read_clock())
    said = {"orderId": "order-2", "code": "product_frozen", "reason": "A recall.", "lines": []}
    assert_written("InventoryReservationFailedEvent", "order:order-2", payload | said)


# --- stock -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fixture", ["jacket", "medium"])
def test_adjusted(request: pytest.FixtureRequest, api: Api, fixture: str) -> None:
    level = request.getfixturevalue(fixture)
    line = {**named(level), "quantity": 3, "type": "SHIPMENT", "reason": "sold in the shop", "reference": "bill-1"}
    adjusted = answer(api.put("adjust", {"adjustments": [line]}))
    payload = {
        "adjustmentId": adjusted["adjustmentId"],
        **named(level),
        "adjustmentType": "SHIPMENT",
        "quantity": 3,
        "previousStock": 10,
        "newStock": 7,
        "reason": "sold in the shop",
        "adjustedBy": adjusted["adjustedBy"],
    }
    assert_written("StockAdjustedEvent", str(level.id), payload)


def test_transferred(api: Api, jacket: StockLevel) -> None:
    ends = {"fromWarehouseId": "wh-001", "toWarehouseId": "wh-002"}
    product = {"productId": str(jacket.product_id)}
    sent = answer(api.post("transfer", {"items": [{**product, **ends, "quantity": 5}], "reason": "balance"}))
    transfer_id = sent["transferId"]
    said = {"transferId": transfer_id, **ends, "reason": "balance"}
    moved = [{**product, "quantity": 5}]
    payload = {**said, "status": "IN_TRANSIT", "change": "SENT", "items": moved}
    assert_written("InventoryTransferredEvent", transfer_id, payload)
    arrived = {"items": [{**product, "quantityReceived": 3}], "close": True, "reason": "2 are lost"}
    answer(api.post(f"transfer/{transfer_id}/receive", arrived))
    lost = [{**product, "quantity": 3, "quantityLost": 2}]
    payload = {**said, "status": "RECEIVED", "change": "CLOSED", "items": lost, "reason": "2 are lost"}
    assert_written("InventoryTransferredEvent", transfer_id, payload)


def test_transferred_of_a_variant(api: Api, medium: StockLevel) -> None:
    ends = {"fromWarehouseId": "wh-002", "toWarehouseId": "wh-001"}
    variant = {"productId": str(medium.product.parent_id), "variantId": str(medium.product_id), "quantity": 1}
    sent = answer(api.post("transfer", {"items": [{**variant, **ends}]}))
    payload = {
        "transferId": sent["transferId"],
        "status": "IN_TRANSIT",
        **ends,
        "change": "SENT",
        "items": [variant],
        "reason": "",
    }
    assert_written("InventoryTransferredEvent", sent["transferId"], payload)


@pytest.mark.parametrize(("fixture", "reorder_point"), [("jacket", 5), ("medium", None)])
def test_low_stock(request: pytest.FixtureRequest, api: Api, fixture: str, reorder_point: int | None) -> None:
    level = request.getfixturevalue(fixture)
    StockLevel.objects.filter(pk=level.pk).update(reorder_point=reorder_point, max_stock_level=20)
    line = {**named(level), "quantity": 7, "type": "SHIPMENT", "reason": "sold"}
    answer(api.put("adjust", {"adjustments": [line]}))
    payload = {**named(level), "currentStock": 3, "reorderPoint": reorder_point, "severity": "LOW"}
    assert_written("LowStockAlertEvent", str(level.id), payload)


@pytest.mark.parametrize("kind", ["product", "warehouse", "store"])
def test_frozen_and_unfrozen(api: Api, jacket: StockLevel, kind: str) -> None:
    subject = {"product": str(jacket.product_id), "warehouse": "wh-001", "store": "main"}[kind]
    key, said = f"{kind}:{subject}", {"subject": kind.upper(), f"{kind}Id": subject}
    path = f"/api/v1/{kind}s/{subject}/"
    answer(api.post(f"{path}freeze", {"reason": "a recall", "until": "2100-01-01T00:00:00Z"}))
    payload = {**said, "reason": "a recall", "until": "2100-01-01T00:00:00Z"}
    assert_written("InventoryFrozenEvent", key, payload)
    answer(api.post(f"{path}freeze", {"reason": "still"}))
    assert_written("InventoryFrozenEvent", key, {**said, "reason": "still", "until": None})
    answer(api.post(f"{path}unfreeze", {"reason": "false alarm"}))
    assert_written("InventoryUnfrozenEvent", key, {**said, "reason": "false alarm"})


@pytest.mark.parametrize("fixture", ["jacket", "medium"])
def test_level_changed(request: pytest.FixtureRequest, api: Api, fixture: str) -> None:
    level = request.getfixturevalue(fixture)
    answer(api.post("reserve", {"cartId": "cart-1", "items": lines((level, 4))}))
    reserved = OutboxEvent.objects.get(type="InventoryReservedEvent")
    payload = {
        **named(level),
        "previous": {"onHand": 10, "reserved": 0, "available": 10},
        "new": {"onHand": 10, "reserved": 4, "available": 6},
        "safetyStock": 0,
        "sellable": {"main": 6},
        "version": 3,
        "previousVersion": 2,
        "cause": [f"ev-{reserved.event_id}"],
    }
    assert_written("InventoryLevelChangedEvent", str(level.id), payload)


# --- products, warehouses, stores ------------------------------------------------------------------------------------


def test_product_changed(api: Api) -> None:
    parent, variant = uuid7(), uuid7()
    until = {"listingExpiresAt": "2100-01-01T00:00:00Z"}
    answer(api.put(f"/api/v1/products/{parent}", {"sku": "S1", "name": "Jacket", **until}))
    said = {"productId": str(parent), "sku": "S1", "name": "Jacket", "active": True}
    assert_written("ProductChangedEvent", f"product:{parent}", said | until)
    answer(api.put(f"/api/v1/products/{variant}", {"sku": "S2", "name": "Red", "parentId": str(parent)}))
    said |= {"variantId": str(variant), "sku": "S2", "name": "Red", "listingExpiresAt": None}
    assert_written("ProductChangedEvent", f"product:{variant}", said)
    fields = ProductFields("S1", "Jacket", is_active=False)
    put_products(ACTOR, [ProductChange(parent, fields)], claim=None)
    said = {"productId": str(parent), "sku": "S1", "name": "Jacket", "active": False, "listingExpiresAt": None}
    assert_written("ProductChangedEvent", f"product:{parent}", said)


def test_warehouse_and_store_changed(api: Api) -> None:
    for active in (True, False):
        place = {"name": "North", "type": "MAIN", "address": {}, "isActive": active}
        answer(api.put("/api/v1/warehouses/wh-009", place))
        said = {"warehouseId": "wh-009", "name": "North", "type": "MAIN", "active": active}
        assert_written("WarehouseChangedEvent", "warehouse:wh-009", said)
    sources = [{"warehouseId": "wh-001", "priority": 2}, {"warehouseId": "wh-009", "priority": 1}]
    for some in (sources, sources[:1], []):
        answer(api.put("/api/v1/stores/north", {"name": "North", "warehouses": some}))
        codes = [each["warehouseId"] for each in some[::-1]]
        assert_written("StoreChangedEvent", "store:north", {"storeId": "north", "name": "North", "warehouses": codes})
