"""The one database session of a sender, in a thread of its own: it holds the locks of the subscriptions."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any, Final, ParamSpec, TypeVar

import psycopg
from django.db import InterfaceError, OperationalError, connection

from audit.db.pool import own_connection

P = ParamSpec("P")
R = TypeVar("R")
_LOCK_TIMEOUT: Final = "500ms"
_IDLE_TIMEOUT: Final = "60s"
"""How long the server keeps a session that doesn't respond, and so the locks of a machine that is lost."""
_PAUSE_SECONDS: Final = 0.2
_OTHERS: Final = 4
"""How many connections ask a pooler for a session at the same time: fewer than the pools of poolers usually have."""
_NEEDS_ITS_SESSION: Final = (
    "The sender of webhooks needs a connection that keeps its session, not a pooler in transaction mode: give the relay"
    " a DATABASE_URL that leads straight to PostgreSQL."
)


class Database:
    """Calls functions in the session, one at a time. A session that is lost is not replaced: open another Database."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "webhooks")

    async def open(self) -> None:
        """Connect. Raises OperationalError."""
        self._session = await self._run(_connect)

    async def check(self) -> None:
        """Raise OperationalError if statements go to another session than the one that holds the locks."""
        if await self.call(_session) != self._session:
            raise OperationalError(_NEEDS_ITS_SESSION)

    async def close(self) -> None:
        """Disconnect, which releases all locks."""
        await self._run(_disconnect)
        self._thread.shutdown(wait=False)

    async def call(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Call a function that uses Django's connection. One that waits too long for a lock is called again.

        Raises what the function raises.
        """
        while True:
            try:
                return await self._run(_unless_reconnected, function, *args, **kwargs)
            except OperationalError as error:
                if not isinstance(error.__cause__, psycopg.errors.LockNotAvailable):
                    raise
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _run(self, function: Callable[..., R], *args: Any, **kwargs: Any) -> R:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, lambda: function(*args, **kwargs))


def _connect() -> int:
    connection.close()
    session = _session()
    if session != connection.connection.info.backend_pid and _is_shared(session):
        raise OperationalError(_NEEDS_ITS_SESSION)
    own_connection().keeps_session = True
    with connection.cursor() as cursor:
        cursor.execute(f"SET lock_timeout = '{_LOCK_TIMEOUT}'")
        cursor.execute(f"SET idle_session_timeout = '{_IDLE_TIMEOUT}'")
    return session


def _is_shared(session: int) -> bool:
    """Whether a pooler, which is in between, gives this session to another connection while ours is open.

    It may have other sessions to give: several connections ask for one, and each keeps what it got.
    """
    with connection.wrap_database_errors, ExitStack() as opened:
        for _ in range(_OTHERS):
            other = opened.enter_context(psycopg.connect(**connection.get_connection_params()))
            if other.execute("SELECT pg_backend_pid()").fetchone() == (session,) or _session() != session:
                return True
    return False


def _session() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        session: int = cursor.fetchone()[0]
        return session


def _disconnect() -> None:
    """Close the session. A pool would keep it open, with its locks."""
    try:
        if connection.connection is not None:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock_all()")
    except (OperationalError, InterfaceError):
        pass
    finally:
        own_connection().keeps_session = False
        connection.close()


def _unless_reconnected(function: Callable[..., R], *args: Any, **kwargs: Any) -> R:
    """Call a function in the session that was opened; Django would open another one, which holds no locks."""
    if connection.connection is None or connection.connection.closed:
        raise OperationalError("the session of the sender is lost")
    return function(*args, **kwargs)
