"""Concurrent bulk changes of settings and products, beside each other and beside shoppers."""

import pytest
from uuid_utils.compat import uuid7

from audit.errors import IdempotencyInProgress, VersionConflict
from audit.idempotency import Claim, StoredAnswer
from inventory.errors import SkuTaken
from inventory.models import Product, StockLevel
from inventory.services.catalogue.master_data import ProductChange, ProductFields, SavedProducts, put_products
from inventory.services.stock.level_settings import LevelChange, SetLevels, set_levels
from reservations.services.holds.placing import PlacedHold, place_hold
from tests.books import assert_books_balance
from tests.concurrency.threads import together
from tests.factories import ACTOR, hold_request, make_level, recorded

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("store")]


def changes_of(levels: list[StockLevel], reorder_point: int, seen: int | None = None) -> list[LevelChange]:
    known = {} if seen is None else {"reorder_point": seen}
    return [LevelChange(level.product_id, "wh-001", {"reorder_point": reorder_point}, known) for level in levels]


def test_opposite_orders_beside_shoppers_do_not_deadlock() -> None:
    levels = [make_level(10) for _ in range(20)]
    outcomes = together(
        lambda: set_levels(ACTOR, changes_of(levels, 3), claim=None),
        lambda: set_levels(ACTOR, changes_of(levels[::-1], 4), claim=None),
        *(lambda pair=pair: place_hold(hold_request(*pair)) for pair in (((levels[0], 1), (levels[9], 1)),) * 3),
    )
    assert [type(outcome) for outcome in outcomes] == [SetLevels, SetLevels, PlacedHold, PlacedHold, PlacedHold]
    assert len(set(StockLevel.objects.values_list("reorder_point", flat=True))) == 1
    assert_books_balance()


def test_form_that_is_confirmed_by_several_at_once_is_done_once() -> None:
    levels = [make_level(10, reorder_point=1) for _ in range(10)]
    claim = Claim(uuid7(), "import-1", b"print", lambda result: StoredAnswer(200, b'"done"'))
    outcomes = together(*(lambda: set_levels(ACTOR, changes_of(levels, 3, seen=1), claim=claim) for _ in range(4)))
    assert sum(isinstance(outcome, SetLevels) for outcome in outcomes) == 1
    assert all(isinstance(outcome, SetLevels | StoredAnswer | IdempotencyInProgress) for outcome in outcomes)
    assert len(recorded("inventory_level_changed")) == 10


def test_of_two_previews_of_the_same_rows_one_is_done_and_the_other_refused() -> None:
    levels = [make_level(10, reorder_point=1) for _ in range(10)]
    outcomes = together(*(lambda n=n: set_levels(ACTOR, changes_of(levels, n, seen=1), claim=None) for n in (5, 6, 7)))
    assert sorted(type(outcome).__name__ for outcome in outcomes) == [
        SetLevels.__name__,
        VersionConflict.__name__,
        VersionConflict.__name__,
    ]
    assert len(recorded("inventory_level_changed")) == 10


def test_of_two_files_that_add_the_same_sku_one_is_done() -> None:
    def add() -> object:
        made = [ProductChange(uuid7(), ProductFields(f"NEW-{number}", "New")) for number in range(5)]
        return put_products(ACTOR, made, claim=None)

    outcomes = together(*[add] * 3)
    assert sum(isinstance(outcome, SavedProducts) for outcome in outcomes) == 1
    assert all(isinstance(outcome, SavedProducts | SkuTaken) for outcome in outcomes)
    assert Product.objects.count() == 5
