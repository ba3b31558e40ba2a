"""Levels are read by statements of their own for the HTTP API, and answered as the models would have them."""

import random
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

import msgspec
import pytest
from django.db import connection
from django.db.models import Q, Sum, Value
from django.db.models.functions import Coalesce, Now
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from msgspec import UNSET
from uuid_utils.compat import uuid7

from audit import hidden
from audit.actors import Actor
from audit.api.paging import BY_ID, page_of
from audit.errors import DomainError, NotFound
from inventory.api.filters import require_warehouse
from inventory.api.stock import contract as stock_contract
from inventory.api.stock import views
from inventory.errors import UnknownWarehouse
from inventory.models import Movement, Product, StockLevel, Warehouse
from inventory.services.stock import busy_levels
from inventory.services.stock.reading import ProductLevelsRequest, read_product_levels
from reservations.services.canary.goods import prepare
from tests.config.test_trails import write_movement
from tests.conftest import Api, body_of
from tests.factories import ACTOR, make_level, make_product, make_store, make_variant, make_warehouse, receive

pytestmark = pytest.mark.django_db

CODES: Final = ("Wh-1", "wh-002", "wh-010", "b.3", "B_4", "z")
STORES: Final = {"all": CODES, "some": CODES[:2], "other": CODES[3:5], "empty-handed": ("only-its",)}
SETTINGS: Final[dict[str, tuple[Any, ...]]] = {
    "reorder_point": (None, 0, 5),
    "reorder_quantity": (None, 1, 50),
    "min_stock_level": (0, 0, 3),
    "max_stock_level": (None, 5, 500),
    "zone": ("", "Zöne"),
    "aisle": ("", "A"),
    "shelf": ("", "7"),
}


class Scene:
    """Random levels of products and variants in random warehouses, with movements of every kind and age."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        for number, (store, codes) in enumerate(STORES.items()):
            make_store(store, *codes, is_default=number == 0)
        make_warehouse("closed", name='A "name" <with> ünusual')
        parents = [make_product() for _ in range(5)]
        self.products = [*parents, *(make_variant(chance.choice(parents)) for _ in range(5)), make_product()]
        for product in self.products[:-1]:
            for code in chance.sample((*CODES, "closed"), chance.randrange(5)):
                self._level(receive(product, 1000, code))
        Warehouse.objects.filter(code="closed").update(is_active=False)

    def _level(self, level: StockLevel) -> None:
        chance, now = self.chance, timezone.now()
        settings = {name: chance.choice(values) for name, values in SETTINGS.items()}
        ago = timedelta(hours=chance.randrange(100))
        StockLevel.objects.filter(pk=level.pk).update(reserved=chance.randrange(900), updated_at=now - ago, **settings)
        for _ in range(chance.randrange(8)):
            quantity = chance.choice((-3, -1, 2, 7))
            at = now - timedelta(hours=chance.choice((0, 1, 23, 25, 500)), minutes=chance.randrange(1, 50))
            kind = chance.choice(Movement.Type.values)
            write_movement(level, at, type=kind, quantity=quantity, quantity_after=quantity)

    def transfer(self, api: Api) -> None:
        levels = list(StockLevel.objects.filter(on_hand__gt=950, reserved__lt=900, product__parent=None))
        for level in self.chance.sample(levels, min(4, len(levels))):
            line = {"productId": str(level.product_id), "quantity": self.chance.randrange(1, 9)}
            there = self.chance.choice([code for code in CODES if code != level.warehouse.code])
            line |= {"fromWarehouseId": level.warehouse.code, "toWarehouseId": there}
            body_of(api.post("transfer", {"items": [line], "reason": "move"}), 201)

    def actors(self) -> list[Actor]:
        limits: list[dict[str, Any]] = [
            {},
            {"store_codes": ("some",)},
            {"store_codes": ("other", "some")},
            {"store_codes": ("empty-handed", "unknown")},
            {"warehouse_codes": ("wh-002", "closed")},
            {"warehouse_codes": ()},
            {"warehouse_codes": CODES[1:4], "store_codes": ("some", "other")},
        ]
        return [msgspec.structs.replace(ACTOR, **limit) for limit in limits]


@pytest.fixture(params=range(3))
def scene(request: pytest.FixtureRequest, api: Api) -> Scene:
    prepare()
    made = Scene(random.Random(request.param))
    made.transfer(api)
    return made


# -------------------------------------------------------------------------------------------------- levels of a product


def by_models(request: ProductLevelsRequest) -> bytes | tuple[Any, ...]:
    """The answer to a request, or its refusal, as the models have it."""
    try:
        product = Product.objects.filter(pk=request.product_id).first()
        if product is None:
            raise NotFound(f"There is no product {request.product_id}.")
        require_warehouse(request.actor, request.warehouse)
    except DomainError as error:
        return refusal(error)
    found = StockLevel.objects.visible_to(request.actor).of_product(request.product_id).with_incoming()
    levels = list(found if request.warehouse is None else found.filter(warehouse__code=request.warehouse))
    answer = stock_contract.ProductLevelsOut(
        product_id=product.parent_id or product.id,
        variant_id=product.id if product.parent_id else UNSET,
        total_quantity=sum(level.on_hand for level in levels),
        total_available=sum(level.available for level in levels),
        total_reserved=sum(level.reserved for level in levels),
        warehouses=[level_by_models(level) for level in levels],
        movements=stock_contract.MovementsOut(last24_hours=moved_by_models(levels)),
        last_updated=max((level.updated_at for level in levels), default=product.updated_at),
    )
    return msgspec.json.encode(answer)


def level_by_models(level: StockLevel) -> stock_contract.LevelOut:
    def given(value: int | None) -> Any:
        return UNSET if value is None else value

    place = stock_contract.LocationOut(zone=level.zone, aisle=level.aisle, shelf=level.shelf)
    return stock_contract.LevelOut(
        warehouse_id=level.warehouse.code,
        warehouse_name=level.warehouse.name,
        quantity_on_hand=level.on_hand,
        quantity_reserved=level.reserved,
        quantity_available=level.available,
        incoming_quantity=level.incoming_quantity,
        version=level.version,
        reorder_point=given(level.reorder_point),
        reorder_quantity=given(level.reorder_quantity),
        min_stock_level=level.min_stock_level or UNSET,
        max_stock_level=given(level.max_stock_level),
        location=place if level.zone or level.aisle or level.shelf else UNSET,
    )


def moved_by_models(levels: list[StockLevel]) -> stock_contract.MovedOut:
    def total(*kinds: str) -> Coalesce:
        return Coalesce(Sum("quantity", filter=Q(type__in=kinds)), 0)

    since = Now() - Value(timedelta(hours=24))
    sums = Movement.objects.filter(level__in=levels, created_at__gt=since).aggregate(
        received=total("RECEIPT", "RETURN"), shipped=total("SHIPMENT"), adjusted=total("ADJUSTMENT")
    )
    return stock_contract.MovedOut(received=sums["received"], shipped=-sums["shipped"], adjusted=sums["adjusted"])


def refusal(error: DomainError) -> tuple[Any, ...]:
    return type(error), error.detail, error.faults


def answered(outcome: Any) -> bytes | tuple[Any, ...]:
    return refusal(outcome) if isinstance(outcome, DomainError) else views._product_levels(outcome).body


def test_levels_of_products_are_those_of_the_models_whatever_is_read_together(scene: Scene) -> None:
    ids = [*(product.pk for product in scene.products), uuid7(), hidden.PRODUCT_ID]
    warehouses = [None, *CODES, "closed", "only-its", "none", hidden.CODE, "wh-00", "WH-1"]
    asked = [ProductLevelsRequest(actor, id_, code) for actor in scene.actors() for id_ in ids for code in warehouses]
    asked = scene.chance.sample(asked, 200)
    expected = {request: by_models(request) for request in asked}
    assert len({answer for answer in expected.values() if isinstance(answer, bytes)}) >= 10
    assert {answer[0] for answer in expected.values() if isinstance(answer, tuple)} == {NotFound, UnknownWarehouse}
    for batch in _pieces(asked, scene.chance):
        with CaptureQueriesContext(connection) as sent:
            outcomes = read_product_levels(batch)
        assert len(sent) == 1
        for request, outcome in zip(batch, outcomes, strict=True):
            assert answered(outcome) == expected[request], request


def _pieces(asked: list[Any], chance: random.Random) -> Iterator[list[Any]]:
    while asked:
        size = chance.choice((1, 2, 16, 64))
        yield asked[:size]
        asked = asked[size:]


def write_movements(level: StockLevel, number: int, hours: float, kind: str = "SHIPMENT", quantity: int = -1) -> None:
    """Write movements of a level, the newest so many hours ago, each a second before the next."""
    newest = timezone.now() - timedelta(hours=hours)
    Movement.objects.bulk_create(
        Movement(
            level=level,
            type=kind,
            quantity=quantity,
            quantity_before=0,
            quantity_after=quantity,
            actor="a",
            created_at=newest - timedelta(seconds=n),
        )
        for n in range(number)
    )


def test_movements_of_a_busy_level_are_counted_as_they_come_and_go(monkeypatch: pytest.MonkeyPatch) -> None:
    level, calm = make_level(5), make_level(6)
    make_warehouse("wh-002")
    other = receive(level.product, 7, "wh-002")
    write_movements(level, 700, 23.5)
    write_movements(level, 400, 5, "RETURN", 2)
    asked = [ProductLevelsRequest(ACTOR, each.product_id) for each in (level, calm)]
    asked.append(ProductLevelsRequest(ACTOR, level.product_id, "wh-001"))

    def compare() -> dict[UUID, busy_levels.Counted]:
        for request, outcome in zip(asked, read_product_levels(asked), strict=True):
            assert answered(outcome) == by_models(request)
        return busy_levels.recall([level.product_id, calm.product_id])

    first = compare()[level.pk]
    assert first[2:5] == (805, 700, 0)
    for kind, quantity in (("SHIPMENT", -3), ("ADJUSTMENT", 4), ("RECEIPT", 5), ("TRANSFER", 6)):
        write_movement(level, timezone.now(), type=kind, quantity=quantity, quantity_after=quantity)
        write_movement(other, timezone.now(), type=kind, quantity=quantity, quantity_after=quantity)
        assert compare().keys() == {level.pk}
    then = compare()[level.pk]
    assert (then[2:5], then.counted_at) == ((810, 703, 4), first.counted_at)
    write_movements(level, 50, 24.5)  # As if they had been counted half an hour ago, and left the 24 hours since.
    before = then._replace(since=then.since - timedelta(hours=1), shipped=then.shipped + 50)
    busy_levels.keep(level.product_id, level.pk, before)
    assert compare()[level.pk][2:5] == then[2:5]
    monkeypatch.setattr(busy_levels, "_RECOUNT_SECONDS", -1.0)
    assert compare() == {}


def test_requests_for_the_same_share_what_was_read() -> None:
    level, other = make_level(3), make_level(4)
    make_store("main", "wh-001")
    limited = msgspec.structs.replace(ACTOR, store_codes=("main",))
    asked = [(ACTOR, level), (limited, level), (ACTOR, other), (ACTOR, level), (limited, level)]
    found = read_product_levels([ProductLevelsRequest(actor, each.product_id) for actor, each in asked])
    assert found[0] is found[3]
    assert found[1] is found[4]
    assert [answered(each) for each in found[:2]] == [answered(found[0])] * 2
    assert len({id(each) for each in found}) == 3


@pytest.mark.parametrize("query", ["?warehouseId=", "?warehouseId=a%20b", "?warehouseID=wh-001", "?limit=5", "?cart"])
def test_a_mistake_in_the_query_is_named_before_an_unknown_product(api: Api, query: str) -> None:
    refused = body_of(api.get(f"{uuid7()}{query}"), 400)
    assert refused["errors"][0]["pointer"] == "?" + query[1:].partition("=")[0]


def test_an_unknown_product_is_named_before_an_unknown_warehouse(api: Api) -> None:
    unknown = uuid7()
    assert body_of(api.get(f"{unknown}?warehouseId=none"), 404)["detail"] == f"There is no product {unknown}."
    known = make_level(1).product_id
    assert body_of(api.get(f"{known}?warehouseId=none"), 422)["errors"][0]["pointer"] == "?warehouseId"


# -------------------------------------------------------------------------------------------------------- all levels


def page_by_models(actor: Actor, query: stock_contract.LevelsQuery) -> Any:
    """The items of a page and the cursor of the next one, or the refusal, as the models have them."""
    try:
        found = views.in_places(StockLevel.objects.visible_to(actor), query, actor)
        behind, last = None, None
        if query.ids is not None:
            found = found.filter(Q(product__in=query.ids) | Q(product__parent__in=query.ids))
        if query.updated_since is not None:
            behind = BY_ID.after(query)
            every = StockLevel.objects.order_by("pk").values_list("pk", flat=True)
            last = (every.filter(pk__gt=behind) if behind else every)[views.WALKED - 1 : views.WALKED].first()
            found = found.filter(updated_at__gte=query.updated_since, **({"pk__lte": last} if last else {}))
        levels, following = page_of(found.with_incoming().select_related("warehouse", "product"), query)
    except DomainError as error:
        return refusal(error)
    return [msgspec.to_builtins(listed_by_models(level)) for level in levels], following or (last and BY_ID.of(last))


def listed_by_models(level: StockLevel) -> stock_contract.ListedLevelOut:
    return stock_contract.ListedLevelOut(
        product_id=level.product.parent_id or level.product_id,
        variant_id=level.product_id if level.product.parent_id else UNSET,
        warehouse_id=level.warehouse.code,
        quantity_on_hand=level.on_hand,
        quantity_reserved=level.reserved,
        quantity_available=level.available,
        incoming_quantity=level.incoming_quantity,
        version=level.version,
        updated_at=level.updated_at,
    )


def page(actor: Actor, query: stock_contract.LevelsQuery) -> Any:
    try:
        (found,) = views._read_pages([views._PageRequest(actor, query)])
    except DomainError as error:
        return refusal(error)
    return [msgspec.to_builtins(item) for item in found.items], found.next


def queries(chance: random.Random, ids: list[UUID]) -> Iterator[stock_contract.LevelsQuery]:
    for _ in range(80):
        given = {
            "limit": chance.choice((1, 2, 5, 200)),
            "warehouse_id": chance.choice((*CODES, "closed", "none", hidden.CODE)),
            "store_id": chance.choice((*STORES, "none", hidden.CODE)),
            "ids": tuple(chance.sample(ids, chance.randrange(1, 6))),
            "updated_since": timezone.now() - timedelta(hours=chance.randrange(100)),
            "cursor": chance.choice(("no cursor", BY_ID.of(chance.choice(ids)))),
        }
        chosen = [name for name in given if chance.random() < 0.3]
        yield stock_contract.LevelsQuery(**{name: given[name] for name in chosen})  # type: ignore[arg-type]


def test_pages_of_levels_are_those_of_the_models(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(views, "WALKED", 4)
    ids = [*(product.pk for product in scene.products), uuid7(), hidden.PRODUCT_ID]
    seen = set()
    for query in queries(scene.chance, ids):
        actor = scene.chance.choice(scene.actors())
        found = page(actor, query)
        assert found == page_by_models(actor, query), (actor, query)
        seen.add(found[0] if isinstance(found[0], type) else (len(found[0]) > 1, found[1] is None))
        while isinstance(found[1], str) and isinstance(found[0], list):
            query = msgspec.structs.replace(query, cursor=found[1])  # noqa: PLW2901 - the next page of it
            found = page(actor, query)
            assert found == page_by_models(actor, query), (actor, query)
    assert len(seen) >= 6, seen
