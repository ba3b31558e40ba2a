"""The list of movements: filters, pages, reach and indexes."""

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import product
from typing import Any, Final
from urllib.parse import quote
from uuid import UUID

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from audit.roles import Role
from inventory.models import Movement, StockLevel
from inventory.services.stock.movements import MovementFilter, read_movements
from reservations.services.holds.resolution import ConsumeRequest, consume_hold
from reservations.services.holds.selecting import Selector
from tests.conftest import Api
from tests.contract.problems import pointers, problem
from tests.factories import ACTOR, hold, make_level, make_product, make_store, make_variant, make_warehouse, receive
from tests.rolling_back import check_each

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("store")]


def page(api: Api, query: str = "") -> dict[str, Any]:
    response = api.get(f"movements?{query}")
    assert response.status_code == 200, response.content
    answer: dict[str, Any] = response.json()  # type: ignore[attr-defined]
    return answer


def quantities(api: Api, query: str = "") -> list[int]:
    """The quantities that a query lists."""
    return [item["quantity"] for item in page(api, query)["items"]]


def adjust(api: Api, level: StockLevel, quantity: int, kind: str, **fields: Any) -> None:
    line = {"productId": str(level.product_id), "warehouseId": "wh-001", "quantity": quantity, "type": kind}
    assert api.put("adjust", {"adjustments": [{**line, "reason": "because", **fields}]}).status_code == 200


def moments(quantity: int) -> str:
    at: datetime = Movement.objects.get(quantity=quantity).created_at
    return quote(at.isoformat())


def test_each_change_of_on_hand_says_what_by_whom_and_what_for(make_api: Callable[..., Api]) -> None:
    api = make_api(name="scanner")
    level = make_level(10)
    adjust(api, level, 5, "RECEIPT", reference="PO-1", costPerUnit="2.50")
    made = hold((level, 2))
    consume_hold(ConsumeRequest(ACTOR, "order-1", Selector(reservation_id=made.id)))
    sold, received, _ = page(api)["items"]
    assert sold.pop("movementId").startswith("mv-")
    assert sold.pop("createdAt").endswith("Z")
    assert sold == {
        "productId": str(level.product_id),
        "warehouseId": "wh-001",
        "type": "SHIPMENT",
        "quantity": -2,
        "quantityBefore": 15,
        "quantityAfter": 13,
        "reason": "sold",
        "referenceType": "order",
        "reference": "order-1",
        "actor": "tests",
    }
    assert received["adjustmentId"].startswith("adj-")
    facts = {name: received[name] for name in ("referenceType", "reference", "costPerUnit", "actor", "reason")}
    assert facts == {
        "referenceType": "adjustment",
        "reference": "PO-1",
        "costPerUnit": "2.50",
        "actor": "scanner",
        "reason": "because",
    }


def test_filters_combine(api: Api) -> None:
    level, other = make_level(1), make_level(2)
    receive(level.product_id, 3, "wh-002")
    adjust(api, level, 4, "RECEIPT", reference="PO-1")
    adjust(api, other, 5, "RETURN", reference="PO-1")
    product = f"productId={level.product_id}"
    assert quantities(api) == [5, 4, 3, 2, 1]
    assert quantities(api, product) == [4, 3, 1]
    assert quantities(api, f"{product}&warehouseId=wh-001") == [4, 1]
    assert quantities(api, "warehouseId=wh-002") == [3]
    assert quantities(api, "type=RETURN") == [5]
    assert quantities(api, f"{product}&type=RETURN") == []
    assert quantities(api, "reference=PO-1") == [5, 4]
    assert quantities(api, f"{product}&reference=PO-1") == [4]
    assert quantities(api, "reference=") == [3, 2, 1]
    assert quantities(api, f"since={moments(3)}") == [5, 4, 3]
    assert quantities(api, f"until={moments(3)}") == [2, 1]
    assert quantities(api, f"{product}&since={moments(3)}&until={moments(4)}") == [3]


def test_a_parent_finds_its_variants_and_a_variant_only_itself(api: Api) -> None:
    make_warehouse()
    parent = make_product()
    small, large = make_variant(parent), make_variant(parent)
    receive(small, 1)
    receive(large, 2)
    assert quantities(api, f"productId={parent.id}") == [2, 1]
    assert quantities(api, f"productId={parent.id}&variantId={small.id}") == [1]
    assert quantities(api, f"productId={small.id}") == [1]
    assert quantities(api, f"productId={large.id}&variantId={small.id}") == []
    (item,) = page(api, f"variantId={small.id}")["items"]
    assert (item["productId"], item["variantId"]) == (str(parent.id), str(small.id))


@pytest.mark.parametrize("by_product", [False, True])
def test_pages_follow_each_other_without_gap_or_repetition(api: Api, *, by_product: bool) -> None:
    level = make_level(1)
    receive(level.product_id, 2, "wh-002")
    lines = [{"productId": str(level.product_id), "warehouseId": "wh-001", "type": "RECEIPT", "reason": "r"}] * 5
    # One request: the same moment, to the microsecond.
    body = {"adjustments": [{**line, "quantity": n} for n, line in enumerate(lines, 3)]}
    assert api.put("adjust", body).status_code == 200
    filters = f"productId={level.product_id}" if by_product else ""
    seen: list[str] = []
    cursor = ""
    while cursor is not None:
        answer = page(api, f"limit=3{cursor and '&cursor='}{cursor}&{filters}".rstrip("&"))
        seen += [item["movementId"] for item in answer["items"]]
        cursor = answer["next"]
    newest_first = Movement.objects.order_by("-created_at", "-id").values_list("id", flat=True)
    assert seen == [f"mv-{id_}" for id_ in newest_first]
    assert len(seen) == 7


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("cursor=x", "?cursor"),
        ("cursor=AAAA", "?cursor"),
        ("cursor=" + "f" * 32, "?cursor"),
        ("since=2026-01-01", "?since"),
        ("since=2026-01-01T00:00:00", "?since"),
        ("until=0001-01-01T00:00:00%2B14:00", "?until"),
        ("type=THEFT", "?type"),
        ("limit=0", "?limit"),
        ("productId=1", "?productId"),
        ("level=1", "?level"),
    ],
)
def test_what_no_filter_can_be_is_refused(api: Api, query: str, pointer: str) -> None:
    response = api.get(f"movements?{query}")
    problem(response, 400, "invalid")
    assert pointers(response) == [pointer]


def test_clients_of_some_stores_see_their_warehouses_movements(make_api: Callable[..., Api]) -> None:
    make_store("outlet", "wh-003", "wh-002", is_default=False)
    level = make_level(1)
    receive(level.product_id, 2, "wh-002")
    receive(level.product_id, 3, "wh-003")
    outlet = make_api(Role.CHECKOUT, stores=("outlet",))
    assert quantities(outlet) == [3, 2]
    assert quantities(outlet, f"productId={level.product_id}") == [3, 2]
    problem(outlet.get("movements?warehouseId=wh-001"), 422, "unknown_warehouse")
    assert quantities(make_api(Role.CHECKOUT, stores=("outlet", "main"))) == [3, 2, 1]


# --- what belongs to another store -----------------------------------------------------------------------------------


@pytest.fixture
def shared(make_api: Callable[..., Api]) -> StockLevel:
    """A level of wh-002, which main and outlet sell from: received with a reference and a cost, then sold by main."""
    make_store("outlet", "wh-003", "wh-002", is_default=False)
    make_warehouse("wh-002")
    level = receive(make_product(), 1, "wh-002")
    adjust(make_api(name="buyer"), level, 20, "RECEIPT", warehouseId="wh-002", reference="PO-1", costPerUnit="2.50")
    sell(level, 2, "main", "ord-main")
    return level


def sell(level: StockLevel, quantity: int, store: str, order_id: str) -> None:
    made = hold((level, quantity), store=store, order_id=order_id)
    consume_hold(ConsumeRequest(ACTOR, order_id, Selector(reservation_id=made.id)))


def whose(api: Api, level: StockLevel) -> dict[int, tuple[Any, ...]]:
    """Reference, actor, reason and cost of a level's movements, by quantity; explain and the list say the same."""
    listed = page(api, f"productId={level.product_id}")["items"]
    (explained,) = api.get(f"{level.product_id}/explain").json()["warehouses"]  # type: ignore[attr-defined]
    assert explained["lastMovements"] == listed
    names = ("reference", "actor", "reason", "costPerUnit")
    return {item["quantity"]: tuple(item.get(name) for name in names) for item in listed}


HIDDEN = ("", "", "", None)


def test_sale_of_another_store_shows_neither_order_nor_actor(make_api: Callable[..., Api], shared: StockLevel) -> None:
    sell(shared, 3, "outlet", "ord-outlet")
    of_main, of_outlet = ("ord-main", "tests", "sold", None), ("ord-outlet", "tests", "sold", None)
    for stores, main, outlet in (
        ((), of_main, of_outlet),
        (("main",), of_main, HIDDEN),
        (("outlet",), HIDDEN, of_outlet),
        (("main", "outlet"), of_main, of_outlet),
    ):
        api = make_api(Role.CHECKOUT, stores=stores)
        told = whose(api, shared)
        assert (told[-2], told[-3]) == (main, outlet), stores
        assert quantities(api, "reference=ord-main") == ([] if main is HIDDEN else [-2])
        assert quantities(api, f"productId={shared.product_id}&reference=ord-outlet") == (
            [] if outlet is HIDDEN else [-3]
        )


def test_receipt_in_a_shared_warehouse_shows_its_cost_to_who_sees_all_its_stores(
    make_api: Callable[..., Api], shared: StockLevel
) -> None:
    whole = ("PO-1", "buyer", "because", "2.50")
    for stores, expected in (((), whole), (("main",), HIDDEN), (("outlet",), HIDDEN), (("main", "outlet"), whole)):
        api = make_api(Role.CHECKOUT, stores=stores)
        assert whose(api, shared)[20] == expected, stores
        assert quantities(api, "reference=PO-1") == ([] if expected is HIDDEN else [20])
        assert quantities(api, "reference=") == ([] if expected is HIDDEN else [1])


def test_receipt_in_a_warehouse_of_its_own_is_whole(make_api: Callable[..., Api]) -> None:
    level = make_level(1)
    adjust(make_api(name="buyer"), level, 5, "RECEIPT", reference="PO-1", costPerUnit="2.50")
    api = make_api(Role.CHECKOUT, stores=("main",))
    assert whose(api, level)[5] == ("PO-1", "buyer", "because", "2.50")
    assert quantities(api, "reference=PO-1") == [5]


def test_adjustment_of_a_client_of_one_store_is_that_store_s(make_api: Callable[..., Api], shared: StockLevel) -> None:
    of_outlet = make_api(Role.MANAGER, name="outlet-erp", stores=("outlet",))
    adjust(of_outlet, shared, 7, "RETURN", warehouseId="wh-002", reference="ord-8")
    assert whose(of_outlet, shared)[7] == ("ord-8", "outlet-erp", "because", None)
    of_main = make_api(Role.CHECKOUT, stores=("main",))
    assert whose(of_main, shared)[7] == HIDDEN
    assert quantities(of_main, "reference=ord-8") == []


def test_sale_from_before_movements_knew_their_store_is_hidden_in_a_shared_warehouse(
    make_api: Callable[..., Api], shared: StockLevel
) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute("UPDATE inventory_movement SET store = ''")
        cursor.execute("SET LOCAL session_replication_role = origin")
    api = make_api(Role.CHECKOUT, stores=("main",))
    assert whose(api, shared)[-2] == HIDDEN
    assert quantities(api, "reference=ord-main") == []


def test_transfer_is_named_to_who_sees_one_of_its_ends(make_api: Callable[..., Api], shared: StockLevel) -> None:
    api = make_api(name="mover")
    item = {"productId": str(shared.product_id), "quantity": 4, "fromWarehouseId": "wh-002", "toWarehouseId": "wh-001"}
    sent = api.post("transfer", {"items": [item]}).json()  # type: ignore[attr-defined]
    outlet = make_api(Role.CHECKOUT, stores=("outlet",))
    assert whose(outlet, shared)[-4][:2] == (sent["transferId"], "mover")
    assert quantities(outlet, f"reference={sent['transferId']}") == [-4]


def test_a_page_is_one_query_however_many_movements_it_has(api: Api) -> None:
    level = make_level(1)

    def queries(query: str) -> int:
        api.get("movements")  # Fills the cache of tokens.
        with CaptureQueriesContext(connection) as sent:
            page(api, query)
        return len(sent)

    few = queries("limit=200"), queries(f"productId={level.product_id}")
    for _ in range(5):
        receive(level.product_id, 1)
        make_level(1)
    assert few == (queries("limit=200"), queries(f"productId={level.product_id}"))
    assert few == (1, 1)


# --- a big table -----------------------------------------------------------------------------------------------------

_FILL = """
INSERT INTO inventory_movement (id, level_id, type, quantity, quantity_before, quantity_after, reason, reference_type,
    reference, actor, created_at)
SELECT gen_random_uuid(), levels.ids[1 + n %% cardinality(levels.ids)], 'SHIPMENT', -1, 1, 0, '', 'order',
    'order-' || n, 'shop', now() - n * interval '1 minute'
FROM generate_series(1, %s) n, (SELECT array_agg(id ORDER BY id) AS ids FROM inventory_stocklevel) levels
"""


@pytest.fixture
def big(store: Any) -> StockLevel:
    """A level among 60 in two warehouses, with 20,000 movements."""
    levels = [make_level(1, f"wh-00{1 + n % 2}") for n in range(60)]
    with connection.cursor() as cursor:
        cursor.execute(_FILL, [20_000])
        for table in ("movement", "stocklevel", "product", "warehouse", "store", "storewarehouse"):
            cursor.execute(f"ANALYZE inventory_{table}")
    return levels[7]


@pytest.mark.parametrize("is_old", [False, True])
def test_a_place_that_moved_little_is_found_without_reading_what_others_moved(big: StockLevel, *, is_old: bool) -> None:
    quiet = make_level(3, "wh-003")
    if is_old:
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL session_replication_role = replica")
            cursor.execute("UPDATE inventory_movement SET created_at = now() - interval '90 days' WHERE quantity = 3")
            cursor.execute("SET LOCAL session_replication_role = origin")
    plans: list[str] = []
    with connection.execute_wrapper(explained(plans)):
        found = read_movements(MovementFilter(warehouse="wh-003"), behind=None, limit=51)
    assert [line.stock_id for line in found] == [quiet.product_id]
    assert "using movement_of_level on inventory_movement" in plans[-1], plans[-1]
    rows = [int(number) for plan in plans for number in re.findall(r"inventory_movement.*actual rows=(\d+)", plan)]
    assert max(rows) <= 5001  # One more tells whether there are older ones.


def explained(plans: list[str]) -> Callable[..., Any]:
    """A wrapper that records the plan of each statement."""

    def explain(execute: Any, sql: Any, parameters: Any, many: bool, context: Any) -> Any:
        execute(f"EXPLAIN (ANALYZE, TIMING OFF, SUMMARY OFF) {sql}", parameters, many, context)
        plans.append("\n".join(row[0] for row in context["cursor"].fetchall()))
        return execute(sql, parameters, many, context)

    return explain


INDEXES_AND_FILTERS: Final[tuple[tuple[str, dict[str, Any]], ...]] = (
    ("movement_time", {}),
    ("movement_(type_)?time", {"type": "SHIPMENT"}),  # In this test all movements are of this type.
    ("movement_time", {"warehouse": "wh-001"}),
    ("movement_time", {"store_codes": ("main",)}),
    ("movement_time", {"since": timedelta(days=2)}),
    ("movement_time", {"until": timedelta(days=9)}),
    ("movement_time", {"since": timedelta(days=2), "until": timedelta(days=1), "warehouse": "wh-002"}),
    ("movement_time", {"behind": timedelta(days=5)}),
    ("movement_reference", {"reference": "order-67"}),
    ("movement_reference", {"reference": "order-66", "store_codes": ("main", "outlet")}),
    ("movement_reference", {"reference": "order-67", "product_id": True}),
    ("movement_of_level", {"product_id": True}),
    ("movement_of_level", {"variant_id": True, "type": "SHIPMENT", "warehouse": "wh-002"}),
    ("movement_of_level", {"product_id": True, "store_codes": ("main",), "since": timedelta(days=9)}),
    ("movement_of_level", {"product_id": True, "behind": timedelta(days=5)}),
)


def test_each_question_is_answered_by_an_index(big: StockLevel) -> None:
    def check(question: str, big: StockLevel) -> None:
        index, wanted = named[question]
        ago = {name: timezone.now() - value for name, value in wanted.items() if isinstance(value, timedelta)}
        asked = wanted | ago | {name: big.product_id for name, value in wanted.items() if value is True}
        behind = (asked.pop("behind"), UUID(int=0)) if "behind" in asked else None
        plans: list[str] = []
        with connection.execute_wrapper(explained(plans)):
            assert read_movements(MovementFilter(**asked), behind=behind, limit=51)
        (plan,) = plans
        assert re.search(f"using {index} on inventory_movement", plan), plan
        assert "Seq Scan on inventory_movement" not in plan, plan

    named = {f"{index}: {wanted}": (index, wanted) for index, wanted in INDEXES_AND_FILTERS}
    check_each(named, big, check)


_AT_SOME_MOMENTS = """
INSERT INTO inventory_movement (id, level_id, type, quantity, quantity_before, quantity_after, reason, reference_type,
    reference, actor, created_at)
SELECT gen_random_uuid(), level.id, (ARRAY['RECEIPT', 'SHIPMENT', 'RETURN'])[1 + n % 3], 1, 0, 1, '', '', '', 'x',
    now() - interval '1 day' * (1 + n * 7 % 5)
FROM generate_series(1, 400) n JOIN (SELECT id, row_number() OVER (ORDER BY id) AS at FROM inventory_stocklevel) level
    ON level.at = 1 + n * n % 9
"""


@pytest.mark.parametrize("few", [0, 900])
def test_movements_of_a_place_are_those_of_a_scan(monkeypatch: pytest.MonkeyPatch, few: int) -> None:
    for number in range(12):
        make_level(3, f"wh-00{1 + number % 2}")
    make_store("second", "wh-002", is_default=False)
    with connection.cursor() as cursor:
        cursor.execute(_AT_SOME_MOMENTS)
    for name, most in (("_NEWEST", 0), ("_NEWEST_OF_TYPE", 1), ("_FEW_OF_TYPE", few)):
        monkeypatch.setattr(f"inventory.services.stock.movements.{name}", most)
    everything = Movement.objects.order_by("-created_at", "-id")
    for warehouse, type_, limit in product(("wh-001", "wh-002"), (None, "SHIPMENT", "TRANSFER"), (1, 4, 9, 60, 900)):
        rows = everything.filter(level__warehouse__code=warehouse, **({"type": type_} if type_ else {}))
        expected = list(rows.values_list("pk", "created_at"))
        for skipped in (0, 1, 30):
            behind = (expected[skipped - 1][1], expected[skipped - 1][0]) if 0 < skipped <= len(expected) else None
            stores = ("second",) if warehouse == "wh-002" else ()
            wanted = MovementFilter(warehouse=warehouse, type=type_, store_codes=stores)
            found = read_movements(wanted, behind=behind, limit=limit)
            keys = [key for key, _ in expected[skipped if behind else 0 :]][:limit]
            assert [line.id for line in found] == keys, (warehouse, type_, limit, skipped)
