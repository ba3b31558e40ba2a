"""Edits over the API carry what was seen: versions, entity tags, and refusals with both values."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from uuid_utils.compat import uuid7

from audit.errors import VersionConflict
from inventory.models import Product, Store, StoreWarehouse, Warehouse
from inventory.services.catalogue.master_data import ProductChange, ProductFields, fields_of, put_products
from tests.conftest import Api, body_of
from tests.factories import ACTOR, make_level, make_product, make_store, make_warehouse

pytestmark = pytest.mark.django_db


@dataclass(frozen=True)
class Subject:
    """A row, what is sent to save it (PUT or PATCH), and the field that the tests change."""

    path: str
    body: dict[str, Any]
    field: str = "name"
    values: tuple[Any, Any, Any] = ("Seen", "Theirs", "Mine")
    method: str = "PUT"

    def save(self, api: Api, value: Any, **more: Any) -> Any:
        expected = {"expectedVersion": more.pop("expected")} if "expected" in more else {}
        return api.send(self.method, self.path, {**self.body, self.field: value, **expected}, **more)


def _product() -> Subject:
    return Subject(f"/api/v1/products/{make_product(sku='P-1').pk}", {"sku": "P-1"})


def _warehouse() -> Subject:
    make_warehouse("wh-001")
    return Subject("/api/v1/warehouses/wh-001", {"type": "MAIN", "address": {}})


def _store() -> Subject:
    make_store("main", "wh-001")
    return Subject("/api/v1/stores/main", {"warehouses": [{"warehouseId": "wh-001", "priority": 1}]})


def _level() -> Subject:
    make_store("main", "wh-001")
    path = f"/api/v1/inventory/{make_level(10).product_id}/levels/wh-001"
    return Subject(path, {}, "reorderPoint", (5, 6, 7), "PATCH")


SUBJECTS = (_product, _warehouse, _store, _level)


@pytest.fixture(params=SUBJECTS, ids=lambda make: make.__name__)
def subject(request: pytest.FixtureRequest, api: Api) -> Subject:
    make: Callable[[], Subject] = request.param
    made = make()
    assert made.save(api, made.values[0]).status_code == 200
    return made


def test_reads_and_saves_answer_with_the_version_in_the_entity_tag(api: Api, subject: Subject) -> None:
    read = api.get(subject.path)
    assert re.fullmatch(f'"{body_of(read)["version"]}-[0-9a-f]{{32}}"', read.headers["ETag"])
    saved = subject.save(api, subject.values[1], If_Match=read.headers["ETag"])
    assert re.fullmatch(f'"{body_of(saved)["version"]}-[0-9a-f]{{32}}"', saved.headers["ETag"])
    assert saved.headers["ETag"] != read.headers["ETag"]
    assert saved.headers["Cache-Control"] == "no-store"
    assert api.get(subject.path).headers["ETag"] == saved.headers["ETag"]
    assert api.send("HEAD", subject.path).headers["ETag"] == saved.headers["ETag"]


@pytest.mark.parametrize("by_header", [True, False])
def test_a_change_by_somebody_else_is_not_undone(api: Api, subject: Subject, by_header: bool) -> None:
    _seen, theirs, mine = subject.values
    read = api.get(subject.path)
    version, tag = body_of(read)["version"], read.headers["ETag"]
    subject.save(api, theirs)
    condition = {"If_Match": tag} if by_header else {"expected": version}
    document = body_of(subject.save(api, mine, **condition), 409)
    assert document["code"] == "version_conflict"
    first, second = document["errors"]
    assert first["pointer"] == ("" if by_header else "/expectedVersion")
    assert (first["expected"].strip('"'), first["version"]) == (str(version), version + 1)
    assert (second["pointer"], second["sent"], second["current"]) == (f"/{subject.field}", mine, theirs)
    now = body_of(api.get(subject.path))
    assert (now[subject.field], now["version"]) == (theirs, version + 1)
    assert subject.save(api, mine, expected=version + 1).status_code == 200
    assert subject.save(api, theirs).status_code == 200, "without either, the last write wins"


@pytest.mark.parametrize(
    ("header", "status"),
    [
        ("*", 200),
        (" * ", 200),
        ("{tag}", 200),
        ('"{version}"', 200),
        ('"{version}-00000000000000000000000000000000"', 200),
        ("{coded}", 200),
        ('"{version}-0000"', 409),
        ('"0", {tag}', 200),
        (',, {tag} ,,"x"', 200),
        ('"0","999999"', 409),
        ('"abc"', 409),
        ('"01"', 409),
        ('""', 409),
        ("W/{tag}", 409),
        ('"' + "9" * 900 + '"', 409),
        ('"é"', 409),
        ("", 400),
        ("{bare}", 400),
        ("*, {tag}", 400),
        ('{tag} "2"', 400),
        ('"unfinished', 400),
        ("w/{tag}", 400),
    ],
)
def test_if_match_is_read_as_http_says(api: Api, header: str, status: int) -> None:
    subject = _product()
    tag = api.get(subject.path).headers["ETag"]
    bare = tag.strip('"')
    sent = header.format(tag=tag, bare=bare, version=bare.split("-")[0], coded=f'"{bare}-gzip"')
    answer = subject.save(api, "Changed", If_Match=sent)
    assert answer.status_code == status
    assert body_of(answer, status).get("code") == {200: None, 409: "version_conflict", 400: "invalid"}[status]


def test_both_conditions_must_agree(api: Api, subject: Subject) -> None:
    version = body_of(api.get(subject.path))["version"]
    refused = body_of(subject.save(api, subject.values[1], expected=version, If_Match=f'"{version + 1}"'), 400)
    assert refused["errors"][0]["pointer"] == "/expectedVersion"
    assert subject.save(api, subject.values[0], expected=version + 9, If_Match="*").status_code == 409
    for header in ("*", '"{}"', '"x", "{}"'):
        version = body_of(api.get(subject.path))["version"]
        sent = header.format(version)
        assert subject.save(api, subject.values[0], expected=version, If_Match=sent).status_code == 200
    for wrong in (0, -1, "1", 1.5, True, 2**63):
        if subject.method == "PUT" or wrong != 0:
            assert subject.save(api, subject.values[0], expected=wrong).status_code == 400


def test_what_does_not_exist_has_no_version(api: Api) -> None:
    make_warehouse("wh-001")
    subjects = [
        (f"/api/v1/products/{uuid7()}", {"sku": "N-1", "name": "New"}),
        ("/api/v1/warehouses/new", {"name": "New", "type": "MAIN", "address": {}}),
        ("/api/v1/stores/new", {"name": "New", "warehouses": [{"warehouseId": "wh-001", "priority": 1}]}),
    ]
    for path, body in subjects:
        for header in ('"1"', "*"):
            refused = body_of(api.put(path, body, If_Match=header), 409)
            assert (refused["code"], refused["errors"][0]["version"]) == ("version_conflict", None)
        assert api.put(path, {**body, "expectedVersion": 1}).status_code == 409
        assert api.get(path).status_code == 404
        assert api.put(path, body, If_None_Match='"1"').status_code == 400
        assert api.put(path, body, If_None_Match="*", If_Match="*").status_code == 400
        made = api.put(path, body, If_None_Match="*")
        assert made.status_code == 201
        assert made.headers["ETag"] == api.get(path).headers["ETag"]
        assert body_of(api.put(path, body, If_None_Match="*"), 409)["code"] == "version_conflict"


def test_a_repeated_request_gets_its_first_answer_with_its_tag(api: Api, subject: Subject) -> None:
    tag = api.get(subject.path).headers["ETag"]
    first = subject.save(api, subject.values[1], If_Match=tag, Idempotency_Key="once")
    again = subject.save(api, subject.values[1], If_Match=tag, Idempotency_Key="once")
    assert (again.status_code, again.headers["Idempotent-Replayed"]) == (200, "true")
    assert again.headers["ETag"] == first.headers["ETag"]
    assert subject.save(api, subject.values[2], If_Match=tag, Idempotency_Key="other").status_code == 409


def test_versions_rise_whoever_changes_a_row(api: Api) -> None:
    product, store = make_product(), make_store("main", "wh-001", "wh-002")
    warehouse = Warehouse.objects.get(code="wh-001")

    def versions() -> list[int]:
        return [row._meta.model._default_manager.get(pk=row.pk).version for row in (product, store, warehouse)]

    def rises(*expected: bool) -> None:
        nonlocal before
        after = versions()
        assert [now > then for now, then in zip(after, before, strict=True)] == list(expected)
        before = after

    before = versions()
    Product.objects.update(is_active=False)
    rises(True, False, False)
    Product.objects.filter(pk=product.pk).update(is_active=False, version=1)
    rises(False, False, False)
    Warehouse.objects.update(capabilities={"pick": True})
    rises(False, False, True)
    Store.objects.update(ttl_minutes=7)
    rises(False, True, False)
    StoreWarehouse.objects.filter(warehouse=warehouse).update(priority=9)
    rises(False, True, False)
    StoreWarehouse.objects.filter(warehouse=warehouse).delete()
    rises(False, True, False)
    StoreWarehouse.objects.create(store=store, warehouse=warehouse, priority=3)
    rises(False, True, False)
    stale = Product.objects.get(pk=product.pk)
    Product.objects.update(name="Theirs")
    stale.barcode = "1"
    stale.save()
    rises(True, False, False)
    for path in (f"/api/v1/products/{product.pk}", "/api/v1/stores/main", "/api/v1/warehouses/wh-001"):
        api.post(f"{path}/freeze", {"reason": "recall"})
    rises(False, False, False)


def test_saving_a_store_again_writes_nothing_of_its_warehouses(api: Api) -> None:
    store = make_store("main", "wh-001", "wh-002")
    body = {
        "name": store.name,
        "warehouses": [{"warehouseId": "wh-001", "priority": 1}, {"warehouseId": "wh-002", "priority": 2}],
    }
    first = body_of(api.put("/api/v1/stores/main", body))
    kept = set(store.sources.values_list("pk", flat=True))
    assert body_of(api.put("/api/v1/stores/main", body)) == first
    assert set(store.sources.values_list("pk", flat=True)) == kept
    body["warehouses"] = [{"warehouseId": "wh-002", "priority": 5}]
    changed = body_of(api.put("/api/v1/stores/main", {**body, "expectedVersion": first["version"]}))
    assert changed["warehouses"] == body["warehouses"]
    stale = {**body, "warehouses": [], "expectedVersion": first["version"]}
    current = {fault["pointer"]: fault for fault in body_of(api.put("/api/v1/stores/main", stale), 409)["errors"]}
    assert current["/warehouses"]["current"] == body["warehouses"]


def test_a_file_of_products_is_refused_over_another_change() -> None:
    product = make_product(sku="P-1")
    seen = fields_of(product)
    Product.objects.filter(pk=product.pk).update(name="Theirs")
    with pytest.raises(VersionConflict):
        put_products(ACTOR, [ProductChange(product.pk, ProductFields("P-1", "Mine"), seen)], claim=None)
    assert Product.objects.get(pk=product.pk).name == "Theirs"
