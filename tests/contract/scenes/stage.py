"""What scenes are made of: the stage with its goods and its API client, and the table of all scenes."""

import json
from collections.abc import Callable
from typing import Any, Final, NamedTuple
from uuid import UUID

import psycopg
import pytest
from django.http import HttpResponse

from audit.authentication import issue_token
from audit.roles import Role
from inventory.models import Product, StockLevel, Warehouse
from reservations.services.holds.documents import Hold
from tests.conftest import Api
from tests.factories import hold, make_client, make_store, make_warehouse, receive

TENT: Final = UUID("550e8400-e29b-41d4-a716-446655440000")
STOVE: Final = UUID("660e8400-e29b-41d4-a716-446655440000")
UNKNOWN: Final = UUID("770e8400-e29b-41d4-a716-446655440000")
NEW: Final = UUID("880e8400-e29b-41d4-a716-446655440000")
FAR: Final = "2150-01-01T00:00:00Z"
REQUEST_ID: Final = "example-request"


class Asked(NamedTuple):
    """A request of a scene. ``names`` fill the path's parameters."""

    body: Any = None
    names: dict[str, str] = {}
    query: str = ""
    headers: dict[str, str] = {}


Scene = Callable[["Stage"], Asked]
SCENES: Final[dict[str, dict[str, Scene]]] = {}
"""The scenes by operation, and by status or code of the answer."""


def scene(operation: str, *answers: str) -> Callable[[Scene], Scene]:
    """Enter a scene into the table: the request that its function returns gets an answer with this status or code."""

    def enter(function: Scene) -> Scene:
        for answer in answers:
            assert answer not in SCENES.setdefault(operation, {}), (operation, answer)
            SCENES[operation][answer] = function
        return function

    return enter


class Stage:
    """A store ``main`` that sells a tent and a stove from two warehouses, and a manager's API client.

    ``rival`` is another session of the database, which may take advisory locks; ``patch`` lowers limits.
    """

    def __init__(self, rival: psycopg.Connection[Any], patch: pytest.MonkeyPatch) -> None:
        self.rival = rival
        self.patch = patch
        self.client = make_client(Role.MANAGER, name="shop")
        self.api = Api(issue_token(self.client))
        make_warehouse("wh-001", name="Main Warehouse")
        make_warehouse("wh-002", name="Second Warehouse")
        self.store = make_store("main", "wh-001", "wh-002")
        self.tent = Product.objects.create(id=TENT, sku="TENT-2P", name="Tent for two")
        self.stove = Product.objects.create(id=STOVE, sku="STOVE-1", name="Camping stove")

    def stock(self, quantity: int = 10, warehouse: str = "wh-001", product: UUID = TENT, **fields: Any) -> StockLevel:
        """Units of a product in a warehouse, with settings of their level."""
        level = receive(product, quantity, warehouse)
        StockLevel.objects.filter(pk=level.pk).update(**fields)
        level.refresh_from_db()
        return level

    def hold(self, quantity: int = 2, level: StockLevel | None = None, **fields: Any) -> Hold:
        """A hold of tents, of which there are enough, for a cart."""
        return hold((level or self.stock(), quantity), **{"cart_id": "cart-1", **fields})

    def close(self, code: str) -> None:
        """Make a warehouse inactive."""
        Warehouse.objects.filter(code=code).update(is_active=False)

    def done(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        """Send a request that prepares the scene, and return its answer."""
        response = self.api.send(method, path, body)
        assert response.status_code < 300, response.content
        return json.loads(response.content)  # type: ignore[no-any-return]

    def limited(self, *stores: str) -> None:
        """From now on, the client is limited to stores."""
        self.api = Api(issue_token(make_client(Role.MANAGER, name="limited", stores=stores)))

    def send(self, method: str, path: str, asked: Asked) -> HttpResponse:
        """Send a scene's request."""
        headers = {"X-Request-ID": REQUEST_ID, **asked.headers}
        return self.api.send(method.upper(), path, asked.body, **{k.replace("-", "_"): v for k, v in headers.items()})


def item(quantity: int = 2, product: UUID = TENT, **fields: Any) -> dict[str, Any]:
    """A line of a body."""
    return {"productId": str(product), "quantity": quantity, **fields}
