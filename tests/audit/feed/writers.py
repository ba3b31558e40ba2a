"""Writes events as transactions of their own, on connections that stay open as long as a test wants."""

from typing import Any, Self

import psycopg
from django.db import connection
from uuid_utils.compat import uuid7

_INSERT = """
INSERT INTO audit_outboxevent (id, aggregatetype, aggregateid, type, payload) VALUES (%s, 'test', %s, 'TestEvent', %s)
RETURNING position
"""


class Writer:
    """A transaction on a connection of its own, which is committed at the end of the block."""

    def __init__(self) -> None:
        self._connection: psycopg.Connection[Any] = psycopg.connect(**connection.get_connection_params())

    def __enter__(self) -> Self:
        return self

    def write(self, *keys: str) -> list[int]:
        """Write an event for each key. Returns their positions."""
        rows = [self._connection.execute(_INSERT, [uuid7(), key, "{}"]).fetchone() for key in keys]
        return [row[0] for row in rows if row]

    def execute(self, sql: str) -> None:
        self._connection.execute(sql.encode())

    def commit(self) -> None:
        self._connection.commit()

    def rollback(self) -> None:
        self._connection.rollback()

    def __exit__(self, *_: object) -> None:
        self._connection.commit()
        self._connection.close()


def write(*keys: str) -> list[int]:
    """Write and commit an event for each key in one transaction. Returns their positions."""
    with Writer() as writer:
        return writer.write(*keys)
