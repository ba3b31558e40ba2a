"""psycopg's pipeline, sent in as many pieces as there are waits for an answer."""

from functools import partial

import psycopg
from psycopg.abc import PQGen
from psycopg.generators import send


class Gathering(psycopg.Pipeline):
    """Keeps statements in libpq's buffer until somebody reads an answer or the pipeline ends, and sends them together.

    psycopg sends each by itself and looks each time whether the socket takes more: a reserve's thread would give the
    interpreter away and ask for it again eight times instead of two, and the server would be woken for a part of what
    it needs (docs/explanation/performance.md).

    Overrides what psycopg keeps to itself: tests/faults/test_round_trips.py tells where a new version changed it.
    """

    @classmethod
    def prepare(cls, opened: psycopg.Connection[object]) -> "Gathering":
        """The pipeline that the connection's next ``pipeline()`` enters."""
        pipeline = cls(opened)
        opened._pipeline = pipeline
        return pipeline

    def say(self, command: str) -> None:
        """Queue a command that has no answer but that it is done, as BEGIN has; without a cursor to keep it."""
        self.command_queue.append(partial(self.pgconn.send_query_params, command.encode(), None))
        self.result_queue.append(None)

    def _communicate_gen(self) -> PQGen[None]:
        while self.command_queue:
            self.command_queue.popleft()()
        return
        yield  # A generator, as its callers expect.

    def _fetch_gen(self, *, flush: bool) -> PQGen[None]:
        if self.result_queue:
            yield from self._communicate_gen()
            if flush:
                self.pgconn.send_flush_request()
            yield from send(self.pgconn)
            yield from super()._fetch_gen(flush=False)
