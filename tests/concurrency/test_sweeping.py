"""Concurrent sweepers: they share the work, don't wait, and expire each hold once."""

import threading
from functools import partial
from typing import Any

import psycopg
import pytest
from django.db.backends.signals import connection_created

from inventory.services.stock.adjustments import Adjusted, Adjustment, AdjustRequest, apply_adjustments
from reservations.models import Reservation
from reservations.services.holds.expiry import expire_due_holds
from reservations.services.holds.placing import place_holds
from tests.books import assert_books_balance
from tests.concurrency.threads import await_true, stranger, together
from tests.factories import ACTOR, counters, hold, hold_request, make_due, make_level, published

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("store")]


def test_two_sweepers_share_the_work_and_double_nothing() -> None:
    level, other = make_level(1000), make_level(1000)
    outcomes = place_holds([hold_request((level, 1), (other, 2)) for _ in range(200)])
    make_due(*(outcome.hold.id for outcome in outcomes))
    swept = together(*(lambda: expire_due_holds(batch_size=10) for _ in range(3)))
    swept.append(expire_due_holds())
    assert sum(swept) == 200
    assert Reservation.objects.filter(status="EXPIRED").count() == 200
    assert counters(level) == (1000, 0)
    assert counters(other) == (1000, 0)


def test_second_connection_helps_with_a_backlog_and_is_closed() -> None:
    level, other = make_level(1000), make_level(1000)
    outcomes = place_holds([hold_request((level, 1), (other, 2)) for _ in range(50)])
    make_due(*(outcome.hold.id for outcome in outcomes))
    connected: list[str] = []

    def note(**_: Any) -> None:
        connected.append(threading.current_thread().name)

    with stranger() as watcher:
        before = connections_of(watcher)
        connection_created.connect(note)
        try:
            assert expire_due_holds(batch_size=50) == 50
            assert len(connected) == 1
            assert connected[0].startswith("sweep")
            make_due(hold((level, 1)).id)
            assert expire_due_holds(batch_size=50) == 1
        finally:
            connection_created.disconnect(note)
        assert len(connected) == 1, "less than a batch is no backlog"
        await_true(lambda: connections_of(watcher) == before, "the second connection to close")
    assert counters(level) == (1000, 0)
    assert counters(other) == (1000, 0)
    assert_books_balance()


def test_a_shipment_and_a_sweep_of_the_same_dead_hold_both_succeed() -> None:
    for _ in range(8):
        level = make_level(10)
        make_due(hold((level, 4)).id)
        line = Adjustment(level.product_id, None, "wh-001", 9, "SHIPMENT", "test")
        shipped, _ = together(
            partial(apply_adjustments, AdjustRequest(ACTOR, (line,))), partial(expire_due_holds, batch_size=10)
        )
        assert isinstance(shipped, Adjusted), shipped
        assert counters(level) == (1, 0)
    assert len(published("InventoryReleasedEvent")) == 8
    assert_books_balance()


def connections_of(watcher: psycopg.Connection[Any]) -> int:
    row = watcher.execute("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()").fetchone()
    assert row is not None
    watcher.rollback()
    return int(row[0])


def test_holds_on_a_level_locked_elsewhere_are_left_for_the_next_round() -> None:
    locked, free = make_level(100), make_level(100)
    left = [hold((locked, 1)).id for _ in range(3)] + [hold((locked, 1), (free, 1)).id]
    done = [hold((free, 1)).id for _ in range(3)]
    make_due(*left, *done)
    with stranger() as other:
        other.execute("SELECT FROM inventory_stocklevel WHERE id = %s FOR NO KEY UPDATE", [locked.id])
        assert together(lambda: expire_due_holds(batch_size=2), seconds=15) == [3]
        assert set(Reservation.objects.filter(status="EXPIRED").values_list("id", flat=True)) == set(done)
    assert expire_due_holds() == 4
    assert counters(locked) == (100, 0)
    assert counters(free) == (100, 0)


def test_holds_locked_elsewhere_are_left_without_a_wait() -> None:
    level = make_level(100)
    ids = [hold((level, 1)).id for _ in range(4)]
    make_due(*ids)
    with stranger() as other:
        other.execute("SELECT FROM reservations_reservation WHERE id = %s FOR NO KEY UPDATE", [ids[0]])
        assert together(expire_due_holds, seconds=5) == [3]
    assert expire_due_holds() == 1
