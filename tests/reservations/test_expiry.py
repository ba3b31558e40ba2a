"""The sweeper expires due holds in bounded batches, each hold once."""

from datetime import UTC, datetime
from io import StringIO
from typing import Any

import msgspec
import pytest
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from audit.actors import Actor
from audit.models import OutboxEvent
from inventory.models import StockLevel
from reservations.actions import RESERVATION_EXPIRED
from reservations.models import Reservation, ReservationItem
from reservations.services.holds import documents, due, expiry
from reservations.services.holds.documents import Status
from reservations.services.holds.expiry import SWEEPER, expire_due_holds
from reservations.services.holds.sourcing import RequestLine
from reservations.tasks import expire_due_holds as task
from tests.factories import (
    counters,
    hold,
    make_due,
    make_level,
    make_product,
    make_variant,
    published,
    receive,
    recorded,
)

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("store")]


def test_due_holds_are_expired_and_no_others() -> None:
    level, other = make_level(10), make_level(10)
    due, alive = hold((level, 3), (other, 2)), hold((level, 1))
    make_due(due.id)
    assert expire_due_holds() == 1
    assert (counters(level), counters(other)) == ((10, 1), (10, 0))
    row = Reservation.objects.get(pk=due.id)
    assert (row.status, row.reason) == ("EXPIRED", "expired")
    assert row.released_at is not None
    assert row.released_at > row.expires_at
    assert not ReservationItem.objects.filter(reservation=due.id, held_until__isnull=False).exists()
    assert Reservation.objects.get(pk=alive.id).status == "ACTIVE"


def test_an_expiry_is_audited_as_the_sweepers_and_published_as_a_release() -> None:
    due = hold((make_level(10), 3))
    make_due(due.id)
    expire_due_holds()
    (entry,) = recorded("inventory_reservation_expired")
    assert (entry.actor, entry.source, entry.subject_id, entry.store) == ("sweeper", "sweeper", due.id, "main")
    (event,) = published("InventoryReleasedEvent")
    assert (event["reservationId"], event["reason"]) == (due.public_id, "expired")


def test_a_second_sweep_finds_nothing_to_do() -> None:
    level = make_level(10)
    make_due(hold((level, 3)).id)
    expire_due_holds()
    before = StockLevel.objects.values_list().get()
    assert expire_due_holds() == 0
    assert StockLevel.objects.values_list().get() == before
    assert len(recorded("inventory_reservation_expired")) == 1


@pytest.mark.parametrize("fraction", [0, 1, 120_000, 999_999])
def test_the_database_writes_of_an_expiry_what_python_would(fraction: int) -> None:
    parent = make_product()
    variant = receive(make_variant(parent), 10, "wh-002")
    lines = (RequestLine(make_level(10).product_id, None, 3), RequestLine(parent.id, variant.product_id, 2, "wh-002"))
    held = hold(lines=lines, cart_id='cart "1" \\ é', order_id="order-1")
    plain = hold((make_level(10), 1))
    past = datetime(2026, 1, 31, 23, 59, 59, fraction, tzinfo=UTC)
    Reservation.objects.update(expires_at=past)
    ReservationItem.objects.update(held_until=past)
    before = documents.read_holds([held.id, plain.id])
    assert len(before[held.id].items) == 2
    assert expire_due_holds() == 2
    after = documents.read_holds([held.id, plain.id])
    entries = {entry.subject_id: entry for entry in recorded(RESERVATION_EXPIRED.name)}
    events = {event.key: event for event in OutboxEvent.objects.filter(type="InventoryReleasedEvent")}
    for id_, ended in after.items():
        now = ended.released_at
        assert now is not None
        assert ended == documents.ended(before[id_], Status.EXPIRED, now=now, reason="expired")
        wanted, entry = expiry.expired_entry(ended, SWEEPER), entries[id_]
        assert entry.changes == as_json(wanted.changes)
        actor = Actor(entry.actor, entry.client_id, entry.request_id, entry.source)
        assert (actor, entry.action, entry.store, entry.at) == (SWEEPER, wanted.action.name, wanted.store, now)
        row, event = expiry.released_event(ended), events[ended.public_id]
        added = {"eventId": f"ev-{event.event_id}", "timestamp": as_json(now)}
        assert event.payload == as_json(row.event) | added
        assert (event.key, event.created_at) == (row.key, now)
        assert entry.id.version == event.event_id.version == 7


def as_json(value: Any) -> Any:
    return msgspec.json.decode(msgspec.json.encode(value))


def test_holds_freed_for_a_buyer_are_recorded_as_the_sweepers() -> None:
    level = make_level(10)
    due = hold((level, 8))
    make_due(due.id)
    hold((level, 5))
    (entry,) = recorded("inventory_reservation_expired")
    assert (entry.actor, entry.source, entry.subject_id) == ("sweeper", "sweeper", due.id)
    (event,) = published("InventoryReleasedEvent")
    assert (event["reservationId"], event["reason"]) == (due.public_id, "expired")
    assert counters(level) == (10, 5)


def test_holds_of_one_level_bump_its_version_once_each() -> None:
    level, other = make_level(10), make_level(10)
    make_due(hold((level, 3), (other, 1)).id, hold((level, 2)).id)
    before = {row.id: row.version for row in StockLevel.objects.all()}
    expire_due_holds()
    after = {row.id: row.version for row in StockLevel.objects.all()}
    assert (after[level.id] - before[level.id], after[other.id] - before[other.id]) == (2, 1)


def test_a_locked_hold_that_is_not_due_is_left_alone() -> None:
    level = make_level(10)
    held = hold((level, 3))
    holds = due.lock_for_expiry([held.id])
    assert holds is not None
    assert expiry._expire_locked(holds, expiry._lock_levels_of(holds)) == 0
    assert counters(level) == (10, 3)
    assert not recorded("inventory_reservation_expired")


@pytest.mark.parametrize("batch_size", [1, 2, 3, 7, 8])
def test_batches_go_on_to_the_end_even_where_all_ended_at_the_same_instant(batch_size: int) -> None:
    level = make_level(100)
    make_due(*(hold((level, 1)).id for _ in range(7)))
    assert Reservation.objects.values("expires_at").distinct().count() == 1
    assert expire_due_holds(batch_size) == 7
    assert counters(level) == (100, 0)


def test_a_sweep_of_nothing_is_short() -> None:
    hold((make_level(10), 1))
    assert expire_due_holds() == 0


def test_a_batch_takes_as_many_statements_whatever_its_size() -> None:
    def statements(count: int) -> int:
        levels = [make_level(10) for _ in range(count)]
        make_due(*(hold((level, 1)).id for level in levels))
        with CaptureQueriesContext(connection) as queries:
            assert expire_due_holds() == count
        return len(queries)

    assert statements(1) == statements(20) == statements(50)


def test_the_command_says_how_many() -> None:
    make_due(hold((make_level(10), 1)).id)
    output = StringIO()
    call_command("expire_due_holds", stdout=output)
    assert output.getvalue() == "1 holds expired\n"


def test_the_task_sweeps_on_its_own_queue() -> None:
    from config.celery import app  # noqa: PLC0415 - the settings must be ready

    level = make_level(10)
    make_due(hold((level, 4)).id)
    assert task() == 1
    assert counters(level) == (10, 0)
    beat = app.conf.beat_schedule["expire-due-holds"]
    assert beat["task"] == task.name
    assert beat["schedule"] <= 60
    assert beat["options"]["expires"] <= beat["schedule"]
    assert app.conf.task_routes[task.name] == {"queue": "sweep"}
