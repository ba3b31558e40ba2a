"""All mistakes of a body and of a query, in whole sentences (``audit.api.mistakes``)."""

from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
import pytest
from msgspec import UNSET, Meta, UnsetType, inspect

from audit.api.contract import Body, Code, Quantity, ReservationId
from audit.api.decimals import Money
from audit.api.expectations import EXAMPLE, accepts, expected, nearest
from audit.api.instants import Instant
from audit.api.json_bodies import canonical, repetitions, tree_of
from audit.api.mistakes import mistakes_in, mistakes_in_query, refusal
from audit.api.pointers import MOST
from audit.api.scalars import decode_scalar
from audit.api.texts import NonEmptyText, OpaqueId
from audit.errors import Fault, Invalid


class Line(Body, kw_only=True):
    product_id: UUID
    quantity: Quantity
    price: Money | None = None


class Order(Body, kw_only=True):
    items: Annotated[list[Line], Meta(min_length=1, max_length=3)]
    kind: Literal["A", "B"]
    cart_id: OpaqueId | None = None
    store_id: Code | None = None
    reservation_id: ReservationId | None = None
    note: NonEmptyText = "n"
    until: Instant | None = None
    share: Annotated[float, Meta(gt=0, le=1)] = 0.5
    is_final: bool = False
    address: dict[str, Any] | None = None
    tags: Annotated[list[Annotated[str, Meta(max_length=3)]], Meta(max_length=2)] = []
    version: Annotated[int, Meta(ge=1)] | None | UnsetType = UNSET

    def contradictions(self) -> list[Fault]:
        return [] if self.cart_id or self.store_id else [Fault("/cartId", "invalid", "Name `cartId` or `storeId`.")]


GOOD: dict[str, Any] = {"items": [{"productId": EXAMPLE, "quantity": 1}], "kind": "A", "cartId": "c"}


def found(body: dict[str, Any]) -> dict[str, str]:
    return {fault.pointer: fault.detail for fault in mistakes_in(body, Order)}


def test_a_body_without_mistakes_has_none() -> None:
    assert found(GOOD) == {}


def test_every_mistake_is_found_in_its_place() -> None:
    lines = [{"productId": "TENT-2P", "quantity": 0}, {"product_id": EXAMPLE, "quantity": "1"}, "x"]
    body = {"items": lines, "kind": "a", "reservationId": "r-1", "share": 2, "isFinal": "no", "until": 5}
    assert found(body) == {
        "/items/0/productId": f"`productId` must be a UUID such as `{EXAMPLE}`, but is “TENT-2P”. To find a product by"
        " its SKU, send GET /api/v1/products?sku=TENT-2P.",
        "/items/0/quantity": "`quantity` must be a whole number from 1 to 1,000,000, but is the number 0.",
        "/items/1/product_id": "There is no field `product_id` here. Did you mean `productId`?",
        "/items/1/productId": f"`productId` is missing: send a UUID such as `{EXAMPLE}`.",
        "/items/1/quantity": "`quantity` must be a whole number from 1 to 1,000,000, but is “1”.",
        "/items/2": "An item of `items` must be a JSON object, but is “x”.",
        "/kind": "`kind` must be one of `A` and `B`, but is “a”.",
        "/reservationId": f"`reservationId` must be an id such as `res-{EXAMPLE}`, but is “r-1”.",
        "/share": "`share` must be a number above 0 and at most 1, but is the number 2.",
        "/isFinal": "`isFinal` must be true or false, but is “no”.",
        "/until": "`until` must be a time with its offset, such as `2030-12-31T18:00:00Z`, not a number.",
        "/cartId": "Name `cartId` or `storeId`.",
    }


@pytest.mark.parametrize(
    ("change", "pointer", "detail"),
    [
        ({"items": None}, "/items", "`items` must be a list of 1 to 3 items, but is null."),
        ({"items": []}, "/items", "`items` must be a list of 1 to 3 items, but has 0."),
        ({"items": {}}, "/items", "`items` must be a list of 1 to 3 items, but is a JSON object."),
        ({"cartId": ""}, "/cartId", "`cartId` must be a text of 1 to 64 characters, but is empty."),
        ({"cartId": "x" * 65}, "/cartId", "`cartId` must be a text of 1 to 64 characters, but has 65."),
        ({"cartId": 5}, "/cartId", "`cartId` must be a text, but is the number 5."),
        ({"note": " "}, "/note", "`note` has only blanks."),
        ({"tags": ["abcd"]}, "/tags/0", "An item of `tags` must be a text of at most 3 characters, but is “abcd”."),
        ({"address": []}, "/address", "`address` must be a JSON object, but is a list."),
        ({"version": 0}, "/version", "`version` must be a whole number of 1 or more, but is the number 0."),
        ({"version": 10**50}, "/version", None),
        (
            {"version": -1e400},
            "/version",
            "`version` must be a whole number of 1 or more, but is a number that is far out of range.",
        ),
        (
            {"storeId": "main,east"},
            "/storeId",
            (
                "`storeId` must be a code of 1 to 20 letters, digits, dots, dashes and "
                "underscores, such as `wh-001`, but is “main,east”."
            ),
        ),
        ({"version": 1.5}, "/version", "`version` must be a whole number of 1 or more, but is the number 1.5."),
    ],
)
def test_a_mistake_is_described(change: dict[str, Any], pointer: str, detail: str | None) -> None:
    assert found({**GOOD, **change}) == ({pointer: detail} if detail else {})


def test_a_body_of_another_type_is_named() -> None:
    assert found([]) == {"": "The body must be a JSON object, but is a list."}  # type: ignore[arg-type]
    assert found({}).keys() == {"/items", "/kind", "/cartId"}


def test_at_most_twenty_mistakes_are_listed() -> None:
    assert len(found({f"x{n}": n for n in range(100)})) == MOST
    many = mistakes_in({**GOOD, "tags": ["abcd"] * 100}, Order)
    assert [fault.pointer for fault in many] == ["/tags"]
    assert refusal(many[:1]).detail == many[0].detail
    two = refusal([Fault("/a", "invalid", "One."), Fault("/b", "invalid", "Two.")])
    assert two.detail == "One. There is one more mistake."


VALUES = [None, True, 0, 1, -1, 2, 1.5, 10**30, "", "A", "a", "x" * 70, EXAMPLE, f"res-{EXAMPLE}", "wh-001", "1"]
VALUES += ["wh-001\n", [], {}, ["abcd"], "2030-01-01T00:00:00Z", "12.50", "a b"]


def test_what_is_found_is_what_the_decoder_refuses() -> None:
    for name in [field.encode_name for field in msgspec.structs.fields(Order)]:
        for value in VALUES:
            body = {"cartId": "c", **GOOD, name: value}
            try:
                msgspec.json.decode(msgspec.json.encode(body), type=Order, dec_hook=decode_scalar)
                refused = False
            except msgspec.ValidationError:
                refused = True
            faults = [fault for fault in mistakes_in(body, Order) if fault.detail != "Name `cartId` or `storeId`."]
            assert bool(faults) is refused, (name, value, faults)


def test_the_mistakes_of_a_query_are_found_all_at_once() -> None:
    parameters = {"kind": ["C"], "version": ["1e3"], "cartId": ["a", "b"], "until": ["2026-01-01T00:00:00 00:00"]}
    raw = "kind=C&version=1e3&cartId=a&cartId=b&until=2026-01-01T00:00:00+00:00"
    faults = {fault.pointer: fault.detail for fault in mistakes_in_query({**parameters, "x": ["1"]}, Order, raw)}
    assert faults["?kind"] == "`kind` must be one of `A` and `B`, but is “C”."
    assert (
        faults["?version"]
        == "`version` must be a whole number of 1 or more, written in the digits 0 to 9, but is “1e3”."
    )
    assert faults["?cartId"] == "`cartId` is given more than once. Give it once."
    assert "write %2B instead." in faults["?until"]
    assert faults["?x"].startswith("There is no parameter `x` here.")


def test_an_unencoded_plus_is_named_in_any_parameter() -> None:
    [fault] = mistakes_in_query({"storeId": ["a b"]}, Store, "storeId=a+b")
    assert fault.detail.endswith("A + in a query means a blank: write %2B instead.")
    [fault] = mistakes_in_query({"storeId": ["a b"]}, Store, "storeId=a%20b")
    assert "%2B" not in fault.detail


class Store(Body, kw_only=True):
    store_id: Code | None = None


def test_the_nearest_name_is_found() -> None:
    known = ["productId", "variantId", "quantity", "warehouseId", "timeoutMinutes"]
    tried = {"product_id": "productId", "ProductID": "productId", "qty": "quantity", "warehouse": "warehouseId"}
    tried |= {"timeout": "timeoutMinutes", "timeout-minutes": "timeoutMinutes"}
    assert {name: nearest(name, known) for name in tried} == tried
    assert nearest("zzz", known) is None


def test_a_name_that_stands_twice_is_named_at_any_depth() -> None:
    raw = b'{"a": 1, "b": [{"c": 1, "\\u0063": 2}], "a": {"d/": {"e": 1, "e": 1}, "d/": {}}}'
    assert [fault.pointer for fault in repetitions(tree_of(raw))] == ["/a", "/a/d~1", "/b/0/c"]
    for twice in (b'{"a":1,"a":1}', b'{"a" :1, "b":{"c":1,"c":[]}}', b'[{"x":"\\"","x":"y"}]'):
        with pytest.raises(Invalid) as refused:
            canonical(twice)
        assert "more than once" in refused.value.detail


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (b'{"a":1,"b":[1,{"c":"x"}]}', b' {\n"b" : [ 1, {"c":"\\u0078"} ], "a":1.0 }', True),
        (b'{"a":1e2}', b'{"a":100}', True),
        (b'{"a":-0}', b'{"a":0}', True),
        (b'{"a":1.50}', b'{"a":1.5}', True),
        (b'{"a":"1"}', b'{"a":1}', False),
        (b'{"a":null}', b"{}", False),
        (b"[1,2]", b"[2,1]", False),
        (b'{"a":9007199254740993}', b'{"a":9007199254740992}', False),
        ('{"a":"é"}'.encode(), b'{"a":"\\u00e9"}', True),
        (b'{"a":"A"}', b'{"a":"a"}', False),
    ],
)
def test_the_canonical_form_is_that_of_the_parsed_body(one: bytes, other: bytes, *, same: bool) -> None:
    assert (canonical(one) == canonical(other)) is same


def test_every_type_of_a_field_is_described() -> None:
    described = inspect.type_info(Order)
    assert isinstance(described, inspect.StructType)
    for field in described.fields:
        assert expected(field.type) != "a JSON value", field.name
    assert accepts("anything", inspect.AnyType())
