"""Poolers such as PgBouncer between the service and PostgreSQL, and the prepared statements that they may lose.

A pooler in transaction mode gives each transaction another session of the server. Unless it follows prepared statements
(PgBouncer's ``max_prepared_statements``, from 1.21 on), a statement that was prepared in one session is missing in the
next one; worse, another client's may be there under the same name, and be executed in its place. So this is found out
when a connection is opened, before anything is prepared on it.
"""

from typing import Any, Final
from uuid import uuid4

import psycopg
import structlog

logger = structlog.get_logger(__name__)

_SEEN: Final = "SELECT count(*)::int FROM pg_prepared_statements WHERE name = %s"
LOST_STATEMENT: Final = (psycopg.errors.InvalidSqlStatementName, psycopg.errors.DuplicatePreparedStatement)
"""What the server says if a pooler lost a prepared statement, or mixed up two."""
_HINT: Final = (
    "Set max_prepared_statements of PgBouncer (1.21 or later), and restart this process; or set"
    " DATABASE_PREPARED_STATEMENTS=false, which is slower, to be rid of this warning."
)
_forbids = False


def forbid_prepared() -> bool:
    """Whether this process prepares no statements, because a pooler would lose them."""
    return _forbids


def suits(opened: psycopg.Connection[Any]) -> bool:
    """Whether a connection may still be used: not if it prepares statements and a pooler loses them."""
    return not _forbids or opened.prepare_threshold is None


def examine(opened: psycopg.Connection[Any]) -> None:
    """Find out whether the pooler behind a new connection follows prepared statements; switch them off if not.

    One that follows them gives them names of its own: the server doesn't know ours.
    """
    if opened.prepare_threshold is None:
        return
    name = f"probe_{uuid4().hex}"
    with opened.transaction():
        opened.pgconn.prepare(name.encode(), b"SELECT 1")
        row = opened.execute(_SEEN, [name], prepare=False).fetchone()
        is_passed_on = bool(row and row[0])
        if is_passed_on:
            opened.execute(f"DEALLOCATE {name}", prepare=False)
    if is_passed_on:
        opened.prepare_threshold = None
        _switch_off("the pooler passes prepared statements on, and gives each transaction another session")


def lost_a_statement(error: psycopg.Error) -> bool:
    """Whether an error means that a pooler lost a prepared statement, or mixed up two. It switches them off then.

    Such a statement wasn't executed, and its transaction is rolled back: it may be repeated.
    """
    if not isinstance(error, LOST_STATEMENT):
        return False
    _switch_off(str(error))
    return True


def _switch_off(reason: str) -> None:
    global _forbids  # noqa: PLW0603 - for all threads of the process
    if not _forbids:
        _forbids = True
        logger.warning("prepared_statements_switched_off", reason=reason, hint=_HINT)
