"""Whether the service's own PostgreSQL role may do more than the service needs."""

import threading
import time
from collections.abc import Sequence
from typing import Any, Final

import structlog
from django.conf import settings
from django.core import checks
from django.db import DEFAULT_DB_ALIAS, Error, connections

logger = structlog.get_logger(__name__)
_RETRY_SECONDS: Final = 10.0
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
    """Warn of a superuser, outside DEBUG and DEMO: no trigger and no owner stops one, and its server runs programs."""
    if settings.IS_LOCAL:
        return []
    return [warning for alias in databases or () for warning in _warnings(alias)]


def warn_at_start() -> None:
    """Log the warning once, as soon as the database answers: a server starts without waiting for it."""
    if not settings.IS_LOCAL:
        threading.Thread(target=_log, name="service-role", daemon=True).start()


def _log() -> None:
    while (found := _warnings_if_reachable()) is None:
        time.sleep(_RETRY_SECONDS)
    for warning in found:
        logger.warning("service_role_is_superuser", detail=warning.msg, hint=warning.hint)


def _warnings_if_reachable() -> list[checks.CheckMessage] | None:
    try:
        return check_service_role(databases=[DEFAULT_DB_ALIAS])
    except Error:
        return None
    finally:
        connections[DEFAULT_DB_ALIAS].close()


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
