"""Concurrent requests of one process share a transaction (group commit), or a read.

With a transaction per sale, row locks and disk syncs limit the throughput of a flash sale. Here a request becomes the
leader: it takes all waiting requests and runs the batch service for them in one transaction, which decides each request
on its own. There is no timer, so a single request is never delayed. A batch waits for locks only briefly; if it fails
as a whole, each of its requests runs alone in a thread of its own, so that one request's failure doesn't affect others.
If a request then fails alone, too, its client's requests are decided alone for a minute, so that this client can't make
every batch fail.

Requests wait in threads, which can lead batches themselves, or on an event loop, for which a pool thread leads. Reads
are combined on an event loop alone: in a thread of its own a read takes less time by itself.
"""

import asyncio
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from enum import Enum, auto
from functools import cache, partial
from typing import Any, Final, Generic, TypeVar

import msgspec
import structlog
from django.conf import settings

from audit import traces
from audit.db.pool import give_back_connection
from audit.errors import Busy, OutcomeUnknown, raise_refusal
from audit.metrics.definitions import BATCH_SIZE
from inventory.batches import Batch
from inventory.breakers import Breakers
from inventory.transactions import Patience

logger = structlog.get_logger(__name__)
R = TypeVar("R")
BATCH_LIMIT: Final = 64
"""The maximum number of requests in one transaction or read."""

Apart = Callable[[R], Collection[Hashable]]
"""Returns names of a request. Two requests with a name in common are never in one batch: the later one waits for the
next batch."""


class _State(Enum):
    WAITING = auto()
    LEADS = auto()
    ALONE = auto()
    DONE = auto()


class _Entry(Generic[R]):
    """A request that waits in a thread, and its outcome. Its leader changes it, then wakes the thread.

    ``until`` is the time (``time.monotonic``) at which it should be answered. A batch may take until its newest request
    should be; a request that runs alone ends at its own.
    """

    __slots__ = ("outcome", "request", "state", "until", "woken")

    def __init__(self, request: R) -> None:
        self.request = request
        self.until = time.monotonic() + settings.LOCK_TIMEOUT
        self.state = _State.WAITING
        self.outcome: Any = None
        self.woken = threading.Lock()
        self.woken.acquire()


class _LoopEntry(_Entry[R]):
    """A request that waits on an event loop."""

    __slots__ = ("decided",)

    def __init__(self, request: R, decided: asyncio.Future[None], until: float) -> None:
        self.request = request
        self.until = until
        self.state = _State.WAITING
        self.outcome = None
        self.decided = decided


class GroupCommit(Generic[R]):
    """Combines the calls of one batch service. Safe to use from any thread and from event loops.

    ``work(requests, patience)`` returns an outcome per request, in order; a refusal is an error object. At most
    ``leaders`` batches of at most ``limit`` requests run at a time; requests are taken in the order of their arrival.
    Without ``apart`` any requests can be in one batch.
    """

    def __init__(
        self,
        work: Callable[..., list[Any]],
        *,
        leaders: int,
        limit: int = BATCH_LIMIT,
        threads: ThreadPoolExecutor | None = None,
        apart: Apart[R] | None = None,
    ) -> None:
        self._work = work
        self._apart = apart
        self._limit = limit
        self._free_leaders = leaders
        self._waiting: deque[_Entry[R]] = deque()
        self._mutex = threading.Lock()
        self._threads = threads or ThreadPoolExecutor(leaders, thread_name_prefix="leader")

    def submit(self, request: R) -> Any:
        """Wait in this thread, which may become the leader, for the request's outcome. Raises its refusal, or the error
        of running it alone."""
        entry = _Entry(request)
        leads = self._enter(entry)
        if not leads:
            give_back_connection()  # The leader may need it.
            entry.woken.acquire()
            leads = entry.state is _State.LEADS
        if leads:
            try:
                self._lead(entry)
            finally:
                if successor := self._hand_over():
                    self._threads.submit(self._lead_on, successor)
        if entry.state is _State.ALONE:
            return raise_refusal(self._alone(entry)([request])[0])
        return raise_refusal(entry.outcome)

    async def submit_on_loop(self, request: R) -> Any:
        """Await the request's outcome on the running loop; a pool thread leads. Raises the errors of ``submit``."""
        entry = _LoopEntry(request, asyncio.get_running_loop().create_future(), self._until())
        if self._enter(entry):
            self._threads.submit(self._lead_on, entry)
        await entry.decided
        if entry.state is _State.ALONE:
            return await _alone_on_loop(self._alone(entry), request)
        return raise_refusal(entry.outcome)

    def _until(self) -> float:
        """When a request that comes now should be answered (``time.monotonic``)."""
        return time.monotonic() + settings.LOCK_TIMEOUT

    def _alone(self, entry: _Entry[R]) -> Callable[..., list[Any]]:
        """The work for a request alone, which may take until it should be answered."""
        patience = Patience(until=entry.until)
        return lambda requests: self._work(requests, patience)

    def _enter(self, entry: _Entry[R]) -> bool:
        """Make the request a leader if one is free, else queue it. Returns whether it leads."""
        with self._mutex:
            if self._free_leaders > 0:
                self._free_leaders -= 1
                return True
            self._waiting.append(entry)
            return False

    def _lead_on(self, leader: _Entry[R] | None) -> None:
        """Lead for a request that waits on a loop, and for its successors that wait on a loop, too."""
        while leader is not None:
            leader = self._lead_once(leader)
        give_back_connection()  # Each service has threads of its own, which would keep one each while they are idle.

    def _lead_once(self, leader: _Entry[R]) -> _Entry[R] | None:
        """Lead for a request that waits on a loop. Returns the successor, if that needs a thread to lead, too."""
        try:
            self._lead(leader)
        except BaseException as error:  # noqa: BLE001 - its requests run alone; waiting ones still need a leader
            logger.warning("leader_torn_away", error=repr(error))
        return self._hand_over()

    def _lead(self, leader: _Entry[R]) -> None:
        """Decide the leader's request together with the waiting ones, and wake their callers."""
        with self._mutex:
            batch = self._batch_of(leader)
        try:
            self._decide(batch)
        finally:
            for entry in batch:
                if entry.state is not _State.DONE:
                    entry.state = _State.ALONE
            _wake(batch)

    def _batch_of(self, leader: _Entry[R]) -> list[_Entry[R]]:
        """Take the waiting requests that are decided together with the leader's, in the order of their arrival."""
        if self._apart is None:
            return [leader, *(self._waiting.popleft() for _ in range(min(self._limit - 1, len(self._waiting))))]
        batch, left, names = [leader], list[_Entry[R]](), set(self._apart(leader.request))
        while self._waiting and len(batch) < self._limit:
            entry = self._waiting.popleft()
            own = self._apart(entry.request)
            (batch if names.isdisjoint(own) else left).append(entry)
            names.update(own)
        self._waiting.extendleft(reversed(left))
        return batch

    def _join(self, batch: list[_Entry[R]]) -> list[R]:
        """Add waiting requests to a batch. Returns them."""
        if self._apart is not None:
            return []
        with self._mutex:
            joined = [self._waiting.popleft() for _ in range(min(self._limit - len(batch), len(self._waiting)))]
            batch += joined
        return [entry.request for entry in joined]

    def _decide(self, batch: list[_Entry[R]]) -> None:
        try:
            requests = Batch((entry.request for entry in batch), partial(self._join, batch))
            outcomes = self._outcomes(requests, batch[-1].until)
        except OutcomeUnknown as unknown:
            outcomes = [unknown] * len(batch)
        except Exception as error:  # noqa: BLE001 - each becomes a problem document
            logger.info("batch_falls_apart", requests=len(batch), error=repr(error))
            return
        for entry, outcome in zip(batch, outcomes, strict=True):
            if not isinstance(outcome, Busy) or isinstance(outcome, OutcomeUnknown):
                entry.outcome = outcome
                entry.state = _State.DONE

    def _outcomes(self, requests: list[R], until: float) -> list[Any]:
        patience = Patience(settings.GROUP_COMMIT_LOCK_TIMEOUT, retries=0, until=until)
        work = self._work if traces.active is None else partial(traces.active.in_batch, self._work)
        outcomes = work(requests, patience)
        BATCH_SIZE.observe(len(requests))
        return outcomes

    def _hand_over(self) -> _Entry[R] | None:
        """Make the longest-waiting request, if any, the next leader. Returns it if it waits on a loop and needs a
        thread to lead."""
        with self._mutex:
            if not self._waiting:
                self._free_leaders += 1
                return None
            successor = self._waiting.popleft()
        successor.state = _State.LEADS
        if isinstance(successor, _LoopEntry):
            return successor
        successor.woken.release()
        return None


class _Readers(ThreadPoolExecutor):
    """The threads that lead the reads of all services."""

    def is_awaited(self) -> bool:
        """Whether a service waits for a thread."""
        return not self._work_queue.empty()


_readers: Final = _Readers(2, thread_name_prefix="reader")


class CombinedReads(GroupCommit[R]):
    """Combines the reads of one batch service, ``work(requests)``. All services share the threads that lead, and so
    their connections: after each batch a thread turns to the service that waits longest, if any waits."""

    def __init__(self, work: Callable[..., list[Any]], *, limit: int = BATCH_LIMIT) -> None:
        super().__init__(work, leaders=1, limit=limit, threads=_readers)

    def _until(self) -> float:
        return math.inf  # Reads wait for no locks.

    def _alone(self, entry: _Entry[R]) -> Callable[..., list[Any]]:
        return self._work

    def _outcomes(self, requests: list[R], until: float) -> list[Any]:
        if traces.active is None:
            return self._work(requests)
        return traces.active.in_batch(self._work, requests)

    def _lead_on(self, leader: _Entry[R] | None) -> None:
        """Lead for a request that waits on a loop, and for its successors while no other service waits for a thread."""
        while leader is not None:
            leader = self._lead_once(leader)
            if leader is not None and _readers.is_awaited():
                self._threads.submit(self._lead_on, leader)
                break
        give_back_connection()  # Another thread may lead next.


def _wake(batch: Sequence[_Entry[Any]]) -> None:
    """Wake the callers of these requests: each thread on its own, each event loop once."""
    by_loop: dict[asyncio.AbstractEventLoop, list[asyncio.Future[None]]] = {}
    for entry in batch:
        if isinstance(entry, _LoopEntry):
            by_loop.setdefault(entry.decided.get_loop(), []).append(entry.decided)
        else:
            entry.woken.release()
    for loop, futures in by_loop.items():
        with suppress(RuntimeError):  # The loop is closed, and nothing awaits the futures any more.
            loop.call_soon_threadsafe(_resolve, futures)


def _resolve(futures: Sequence[asyncio.Future[None]]) -> None:
    for future in futures:
        if not future.done():
            future.set_result(None)


@cache
def _shared(work: Callable[..., list[Any]], apart: Apart[Any] | None) -> GroupCommit[Any]:
    return GroupCommit(work, leaders=settings.GROUP_COMMIT_LEADERS, apart=apart)


@cache
def _shared_reads(work: Callable[..., list[Any]]) -> CombinedReads[Any]:
    return CombinedReads(work)


_alone: Final = ThreadPoolExecutor(16, thread_name_prefix="alone")
_alone_for_a_minute: Final = ThreadPoolExecutor(2, thread_name_prefix="breaker")
_long_reads: Final = ThreadPoolExecutor(8, thread_name_prefix="list")
"""Apart from ``_alone``, whose requests must be decided in time: all its threads could be reading pages of lists."""


async def _alone_on_loop(work: Callable[..., list[Any]], request: Any, threads: ThreadPoolExecutor = _alone) -> Any:
    """Run a request alone in a thread and await it on the running loop. Raises its refusal."""

    def run() -> list[Any]:
        try:
            with traces.inside(None if traces.active is None else request.actor.span):
                return work([request])
        finally:
            give_back_connection()  # The leader may need it.

    return raise_refusal((await asyncio.get_running_loop().run_in_executor(threads, run))[0])


_breakers: Final = Breakers()


class Submission(msgspec.Struct, frozen=True):
    """A request to a batch service that writes (an ``audit.api.http.PendingResult``), decided together with concurrent
    ones.

    ``work(requests, patience)`` returns an outcome per request, in order, each decided on its own; a refusal is a
    DomainError. ``request`` has its ``actor``. ``apart`` says which requests are never in one batch.
    """

    work: Callable[..., list[Any]]
    request: Any
    apart: Apart[Any] | None = None

    def outcome(self) -> Any:
        client_id = self.request.actor.client_id
        try:
            if settings.GROUP_COMMIT and not _breakers.has(client_id):
                return self._combined().submit(self.request)
            return raise_refusal(self.work([self.request])[0])
        except Exception as error:
            _breakers.note(client_id, error)
            raise

    async def outcome_on_loop(self) -> Any:
        client_id = self.request.actor.client_id
        try:
            if not settings.GROUP_COMMIT:
                return await _alone_on_loop(self.work, self.request)
            if not _breakers.has(client_id):
                return await self._combined().submit_on_loop(self.request)
            return await _alone_on_loop(self.work, self.request, _alone_for_a_minute)
        except Exception as error:
            _breakers.note(client_id, error)
            raise

    def _combined(self) -> "GroupCommit[Any]":
        return _shared(self.work, self.apart)


class Reading(Submission, frozen=True):
    """A request to a batch service that only reads: ``work(requests)`` opens no transaction and takes no locks."""

    def outcome(self) -> Any:
        return raise_refusal(self.work([self.request])[0])

    def _combined(self) -> "GroupCommit[Any]":
        return _shared_reads(self.work)


class LongReading(Reading, frozen=True):
    """A read that isn't combined, such as that of a page of a list: it would make others wait for it."""

    async def outcome_on_loop(self) -> Any:
        return await _alone_on_loop(self.work, self.request, _long_reads)
