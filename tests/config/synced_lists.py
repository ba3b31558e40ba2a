"""Helpers that read lists as programs that keep a copy of them do."""

from datetime import datetime
from typing import Any

from inventory.models import Product
from tests.conftest import Api, body_of

PRODUCTS = "/api/v1/products"
LISTS = (PRODUCTS, "levels", "reservations")
KEYS = {PRODUCTS: "productId", "levels": "warehouseId", "reservations": "reservationId"}


def listed(api: Api, path: str, **query: Any) -> list[dict[str, Any]]:
    """All items of a list, page by page."""
    items, cursor = [], None
    while True:
        given = {**query, **({"cursor": cursor} if cursor else {})}
        page = body_of(api.get(f"{path}?" + "&".join(f"{name}={text_of(value)}" for name, value in given.items())))
        items += page["items"]
        cursor = page["next"]
        if cursor is None:
            return items


def text_of(value: Any) -> str:
    return value.isoformat().replace("+", "%2B") if isinstance(value, datetime) else str(value)


def ids_in(api: Api, path: str, **query: Any) -> list[str]:
    return [item[KEYS[path]] for item in listed(api, path, **query)]


def receipt(product: Product) -> dict[str, Any]:
    return {"productId": str(product.pk), "warehouseId": "wh-001", "quantity": 5, "type": "RECEIPT", "reason": "r"}
