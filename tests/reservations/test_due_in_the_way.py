"""Due holds never prevent stock from leaving, swept or not (docs/explanation/rules.md, rule 3)."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from inventory.errors import InsufficientStock
from inventory.models import StockLevel, Transfer
from inventory.services.stock.adjustments import Adjustment, AdjustRequest, apply_adjustments
from inventory.services.transfers.commands import (
    MoveLine,
    SendRequest,
    TransferRequest,
    draft_transfer,
    send_transfer,
    start_transfer,
)
from inventory.services.transfers.moves import Transferred
from reservations.models import Reservation
from tests.books import assert_books_balance
from tests.factories import ACTOR, counters, hold, make_due, make_level, published, recorded

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("store")]


def adjusted(kind: str, quantity: int, level: StockLevel) -> Any:
    line = Adjustment(level.product_id, None, "wh-001", quantity, kind, "test")
    return apply_adjustments(AdjustRequest(ACTOR, (line,)))


def wanted(level: StockLevel) -> TransferRequest:
    return TransferRequest(ACTOR, (MoveLine(level.product_id, None, 9, "wh-001", "wh-002"),))


def started(level: StockLevel) -> Any:
    return start_transfer(wanted(level))


def sent(level: StockLevel) -> Any:
    drafted = draft_transfer(wanted(level))
    assert isinstance(drafted, Transferred)
    return send_transfer(SendRequest(ACTOR, drafted.document.id))


TAKES_NINE: dict[str, Callable[[StockLevel], Any]] = {
    "a shipment": partial(adjusted, "SHIPMENT", 9),
    "a correction": partial(adjusted, "ADJUSTMENT", -9),
    "a transfer": started,
    "a draft that is sent": sent,
}


@pytest.mark.parametrize("take", TAKES_NINE.values(), ids=TAKES_NINE)
def test_a_due_hold_does_not_keep_stock_from_leaving(take: Callable[[StockLevel], Any]) -> None:
    level = make_level(10)
    dead = hold((level, 4), (make_level(5), 1))
    make_due(dead.id)
    take(level)
    assert counters(level) == (1, 0)
    assert Reservation.objects.get(pk=dead.id).status == "EXPIRED"
    assert [entry.subject_id for entry in recorded("inventory_reservation_expired")] == [dead.id]
    assert [event["reason"] for event in published("InventoryReleasedEvent")] == ["expired"]
    assert_books_balance()


@pytest.mark.parametrize("take", TAKES_NINE.values(), ids=TAKES_NINE)
def test_a_hold_that_lives_does_and_the_refusal_counts_no_dead_one(take: Callable[[StockLevel], Any]) -> None:
    level = make_level(10)
    dead, alive = hold((level, 4)), hold((level, 2))
    make_due(dead.id)
    with pytest.raises(InsufficientStock) as refused:
        take(level)
    (short,) = refused.value.shortages
    assert (short.requested, short.available) == (9, 8)
    assert counters(level) == (10, 2)
    assert Reservation.objects.get(pk=alive.id).status == "ACTIVE"
    assert not Transfer.objects.exclude(status="PENDING").exists()


def test_a_due_hold_on_another_level_stays_for_the_sweeper() -> None:
    level, other = make_level(10), make_level(10)
    dead = hold((other, 4))
    make_due(dead.id)
    with pytest.raises(InsufficientStock):
        adjusted("SHIPMENT", 11, level)
    assert (Reservation.objects.get(pk=dead.id).status, counters(other)) == ("ACTIVE", (10, 4))


def test_lines_beside_a_forced_one_do_not_count_due_holds_either() -> None:
    level, forced = make_level(10), make_level(10)
    dead, broken = hold((level, 4)), hold((forced, 6))
    make_due(dead.id)
    lines = (
        Adjustment(level.product_id, None, "wh-001", 9, "SHIPMENT", "test"),
        Adjustment(forced.product_id, None, "wh-001", -8, "ADJUSTMENT", "test", force=True),
    )
    apply_adjustments(AdjustRequest(ACTOR, lines))
    assert (counters(level), counters(forced)) == ((1, 0), (2, 0))
    statuses = dict(Reservation.objects.values_list("id", "status"))
    assert (statuses[dead.id], statuses[broken.id]) == ("EXPIRED", "RELEASED")
