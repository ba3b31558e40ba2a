"""What is known to be short is refused without the database, and exactly as the database would have it refused."""

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Final

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from inventory.errors import InsufficientStock
from inventory.models import StockLevel
from inventory.services.catalogue.lookup import forget_catalogue
from inventory.services.stock.level_settings import LevelChange, change_levels
from inventory.services.transfers.commands import (
    MoveLine,
    ReceiveRequest,
    TransferRequest,
    receive_transfer,
    start_transfer,
)
from inventory.services.transfers.moves import Transferred
from reservations.services.holds import sold_out
from reservations.services.holds.baskets import put_basket
from reservations.services.holds.documents import Hold
from reservations.services.holds.expiry import expire_due_holds, expire_these
from reservations.services.holds.placing import PlacedHold, place_holds
from reservations.services.holds.resolution import ReleaseRequest, release_hold
from reservations.services.holds.selecting import Selector
from tests.books import assert_books_balance
from tests.conftest import Api
from tests.counts import counted as count_levels
from tests.counts import post
from tests.factories import (
    ACTOR,
    counters,
    hold,
    hold_request,
    lines,
    make_due,
    make_level,
    make_warehouse,
    receive,
)
from tests.metrics import Counted, counted
from tests.sold_out import long_memory, refused_at_once, reserve, sell_out

__all__ = ["counted", "long_memory"]
pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("store", "long_memory")]
SOON: Final = timedelta(seconds=3)


def test_refusals_of_many_lines_are_decided_each_time_and_not_kept() -> None:
    levels = [make_level(1) for _ in range(6)]
    for requested in range(2, 5):
        request = hold_request(*((level, requested) for level in levels))
        assert isinstance(reserve(request), InsufficientStock)
        kept = len(sold_out._refused)
        assert len(refused_at_once(request).faults) == len(levels)
        assert len(sold_out._refused) == kept


def test_the_problem_is_the_same_without_a_statement(api: Api, settings: Settings) -> None:
    level, other = make_level(5), make_level(3)
    body = {"cartId": "c", "items": [*lines((level, 6)), *lines((other, 9), (level, 1), warehouseId="wh-001")]}
    settings.SOLD_OUT_CACHE_SECONDS = 0
    slow = [api.post("reserve", body, X_Request_ID="same") for _ in range(2)]
    settings.SOLD_OUT_CACHE_SECONDS = 60
    slow.append(api.post("reserve", body, X_Request_ID="same"))
    with CaptureQueriesContext(connection) as statements:
        fast = api.post("reserve", body, X_Request_ID="same")
    assert not statements.captured_queries
    assert {(each.status_code, each.content) for each in (*slow, fast)} == {(409, slow[0].content)}
    assert {tuple(each.headers) for each in slow} == {tuple(fast.headers)}


def test_what_is_not_short_is_held_as_ever() -> None:
    level = make_level(5)
    assert isinstance(reserve(hold_request((level, 6))), InsufficientStock)
    refused_at_once(hold_request((level, 6)))
    assert isinstance(reserve(hold_request((level, 5))), PlacedHold)
    assert isinstance(reserve(hold_request((level, 1))), InsufficientStock)
    assert counters(level) == (5, 5)


def test_refusals_at_once_are_counted_as_others(counted: Counted) -> None:
    level = make_level(1)
    sell_out(level)
    assert counted.of("inventory_reservation_failed_total", reason="insufficient_stock") == 3
    before = counted.series()
    assert isinstance(reserve(hold_request((level, 1))), InsufficientStock)
    name = ("inventory_reservation_failed_total", frozenset({("reason", "insufficient_stock")}))
    changed = {key for key, value in counted.series().items() if value != before.get(key)}
    assert {key for key in changed if not key[0].startswith("process_")} == {name}


def adjusted(level: StockLevel, _: Hold) -> None:
    receive(level.product_id, 1)


def released(_: StockLevel, held: Hold) -> None:
    release_hold(ReleaseRequest(ACTOR, Selector(held.id)))


def swept(_: StockLevel, held: Hold) -> None:
    make_due(held.id)
    expire_due_holds()


def expired(_: StockLevel, held: Hold) -> None:
    make_due(held.id)
    expire_these([held.id])


def basket_shrunk(level: StockLevel, held: Hold) -> None:
    put_basket(hold_request((level, 1), cart_id=held.cart_id))


def basket_emptied(_: StockLevel, held: Hold) -> None:
    put_basket(hold_request(cart_id=held.cart_id))


def posted(level: StockLevel, _: Hold) -> None:
    post(count_levels((level, 12)))


def arrived(level: StockLevel, _: Hold) -> None:
    receive(level.product_id, 3, "wh-003")
    move = MoveLine(level.product_id, None, 3, "wh-003", "wh-001")
    transferred = start_transfer(TransferRequest(ACTOR, (move,)))
    assert isinstance(transferred, Transferred)
    refused_again = reserve(hold_request((level, 1)))
    assert isinstance(refused_again, InsufficientStock)
    receive_transfer(ReceiveRequest(ACTOR, transferred.document.id))


def without_safety_stock(level: StockLevel, _: Hold) -> None:
    change_levels(ACTOR, [LevelChange(level.product_id, "wh-001", {"min_stock_level": 0})])


def stocked_elsewhere(level: StockLevel, _: Hold) -> None:
    receive(level.product_id, 2, "wh-002")


@pytest.mark.parametrize(
    "bring_back",
    [
        adjusted,
        released,
        swept,
        expired,
        basket_shrunk,
        basket_emptied,
        posted,
        arrived,
        without_safety_stock,
        stocked_elsewhere,
    ],
)
def test_stock_that_comes_back_through_this_process_is_seen_at_once(
    bring_back: Callable[[StockLevel, Hold], None],
) -> None:
    make_warehouse("wh-003")
    level = make_level(10, min_stock_level=2)
    held = sell_out(level)
    bring_back(level, held)
    assert isinstance(reserve(hold_request((level, 1))), PlacedHold)
    assert_books_balance()


def test_stock_that_comes_back_elsewhere_is_seen_after_a_while(settings: Settings) -> None:
    settings.SOLD_OUT_CACHE_SECONDS = 0.25
    level = make_level(1)
    assert isinstance(reserve(hold_request((level, 2))), InsufficientStock)
    StockLevel.objects.filter(pk=level.pk).update(on_hand=2)
    time.sleep(0.25)
    assert isinstance(reserve(hold_request((level, 2))), PlacedHold)


def test_a_level_is_remembered_until_its_next_hold_ends() -> None:
    level = make_level(5)
    later, soon = hold((level, 2)), hold((level, 3))
    make_due(soon.id, ago=-SOON)
    assert isinstance(reserve(hold_request((level, 3))), InsufficientStock)
    time.sleep(SOON.total_seconds())
    assert isinstance(reserve(hold_request((level, 3))), PlacedHold)
    make_due(later.id)
    assert isinstance(reserve(hold_request((level, 2))), PlacedHold)


@pytest.mark.parametrize("seconds", [0, 60])
def test_memory_can_be_switched_off(settings: Settings, seconds: float) -> None:
    settings.SOLD_OUT_CACHE_SECONDS = seconds
    level = make_level(1)
    assert isinstance(reserve(hold_request((level, 2))), InsufficientStock)
    assert bool(sold_out.known_shortage(hold_request((level, 2)))) is (seconds > 0)


def test_units_that_the_same_transaction_holds_are_not_remembered() -> None:
    level = make_level(5)
    held, short = place_holds([hold_request((level, 3)), hold_request((level, 3))])
    assert isinstance(held, PlacedHold)
    assert isinstance(short, InsufficientStock)
    assert sold_out.known_shortage(hold_request((level, 3))) is None


def test_a_catalogue_that_was_forgotten_is_read_again() -> None:
    level = make_level(1)
    sell_out(level)
    forget_catalogue()
    with CaptureQueriesContext(connection) as statements:
        assert isinstance(reserve(hold_request((level, 1))), InsufficientStock)
    assert statements.captured_queries
