"""The pool of database connections: a web process has fewer of them than threads."""

from typing import cast

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, connection, connections

from audit.db.postgresql.base import DatabaseWrapper


def give_back_connection() -> None:
    """Give this thread's connection back to the pool, before it waits or works for long without it.

    It keeps one on which a transaction is open. Without a pool it keeps any: a command may hold a lock on it, and no
    other thread could use it. The next query takes a connection again.
    """
    if is_pooled() and not connection.in_atomic_block:
        connection.close()


def is_pooled() -> bool:
    """Whether the threads of this process share connections (``DATABASE_POOL_SIZE``)."""
    return "pool" in settings.DATABASES["default"]["OPTIONS"]


def own_connection() -> DatabaseWrapper:
    """This thread's connection."""
    return cast(DatabaseWrapper, connections[DEFAULT_DB_ALIAS])


def connect_until(deadline: float) -> None:
    """Connect this thread, if it isn't, by this time (``time.monotonic``). Raises OperationalError."""
    own_connection().connect_until(deadline)
