"""Refusals say what was wrong, all of it at once, and what to send instead."""

import gzip
import json
from typing import Any

import pytest

from audit.roles import Role
from tests.conftest import Api
from tests.contract.problems import pointers, problem
from tests.factories import hold, make_due, make_level

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("store")]
P = "01900000-0000-7000-8000-000000000001"


def detail_at(response: Any, pointer: str) -> str:
    """The sentence of the fault at a pointer."""
    (found,) = [fault["detail"] for fault in problem(response)["errors"] if fault["pointer"] == pointer]
    return str(found)


def test_all_mistakes_of_a_body_are_named_at_once(api: Api) -> None:
    line = {"productId": "TENT-2P", "quantity": 0, "warehouse_id": "wh-001"}
    response = api.post("reserve", {"items": [line, {"quantity": "1"}], "timeoutMinutes": 0, "storeID": "main"})
    document = problem(response, 400, "invalid")
    assert set(pointers(response)) == {
        "/items/0/productId",
        "/items/0/quantity",
        "/items/0/warehouse_id",
        "/items/1/productId",
        "/items/1/quantity",
        "/timeoutMinutes",
        "/storeID",
        "/cartId",
    }
    assert document["detail"].endswith("There are 7 more mistakes.")
    assert detail_at(response, "/storeID").endswith("Did you mean `storeId`?")
    assert "?sku=TENT-2P" in detail_at(response, "/items/0/productId")


@pytest.mark.parametrize(
    ("method", "path", "body", "expected"),
    [
        ("POST", "reserve", {}, ["/items", "/cartId"]),
        ("POST", "release", {}, ["/reservationId"]),
        ("POST", "release", {"cartId": "c", "orderId": "o"}, ["/cartId", "/orderId"]),
        ("POST", "extend", {"cartId": "c", "minutes": 16, "orderId": "o"}, ["/minutes", "/cartId", "/orderId"]),
        ("POST", "consume", {"cartId": "c", "reservationId": f"res-{P}"}, ["/orderId", "/reservationId", "/cartId"]),
        (
            "PUT",
            "adjust",
            {
                "adjustments": [
                    {"productId": P, "warehouseId": "w", "quantity": 0, "type": "RETURN", "reason": "r", "force": True},
                    {"productId": P, "warehouseId": "w", "quantity": 1, "type": "SALE", "reason": ""},
                ]
            },
            ["/adjustments/1/type", "/adjustments/1/reason", "/adjustments/0/quantity", "/adjustments/0/force"],
        ),
        ("POST", "counts", {"scope": "ZONE", "staleDays": 0}, ["/staleDays", "/warehouseId", "/zone"]),
        ("POST", f"/api/v1/webhooks/hook-{P}/resend", {"until": "x"}, ["/until", "/eventId", "/until"]),
        (
            "POST",
            "/api/v1/webhooks",
            {"url": "n o", "since": "2026-01-01T00:00:00Z", "after": "1.1.1"},
            ["/url", "/name", "/since", "/after"],
        ),
        (
            "PUT",
            "/api/v1/stores/s",
            {"warehouses": [{"warehouseId": "w", "priority": 1}] * 2, "ttlMinutes": 61},
            ["/ttlMinutes", "/name", "/warehouses"],
        ),
    ],
)
def test_contradictions_are_named_with_all_other_mistakes(
    api: Api, method: str, path: str, body: dict[str, Any], expected: list[str]
) -> None:
    response = api.send(method, path, body)
    problem(response, 400, "invalid")
    got = pointers(response)
    assert [each for each in expected if each not in got] == []
    assert {each for each in got if each not in expected} <= {"/staleDays"}


def test_what_a_cart_holds_is_refused_at_the_cart(api: Api) -> None:
    level = make_level(5)
    make_due(hold((level, 1), cart_id="c", order_id="o").id)
    for body, pointer in (
        ({"orderId": "o", "cartId": "c"}, "/cartId"),
        ({"orderId": "o"}, "/orderId"),
    ):
        response = api.post("consume", body)
        problem(response, 409, "reservation_expired")
        assert pointers(response) == [pointer]


def test_a_product_is_addressed_by_its_id_and_found_by_its_sku(api: Api) -> None:
    for path in ("TENT-2P", "TENT-2P/explain", "/api/v1/products/TENT-2P", "/api/inventory/TENT-2P/levels/wh-001"):
        detail = problem(api.get(path), 404, "not_found")["detail"]
        assert "TENT-2P” is not. To find a product by its SKU, send GET /api/v1/products?sku=TENT-2P." in detail
    id_ = "01920000-0000-7000-8000-00000000000a"
    for written in (id_.replace("-", ""), f"%7B{id_}%7D", f"urn:uuid:{id_}"):
        assert f"A productId is written as `{id_}`." in problem(api.get(written), 404, "not_found")["detail"]
    assert problem(api.get("levels/"), 404)["detail"].endswith("Leave out the slash at its end.")
    assert problem(api.get("no/such/route/at/all"), 404)["detail"].endswith("/no/such/route/at/all.")


@pytest.mark.parametrize(
    ("path", "what"),
    [
        ("reservations/4711", "res-"),
        ("transfer/4711", "tr-"),
        ("counts/4711", "cnt-"),
        ("incidents/4711", "inc-"),
        ("/api/v1/webhooks/4711", "hook-"),
    ],
)
def test_a_wrong_id_in_a_path_says_what_one_looks_like(api: Api, path: str, what: str) -> None:
    assert f"one looks like `{what}0" in problem(api.get(path), 404)["detail"]


@pytest.mark.parametrize("path", ["/health/live", "/health/ready", "/api/schema/", "/api/docs/"])
def test_pages_that_only_read_answer_options(api: Api, path: str) -> None:
    response = api.send("OPTIONS", path)
    assert (response.status_code, response.headers["Allow"]) == (204, "GET, HEAD, OPTIONS")
    assert "Content-Type" not in response.headers


def test_an_unencoded_plus_is_named(api: Api) -> None:
    for path in ("movements", "/api/v1/events", f"{make_level(1).product_id}/explain"):
        name = "at" if path.endswith("explain") else "since"
        response = api.get(f"{path}?{name}=2026-01-01T00:00:00+00:00")
        assert pointers(response) == [f"?{name}"]
        assert "write %2B instead" in detail_at(response, f"?{name}")


def test_all_mistakes_of_a_query_are_named_at_once(api: Api) -> None:
    response = api.get("reservations?status=active&limit=0&cart=c&productId=TENT-2P")
    problem(response, 400, "invalid")
    assert set(pointers(response)) == {"?status", "?limit", "?cart", "?productId"}
    assert "`ACTIVE`, `CONSUMED`" in detail_at(response, "?status")
    assert detail_at(response, "?cart").endswith("Did you mean `cartId`?")


def test_a_compressed_body_is_415_with_what_is_accepted(api: Api) -> None:
    for path in ("reserve", "/api/v1/inbox", "/api/v1/webhooks"):
        for headers in ({"Content_Encoding": "gzip"}, {}):
            response = api.send("POST", path, gzip.compress(b"{}"), **headers)
            problem(response, 415, "unsupported_media_type")
            assert response.headers["Accept-Encoding"] == "identity"


INBOX = "/api/v1/inbox"


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (b"", "is empty"),
        (b"\xef\xbb\xbf{}", "byte order mark"),
        (b"[{]", "line 1, column"),
        (b"\n", "only blanks"),
        (b'{"a": [1', "it ends too early."),
        ("{}".encode("utf-16"), "is in UTF-16"),
        ("{}".encode("utf-32"), "is in UTF-32"),
        ("{}".encode("utf-16-le"), "as text in UTF-16"),
        ("{}".encode("utf-32-be"), "as text in UTF-16 or UTF-32"),
        (b'{"a":\n"\xff"}', "line 2, column 2 has a byte that isn't UTF-8"),
    ],
)
def test_an_unreadable_batch_of_events_says_why(api: Api, body: bytes, named: str) -> None:
    assert named in problem(api.send("POST", INBOX, body), 400, "malformed")["detail"]


def test_each_mistake_of_an_event_is_named(make_api: Any) -> None:
    line = {"productId": "TENT-2P", "quantity": 0}
    event = {"eventId": "e-1", "type": "OrderCreatedEvent", "data": {"items": [line], "storeId": ""}}
    twice = json.dumps({**event, "eventId": "e-2"}).replace('"storeId": ""', '"orderId": "a", "orderId": "b"')
    api: Api = make_api(Role.CHECKOUT)
    answer = api.send("POST", INBOX, f"[{json.dumps(event)}, {twice}]".encode()).json()  # type: ignore[attr-defined]
    first, second = answer["outcomes"]
    assert (first["outcome"], first["code"]) == ("dead_letter", "invalid")
    expected = {"/data/items/0/productId", "/data/items/0/quantity", "/data/storeId", "/data/orderId"}
    assert {fault["pointer"] for fault in first["errors"]} == expected
    assert (second["outcome"], second["eventId"]) == ("dead_letter", "e-2")
    assert [fault["pointer"] for fault in second["errors"]] == ["/data/orderId"]
