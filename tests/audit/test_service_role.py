"""A service that connects as a superuser is warned, with the SQL that gives it a role of its own."""

from typing import Any

import pytest
from django.core.checks import Tags, registry
from django.db import connection

from audit.db.service_role import check_service_role

pytestmark = pytest.mark.django_db


def test_superuser_is_warned_of_outside_debug(settings: Any) -> None:
    settings.DEBUG = False
    [warning] = check_service_role(databases=["default"])
    assert "as inventory, a superuser" in warning.msg
    assert "CREATE ROLE inventory_app" in str(warning.hint)  # The role of the embedded server can't be demoted.
    settings.DEBUG = True
    assert check_service_role(databases=["default"]) == []


def test_second_superuser_is_demoted_by_the_sql_of_the_warning(settings: Any) -> None:
    settings.DEBUG = False
    with connection.cursor() as cursor:
        cursor.execute('CREATE ROLE "too mighty" SUPERUSER')
        cursor.execute('SET LOCAL ROLE "too mighty"')
        [warning] = check_service_role(databases=["default"])
        cursor.execute("RESET ROLE")
        cursor.execute(str(warning.hint).splitlines()[-1])
        cursor.execute('SET LOCAL ROLE "too mighty"')
        assert check_service_role(databases=["default"]) == []
        cursor.execute("RESET ROLE")


def test_migrate_and_the_check_of_databases_look_at_it() -> None:
    assert check_service_role in registry.registry.registered_checks
    assert Tags.database in check_service_role.tags  # type: ignore[attr-defined]
