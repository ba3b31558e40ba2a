"""Transfers over HTTP."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from msgspec.structs import replace
from uuid_utils.compat import uuid7

from audit.actors import Actor
from audit.errors import NotFound
from audit.roles import Role
from inventory.errors import (
    UnknownWarehouse,
    WarehouseNotInStore,
)
from inventory.models import Product, StockLevel
from inventory.services.stock.adjustments import Adjustment, AdjustRequest, apply_adjustments
from inventory.services.transfers.commands import (
    Arrived,
    MoveLine,
    ReceiveRequest,
    SendRequest,
    receive_transfer,
    send_transfer,
)
from tests.conftest import Api, body_of
from tests.factories import (
    ACTOR,
    counters,
    lines,
    make_level,
    make_store,
    make_warehouse,
    receive,
)
from tests.inventory.transfers import cancelled, done, drafted, received, sent, there, wanted

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("store", "books_balance")]


OUTLET = Actor("outlet clerk", None, "", "api", ("outlet",))


# --- over HTTP -------------------------------------------------------------------------------------------------------


def body(*items: tuple[StockLevel, int], **fields: Any) -> dict[str, Any]:
    return {"items": lines(*items, fromWarehouseId="wh-001", toWarehouseId="wh-002"), **fields}


def test_a_transfer_is_sent_and_received_over_http(api: Api) -> None:
    level = make_level(10)
    draft = body_of(api.post("transfer", body((level, 9), draft=True)), 201)
    place = f"transfer/{draft['transferId']}"
    assert (draft["status"], draft["shippedAt"]) == ("PENDING", None)
    assert body_of(api.put(place, body((level, 6), reason="balance")))["items"][0]["quantity"] == 6
    on_its_way = body_of(api.post(f"{place}/send", None))
    assert on_its_way["status"] == "IN_TRANSIT"
    ends = {"fromWarehouse": {"id": "wh-001", "previousQuantity": 10, "newQuantity": 4}}
    ends["toWarehouse"] = {"id": "wh-002", "expectedQuantity": 6}
    assert on_its_way["items"][0] | ends == on_its_way["items"][0]
    part = {"items": [{"productId": str(level.product_id), "quantityReceived": 2}]}
    arrived = body_of(api.post(f"{place}/receive", part))
    ends = {"toWarehouse": {"id": "wh-002", "previousQuantity": 0, "newQuantity": 2, "expectedQuantity": 6}}
    assert arrived["items"][0] | ends == arrived["items"][0]
    assert arrived["status"] == "PARTIALLY_RECEIVED"
    over = body_of(api.post(f"{place}/receive", {"items": [{**part["items"][0], "quantityReceived": 5}]}), 409)
    assert (over["code"], over["errors"][0]["inTransit"]) == ("more_than_in_transit", 4)
    ended = body_of(api.post(f"{place}/cancel", {"reason": "wrong truck"}))
    assert (ended["status"], ended["items"][0]["quantityReturned"]) == ("RECEIVED", 4)
    assert body_of(api.post(f"{place}/receive", {}), 409)["code"] == "transfer_closed"
    read = body_of(api.get(place))
    assert read["items"][0]["fromWarehouse"] == {"id": "wh-001"}
    assert {name: read[name] for name in read if name != "items"} == {
        name: ended[name] for name in ended if name != "items"
    }


@pytest.mark.parametrize("verb", ["transfer", "send", "receive", "cancel"])
def test_a_command_with_a_key_is_done_once(api: Api, verb: str) -> None:
    level = make_level(10)
    made = body_of(api.post("transfer", body((level, 4), draft=verb == "send")), 201)
    path, sends = f"transfer/{made['transferId']}/{verb}", {"send": None, "receive": {}, "cancel": {}}.get(verb)
    if verb == "transfer":
        path, sends = "transfer", body((level, 4))
    first, again = (api.post(path, sends, Idempotency_Key="key") for _ in range(2))
    assert (first.status_code, first.content) == (again.status_code, again.content)
    assert (first.status_code, again.headers["Idempotent-Replayed"]) == (201 if verb == "transfer" else 200, "true")
    expected = {"transfer": (2, 0, 8), "send": (6, 0, 4), "receive": (6, 4, 0), "cancel": (10, 0, 0)}[verb]
    assert (counters(level)[0], there(level).on_hand, there(level).incoming_quantity) == expected


def test_what_is_in_transit_is_incoming_and_never_sellable(api: Api) -> None:
    level = make_level(10)
    receive(level.product_id, 1, "wh-002")
    sent(wanted(level, 4))
    sent(wanted(level, 3))
    read = body_of(api.get(str(level.product_id)))["warehouses"]
    assert [(each["quantityAvailable"], each["incomingQuantity"]) for each in read] == [(3, 0), (1, 7)]
    listed = body_of(api.get("levels?warehouseId=wh-002"))["items"]
    assert [(each["quantityAvailable"], each["incomingQuantity"]) for each in listed] == [(1, 7)]
    changed = body_of(api.patch(f"{level.product_id}/levels/wh-002", {"reorderPoint": 3}))
    assert changed["incomingQuantity"] == 7
    found = body_of(api.post("check-availability", {"items": lines((level, 5))}))["items"][0]
    assert (found["status"], found["availableQuantity"]) == ("INSUFFICIENT", 4)
    assert api.post("reserve", {"cartId": "c", "items": lines((level, 5))}).status_code == 409


def test_transfers_are_listed_the_newest_first_by_state_and_route(api: Api) -> None:
    level = make_level(20)
    make_warehouse("wh-003")
    done_ = received(sent(wanted(level, 1)))
    open_, elsewhere = sent(wanted(level, 2)), sent(wanted(level, 3, "wh-001", "wh-003"))
    draft = drafted(wanted(level, 4))
    ids = [each.document.public_id for each in (draft, elsewhere, open_, done_)]

    def listed(query: str) -> list[str]:
        return [each["transferId"] for each in body_of(api.get(f"transfers?{query}"))["items"]]

    assert listed("") == ids
    assert listed("status=RECEIVED") == ids[3:]
    assert listed("toWarehouseId=wh-003") == listed("fromWarehouseId=wh-001&toWarehouseId=wh-003") == ids[1:2]
    assert listed("fromWarehouseId=wh-002") == []
    first = body_of(api.get("transfers?limit=3"))
    assert [each["transferId"] for each in first["items"]] == ids[:3]
    assert listed(f"limit=3&cursor={first['next']}") == ids[3:]


def test_overdue_is_what_should_have_arrived_and_is_open(api: Api) -> None:
    level = make_level(20)
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        now = cursor.fetchone()[0]
    past, future = now - timedelta(seconds=1), now + timedelta(hours=1)
    late = sent(wanted(level, 2), expected_delivery=past)
    received(late, (level, 1))
    received(sent(wanted(level, 1), expected_delivery=past))
    for fields in ({}, {"expected_delivery": future}):
        sent(wanted(level, 1), **fields)
    drafted(wanted(level, 1), expected_delivery=past)
    (found,) = body_of(api.get("transfers?overdue=true"))["items"]
    assert (found["transferId"], found["isOverdue"]) == (late.document.public_id, True)
    everything = body_of(api.get("transfers?overdue=false"))["items"]
    assert [each["isOverdue"] for each in everything] == [False, False, False, False, True]


def test_a_limited_client_sends_between_its_stores_warehouses_only(make_api: Callable[..., Api]) -> None:
    make_store("outlet", "wh-003", is_default=False)
    level = make_level(10)
    for source, target in (("wh-001", "wh-003"), ("wh-003", "wh-001"), ("wh-001", "wh-002")):
        with pytest.raises(UnknownWarehouse):
            sent(wanted(level, 1, source, target), actor=OUTLET)
    make_store("both", "wh-001", "wh-003", is_default=False)
    sent(wanted(level, 1, "wh-001", "wh-003"), actor=replace(OUTLET, store_codes=("both",)))
    assert counters(level) == (9, 0)


def test_a_limited_client_touches_its_own_end_of_a_transfer_and_sees_no_others(make_api: Callable[..., Api]) -> None:
    make_store("outlet", "wh-003", is_default=False)
    level = make_level(10)
    here, away, none = (
        sent(wanted(level, 2, "wh-001", "wh-003")),
        sent(wanted(level, 2, "wh-001", "wh-003")),
        sent(wanted(level, 2)),
    )
    outlet = make_api(Role.WAREHOUSE, stores=("outlet",))
    assert [each["transferId"] for each in body_of(outlet.get("transfers"))["items"]] == [
        away.document.public_id,
        here.document.public_id,
    ]
    unseen = f"transfer/{none.document.public_id}"
    assert body_of(outlet.get(unseen), 404)["code"] == "not_found"
    for verb in ("receive", "cancel"):
        assert body_of(outlet.post(f"{unseen}/{verb}", {}), 404)["code"] == "not_found"
    with pytest.raises(WarehouseNotInStore):
        cancelled(here, actor=OUTLET)
    assert received(here, actor=OUTLET).document.status == "RECEIVED"
    main = make_api(Role.WAREHOUSE, stores=("main",))
    place = f"transfer/{away.document.public_id}"
    assert body_of(main.post(f"{place}/receive", {}), 422)["code"] == "warehouse_not_in_store"
    assert body_of(main.post(f"{place}/cancel", {}))["status"] == "CANCELLED"
    draft = drafted(wanted(level, 1, "wh-001", "wh-003"))
    with pytest.raises(WarehouseNotInStore):
        send_transfer(SendRequest(OUTLET, draft.document.id))


@pytest.mark.parametrize("name", ["x", "tr-", "res-01900000-0000-7000-8000-000000000001"])
def test_an_unknown_transfer_is_not_found(api: Api, name: str) -> None:
    level = make_level(10)
    for method, path, sends in [
        ("GET", "", None),
        ("PUT", "", body((level, 1))),
        ("POST", "/send", None),
        ("POST", "/receive", {}),
        ("POST", "/cancel", {}),
    ]:
        assert body_of(api.send(method, f"transfer/{name}{path}", sends), 404)["code"] == "not_found"
    with pytest.raises(NotFound):
        send_transfer(SendRequest(ACTOR, uuid7()))


def test_a_delivery_out_of_time_is_refused(api: Api) -> None:
    level = make_level(10)
    refused = body_of(api.post("transfer", body((level, 1), expectedDelivery="0001-01-01T00:00:00+14:00")), 400)
    assert refused["errors"][0]["pointer"] == "/expectedDelivery"
    assert body_of(api.post("transfer", body((level, 1), expectedDelivery="2030-01-01T00:00:00")), 400)


def test_a_transfer_of_1_or_200_lines_is_the_same_statements() -> None:
    products = Product.objects.bulk_create(Product(sku=f"S{number}", name="n") for number in range(200))
    for place in ("wh-001", "wh-002"):
        stocked = tuple(Adjustment(product.id, None, place, 10, "RECEIPT", "r") for product in products)
        apply_adjustments(AdjustRequest(ACTOR, stocked))

    def there_and_back(count: int) -> list[str]:
        with CaptureQueriesContext(connection) as captured:
            transfer = done(send_transfer(SendRequest(ACTOR, drafted(*map(three, products[:count])).document.id)))
            arrived = tuple(Arrived(product.id, None, 1) for product in products[:count])
            receive_transfer(ReceiveRequest(ACTOR, transfer.document.id, arrived))
            cancelled(transfer)
            received(sent(*map(three, products[:count])), close=True)
        return [query["sql"].split("(")[0] for query in captured.captured_queries if "SAVEPOINT" not in query["sql"]]

    def three(product: Product) -> MoveLine:
        return wanted(product, 3)

    assert there_and_back(1) == there_and_back(200)
