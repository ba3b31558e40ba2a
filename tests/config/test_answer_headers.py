"""Answers with 201 have the address of what they created, and answers of deprecated routes say so."""

import json
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote
from uuid import uuid4

import pytest
import yaml

from audit.api.deprecation import DEPRECATED, headers_of
from audit.api.locations import location_of
from audit.authentication import find_caller
from config import asgi_app
from config.documents.generated import openapi_text
from inventory.models import StockLevel
from tests.config.test_both_paths import ask, through_django
from tests.conftest import Api, body_of
from tests.factories import lines, make_level

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("store")]
OLD: Final = "/api/inventory/"
INVENTORY: Final = "/api/v1/inventory/"
Sent = tuple[str, str, Any]


def _transfer(level: StockLevel) -> Sent:
    (line,) = lines((level, 1), fromWarehouseId="wh-001", toWarehouseId="wh-002")
    return "POST", f"{INVENTORY}transfer", {"items": [line], "reason": "move"}


CREATED: dict[str, Callable[[StockLevel], Sent]] = {
    "reserve": lambda level: ("POST", f"{INVENTORY}reserve", {"cartId": "c", "items": lines((level, 1))}),
    "putCart": lambda level: ("PUT", f"{INVENTORY}carts/a%3Fb%20%C3%A9", {"items": lines((level, 1))}),
    "transfer": _transfer,
    "openCount": lambda _: ("POST", f"{INVENTORY}counts", {"warehouseId": "wh-001", "scope": "ALL"}),
    "putProduct": lambda _: ("PUT", f"/api/v1/products/{uuid4()}", {"sku": "NEW", "name": "New"}),
    "putWarehouse": lambda _: (
        "PUT",
        "/api/v1/warehouses/wh-009",
        {"name": "Nine", "type": "MAIN", "address": {"city": "Graz"}},
    ),
    "putStore": lambda _: ("PUT", "/api/v1/stores/new", {"name": "New", "warehouses": []}),
    "createWebhook": lambda _: ("POST", "/api/v1/webhooks", {"name": "shop", "url": "https://example.com/"}),
}


def test_every_operation_that_creates_is_tried_here() -> None:
    operations = [each for methods in yaml.safe_load(openapi_text())["paths"].values() for each in methods.values()]
    assert {each["operationId"] for each in operations if "201" in each["responses"]} == CREATED.keys()


@pytest.mark.parametrize("name", CREATED)
def test_what_was_created_is_at_its_location(api: Api, name: str) -> None:
    method, path, body = CREATED[name](make_level(10))
    answers = [api.send(method, path, body, Idempotency_Key="k") for _ in range(2)]
    assert [each.status_code for each in answers] == [201, 201], answers[0].content
    assert answers[1].headers["Idempotent-Replayed"] == "true"
    (location,) = {each.headers["Location"] for each in answers}
    assert location.startswith("/api/v1/")
    made, read = body_of(answers[0], 201), body_of(api.get(location))
    (name_of_id,) = [field for field in made if quote(str(made[field]), safe="") == location.rpartition("/")[2]]
    assert read[name_of_id] == made[name_of_id]


@pytest.mark.parametrize("base", [INVENTORY, OLD])
def test_the_loop_answers_with_the_headers_of_a_thread(api: Api, base: str) -> None:
    assert find_caller(api.token)
    product = str(make_level(10).product_id)
    for sent, status in (
        ({"cartId": "c", "items": [{"productId": product, "quantity": 1}]}, 201),
        ({"cartId": "c", "items": [{"productId": product, "quantity": 1}]}, 201),
        ({"cartId": "c", "items": [{"productId": product, "quantity": 99}]}, 409),
        ({}, 400),
    ):
        body, keys = json.dumps(sent).encode(), [("idempotency-key", "k")] if status == 201 else []
        for way in (ask, through_django):
            code, headers, content = way(api.token, f"{base}reserve", body, *keys)
            assert code == status, content
            assert ("Deprecation" in headers, "Sunset" in headers, "Link" in headers) == (base == OLD,) * 3
            where = location_of(f"{INVENTORY}reservations/{{reservationId}}", content) if code == 201 else None
            assert headers.get("Location") == where


def test_other_answers_have_no_location(api: Api) -> None:
    level = make_level(10)
    body = {"items": lines((level, 1))}
    assert api.put("carts/c", body).status_code == 201
    for answer in (
        api.put("carts/c", body),
        api.post("reserve?dryRun=true", {"cartId": "c", **body}),
        api.get("levels"),
    ):
        assert answer.status_code == 200
        assert "Location" not in answer.headers


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "levels", 200),
        ("HEAD", "levels", 200),
        ("OPTIONS", "reserve", 204),
        ("DELETE", "reserve", 405),
        ("GET", "reservations/res-4711", 404),
        ("GET", "no/such/route", 404),
        ("GET", "carts/%F0%9F%98%80%0D%0AX-A%3A%20b", 400),
        ("POST", "reserve", 400),
    ],
)
def test_every_answer_of_a_route_that_is_to_go_says_so(api: Api, method: str, path: str, status: int) -> None:
    (old,) = DEPRECATED
    for base in (OLD, INVENTORY):
        answer = api.send(method, base + path, {} if method == "POST" else None)
        assert answer.status_code == status
        assert ("Deprecation" in answer.headers) is (base == OLD)
        if base == OLD:
            assert answer.headers["Deprecation"] == f"@{int(old.since.timestamp())}"
            assert parsedate_to_datetime(answer.headers["Sunset"]) == old.until
            assert answer.headers["Link"] == f'<{INVENTORY}{path}>; rel="successor-version"'
    assert old.since < old.until


def test_a_refusal_that_no_view_has_seen_says_so_too(db: None) -> None:
    for path, is_old in ((f"{OLD}reserve", True), (f"{INVENTORY}reserve", False)):
        assert ("Sunset" in Api("nobody").post(path, {}).headers) is is_old
        too_large = asgi_app._refuse({"type": "http", "method": "POST", "path": path, "headers": []}, 413)
        assert ("Sunset" in too_large.headers) is is_old


def test_the_reference_lists_what_is_to_go() -> None:
    page = Path("docs/reference/api.md").read_text(encoding="utf-8")
    for each in DEPRECATED:
        row = f"| `{each.prefix}…` | `{each.instead}…` | {each.since:%Y-%m-%d} | {each.until:%Y-%m-%d} |"
        assert row in page
    assert headers_of("/api/v1/inventory/reserve") == {}
