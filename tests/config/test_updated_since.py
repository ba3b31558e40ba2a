"""Lists of what was updated since a moment (docs/reference/api.md#lists)."""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from django.db import connection

from inventory.models import Product, StockLevel
from reservations.models import Reservation
from reservations.services.holds.expiry import expire_due_holds
from tests.config import test_search_plans
from tests.config.synced_lists import LISTS, PRODUCTS, ids_in, listed, receipt, text_of
from tests.conftest import Api, body_of
from tests.contract.problems import problem
from tests.counts import counted, post
from tests.factories import hold, lines, make_due, make_level, make_product, make_store, make_warehouse
from tests.inventory.test_movements import explained

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("store")]


def now() -> datetime:
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        return cursor.fetchone()[0]  # type: ignore[no-any-return]


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
    problem(api.get(f"{path}?updatedSince={text_of(before)}&cursor=AAAA"), 400, "invalid")


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
    first = body_of(api.get(f"reservations?updatedSince={text_of(since)}&limit=3"))
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
        ({"wh-001"}, lambda: api.put("adjust", {"adjustments": [{**receipt(level.product), "quantity": 1}]})),
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
    page = body_of(api.get(f"levels?updatedSince={text_of(since)}"))
    assert (len(page["items"]), page["next"] is None) == (1, False)
    following = body_of(api.get(f"levels?updatedSince={text_of(since)}&cursor={page['next']}"))
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
    lately = text_of(now() - timedelta(days=1))
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
