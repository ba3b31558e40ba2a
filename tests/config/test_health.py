"""The probes, and the status in detail: who may read it, what makes it DEGRADED and DOWN, and what reading it costs."""

import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from django.conf import settings
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder
from django.db.utils import OperationalError
from django.test import Client
from django.test.utils import CaptureQueriesContext

from audit import feed, heartbeats
from audit.db.postgresql.pool import Pool
from audit.models import Heartbeat, OutboxEvent
from audit.roles import Role
from config.health import components, facts, readiness, status
from config.health.components import Status
from inventory.models import ReconciliationRun
from reservations.models import Reservation
from reservations.services.bookkeeping.reconciliation import NIGHTLY, reconcile
from tests.audit.feed.writers import write
from tests.conftest import Api, body_of
from tests.factories import hold, make_due, make_level, make_store

READY = "/health/ready"
STATUS = "/health/status"
NOWHERE = 1
"""A port that nobody listens on."""


@pytest.fixture(autouse=True)
def _not_asked_yet() -> Iterator[None]:
    readiness.forget()
    status.forget()
    yield
    readiness.forget()
    status.forget()


@pytest.fixture
def _all_well(db: None) -> None:
    """Everything has run a moment ago."""
    for name in heartbeats.expected():
        heartbeats.beat(name)


def get(path: str, host: str = "localhost") -> Any:
    return Client(headers={"Host": host}).get(path)


def details(api: Api, code: int = 200) -> dict[str, Any]:
    """The components by name, each with its details."""
    status.forget()
    body: dict[str, Any] = body_of(api.get(STATUS), code)
    return {"status": body["status"], **body["components"], "capped": body["capped"]}


@pytest.fixture
def _database_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections that are opened from now on reach no server."""
    monkeypatch.setitem(connection.settings_dict, "HOST", "127.0.0.1")
    monkeypatch.setitem(connection.settings_dict, "PORT", NOWHERE)


def test_a_process_that_answers_is_alive_whatever_the_database() -> None:
    response = get("/health/live")
    assert (response.status_code, response.json()) == (200, {"status": "ok"})


@pytest.mark.django_db
def test_with_a_migrated_database_it_is_ready() -> None:
    response = get(READY)
    assert response.status_code == 200
    assert response.json() == {"status": "ok", "checks": {"database": "ok", "migrations": "ok", "pool": "ok"}}


@pytest.mark.django_db
def test_after_a_roll_back_a_database_with_newer_migrations_is_ready() -> None:
    MigrationRecorder(connection).record_applied("audit", "9999_of_the_next_release")
    assert get(READY).status_code == 200


@pytest.mark.django_db
def test_with_a_pending_migration_it_is_not_until_that_is_applied() -> None:
    last = MigrationRecorder.Migration.objects.filter(app="reservations").latest("name")
    last.delete()
    response = get(READY)
    assert response.status_code == 503
    assert response.json()["checks"]["migrations"] == "pending"
    MigrationRecorder.Migration.objects.create(app="reservations", name=last.name)
    assert get(READY).status_code == 200


@pytest.mark.django_db
@pytest.mark.usefixtures("_database_away")
def test_with_the_database_away_it_is_not() -> None:
    response = get(READY)
    assert response.status_code == 503
    assert response.json() == {"status": "unavailable", "checks": {"database": "away"}}
    assert get(STATUS).json() == {"status": "DOWN"}


@pytest.mark.django_db
def test_it_is_ready_again_once_its_lost_connection_can_be_replaced() -> None:
    assert get(READY).status_code == 200
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE query = 'SELECT 1' AND pid <> pg_backend_pid() AND datname = current_database()"
        )
    assert get(READY).status_code == 200


@pytest.mark.django_db
def test_once_migrated_a_probe_sends_nothing_on_the_connections_of_requests() -> None:
    get(READY)
    with CaptureQueriesContext(connection) as queries:
        assert get(READY).status_code == 200
    assert not queries


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/health/live", READY, STATUS])
def test_probes_come_by_address_and_only_read(path: str) -> None:
    assert get(path, host="10.1.2.3").status_code == 200
    assert Client(headers={"Host": "localhost"}).head(path).status_code == 200
    assert Client(headers={"Host": "localhost"}).post(path).status_code == 405
    assert get(path).headers["X-Request-ID"]
    assert get(path).headers["Cache-Control"] == "no-store"


# ----------------------------------------------------------------------------------------------------------- the pool


def test_a_pool_stalls_only_if_requests_wait_and_none_is_served_for_long() -> None:
    now = 0.0
    watch = readiness.PoolWatch(lambda: now)
    taken: list[Any] = []

    def is_stalled(after: float) -> bool:
        nonlocal now
        now += after
        return watch.is_stalled(dict(pool.get_stats()))

    pool = Pool(max_size=1, timeout=30)
    with closing(psycopg.connect(**connection.get_connection_params())) as only:
        taken.append(pool.take(lambda: only))
        assert not is_stalled(100)  # All are taken, and nobody waits.
        waiting = threading.Thread(target=lambda: taken.append(pool.take(lambda: only)))
        waiting.start()
        while not pool.get_stats().get("requests_waiting"):
            pass
        assert not is_stalled(100)  # It may have begun to wait just now.
        assert not is_stalled(readiness.STALLED_SECONDS - 1)
        assert is_stalled(1)
        pool.give_back(taken.pop())
        waiting.join()
        assert not is_stalled(100)
        pool.give_back(taken.pop())


def test_a_busy_pool_that_goes_on_serving_never_stalls() -> None:
    now = 0.0
    watch = readiness.PoolWatch(lambda: now)
    for requests in range(100, 1000, 10):
        now += 5
        assert not watch.is_stalled({"requests_num": requests, "requests_waiting": 50, "requests_errors": 3})


# --------------------------------------------------------------------------------------------------------- the status


@pytest.mark.usefixtures("_all_well", "store")
def test_where_all_is_well_each_component_is_up(api: Api) -> None:
    hold((make_level(), 2))
    feed.tick()
    found = details(api)
    assert found["status"] == "UP", found
    assert found["reservations"]["details"]["activeReservations"] == 1
    assert found["reservations"]["details"]["stuckReservations"] == 0
    assert found["stock"]["details"] == {"criticalStockItems": 0}
    assert found["capped"] == []
    assert {"database", "pool", "redis", "beat", "sweeper", "worker", "relay", "feed", "webhooks"} < set(found)


@pytest.mark.usefixtures("_all_well", "store")
def test_more_than_100_stuck_reservations_are_down_and_fewer_degraded(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    level = make_level(1000)
    held = [hold((level, 1)).id for _ in range(3)]
    make_due(*held, ago=facts.stuck_after() - timedelta(seconds=5))
    assert details(api)["reservations"]["status"] == "UP"  # Due, but the sweeper has still time.
    make_due(*held, ago=facts.stuck_after() + timedelta(seconds=5))
    found = details(api)["reservations"]
    assert (found["status"], found["details"]["stuckReservations"]) == ("DEGRADED", 3)
    assert found["details"]["oldestDueSeconds"] > 60
    monkeypatch.setattr(components, "STUCK_AT_MOST", 2)
    found = details(api, 503)
    assert (found["status"], found["reservations"]["status"]) == ("DOWN", "DOWN")


def test_the_limit_of_stuck_reservations_is_100() -> None:
    assert components.STUCK_AT_MOST == 100


@pytest.mark.usefixtures("_all_well")
@pytest.mark.parametrize("name", ["beat", "sweeper", "worker", "relay"])
def test_a_process_that_stops_or_never_ran_is_degraded(api: Api, name: str) -> None:
    Heartbeat.objects.filter(name=name).delete()
    found = details(api)
    assert (found["status"], found[name]["status"], found[name]["details"]["ageSeconds"]) == (
        "DEGRADED",
        "DEGRADED",
        None,
    )
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        now = cursor.fetchone()[0]
    heartbeats.write(name, now - heartbeats.expected()[name] - timedelta(seconds=1))
    assert details(api)[name]["status"] == "DEGRADED"
    heartbeats.beat(name)
    assert details(api)["status"] == "UP"


@pytest.mark.usefixtures("_all_well")
def test_without_redis_it_is_degraded_and_still_answers_200(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "REDIS_URL", f"redis://127.0.0.1:{NOWHERE}/0")
    found = details(api)
    assert (found["status"], found["redis"]["status"]) == ("DEGRADED", "DEGRADED")


@pytest.mark.django_db(transaction=True)  # The event is committed.
@pytest.mark.usefixtures("_all_well")
def test_events_that_nobody_makes_visible_or_publishes_are_lag(api: Api) -> None:
    feed.tick()
    write("a")
    with connection.cursor() as cursor:
        cursor.execute("UPDATE audit_outboxevent SET created_at = created_at - interval '5 minutes'")
    found = details(api)
    assert found["feed"]["status"] == "DEGRADED"
    assert found["feed"]["details"]["lagSeconds"] >= 300
    feed.tick()
    found = details(api)
    assert found["feed"] == {"status": "UP", "details": {"lagSeconds": 0.0}}
    stream = found[f"stream redis {settings.EVENT_STREAM}"]
    assert (stream["status"], stream["details"]["lagSeconds"] >= 300) == ("DEGRADED", True)
    assert OutboxEvent.objects.count() == 1


@pytest.mark.usefixtures("_all_well", "store")
def test_differences_and_late_reconciliations_and_backups_are_degraded(api: Api) -> None:
    found = details(api)
    assert found["reconciliation"] == {"status": "UP", "details": {"lastFinishedAt": None}}
    assert found["backup"] == {"status": "UP", "details": {"lastAt": None}}
    reconcile(NIGHTLY)
    heartbeats.beat(heartbeats.BACKUP)
    found = details(api)
    assert (found["reconciliation"]["status"], found["reconciliation"]["details"]["differences"]) == ("UP", 0)
    assert found["backup"]["status"] == "UP"
    with connection.cursor() as cursor:
        cursor.execute("UPDATE audit_heartbeat SET at = at - interval '27 hours' WHERE name = 'backup'")
        cursor.execute(
            "UPDATE inventory_reconciliationrun SET started_at = started_at - interval '27 hours',"
            " finished_at = finished_at - interval '27 hours'"
        )
    found = details(api)
    assert (found["reconciliation"]["status"], found["backup"]["status"]) == ("DEGRADED", "DEGRADED")
    Reservation.objects.all().delete()
    level = make_level(5)
    type(level).objects.filter(pk=level.pk).update(on_hand=6)
    reconcile(NIGHTLY)
    found = details(api)["reconciliation"]
    assert (found["status"], found["details"]["differences"]) == ("DEGRADED", 1)
    assert ReconciliationRun.objects.count() == 2


def test_statuses_are_the_worst_of_their_components() -> None:
    up, late, down = (components.Component(each) for each in Status)
    assert components.worst([]) is Status.UP
    assert components.worst([up, late]) is Status.DEGRADED
    assert components.worst([late, down, up]) is Status.DOWN


@pytest.mark.django_db
def test_details_are_for_tokens_that_may_read_them(make_api: Any) -> None:
    make_store("main")
    assert set(get(STATUS).json()) == {"status"}
    for role in Role:
        may = role in {Role.MANAGER, Role.AUDITOR}
        assert make_api(role).get(STATUS).status_code == (200 if may else 403)
        assert make_api(role, stores=("main",)).get(STATUS).status_code == 403
    response = Api("not.a-token").get(STATUS)
    assert (response.status_code, response.json()["code"]) == (401, "not_authenticated")
    assert "components" in make_api(Role.AUDITOR).get(STATUS).json()


@pytest.mark.django_db
def test_however_often_it_is_asked_it_is_read_once_in_some_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status, "KEPT_SECONDS", 600)
    with CaptureQueriesContext(connection) as first:
        get(STATUS)
    assert 0 < len(first) < 40
    with CaptureQueriesContext(connection) as queries:
        for _ in range(20):
            assert get(STATUS).status_code == 200
    assert not queries
    monkeypatch.setattr(status, "KEPT_SECONDS", 0)
    with CaptureQueriesContext(connection) as queries:
        get(STATUS)
    assert queries


@pytest.mark.django_db
def test_what_can_not_be_read_in_time_is_degraded_and_no_500(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    assert api.get(STATUS).status_code == 200

    def slow() -> facts.Facts:
        raise OperationalError("canceling statement due to statement timeout")

    monkeypatch.setattr(facts, "read", slow)
    found = details(api)
    assert (found["status"], found["database"]["status"]) == ("DEGRADED", "DEGRADED")
    assert "canceling" not in str(found)
