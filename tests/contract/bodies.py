"""A good body for each route that takes one."""

import json
from typing import Any

import pytest

P = "01900000-0000-7000-8000-000000000001"
RES = f"res-{P}"
LINE = {"productId": P, "quantity": 1, "variantId": P, "warehouseId": "wh-001", "unitPrice": "1.00"}
ADJUSTMENT = {
    "productId": P,
    "warehouseId": "wh-001",
    "quantity": 1,
    "type": "RECEIPT",
    "reason": "r",
    "variantId": P,
    "reference": "ref",
    "costPerUnit": "1.00",
    "expectedVersion": 1,
    "force": False,
}
TRANSFER = {
    "items": [{"productId": P, "variantId": P, "quantity": 1, "fromWarehouseId": "wh-001", "toWarehouseId": "wh-002"}],
    "reason": "r",
    "reference": "ref",
    "expectedDelivery": "2030-01-01T00:00:00Z",
}
BODIES: dict[tuple[str, str], dict[str, Any]] = {
    ("POST", "check-availability"): {"storeId": "main", "items": [{k: v for k, v in LINE.items() if k != "unitPrice"}]},
    ("POST", "reserve"): {
        "cartId": "c",
        "orderId": "o",
        "customerId": "u",
        "storeId": "main",
        "timeoutMinutes": 5,
        "items": [LINE],
    },
    ("POST", "extend"): {"reservationId": RES, "minutes": 5},
    ("POST", "release"): {"cartId": "c", "reason": "r"},
    ("POST", "consume"): {"orderId": "o", "cartId": "c", "reacquire": False},
    ("PUT", "carts/c"): {"customerId": "u", "storeId": "main", "timeoutMinutes": 5, "items": [LINE]},
    ("PUT", "adjust"): {"adjustments": [ADJUSTMENT]},
    ("POST", "transfer"): {**TRANSFER, "draft": False},
    ("PUT", f"transfer/tr-{P}"): TRANSFER,
    ("POST", f"transfer/tr-{P}/receive"): {
        "items": [{"productId": P, "variantId": P, "quantityReceived": 1}],
        "close": True,
        "reason": "r",
    },
    ("POST", f"transfer/tr-{P}/cancel"): {"reason": "r"},
    ("POST", f"alerts/alr-{P}/acknowledge"): {"note": "n"},
    ("POST", f"alerts/alr-{P}/snooze"): {"until": "2090-01-01T00:00:00Z", "note": "n"},
    ("POST", "counts"): {
        "warehouseId": "wh-001",
        "scope": "PRODUCTS",
        "products": [{"productId": P, "variantId": P}],
        "recountShare": "0.1",
        "note": "n",
    },
    ("POST", "/api/v1/inventory/counts"): {"warehouseId": "wh-001", "scope": "ZONE", "zone": "A"},
    ("POST", "/api/inventory/counts"): {"warehouseId": "wh-001", "scope": "STALE", "staleDays": 1},
    ("PUT", f"counts/cnt-{P}/lines"): {
        "lines": [{"productId": P, "variantId": P, "counted": 1, "recount": False}],
    },
    ("POST", f"counts/cnt-{P}/post"): {"skipUncounted": True, "breakReservations": [RES]},
    ("POST", f"counts/cnt-{P}/cancel"): {"reason": "r"},
    ("POST", f"incidents/inc-{P}/resolve"): {"resolution": "r"},
    ("PATCH", f"{P}/levels/wh-001"): {
        "reorderPoint": 1,
        "reorderQuantity": 1,
        "minStockLevel": 1,
        "maxStockLevel": 1,
        "location": {"zone": "A", "aisle": "1", "shelf": "B"},
        "expectedVersion": 1,
    },
    ("PUT", f"/api/v1/products/{P}"): {
        "sku": "s",
        "name": "n",
        "parentId": P,
        "barcode": "b",
        "isActive": True,
        "listingExpiresAt": "2030-01-01T00:00:00Z",
    },
    ("PUT", "/api/v1/warehouses/w"): {
        "name": "n",
        "type": "MAIN",
        "address": {"city": {"name": "x"}},
        "contactInfo": {"phones": ["x"]},
        "capabilities": {"cold": "x"},
        "isActive": True,
    },
    ("PUT", "/api/v1/stores/s"): {
        "name": "n",
        "warehouses": [{"warehouseId": "wh-001", "priority": 1}],
        "ttlMinutes": 5,
    },
    ("POST", "/api/v1/webhooks"): {
        "name": "n",
        "url": "https://example.com/",
        "types": ["InventoryReservedEvent"],
        "storeIds": ["main"],
        "productIds": [P],
        "fifo": True,
        "status": "active",
        "since": "2026-01-01T00:00:00Z",
    },
    ("PATCH", f"/api/v1/webhooks/hook-{P}"): {
        "name": "n",
        "url": "https://example.com/",
        "types": ["InventoryReservedEvent"],
        "storeIds": ["main"],
        "productIds": [P],
        "fifo": True,
        "status": "active",
        "expectedVersion": 1,
    },
    ("POST", f"/api/v1/webhooks/hook-{P}/resend"): {"since": "2026-01-01T00:00:00Z", "until": "2026-01-02T00:00:00Z"},
    ("POST", f"/api/v1/webhooks/hook-{P}/rotate"): {"overlapHours": 1},
}
ROUTES = [pytest.param(*route, id=" ".join(route)) for route in BODIES]


def raw(value: str) -> bytes:
    return value.encode()


def leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[tuple[Any, ...], Any]]:
    """All values of a body that are neither objects nor arrays, with their paths."""
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    if children is None:
        return [(path, value)]
    return [leaf for key, child in children for leaf in leaves(child, (*path, key))]


def changed(body: Any, path: tuple[Any, ...], value: Any) -> Any:
    """A copy of a body with another value in one place."""
    copy = json.loads(json.dumps(body))
    place = copy
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return copy


def pointer_of(path: tuple[Any, ...]) -> str:
    return "".join(f"/{key}" for key in path)
