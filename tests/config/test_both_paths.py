"""The event loop and Django's full stack answer the same, whatever is wrong with a request."""

import gzip
import json
from datetime import timedelta
from typing import Any, Final

import pytest
from django.db.models import F

from audit.authentication import find_caller, issue_token
from audit.models import IdempotencyKey
from audit.roles import Role
from inventory.models import StockLevel
from reservations.models import Reservation
from tests.both_ways import ask, through_django
from tests.factories import lines, make_client, make_level

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("store")]
BASE: Final = "/api/v1/inventory/"
P: Final = "01900000-0000-7000-8000-000000000001"
COMPARED: Final = ("Content-Type", "Allow", "Accept-Encoding", "Idempotent-Replayed", "Location", "Cache-Control")


@pytest.fixture
def token() -> str:
    """The token of a client whom the loop serves."""
    found = issue_token(make_client(Role.MANAGER))
    assert find_caller(found)
    return found


BAD: dict[str, tuple[str, bytes, list[tuple[str, str]]]] = {
    "several mistakes": ("reserve", b'{"items": [{"productId": "x", "quantity": 0, "qty": 1}], "cartID": "c"}', []),
    "no fields": ("reserve", b"{}", []),
    "no cart and no order": ("reserve", b'{"items": [{"productId": "%s", "quantity": 1}]}' % P.encode(), []),
    "two selectors": ("release", b'{"cartId": "c", "orderId": "o"}', []),
    "no selector": ("release", b"{}", []),
    "reservation and cart": ("consume", b'{"orderId": "o", "cartId": "c", "reservationId": "res-%s"}' % P.encode(), []),
    "a wrong id": ("release", b'{"reservationId": "4711"}', []),
    "an unknown reservation": ("release", b'{"reservationId": "res-%s"}' % P.encode(), []),
    "an unknown cart": ("consume", b'{"orderId": "o", "cartId": "c"}', []),
    "an unknown product": (
        "reserve",
        b'{"cartId": "c", "items": [{"productId": "%s", "quantity": 1}]}' % P.encode(),
        [],
    ),
    "a name twice": ("release", b'{"cartId": "c", "cartId": "d"}', []),
    "a name twice, escaped": ("release", b'{"cartId": "c", "cart\\u0049d": "d"}', []),
    "an empty body": ("reserve", b"", []),
    "blanks": ("reserve", b" \n", []),
    "a byte order mark": ("reserve", b"\xef\xbb\xbf{}", []),
    "no JSON": ("reserve", b'{"items": [1, 2,]}', []),
    "latin-1": ("reserve", b'{"cartId": "k\xe4se"}', []),
    "latin-1 behind a mistake": ("reserve", b'{"items": 5, "cartId": "k\xe4se"}', []),
    "no JSON behind a mistake": ("reserve", b'{"items": 5, "cartId": }', []),
    "a list": ("consume", b"[]", []),
    "gzip": ("reserve", gzip.compress(b"{}"), [("content-encoding", "gzip")]),
    "said to be gzip": ("release", b'{"cartId": "c"}', [("content-encoding", "gzip")]),
    "gzip without a header": ("reserve", gzip.compress(b"{}"), []),
    "a form": ("reserve", b"a=b", [("content-type", "application/x-www-form-urlencoded")]),
    "plain text": ("release", b'{"cartId": "c"}', [("content-type", "text/plain")]),
    "a malformed key": ("release", b'{"cartId": "c"}', [("idempotency-key", "k" * 256)]),
    "a number out of every range": ("reserve", b'{"items": 1e999}', []),
    "deep nesting": ("reserve", b"[" * 20_000, []),
}


@pytest.mark.parametrize("name", BAD)
def test_both_paths_refuse_alike(token: str, name: str) -> None:
    path, body, headers = BAD[name]
    loop = ask(token, BASE + path, body, *headers)
    django = through_django(token, BASE + path, body, *headers)
    assert 400 <= loop[0] < 500
    assert loop[0] == django[0]
    assert without_request_id(loop[2]) == without_request_id(django[2])
    assert {each: loop[1].get(each) for each in COMPARED} == {each: django[1].get(each) for each in COMPARED}
    assert loop[1]["Ratelimit-Policy"] == django[1]["Ratelimit-Policy"]
    assert not Reservation.objects.exists()


def without_request_id(body: bytes) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(body)
    assert document.pop("requestId")
    return document


@pytest.mark.parametrize("path", ["reserve", "levels", f"{P}", "carts/c", f"reservations/res-{P}"])
def test_both_paths_answer_options(token: str, path: str) -> None:
    loop = ask(token, BASE + path, b"", method="OPTIONS")
    django = through_django("", BASE + path, b"", method="OPTIONS")
    assert (loop[0], django[0]) == (204, 204)
    assert loop[1]["Allow"] == django[1]["Allow"]
    assert "OPTIONS" in loop[1]["Allow"].split(", ")
    assert loop[2] == b""
    assert "Content-Length" not in loop[1]


def test_two_keys_are_refused(token: str) -> None:
    keys = [("idempotency-key", "one"), ("idempotency-key", "two")]
    status, _, body = ask(token, BASE + "release", b'{"cartId": "c"}', *keys)
    assert (status, json.loads(body)["detail"]) == (
        400,
        "The header Idempotency-Key is sent more than once. Send it once.",
    )
    status, _, _ = ask(token, BASE + "release", b'{"cartId": "c"}', ("idempotency-key", "one,two"))
    assert status == 404


def spelled(body: dict[str, Any], way: str) -> bytes:
    """A body in another spelling: other spacing, another order of names, escapes."""
    if way == "as before":
        return json.dumps(body).encode()
    turned = {name: body[name] for name in reversed(body)} | {
        "items": [{name: line[name] for name in reversed(line)} for line in body["items"]]
    }
    text = json.dumps(turned, indent=3)
    return (text.replace('"cartId"', '"cart\\u0049d"') if way == "escaped" else text).encode()


@pytest.mark.parametrize("way", ["as before", "turned", "escaped"])
def test_another_spelling_is_the_same_request_on_both_paths(token: str, way: str) -> None:
    level = make_level(10)
    body = {"cartId": "c", "customerId": "käse", "items": lines((level, 3))}
    key = ("idempotency-key", "k")
    first = ask(token, BASE + "reserve", json.dumps(body, ensure_ascii=False).encode(), key)
    assert (first[0], "Ratelimit" in first[1]) == (201, True)
    for path in (ask, through_django):
        again = path(token, BASE + "reserve", spelled(body, way), key)
        assert (again[0], again[1].get("Idempotent-Replayed")) == (201, "true")
        assert again[2] == first[2]
        other = path(token, BASE + "reserve", spelled({**body, "customerId": "kase"}, way), key)
        assert (other[0], json.loads(other[2])["code"]) == (422, "idempotency_key_reused")
    level.refresh_from_db()
    assert level.reserved == 3


def test_an_answer_that_an_earlier_release_stored_is_found_by_its_bytes(token: str) -> None:
    level = make_level(10)
    body = json.dumps({"items": lines((level, 3)), "cartId": "c"}).encode()
    key = ("idempotency-key", "k")
    assert ask(token, BASE + "reserve", body, key)[0] == 201
    IdempotencyKey.objects.update(parsed_fingerprint=None)
    for path in (ask, through_django):
        assert path(token, BASE + "reserve", body, key)[1].get("Idempotent-Replayed") == "true"
    assert ask(token, BASE + "reserve", body + b" ", key)[0] == 422


def test_a_replay_counts_the_seconds_anew_on_both_paths(token: str) -> None:
    level = make_level(10)
    body = json.dumps({"items": lines((level, 3)), "cartId": "c"}).encode()
    key = ("idempotency-key", "k")
    first = json.loads(ask(token, BASE + "reserve", body, key)[2])
    assert first["expiresInSeconds"] == 900
    stored = IdempotencyKey.objects.get()
    at = Reservation.objects.get().expires_at
    for minutes, least, most in ((10, 290, 300), (20, 0, 0)):
        earlier = (at - timedelta(minutes=minutes)).isoformat().replace("+00:00", "Z")
        answer = {**first, "expiresAt": earlier}
        IdempotencyKey.objects.update(body=json.dumps({"reservations": [answer], **answer}).encode())
        for path in (ask, through_django):
            again = json.loads(path(token, BASE + "reserve", body, key)[2])
            assert least <= again["expiresInSeconds"] <= most
            assert least <= again["reservations"][0]["expiresInSeconds"] <= most
            assert again["expiresAt"] == earlier
    assert bytes(IdempotencyKey.objects.get().fingerprint) == bytes(stored.fingerprint)
    assert StockLevel.objects.filter(pk=level.pk, reserved=F("on_hand") - 7).exists()
