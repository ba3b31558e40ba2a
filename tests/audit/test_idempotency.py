"""The same request with the same key gets the first answer again (docs/explanation/rules.md, rule 20)."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db.models import F
from uuid_utils.compat import uuid7

from audit import idempotency
from audit.authentication import forget_cached_tokens, issue_token
from audit.errors import IdempotencyInProgress
from audit.idempotency import Claim, StoredAnswer, advisory_lock, fingerprint
from audit.models import ApiClient, IdempotencyKey
from audit.roles import Role
from audit.tasks import purge_idempotency_keys
from inventory.models import StockLevel
from reservations.models import Reservation
from reservations.services.holds.placing import PlacedHold, place_holds
from reservations.services.holds.resolution import ReleaseRequest, Resolved, release_holds
from reservations.services.holds.selecting import Selector
from tests.conftest import Api
from tests.factories import ACTOR, counters, hold, hold_request, lines, make_client, make_due, make_level, make_store

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("store")]
DAY = timedelta(hours=24)


@pytest.fixture
def level() -> StockLevel:
    return make_level(10)


def age(by: timedelta) -> None:
    IdempotencyKey.objects.update(created_at=F("created_at") - by)


def body(level: StockLevel, quantity: int = 3) -> dict[str, Any]:
    return {"cartId": "c", "items": lines((level, quantity))}


def test_the_same_request_gets_the_first_answer_again(api: Api, level: StockLevel) -> None:
    first = api.post("reserve", body(level), Idempotency_Key="k")
    again = api.post("reserve", body(level), Idempotency_Key="k")
    assert (again.status_code, again.content) == (201, first.content)
    assert again.headers["Content-Type"] == "application/json"
    assert again.headers["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in first.headers
    assert counters(level) == (10, 3)


def test_the_first_answer_is_given_whatever_has_become_of_it(api: Api, level: StockLevel) -> None:
    first = api.post("reserve", body(level), Idempotency_Key="k")
    make_due(*Reservation.objects.values_list("id", flat=True))
    StockLevel.objects.update(min_stock_level=10)
    assert api.post("reserve", body(level), Idempotency_Key="k").content == first.content


COMMANDS: list[Any] = [
    ("POST", "reserve", lambda made, level: body(level)),
    ("POST", "extend", lambda made, level: {"reservationId": made.public_id}),
    ("POST", "release", lambda made, level: {"reservationId": made.public_id}),
    ("POST", "release", lambda made, level: {"cartId": made.cart_id}),
    ("POST", "consume", lambda made, level: {"orderId": "o", "reservationId": made.public_id}),
    ("POST", "consume", lambda made, level: {"orderId": "o", "cartId": made.cart_id}),
    ("PUT", "carts/x", lambda made, level: {"items": lines((level, 1))}),
    ("DELETE", "carts/c", lambda made, level: None),
    (
        "PUT",
        "adjust",
        lambda made, level: {"adjustments": lines((level, 1), warehouseId="wh-001", type="RECEIPT", reason="r")},
    ),
    ("PATCH", "{product}/levels/wh-001", lambda made, level: {"reorderPoint": 5}),
    ("PUT", "/api/v1/products/{product}", lambda made, level: {"sku": "s", "name": "n"}),
    ("PUT", "/api/v1/warehouses/w", lambda made, level: {"name": "n", "type": "MAIN", "address": {}}),
    ("PUT", "/api/v1/stores/s", lambda made, level: {"name": "n", "warehouses": []}),
]


@pytest.mark.parametrize(("method", "path", "make_body"), COMMANDS)
def test_every_command_takes_a_key(
    api: Api, level: StockLevel, method: str, path: str, make_body: Callable[..., Any]
) -> None:
    made = hold((level, 1), cart_id="c")
    path = path.format(product=level.product_id)
    first = api.send(method, path, make_body(made, level), Idempotency_Key="k")
    assert first.status_code in {200, 201}, first.content
    before = counters(level), StockLevel.objects.get(pk=level.pk).version
    again = api.send(method, path, make_body(made, level), Idempotency_Key="k")
    assert (again.status_code, again.content, again.headers["Idempotent-Replayed"]) == (
        first.status_code,
        first.content,
        "true",
    )
    assert (counters(level), StockLevel.objects.get(pk=level.pk).version) == before


def test_another_request_with_the_key_is_refused(api: Api, level: StockLevel) -> None:
    api.post("reserve", body(level), Idempotency_Key="k")
    others = [
        api.post("reserve", body(level, 4), Idempotency_Key="k"),
        api.post("reserve", {**body(level), "orderId": "o"}, Idempotency_Key="k"),
        api.put("carts/c", {"items": lines((level, 1))}, Idempotency_Key="k"),
        api.delete("carts/c", Idempotency_Key="k"),
        api.send("POST", "/api/inventory/reserve", body(level), Idempotency_Key="k"),
    ]
    for other in others:
        assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")  # type: ignore[attr-defined]
    assert counters(level) == (10, 3)


def test_a_fingerprint_depends_on_method_path_body_and_sender() -> None:
    prints = {
        fingerprint(*parts)
        for parts in (
            ("PUT", "/a", b"b"),
            ("PUT", "/a", b"c"),
            ("PUT", "/ab", b""),
            ("POST", "/a", b"b"),
            ("PUT", "/a?x", b"b"),
            ("PUT", "/a", b"b", b"checkout"),
            ("PUT", "/a", b"b", b"checkout,main"),
        )
    }
    assert len(prints) == 7


@pytest.mark.parametrize(
    "change",
    [{"store_codes": ["outlet"]}, {"store_codes": ["main"]}, {"role": "checkout"}],
    ids=["other stores", "its own store", "another role"],
)
def test_a_client_whose_role_or_stores_changed_gets_no_stored_answer(level: StockLevel, change: dict[str, Any]) -> None:
    make_store("outlet", "wh-002", is_default=False)
    client = make_client(Role.MANAGER)
    api = Api(issue_token(client))
    held = api.post("reserve", body(level), Idempotency_Key="reserve").json()  # type: ignore[attr-defined]
    sent = {
        "reserve": ("POST", "reserve", body(level)),
        "extend": ("POST", "extend", {"reservationId": held["reservationId"]}),
        "consume": ("POST", "consume", {"orderId": "o", "reservationId": held["reservationId"]}),
        "cart": ("PUT", "carts/d", {"items": lines((level, 1))}),
        "release": ("POST", "release", {"cartId": "d"}),
    }
    for key, (method, path, content) in list(sent.items())[1:]:
        assert api.send(method, path, content, Idempotency_Key=key).status_code in {200, 201}, key
    before = counters(level)
    ApiClient.objects.filter(pk=client.pk).update(**change)
    forget_cached_tokens()
    for key, (method, path, content) in sent.items():
        again = api.send(method, path, content, Idempotency_Key=key)
        assert (again.status_code, again.json()["code"]) == (422, "idempotency_key_reused"), key  # type: ignore[attr-defined]
    assert counters(level) == before


def test_the_order_in_which_a_client_s_stores_are_kept_makes_no_difference(level: StockLevel) -> None:
    make_store("outlet", "wh-002", is_default=False)
    client = make_client(Role.CHECKOUT, stores=("outlet", "main"))
    api = Api(issue_token(client))
    sent = {**body(level), "storeId": "main"}
    assert api.post("reserve", sent, Idempotency_Key="k").status_code == 201
    ApiClient.objects.filter(pk=client.pk).update(store_codes=["main", "outlet"])
    forget_cached_tokens()
    assert api.post("reserve", sent, Idempotency_Key="k").headers["Idempotent-Replayed"] == "true"


def test_a_refusal_is_not_kept(api: Api, level: StockLevel) -> None:
    assert api.post("reserve", body(level, 11), Idempotency_Key="k").status_code == 409
    assert api.post("reserve", {}, Idempotency_Key="k").status_code == 400
    assert not IdempotencyKey.objects.exists()
    assert api.post("reserve", body(level), Idempotency_Key="k").status_code == 201


def test_a_short_request_that_due_holds_made_room_for_is_kept_once(api: Api, level: StockLevel) -> None:
    make_due(hold((level, 10)).id)
    first = api.post("reserve", body(level), Idempotency_Key="k")
    assert first.status_code == 201
    assert api.post("reserve", body(level), Idempotency_Key="k").content == first.content
    assert counters(level) == (10, 3)


def test_keys_are_each_clients_own(make_api: Callable[..., Api], level: StockLevel) -> None:
    for api in (make_api(Role.CHECKOUT), make_api(Role.CHECKOUT)):
        response = api.post("reserve", body(level), Idempotency_Key="k")
        assert "Idempotent-Replayed" not in response.headers
    assert counters(level) == (10, 6)


def test_a_key_lives_a_day(api: Api, level: StockLevel) -> None:
    first = api.post("reserve", body(level), Idempotency_Key="k")
    age(DAY - timedelta(minutes=1))
    assert api.post("reserve", body(level), Idempotency_Key="k").content == first.content
    age(timedelta(minutes=2))
    second = api.post("reserve", body(level, 2), Idempotency_Key="k")
    assert (second.status_code, "Idempotent-Replayed" in second.headers) == (201, False)
    assert api.post("reserve", body(level, 2), Idempotency_Key="k").content == second.content
    assert (IdempotencyKey.objects.count(), counters(level)) == (1, (10, 5))


@pytest.mark.parametrize("path", ["check-availability", "reserve?dryRun=true"])
def test_a_key_is_ignored_where_nothing_is_done(api: Api, level: StockLevel, path: str) -> None:
    sent = {"items": lines((level, 1))} if path.startswith("check") else body(level)
    for key in ("k", "k", "k\u00e4se"):
        response = api.post(path, sent, Idempotency_Key=key)
        assert (response.status_code, "Idempotent-Replayed" in response.headers) == (200, False)
    assert not IdempotencyKey.objects.exists()


def claim(key: str = "k", print_: bytes = b"print", client: Any = None) -> Claim:
    return Claim(client or uuid7(), key, print_, lambda result: StoredAnswer(201, b"{}"))


def test_a_key_twice_in_one_batch_goes_to_its_first_request(level: StockLevel) -> None:
    same = claim()
    first, second, other = place_holds(
        [
            hold_request((level, 1), claim=same),
            hold_request((level, 2), claim=same),
            hold_request((level, 4), claim=claim()),
        ]
    )
    assert isinstance(first, PlacedHold)
    assert isinstance(second, IdempotencyInProgress)
    assert isinstance(other, PlacedHold)
    assert counters(level) == (10, 5)
    replayed = place_holds([hold_request((level, 1), claim=same), hold_request((level, 1), claim=same)])
    assert replayed == [StoredAnswer(201, b"{}")] * 2
    assert counters(level) == (10, 5)


def test_parts_of_a_lock_name_do_not_run_into_each_other() -> None:
    locks = {advisory_lock("a", "bc"), advisory_lock("ab", "c"), advisory_lock("abc"), advisory_lock("a", "b", "c")}
    assert len(locks) == 4
    assert all(-(2**63) <= lock < 2**63 for lock in locks)


def test_old_keys_are_purged_in_batches_and_young_ones_stay(level: StockLevel) -> None:
    place_holds([hold_request((level, 1), claim=claim(f"k{number}")) for number in range(7)])
    age(DAY)
    place_holds([hold_request((level, 1), claim=claim("young"))])
    assert idempotency.purge(batch_size=3) == 7
    assert IdempotencyKey.objects.get().key == "young"
    age(DAY)
    assert purge_idempotency_keys() == 1
    assert purge_idempotency_keys() == 0


@pytest.mark.parametrize("key", ["k", " ", "~", "x" * 255, "a b"])
def test_any_printable_ascii_key_will_do(api: Api, level: StockLevel, key: str) -> None:
    assert api.post("reserve", body(level), Idempotency_Key=key).status_code == 201
    assert api.post("reserve", body(level), Idempotency_Key=key).headers["Idempotent-Replayed"] == "true"


@pytest.mark.usefixtures("store")
def test_the_key_of_a_command_that_changed_nothing_is_not_used_up(api: Any) -> None:
    level = make_level(10)
    body = {"reservationId": hold((level, 1)).public_id}
    assert api.post("release", body).status_code == 200
    first = api.post("release", body, Idempotency_Key="again")
    second = api.post("release", body, Idempotency_Key="again")
    other = api.post("release", {**body, "reason": "another"}, Idempotency_Key="again")
    assert (first.status_code, second.status_code, other.status_code) == (200, 200, 200)
    assert "Idempotent-Replayed" not in second.headers
    assert not IdempotencyKey.objects.filter(key="again").exists()


UNCHANGING: list[Any] = [
    ("POST", "release", lambda made, level: {"reservationId": made.public_id}),
    ("POST", "consume", lambda made, level: {"orderId": "o", "reservationId": made.public_id}),
    ("POST", "/api/v1/products/{product}/unfreeze", lambda made, level: {}),
]


@pytest.mark.parametrize(("method", "path", "make_body"), UNCHANGING)
def test_a_command_that_changes_nothing_keeps_no_answer(
    api: Api, level: StockLevel, method: str, path: str, make_body: Callable[..., Any]
) -> None:
    made = hold((level, 1))
    path, sent = path.format(product=level.product_id), make_body(made, level)
    assert api.send(method, path, sent).status_code == 200
    before = IdempotencyKey.objects.count()
    answers = [api.send(method, path, sent, Idempotency_Key=f"again-{number}") for number in range(3)]
    assert {answer.status_code for answer in answers} == {200}
    assert IdempotencyKey.objects.count() == before


def test_in_a_batch_only_those_that_changed_something_keep_their_answers(level: StockLevel) -> None:
    released, held = hold((level, 1)), hold((level, 1))
    release_holds([ReleaseRequest(ACTOR, Selector(released.id))])
    claims = [Claim(uuid7(), key, b"x", lambda resolved: StoredAnswer(200, b"{}")) for key in ("nothing", "something")]
    requests = [
        ReleaseRequest(ACTOR, Selector(made.id), claim=claim)
        for made, claim in zip((released, held), claims, strict=True)
    ]
    assert all(isinstance(outcome, Resolved) for outcome in release_holds(requests))
    assert set(IdempotencyKey.objects.values_list("key", flat=True)) == {"something"}
