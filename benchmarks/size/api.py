"""Every read of the API, as a client of all stores and as ones that are limited to a busy and to a rare store."""

from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from itertools import product
from typing import Any, Final
from urllib.parse import urlencode

from django.test import Client
from django.utils import timezone

from audit.authentication import issue_token
from audit.models import ApiClient
from benchmarks.service import PRODUCT
from benchmarks.size.seed import EMPTY_WAREHOUSE, RARE, RARE_WAREHOUSE
from benchmarks.size.timing import Timed, timed
from inventory.models import StockCount, Transfer
from reservations.models import Reservation, ShortageIncident

_ROOT: Final = "/api/v1"
_WAREHOUSES: Final = (None, "wh-001", f"wh-{RARE_WAREHOUSE:03}", f"wh-{EMPTY_WAREHOUSE:03}")
_TYPES: Final = (None, "RECEIPT", "SHIPMENT", "ADJUSTMENT", "TRANSFER", "RETURN")
_STATUSES: Final = (None, "ACTIVE", "CONSUMED", "EXPIRED", "RELEASED")
_STOCKED: Final = f"{PRODUCT}{40:012x}"
_NOBODYS: Final = "00000000-0000-7000-8000-0000000000ff"


def clients() -> dict[str, str]:
    """A token for each of the clients, by name."""
    tokens = {}
    for name, stores in (("all", []), ("busy", ["store-1"]), ("rare", [f"store-{RARE}"])):
        client, _ = ApiClient.objects.update_or_create(
            name=f"walker-{name}", defaults={"role": "manager", "store_codes": stores}
        )
        tokens[name] = issue_token(client)
    return tokens


def walk(only: str = "") -> Iterator[Timed]:
    """Time each read whose path contains ``only``."""
    paths = [path for path in map(_path, _reads()) if only in path]
    for who, token in clients().items():
        client = Client(headers={"Host": "127.0.0.1", "Authorization": f"Bearer {token}"})
        for path in paths:
            found, answer = timed(who, path, partial(client.get, path))
            yield found
            following = answer.json().get("next") if answer.status_code == 200 else None
            if following:
                more = f"{path}{'&' if '?' in path else '?'}cursor={following}"
                yield timed(who, more, partial(client.get, more))[0]


def _path(read: tuple[str, dict[str, Any]]) -> str:
    path, asked = read
    given = {name: value for name, value in asked.items() if value is not None}
    return f"{_ROOT}{path}{'?' if given else ''}{urlencode(given)}"


def _reads() -> Iterator[tuple[str, dict[str, Any]]]:
    yield from _movements()
    yield from _reservations()
    yield from _documents()
    yield from _for_copies()
    for warehouse in _WAREHOUSES:
        yield "/inventory/levels", {"warehouseId": warehouse}
        for severity in (None, "LOW", "CRITICAL"):
            yield "/inventory/low-stock", {"warehouseId": warehouse, "severity": severity}
            for state in ("OPEN", "RESOLVED", "ALL"):
                yield "/inventory/alerts", {"warehouseId": warehouse, "severity": severity, "state": state}
    for store in ("store-1", f"store-{RARE}"):
        yield "/inventory/levels", {"storeId": store}
        yield "/inventory/low-stock", {"storeId": store}
        yield "/inventory/alerts", {"storeId": store, "state": "ALL"}
    for asked in ({}, {"sku": "SKU-4711"}, {"code": "sku-4711"}, {"search": "rain jacket"}, {"search": "zzz"}):
        yield "/products", asked
    for path in ("/warehouses", "/stores", "/webhooks", "/inventory/reconciliation", f"/products/{_STOCKED}"):
        yield path, {}
    for path in ("", "/explain", "/levels/wh-001"):
        yield f"/inventory/{_STOCKED}{path}", {}
    for kind in (None, "InventoryReservedEvent", "InventoryFrozenEvent"):
        yield "/events", {"types": kind, "limit": 100}


def _movements() -> Iterator[tuple[str, dict[str, Any]]]:
    now = timezone.now()
    sinces = (None, (now - timedelta(days=2)).isoformat(), (now - timedelta(days=299)).isoformat())
    for kind, warehouse, since in product(_TYPES, _WAREHOUSES, sinces):
        yield "/inventory/movements", {"type": kind, "warehouseId": warehouse, "since": since}
    until = (now - timedelta(days=250)).isoformat()
    for kind in _TYPES:
        yield "/inventory/movements", {"type": kind, "until": until}
        yield "/inventory/movements", {"type": kind, "productId": _STOCKED}
        yield "/inventory/movements", {"type": kind, "productId": _STOCKED, "warehouseId": "wh-001"}
    for reference in ("order-2000077", "nothing"):
        yield "/inventory/movements", {"reference": reference}


def _reservations() -> Iterator[tuple[str, dict[str, Any]]]:
    for status, stock in product(_STATUSES, (None, _STOCKED, f"{PRODUCT}{41:012x}", _NOBODYS)):
        yield "/inventory/reservations", {"status": status, "productId": stock}
        if stock:
            yield "/inventory/reservations", {"status": status, "variantId": stock}
    for name, status in product(("cartId", "orderId", "customerId"), _STATUSES):
        for text in ("77", "none"):
            yield "/inventory/reservations", {name: f"{name[:-2]}-{text}", "status": status}
    reservation = Reservation.objects.order_by("-pk").first()
    if reservation:
        yield f"/inventory/reservations/{reservation.public_id}", {}
    for status, warehouse in product((None, "OPEN", "RESOLVED"), _WAREHOUSES):
        yield "/inventory/incidents", {"status": status, "warehouseId": warehouse}
    yield "/inventory/incidents", {"productId": _STOCKED}


def _for_copies() -> Iterator[tuple[str, dict[str, Any]]]:
    """What a program reads that keeps a copy."""
    moments = [(timezone.now() - timedelta(days=days)).isoformat() for days in (-1, 0, 1, 299)]
    for since, store in product(moments, (None, "store-1", f"store-{RARE}")):
        for path in ("/inventory/levels", "/inventory/reservations", "/products"):
            yield path, {"updatedSince": since, "storeId": store}
    for since, status in product(moments, _STATUSES):
        yield "/inventory/reservations", {"updatedSince": since, "status": status}
    ids = ",".join(f"{PRODUCT}{number:012x}" for number in range(200))
    for path in ("/inventory/levels", "/products"):
        yield path, {"ids": ids}
        yield path, {"ids": ids, "updatedSince": moments[-1]}
    some = ",".join(row.public_id for row in Reservation.objects.order_by("pk")[:200])
    yield "/inventory/reservations", {"ids": some}
    for store in ("store-1", f"store-{RARE}"):
        yield "/products", {"storeId": store}
        yield "/inventory/reservations", {"storeId": store}


def _documents() -> Iterator[tuple[str, dict[str, Any]]]:
    for status in (None, "PENDING", "IN_TRANSIT", "RECEIVED", "CANCELLED"):
        for warehouse in _WAREHOUSES:
            yield "/inventory/transfers", {"status": status, "fromWarehouseId": warehouse}
            yield "/inventory/transfers", {"status": status, "toWarehouseId": warehouse}
    yield "/inventory/transfers", {"overdue": "true"}
    for status, warehouse in product((None, "OPEN", "POSTED"), _WAREHOUSES):
        yield "/inventory/counts", {"status": status, "warehouseId": warehouse}
    for path, rows in (("transfer", Transfer), ("counts", StockCount), ("incidents", ShortageIncident)):
        if found := rows.objects.order_by("-pk").first():
            yield f"/inventory/{path}/{found.public_id}", {}
