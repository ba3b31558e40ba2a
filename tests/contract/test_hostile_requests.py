"""Paths, queries, methods, keys and headers that are refused."""

from uuid import UUID

import pytest
from django.conf import LazySettings
from django.test import Client

from tests.conftest import Api
from tests.contract.bodies import BODIES, P, raw
from tests.contract.problems import pointers, problem

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("written_nothing")]


@pytest.fixture
def api(shared_api: Api) -> Api:
    return shared_api


NAMED_PATHS = [
    ("GET", "/api/v1/warehouses/{}"),
    ("PUT", "/api/v1/warehouses/{}"),
    ("GET", "/api/v1/stores/{}"),
    ("PUT", "/api/v1/stores/{}"),
    ("GET", "/api/v1/products/{}"),
    ("PUT", "/api/v1/products/{}"),
    ("GET", "reservations/{}"),
    ("PUT", "carts/{}"),
    ("DELETE", "carts/{}"),
    ("PATCH", P + "/levels/{}"),
    ("GET", "transfer/{}"),
    ("PUT", "transfer/{}"),
    ("POST", "transfer/{}/send"),
    ("POST", "transfer/{}/receive"),
    ("POST", "transfer/{}/redirect"),
    ("POST", "transfer/{}/cancel"),
]


@pytest.mark.parametrize(
    "name", ["%00", "a%00b", "%FF", "%ED%A0%80", "%", "%zz", "%0A", "x" * 5000, "%F0%9F%98%80" * 65]
)
@pytest.mark.parametrize(("method", "path"), NAMED_PATHS, ids=str)
def test_a_name_in_a_path_that_nothing_can_have_is_refused(api: Api, method: str, path: str, name: str) -> None:
    body = next(
        (body for (m, p), body in BODIES.items() if m == method and p.split("/")[-2:-1] == path.split("/")[-2:-1]), {}
    )
    if path == "carts/{}" and name in {"%FF", "%ED%A0%80", "%", "%zz"}:
        body = {}  # These are unusual but valid cart ids, so only the body is wrong.
        if method == "DELETE":
            problem(api.send(method, path.format(name)), 404)
            return
    problem(api.send(method, path.format(name), body if method != "DELETE" else None))


@pytest.mark.parametrize(
    "query",
    [
        "cursor=x",
        "cursor=%FF",
        "cursor=%00",
        "cursor=" + "A" * 101,
        "cursor=AAAA",
        "cursor=null",
        "limit=0",
        "limit=201",
        "limit=-1",
        "limit=x",
        "limit=",
        "limit=1.5",
        "limit=1e400",
        "limit=" + "9" * 5000,
        "limit=null",
        "limit=1&limit=2",
        "unknown=1",
        "%00=1",
        "Limit=1",
    ],
)
@pytest.mark.parametrize(
    "path", ["levels", "reservations", "transfers", "/api/v1/products", "/api/v1/warehouses", "/api/v1/stores"]
)
def test_a_list_refuses_a_query_out_of_shape(api: Api, path: str, query: str) -> None:
    problem(api.get(f"{path}?{query}"), 400, "invalid")


@pytest.mark.parametrize(
    "query",
    [
        "reservations?status=DUE",
        "reservations?status=null",
        "reservations?status=active",
        "reservations?productId=null",
        "reservations?variantId=null",
        "reservations?cartId=",
        "reservations?cartId=a%00b",
        "reservations?cartId=" + "x" * 65,
        "levels?warehouseId=%00",
        "levels?storeId=a%20b",
        "levels?warehouseId=" + "x" * 21,
        "transfers?status=SENT",
        "transfers?overdue=maybe",
        "transfers?overdue=null",
        "transfers?fromWarehouseId=%00",
        "transfers?toWarehouseId=" + "x" * 21,
        P + "?warehouseId=%00",
        P + "?quantity=1",
        "/api/v1/products?search=%00",
        "/api/v1/products?sku=" + "x" * 65,
    ],
)
def test_a_malformed_filter_is_refused_with_its_parameter(api: Api, query: str) -> None:
    response = api.get(query)
    problem(response, 400, "invalid")
    assert pointers(response) == ["?" + query.partition("?")[2].partition("=")[0]]


@pytest.mark.parametrize("value", ["maybe", "2", "", "null"])
def test_dry_run_is_true_or_false(api: Api, value: str) -> None:
    body = {"cartId": "c", "items": [{"productId": P, "quantity": 1}]}
    assert pointers(api.post(f"reserve?dryRun={value}", body)) == ["?dryRun"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "reserve"),
        ("DELETE", "reserve"),
        ("PUT", "check-availability"),
        ("POST", "adjust"),
        ("POST", "levels"),
        ("POST", "carts/c"),
        ("DELETE", f"/api/v1/products/{P}"),
        ("POST", "/api/v1/stores"),
        ("TRACE", "reserve"),
        ("PROPFIND", "levels"),
    ],
)
def test_another_method_is_405_and_names_those_that_are_allowed(api: Api, method: str, path: str) -> None:
    response = api.send(method, path, {})
    problem(response, 405, "method_not_allowed")
    assert method not in response.headers["Allow"].split(", ")


@pytest.mark.parametrize(
    "path", ["nothing", "reserve/", "/api/", "/api/v2/inventory/reserve", "%2e%2e/%00", "/api/%FF"]
)
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
def test_where_there_is_no_route_is_a_problem_document_too(api: Api, method: str, path: str) -> None:
    """Also for POST, for which Django would demand a CSRF token in HTML."""
    problem(api.send(method, path, {}), 404, "not_found")


@pytest.mark.parametrize("key", ["", "x" * 256, "a\tb", "k\u00e4se", "a\x7f", "\x01"])
def test_an_idempotency_key_is_1_to_255_printable_ascii_characters(api: Api, key: str) -> None:
    problem(api.put("/api/v1/stores/s", {"name": "n", "warehouses": []}, Idempotency_Key=key), 400, "invalid")


@pytest.fixture
def _unlimited(settings: LazySettings) -> None:
    settings.THROTTLE_FAILED_TOKENS_PER_MINUTE = 0


@pytest.mark.usefixtures("_unlimited")
@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer ",
        "Basic eDp5",
        "Bearer k\u00e4se",
        "Bearer a b",
        "Bearer \0",
        "x" * 9000,
        "Bearer " + "x" * 9000,
    ],
)
def test_what_is_no_token_is_401(header: str) -> None:
    response = Client(headers={"Host": "localhost"}).get("/api/v1/inventory/levels", headers={"Authorization": header})
    problem(response, 401, "not_authenticated")
    assert response.headers["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize("length", ["x", "1_0", "-1", "\u0661", "9" * 5000])
@pytest.mark.parametrize(("method", "path"), [("POST", "reserve"), ("DELETE", "carts/c")])
def test_a_length_that_is_none_is_refused(api: Api, method: str, path: str, length: str) -> None:
    client = Client(headers={"Authorization": f"Bearer {api.token}", "Host": "localhost", "Idempotency-Key": "k"})
    response = client.generic(method, api.base + path, b"{}", "application/json", CONTENT_LENGTH=length)
    problem(response)


def test_an_unexpected_body_is_bounded_too(api: Api) -> None:
    problem(api.send("DELETE", "carts/c", b"x" * (3 << 20), Idempotency_Key="k"), 413, "too_large")


@pytest.mark.parametrize(
    ("address", "pointer"),
    [
        ('{"a": {"b": ["x", "\\u0000"]}}', "/address/a/b/1"),
        ('{"a/b": {"c~d": "\\u0000"}}', "/address/a~1b/c~0d"),
        ('{"a": {"\\u0000": 1}}', "/address/a"),
    ],
)
def test_free_form_values_are_refused_in_their_place(api: Api, address: str, pointer: str) -> None:
    body = raw(f'{{"name": "n", "type": "MAIN", "address": {address}}}')
    response = api.put("/api/v1/warehouses/w", body)
    problem(response, 400, "invalid")
    assert pointers(response) == [pointer]


@pytest.mark.parametrize("offered", ["my-request", "!" * 128])
def test_a_request_id_is_taken_over(api: Api, offered: str) -> None:
    response = api.get("reservations/x", X_Request_ID=offered)
    assert problem(response, 404)["requestId"] == offered


@pytest.mark.parametrize("offered", [None, "", "a b", "x" * 129, "k\u00e4se", "\x07", "a\x85"])
def test_a_request_id_is_made_where_none_or_garbage_is_offered(api: Api, offered: str | None) -> None:
    headers = {} if offered is None else {"X_Request_ID": offered}
    UUID(problem(api.get("reservations/x", **headers), 404)["requestId"])
