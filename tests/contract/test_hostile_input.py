"""Bodies that are wrong as a whole, and texts that are refused."""

from typing import Any

import pytest

from tests.conftest import Api
from tests.contract.bodies import BODIES, ROUTES, P, changed, leaves, pointer_of
from tests.contract.problems import pointers, problem

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("written_nothing")]


@pytest.fixture
def api(shared_api: Api) -> Api:
    return shared_api


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
