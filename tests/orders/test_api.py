"""``POST /api/v1/inbox``."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from audit.roles import Role
from inventory.models import Product, StockLevel
from reservations.models import DeadLetter, ReceivedEvent, Reservation
from tests.books import assert_books_balance
from tests.concurrency.statements import checked
from tests.conftest import Api
from tests.contract.problems import problem
from tests.factories import counters, hold, lines, make_level, make_store, make_warehouse, recorded
from tests.orders.sending import INBOX, cancelled, cloud_event, completed, created, event, receive

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _shop() -> None:
    make_store()


def outcomes(api: Api, body: Any, **headers: str) -> list[dict[str, Any]]:
    response = api.send("POST", INBOX, body, **headers)
    assert response.status_code == 202, response.content
    found: list[dict[str, Any]] = response.json()["outcomes"]
    return found


def test_a_batch_of_cloud_events(api: Api) -> None:
    level = make_level(10)
    body = [
        cloud_event("OrderCreatedEvent", "e-1", orderId="o-1", items=lines((level, 3)), total="12.00"),
        cloud_event("com.example.OrderCompletedEvent", "e-2", orderId="o-1")
        | {"subject": "o-1", "traceparent": "00-x"},
        cloud_event("OrderShippedEvent", "e-3", orderId="o-1"),
    ]
    first = outcomes(api, body, Content_Type="application/cloudevents-batch+json; charset=utf-8")
    reservation = Reservation.objects.get()
    assert [(each["eventId"], each["outcome"], each["duplicate"]) for each in first] == [
        ("e-1", "applied", False),
        ("e-2", "applied", False),
        ("e-3", "dead_letter", False),
    ]
    assert first[1]["reservationIds"] == [reservation.public_id]
    assert first[2]["code"] == "unknown_type"
    again = outcomes(api, body)
    assert [(each["outcome"], each["duplicate"]) for each in again] == [
        ("applied", True),
        ("applied", True),
        ("dead_letter", False),
    ]
    assert DeadLetter.objects.count() == 1
    assert counters(level) == (7, 0)


def test_a_single_event(api: Api) -> None:
    level = make_level(10)
    sent = cloud_event("OrderCreatedEvent", orderId="o-1", items=lines((level, 3)))
    (outcome,) = outcomes(api, sent, Content_Type="application/cloudevents+json")
    assert outcome["outcome"] == "applied"
    (outcome,) = outcomes(api, cancelled("o-1"))
    assert outcome["outcome"] == "applied"
    assert counters(level) == (10, 0)


def test_a_refusal_names_the_lines(make_api: Callable[..., Api]) -> None:
    level = make_level(1)
    (outcome,) = outcomes(make_api(Role.CHECKOUT), created("o-1", (level, 3)))
    assert (outcome["outcome"], outcome["code"]) == ("refused", "insufficient_stock")
    assert outcome["errors"] == [
        {
            "pointer": "/items/0",
            "code": "insufficient_stock",
            "detail": "3 requested, but only 1 is available.",
            "productId": str(level.product_id),
            "requested": 3,
            "available": 1,
        }
    ]


@pytest.mark.parametrize(
    ("body", "headers", "status", "code"),
    [
        (b"{", {}, 400, "malformed"),
        (b" ", {}, 400, "malformed"),
        (b'[{"eventId": "\\ud800"}]', {}, 400, "malformed"),
        (b"\xff\xfe", {}, 400, "malformed"),
        (b"[" * 100_000, {}, 400, "malformed"),
        (b"7", {}, 400, "invalid"),
        (b"null", {}, 400, "invalid"),
        (b"[]", {}, 400, "invalid"),
        (b"[" + b"{}," * 500 + b"{}]", {}, 400, "invalid"),
        (b"{}", {"Content_Type": "application/cloudevents-batch+json"}, 400, "invalid"),
        (b"[{}]", {"Content_Type": "application/cloudevents+json"}, 400, "invalid"),
        (b"{}", {"Content_Type": "text/plain"}, 415, "unsupported_media_type"),
    ],
)
def test_a_body_that_holds_no_events(api: Api, body: bytes, headers: dict[str, str], status: int, code: str) -> None:
    problem(api.send("POST", INBOX, body, **headers), status, code)
    assert not DeadLetter.objects.exists()


def test_new_products_are_for_managers(make_api: Callable[..., Api], api: Api) -> None:
    make_warehouse("wh-002")
    make_warehouse("closed", is_active=False)
    product, variant = "01900000-0000-7000-8000-0000000000aa", "01900000-0000-7000-8000-0000000000ab"
    variants = [{"variantId": variant, "sku": "MUG-L", "name": "Mug, large"}]
    sent = event("ProductCreatedEvent", productId=product, sku="MUG", name="Mug", variants=variants)
    (outcome,) = outcomes(make_api(Role.CHECKOUT), sent)
    assert (outcome["outcome"], outcome["code"]) == ("refused", "permission_denied")
    (outcome,) = outcomes(make_api(Role.MANAGER, stores=("main",)), sent)
    assert (outcome["outcome"], outcome["code"]) == ("dead_letter", "permission_denied")
    assert outcomes(api, sent)[0]["outcome"] == "applied"
    assert StockLevel.objects.filter(on_hand=0, product__sku__startswith="MUG").count() == 4
    assert Product.objects.get(pk=variant).parent_id == Product.objects.get(pk=product).pk
    assert outcomes(api, sent)[0]["duplicate"]
    sent["eventId"] = "another"
    assert outcomes(api, sent)[0]["outcome"] == "unchanged"
    taken = event("ProductCreatedEvent", productId=variant.replace("ab", "ac"), sku="mug", name="Mug")
    other = event("ProductCreatedEvent", productId=variant.replace("ab", "ad"), sku="CUP", name="Cup", warehouseIds=[])
    refused, made = outcomes(api, [taken, other])
    assert (refused["outcome"], refused["code"], made["outcome"]) == ("dead_letter", "sku_taken", "applied")
    assert not StockLevel.objects.filter(product__sku="CUP").exists()
    assert_books_balance()


def test_a_new_product_and_its_order_in_one_batch(api: Api) -> None:
    product = "01900000-0000-7000-8000-0000000000aa"
    order = event("OrderCreatedEvent", orderId="o-1", items=[{"productId": product, "quantity": 1}])
    sent = [order, event("ProductCreatedEvent", productId=product, sku="MUG", name="Mug")]
    assert [(each["outcome"], each.get("code")) for each in outcomes(api, sent)] == [
        ("refused", "insufficient_stock"),
        ("applied", None),
    ]


def test_a_store_of_ones_own(make_api: Callable[..., Api]) -> None:
    level = make_level(10)
    make_store("other", is_default=False)
    mine, theirs = make_api(Role.CHECKOUT, stores=("main",)), make_api(Role.CHECKOUT, stores=("other",))
    assert outcomes(mine, created("o-1", (level, 2)))[0]["outcome"] == "applied"
    assert outcomes(theirs, cancelled("o-1"))[0]["outcome"] == "remembered"
    assert outcomes(theirs, completed("o-1"))[0]["outcome"] == "remembered"
    assert outcomes(mine, created("o-2", (level, 2), storeId="other"))[0]["code"] == "unknown_store"
    assert counters(level) == (10, 2)
    assert outcomes(theirs, created("o-1", (level, 2)))[0]["outcome"] == "unchanged"
    assert outcomes(mine, completed("o-1"))[0]["outcome"] == "applied"
    assert counters(level) == (8, 0)


def test_event_ids_are_each_clients_own(make_api: Callable[..., Api]) -> None:
    level = make_level(10)
    for api, order in ((make_api(Role.CHECKOUT), "o-1"), (make_api(Role.CHECKOUT), "o-2")):
        sent = created(order, (level, 2)) | {"eventId": "the same"}
        assert outcomes(api, sent)[0]["duplicate"] is False
    assert counters(level) == (10, 4)


@pytest.mark.django_db(transaction=True)
def test_locks_in_their_order_and_a_constant_number_of_statements(api: Api) -> None:
    level, other = make_level(50), make_level(50)

    def statements(orders: int, prefix: str) -> int:
        for number in range(orders):
            hold((level, 1), cart_id=f"{prefix}-{number}")
            hold((other, 1), cart_id=f"{prefix}-{number}")
        body = [created(f"{prefix}-{n}", (level, 2), cartId=f"{prefix}-{n}") for n in range(orders)]
        body += [created(f"{prefix}-new-{n}", (level, 1)) for n in range(orders)]
        body += [completed(f"{prefix}-{n}") for n in range(orders)]
        body += [cancelled(f"{prefix}-new-{n}", reason="no") for n in range(orders)]
        found, done = checked(lambda: receive(*body))
        assert {each.result for each in found} == {"applied"}
        return sum(map(len, done))

    statements(1, "warm")
    assert statements(1, "one") == statements(5, "many")


def test_what_was_received_is_recorded(api: Api) -> None:
    outcomes(api, cancelled("o-1") | {"eventId": "e-1", "source": "/shop"})
    row = ReceivedEvent.objects.get()
    assert (row.source, row.event_id, row.type, row.subject, row.result) == (
        "/shop",
        "e-1",
        "OrderCancelledEvent",
        "o-1",
        "remembered",
    )
    (entry,) = recorded("inventory_event_received")
    assert (entry.subject_id, entry.changes["eventId"]) == (row.pk, "e-1")


HOSTILE: list[Any] = [
    b"7",
    b"{}",
    b'{"specversion": "0.3", "id": "a", "source": "/s", "type": "OrderCancelledEvent", "data": {"orderId": "o"}}',
    b'{"specversion": 1.0, "id": "a", "source": "/s", "type": "OrderCancelledEvent", "data": {"orderId": "o"}}',
    cancelled("o") | {"eventId": ""},
    cancelled("o") | {"eventId": 7},
    cancelled("o") | {"eventId": "x" * 256},
    cancelled("o") | {"eventId": "a\0b"},
    cancelled("o") | {"source": "x" * 301},
    cancelled("o") | {"type": ["OrderCancelledEvent"]},
    cancelled("o") | {"type": "ordercancelledevent"},
    cancelled("o") | {"data": None},
    cancelled("o") | {"data": []},
    cancelled("o") | {"data": {}},
    cancelled("o\0"),
    cancelled("o" * 65),
    cancelled(""),
    cancelled("o", reason="a\0b"),
    cancelled("o", reason="x" * 501),
    cloud_event("OrderCancelledEvent", orderId="o") | {"source": None},
    cloud_event("OrderCancelledEvent", orderId="o") | {"datacontenttype": "application/xml"},
    cloud_event("OrderCancelledEvent") | {"data_base64": "%%%"},
    cloud_event("OrderCancelledEvent") | {"data_base64": "e30="},
    event("OrderCreatedEvent", orderId="o", items=[]),
    event("OrderCreatedEvent", orderId="o", items=[{"productId": "x", "quantity": 1}]),
    event("OrderCreatedEvent", orderId="o", items=[{"productId": "01900000-0000-7000-8000-0000000000aa"}]),
    *(
        event("OrderCreatedEvent", orderId="o", items=[{"productId": make, "quantity": quantity}])
        for make in ["01900000-0000-7000-8000-0000000000aa"]
        for quantity in (0, -1, 1.5, "1", True, 10**30, None)
    ),
    event("ProductCreatedEvent", productId="01900000-0000-7000-8000-0000000000aa", sku="", name="x"),
    b'{"eventId": "a", "type": "OrderCancelledEvent", "data": {"orderId": "o", "x": 1e999}}',
    b'{"eventId": "a", "type": "OrderCancelledEvent", "data": ' + b"[" * 500 + b"]" * 500 + b"}",
]


def test_poison_is_put_aside_and_the_others_go_on(api: Api) -> None:
    level = make_level(10)
    bodies = [each if isinstance(each, bytes) else json.dumps(each).encode() for each in HOSTILE]
    good = [json.dumps(created(f"o-{n}", (level, 1))).encode() for n in range(len(bodies))]
    for number, body in enumerate(bodies):
        put_aside, applied = outcomes(api, b"[" + body + b"," + good[number] + b"]")
        assert (put_aside["outcome"], applied["outcome"]) == ("dead_letter", "applied"), body
        assert put_aside["code"] not in {"", "internal_error"}
        assert put_aside["detail"]
        outcomes(api, cancelled(f"o-{number}"))
    assert DeadLetter.objects.waiting().count() == len(bodies)
    assert counters(level) == (10, 0)
    assert_books_balance()
