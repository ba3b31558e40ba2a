"""The engine's connections: with timeouts on both ends, replaced once they are dead, and fit for a pooler.

None of it adds a statement to a request, except when a new connection is opened.
"""

import time
from typing import Any, Final

import psycopg
from django.db import OperationalError
from django.db.backends.base.base import NO_DB_ALIAS, BaseDatabaseWrapper
from django.db.backends.postgresql import base
from django.db.backends.postgresql.psycopg_any import IsolationLevel  # type: ignore[import-untyped]
from django.db.utils import DatabaseErrorWrapper
from django.utils.functional import cached_property

from audit.db.postgresql import poolers
from audit.db.postgresql.pool import Pool, is_alive

_SHORTEST_CONNECT_SECONDS: Final = 2
"""The shortest time that psycopg waits for a connection."""
# The server's own bounds, unless its operator has set others: how long a client may be silent in a transaction, and how
# long a client's machine may be unreachable. Those of stock transactions are shorter (``inventory.transactions``).
_BOUND: Final = """
SELECT pg_backend_pid(), (
    SELECT count(set_config(name, value, false)) FROM (VALUES
        ('idle_in_transaction_session_timeout', '60s', 'idle_in_transaction_session_timeout'),
        ('tcp_keepalives_idle', '20s', 'tcp_user_timeout'), ('tcp_keepalives_interval', '10s', 'tcp_user_timeout'),
        ('tcp_keepalives_count', '3', 'tcp_user_timeout'), ('tcp_user_timeout', '50s', 'tcp_user_timeout')
    ) AS t (name, value, unless) WHERE current_setting(unless) = '0'
)
"""


class DatabaseWrapper(base.DatabaseWrapper):
    """A thread's connection to PostgreSQL.

    A connection that was cut while it was idle is replaced silently, unless ``keeps_session`` is set, as by code that
    holds locks of the session. ``deadline`` is the time (``time.monotonic``) until which a new connection may be
    waited for; None for as long as the settings say.
    """

    keeps_session = False
    deadline: float | None = None
    _taken_from: Pool | None = None

    @property
    def pool(self) -> Pool | None:
        options = self.settings_dict["OPTIONS"].get("pool")
        if self.alias == NO_DB_ALIAS or not options:
            return None
        pools: dict[str, Pool] = self._connection_pools  # type: ignore[attr-defined]  # unknown to its stubs
        return pools.get(self.alias) or pools.setdefault(self.alias, Pool(**options))

    def ensure_connection(self) -> None:
        """Connect unless there is a connection that is alive, or may not be replaced."""
        if not self.in_atomic_block and not self.keeps_session and self._is_worn():
            self.close()
        super().ensure_connection()

    def close_if_unusable_or_obsolete(self) -> None:
        """Close it at the end of a request, if need be. Unlike Django's, it never opens another one for that."""
        if not self.in_atomic_block and self._is_worn():
            self.close()
        else:
            super().close_if_unusable_or_obsolete()

    def _is_worn(self) -> bool:
        opened = self.connection
        return opened is not None and not (is_alive(opened) and poolers.suits(opened))

    def connect_until(self, deadline: float) -> None:
        """Connect as ``ensure_connection`` does, by this time (``time.monotonic``). Raises OperationalError."""
        self.deadline = deadline
        try:
            self.ensure_connection()
        finally:
            self.deadline = None

    def is_usable(self) -> bool:
        """Whether the connection answers. One that is known to be dead isn't asked."""
        return self.connection is not None and is_alive(self.connection) and super().is_usable()

    def get_connection_params(self) -> dict[str, Any]:
        """Django's, without prepared statements if they were switched off."""
        parameters: dict[str, Any] = super().get_connection_params()
        if poolers.forbid_prepared():
            parameters["prepare_threshold"] = None
        return parameters

    def get_new_connection(self, conn_params: dict[str, Any]) -> psycopg.Connection[Any]:
        """Connect, or take a connection from the pool. Raises OperationalError if ``deadline`` is too near."""
        self.isolation_level = IsolationLevel.READ_COMMITTED
        self._taken_from = pool = self.pool
        if pool is None:
            return self._connect(conn_params)
        return pool.take(lambda: self._connect(conn_params | {"autocommit": True}), self.deadline)

    def _connect(self, parameters: dict[str, Any]) -> psycopg.Connection[Any]:
        if self.deadline is not None:
            left = self.deadline - time.monotonic()
            if left <= 0:
                raise psycopg.OperationalError("no time is left to connect")
            most = min(left, float(parameters.get("connect_timeout") or left))
            parameters = parameters | {"connect_timeout": max(_SHORTEST_CONNECT_SECONDS, int(most))}
        opened: psycopg.Connection[Any] = psycopg.connect(**parameters)
        try:
            self._prepare(opened)
        except BaseException:
            opened.close()
            raise
        return opened

    def _prepare(self, opened: psycopg.Connection[Any]) -> None:
        """Set the server's bounds, and find out whether a pooler is in between."""
        autocommit, opened.autocommit = opened.autocommit, True
        row = opened.cursor(row_factory=psycopg.rows.tuple_row).execute(_BOUND).fetchone()
        if row and row[0] != opened.info.backend_pid:  # A pooler has told us a number of its own.
            self.settings_dict["DISABLE_SERVER_SIDE_CURSORS"] = True
            poolers.examine(opened)
        self._configure_connection(opened)  # type: ignore[attr-defined]  # unknown to its stubs
        opened.autocommit = autocommit

    def init_connection_state(self) -> None:
        """Check the server's version once. The rest was done when the connection was opened."""
        BaseDatabaseWrapper.init_connection_state(self)

    def _close(self) -> None:
        opened, pool = self.connection, self._taken_from
        if opened is None:
            return
        with self.wrap_database_errors:
            if pool is None:
                opened.close()
            else:
                self.connection = None  # It is the pool's again.
                pool.give_back(opened)

    @cached_property
    def wrap_database_errors(self) -> DatabaseErrorWrapper:
        return _Errors(self)


class _Errors(DatabaseErrorWrapper):
    """Django's translation of errors. Those of a lost session, and of a pooler that lost a statement, are operational:
    the caller may try again."""

    def __exit__(self, kind: Any, error: Any, traceback: Any) -> None:
        if isinstance(error, psycopg.Error) and (is_cut(error) or poolers.lost_a_statement(error)):
            self.wrapper.errors_occurred = True  # type: ignore[attr-defined]  # unknown to its stubs
            raise OperationalError(*error.args).with_traceback(traceback) from error
        super().__exit__(kind, error, traceback)


def is_cut(error: psycopg.Error) -> bool:
    """Whether the server ended the session with this error."""
    return error.diag.severity_nonlocalized in {"FATAL", "PANIC"}
