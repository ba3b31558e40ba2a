"""Group commit on the real database: requests share a transaction and nothing else."""

from functools import partial
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from uuid_utils.compat import uuid7

from audit.actors import Actor
from audit.errors import Busy
from audit.idempotency import Claim, StoredAnswer
from audit.models import AuditEntry, IdempotencyKey
from inventory.combining import GroupCommit
from inventory.errors import InsufficientStock
from reservations.models import Reservation
from reservations.services.holds.placing import HoldRequest, PlacedHold, place_holds
from reservations.services.holds.resolution import ConsumeRequest, Resolved, consume_holds
from reservations.services.holds.selecting import Selector
from tests.concurrency.threads import Crew, await_true, await_waiting, stranger, together
from tests.factories import ACTOR, counters, hold, hold_request, make_level

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("store")]
ASKERS = 12


def transactions_of(ids: list[UUID]) -> int:
    """The number of transactions that wrote these reservations."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(DISTINCT xmin::text) FROM reservations_reservation WHERE id = ANY(%s)", [ids])
        return int(cursor.fetchone()[0])


def submit_while_one_leads(group_commit: GroupCommit[Any], level_id: UUID, requests: list[Any]) -> list[Any]:
    """Submit all requests while the level is locked elsewhere, so that all but one wait; then unlock the level."""
    with stranger() as other:
        other.execute("SELECT FROM inventory_stocklevel WHERE id = %s FOR NO KEY UPDATE", [level_id])
        crew = Crew(*(partial(group_commit.submit, request) for request in requests))
        await_true(lambda: len(group_commit._waiting) == len(requests) - 1, "all but the leader to wait")
        other.rollback()
        return crew.join()


@pytest.fixture
def _patient_batches(settings: Any) -> None:
    settings.GROUP_COMMIT_LOCK_TIMEOUT = 20.0


@pytest.mark.usefixtures("_patient_batches")
def test_concurrent_requests_share_a_transaction_and_keep_actor_request_and_key() -> None:
    level = make_level(ASKERS)
    requests = [
        hold_request(
            (level, 1),
            actor=Actor(f"actor-{number}", uuid7(), f"request-{number}", "api"),
            claim=Claim(uuid7(), f"key-{number}", b"print", lambda held: StoredAnswer(201, b"{}")),
        )
        for number in range(ASKERS)
    ]
    outcomes = submit_while_one_leads(GroupCommit(place_holds, leaders=1), level.id, requests)
    ids = [outcome.hold.id for outcome in outcomes]
    assert ids == [request.id for request in requests]
    assert transactions_of(ids) == 2
    entries = AuditEntry.objects.filter(subject_id__in=ids)
    assert {entry.subject_id: (entry.actor, entry.request_id) for entry in entries} == {
        request.id: (request.actor.name, request.actor.request_id) for request in requests
    }
    assert IdempotencyKey.objects.count() == ASKERS
    assert counters(level) == (ASKERS, ASKERS)


def test_a_level_locked_elsewhere_delays_only_its_own_requests() -> None:
    locked, free = make_level(10), make_level(10)
    group_commit: GroupCommit[HoldRequest] = GroupCommit(place_holds, leaders=1)
    wanting = [hold_request((locked, 1)), *(hold_request((free, 1)) for _ in range(4))]
    with stranger() as other:
        other.execute("SELECT FROM inventory_stocklevel WHERE id = %s FOR NO KEY UPDATE", [locked.id])
        crew = Crew(*(partial(group_commit.submit, request) for request in wanting))
        await_true(lambda: crew.are_done(1, 2, 3, 4), "those who want the free level to be answered")
        assert not crew.are_done(0)
        other.rollback()
        outcomes = crew.join()
    assert {type(outcome) for outcome in outcomes} == {PlacedHold}
    assert counters(locked) == (10, 1)
    assert counters(free) == (10, 4)


def test_a_request_that_waits_too_long_alone_is_busy(settings: Any) -> None:
    settings.LOCK_TIMEOUT = 0.5
    level = make_level(10)
    group_commit: GroupCommit[HoldRequest] = GroupCommit(place_holds, leaders=1)
    with stranger() as other:
        other.execute("SELECT FROM inventory_stocklevel WHERE id = %s FOR NO KEY UPDATE", [level.id])
        outcomes = together(*(partial(group_commit.submit, hold_request((level, 1))) for _ in range(4)))
        other.rollback()
    assert {type(outcome) for outcome in outcomes} == {Busy}
    assert counters(level) == (10, 0)
    assert not Reservation.objects.exists()


@pytest.mark.usefixtures("_patient_batches")
def test_requests_of_a_leader_whose_connection_is_cut_still_get_stock() -> None:
    level = make_level(ASKERS)
    group_commit: GroupCommit[HoldRequest] = GroupCommit(place_holds, leaders=1)
    with stranger() as other:
        other.execute("SELECT FROM inventory_stocklevel WHERE id = %s FOR NO KEY UPDATE", [level.id])
        crew = Crew(*(partial(group_commit.submit, hold_request((level, 1))) for _ in range(ASKERS)))
        await_true(lambda: len(group_commit._waiting) == ASKERS - 1, "all but the leader to wait")
        await_waiting()
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
                "WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
            assert cursor.fetchone()[0] == 1
        other.rollback()
        outcomes = crew.join()
    assert {type(outcome) for outcome in outcomes} == {PlacedHold}
    assert counters(level) == (ASKERS, ASKERS)


@pytest.mark.usefixtures("_patient_batches")
def test_sales_are_combined_too_and_each_is_its_own() -> None:
    level = make_level(ASKERS)
    held = [hold((level, 1)) for _ in range(ASKERS)]
    requests = [ConsumeRequest(ACTOR, f"order-{n}", Selector(reservation_id=h.id)) for n, h in enumerate(held)]
    outcomes = submit_while_one_leads(GroupCommit(consume_holds, leaders=1), level.id, requests)
    assert all(isinstance(outcome, Resolved) for outcome in outcomes)
    assert [outcome.holds[0].order_id for outcome in outcomes] == [request.order_id for request in requests]
    assert transactions_of([h.id for h in held]) == 2
    assert counters(level) == (0, 0)


def test_a_sold_out_level_refuses_each_with_what_there_was() -> None:
    level = make_level(1)
    hold((level, 1))
    group_commit: GroupCommit[HoldRequest] = GroupCommit(place_holds, leaders=1)
    outcomes = together(*(partial(group_commit.submit, hold_request((level, 2))) for _ in range(6)))
    assert all(isinstance(outcome, InsufficientStock) for outcome in outcomes)
    assert {outcome.shortages[0].available for outcome in outcomes} == {0}
