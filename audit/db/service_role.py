"""Whether the service's own PostgreSQL role may do more than the service needs."""

from collections.abc import Sequence
from typing import Any, Final

from django.conf import settings
from django.core import checks
from django.db import connections

_BOOTSTRAP_ROLE: Final = 10
"""The id of the role that PostgreSQL was installed with: it can't be made an ordinary one."""
_DEMOTE: Final = "ALTER ROLE {role} NOSUPERUSER;"
_REPLACE: Final = """\
CREATE ROLE inventory_app LOGIN PASSWORD 'choose one';
ALTER DATABASE {database} OWNER TO inventory_app;
ALTER SCHEMA public OWNER TO inventory_app;
SELECT format('ALTER TABLE %s OWNER TO inventory_app', oid::regclass) FROM pg_class
  WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'm') \\gexec
SELECT format('ALTER ROUTINE %s OWNER TO inventory_app', oid::regprocedure) FROM pg_proc
  WHERE pronamespace = 'public'::regnamespace \\gexec
-- Then put inventory_app and its password into DATABASE_URL."""


def check_service_role(*, databases: Sequence[str] | None = None, **_: Any) -> list[checks.CheckMessage]:
    """Warn of a superuser, outside DEBUG: no trigger and no owner stops one, and it runs programs on its server."""
    if settings.DEBUG:
        return []
    return [warning for alias in databases or () for warning in _warnings(alias)]


def _warnings(alias: str) -> list[checks.CheckMessage]:
    connection = connections[alias]
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT oid, quote_ident(rolname), quote_ident(current_database()), rolsuper"
            " FROM pg_roles WHERE rolname = current_user"
        )
        oid, role, database, is_superuser = cursor.fetchone()
    if not is_superuser:
        return []
    hint = _REPLACE if oid == _BOOTSTRAP_ROLE else _DEMOTE
    return [
        checks.Warning(
            f"The service connects to PostgreSQL as {role}, a superuser: whoever takes it over has the server.",
            hint=f"Give it a role of its own. In psql, as a superuser:\n{hint.format(role=role, database=database)}",
            id="audit.W001",
        )
    ]
