"""The feed over HTTP: pages, filters, cursors, and what a client of some stores sees."""

import json
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import transaction
from django.utils import timezone
from msgspec import UNSET

from audit import feed
from audit.events import OutboxRow
from audit.feed import selecting
from audit.models import Tick
from audit.publishing import publish
from audit.roles import Role
from inventory.events import InventoryFrozenEvent, InventoryTransferredEvent, LowStockAlertEvent, StockAdjustedEvent
from reservations.events import InventoryReleasedEvent, ReservedItem
from tests.audit.feed.writers import write
from tests.conftest import Api, body_of
from tests.contract.problems import problem
from tests.factories import lines, make_level, make_store

pytestmark = pytest.mark.django_db(transaction=True)
EVENTS = "/api/v1/events"


def put(*rows: OutboxRow) -> None:
    """Publish events, in a transaction of their own."""
    with transaction.atomic():
        publish(rows, now=timezone.now())


def released(store: str = "main", product: UUID | None = None, variant: UUID | None = None) -> OutboxRow:
    item = ReservedItem(product_id=product or uuid4(), variant_id=variant or UNSET, quantity=1, warehouse_id="wh-001")
    return InventoryReleasedEvent(
        reservation_id=f"res-{uuid4()}", store_id=store, cart_id=None, order_id="o", items=[item], reason="expired"
    ).row([])


def low(warehouse: str = "wh-001", product: UUID | None = None) -> OutboxRow:
    return LowStockAlertEvent(
        product_id=product or uuid4(), warehouse_id=warehouse, current_stock=1, reorder_point=2, severity="LOW"
    ).row(uuid4())


def read(api: Api, query: str = "") -> dict[str, Any]:
    return body_of(api.get(f"{EVENTS}?{query}"))  # type: ignore[no-any-return]


def keys(page: dict[str, Any]) -> list[str]:
    return [event["key"] for event in page["events"]]


def test_pages_follow_one_another_and_the_last_one_is_waited_behind(api: Api) -> None:
    rows = [low() for _ in range(5)]
    put(*rows)
    first = read(api, "limit=3")
    assert (keys(first), first["hasMore"]) == ([row.key for row in rows[:3]], True)
    second = read(api, f"limit=3&after={first['cursor']}")
    assert (keys(second), second["hasMore"]) == ([row.key for row in rows[3:]], False)
    assert keys(read(api, f"after={first['events'][0]['cursor']}")) == [row.key for row in rows[1:]]
    end = read(api, f"after={second['cursor']}")
    assert (end["events"], end["hasMore"]) == ([], False)
    put(low())
    assert len(read(api, f"after={end['cursor']}")["events"]) == 1


def test_an_event_has_its_envelope_and_its_payload(api: Api) -> None:
    row = released()
    put(row)
    (event,) = read(api)["events"]
    assert event["type"] == "InventoryReleasedEvent"
    assert (event["key"], event["payload"]["reservationId"]) == (row.key, row.key)
    assert (event["eventId"], event["timestamp"]) == (event["payload"]["eventId"], event["payload"]["timestamp"])


def test_now_is_behind_all_that_is_committed_and_since_before_what_is_newer(api: Api) -> None:
    put(released())
    now = read(api, "after=now")
    assert now["events"] == []
    moment = timezone.now().isoformat().replace("+00:00", "Z")
    newer = low()
    put(newer)
    assert keys(read(api, f"after={now['cursor']}")) == [newer.key]
    assert newer.key in keys(read(api, f"since={moment}"))


def test_filters(api: Api, store: Any) -> None:
    product, variant = uuid4(), uuid4()
    of_both, of_variant, of_level = (
        released(product=product, variant=variant),
        low(product=variant),
        low(product=product),
    )
    elsewhere, other = low("wh-009"), released("outlet")
    put(of_both, of_variant, of_level, elsewhere, other)
    assert keys(read(api, f"productId={product}")) == [of_both.key, of_level.key]
    assert keys(read(api, f"productId={variant}")) == [of_both.key, of_variant.key]
    assert keys(read(api, f"productId={product}&variantId={variant}")) == [of_both.key]
    assert keys(read(api, f"productId={str(product).upper()}")) == [of_both.key, of_level.key]
    assert keys(read(api, f"key={other.key}")) == [other.key]
    assert keys(read(api, "types=LowStockAlertEvent")) == [of_variant.key, of_level.key, elsewhere.key]
    assert len(keys(read(api, "types=LowStockAlertEvent,InventoryReleasedEvent"))) == 5
    assert keys(read(api, "storeId=main")) == [of_both.key, of_variant.key, of_level.key]


def test_a_rare_event_is_found_over_pages_that_move_on(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selecting, "_ROWS_OF_A_PAGE", 2)
    rare = released()
    put(*(low() for _ in range(20)), rare)
    cursor, pages = "0.0.0", []
    while not pages or pages[-1]["hasMore"]:
        pages.append(read(api, f"types=InventoryReleasedEvent&limit=1&after={cursor}"))
        cursor = pages[-1]["cursor"]
    assert len(pages) > 2
    assert [key for page in pages for key in keys(page)] == [rare.key]


@pytest.mark.parametrize(
    ("query", "pointer", "named"),
    [
        ("after=yesterday", "?after", "One looks like 1."),
        ("after=1.2", "?after", "One looks like 1."),
        ("after=%F0%9F%98%80", "?after", "One looks like 1."),
        ("after=", "?after", "One looks like 1."),
        ("after=1.2.3+4", "?after", "write %2B instead."),
        ("types=A+B", "?types", "write %2B instead."),
        ("after=999999999.1.1", "?after", "has not given"),
        ("after=now&since=2026-01-01T00:00:00Z", "?after", "Only one of"),
        ("types=NoSuchEvent", "?types", "LowStockAlertEvent"),
        ("types=,", "?types", "There is no type"),
        ("limit=0", "?limit", ""),
        ("limit=1001", "?limit", ""),
        ("wait=31", "?wait", ""),
        ("wait=-1", "?wait", ""),
        ("wait=1.5", "?wait", ""),
        ("since=1970", "?since", ""),
        ("cursor=1.2.3", "?cursor", ""),
        ("productId=1", "?productId", ""),
        ("key=a%00b", "?key", "NUL"),
    ],
)
def test_a_bad_query_says_what_is_wrong(api: Api, query: str, pointer: str, named: str) -> None:
    put(low())
    feed.tick()
    for path in (EVENTS, f"{EVENTS}/stream"):
        refusal = problem(api.get(f"{path}?{query}"), 400, "invalid")
        assert refusal["errors"][0]["pointer"] in {pointer, "?wait", "?limit"}
        assert named in json.dumps(refusal, ensure_ascii=False) or path != EVENTS


def test_a_store_that_is_not_there_or_not_the_clients_is_unknown(make_api: Callable[..., Api], store: Any) -> None:
    make_store("outlet", "wh-003", is_default=False)
    problem(make_api().get(f"{EVENTS}?storeId=nowhere"), 422, "unknown_store")
    problem(make_api(stores=("outlet",)).get(f"{EVENTS}/stream?storeId=main"), 422, "unknown_store")


def test_a_cursor_whose_events_are_deleted_is_archived(api: Api) -> None:
    put(low())
    feed.tick()
    put(low())
    feed.tick()
    Tick.objects.exclude(number=Tick.objects.latest("number").number).delete()
    problem(api.get(f"{EVENTS}?after=0.0.0"), 410, "archived")
    problem(api.get(f"{EVENTS}/stream?after=0.0.0"), 410, "archived")
    problem(api.get(f"{EVENTS}/stream?after=now", Last_Event_ID="0.0.0"), 410, "archived")


def test_a_stream_begins_with_what_is_there_and_a_returning_one_after_its_last_event(api: Api) -> None:
    rows = [low(), released()]
    put(*rows)
    response = api.get(f"{EVENTS}/stream")
    assert response.headers["Content-Type"] == "text/event-stream"
    pieces = [piece.split("\n") for piece in response.content.decode().removesuffix("\n\n").split("\n\n")]
    found = [json.loads(data.removeprefix("data: ")) for _, data in pieces]
    assert [event["key"] for event in found] == [row.key for row in rows]
    assert [id_ for id_, _ in pieces] == [f"id: {event['cursor']}" for event in found]
    again = api.get(f"{EVENTS}/stream?after=now", Last_Event_ID=found[0]["cursor"])
    assert again.content.count(b"data: ") == 1
    refusal = problem(api.get(f"{EVENTS}/stream", Last_Event_ID="x"), 400, "invalid")
    assert refusal["errors"][0]["pointer"] == "Last-Event-ID"


# --- reach ------------------------------------------------------------------------------------------------------------


def test_a_client_sees_its_stores_and_their_warehouses_and_products_alone(make_api: Callable[..., Api]) -> None:
    make_store("main", "wh-001", "wh-002")
    make_store("outlet", "wh-003", is_default=False)
    frozen = {
        subject: InventoryFrozenEvent(subject=subject, reason="r", until=None, **{field: value}).row()
        for subject, field, value in (
            ("PRODUCT", "product_id", uuid4()),
            ("WAREHOUSE", "warehouse_id", "wh-003"),
            ("STORE", "store_id", "main"),
        )
    }
    mine, others, here, there = released("outlet"), released("main"), low("wh-003"), low("wh-001")
    sent = {
        (source, destination): InventoryTransferredEvent(
            transfer_id=f"tr-{uuid4()}",
            status="IN_TRANSIT",
            from_warehouse_id=source,
            to_warehouse_id=destination,
            change="SENT",
            items=[],
            reason="",
        ).row([])
        for source, destination in (("wh-001", "wh-003"), ("wh-003", "wh-002"), ("wh-001", "wh-002"))
    }
    put(mine, others, here, there, *frozen.values(), *sent.values())
    of_outlet = {mine.key, here.key, frozen["PRODUCT"].key, frozen["WAREHOUSE"].key}
    of_outlet |= {sent["wh-001", "wh-003"].key, sent["wh-003", "wh-002"].key}
    for role in Role:
        assert set(keys(read(make_api(role, stores=("outlet",))))) == of_outlet
        assert len(keys(read(make_api(role)))) == 10
    assert len(keys(read(make_api(stores=("main", "outlet"))))) == 10
    assert keys(read(make_api(stores=("closed long ago",)))) == []


def test_an_event_of_nothing_known_is_not_for_limited_clients(make_api: Callable[..., Api], store: Any) -> None:
    write("a")
    assert keys(read(make_api())) == ["a"]
    assert keys(read(make_api(stores=("main",)))) == []


def test_a_level_event_says_nothing_of_other_stores(make_api: Callable[..., Api]) -> None:
    make_store("main", "wh-001", "wh-002")
    make_store("outlet", "wh-002", is_default=False)
    adjusted = [
        StockAdjustedEvent(
            product_id=uuid4(),
            warehouse_id=warehouse,
            adjustment_id="adj-1",
            adjustment_type="RECEIPT",
            quantity=1,
            previous_stock=0,
            new_stock=1,
            reason="for main",
            adjusted_by="app",
        ).row(uuid4())
        for warehouse in ("wh-001", "wh-002")
    ]
    put(*adjusted)
    own, shared = (event["payload"] for event in read(make_api(stores=("main",)))["events"])
    assert (own["reason"], own["adjustedBy"]) == ("for main", "app")
    assert (shared["reason"], shared["adjustedBy"], shared["quantity"]) == ("", "", 1)
    assert read(make_api(), "storeId=outlet")["events"][0]["payload"]["reason"] == "for main"
    level = make_level(5, "wh-002")
    body = {"adjustments": lines((level, 1), warehouseId="wh-002", type="RECEIPT", reason="r")}
    assert make_api().put("adjust", body).status_code == 200
    changed = "types=InventoryLevelChangedEvent&limit=1"
    for stores, sellable in {(): {"main", "outlet"}, ("outlet",): {"outlet"}, ("main",): {"main"}}.items():
        (event,) = read(make_api(stores=stores), changed)["events"]
        assert event["payload"]["sellable"].keys() == sellable


# --- levels, and the feed behind them ---------------------------------------------------------------------------------


def test_the_levels_cursor_is_where_the_feed_goes_on(api: Api, store: Any) -> None:
    level = make_level(5, "wh-001")
    put(low())
    page = body_of(api.get("levels"))
    body = {"adjustments": lines((level, 1), warehouseId="wh-001", type="RECEIPT", reason="r")}
    assert api.put("adjust", body).status_code == 200
    found = read(api, f"after={page['eventsCursor']}")["events"]
    assert {event["type"] for event in found} == {"StockAdjustedEvent", "InventoryLevelChangedEvent"}
