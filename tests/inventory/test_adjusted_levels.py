"""One statement finds and locks the levels of an adjustment, unless something must be locked or read before."""

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from random import Random
from typing import Any
from uuid import UUID

import msgspec
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from uuid_utils.compat import uuid7

from audit import hidden
from audit.actors import Actor
from audit.errors import DomainError
from audit.hidden import rows_for
from inventory import locking
from inventory.locking import Counters, LockedLevels, lock_levels
from inventory.models import Product, StockLevel, Warehouse
from inventory.services.stock import adjusted_levels
from inventory.services.stock.adjusted_levels import lock_at_once, resolve
from inventory.services.stock.adjustments import Adjustment
from inventory.transactions import LockedElsewhere
from tests.factories import (
    ACTOR,
    counters,
    make_level,
    make_product,
    make_store,
    make_variant,
    make_warehouse,
    receive,
)
from tests.inventory.adjusting import adjust, line

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("store")]


def places_by_querysets(actor: Actor, asked: Sequence[Adjustment]) -> dict[int, tuple[Any, ...]]:
    """The level of each line that the actor may adjust, by its index, read with Django's querysets."""
    found: dict[int, tuple[Any, ...]] = {}
    for index, one in enumerate(asked):
        product = rows_for(actor, Product).filter(pk=one.variant_id or one.product_id).first()
        warehouse = rows_for(actor, Warehouse).visible_to(actor).filter(code=one.warehouse).first()
        is_variant = not one.variant_id or (product and one.product_id in (product.parent_id, product.pk))
        if product and warehouse and is_variant:
            level = rows_for(actor, StockLevel).filter(product=product, warehouse=warehouse).first()
            found[index] = (product.pk, warehouse.pk, product.parent_id, level and level.pk)
    return found


def test_lines_find_the_levels_that_querysets_find_and_the_same_lines_are_unknown() -> None:
    make_store("other", "wh-002", is_default=False)
    parents = [make_product() for _ in range(3)]
    variants = [make_variant(parent) for parent in parents]
    for product in (parents[0], variants[1]):
        for warehouse in ("wh-001", "wh-002"):
            receive(product, 3, warehouse)
    random, ids = Random(11), [*(product.pk for product in [*parents, *variants]), hidden.PRODUCT_ID, uuid7()]
    limited = [msgspec.structs.replace(ACTOR, warehouse_codes=("wh-002",)), ACTOR]
    limited += [
        msgspec.structs.replace(ACTOR, store_codes=("other",)),
        msgspec.structs.replace(ACTOR, client_id=hidden.CLIENT_ID),
    ]
    known = 0
    for turn in range(120):
        asked = tuple(
            Adjustment(
                random.choice(ids),
                random.choice([None, None, random.choice(ids)]),
                random.choice(["wh-001", "wh-002", hidden.CODE] if turn % 4 == 0 else ["wh-002", "wh-002", "wh-003"]),
                1,
                "ADJUSTMENT",
                "test",
            )
            for _ in range(random.choice([1, 1, 2]))
        )
        actor = limited[turn % len(limited)]
        expected = places_by_querysets(actor, asked)
        try:
            places = resolve(actor, asked)
        except DomainError as error:
            places = []
            wrong = {int(fault.pointer.split("/")[2]) for fault in error.faults}
            assert wrong == set(range(len(asked))) - set(expected)
        else:
            assert dict(enumerate(map(tuple, places))) == expected
        known += len(places)
    assert known > 20


def outcome_of(find: Callable[[], Any]) -> Any:
    try:
        return find()
    except DomainError as error:
        return type(error), [(fault.pointer, fault.code, fault.detail) for fault in error.faults]


def facts_of(levels: LockedLevels) -> dict[UUID, Counters]:
    for found in levels.by_id.values():
        assert found.facts is not None
        found.facts.stores.sort()
    return levels.by_id


def test_levels_that_are_locked_at_once_are_those_that_are_found_first() -> None:
    make_warehouse("wh-002")
    closed = make_warehouse("wh-003")
    make_store("outlet", "wh-002", "wh-001", is_default=False)
    parents = [make_product(), make_product(), make_product(is_active=False)]
    variants = [make_variant(parent) for parent in parents]
    for product in (parents[0], *variants[1:]):
        for warehouse in ("wh-001", "wh-002", "wh-003"):
            receive(product, 3, warehouse)
    Warehouse.objects.filter(pk=closed.pk).update(is_active=False)
    random, ids = Random(15), [*(product.pk for product in [*parents, *variants]), hidden.PRODUCT_ID, uuid7()]
    actors = [ACTOR, msgspec.structs.replace(ACTOR, client_id=hidden.CLIENT_ID)]
    agreed = Counter[type]()
    for turn in range(150):
        product = random.choice(variants)
        asked = tuple(
            Adjustment(
                random.choice([product.pk, product.parent_id, product.parent_id, *ids]),
                random.choice([None, product.pk, product.pk, random.choice(ids)]),
                random.choice(["wh-001", "wh-002", "wh-003"] if turn % 3 else ["wh-001", "wh-009", hidden.CODE]),
                1,
                random.choice(["ADJUSTMENT", "SHIPMENT", "RECEIPT", "RETURN"]),
                "test",
            )
            for _ in range(random.choice([1, 1, 2]))
        )
        actor = actors[turn % 2]
        expected = outcome_of(partial(resolve, actor, asked))
        found = outcome_of(partial(lock_at_once, actor, asked))
        if isinstance(expected, list):
            places, levels = found
            assert places == expected
            assert {place.level_id for place in places if place.level_id} <= levels.by_id.keys()
            assert facts_of(levels) == facts_of(lock_levels(levels.by_id.keys()))
        else:
            assert found == expected
        agreed[type(expected)] += 1
    assert min(agreed.values()) > 20
    assert len(agreed) == 2


@pytest.mark.parametrize(
    ("actor", "fields"),
    [
        (msgspec.structs.replace(ACTOR, source="admin"), {}),
        (msgspec.structs.replace(ACTOR, store_codes=("main",)), {}),
        (msgspec.structs.replace(ACTOR, warehouse_codes=("wh-001",)), {}),
        (ACTOR, {"force": True}),
        (ACTOR, {"order_id": "o-1"}),
    ],
)
def test_levels_are_not_locked_before_what_must_be_locked_or_read_first(actor: Actor, fields: dict[str, Any]) -> None:
    level = make_level(10)
    with CaptureQueriesContext(connection) as queries:
        assert lock_at_once(actor, [line(level, 1, **fields)]) is None
    assert not queries


def test_an_adjustment_of_known_levels_finds_and_locks_them_with_one_statement() -> None:
    levels = [make_level(10) for _ in range(3)]
    adjust(*(line(level, 1) for level in levels))
    with CaptureQueriesContext(connection) as queries:
        adjust(*(line(level, 1) for level in levels))
    selects = [query["sql"] for query in queries if "inventory_stocklevel" in query["sql"]]
    assert [("FOR NO KEY UPDATE" in sql, "INSERT INTO" in sql) for sql in selects] == [(True, False), (False, True)]


def test_a_level_that_was_made_meanwhile_is_locked_by_the_next_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    level = make_level(10)
    before = adjusted_levels.lock_named_levels
    seen: list[int] = []

    def late(names: Any) -> Any:
        seen.append(len(seen))
        named, levels = before(names)
        return (named, levels) if len(seen) > 1 else ({}, msgspec.structs.replace(levels, by_id={}))

    monkeypatch.setattr(adjusted_levels, "lock_named_levels", late)
    adjust(line(level, 1))
    assert counters(level) == (11, 0)
    assert len(seen) == 2


def test_a_level_in_a_warehouse_that_was_made_meanwhile_is_left_to_the_next_attempt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    level = make_level(10)
    unknown = {is_with: f"{sql} AND false" for is_with, sql in locking._WAREHOUSES.items()}
    monkeypatch.setattr(locking, "_WAREHOUSES", unknown)
    with pytest.raises(LockedElsewhere):
        lock_at_once(ACTOR, [line(level, 1)])
