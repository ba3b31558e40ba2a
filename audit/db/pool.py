"""The pool of database connections: a web process has fewer of them than threads."""

from django.conf import settings
from django.db import connection


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
