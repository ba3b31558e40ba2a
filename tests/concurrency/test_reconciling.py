"""Reconciliation beside live traffic: a change in progress is never reported as a difference."""

import threading
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection
from django.test import override_settings

from inventory.models import ReconciliationFinding, ReconciliationRun
from inventory.services.bookkeeping.reconciliation import Repair
from inventory.services.stock.adjustments import Adjustment, AdjustRequest, apply_adjustments
from reservations.models import Reservation, ReservationItem
from reservations.services.bookkeeping.reconciliation import reconcile
from reservations.services.holds.expiry import expire_due_holds
from reservations.services.holds.resolution import ConsumeRequest, ReleaseRequest, consume_holds, release_holds
from reservations.services.holds.selecting import Selector
from tests.concurrency.threads import await_waiting, stranger, together
from tests.factories import ACTOR, counters, hold, make_due, make_level

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("store")]


def test_live_traffic_is_never_reported() -> None:
    levels = [make_level(1000) for _ in range(3)]
    done = threading.Event()

    def trade() -> None:
        try:
            for number in range(25):
                sold, released, due = (hold((level, 2)) for level in levels)
                consume_holds([ConsumeRequest(ACTOR, f"o-{sold.id}", Selector(reservation_id=sold.id))])
                release_holds([ReleaseRequest(ACTOR, Selector(reservation_id=released.id))])
                make_due(due.id)
                expire_due_holds()
                line = Adjustment(levels[number % 3].product_id, None, "wh-001", 3, "RECEIPT", "live")
                apply_adjustments(AdjustRequest(ACTOR, (line,)))
        finally:
            done.set()

    def watch() -> int:
        runs = 0
        while not done.is_set() or runs < 2:
            run = reconcile(ACTOR, repair=Repair("must find nothing") if runs % 2 else None)
            assert run.counts == {}, list(ReconciliationFinding.objects.values("kind", "detail"))
            runs += 1
        return runs

    outcomes = together(trade, trade, watch, seconds=90)
    assert outcomes[2] >= 2
    assert not ReconciliationFinding.objects.exists()


def test_a_difference_that_is_gone_once_the_level_is_locked_is_not_reported() -> None:
    level = make_level(10)
    _set_on_hand(level.id, 17)
    with stranger() as other:
        other.execute("UPDATE inventory_stocklevel SET on_hand = 10 WHERE id = %s", [level.id])

        def put_right() -> None:
            await_waiting()
            other.commit()

        run, _ = together(lambda: reconcile(ACTOR), put_right)
    assert (run.counts, run.levels_checked) == ({}, 1)


def test_two_repairs_at_once_put_it_right_once() -> None:
    levels = [make_level(10) for _ in range(20)]
    for level in levels:
        _set_on_hand(level.id, 17)
    runs = together(*(lambda: reconcile(ACTOR, repair=Repair("drill")) for _ in range(3)))
    assert sum(run.finding_count for run in runs) == 20
    assert {counters(level) for level in levels} == {(10, 0)}


@override_settings(LOCK_TIMEOUT=0.3, LOCK_RETRIES=0)
def test_a_run_that_gets_no_lock_stays_unfinished() -> None:
    level = make_level(10)
    _set_on_hand(level.id, 17)
    with stranger() as other:
        other.execute("SELECT FROM inventory_stocklevel WHERE id = %s FOR NO KEY UPDATE", [level.id])
        with pytest.raises(CommandError, match="Not finished") as refused:
            call_command("reconcile", stdout=StringIO())
    assert refused.value.returncode == 3
    assert ReconciliationRun.objects.get().finished_at is None
    _set_on_hand(level.id, 10)


@pytest.mark.usefixtures("breaks_the_books")
def test_a_hold_that_cannot_be_ended_does_not_keep_the_others() -> None:
    level, broken = make_level(10), make_level(10)
    make_due(hold((level, 3)).id, ago=timedelta(minutes=30))
    stuck = hold((broken, 3))
    ReservationItem.objects.filter(reservation=stuck.id).update(quantity=50)
    make_due(stuck.id, ago=timedelta(minutes=30))
    run = reconcile(ACTOR, repair=Repair("drill"))
    assert (run.counts, run.unrepaired) == ({"RESERVED": 1, "LONG_DUE": 2}, 2)
    assert counters(level) == (10, 0)
    assert Reservation.objects.get(status="ACTIVE").pk == stuck.id


def _set_on_hand(*values: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE inventory_stocklevel SET on_hand = %s WHERE id = %s", [values[1], values[0]])
