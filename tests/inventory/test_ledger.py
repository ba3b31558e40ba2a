"""The ledger writes all collected changes once, with a movement for each change of on hand."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from inventory.locking import lock_levels
from inventory.models import LedgerOpening, Movement, StockLevel
from inventory.services.stock.ledger import Ledger, MovementCause
from tests.factories import counters, make_level, receive

pytestmark = pytest.mark.django_db
CAUSE = MovementCause(type="ADJUSTMENT", actor="tests", reason="r", reference_type="t", reference="ref")


@pytest.mark.parametrize("count", [1, 20, 200])
def test_changes_are_written_with_three_statements_however_many(count: int) -> None:
    levels = StockLevel.objects.filter(pk__in=[make_level(10).pk for _ in range(min(count, 20))])
    locked = lock_levels([level.id for level in levels])
    ledger = Ledger(locked)
    for index in range(count):
        level = levels[index % len(levels)]
        ledger.reserve(level.id, 1)
        ledger.move(level.id, 2, CAUSE)
    with CaptureQueriesContext(connection) as queries:
        ledger.write(locked.now, ())
    assert len(queries) == 3  # Levels, movements, events.
    assert sum(level.reserved for level in StockLevel.objects.all()) == count


def test_each_change_counts_on_the_one_before_and_bumps_the_version() -> None:
    level = make_level(10)
    level.refresh_from_db()
    locked = lock_levels([level.id])
    ledger = Ledger(locked)
    ledger.move(level.id, 5, CAUSE)
    ledger.move(level.id, -3, CAUSE)
    ledger.reserve(level.id, 4)
    assert (locked.by_id[level.id].on_hand, locked.sellable()[level.id]) == (12, 8)
    assert dict(locked.sellable_now) == locked.sellable()
    ledger.write(locked.now, ())
    before = level.version
    assert counters(level) == (12, 4)
    assert level.version == before + 3 == locked.by_id[level.id].version
    moved = Movement.objects.filter(level=level, type="ADJUSTMENT").order_by("id")
    assert [(m.quantity, m.quantity_before, m.quantity_after) for m in moved] == [(5, 10, 15), (-3, 15, 12)]
    assert {(m.actor, m.reason, m.reference_type, m.reference) for m in moved} == {("tests", "r", "t", "ref")}


def test_a_reservation_is_no_movement_and_leaves_its_time() -> None:
    level = make_level(10)
    level.refresh_from_db()
    last = level.last_movement_at
    locked = lock_levels([level.id])
    ledger = Ledger(locked)
    ledger.reserve(level.id, 4)
    ledger.write(locked.now, ())
    level.refresh_from_db()
    assert (level.last_movement_at, level.updated_at) == (last, locked.now)
    assert Movement.objects.filter(level=level).count() == 1


def test_without_changes_no_statement_is_sent() -> None:
    locked = lock_levels([make_level(10).id])
    with CaptureQueriesContext(connection) as queries:
        Ledger(locked).write(locked.now, ())
    assert len(queries) == 0


def test_locked_levels_are_those_there_are() -> None:
    level = make_level(10)
    locked = lock_levels([level.id, level.product_id])
    assert list(locked.by_id) == [level.id]
    assert lock_levels([]).by_id == {}


def test_on_hand_is_what_the_ledger_adds_up_to_now_and_at_any_moment() -> None:
    level, still = make_level(10), make_level(7)
    (first,) = Movement.objects.filter(level=level)
    receive(level.product_id, 5)
    assert dict(StockLevel.objects.with_ledger_balance().values_list("id", "ledger_on_hand")) == {
        level.id: 15,
        still.id: 7,
    }
    moments = {first.created_at: 10, first.created_at - timedelta(microseconds=1): 0}
    for at, units in moments.items():
        assert StockLevel.objects.with_ledger_balance(at).get(pk=level.pk).ledger_on_hand == units


def test_a_ledger_that_was_archived_starts_with_its_opening() -> None:
    level = make_level(10)
    LedgerOpening.objects.create(level=level, as_of=level.created_at, on_hand=3)
    assert StockLevel.objects.with_ledger_balance().get(pk=level.pk).ledger_on_hand == 13
