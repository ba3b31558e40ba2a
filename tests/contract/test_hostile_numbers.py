"""Numbers, ids and lists that are refused."""

import json
from typing import Any

import pytest

from tests.conftest import Api
from tests.contract.bodies import ADJUSTMENT, BODIES, RES, ROUTES, P, changed, leaves, pointer_of, raw
from tests.contract.problems import pointers, problem

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("written_nothing")]


@pytest.fixture
def api(shared_api: Api) -> Api:
    return shared_api


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
