"""Counts, incidents and forced adjustments over the API."""

from collections.abc import Callable
from typing import Any

import pytest
from uuid_utils.compat import uuid7

from audit.roles import Role
from inventory.models import Movement, StockLevel
from reservations.models import ShortageIncident
from reservations.services.holds.documents import Hold
from tests.conftest import Api
from tests.contract.problems import pointers, problem
from tests.factories import counters, hold, lines, make_level, make_product, make_store, make_variant, receive

P = "01900000-0000-7000-8000-000000000001"
pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("store")]


def opened(api: Api, *levels: StockLevel, **fields: Any) -> str:
    body = {
        "warehouseId": "wh-001",
        "scope": "PRODUCTS",
        "products": [{"productId": str(level.product_id)} for level in levels],
    }
    response = api.post("counts", {**body, **fields})
    assert response.status_code == 201, response.content
    return str(response.json()["countId"])  # type: ignore[attr-defined]


def entered(*counted: tuple[StockLevel, int], **fields: Any) -> dict[str, Any]:
    return {"lines": [{"productId": str(level.product_id), "counted": units, **fields} for level, units in counted]}


def answer(response: Any, status: int = 200) -> dict[str, Any]:
    assert response.status_code == status, response.content
    document: dict[str, Any] = response.json()
    return document


def test_a_count_from_opening_to_posting(api: Api) -> None:
    level, other = make_level(10, zone="A", aisle="1"), make_level(5)
    made = hold((level, 4), order_id="order-1", cart_id="cart-1")
    id_ = opened_blind(api)
    enter_and_recount(api, id_, level, other)
    require_preview(api, id_, level, made)
    posted = posted_with_incident(api, id_, level, made)
    require_incident(api, id_, posted, made)


def opened_blind(api: Api) -> str:
    """Open a count of all levels. It doesn't show the expected units. Returns its id."""
    body = {"warehouseId": "wh-001", "scope": "ALL", "recountShare": 0.2, "note": "weekly"}
    count = answer(api.post("counts", body), 201)
    id_ = count["countId"]
    assert (count["status"], count["scope"], count["elsewhere"]) == ("OPEN", "ALL", [])
    assert (count["recountShare"], count["note"]) == ("0.2000", "weekly")
    assert count["progress"] == {"lines": 2, "counted": 0, "toRecount": 0}

    blind = answer(api.get(f"counts/{id_}"))["lines"]["items"]
    assert {line["status"] for line in blind} == {"UNCOUNTED"}
    assert all(line["expected"] is line["counted"] is line["difference"] is None for line in blind)
    assert blind[0]["location"] == {"zone": "A", "aisle": "1", "shelf": ""}
    return str(id_)


def enter_and_recount(api: Api, id_: str, level: StockLevel, other: StockLevel) -> None:
    """Enter counted units. The level with a large difference must be counted again before the count is posted."""
    entered_lines = answer(api.put(f"counts/{id_}/lines", entered((level, 3), (other, 5))))
    assert entered_lines["progress"] == {"lines": 2, "counted": 2, "toRecount": 1}
    again, fine = entered_lines["lines"]
    assert (again["status"], again["expected"], again["counted"]) == ("NEEDS_RECOUNT", None, None)
    assert (fine["status"], fine["expected"], fine["counted"], fine["difference"]) == ("COUNTED", 5, 5, 0)
    refused = problem(api.post(f"counts/{id_}/post", {}), 409, "count_incomplete")
    assert [fault["productId"] for fault in refused["errors"]] == [str(level.product_id)]
    recounted = answer(api.put(f"counts/{id_}/lines", entered((level, 2), recount=True)))["lines"][0]
    assert (recounted["status"], recounted["expected"], recounted["difference"]) == ("COUNTED", 10, -8)


def require_preview(api: Api, id_: str, level: StockLevel, made: Hold) -> None:
    """The preview names the hold that would break, and the shortage."""
    preview = answer(api.get(f"counts/{id_}/preview"))
    assert [held["reservationId"] for held in preview["brokenReservations"]] == [made.public_id]
    assert preview["shortages"] == [
        {
            "productId": str(level.product_id),
            "sku": level.product.sku,
            "onHand": 10,
            "onHandAfter": 2,
            "reserved": 4,
            "missing": 2,
        }
    ]


def posted_with_incident(api: Api, id_: str, level: StockLevel, made: Hold) -> Any:
    """Post the count, which breaks the hold. Returns the answer."""
    posted = answer(api.post(f"counts/{id_}/post", {}))
    assert (posted["status"], posted["counted"], posted["differences"], posted["unitsRemoved"]) == ("POSTED", 2, 1, 8)
    (broken,) = posted["brokenReservations"]
    assert (broken["reservationId"], broken["orderId"], broken["storeId"]) == (made.public_id, "order-1", "main")
    assert broken["items"] == [{"productId": str(level.product_id), "warehouseId": "wh-001", "quantity": 4}]
    assert counters(level) == (2, 0)
    closed = answer(api.get(f"counts/{id_}"))
    assert (closed["status"], closed["postedBy"]) == ("POSTED", posted["postedBy"])
    assert [line["postedDifference"] for line in closed["lines"]["items"]] == [-8, 0]
    return posted


def require_incident(api: Api, id_: str, posted: Any, made: Hold) -> None:
    """The incident of the count names the broken hold, and is resolved once."""
    (incident,) = answer(api.get("incidents?status=OPEN"))["items"]
    assert posted["incidents"] == [incident["incidentId"]]
    assert (incident["missingUnits"], incident["cause"], incident["causeId"]) == (2, "COUNT", id_)
    assert incident["brokenReservations"] == [
        {
            "reservationId": made.public_id,
            "orderId": "order-1",
            "cartId": "cart-1",
            "customerId": None,
            "quantity": 4,
        }
    ]
    path = f"incidents/{incident['incidentId']}"
    resolved = answer(api.post(f"{path}/resolve", {"resolution": "sent from wh-002"}))
    assert (resolved["status"], resolved["resolution"]) == ("RESOLVED", "sent from wh-002")
    assert answer(api.get(path)) == resolved
    problem(api.post(f"{path}/resolve", {"resolution": "again"}), 409, "incident_resolved")
    assert answer(api.get("incidents?status=OPEN"))["items"] == []


def test_staff_choose_who_gives_way(api: Api) -> None:
    level = make_level(10)
    oldest, _ = hold((level, 4)), hold((level, 4))
    id_ = opened(api, level)
    api.put(f"counts/{id_}/lines", entered((level, 5)))
    posted = answer(api.post(f"counts/{id_}/post", {"breakReservations": [oldest.public_id, oldest.public_id]}))
    assert [held["reservationId"] for held in posted["brokenReservations"]] == [oldest.public_id]


@pytest.mark.parametrize("path", ["counts/x", f"counts/cnt-{P}", "incidents/x", f"incidents/inc-{P}"])
def test_unknown_ids_are_not_found(api: Api, path: str) -> None:
    problem(api.get(path), 404, "not_found")


def test_a_choice_that_frees_nothing_is_refused_in_its_place(api: Api) -> None:
    level, other = make_level(10), make_level(10)
    hold((level, 8))
    wrong = hold((other, 1))
    id_ = opened(api, level)
    api.put(f"counts/{id_}/lines", entered((level, 5)))
    response = api.post(f"counts/{id_}/post", {"breakReservations": [wrong.public_id]})
    problem(response, 409, "hold_not_in_the_way")
    assert pointers(response) == ["/breakReservations/0"]
    unknown = api.post(f"counts/{id_}/post", {"breakReservations": [f"res-{uuid7()}"]})
    problem(unknown, 404, "reservation_not_found")


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"scope": "ZONE"}, "/zone"),
        ({"scope": "ALL", "zone": "A"}, "/zone"),
        ({"scope": "PRODUCTS"}, "/products"),
        ({"scope": "STALE", "products": [{"productId": P}]}, "/products"),
        ({"scope": "ALL", "staleDays": 3}, "/staleDays"),
        ({"scope": "STALE", "staleDays": 0}, "/staleDays"),
        ({"scope": "ALL", "recountShare": 1.1}, "/recountShare"),
        ({"scope": "ALL", "recountShare": -0.1}, "/recountShare"),
        ({"scope": "ALL", "recountShare": "NaN"}, "/recountShare"),
        ({"scope": "ALL", "recountShare": 0.00001}, "/recountShare"),
        ({"scope": "SOME"}, "/scope"),
    ],
)
def test_a_scope_has_what_belongs_to_it_and_nothing_else(api: Api, body: dict[str, Any], pointer: str) -> None:
    make_level(1)
    response = api.post("counts", {"warehouseId": "wh-001", **body})
    problem(response, 400, "invalid")
    assert pointers(response) == [pointer]


def test_a_level_is_in_one_open_count(api: Api) -> None:
    level, free = make_level(1), make_level(1)
    first = opened(api, level)
    body = {"warehouseId": "wh-001", "scope": "PRODUCTS", "products": [{"productId": str(level.product_id)}]}
    refused = problem(api.post("counts", body), 409, "already_in_count")
    assert refused["errors"][0]["countId"] == first
    rest = answer(api.post("counts", {"warehouseId": "wh-001", "scope": "ALL"}), 201)
    assert (rest["progress"]["lines"], rest["elsewhere"]) == (1, [{"countId": first, "lines": 1}])
    assert answer(api.get(f"counts/{rest['countId']}"))["lines"]["items"][0]["productId"] == str(free.product_id)


def test_a_variant_is_returned_with_its_parent(api: Api) -> None:
    parent = make_product()
    level = receive(make_variant(parent), 3)
    named = {"productId": str(parent.id), "variantId": str(level.product_id)}
    body = {"warehouseId": "wh-001", "scope": "PRODUCTS", "products": [named]}
    id_ = answer(api.post("counts", body), 201)["countId"]
    (line,) = answer(api.put(f"counts/{id_}/lines", {"lines": [{**named, "counted": 3}]}))["lines"]
    assert {name: line[name] for name in named} == named


def test_lines_and_counts_are_read_page_by_page(api: Api) -> None:
    levels = [make_level(1) for _ in range(3)]
    first, second = opened(api, *levels[:2]), opened(api, levels[2])
    page = answer(api.get(f"counts/{first}?limit=1"))["lines"]
    rest = answer(api.get(f"counts/{first}?limit=1&cursor={page['next']}"))["lines"]
    assert [page["items"][0]["productId"], rest["items"][0]["productId"]] == [
        str(level.product_id) for level in levels[:2]
    ]
    assert rest["next"] is None
    newest = answer(api.get("counts?limit=1"))
    older = answer(api.get(f"counts?limit=1&cursor={newest['next']}"))
    assert [newest["items"][0]["countId"], older["items"][0]["countId"]] == [second, first]
    assert older["next"] is None
    assert answer(api.get("counts?status=POSTED"))["items"] == []
    assert answer(api.get("counts?warehouseId=wh-002"))["items"] == []


def test_incidents_are_found_by_place_product_and_cause(api: Api) -> None:
    level = make_level(10)
    hold((level, 8))
    forced = lines((level, -5), warehouseId="wh-001", type="ADJUSTMENT", reason="stolen", force=True)
    adjusted = answer(api.put("adjust", {"adjustments": forced}))
    for query, found in {
        "warehouseId=wh-001": 1,
        "warehouseId=wh-002": 0,
        f"productId={level.product_id}": 1,
        f"productId={uuid7()}": 0,
        f"causeId={adjusted['adjustmentId']}": 1,
        f"causeId=cnt-{uuid7()}": 0,
        "status=RESOLVED": 0,
    }.items():
        assert len(answer(api.get(f"incidents?{query}"))["items"]) == found, query


def test_a_key_gets_the_first_answer_again(api: Api) -> None:
    level = make_level(10)
    body = {"warehouseId": "wh-001", "scope": "ALL"}
    first = api.post("counts", body, Idempotency_Key="open")
    again = api.post("counts", body, Idempotency_Key="open")
    assert (first.content, again.headers["Idempotent-Replayed"]) == (again.content, "true")
    path = f"counts/{first.json()['countId']}"  # type: ignore[attr-defined]
    for verb, route, sent in (
        ("PUT", "lines", entered((level, 4))),
        ("POST", "post", {}),
    ):
        made = api.send(verb, f"{path}/{route}", sent, Idempotency_Key=route)
        replayed = api.send(verb, f"{path}/{route}", sent, Idempotency_Key=route)
        assert made.status_code == 200, made.content
        assert (made.content, replayed.headers["Idempotent-Replayed"]) == (replayed.content, "true")
    assert Movement.objects.filter(reference_type="count").count() == 1
    other = answer(api.post("counts", body), 201)["countId"]
    made = api.post(f"counts/{other}/cancel", {"reason": "no"}, Idempotency_Key="cancel")
    replayed = api.post(f"counts/{other}/cancel", {"reason": "no"}, Idempotency_Key="cancel")
    assert answer(made)["status"] == "CANCELLED"
    assert (made.content, replayed.headers["Idempotent-Replayed"]) == (replayed.content, "true")
    problem(api.post(f"counts/{other}/cancel", {}), 409, "count_closed")


def test_only_a_manager_forces_an_adjustment(make_api: Callable[..., Api]) -> None:
    level = make_level(10)
    hold((level, 8))
    forced = {"adjustments": lines((level, -5), warehouseId="wh-001", type="ADJUSTMENT", reason="r", force=True)}
    plain = {"adjustments": lines((level, -5), warehouseId="wh-001", type="ADJUSTMENT", reason="r", force=False)}
    problem(make_api(Role.WAREHOUSE).put("adjust", forced), 403, "permission_denied")
    problem(make_api(Role.MANAGER).put("adjust", plain), 409, "insufficient_stock")
    assert counters(level) == (10, 8)
    assert answer(make_api(Role.MANAGER).put("adjust", forced))["adjustments"][0]["newQuantity"] == 5
    assert counters(level) == (5, 0)
    assert ShortageIncident.objects.count() == 1


def test_only_an_adjustment_is_forced(api: Api) -> None:
    body = {"adjustments": lines((make_level(10), 5), warehouseId="wh-001", type="SHIPMENT", reason="r", force=True)}
    response = api.put("adjust", body)
    problem(response, 400, "invalid")
    assert pointers(response) == ["/adjustments/0/force"]


def test_a_client_of_other_stores_sees_and_touches_no_count(make_api: Callable[..., Api], api: Api) -> None:
    make_store("outlet", "wh-003", is_default=False)
    level = make_level(10)
    hold((level, 8))
    outlet = make_api(Role.MANAGER, stores=("outlet",))
    id_ = opened(api, level)
    for method, path, body in (
        ("GET", f"counts/{id_}", None),
        ("GET", f"counts/{id_}/preview", None),
        ("PUT", f"counts/{id_}/lines", entered((level, 1))),
        ("POST", f"counts/{id_}/post", {}),
        ("POST", f"counts/{id_}/cancel", {}),
    ):
        problem(outlet.send(method, path, body), 404, "not_found")
    problem(outlet.post("counts", {"warehouseId": "wh-001", "scope": "ALL"}), 422, "unknown_warehouse")
    assert answer(outlet.get("counts"))["items"] == []
    api.put(f"counts/{id_}/lines", entered((level, 5)))
    (incident,) = answer(api.post(f"counts/{id_}/post", {}))["incidents"]
    problem(outlet.get(f"incidents/{incident}"), 404, "not_found")
    problem(outlet.post(f"incidents/{incident}/resolve", {"resolution": "mine"}), 404, "not_found")
    assert answer(outlet.get("incidents"))["items"] == []


def test_of_other_stores_holds_a_limited_client_learns_the_number_alone(make_api: Callable[..., Api]) -> None:
    make_store("outlet", "wh-001", is_default=False)
    level = make_level(10)
    mine, theirs = hold((level, 3)), hold((level, 5), store="outlet")
    main = make_api(Role.WAREHOUSE, stores=("main",))
    id_ = opened(main, level)
    main.put(f"counts/{id_}/lines", entered((level, 0)))
    chosen = main.post(f"counts/{id_}/post", {"breakReservations": [theirs.public_id]})
    problem(chosen, 404, "reservation_not_found")
    for response in (main.get(f"counts/{id_}/preview"), main.post(f"counts/{id_}/post", {})):
        incident = answer(response)
        assert [held["reservationId"] for held in incident["brokenReservations"]] == [mine.public_id]
        assert incident["hiddenReservations"] == 1
    (incident,) = answer(main.get("incidents"))["items"]
    assert ([row["quantity"] for row in incident["brokenReservations"]], incident["hiddenUnits"]) == ([3], 5)
