"""A psycopg pipeline that sends its statements in one piece per wait for an answer."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import psycopg
from django.db import connection
from psycopg.abc import PQGen
from psycopg.generators import send


class Gathering(psycopg.Pipeline):
    """Keeps statements in libpq's buffer until an answer is read or the pipeline ends, then sends them together.

    psycopg sends each statement by itself and checks each time whether the socket accepts more: the thread of a reserve
    would release and take the interpreter lock eight times instead of twice, and the server would wake up for an
    incomplete request (docs/explanation/performance.md).

    Each piece ends with a Sync, where psycopg sends a Flush: only after a Sync does the server count how long the
    client is silent in its transaction (``idle_in_transaction_session_timeout``). Between BEGIN and COMMIT it changes
    nothing else.

    Overrides private methods of psycopg: tests/faults/test_round_trips.py fails if a new version changes them.
    """

    @classmethod
    def prepare(cls, opened: psycopg.Connection[object]) -> "Gathering":
        """The pipeline that the connection's next ``pipeline()`` enters."""
        pipeline = cls(opened)
        opened._pipeline = pipeline
        return pipeline

    def say(self, command: str) -> None:
        """Queue a command that returns no rows, such as BEGIN, without a cursor."""
        self.command_queue.append(partial(self.pgconn.send_query_params, command.encode(), None))
        self.result_queue.append(None)

    def _communicate_gen(self) -> PQGen[None]:
        while self.command_queue:
            self.command_queue.popleft()()
        return
        yield  # A generator, as its callers expect.

    def _exit_gen(self) -> PQGen[None]:
        try:
            self._enqueue_sync()
            yield from self._communicate_gen()
        finally:
            yield from self._fetch_gen(flush=False)

    def _fetch_gen(self, *, flush: bool) -> PQGen[None]:
        if self.result_queue:
            yield from self._communicate_gen()
            if flush:
                self.pgconn.pipeline_sync()
                self.result_queue.append(None)
            yield from send(self.pgconn)
            yield from super()._fetch_gen(flush=False)


@contextmanager
def sent_together() -> Iterator[None]:
    """Send the reads of this block together when the first of their answers is read: one round trip.

    Outside a transaction, they run in one implicit transaction, in which each read still sees what was committed before
    that read began. It ends before the block does, and releases the advisory locks that the reads took.
    """
    connection.ensure_connection()
    if not connection.in_atomic_block:
        Gathering.prepare(connection.connection)
    with connection.wrap_database_errors, connection.connection.pipeline():
        yield
