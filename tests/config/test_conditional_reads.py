"""Reads of one thing answer 304 to a client that has the same already, and never to one whose copy is outdated."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import yaml
from django.utils import timezone

from audit.roles import Role
from config.documents.generated import openapi_text
from inventory.models import Warehouse
from reservations.models import Reservation
from tests.config.test_trails import write_movement
from tests.conftest import Api, body_of
from tests.counts import counted, post
from tests.factories import hold, make_due, make_level, make_product, make_store, make_variant, make_warehouse, receive

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("store")]

HOLDS_AND_STOCK = "/api/v1/inventory"
NOT_ONE_THING = {"/api/v1/webhooks/{webhookId}/attempts"}


def _product(_: Api) -> str:
    return f"/api/v1/products/{make_product().pk}"


def _levels(_: Api) -> str:
    return f"{HOLDS_AND_STOCK}/{make_level(10).product_id}"


def _level(_: Api) -> str:
    return f"{HOLDS_AND_STOCK}/{make_level(10).product_id}/levels/wh-001"


def _reservation(_: Api) -> str:
    made = hold((make_level(10), 1))
    make_due(made.id)  # One that is active has other expiresInSeconds each second.
    return f"{HOLDS_AND_STOCK}/reservations/{made.public_id}"


def _transfer(api: Api) -> str:
    level = make_level(10)
    line = {"productId": str(level.product_id), "quantity": 2, "fromWarehouseId": "wh-001", "toWarehouseId": "wh-002"}
    made = body_of(api.post("transfer", {"items": [line], "reason": "move"}), 201)
    return f"{HOLDS_AND_STOCK}/transfer/{made['transferId']}"


def _count(_: Api) -> str:
    return f"{HOLDS_AND_STOCK}/counts/{counted((make_level(10), 10)).public_id}"


def _preview(api: Api) -> str:
    return f"{_count(api)}/preview"


def _incident(api: Api) -> str:
    level = make_level(3)
    hold((level, 3))
    post(counted((level, 1)))
    (found,) = body_of(api.get("incidents"))["items"]
    return f"{HOLDS_AND_STOCK}/incidents/{found['incidentId']}"


def _then(_: Api) -> str:
    level = make_level(10)
    moment = timezone.now().isoformat().replace("+", "%2B")
    return f"{HOLDS_AND_STOCK}/{level.product_id}/explain?at={moment}"


def _webhook(api: Api) -> str:
    made = body_of(api.post("/api/v1/webhooks", {"name": "shop", "url": "https://example.com/"}), 201)
    return f"/api/v1/webhooks/{made['webhookId']}"


def _store(_: Api) -> str:
    return "/api/v1/stores/main"


def _warehouse(_: Api) -> str:
    return "/api/v1/warehouses/wh-001"


READS = (
    _product,
    _levels,
    _level,
    _reservation,
    _transfer,
    _count,
    _preview,
    _incident,
    _then,
    _webhook,
    _store,
    _warehouse,
)


@pytest.mark.parametrize("make", READS)
def test_a_read_of_what_the_client_has_is_304_without_a_body(api: Api, make: Callable[[Api], str]) -> None:
    path = make(api)
    read = api.get(path)
    tag = read.headers["ETag"]
    body = body_of(read)
    version = f"{body['version']}-" if "version" in body else ""
    assert re.fullmatch(f'"{version}[0-9a-f]{{32}}"', tag)
    for method in ("GET", "HEAD"):
        same = api.send(method, path, If_None_Match=tag)
        assert (same.status_code, same.content) == (304, b"")
        for name in ("ETag", "Cache-Control", "Vary"):
            assert same.headers[name] == read.headers[name], name
        assert "X-Request-ID" in same.headers
        assert not {"Content-Length", "Content-Type"} & set(same.headers)
    for method in ("GET", "HEAD"):
        other = api.send(method, path, If_None_Match='"other"')
        assert (other.status_code, other.headers["ETag"]) == (200, tag)
    assert read.headers["Cache-Control"] == "private, no-cache"
    assert read.headers["Vary"] == "Authorization, Accept-Encoding"


@pytest.mark.parametrize(
    ("header", "status"),
    [
        ("{tag}", 304),
        (" {tag} ", 304),
        ("W/{tag}", 304),
        ('"x", {tag}', 304),
        (',, W/"x" ,{tag},', 304),
        ('"{bare}-gzip"', 304),
        ('W/"{bare}-gzip"', 304),
        ("*", 304),
        (" * ", 304),
        ('"{version}"', 200),
        ('"-gzip{bare}"', 200),
        ('""', 200),
        ('"é"', 200),
        ('"' + "9" * 900 + '"', 200),
        ("", 400),
        ("{bare}", 400),
        ("w/{tag}", 400),
        ("*, {tag}", 400),
        ('{tag} "2"', 400),
        ('"unfinished', 400),
    ],
)
def test_if_none_match_is_read_as_http_says(api: Api, header: str, status: int) -> None:
    path = _product(api)
    tag = api.get(path).headers["ETag"]
    bare = tag.strip('"')
    sent = header.format(tag=tag, bare=bare, version=bare.split("-")[0])
    answer = api.get(path, If_None_Match=sent)
    assert answer.status_code == status, answer.content
    if status == 304:
        assert answer.headers["ETag"] == (f'"{bare}-gzip"' if "-gzip" in header else tag)
    if status == 400:
        assert body_of(answer, 400)["code"] == "invalid"
        assert "If-None-Match" in body_of(answer, 400)["detail"]


def test_what_is_gone_or_out_of_reach_is_no_304(api: Api, make_api: Callable[..., Api]) -> None:
    make_store("other", "wh-009", is_default=False)
    limited = make_api(Role.CHECKOUT, stores=("other",))
    for path in (_reservation(api), _transfer(api), _warehouse(api), _store(api), _level(api)):
        tag = api.get(path).headers["ETag"]
        for known in (tag, "*"):
            assert limited.get(path, If_None_Match=known).status_code == 404, path
    assert Api("unknown").get(_product(api), If_None_Match="*").status_code == 401


def test_clients_that_see_different_parts_have_different_tags(api: Api, make_api: Callable[..., Api]) -> None:
    product = make_product()
    receive(product, 5, "wh-001")
    make_warehouse("wh-009")
    receive(product, 5, "wh-009")
    limited = make_api(Role.CHECKOUT, stores=("main",))
    path = f"{HOLDS_AND_STOCK}/{product.pk}"
    of_all, of_main = api.get(path).headers["ETag"], limited.get(path).headers["ETag"]
    assert of_all != of_main
    assert limited.get(path, If_None_Match=of_all).status_code == 200
    assert limited.get(path, If_None_Match=of_main).status_code == 304


def _changes(path: str, change: Callable[[], Any], api: Api) -> None:
    """A change after which the answer is another, although no version rose."""
    before = api.get(path)
    assert api.get(path, If_None_Match=before.headers["ETag"]).status_code == 304
    change()
    after = api.get(path, If_None_Match=before.headers["ETag"])
    assert after.status_code == 200, path
    assert body_of(after) != body_of(before)
    assert body_of(after).get("version") == body_of(before).get("version")


def test_what_changes_without_a_version_changes_the_tag(api: Api) -> None:
    level = make_level(10)
    make_warehouse("wh-003")
    receive(level.product, 5, "wh-003")
    parent = make_product()
    variant = make_variant(parent)
    of_level, of_levels = f"{level.product_id}/levels/wh-001", str(level.product_id)
    _changes("/api/v1/stores/main", lambda: api.post("/api/v1/stores/main/freeze", {"reason": "r"}), api)
    path = f"/api/v1/products/{variant.pk}"
    _changes(path, lambda: api.post(f"{path}/freeze", {"reason": "r"}), api)
    _changes(of_level, lambda: Warehouse.objects.filter(code="wh-001").update(name="Other"), api)
    line = {"productId": str(level.product_id), "quantity": 2, "fromWarehouseId": "wh-003", "toWarehouseId": "wh-001"}
    _changes(of_level, lambda: api.post("transfer", {"items": [line], "reason": "r"}), api)
    _changes(of_levels, lambda: write_movement(level, timezone.now()), api)  # Among those of the last 24 hours.


def test_an_active_reservation_is_never_the_same_as_a_second_ago(api: Api) -> None:
    made = hold((make_level(10), 1))
    path = f"reservations/{made.public_id}"
    tag = api.get(path).headers["ETag"]
    Reservation.objects.filter(pk=made.id).update(expires_at=made.expires_at - timedelta(seconds=2))
    assert api.get(path, If_None_Match=tag).status_code == 200


def test_every_read_of_one_thing_is_described_with_its_tag() -> None:
    paths = yaml.safe_load(openapi_text())["paths"]
    reads = {path: methods["get"] for path, methods in paths.items() if "get" in methods and "{" in path}
    assert len(reads) >= len(READS) - 1
    for path, read in reads.items():
        assert ("304" in read["responses"]) == (path not in NOT_ONE_THING), path
        named = {parameter["name"] for parameter in read.get("parameters", ())}
        assert ("If-None-Match" in named) == (path not in NOT_ONE_THING), path


def test_lists_ignore_if_none_match(api: Api) -> None:
    for path in ("levels", "reservations", "/api/v1/products"):
        answer = api.get(path, If_None_Match="*")
        assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-store")
        assert "ETag" not in answer.headers
