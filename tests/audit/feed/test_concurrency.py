"""Writers, tickers and readers at the same time: each event is read exactly once, those of a key in order."""

import random
import threading
from collections.abc import Callable
from uuid import UUID

import pytest
from django.db.models import Sum

from audit import feed
from audit.feed import Cursor, LoggedEvent
from audit.models import OutboxEvent, Tick
from tests.audit.feed.writers import Writer
from tests.concurrency.threads import together
from tests.factories import make_client

pytestmark = pytest.mark.django_db(transaction=True)
_WRITERS = 5
_TRANSACTIONS = 20


def writer_of(keys: list[UUID], seed: int) -> Callable[[], list[tuple[int, str]]]:
    """A thread that writes events of some keys in each transaction, under the locks of their rows."""
    chance = random.Random(seed)

    def work() -> list[tuple[int, str]]:
        committed: list[tuple[int, str]] = []
        for _ in range(_TRANSACTIONS):
            with Writer() as writer:
                if chance.random() < 0.5:  # An id before the lock: ids are not in the order of the locks.
                    writer.execute("SELECT pg_current_xact_id()")
                written = []
                for key in sorted(chance.sample(keys, chance.choice((1, 1, 2)))):
                    writer.execute(f"SELECT FROM audit_apiclient WHERE id = '{key}' FOR NO KEY UPDATE")
                    writer.execute(f"SELECT pg_sleep({chance.random() * 0.01 if chance.random() < 0.4 else 0})")
                    written += [(position, str(key)) for position in writer.write(*[str(key)] * chance.choice((1, 3)))]
                if chance.random() < 0.1:
                    writer.rollback()
                else:
                    writer.commit()
                    committed += written
        return committed

    return work


class Log:
    """The log while writers write: tickers and readers go on until all have ended."""

    def __init__(self) -> None:
        self.start = feed.cursor_now()
        self._ended = threading.Semaphore(0)
        self._is_done = threading.Event()

    def until_done(self, work: Callable[[], list[tuple[int, str]]]) -> Callable[[], list[tuple[int, str]]]:
        """The work of a writer, whose end is counted."""

        def counted() -> list[tuple[int, str]]:
            try:
                return work()
            finally:
                self._ended.release()

        return counted

    def ticker(self) -> int:
        """Tick all the time. Returns the number of batches."""
        made = 0
        while not self._is_done.is_set():
            made += feed.tick() is not None
        return made

    def finish(self) -> None:
        """Wait for the writers, and tick once more: another ticker may have looked before the last event."""
        for _ in range(_WRITERS):
            self._ended.acquire(timeout=60)
        while self._unseen():
            feed.tick()
        self._is_done.set()

    def _unseen(self) -> int:
        """How many events are in no batch."""
        seen = Tick.objects.filter(number__gt=self.start.tick).aggregate(Sum("events"))["events__sum"] or 0
        return OutboxEvent.objects.count() - int(seen)

    def reader(self, limit: int) -> Callable[[], list[LoggedEvent]]:
        """A reader by cursor, which keeps its text alone."""

        def work() -> list[LoggedEvent]:
            cursor, found = str(self.start), []
            while True:
                was_done = self._is_done.is_set()
                page = feed.read_after(Cursor.parse(cursor), limit)
                found += page.events
                cursor = str(page.cursor)
                if was_done and not page.has_more:
                    return found

        return work


def test_every_reader_gets_each_event_once_and_those_of_a_key_in_order() -> None:
    feed.tick()
    log = Log()
    keys = [make_client().pk for _ in range(4)]
    seed = random.randrange(10**6)
    jobs = [log.until_done(writer_of(keys, seed + n)) for n in range(_WRITERS)]
    outcomes = together(
        *jobs, log.ticker, log.ticker, log.finish, log.reader(1), log.reader(7), log.reader(100), seconds=90
    )
    committed = sorted(event for written in outcomes[:_WRITERS] for event in written)
    assert committed, seed
    assert sum(outcomes[_WRITERS : _WRITERS + 2]) > 1, seed
    for found in outcomes[-3:]:
        assert sorted((event.position, event.key) for event in found) == committed, seed
        for key in map(str, keys):
            positions = [event.position for event in found if event.key == key]
            assert positions == sorted(positions), seed
