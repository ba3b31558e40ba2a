"""How the writers' statements reach the database: each by itself, or all of a change as one.

Every statement of a transaction costs its way to the server and back through several threads that want the same
interpreter; the rows themselves cost little (docs/performance.md).
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import Any

from django.db import connection

_Statement = tuple[str, Sequence[Any]]
has_written: ContextVar[bool] = ContextVar("has_written", default=False)
"""Whether this thread has sent a write since the flag was last lowered: without one there is nothing to commit."""
_collected: ContextVar[list[_Statement] | None] = ContextVar("collected", default=None)


def write(sql: str, parameters: Sequence[Any]) -> None:
    """Send an INSERT or UPDATE that returns nothing, or keep it for the end of ``one_statement``."""
    collected = _collected.get()
    if collected is None:
        _send(sql, parameters)
    else:
        collected.append((sql, parameters))


@contextmanager
def one_statement() -> Iterator[None]:
    """Send what is written inside as one statement at the end of the block; nothing if the block raises.

    The parts all see the rows as they were before: none of them may build on what another writes.
    """
    collected: list[_Statement] = []
    token = _collected.set(collected)
    try:
        yield
    finally:
        _collected.reset(token)
    if collected:
        _send(
            _composed(tuple(sql for sql, _ in collected)),
            [value for _, parameters in collected for value in parameters],
        )


def _send(sql: str, parameters: Sequence[Any]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
    has_written.set(True)


@cache
def _composed(statements: tuple[str, ...]) -> str:
    """One statement that does all of these; the same text for the same statements, so that it is prepared once."""
    if len(statements) == 1:
        return statements[0]
    parts = ", ".join(f"part_{number} AS ({sql.strip()})" for number, sql in enumerate(statements))
    return f"WITH {parts} SELECT"
