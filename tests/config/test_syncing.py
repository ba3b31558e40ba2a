"""Lists for programs that keep a copy: by ids, by store, and updated since a moment (docs/reference/api.md#lists)."""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from django.db import connection
from uuid_utils.compat import uuid7

from audit.roles import Role
from inventory.models import Product, StockLevel
from reservations.models import Reservation
from reservations.services.holds.expiry import expire_due_holds
from tests.config import test_search_plans
from tests.conftest import Api, body_of
from tests.contract.problems import problem
from tests.counts import counted, post
from tests.factories import hold, lines, make_due, make_level, make_product, make_store, make_variant, make_warehouse
from tests.inventory.test_movements import explained

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("store")]

PRODUCTS = "/api/v1/products"
LISTS = (PRODUCTS, "levels", "reservations")
KEYS = {PRODUCTS: "productId", "levels": "warehouseId", "reservations": "reservationId"}


def now() -> datetime:
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        return cursor.fetchone()[0]  # type: ignore[no-any-return]


def listed(api: Api, path: str, **query: Any) -> list[dict[str, Any]]:
    """All items of a list, page by page."""
    items, cursor = [], None
    while True:
        given = {**query, **({"cursor": cursor} if cursor else {})}
        page = body_of(api.get(f"{path}?" + "&".join(f"{name}={_text(value)}" for name, value in given.items())))
        items += page["items"]
        cursor = page["next"]
        if cursor is None:
            return items


def _text(value: Any) -> str:
    return value.isoformat().replace("+", "%2B") if isinstance(value, datetime) else str(value)


def ids_in(api: Api, path: str, **query: Any) -> list[str]:
    return [item[KEYS[path]] for item in listed(api, path, **query)]


# ------------------------------------------------------------------------------------------------------------------ ids


def test_lists_are_filtered_by_ids_and_leave_unknown_ones_out(api: Api) -> None:
    levels = [make_level(10) for _ in range(3)]
    made = [hold((level, 1)).public_id for level in levels]
    products = [str(level.product_id) for level in levels]
    chosen = f"{made[2]},{made[0].upper().replace('RES', 'res')},{made[0]}, res-{uuid7()}"
    assert ids_in(api, "reservations", ids=chosen) == [made[2], made[0]], "the newest first, each once"
    chosen = f"{products[2].upper()},{products[0]},{products[2]},{uuid7()}"
    assert ids_in(api, PRODUCTS, ids=chosen, limit=1) == [products[0], products[2]]
    assert [item["productId"] for item in listed(api, "levels", ids=chosen, limit=1)] == [products[0], products[2]]
    for path in LISTS:
        start = "res-" if path == "reservations" else ""
        assert listed(api, path, ids=f"{start}{uuid7()}") == []


def test_levels_of_a_parent_are_those_of_its_variants_too(api: Api) -> None:
    parent, other = make_level(5), make_level(5)
    variants = [make_variant(parent.product) for _ in range(2)]
    for variant in variants:
        api.put("adjust", {"adjustments": [_receipt(variant)]})
    assert len(listed(api, "levels", ids=parent.product_id)) == 3
    assert [item["variantId"] for item in listed(api, "levels", ids=variants[0].pk)] == [str(variants[0].pk)]
    assert len(listed(api, "levels", ids=f"{variants[0].pk},{other.product_id}")) == 2


def _receipt(product: Product) -> dict[str, Any]:
    return {"productId": str(product.pk), "warehouseId": "wh-001", "quantity": 5, "type": "RECEIPT", "reason": "r"}


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize(
    ("ids", "named"),
    [
        ("", "has “”"),
        ("{id},", "has “”"),
        ("{id},,{id}", "has “”"),
        ("TENT-2P", "has “TENT-2P”"),
        ("{id};{id}", "separated by commas"),
        ("{{{id}}}", "separated by commas"),
        ("tr-{bare}", "separated by commas"),
        ("{other}", "separated by commas"),
        ("{id},%00", "NUL"),
        ("{many}", "takes at most 200 ids, but has 201"),
        ("null", "null"),
    ],
)
def test_what_is_no_list_of_ids_is_refused_with_what_one_looks_like(api: Api, path: str, ids: str, named: str) -> None:
    bare = str(uuid7())
    id_, other = (f"res-{bare}", bare) if path == "reservations" else (bare, f"res-{bare}")
    sent = ids.format(id=id_, bare=bare, other=other, many=",".join([id_] * 201))
    refused = problem(api.get(f"{path}?ids={sent}"), 400, "invalid")
    assert refused["errors"][0]["pointer"] == "?ids"
    text = refused["errors"][0]["detail"]
    assert named in text or named in refused["detail"]
    if named == "separated by commas":
        assert "such as `res-" in text if path == "reservations" else "such as `0" in text


@pytest.mark.parametrize("path", LISTS)
def test_two_hundred_ids_are_taken(api: Api, path: str) -> None:
    start = "res-" if path == "reservations" else ""
    assert listed(api, path, ids=",".join(f"{start}{uuid7()}" for _ in range(200))) == []


# --------------------------------------------------------------------------------------------------------------- stores


def test_lists_are_filtered_by_store(api: Api, make_api: Callable[..., Api]) -> None:
    make_store("other", "wh-009", is_default=False)
    here, there, parent = make_level(10), make_level(10, "wh-009"), make_product()
    variant = make_variant(parent)
    api.put("adjust", {"adjustments": [_receipt(variant)]})
    make_product()
    of_main, of_other = hold((here, 1)), hold((there, 1), store="other")
    assert ids_in(api, "reservations", storeId="main") == [of_main.public_id]
    assert ids_in(api, "reservations", storeId="other") == [of_other.public_id]
    assert set(ids_in(api, PRODUCTS, storeId="main")) == {str(here.product_id), str(parent.pk), str(variant.pk)}
    assert ids_in(api, PRODUCTS, storeId="other") == [str(there.product_id)]
    limited = make_api(Role.CHECKOUT, stores=("other",))
    for path in LISTS:
        assert listed(limited, path, storeId="other"), path
        for code in ("main", "nothing"):
            problem(limited.get(f"{path}?storeId={code}"), 422, "unknown_store")
            problem(limited.get(f"{path}?storeId={code}&updatedSince=2020-01-01T00:00:00Z"), 422, "unknown_store")
        problem(api.get(f"{path}?storeId=nothing"), 422, "unknown_store")
    since = of_main.created_at - timedelta(minutes=1)
    assert ids_in(limited, "reservations", updatedSince=since) == [of_other.public_id]
    assert ids_in(limited, "reservations", ids=f"{of_main.public_id},{of_other.public_id}") == [of_other.public_id]
    assert ids_in(limited, "levels", ids=f"{here.product_id},{there.product_id}", updatedSince=since) == ["wh-009"]


def test_products_of_a_store_are_the_same_by_few_and_by_many(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    make_level(1)
    variant = make_variant(make_product())
    api.put("adjust", {"adjustments": [_receipt(variant)]})
    make_product()
    few = ids_in(api, PRODUCTS, storeId="main")
    monkeypatch.setattr("inventory.models.catalogue_querysets._FEW_OF_STORES", 0)
    assert ids_in(api, PRODUCTS, storeId="main") == few
    assert len(few) == 3


# ------------------------------------------------------------------------------------------------------- updated since


@pytest.mark.parametrize("path", LISTS)
def test_the_moment_is_a_time_with_its_offset(api: Api, path: str) -> None:
    hold((make_level(10), 1))
    later = now() + timedelta(hours=1)
    before = now() - timedelta(minutes=1)
    east = timezone(timedelta(hours=5, minutes=30))
    for moment in (before, before.astimezone(east), before.astimezone(UTC), datetime(2000, 1, 1, tzinfo=UTC)):
        assert len(listed(api, path, updatedSince=moment)) == 1, moment
    for moment in (later, later.astimezone(east), datetime(2199, 12, 31, tzinfo=UTC)):
        assert listed(api, path, updatedSince=moment) == [], moment
    for wrong in ("", "yesterday", "2026-01-01", "2026-01-01T00:00:00", "1767225600", "1999-12-31T00:00:00Z", "null"):
        refused = problem(api.get(f"{path}?updatedSince={wrong}"), 400, "invalid")
        assert refused["errors"][0]["pointer"] == "?updatedSince"
    problem(api.get(f"{path}?updatedSince={_text(before)}&cursor=AAAA"), 400, "invalid")


def test_the_moment_itself_is_included(api: Api) -> None:
    made = hold((make_level(10), 1))
    product = Product.objects.get()
    level = StockLevel.objects.get()
    for path, moment in (
        (PRODUCTS, product.updated_at),
        ("levels", level.updated_at),
        ("reservations", made.created_at),
    ):
        assert len(listed(api, path, updatedSince=moment)) == 1
        assert listed(api, path, updatedSince=moment + timedelta(microseconds=1)) == []


def _reservation_changes(api: Api) -> Iterator[tuple[str, Any]]:
    """What changes a reservation, one after the other, each with the id that it changes."""
    level = make_level(100)
    product = str(level.product_id)

    def reserve(**named: str) -> str:
        made = body_of(api.post("reserve", {"items": lines((level, 2)), **named}), 201)
        return str(made["reservationId"])

    cart = {"items": [{"productId": product, "quantity": 3}]}
    yield "reserved", (held := reserve(cartId="c-1"))
    body_of(api.post("extend", {"reservationId": held, "minutes": 5}))
    yield "extended", held
    body_of(api.put("carts/c-1", cart))
    yield "changed by its cart", held
    body_of(api.post("consume", {"reservationId": held, "orderId": "o-1"}))
    yield "consumed", held
    released = reserve(cartId="c-2")
    body_of(api.post("release", {"reservationId": released}))
    yield "released", released
    due = reserve(cartId="c-3")
    make_due(_uuid(due), ago=timedelta(0))
    yield "due", due
    expire_due_holds()
    yield "swept", due
    broken = reserve(cartId="c-4")
    post(counted((level, 1)))
    yield "broken by a count", broken


def _uuid(public_id: str) -> Any:
    return Reservation.objects.get(pk=public_id.removeprefix("res-")).pk


def test_every_change_of_a_reservation_updates_it(api: Api) -> None:
    hold((make_level(10), 1))
    since = now()
    for change, changed in _reservation_changes(api):
        found = listed(api, "reservations", updatedSince=since)
        assert [item["reservationId"] for item in found][-1:] == [changed], change
        read = body_of(api.get(f"reservations/{changed}"))
        assert found[-1]["updatedAt"] == read["updatedAt"], change
        assert datetime.fromisoformat(read["updatedAt"]) >= since, change
        since = now()
        assert listed(api, "reservations", updatedSince=since) == [], change


def test_a_due_reservation_was_updated_when_it_ended(api: Api) -> None:
    level = make_level(10)
    due, live = hold((level, 1)), hold((level, 1))
    make_due(due.id, ago=timedelta(seconds=30))
    ended = Reservation.objects.get(pk=due.id).expires_at
    Reservation.objects.update(created_at=ended - timedelta(minutes=5))
    (found,) = listed(api, "reservations", updatedSince=ended)
    assert (found["reservationId"], found["status"]) == (due.public_id, "EXPIRED")
    assert datetime.fromisoformat(found["updatedAt"]) == ended
    assert listed(api, "reservations", updatedSince=ended + timedelta(microseconds=1)) == []
    both = ids_in(api, "reservations", updatedSince=ended - timedelta(hours=1), limit=1)
    assert both == [live.public_id, due.public_id], "by their updates, each once"
    for status, expected in (("EXPIRED", [due]), ("ACTIVE", [live]), ("CONSUMED", [])):
        found = ids_in(api, "reservations", updatedSince=ended - timedelta(hours=1), status=status)
        assert found == [each.public_id for each in expected]


def test_pages_of_updates_miss_nothing_that_changes_meanwhile(api: Api) -> None:
    make_store("second", "wh-001", is_default=False)
    level = make_level(100)
    since = now()
    made = [hold((level, 1), store=("main", "second")[n % 2], order_id=f"o-{n}").public_id for n in range(6)]
    first = body_of(api.get(f"reservations?updatedSince={_text(since)}&limit=3"))
    assert [item["reservationId"] for item in first["items"]] == made[:3]
    body_of(api.post("consume", {"reservationId": made[4], "orderId": "o-4"}))
    body_of(api.post("release", {"reservationId": made[0]}))
    after = hold((level, 1)).public_id
    rest = ids_in(api, "reservations", updatedSince=since, limit=2, cursor=first["next"])
    assert rest == [made[3], made[5], made[4], made[0], after]


def test_updates_at_the_same_moment_are_each_listed_once(api: Api) -> None:
    make_store("second", "wh-001", is_default=False)
    level = make_level(100)
    made = {hold((level, 1), store=("main", "second")[n % 2]).public_id for n in range(7)}
    moment = now()
    Reservation.objects.update(created_at=moment)
    Product.objects.update(updated_at=moment)
    products = {str(make_product().pk) for _ in range(6)} | {str(level.product_id)}
    Product.objects.update(updated_at=moment)
    for limit in (1, 2, 3, 7, 8):
        found = ids_in(api, "reservations", updatedSince=moment, limit=limit)
        assert (len(found), set(found)) == (7, made)
        found = ids_in(api, PRODUCTS, updatedSince=moment, limit=limit)
        assert (len(found), set(found)) == (7, products)


def test_every_change_of_a_product_updates_it(api: Api) -> None:
    first, second = make_product(), make_product()
    path = f"{PRODUCTS}/{second.pk}"
    body = {"sku": second.sku, "name": "Other"}
    changes: list[Callable[[], Any]] = [
        lambda: api.put(path, body),
        lambda: api.post(f"{path}/freeze", {"reason": "recall"}),
        lambda: api.post(f"{path}/unfreeze", {}),
        lambda: Product.objects.filter(pk=second.pk).update(is_active=False),
        lambda: Product.objects.filter(pk=second.pk).update(parent=first),
    ]
    for change in changes:
        since = now()
        assert listed(api, PRODUCTS, updatedSince=since) == []
        change()
        (found,) = listed(api, PRODUCTS, updatedSince=since)
        assert found == body_of(api.get(path))
        assert datetime.fromisoformat(found["updatedAt"]) >= since
    Product.objects.filter(pk=second.pk).update(version=1, is_active=False)
    assert Product.objects.get(pk=second.pk).updated_at == datetime.fromisoformat(found["updatedAt"]), "nothing changed"
    api.put(f"{PRODUCTS}/{first.pk}", {"sku": first.sku, "name": "Last"})
    since = datetime(2020, 1, 1, tzinfo=UTC)
    assert ids_in(api, PRODUCTS, updatedSince=since, limit=1) == [str(second.pk), str(first.pk)]


def test_every_change_of_a_level_updates_it(api: Api) -> None:
    make_warehouse("wh-003")
    level = make_level(100)
    product = str(level.product_id)
    make_level(5)

    def transfer(source: str, destination: str) -> str:
        line = {"productId": product, "quantity": 2, "fromWarehouseId": source, "toWarehouseId": destination}
        return str(body_of(api.post("transfer", {"items": [line], "reason": "r"}), 201)["transferId"])

    held = body_of(api.post("reserve", {"items": lines((level, 2)), "orderId": "o-1"}), 201)["reservationId"]
    transfer("wh-001", "wh-002")
    sent: list[str] = []
    changes: list[tuple[set[str], Callable[[], Any]]] = [
        ({"wh-001"}, lambda: api.post("reserve", {"items": lines((level, 1)), "orderId": "o-2"})),
        ({"wh-001"}, lambda: api.post("consume", {"reservationId": held, "orderId": "o-1"})),
        ({"wh-001"}, lambda: api.post("release", {"orderId": "o-2"})),
        ({"wh-001"}, lambda: api.patch(f"{product}/levels/wh-001", {"reorderPoint": 7})),
        ({"wh-001"}, lambda: api.put("adjust", {"adjustments": [{**_receipt(level.product), "quantity": 1}]})),
        ({"wh-001", "wh-002"}, lambda: sent.append(transfer("wh-001", "wh-002"))),
        ({"wh-002", "wh-003"}, lambda: api.post(f"transfer/{sent[0]}/redirect", {"toWarehouseId": "wh-003"})),
        ({"wh-001", "wh-003"}, lambda: api.post(f"transfer/{sent[0]}/cancel", {})),
    ]
    for expected, change in changes:
        since = now()
        assert listed(api, "levels", updatedSince=since) == []
        answer = change()
        assert answer is None or answer.status_code < 300, answer.content
        found = listed(api, "levels", updatedSince=since)
        assert {item["warehouseId"] for item in found if item["productId"] == product} == expected
        whole = [item for item in listed(api, "levels") if item["warehouseId"] in expected]
        assert found == [item for item in whole if item["productId"] == product]


def test_a_page_of_updated_levels_reads_few_levels(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page may be short or empty; the last one has no cursor."""
    levels = [make_level(5) for _ in range(7)]
    since = now()
    StockLevel.objects.filter(pk__in=[levels[0].pk, levels[6].pk]).update(updated_at=now())
    monkeypatch.setattr("inventory.api.stock.views.WALKED", 2)
    expected = [str(levels[0].product_id), str(levels[6].product_id)]
    for limit in (1, 2, 50):
        found = listed(api, "levels", updatedSince=since, limit=limit)
        assert [item["productId"] for item in found] == expected
    page = body_of(api.get(f"levels?updatedSince={_text(since)}"))
    assert (len(page["items"]), page["next"] is None) == (1, False)
    following = body_of(api.get(f"levels?updatedSince={_text(since)}&cursor={page['next']}"))
    assert (following["items"], following["next"] is None) == ([], False)
    StockLevel.objects.update(updated_at=now())
    for limit in (1, 2, 3, 50):
        assert len(listed(api, "levels", updatedSince=since, limit=limit)) == 7
    assert len(listed(api, "levels", updatedSince=since, warehouseId="wh-001", storeId="main")) == 7


def test_all_filters_hold_at_once(api: Api) -> None:
    levels = [make_level(10) for _ in range(2)]
    since = now()
    made = [hold((level, 1), customer_id="k") for level in levels]
    chosen = made[1].public_id
    query = {"updatedSince": since, "ids": chosen, "storeId": "main", "customerId": "k", "status": "ACTIVE"}
    assert ids_in(api, "reservations", **query, productId=levels[1].product_id) == [chosen]
    assert ids_in(api, "reservations", **query, productId=levels[0].product_id) == []
    product = levels[1].product
    query = {"updatedSince": product.updated_at, "ids": product.pk, "storeId": "main", "search": product.sku}
    assert ids_in(api, PRODUCTS, **query) == [str(product.pk)]


LONG_AGO = "updatedSince=2020-01-01T00:00:00Z"
LATELY = "updatedSince={lately}"
SECOND_PAGE = "cursor=AAAAAAAAAAAAAAAAAAAAAA"  # Without the savepoint of the first one, which has no plan.
TABLES = {
    PRODUCTS: ("inventory_product", "inventory_stocklevel"),
    "levels": ("inventory_stocklevel",),
    "reservations": ("reservations_reservation",),
}
PLANS = [
    ("reservations", LONG_AGO, "reservation_updated"),
    ("reservations", LATELY, "reservation_updated"),
    ("reservations", f"{LATELY}&storeId=main&limit=200", "reservation_updated"),
    ("reservations", f"{LATELY}&status=CONSUMED", "reservation_updated"),
    ("reservations", "ids=res-{id},res-{id}", "reservations_reservation_pkey"),
    (PRODUCTS, LONG_AGO, "product_updated"),
    (PRODUCTS, LATELY, "product_updated"),
    (PRODUCTS, "ids={id}", "inventory_product_pkey"),
    (PRODUCTS, "storeId=main", "level_(of_warehouse|place|zone)"),
    ("levels", f"{SECOND_PAGE}&ids={{id}}", "level_once"),
    ("levels", f"{SECOND_PAGE}&{LATELY}", "inventory_stocklevel_pkey"),
    ("levels", f"{SECOND_PAGE}&{LATELY}&storeId=main", "inventory_stocklevel_pkey|level_(of_warehouse|place|zone)"),
]


def _fill() -> None:
    """A few thousand rows, updated over months; few are of the store ``main``."""
    make_warehouse("wh-009")
    make_store("rest", "wh-009", is_default=False)
    spread = "now() - random() * interval '200 days'"
    levels = f"{test_search_plans.LEVELS} WHERE warehouse.code = 'wh-009' OR right(sku, 3) <= '02'"
    with connection.cursor() as cursor:
        for insert in (test_search_plans.PRODUCTS, levels, test_search_plans.RESERVATIONS):
            cursor.execute(insert)
        cursor.execute(f"UPDATE inventory_product SET updated_at = {spread}")
        cursor.execute(f"UPDATE inventory_stocklevel SET updated_at = {spread}")
        cursor.execute(f"UPDATE reservations_reservation SET created_at = {spread}, released_at = {spread}")
        cursor.execute("ANALYZE reservations_reservation, inventory_stocklevel, inventory_product")


def test_filters_use_an_index_at_size(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    _fill()
    monkeypatch.setattr("inventory.api.stock.views.WALKED", 300)
    lately = _text(now() - timedelta(days=1))
    id_ = Product.objects.order_by("?").values_list("pk", flat=True)[0]
    for path, query, index in PLANS:
        sent = query.format(id=id_, lately=lately)
        found: list[str] = []
        with connection.execute_wrapper(explained(found)):
            body_of(api.get(f"{path}?{sent}"))
        used = "\n".join(found)
        assert re.search(index, used), (path, query, used)
        for table in TABLES[path]:
            assert not re.search(rf"Seq Scan on {table}\b", used), (path, query, used)
