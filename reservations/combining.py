"""Group commit: concurrent requests of one process share a transaction.

A row lock and a wait for the disk per sale are the ceiling of a flash sale. Whoever comes first takes all that wait
and has them decided together, each on its own, by the batch service; there is no timer, so a lone request waits for
nobody. A batch is impatient: if it fails as a whole, each of its requests runs alone in its own thread, so that none
suffers for another's fault.
"""

import threading
from collections import deque
from collections.abc import Callable
from enum import Enum, auto
from functools import cache
from typing import Any, Final, Generic, TypeVar, cast

import structlog
from django.conf import settings
from django.db import connection

from audit.errors import Busy, OutcomeUnknown
from audit.idempotency import StoredAnswer
from inventory.transactions import Patience
from reservations.services import holds, resolution
from reservations.services.holds import Held, HoldRequest, raise_refusal
from reservations.services.resolution import ConsumeRequest, ReleaseRequest, Resolved

logger = structlog.get_logger(__name__)
R = TypeVar("R")
BATCH_LIMIT: Final = 64
"""The most requests of one transaction."""


class _State(Enum):
    WAITING = auto()
    LEADS = auto()
    ALONE = auto()
    DONE = auto()


class _Entry(Generic[R]):
    """A request that waits, and what became of it. Changed by its leader before ``woken`` is released."""

    __slots__ = ("outcome", "request", "state", "woken")

    def __init__(self, request: R) -> None:
        self.request = request
        self.state = _State.WAITING
        self.outcome: Any = None
        self.woken = threading.Lock()
        self.woken.acquire()


class Combiner(Generic[R]):
    """Combines the calls of one batch service. Safe to use from any thread.

    ``work(requests, patience)`` returns an outcome per request, in order, a refusal as an error. At most ``leaders``
    batches of at most ``limit`` requests run at a time; requests are taken in the order they came.
    """

    def __init__(self, work: Callable[..., list[Any]], *, leaders: int, limit: int = BATCH_LIMIT) -> None:
        self._work = work
        self._limit = limit
        self._free_leaders = leaders
        self._waiting: deque[_Entry[R]] = deque()
        self._mutex = threading.Lock()

    def submit(self, request: R) -> Any:
        """The request's outcome. Raises its refusal, or what running it alone raises."""
        entry = _Entry(request)
        with self._mutex:
            leads = self._free_leaders > 0
            if leads:
                self._free_leaders -= 1
            else:
                self._waiting.append(entry)
        if not leads:
            _return_connection()
            entry.woken.acquire()
            leads = entry.state is _State.LEADS
        if leads:
            self._lead(entry)
        if entry.state is _State.ALONE:
            return raise_refusal(self._work([request])[0])
        return raise_refusal(entry.outcome)

    def _lead(self, leader: _Entry[R]) -> None:
        """Decide the leader's request and all that wait, and let go of the lead."""
        with self._mutex:
            others = [self._waiting.popleft() for _ in range(min(self._limit - 1, len(self._waiting)))]
        batch = [leader, *others]
        try:
            self._decide(batch)
        finally:
            self._hand_over()
            for entry in batch:
                if entry.state is not _State.DONE:
                    entry.state = _State.ALONE
            for entry in others:
                entry.woken.release()

    def _decide(self, batch: list[_Entry[R]]) -> None:
        patience = Patience(lock_timeout_seconds=settings.GROUP_COMMIT_LOCK_TIMEOUT, retries=0)
        try:
            outcomes = self._work([entry.request for entry in batch], patience)
        except OutcomeUnknown as unknown:
            outcomes = [unknown] * len(batch)
        except Exception as error:  # noqa: BLE001 - whose fault it was shows when each runs alone
            logger.info("batch_falls_apart", requests=len(batch), error=repr(error))
            return
        for entry, outcome in zip(batch, outcomes, strict=True):
            if not isinstance(outcome, Busy) or isinstance(outcome, OutcomeUnknown):
                entry.outcome = outcome
                entry.state = _State.DONE

    def _hand_over(self) -> None:
        """Make the one that has waited longest the next leader, if anyone waits."""
        with self._mutex:
            if not self._waiting:
                self._free_leaders += 1
                return
            successor = self._waiting.popleft()
        successor.state = _State.LEADS
        successor.woken.release()


def _return_connection() -> None:
    """Give a pooled connection back: who waits for a leader needs none, and the leader may need this very one."""
    if "pool" in settings.DATABASES["default"]["OPTIONS"] and not connection.in_atomic_block:
        connection.close()


@cache
def _combiner(work: Callable[..., list[Any]]) -> Combiner[Any]:
    return Combiner(work, leaders=settings.GROUP_COMMIT_LEADERS)


def place_hold(request: HoldRequest) -> Held | StoredAnswer:
    """``holds.place_hold``, in one transaction with whoever asks at the same time."""
    return cast("Held | StoredAnswer", _run(holds.place_holds, request))


def release_hold(request: ReleaseRequest) -> Resolved | StoredAnswer:
    """``resolution.release_hold``, in one transaction with whoever asks at the same time."""
    return cast("Resolved | StoredAnswer", _run(resolution.release_holds, request))


def consume_hold(request: ConsumeRequest) -> Resolved | StoredAnswer:
    """``resolution.consume_hold``, in one transaction with whoever asks at the same time."""
    return cast("Resolved | StoredAnswer", _run(resolution.consume_holds, request))


def _run(work: Callable[..., list[Any]], request: Any) -> Any:
    if settings.GROUP_COMMIT:
        return _combiner(work).submit(request)
    return raise_refusal(work([request])[0])
