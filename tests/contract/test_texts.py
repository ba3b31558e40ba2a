"""Texts are cleaned in the bodies and the queries of the API; a refused character is named, with its place."""

from typing import Any
from urllib.parse import quote
from uuid import uuid4

import pytest
from django.http import HttpResponse

from inventory.models import Movement, Product, StockLevel
from tests.conftest import Api
from tests.contract.problems import pointers, problem
from tests.factories import hold, lines, make_level, make_product, make_warehouse

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("store")]

UNCLEAN = " \u00a0A\u00a0e\u0301\u2003\r\n"
CLEAN = "A \u00e9"


def done(response: HttpResponse) -> dict[str, Any]:
    """The body of a successful answer."""
    assert response.status_code < 300, response.content
    body: dict[str, Any] = response.json()  # type: ignore[attr-defined]
    return body


def test_texts_of_products_warehouses_and_stores_are_cleaned(api: Api) -> None:
    product = {"sku": UNCLEAN, "name": f"I ❤\ufe0f{UNCLEAN}", "barcode": UNCLEAN}
    put = done(api.put(f"/api/v1/products/{uuid4()}", product))
    assert (put["sku"], put["name"], put["barcode"]) == (CLEAN, f"I ❤  {CLEAN}", CLEAN)
    assert done(api.put("/api/v1/warehouses/w", {"name": UNCLEAN, "type": "MAIN", "address": {}}))["name"] == CLEAN
    assert done(api.put("/api/v1/stores/s", {"name": UNCLEAN, "warehouses": []}))["name"] == CLEAN
    problem(api.put(f"/api/v1/products/{uuid4()}", {**product, "sku": CLEAN.lower()}), 409, "sku_taken")


def test_texts_of_stock_are_cleaned(api: Api) -> None:
    level = make_level(5)
    make_warehouse("wh-002")
    kind = {"warehouseId": "wh-001", "type": "RECEIPT", "reason": f"{UNCLEAN}\tB{UNCLEAN}", "reference": UNCLEAN}
    done(api.put("adjust", {"adjustments": lines((level, 1), **kind)}))
    movement = Movement.objects.get(level=level, reference=CLEAN)
    assert movement.reason == f"{CLEAN} \r\n\tB  {CLEAN}"
    found = done(api.get(f"movements?reference={quote(UNCLEAN)}"))["items"]
    assert [row["reference"] for row in found] == [CLEAN]
    places = {"zone": " A1\u00a0", "aisle": "\u30002", "shelf": "e\u0301"}
    done(api.send("PATCH", f"{level.product_id}/levels/wh-001", {"location": places}))
    level.refresh_from_db()
    assert (level.zone, level.aisle, level.shelf) == ("A1", "2", "é")
    count = {"warehouseId": "wh-001", "scope": "ZONE", "zone": "A1\u00a0", "note": UNCLEAN}
    counted = done(api.post("counts", count))
    assert (counted["zone"], counted["note"]) == ("A1", CLEAN)
    route = {"fromWarehouseId": "wh-001", "toWarehouseId": "wh-002"}
    sent = {"items": lines((level, 1), **route), "reason": UNCLEAN, "reference": UNCLEAN}
    transfer = done(api.post("transfer", sent))
    assert (transfer["reason"], transfer["reference"]) == (CLEAN, CLEAN)


def test_a_text_of_blanks_is_empty(api: Api) -> None:
    for sku in ("", " ", "\u00a0\u3000\n"):
        assert pointers(api.put(f"/api/v1/products/{uuid4()}", {"sku": sku, "name": "n"})) == ["/sku"]
    put = done(api.put(f"/api/v1/products/{uuid4()}", {"sku": "s", "name": "n", "barcode": " \u00a0"}))
    assert put["barcode"] == ""


def test_a_refused_character_is_named_with_its_position(api: Api) -> None:
    answer = api.put(f"/api/v1/products/{uuid4()}", {"sku": "F1\u200b2", "name": "n"})
    (fault,) = problem(answer, 400)["errors"]
    assert fault["pointer"] == "/sku"
    assert "the character U+200B ZERO WIDTH SPACE in position 3" in fault["detail"]
    assert not Product.objects.exists()


def test_an_address_has_no_refused_characters_at_any_depth(api: Api) -> None:
    body = {"name": "n", "type": "MAIN", "address": {}}
    for address, pointer in (
        ({"city": "a\ufffe"}, "/address/city"),
        ({"a": [{"b": "\u202e"}]}, "/address/a/0/b"),
        ({"a\u200b": 1}, "/address"),
    ):
        assert pointers(api.put("/api/v1/warehouses/w", {**body, "address": address})) == [pointer]
    assert done(api.put("/api/v1/warehouses/w", {**body, "address": {"lines": "a\r\nb"}}))


@pytest.mark.parametrize("refused", ["\0", "\n", "\u00a0", "\u200b", "\u2028", "\ufffe", "\U000e0041"])
def test_ids_of_callers_are_refused_or_come_back_as_they_were_sent(api: Api, refused: str) -> None:
    level = make_level(5)
    body = {"cartId": f"c{refused}1", "items": lines((level, 1))}
    assert pointers(api.post("reserve", body)) == ["/cartId"]
    problem(api.put(f"carts/{quote(body['cartId'])}", {"items": body["items"]}), 404 if refused == "\0" else 400)
    assert pointers(api.get(f"reservations?cartId={quote(body['cartId'])}")) == ["?cartId"]


def test_ids_of_callers_may_have_any_letters(api: Api) -> None:
    level = make_level(5)
    for cart in ("cart e\u0301 ", "购物车", "🛒"):
        assert done(api.post("reserve", {"cartId": cart, "items": lines((level, 1))}))["cartId"] == cart
    assert StockLevel.objects.get(pk=level.pk).reserved == 3


QUERIES = (
    "/api/v1/products?sku=",
    "/api/v1/products?code=",
    "/api/v1/products?search=",
    "movements?reference=",
    "reservations?cartId=",
    "reservations?orderId=",
    "reservations?customerId=",
    "levels?warehouseId=",
    "low-stock?warehouseId=",
    "transfers?fromWarehouseId=",
)


@pytest.mark.parametrize("query", QUERIES)
def test_a_query_with_a_refused_character_is_refused_in_its_place(api: Api, query: str) -> None:
    make_product(sku="a")
    hold((make_level(5), 1), cart_id="a")
    name = query.partition("?")[2].rstrip("=")
    for refused in ("\0", "\u200b", "\ufffe", "\x1d"):
        answer = api.get(f"{query}a{quote(refused)}b")
        if answer.status_code != 404:
            assert pointers(answer) == [f"?{name}"], ascii(refused)
