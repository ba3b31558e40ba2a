"""The number of round trips of a command: statements are sent together where possible."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from django.db import connection
from uuid_utils.compat import uuid7

from audit.idempotency import Claim, StoredAnswer
from inventory.models import StockLevel, Store
from reservations.services.holds.documents import Hold
from reservations.services.holds.expiry import expire_due_holds
from reservations.services.holds.extending import ExtendRequest, extend_holds
from reservations.services.holds.placing import PlacedHold, place_holds
from reservations.services.holds.resolution import ConsumeRequest, ReleaseRequest, consume_holds, release_holds
from reservations.services.holds.selecting import Selector
from tests.factories import ACTOR, hold, hold_request, make_due, make_level
from tests.faults.proxy import Proxy

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("store")]
BATCH = 8
PREPARED = 6
"""The number of warm-up runs after which statements are prepared; preparing adds messages, but no round trips."""


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """Route this thread's connection through the proxy."""
    proxy = Proxy(connection.settings_dict)
    monkeypatch.setitem(connection.settings_dict, "HOST", str(proxy.folder))
    connection.close()
    yield proxy
    connection.close()
    proxy.close()


def round_trips(proxy: Proxy, prepare: Callable[[], Callable[[], Any]]) -> tuple[int, int]:
    """The round trips of the last run of what ``prepare`` returns, and the number of pieces it was sent in."""
    for _ in range(PREPARED):
        work = prepare()
        before = proxy.round_trips, proxy.pieces
        work()
        counted = proxy.round_trips - before[0], proxy.pieces - before[1]
    return counted


def held(level: StockLevel, count: int) -> list[Hold]:
    return [hold((level, 1)) for _ in range(count)]


def key() -> Claim:
    return Claim(uuid7(), str(uuid7()), b"print", lambda outcome: StoredAnswer(200, b"{}"))


@pytest.mark.parametrize(
    ("verb", "most"),
    [
        ("reserve", 2),  # Lock; write and commit.
        ("reserve for orders", 2),  # What they hold is read on the way.
        ("reserve with keys", 3),  # Claims come before the lock.
        ("reserve with limits", 3),  # So do shoppers, and what they hold.
        ("consume", 3),  # Reservations and their items; levels; write and commit.
        ("release", 3),
        ("extend", 2),  # The clock is read with the reservations.
        ("extend carts", 2),  # Their reservations are found on the way.
        ("sweep", 6),  # A batch, and the look that finds no more.
    ],
)
def test_a_command_takes_so_many_round_trips_for_one_or_for_many(proxy: Proxy, verb: str, most: int) -> None:
    level = make_level(10_000)
    if verb.endswith("limits"):
        Store.objects.update(max_units_per_customer=100, max_holds_per_customer=100, hold_window_minutes=60)

    def prepare(count: int) -> Callable[[], Any]:
        match verb:
            case "reserve" | "reserve for orders" | "reserve with keys" | "reserve with limits":
                keys = [key() if verb.endswith("keys") else None for _ in range(count)]
                orders = [str(uuid7()) if verb.endswith("orders") else None for _ in range(count)]
                requests = [
                    hold_request((level, 1), claim=each, order_id=order)
                    for each, order in zip(keys, orders, strict=True)
                ]
                return lambda: all(isinstance(outcome, PlacedHold) for outcome in place_holds(requests))
            case "consume":
                sales = [ConsumeRequest(ACTOR, "o", Selector(each.id)) for each in held(level, count)]
                return partial(consume_holds, sales)
            case "release":
                returns = [ReleaseRequest(ACTOR, Selector(each.id)) for each in held(level, count)]
                return partial(release_holds, returns)
            case "extend":
                longer = [ExtendRequest(ACTOR, Selector(each.id), 5) for each in held(level, count)]
                return partial(extend_holds, longer)
            case "extend carts":
                longer = [ExtendRequest(ACTOR, Selector(cart_id=each.cart_id), 5) for each in held(level, count)]
                return partial(extend_holds, longer)
            case _:
                make_due(*(each.id for each in held(level, count)))
                return expire_due_holds

    assert round_trips(proxy, partial(prepare, 1)) == (most, most)
    trips, pieces = round_trips(proxy, partial(prepare, BATCH))
    assert trips == most
    assert pieces <= most + 1  # libpq sends what is longer than 8 KiB at once.
