"""Sending of INSERT and UPDATE statements: each by itself, or all of one change composed into one statement.

Every statement costs a round trip to the server and switches between threads that compete for the interpreter lock; the
rows themselves cost little (docs/explanation/performance.md).
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, TypeVar

from django.db import connection

T = TypeVar("T")
Progress = Callable[[int], None]
"""Is called with the number of rows that are done so far."""
MOST_ROWS: Final = 5000
"""The most rows of a statement that ``batches`` makes."""
_Statement = tuple[str, Sequence[Any]]
has_written: ContextVar[bool] = ContextVar("has_written", default=False)
"""Whether this thread has sent a write since the flag was last reset: without one there is nothing to commit."""
_collected: ContextVar[list[_Statement] | None] = ContextVar("collected", default=None)


@dataclass(frozen=True, slots=True)
class Relation:
    """A SELECT of the rows that a composed statement works on, and the name by which its parts read them."""

    name: str
    sql: str
    parameters: Sequence[Any]
    figures: str = "count(*)"
    """What ``write_about`` returns of its rows: a list of aggregates."""


def write(sql: str, parameters: Sequence[Any]) -> str:
    """Send an INSERT or UPDATE; inside ``one_statement``, collect it for the end of the block.

    Returns the name under which later parts of the same statement can select its RETURNING rows; an empty text outside
    ``one_statement``.
    """
    collected = _collected.get()
    if collected is None:
        _send(sql, parameters)
        return ""
    collected.append((sql, parameters))
    return f"part_{len(collected) - 1}"


def batches(rows: Sequence[T]) -> Iterator[Sequence[T]]:
    """The rows in pieces of ``MOST_ROWS``, a statement each: one statement for all rows of a large file would run into
    the time limit of statements."""
    for start in range(0, len(rows), MOST_ROWS):
        yield rows[start : start + MOST_ROWS]


def no_progress(_done: int) -> None:
    """Report nothing."""


def is_writing() -> bool:
    """Whether this transaction has sent a write, or has collected one to send."""
    return has_written.get() or bool(_collected.get())


@contextmanager
def one_statement() -> Iterator[None]:
    """Send all writes of the block as one statement at its end; nothing if the block raises.

    All parts see the rows as they were before the statement: a part can't read the rows that another part writes, only
    the rows that it returns. A block inside another joins it.
    """
    if _collected.get() is not None:
        yield
        return
    with _collecting() as collected:
        yield
    if collected:
        _send(_composed(tuple(sql for sql, _ in collected)), _parameters(collected))


def write_about(relation: Relation, work: Callable[[], None]) -> tuple[Any, ...]:
    """Send all writes of ``work`` as one statement whose parts may read from the relation. Returns its ``figures``.

    For changes of thousands of rows that are never loaded into Python. Nothing is sent if ``work`` raises. All parts
    see the rows as they were before the statement.
    """
    with _collecting() as collected:
        work()
    statements = [(relation.sql, relation.parameters), *collected]
    with connection.cursor() as cursor:
        sql = _composed_about(relation.name, relation.figures, tuple(sql for sql, _ in statements))
        cursor.execute(sql, _parameters(statements))
        has_written.set(True)
        figures: tuple[Any, ...] = cursor.fetchone()
        return figures


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
    """The SQL that formats a time column as in JSON: RFC 3339 in UTC, to the microsecond, without a zero fraction."""
    return f"""to_char({column} AT TIME ZONE 'UTC', CASE WHEN date_trunc('second', {column}) = {column}
    THEN 'YYYY-MM-DD"T"HH24:MI:SS"Z"' ELSE 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"' END)"""


def _send(sql: str, parameters: Sequence[Any]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
    has_written.set(True)


@cache
def _composed(statements: tuple[str, ...]) -> str:
    """Compose statements into one. The same statements give the same text, so that it is prepared only once."""
    if len(statements) == 1:
        return statements[0]
    return f"WITH {_parts(statements)} SELECT"


@cache
def _composed_about(name: str, figures: str, statements: tuple[str, ...]) -> str:
    """Compose the first statement, a SELECT, and the others into one that returns figures of the rows selected."""
    relation, *parts = statements
    return f"WITH {name} AS MATERIALIZED ({relation.strip()}), {_parts(parts)} SELECT {figures} FROM {name}"  # noqa: S608


def _parts(statements: Sequence[str]) -> str:
    return ", ".join(f"part_{number} AS ({sql.strip()})" for number, sql in enumerate(statements))
