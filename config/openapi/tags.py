"""The tags of the OpenAPI document: what operations are about. Generated clients have a module or a class for each."""

from typing import Final

TAGS: Final = {
    "reservations": "Hold stock for a cart or an order, and extend, release or consume what is held.",
    "carts": "Make a cart's reservation equal to what is in the cart, in one step.",
    "availability": "Ask what can be sold, before anything is held.",
    "stock": "Read stock levels and movements, adjust what is on hand, and read the last reconciliation.",
    "transfers": "Send stock from one warehouse to another, and receive it there.",
    "counts": "Count what is on the shelves, and post the differences.",
    "alerts": "Find out what is low on stock, and take care of it.",
    "incidents": "Resolve the shortages in which reservations were broken.",
    "products": "Keep the products and their variants.",
    "warehouses": "Keep the warehouses.",
    "stores": "Keep the stores, and the warehouses that they sell from.",
    "events": "Read the feed of events, and send events of orders and products.",
    "webhooks": "Have events sent to an address of your own.",
}
"""The description of each tag, in the order of the document."""

_OF_PATHS: Final = {
    "adjust": "stock",
    "alerts": "alerts",
    "carts": "carts",
    "check-availability": "availability",
    "consume": "reservations",
    "counts": "counts",
    "events": "events",
    "extend": "reservations",
    "inbox": "events",
    "incidents": "incidents",
    "levels": "stock",
    "low-stock": "alerts",
    "movements": "stock",
    "products": "products",
    "reconciliation": "stock",
    "release": "reservations",
    "reservations": "reservations",
    "reserve": "reservations",
    "stores": "stores",
    "transfer": "transfers",
    "transfers": "transfers",
    "warehouses": "warehouses",
    "webhooks": "webhooks",
    "{productId}": "stock",
}
"""The tag of operations, by the first part of their path behind ``/api/v1/`` or ``/api/v1/inventory/``."""


def tag_of(path: str) -> str:
    """The tag of an operation with this path. Raises KeyError if the path's first part has none."""
    return _OF_PATHS[path.removeprefix("/api/v1/").removeprefix("inventory/").partition("/")[0]]
