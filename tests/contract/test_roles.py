"""Permissions of every route for every role and for unauthenticated requests."""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from audit.models import WebhookDelivery, WebhookSubscription
from audit.roles import Capability, Role
from audit.webhooks import managing
from inventory.models import LowStockAlert, Movement, Product, StockCount, StockLevel, Store, Transfer, Warehouse
from reservations.models import Reservation, ShortageIncident
from tests.config.test_admin import MAKE_ONE
from tests.conftest import Api
from tests.contract.problems import problem
from tests.factories import ACTOR, counters, hold, lines, make_level, make_store

pytestmark = pytest.mark.django_db
P = "01900000-0000-7000-8000-000000000001"
READ, READ_COUNTS, READ_RECONCILIATION, READ_WEBHOOKS, READ_HEALTH, SELL, KEEP_STOCK, MANAGE, MANAGE_WEBHOOKS = (
    Capability
)
INVENTORY, CATALOGUE = "api/v1/inventory/", "api/v1/"

MAY: dict[Role, set[Capability]] = {
    Role.CHECKOUT: {READ, SELL},
    Role.WAREHOUSE: {READ, READ_COUNTS, KEEP_STOCK},
    Role.MANAGER: set(Capability),
    Role.AUDITOR: {READ, READ_COUNTS, READ_RECONCILIATION, READ_WEBHOOKS, READ_HEALTH},
}
NEEDED: dict[tuple[str, str], Capability] = {
    ("POST", INVENTORY + "check-availability"): READ,
    ("POST", INVENTORY + "reserve"): SELL,
    ("POST", INVENTORY + "extend"): SELL,
    ("POST", INVENTORY + "release"): SELL,
    ("POST", INVENTORY + "consume"): SELL,
    ("GET", INVENTORY + "carts/<str:cart_id>"): READ,
    ("PUT", INVENTORY + "carts/<str:cart_id>"): SELL,
    ("DELETE", INVENTORY + "carts/<str:cart_id>"): SELL,
    ("GET", INVENTORY + "reservations"): READ,
    ("GET", INVENTORY + "reservations/<str:reservation_id>"): READ,
    ("PUT", INVENTORY + "adjust"): KEEP_STOCK,
    ("GET", INVENTORY + "counts"): READ_COUNTS,
    ("POST", INVENTORY + "counts"): KEEP_STOCK,
    ("GET", INVENTORY + "counts/<str:count_id>"): READ_COUNTS,
    ("PUT", INVENTORY + "counts/<str:count_id>/lines"): KEEP_STOCK,
    ("GET", INVENTORY + "counts/<str:count_id>/preview"): READ_COUNTS,
    ("POST", INVENTORY + "counts/<str:count_id>/post"): KEEP_STOCK,
    ("POST", INVENTORY + "counts/<str:count_id>/cancel"): KEEP_STOCK,
    ("GET", INVENTORY + "incidents"): READ_COUNTS,
    ("GET", INVENTORY + "incidents/<str:incident_id>"): READ_COUNTS,
    ("POST", INVENTORY + "incidents/<str:incident_id>/resolve"): KEEP_STOCK,
    ("GET", INVENTORY + "levels"): READ,
    ("GET", INVENTORY + "low-stock"): READ,
    ("GET", INVENTORY + "alerts"): READ,
    ("POST", INVENTORY + "alerts/<str:alert_id>/acknowledge"): KEEP_STOCK,
    ("POST", INVENTORY + "alerts/<str:alert_id>/snooze"): KEEP_STOCK,
    ("GET", INVENTORY + "movements"): READ,
    ("POST", INVENTORY + "transfer"): KEEP_STOCK,
    ("GET", INVENTORY + "transfer/<str:transfer_id>"): READ,
    ("PUT", INVENTORY + "transfer/<str:transfer_id>"): KEEP_STOCK,
    ("POST", INVENTORY + "transfer/<str:transfer_id>/send"): KEEP_STOCK,
    ("POST", INVENTORY + "transfer/<str:transfer_id>/receive"): KEEP_STOCK,
    ("POST", INVENTORY + "transfer/<str:transfer_id>/redirect"): KEEP_STOCK,
    ("POST", INVENTORY + "transfer/<str:transfer_id>/cancel"): KEEP_STOCK,
    ("GET", INVENTORY + "transfers"): READ,
    ("GET", INVENTORY + "<any-case-uuid:product_id>"): READ,
    ("GET", INVENTORY + "<any-case-uuid:product_id>/explain"): READ,
    ("GET", INVENTORY + "<any-case-uuid:product_id>/levels/<str:warehouse_id>"): READ,
    ("PATCH", INVENTORY + "<any-case-uuid:product_id>/levels/<str:warehouse_id>"): MANAGE,
    ("GET", INVENTORY + "reconciliation"): READ_RECONCILIATION,
    ("GET", CATALOGUE + "events"): READ,
    ("GET", CATALOGUE + "events/stream"): READ,
    ("POST", CATALOGUE + "inbox"): SELL,
    ("GET", CATALOGUE + "products"): READ,
    ("GET", CATALOGUE + "products/<any-case-uuid:product_id>"): READ,
    ("PUT", CATALOGUE + "products/<any-case-uuid:product_id>"): MANAGE,
    ("POST", CATALOGUE + "products/<any-case-uuid:product_id>/freeze"): MANAGE,
    ("POST", CATALOGUE + "products/<any-case-uuid:product_id>/unfreeze"): MANAGE,
    ("POST", CATALOGUE + "warehouses/<str:warehouse_id>/freeze"): MANAGE,
    ("POST", CATALOGUE + "warehouses/<str:warehouse_id>/unfreeze"): MANAGE,
    ("POST", CATALOGUE + "stores/<str:store_id>/freeze"): MANAGE,
    ("POST", CATALOGUE + "stores/<str:store_id>/unfreeze"): MANAGE,
    ("GET", CATALOGUE + "warehouses"): READ,
    ("GET", CATALOGUE + "warehouses/<str:warehouse_id>"): READ,
    ("PUT", CATALOGUE + "warehouses/<str:warehouse_id>"): MANAGE,
    ("GET", CATALOGUE + "stores"): READ,
    ("GET", CATALOGUE + "stores/<str:store_id>"): READ,
    ("PUT", CATALOGUE + "stores/<str:store_id>"): MANAGE,
    ("GET", CATALOGUE + "webhooks"): READ_WEBHOOKS,
    ("POST", CATALOGUE + "webhooks"): MANAGE_WEBHOOKS,
    ("GET", CATALOGUE + "webhooks/<str:webhook_id>"): READ_WEBHOOKS,
    ("PATCH", CATALOGUE + "webhooks/<str:webhook_id>"): MANAGE_WEBHOOKS,
    ("DELETE", CATALOGUE + "webhooks/<str:webhook_id>"): MANAGE_WEBHOOKS,
    ("GET", CATALOGUE + "webhooks/<str:webhook_id>/attempts"): READ_WEBHOOKS,
    ("POST", CATALOGUE + "webhooks/<str:webhook_id>/test"): MANAGE_WEBHOOKS,
    ("POST", CATALOGUE + "webhooks/<str:webhook_id>/resend"): MANAGE_WEBHOOKS,
    ("POST", CATALOGUE + "webhooks/<str:webhook_id>/rotate"): MANAGE_WEBHOOKS,
}


def routes(resolver: URLResolver, prefix: str = "") -> Iterator[tuple[str, str]]:
    """All routes of the API, by method."""
    for entry in resolver.url_patterns:
        path = prefix + str(entry.pattern)
        if isinstance(entry, URLResolver):
            yield from routes(entry, path)
        elif isinstance(entry, URLPattern) and path.startswith("api/v1/"):
            view = entry.callback.view_class  # type: ignore[attr-defined]
            yield from (
                (method, path) for method in ("GET", "POST", "PUT", "PATCH", "DELETE") if hasattr(view, method.lower())
            )


def test_the_table_has_every_route() -> None:
    assert set(routes(get_resolver())) == set(NEEDED)


def url(path: str) -> str:
    return "/" + re.sub(r"<str:\w+>", "x", path.replace("<any-case-uuid:product_id>", P))


def test_a_role_has_the_capabilities_it_needs_and_no_more() -> None:
    assert {role: set(role.capabilities) for role in Role} == MAY


HEADS = {("HEAD", path): needed for (method, path), needed in NEEDED.items() if method == "GET"}


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize(("method", "path"), NEEDED | HEADS)
def test_a_role_may_do_what_the_table_says(make_api: Callable[..., Api], method: str, path: str, role: Role) -> None:
    api = make_api(role)
    for prefix in ("/api/v1/inventory/", "/api/inventory/"):
        response = api.send(method, url(path).replace("/api/v1/inventory/", prefix), {})
        if (NEEDED | HEADS)[method, path] in MAY[role]:
            assert response.status_code not in {401, 403, 405, 500}
        elif method == "HEAD":
            assert response.status_code == 403
        else:
            problem(response, 403, "permission_denied")


@pytest.mark.parametrize(("method", "path"), NEEDED)
def test_an_auditor_changes_nothing(method: str, path: str) -> None:
    is_read = method == "GET" or path.endswith("/check-availability")
    assert (NEEDED[method, path] in MAY[Role.AUDITOR]) == is_read


def test_an_auditor_plans_no_hold(make_api: Callable[..., Api]) -> None:
    body = {"cartId": "c", "items": lines((make_level(10), 1))}
    problem(make_api(Role.AUDITOR).post("reserve?dryRun=true", body), 403, "permission_denied")


@pytest.mark.parametrize("role", Role)
def test_a_method_that_a_route_does_not_have_is_405_for_every_role(make_api: Callable[..., Api], role: Role) -> None:
    api = make_api(role)
    for path in {path for _, path in NEEDED}:
        has = {method for method, known in NEEDED if known == path}
        for method in {"GET", "POST", "PUT", "PATCH", "DELETE"} - has:
            problem(api.send(method, url(path), {}), 405, "method_not_allowed")


@pytest.mark.parametrize(("method", "path"), NEEDED)
def test_an_unauthenticated_request_may_do_nothing(db: None, method: str, path: str) -> None:
    response = Client(headers={"Host": "localhost"}).generic(method, url(path), b"{}", "application/json")
    problem(response, 401, "not_authenticated")
    assert response.headers["WWW-Authenticate"].startswith("Bearer")


# --- clients that are limited to their stores ------------------------------------------------------------------------


@pytest.fixture
def two_stores() -> None:
    make_store("main", "wh-001", "wh-002")
    make_store("outlet", "wh-003", is_default=False)


@pytest.mark.usefixtures("two_stores")
@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "reservations/{id}", None),
        ("POST", "extend", {"reservationId": "{id}"}),
        ("POST", "release", {"reservationId": "{id}"}),
        ("POST", "release", {"cartId": "c"}),
        ("POST", "release", {"orderId": "o"}),
        ("POST", "consume", {"orderId": "o", "reservationId": "{id}"}),
        ("POST", "consume", {"orderId": "o", "cartId": "c"}),
        ("POST", "consume", {"orderId": "o"}),
        ("POST", "consume", {"orderId": "o", "reservationId": "{id}", "reacquire": True}),
        ("DELETE", "carts/c", None),
    ],
)
def test_another_stores_reservation_does_not_exist(
    make_api: Callable[..., Api], method: str, path: str, body: dict[str, Any] | None
) -> None:
    level = make_level(10)
    made = hold((level, 1), cart_id="c", order_id="o")
    api = make_api(Role.CHECKOUT, stores=("outlet",))
    filled = body and {k: v.format(id=made.public_id) if isinstance(v, str) else v for k, v in body.items()}
    problem(api.send(method, path.format(id=made.public_id), filled), 404, "reservation_not_found")
    assert (Reservation.objects.get().status, counters(level)) == ("ACTIVE", (10, 1))


@pytest.mark.usefixtures("two_stores")
def test_another_store_does_not_exist(make_api: Callable[..., Api]) -> None:
    level = make_level(10)
    api = make_api(Role.MANAGER, stores=("outlet",))
    line = {"items": lines((level, 1)), "storeId": "main"}
    problem(api.post("reserve", {"cartId": "c", **line}), 422, "unknown_store")
    problem(api.post("reserve?dryRun=true", {"cartId": "c", **line}), 422, "unknown_store")
    problem(api.put("carts/c", line), 422, "unknown_store")
    problem(api.post("check-availability", line), 422, "unknown_store")
    adjusted = lines((level, 1), warehouseId="wh-001", type="RECEIPT", reason="r")
    problem(api.put("adjust", {"adjustments": adjusted}), 422, "unknown_warehouse")
    problem(api.patch(f"{level.product_id}/levels/wh-001", {"reorderPoint": 1}), 404, "not_found")
    assert api.get("levels").json()["items"] == []  # type: ignore[attr-defined]
    assert api.get("reservations").json()["items"] == []  # type: ignore[attr-defined]
    assert counters(level) == (10, 0)


@pytest.mark.usefixtures("two_stores")
def test_a_cart_of_the_same_name_in_another_store_is_another_cart(make_api: Callable[..., Api]) -> None:
    level = make_level(10)
    adjusted = lines((level, 5), warehouseId="wh-003", type="RECEIPT", reason="r")
    main, outlet = make_api(Role.CHECKOUT, stores=("main",)), make_api(Role.MANAGER, stores=("outlet",))
    assert outlet.put("adjust", {"adjustments": adjusted}).status_code == 200
    assert main.put("carts/c", {"items": lines((level, 2))}).status_code == 201
    assert outlet.put("carts/c", {"items": lines((level, 3))}).status_code == 201
    assert counters(level) == (10, 2)
    assert len(outlet.delete("carts/c").json()["reservations"]) == 1  # type: ignore[attr-defined]
    assert counters(level) == (10, 2)


FOR_ALL_STORES = {
    ("GET", INVENTORY + "reconciliation"),
    ("PUT", CATALOGUE + "products/<any-case-uuid:product_id>"),
    ("PUT", CATALOGUE + "stores/<str:store_id>"),
    ("PUT", CATALOGUE + "warehouses/<str:warehouse_id>"),
    *((method, path) for method, path in NEEDED if path.endswith(("/freeze", "/unfreeze"))),
}
"""What concerns all stores, and is not for clients limited to some."""
OPEN_TO_ALL = {
    CATALOGUE + "products",
    CATALOGUE + "products/<any-case-uuid:product_id>",
    INVENTORY + "<any-case-uuid:product_id>",
    INVENTORY + "<any-case-uuid:product_id>/explain",
    INVENTORY + "check-availability",
}
"""Products belong to no store. Their stock does: none of it is shown."""


@pytest.fixture
def elsewhere(two_stores: None) -> dict[str, str]:
    """What the markers of the routes stand for: of each kind, a row that is main's."""
    for make in MAKE_ONE.values():
        make()
    held = hold((make_level(10), 1), cart_id="c", order_id="o")
    return {
        "cart_id": "c",
        "reservation_id": held.public_id,
        "count_id": StockCount.objects.get().public_id,
        "incident_id": ShortageIncident.objects.get().public_id,
        "alert_id": f"alr-{LowStockAlert.objects.get().pk}",
        "transfer_id": Transfer.objects.get().public_id,
        "product_id": str(held.items[0].product_id),
        "warehouse_id": "wh-001",
        "store_id": "main",
        "webhook_id": _webhook_of_main(),
    }


def _webhook_of_main() -> str:
    fields = {"name": "main's", "url": "https://example.com/", "store_codes": ["main"]}
    made = managing.create(ACTOR, fields)
    assert isinstance(made, managing.Changed)
    return f"hook-{made.webhook.pk}"


BODIES: dict[str, dict[str, Any]] = {
    "release": {"reservationId": "{reservation_id}"},
    "extend": {"reservationId": "{reservation_id}"},
    "inbox": {
        "eventId": "e",
        "type": "OrderCreatedEvent",
        "data": {"orderId": "o", "storeId": "main", "items": [{"productId": P, "quantity": 1}]},
    },
    "consume": {"reservationId": "{reservation_id}", "orderId": "o"},
    "lines": {"lines": [{"productId": "{product_id}", "countedQuantity": 1}]},
    "resolve": {"resolution": "told"},
    "redirect": {"toWarehouseId": "wh-001"},
    "snooze": {"until": "2199-01-01T00:00:00Z"},
    "wh-001": {"reorderPoint": 1},
    "resend": {"failed": True},
}
"""Bodies by the end of the path, for what would else be refused for its body."""


@pytest.mark.parametrize("role", Role)
def test_every_route_is_closed_or_empty_to_a_client_of_another_store(
    make_api: Callable[..., Api], elsewhere: dict[str, str], role: Role
) -> None:
    api, wrong = make_api(role, stores=("outlet",)), []
    before = everything()
    for method, path in NEEDED | HEADS:
        address = "/" + re.sub(r"<[\w-]+:(\w+)>", lambda marker: elsewhere[marker[1]], path)
        body = json.dumps(BODIES.get(address.rpartition("/")[2], {}))
        for name, id_ in elsewhere.items():
            body = body.replace(f"{{{name}}}", id_)
        answer = api.send(method, address, None if method in {"GET", "HEAD"} else body.encode())
        told = answer.content.decode()
        if (NEEDED | HEADS)[method, path] not in MAY[role] or (method.replace("HEAD", "GET"), path) in FOR_ALL_STORES:
            fine = answer.status_code == 403
        elif path in OPEN_TO_ALL:
            fine = answer.status_code in {200, 400} and "wh-00" not in told and "main" not in told
        elif path.endswith("/inbox"):
            fine = answer.status_code == 202 and answer.json()["outcomes"][0]["outcome"] == "refused"
        elif "<" in path and method != "PUT":
            fine = answer.status_code == 404
        elif method in {"GET", "HEAD"}:
            fine = answer.status_code == 200 and not any(f'"{id_}"' in told for id_ in elsewhere.values())
        else:
            fine = answer.status_code in {400, 404, 422}
        if not fine:
            wrong.append((method, address, answer.status_code, told[:200]))
    assert wrong == []
    assert everything() == before


def everything() -> dict[str, list[Any]]:
    """All rows of stock and holds."""
    models = (
        WebhookSubscription,
        WebhookDelivery,
        StockLevel,
        Movement,
        Reservation,
        Transfer,
        StockCount,
        ShortageIncident,
        LowStockAlert,
        Warehouse,
    )
    return {model._meta.label: list(model._default_manager.order_by("pk").values()) for model in models}


@pytest.mark.usefixtures("store")
def test_a_client_limited_to_stores_changes_no_catalogue(make_api: Callable[..., Api]) -> None:
    api = make_api(Role.MANAGER, stores=("main",))
    bodies = {
        "/api/v1/stores/main": {"name": "Mine now", "warehouses": [{"warehouseId": "wh-002", "priority": 1}]},
        "/api/v1/warehouses/wh-001": {"name": "Mine now", "type": "MAIN", "address": {}},
        f"/api/v1/products/{P}": {"sku": "MINE", "name": "Mine now"},
    }
    for path, body in bodies.items():
        problem(api.put(path, body), 403, "permission_denied")
    assert not Store.objects.filter(name="Mine now").exists()
    assert not Warehouse.objects.filter(name="Mine now").exists()
    assert not Product.objects.filter(sku="MINE").exists()
