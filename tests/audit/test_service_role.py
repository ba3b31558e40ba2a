"""A service that connects as a superuser is warned, with the SQL that gives it a role of its own."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.core.checks import Tags, registry
from django.db import OperationalError, connection

from audit.db import service_role
from audit.db.service_role import check_service_role

pytestmark = pytest.mark.django_db


def test_superuser_is_warned_of_outside_debug(settings: Any) -> None:
    settings.IS_LOCAL = False
    [warning] = check_service_role(databases=["default"])
    assert "as inventory, a superuser" in warning.msg
    assert "CREATE ROLE inventory_app" in str(warning.hint)  # The role of the embedded server can't be demoted.
    settings.IS_LOCAL = True
    assert check_service_role(databases=["default"]) == []


def test_second_superuser_is_demoted_by_the_sql_of_the_warning(settings: Any) -> None:
    settings.IS_LOCAL = False
    with connection.cursor() as cursor:
        cursor.execute('CREATE ROLE "too mighty" SUPERUSER')
        cursor.execute('SET LOCAL ROLE "too mighty"')
        [warning] = check_service_role(databases=["default"])
        cursor.execute("RESET ROLE")
        cursor.execute(str(warning.hint).splitlines()[-1])
        cursor.execute('SET LOCAL ROLE "too mighty"')
        assert check_service_role(databases=["default"]) == []
        cursor.execute("RESET ROLE")


def test_server_that_starts_before_its_database_warns_later(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.IS_LOCAL = False
    answers = iter([OperationalError("away"), OperationalError("away")])
    warnings, logged = service_role._warnings, []

    def away(alias: str) -> Any:
        if error := next(answers, None):
            raise error
        return warnings(alias)

    monkeypatch.setattr(service_role, "_warnings", away)
    monkeypatch.setattr(service_role, "_RETRY_SECONDS", 0.0)
    monkeypatch.setattr(service_role.logger, "warning", lambda event, **facts: logged.append((event, facts["hint"])))
    with ThreadPoolExecutor(1) as thread:
        thread.submit(service_role._log).result()
    assert [event for event, _ in logged] == ["service_role_is_superuser"]
    assert "CREATE ROLE inventory_app" in logged[0][1]


def test_migrate_and_the_check_of_databases_look_at_it() -> None:
    assert check_service_role in registry.registry.registered_checks
    assert Tags.database in check_service_role.tags  # type: ignore[attr-defined]
