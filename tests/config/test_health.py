"""The probes of liveness and readiness."""

from typing import Any

import pytest
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder
from django.db.utils import OperationalError
from django.test import Client

from config import health

READY = "/health/ready"


@pytest.fixture(autouse=True)
def _not_asked_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "_migrated", False)


def get(path: str, host: str = "localhost") -> Any:
    return Client(headers={"Host": host}).get(path)


def test_a_process_that_answers_is_alive_whatever_the_database() -> None:
    response = get("/health/live")
    assert (response.status_code, response.json()) == (200, {"status": "ok"})


@pytest.mark.django_db
def test_with_a_migrated_database_it_is_ready() -> None:
    response = get(READY)
    assert response.status_code == 200
    assert response.json() == {"status": "ok", "checks": {"database": "ok", "migrations": "ok"}}


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
def test_with_the_database_away_it_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(execute: Any, *arguments: Any) -> Any:
        raise OperationalError("the database is away")

    with connection.execute_wrapper(away):
        response = get(READY)
    assert response.status_code == 503
    assert response.json() == {"status": "unavailable", "checks": {"database": "away"}}


@pytest.mark.django_db
def test_once_migrated_it_is_not_asked_again(django_assert_num_queries: Any) -> None:
    get(READY)
    with django_assert_num_queries(1):
        assert get(READY).status_code == 200


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/health/live", READY])
def test_probes_come_by_address_and_only_read(path: str) -> None:
    assert get(path, host="10.1.2.3").status_code == 200
    assert Client(headers={"Host": "localhost"}).head(path).status_code == 200
    assert Client(headers={"Host": "localhost"}).post(path).status_code == 405
    assert get(path).headers["X-Request-ID"]
