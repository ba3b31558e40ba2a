"""How the writers' statements reach the database: each by itself, or all of a change as one.

Every statement of a transaction costs its way to the server and back through several threads that want the same
interpreter; the rows themselves cost little (docs/explanation/performance.md).
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from typing import Any

from django.db import connection

_Statement = tuple[str, Sequence[Any]]
has_written: ContextVar[bool] = ContextVar("has_written", default=False)
"""Whether this thread has sent a write since the flag was last lowered: without one there is nothing to commit."""
_collected: ContextVar[list[_Statement] | None] = ContextVar("collected", default=None)


@dataclass(frozen=True, slots=True)
class Relation:
    """Rows that a statement is about: a SELECT, under the name by which the statement's parts read from it."""

    name: str
    sql: str
    parameters: Sequence[Any]


def write(sql: str, parameters: Sequence[Any]) -> str:
    """Send an INSERT or UPDATE, or keep it for the end of ``one_statement``.

    What it returns (RETURNING) is for later parts of the same statement alone: they select from the name that this
    function gives. Empty outside ``one_statement``.
    """
    collected = _collected.get()
    if collected is None:
        _send(sql, parameters)
        return ""
    collected.append((sql, parameters))
    return f"part_{len(collected) - 1}"


@contextmanager
def one_statement() -> Iterator[None]:
    """Send what is written inside as one statement at the end of the block; nothing if the block raises.

    The parts all see the rows as they were before: none of them may build on what another writes, but on what it
    returns. A block inside another joins it.
    """
    if _collected.get() is not None:
        yield
        return
    with _collecting() as collected:
        yield
    if collected:
        _send(_composed(tuple(sql for sql, _ in collected)), _parameters(collected))


def write_about(relation: Relation, work: Callable[[], None]) -> int:
    """Send what ``work`` writes as one statement whose parts may read from the relation; how many rows it had.

    For changes of thousands of rows that never come here: each row costs the database alone. Nothing is sent if
    ``work`` raises. The parts all see the rows as they were before.
    """
    with _collecting() as collected:
        work()
    statements = [(relation.sql, relation.parameters), *collected]
    with connection.cursor() as cursor:
        cursor.execute(_composed_about(relation.name, tuple(sql for sql, _ in statements)), _parameters(statements))
        has_written.set(True)
        count: int = cursor.fetchone()[0]
        return count


@contextmanager
def _collecting() -> Iterator[list[_Statement]]:
    collected: list[_Statement] = []
    token = _collected.set(collected)
    try:
        yield collected
    finally:
        _collected.reset(token)


def _parameters(statements: Sequence[_Statement]) -> list[Any]:
    return [value for _, parameters in statements for value in parameters]


def rfc3339(column: str) -> str:
    """The SQL of a time's text as JSON has it here: in UTC, to the microsecond, without a fraction that is zero."""
    return f"""to_char({column} AT TIME ZONE 'UTC', CASE WHEN date_trunc('second', {column}) = {column}
    THEN 'YYYY-MM-DD"T"HH24:MI:SS"Z"' ELSE 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"' END)"""


def _send(sql: str, parameters: Sequence[Any]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
    has_written.set(True)


@cache
def _composed(statements: tuple[str, ...]) -> str:
    """One statement that does all of these; the same text for the same statements, so that it is prepared once."""
    if len(statements) == 1:
        return statements[0]
    return f"WITH {_parts(statements)} SELECT"


@cache
def _composed_about(name: str, statements: tuple[str, ...]) -> str:
    """One statement that reads the first and does the others, and counts what it read."""
    relation, *parts = statements
    return f"WITH {name} AS MATERIALIZED ({relation.strip()}), {_parts(parts)} SELECT count(*) FROM {name}"  # noqa: S608


def _parts(statements: Sequence[str]) -> str:
    return ", ".join(f"part_{number} AS ({sql.strip()})" for number, sql in enumerate(statements))
