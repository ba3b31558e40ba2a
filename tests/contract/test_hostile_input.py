"""Whatever is sent, the answer is a problem document with a 4xx status, and nothing is written."""

import json
from typing import Any
from uuid import UUID

import pytest
from django.conf import LazySettings
from django.test import Client

from audit.models import AuditEntry
from inventory.models import StockLevel
from reservations.models import Reservation
from tests.conftest import Api
from tests.contract.problems import pointers, problem

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("store")]

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


@pytest.fixture(autouse=True)
def _written_nothing(api: Api) -> Any:
    entries = AuditEntry.objects.count()
    yield
    assert AuditEntry.objects.count() == entries
    assert not Reservation.objects.exists()
    assert not StockLevel.objects.filter(reserved__gt=0).exists()


def raw(value: str) -> bytes:
    return value.encode()


# Commands without a required field: an empty body is treated as {}, and here the subject doesn't exist.
OPTIONAL = {
    f"transfer/tr-{P}/receive",
    f"transfer/tr-{P}/cancel",
    f"alerts/alr-{P}/acknowledge",
    f"counts/cnt-{P}/post",
    f"counts/cnt-{P}/cancel",
    f"/api/v1/webhooks/hook-{P}/rotate",
}

# Faults of a body as a whole, on any route.
WHOLE: dict[str, tuple[bytes, int]] = {
    "nothing": (b"", 400),
    "null": (b"null", 400),
    "an array": (b"[]", 400),
    "a text": (b'"x"', 400),
    "a number": (b"1", 400),
    "NaN": (b"NaN", 400),
    "Infinity": (b'{"a": Infinity}', 400),
    "half a body": (b'{"items": [', 400),
    "two bodies": (b"{}{}", 400),
    "a comment": (b"{/* */}", 400),
    "an unknown field": (b'{"\\u0000~/": 1}', 400),
    "brackets 20,000 deep": (b"[" * 20_000, 400),
    "objects 20,000 deep": (b'{"a":' * 20_000, 400),
    "a byte order mark": (b"\xef\xbb\xbf{}", 400),
    "latin-1": ('{"cartId": "käse"}'.encode("latin-1"), 400),
    "utf-16": ('{"cartId": "a"}'.encode("utf-16"), 400),
    "a high surrogate": (b'{"cartId": "\\ud800"}', 400),
    "a low surrogate": (b'{"cartId": "\\udc00"}', 400),
    "a surrogate as a key": (b'{"\\ud800": 1}', 400),
    "an encoded surrogate": (b'{"cartId": "\xed\xa0\x80"}', 400),
    "over 256 KiB": (b'{"cartId": "' + b"x" * 256 * 1024 + b'"}', 413),
    "2 MB": (b" " * (2 << 20) + b"{}", 413),
    "over Django's own limit": (b" " * (3 << 20), 413),
}


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_a_body_that_is_wrong_as_a_whole_is_refused(api: Api, method: str, path: str) -> None:
    for name, (body, status) in WHOLE.items():
        response = api.send(method, path, body)
        expected = 404 if name == "nothing" and path in OPTIONAL else status
        assert (name, response.status_code) == (name, expected)
        problem(response)


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_a_body_of_another_type_is_415(api: Api, method: str, path: str, content_type: str) -> None:
    problem(api.send(method, path, BODIES[method, path], Content_Type=content_type), 415, "unsupported_media_type")


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


TEXTS = [
    pytest.param(method, path, leaf, id=f"{method} {path} {pointer_of(leaf)}")
    for (method, path), body in BODIES.items()
    for leaf, value in leaves(body)
    if isinstance(value, str)
]
FREE_FORM = {"address", "contactInfo", "capabilities"}


@pytest.mark.parametrize(("method", "path", "leaf"), TEXTS)
def test_texts_with_refused_characters_surrogates_or_of_the_wrong_type_are_refused_in_their_place(
    api: Api, method: str, path: str, leaf: tuple[Any, ...]
) -> None:
    body = BODIES[method, path]
    for refused in ("\0", "\x1f", "\u200b", "\u202e", "\ufeff", "\ufffe", "\uffff", "\U000e0041"):
        response = api.send(method, path, changed(body, leaf, f"a{refused}b"))
        problem(response, 400)
        assert pointers(response) == [pointer_of(leaf)], ascii(refused)
    for text in ("\ud800", "\udfff"):
        problem(api.send(method, path, changed(body, leaf, text)), 400, "malformed")
    if not FREE_FORM & set(leaf):
        for value in (1, True, [], {}, 1.5):
            if leaf[-1] in {"unitPrice", "costPerUnit", "recountShare"} and type(value) in (int, float):
                continue
            response = api.send(method, path, changed(body, leaf, value))
            problem(response, 400)
            assert pointers(response) == [pointer_of(leaf)], value


LENGTHS = {
    "cartId": 64,
    "orderId": 64,
    "customerId": 64,
    "storeId": 20,
    "warehouseId": 20,
    "fromWarehouseId": 20,
    "toWarehouseId": 20,
    "reason": 500,
    "sku": 64,
}
LENGTHS |= {"note": 500, "resolution": 500}
LENGTHS |= {"reference": 100, "barcode": 64, "zone": 10, "aisle": 10, "shelf": 10}


@pytest.mark.parametrize(("method", "path", "leaf"), [text for text in TEXTS if text.values[2][-1] in LENGTHS])
def test_a_text_that_is_too_long_is_refused_in_its_place(
    api: Api, method: str, path: str, leaf: tuple[Any, ...]
) -> None:
    response = api.send(method, path, changed(BODIES[method, path], leaf, "x" * (LENGTHS[leaf[-1]] + 1)))
    assert pointers(response) == [pointer_of(leaf)]


NUMBERS = [
    pytest.param(method, path, leaf, id=f"{method} {path} {pointer_of(leaf)}")
    for (method, path), body in BODIES.items()
    for leaf, value in leaves(body)
    if type(value) is int
]


@pytest.mark.parametrize(("method", "path", "leaf"), NUMBERS)
def test_what_is_no_integer_in_its_range_is_refused_in_its_place(
    api: Api, method: str, path: str, leaf: tuple[Any, ...]
) -> None:
    body = json.dumps(changed(BODIES[method, path], leaf, "HERE"))
    wrong = ['"1"', "1.0", "1.5", "1e2", "true", "[]", "{}"]
    wrong += ["-1000001", "10000000000" if leaf[-1] != "expectedVersion" else "9223372036854775808", "1" + "0" * 30]
    may_be_zero = {"reorderPoint", "minStockLevel", "priority", "expectedVersion", "counted", "overlapHours"}
    if leaf[-1] == "quantityReceived":
        wrong += ["-1"]
    elif leaf[-1] not in may_be_zero and "adjustments" not in leaf:
        wrong += ["0", "-1"]
    if leaf[-1] in {"quantity", "quantityReceived"}:
        wrong += ["1000001", "null"]
    for number in wrong:
        response = api.send(method, path, raw(body.replace('"HERE"', number)))
        problem(response, 422 if leaf[-1] == "timeoutMinutes" and len(number) > 9 else 400)
        assert pointers(response) == [pointer_of(leaf)], number
    for number in ("NaN", "-Infinity", "1e400", "01", "+1", "0x1"):
        problem(api.send(method, path, raw(body.replace('"HERE"', number))), 400)


@pytest.mark.parametrize("quantity", [0, -1])
@pytest.mark.parametrize("kind", ["RECEIPT", "RETURN", "SHIPMENT"])
def test_only_an_adjustment_is_signed_and_none_is_zero(api: Api, kind: str, quantity: int) -> None:
    response = api.put("adjust", {"adjustments": [{**ADJUSTMENT, "quantity": quantity, "type": kind}]})
    assert pointers(response) == ["/adjustments/0/quantity"]
    problem(api.put("adjust", {"adjustments": [{**ADJUSTMENT, "quantity": 0, "type": "ADJUSTMENT"}]}), 400, "invalid")


NO_DECIMALS = [
    *("NaN", "sNaN", "Infinity", "-1", "1.001", "10000000000", "1e400", "x", "", ".", "1_0", "\uff11", "1,5", "0x1"),
    *("0E-100000", "0E+100000", "0e-999999999999", "1E-400", "9" * 100_000, "0." + "0" * 100_000),
]


@pytest.mark.parametrize("price", [pytest.param(price, id=price[:16]) for price in NO_DECIMALS])
def test_a_price_is_an_amount_of_money(api: Api, price: str) -> None:
    body = {"cartId": "c", "items": [{"productId": P, "quantity": 1, "unitPrice": price}]}
    assert pointers(api.post("reserve", body)) == ["/items/0/unitPrice"]
    assert pointers(api.put("carts/c", {"items": body["items"]})) == ["/items/0/unitPrice"]
    costly = {"adjustments": [{**ADJUSTMENT, "costPerUnit": price}]}
    assert pointers(api.put("adjust", costly)) == ["/adjustments/0/costPerUnit"]
    count = {"warehouseId": "wh-001", "scope": "ALL", "recountShare": price}
    assert pointers(api.post("counts", count)) == ["/recountShare"]


DECIMALS = {
    ("POST", "reserve"): ("items", 0, "unitPrice"),
    ("PUT", "carts/c"): ("items", 0, "unitPrice"),
    ("PUT", "adjust"): ("adjustments", 0, "costPerUnit"),
    ("POST", "counts"): ("recountShare",),
}


@pytest.mark.parametrize(("method", "path"), DECIMALS)
def test_a_decimal_that_is_a_number_is_bounded_too(api: Api, method: str, path: str) -> None:
    leaf = DECIMALS[method, path]
    body = json.dumps(changed(BODIES[method, path], leaf, "HERE"))
    for number in ("-1", "1e300", "1" + "0" * 30, "9" * 5000, "0.00001", "true"):
        response = api.send(method, path, raw(body.replace('"HERE"', number)))
        problem(response, 400)
        assert pointers(response) == [pointer_of(leaf)], number
    for number in ("NaN", "-Infinity", "01", ".5"):
        problem(api.send(method, path, raw(body.replace('"HERE"', number))), 400)


@pytest.mark.parametrize(
    "threshold", ["nan", "inf", "-inf", "0", "-1", "1.1", "1e400", "1e-400", "9" * 5000, "1_0", "0x1"]
)
def test_a_threshold_is_a_share(api: Api, threshold: str) -> None:
    assert pointers(api.get(f"low-stock?threshold={threshold}")) == ["?threshold"]


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_an_unknown_field_is_refused_in_its_place(api: Api, method: str, path: str) -> None:
    body = BODIES[method, path]
    response = api.send(method, path, {**body, "a/b~c": 1})
    problem(response, 400, "invalid")
    assert pointers(response) == ["/a~1b~0c"]
    for name in ("items", "adjustments", "warehouses"):
        if name in body:
            other = {"warehouseId": "wh-002"} if name == "warehouses" else {}  # There, each is named once.
            response = api.send(method, path, {**body, name: [body[name][0], {**body[name][0], **other, "qty": 1}]})
            assert pointers(response) == [f"/{name}/1/qty"]


@pytest.mark.parametrize(("method", "path"), [route for route in ROUTES if "items" in BODIES[route.values]])  # type: ignore[index]
def test_lines_are_1_to_200(api: Api, method: str, path: str) -> None:
    body = BODIES[method, path]
    for count in (201,) if path == "carts/c" else (0, 201):  # A cart without items is emptied.
        assert pointers(api.send(method, path, {**body, "items": body["items"] * count})) == ["/items"]


def test_adjustments_are_1_to_200(api: Api) -> None:
    for count in (0, 201):
        assert pointers(api.put("adjust", {"adjustments": [ADJUSTMENT] * count})) == ["/adjustments"]


@pytest.mark.parametrize("wrong", ["x", "", P[:-1], P + "0", f"{{{P}}}", "res-" + P, P.replace("-", "_")])
def test_what_is_no_uuid_is_refused(api: Api, wrong: str) -> None:
    assert pointers(api.post("reserve", {"cartId": "c", "items": [{"productId": wrong, "quantity": 1}]})) == [
        "/items/0/productId"
    ]
    assert pointers(api.get(f"reservations?productId={wrong}")) == ["?productId"]
    problem(api.get(f"/api/v1/products/{wrong}x"), 404)
    problem(api.get(f"reservations/{wrong}x"), 404, "reservation_not_found")


def test_what_is_no_reservation_id_is_refused(api: Api) -> None:
    for wrong in ("res-", P, "RES-" + P, RES + "\n", RES + " ", "res-" + P.replace("-", "")):
        assert pointers(api.post("extend", {"reservationId": wrong})) == ["/reservationId"]


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
