"""Products, warehouses, stores and level settings over the API."""

from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from uuid_utils.compat import uuid7

from audit.roles import Role
from inventory.models import Product, StockLevel, Store
from tests.conftest import Api, body_of
from tests.factories import (
    counters,
    hold,
    make_level,
    make_product,
    make_store,
    make_variant,
    make_warehouse,
    receive,
    recorded,
)

pytestmark = pytest.mark.django_db
NONE = "01900000-0000-7000-8000-000000000001"
WAREHOUSE = {"name": "Main", "type": "MAIN", "address": {"city": "Bern", "lines": ["a", "b"]}}


def product_path(product_id: UUID) -> str:
    return f"/api/v1/products/{product_id}"


# --- products --------------------------------------------------------------------------------------------------------


def test_put_creates_and_then_replaces_a_product(api: Api) -> None:
    path = product_path(uuid7())
    full = {
        "sku": "S-1",
        "name": "Shirt",
        "parentId": None,
        "barcode": "123",
        "isActive": False,
        "listingExpiresAt": "2030-01-01T00:00:00Z",
        "maxUnitsPerCustomer": 3,
    }
    made = body_of(api.put(path, full), 201)
    assert made == body_of(api.get(path))
    assert made.pop("updatedAt")
    assert made == {"productId": path.rpartition("/")[2], **full, "version": 1, "frozen": None}
    replaced = body_of(api.put(path, {"sku": "S-2", "name": "Shirt"}))
    assert (replaced["sku"], replaced["barcode"], replaced["isActive"], replaced["listingExpiresAt"]) == (
        "S-2",
        "",
        True,
        None,
    )
    assert replaced["maxUnitsPerCustomer"] is None
    assert [entry.action for entry in (*recorded("inventory_product_created"), *recorded("inventory_product_changed"))]
    assert recorded("inventory_product_changed")[0].changes["sku"] == [full["sku"], "S-2"]


def test_a_sku_belongs_to_one_product(api: Api) -> None:
    taken = make_product(sku="S-1")
    other = make_product()
    for path in (product_path(uuid7()), product_path(other.id)):
        document = body_of(api.put(path, {"sku": "S-1", "name": "n"}), 409)
        assert (document["code"], document["errors"][0]["pointer"]) == ("sku_taken", "/sku")
    assert body_of(api.put(product_path(taken.id), {"sku": "S-1", "name": "renamed"}))["name"] == "renamed"


def test_a_variant_has_a_parent_that_is_none_itself(api: Api) -> None:
    parent = make_product()
    variant = make_variant(parent)
    new = uuid7()
    wrong = [
        (new, uuid7(), 422, "unknown_product"),
        (new, new, 400, "invalid"),
        (new, variant.id, 400, "invalid"),
        (parent.id, make_product().id, 400, "invalid"),
    ]
    for product_id, parent_id, status, code in wrong:
        body = {"sku": f"s-{product_id}", "name": "n", "parentId": str(parent_id)}
        document = body_of(api.put(product_path(product_id), body), status)
        assert (document["code"], document["errors"][0]["pointer"]) == (code, "/parentId")
    body = {"sku": "s", "name": "n", "parentId": str(parent.id)}
    assert body_of(api.put(product_path(new), body), 201)["parentId"] == str(parent.id)


def test_products_are_found_by_sku_or_a_part_of_their_names(api: Api) -> None:
    shirt = make_product(sku="SH-1", name="Linen Shirt", barcode="4711")
    make_product(sku="TR-1", name="Trousers")
    for query in ("sku=SH-1", "search=linen", "search=sh-", "search=4711"):
        assert [item["productId"] for item in body_of(api.get(f"/api/v1/products?{query}"))["items"]] == [str(shirt.id)]
    for query in ("sku=sh", "search=47", "search=%25", "search=_"):
        assert body_of(api.get(f"/api/v1/products?{query}"))["items"] == []


@pytest.mark.parametrize("path", ["/api/v1/products", "/api/v1/warehouses", "/api/v1/stores", "levels"])
def test_a_list_goes_by_pages_and_leaves_nothing_out(api: Api, path: str) -> None:
    for number in range(5):
        receive(make_product(), 1, make_store(f"s{number}", f"wh-{number}", is_default=False).warehouses.get().code)
    found: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = body_of(api.get(f"{path}?limit=2{cursor}"))
        found += [str(item) for item in page["items"]]
        cursor = page["next"] and f"&cursor={page['next']}"
    assert len(found) == len(set(found)) == 5
    assert body_of(api.get(f"{path}?limit=5"))["next"] is None


@pytest.mark.parametrize("path", [f"/api/v1/products/{NONE}", "/api/v1/warehouses/x", "/api/v1/stores/x", NONE])
def test_an_unknown_resource_is_404(api: Api, path: str) -> None:
    assert body_of(api.get(path), 404)["code"] == "not_found"


# --- warehouses and stores -------------------------------------------------------------------------------------------


def test_put_creates_and_then_replaces_a_warehouse(api: Api) -> None:
    path = "/api/v1/warehouses/wh-7"
    more = {"contactInfo": {"mail": "a@b"}, "capabilities": {"cold": True}, "isActive": False}
    made = body_of(api.put(path, WAREHOUSE | more), 201)
    assert made == {"warehouseId": "wh-7", **WAREHOUSE, **more, "version": 1, "frozen": None} == body_of(api.get(path))
    replaced = body_of(api.put(path, WAREHOUSE))
    assert (replaced["contactInfo"], replaced["capabilities"], replaced["isActive"]) == (None, None, True)


@pytest.mark.parametrize("value", [10**30, -(10**30), 2**63, 0.1, "\U0001f600", [], {}, None])
def test_free_form_values_come_back_as_they_were_sent(api: Api, value: Any) -> None:
    made = body_of(api.put("/api/v1/warehouses/w", {**WAREHOUSE, "address": {"value": value}}), 201)
    assert made["address"] == body_of(api.get("/api/v1/warehouses/w"))["address"] == {"value": value}


@pytest.mark.parametrize("code", ["-a", ".a", "a b", "x" * 21, "a%2Fb", "caf%C3%A9"])
@pytest.mark.parametrize(
    ("path", "body"), [("/api/v1/warehouses/", WAREHOUSE), ("/api/v1/stores/", {"name": "n", "warehouses": []})]
)
def test_a_code_has_a_shape(api: Api, path: str, body: Any, code: str) -> None:
    assert api.put(path + code, body).status_code in {400, 404}
    assert not Store.objects.exists()


def test_put_creates_and_then_replaces_a_store_and_its_sources(api: Api) -> None:
    make_warehouse("wh-1")
    make_warehouse("wh-2")
    sources = [{"warehouseId": "wh-2", "priority": 1}, {"warehouseId": "wh-1", "priority": 5}]
    limits = {"maxUnitsPerCustomer": 3, "maxHoldsPerCustomer": 10, "holdWindowMinutes": 60}
    full = {"name": "S", "warehouses": sources, "ttlMinutes": 7, **limits}
    made = body_of(api.put("/api/v1/stores/s", full), 201)
    assert made == {"storeId": "s", "isDefault": True, **full, "version": made["version"], "frozen": None}
    assert body_of(api.get("/api/v1/stores/s")) == made
    replaced = body_of(api.put("/api/v1/stores/s", {"name": "S", "warehouses": sources[:1]}))
    assert (replaced["warehouses"], replaced["ttlMinutes"], replaced["isDefault"]) == (sources[:1], None, True)
    assert [replaced[name] for name in limits] == [None] * 3


@pytest.mark.parametrize("limits", [{"maxHoldsPerCustomer": 10}, {"holdWindowMinutes": 60}])
def test_a_limit_of_holds_has_a_window(api: Api, limits: dict[str, int]) -> None:
    document = body_of(api.put("/api/v1/stores/s", {"name": "n", "warehouses": [], **limits}), 400)
    assert (document["code"], document["errors"][0]["pointer"]) == ("invalid", "/holdWindowMinutes")
    assert not Store.objects.exists()


def test_the_first_store_is_the_default_and_stays_it(api: Api) -> None:
    body: dict[str, Any] = {"name": "n", "warehouses": []}
    assert body_of(api.put("/api/v1/stores/one", body), 201)["isDefault"] is True
    assert body_of(api.put("/api/v1/stores/two", body), 201)["isDefault"] is False
    assert body_of(api.put("/api/v1/stores/one", body))["isDefault"] is True


def test_a_store_sells_from_known_warehouses_each_once(api: Api) -> None:
    make_warehouse("wh-1")
    known, unknown = {"warehouseId": "wh-1", "priority": 1}, {"warehouseId": "wh-9", "priority": 2}
    document = body_of(api.put("/api/v1/stores/s", {"name": "n", "warehouses": [known, unknown]}), 422)
    assert (document["code"], document["errors"][0]["pointer"]) == ("unknown_warehouse", "/warehouses/1/warehouseId")
    assert body_of(api.put("/api/v1/stores/s", {"name": "n", "warehouses": [known, known]}), 400)["code"] == "invalid"
    assert not Store.objects.exists()


# --- level settings --------------------------------------------------------------------------------------------------

SETTINGS = {"reorderPoint": 5, "reorderQuantity": 50, "minStockLevel": 2, "maxStockLevel": 100}
LOCATION = {"zone": "A", "aisle": "12", "shelf": "B3"}


@pytest.fixture
def level() -> StockLevel:
    make_store()
    return make_level(10)


def settings_path(level: StockLevel) -> str:
    return f"{level.product_id}/levels/wh-001"


def test_settings_are_changed_and_what_is_left_out_stays(api: Api, level: StockLevel) -> None:
    changed = body_of(api.patch(settings_path(level), {**SETTINGS, "location": LOCATION}))
    assert {name: changed[name] for name in SETTINGS} == SETTINGS
    assert changed["location"] == LOCATION
    again = body_of(api.patch(settings_path(level), {"reorderPoint": 6}))
    assert again == {**changed, "reorderPoint": 6, "version": changed["version"] + 1}
    assert counters(level) == (10, 0)
    assert recorded("inventory_level_changed")[-1].changes == {"reorder_point": [5, 6]}


def test_null_clears_a_setting(api: Api, level: StockLevel) -> None:
    api.patch(settings_path(level), {**SETTINGS, "location": LOCATION})
    body = {"reorderPoint": None, "reorderQuantity": None, "maxStockLevel": None, "location": None}
    cleared = body_of(api.patch(settings_path(level), body))
    assert not set(body) & set(cleared)
    assert cleared["minStockLevel"] == 2
    assert api.patch(settings_path(level), {"minStockLevel": None}).status_code == 400


def test_settings_are_not_changed_over_another_change(api: Api, level: StockLevel) -> None:
    read_version = body_of(api.get(f"{level.product_id}"))["warehouses"][0]["version"]
    hold((level, 1))
    document = body_of(api.patch(settings_path(level), {"reorderPoint": 6, "expectedVersion": read_version}), 409)
    assert document["code"] == "version_conflict"
    fresh = {"reorderPoint": 6, "expectedVersion": read_version + 1}
    assert body_of(api.patch(settings_path(level), fresh))["version"] == read_version + 2


def test_only_a_level_that_there_is_has_settings(api: Api, level: StockLevel, make_api: Any) -> None:
    make_store("outlet", "wh-003", is_default=False)
    for path in (f"{uuid7()}/levels/wh-001", f"{level.product_id}/levels/wh-003"):
        assert body_of(api.patch(path, {"reorderPoint": 1}), 404)["code"] == "not_found"
    elsewhere: Api = make_api(Role.MANAGER, stores=("outlet",))
    assert elsewhere.patch(settings_path(level), {"reorderPoint": 1}).status_code == 404
    assert counters(level) == (10, 0)


# --- levels ----------------------------------------------------------------------------------------------------------


def test_a_product_is_read_with_all_its_levels_and_what_moved_in_a_day(api: Api, level: StockLevel) -> None:
    receive(level.product_id, 5, make_warehouse("wh-002").code)
    hold((level, 3))
    body = {"productId": str(level.product_id), "warehouseId": "wh-001", "reason": "r"}
    api.put("adjust", {"adjustments": [{**body, "type": "SHIPMENT", "quantity": 2}]})
    api.put("adjust", {"adjustments": [{**body, "type": "RETURN", "quantity": 1}]})
    api.put("adjust", {"adjustments": [{**body, "type": "ADJUSTMENT", "quantity": -4}]})
    answer = body_of(api.get(f"{level.product_id}"))
    assert (answer["totalQuantity"], answer["totalReserved"], answer["totalAvailable"]) == (10, 3, 7)
    assert [each["warehouseId"] for each in answer["warehouses"]] == ["wh-001", "wh-002"]
    assert answer["movements"] == {"last24Hours": {"received": 16, "shipped": 2, "adjusted": -4}}
    alone = body_of(api.get(f"{level.product_id}?warehouseId=wh-002"))
    assert (alone["totalQuantity"], alone["movements"]["last24Hours"]["received"]) == (5, 5)


def test_a_day_is_24_hours_of_the_databases_clock(api: Api, level: StockLevel) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            """INSERT INTO inventory_movement (id, level_id, type, quantity, quantity_before, quantity_after, reason,
               reference_type, reference, actor, created_at)
               SELECT gen_random_uuid(), %s, 'RECEIPT', n, 0, n, '', '', '', '', now() - (hours * interval '1 hour')
               FROM (VALUES (100, 23), (1000, 25)) AS t (n, hours)""",
            [level.id],
        )
    assert body_of(api.get(f"{level.product_id}"))["movements"]["last24Hours"]["received"] == 110


def test_a_product_without_stock_reads_as_nothing(api: Api) -> None:
    product = make_product()
    answer = body_of(api.get(f"{product.id}"))
    assert (answer["totalQuantity"], answer["warehouses"]) == (0, [])
    assert answer["lastUpdated"].endswith("Z")


def test_a_variant_is_read_under_its_parent(api: Api) -> None:
    make_warehouse()
    parent = make_product()
    variant = make_variant(parent)
    receive(variant, 5)
    answer = body_of(api.get(f"{variant.id}"))
    assert (answer["productId"], answer["variantId"], answer["totalQuantity"]) == (str(parent.id), str(variant.id), 5)
    (listed,) = body_of(api.get("levels"))["items"]
    assert (listed["productId"], listed["variantId"]) == (str(parent.id), str(variant.id))


def test_levels_are_listed_by_warehouse_and_store(api: Api, make_api: Any) -> None:
    make_store("main", "wh-001", "wh-002")
    make_store("outlet", "wh-002", "wh-003", is_default=False)
    levels = {code: make_level(1, code) for code in ("wh-001", "wh-002", "wh-003")}

    def codes(client: Api, query: str) -> list[str]:
        return sorted(item["warehouseId"] for item in body_of(client.get(f"levels{query}"))["items"])

    assert codes(api, "") == ["wh-001", "wh-002", "wh-003"]
    assert codes(api, "?warehouseId=wh-002") == ["wh-002"]
    assert codes(api, "?storeId=outlet") == ["wh-002", "wh-003"]
    assert codes(api, "?storeId=main&warehouseId=wh-003") == []
    limited: Api = make_api(Role.WAREHOUSE, stores=("outlet",))
    assert codes(limited, "") == ["wh-002", "wh-003"]
    assert body_of(limited.get("levels?warehouseId=wh-001"), 422)["code"] == "unknown_warehouse"
    assert body_of(limited.get(f"{levels['wh-001'].product_id}"))["warehouses"] == []
    for client, store in ((api, "nowhere"), (limited, "main")):
        assert body_of(client.get(f"levels?storeId={store}"), 422)["code"] == "unknown_store"


def test_a_limited_client_sees_its_stores_and_their_warehouses(make_api: Any) -> None:
    make_store("main", "wh-001")
    make_store("outlet", "wh-003", is_default=False)
    limited: Api = make_api(Role.CHECKOUT, stores=("outlet",))
    assert [item["storeId"] for item in body_of(limited.get("/api/v1/stores"))["items"]] == ["outlet"]
    assert [item["warehouseId"] for item in body_of(limited.get("/api/v1/warehouses"))["items"]] == ["wh-003"]
    for path in ("/api/v1/stores/main", "/api/v1/warehouses/wh-001"):
        assert limited.get(path).status_code == 404
    assert Product.objects.count() == 0


def test_a_product_is_found_by_its_id_in_capitals(api: Any) -> None:
    product = make_product()
    assert body_of(api.get(f"/api/v1/products/{str(product.id).upper()}"))["productId"] == str(product.id)
