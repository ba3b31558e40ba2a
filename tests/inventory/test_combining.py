"""Group commit: a leader takes all waiting requests, and one request's failure doesn't affect others."""

import asyncio
import threading
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any, TypeVar

import pytest
from django.db import OperationalError

from audit.errors import Busy, OutcomeUnknown
from inventory import combining
from inventory.combining import CombinedReads, GroupCommit
from inventory.errors import QuantityLimit
from inventory.transactions import Patience
from tests.loops import run

R = TypeVar("R")
PATIENCE = 60


class Service:
    """A batch service that returns each request as its outcome, once the test lets it continue."""

    def __init__(self, fail: Callable[[Sequence[int], bool], None] | None = None) -> None:
        self.batches: list[list[int]] = []
        self.alone: list[tuple[int, str]] = []
        self.entered = threading.Semaphore(0)
        self.gate = threading.Semaphore(0)
        self._fail = fail
        self._mutex = threading.Lock()

    def __call__(self, requests: Sequence[int], patience: Patience | None = None) -> list[Any]:
        is_batch = patience is not None and not patience.is_last
        with self._mutex:
            if is_batch:
                self.batches.append(list(requests))
            else:
                self.alone.append((requests[0], threading.current_thread().name))
        if is_batch:
            self.entered.release()
            assert self.gate.acquire(timeout=PATIENCE)
        if self._fail:
            self._fail(requests, is_batch)
        return [QuantityLimit(f"{request}") if request < 0 else request for request in requests]


class Caller(threading.Thread):
    """Submits one request in a thread of its own."""

    def __init__(self, group_commit: GroupCommit[int], request: int) -> None:
        super().__init__(name=f"caller {request}", daemon=True)
        self._group_commit = group_commit
        self._request = request
        self.outcome: Any = None
        self.start()

    def run(self) -> None:
        try:
            self.outcome = self._group_commit.submit(self._request)
        except BaseException as error:  # noqa: BLE001 - kept as the outcome
            self.outcome = error

    def answer(self) -> Any:
        self.join(PATIENCE)
        assert not self.is_alive()
        return self.outcome


def waiting(group_commit: GroupCommit[int], count: int) -> None:
    """Wait until this many requests wait for a leader."""
    deadline = threading.Event()
    for _ in range(PATIENCE * 200):
        if len(group_commit._waiting) == count:
            return
        deadline.wait(0.005)
    raise AssertionError(f"{len(group_commit._waiting)} wait, not {count}")


def crowd(group_commit: GroupCommit[int], service: Service, *requests: int) -> list[Caller]:
    """Submit requests in order: the first one leads and is blocked inside, the others wait."""
    callers = [Caller(group_commit, requests[0])]
    assert service.entered.acquire(timeout=PATIENCE)
    for count, request in enumerate(requests[1:], 1):
        callers.append(Caller(group_commit, request))
        waiting(group_commit, count)
    return callers


def test_a_lone_request_is_not_delayed() -> None:
    service = Service()
    service.gate.release()
    assert GroupCommit(service, leaders=1).submit(7) == 7
    assert service.batches == [[7]]


def test_all_that_wait_share_the_next_batch_in_the_order_they_came() -> None:
    service = Service()
    callers = crowd(group_commit := GroupCommit(service, leaders=1), service, 1, 2, 3, 4)
    service.gate.release(2)
    assert [caller.answer() for caller in callers] == [1, 2, 3, 4]
    assert service.batches == [[1], [2, 3, 4]]
    assert not group_commit._waiting


def test_a_batch_is_bounded() -> None:
    service = Service()
    callers = crowd(GroupCommit(service, leaders=1, limit=2), service, 1, 2, 3, 4)
    service.gate.release(3)
    assert [caller.answer() for caller in callers] == [1, 2, 3, 4]
    assert service.batches == [[1], [2, 3], [4]]


def test_a_leader_answers_before_the_next_batch_is_done() -> None:
    service = Service()
    first, second = crowd(GroupCommit(service, leaders=1), service, 1, 2)
    service.gate.release()
    assert first.answer() == 1
    assert second.is_alive()
    service.gate.release()
    assert second.answer() == 2


def test_no_more_leaders_than_allowed_run_at_a_time() -> None:
    service = Service()
    group_commit = GroupCommit(service, leaders=2)
    callers = [Caller(group_commit, 1), Caller(group_commit, 2)]
    assert service.entered.acquire(timeout=PATIENCE)
    assert service.entered.acquire(timeout=PATIENCE)
    callers.append(Caller(group_commit, 3))
    waiting(group_commit, 1)
    assert not service.entered.acquire(timeout=0.05)
    service.gate.release(3)
    assert [caller.answer() for caller in callers] == [1, 2, 3]


def test_a_refusal_is_the_refused_ones_alone() -> None:
    service = Service()
    callers = crowd(GroupCommit(service, leaders=1), service, 1, -2, 3)
    service.gate.release(2)
    first, refused, third = [caller.answer() for caller in callers]
    assert (first, third) == (1, 3)
    assert isinstance(refused, QuantityLimit)
    assert service.alone == []


@pytest.mark.parametrize("error", [Busy("locked"), RuntimeError("the leader's connection broke"), SystemExit()])
def test_when_a_batch_fails_each_runs_alone_in_its_own_thread(error: BaseException) -> None:
    def fail(requests: Sequence[int], is_batch: bool) -> None:
        if is_batch and len(requests) > 1:
            raise error

    service = Service(fail)
    callers = crowd(GroupCommit(service, leaders=1), service, 1, 2, 3, 4)
    service.gate.release(2)
    answers = [caller.answer() for caller in callers]
    assert answers[2:] == [3, 4]
    assert answers[1] is error if isinstance(error, SystemExit) else answers[1] == 2
    assert {(3, "caller 3"), (4, "caller 4")} <= set(service.alone)


def test_an_error_of_a_request_that_runs_alone_is_raised_only_to_its_caller() -> None:
    def fail(requests: Sequence[int], is_batch: bool) -> None:
        if 3 in requests:
            raise RuntimeError("three")

    service = Service(fail)
    callers = crowd(GroupCommit(service, leaders=1), service, 1, 2, 3, 4)
    service.gate.release(2)
    first, second, third, fourth = [caller.answer() for caller in callers]
    assert (first, second, fourth) == (1, 2, 4)
    assert isinstance(third, RuntimeError)


def test_an_unknown_outcome_is_never_tried_again() -> None:
    def fail(requests: Sequence[int], is_batch: bool) -> None:
        raise OutcomeUnknown("who knows")

    service = Service(fail)
    callers = crowd(GroupCommit(service, leaders=1), service, 1, 2, 3)
    service.gate.release(2)
    assert {type(caller.answer()) for caller in callers} == {OutcomeUnknown}
    assert service.alone == []


def test_the_next_leads_when_a_leader_is_torn_away() -> None:
    def fail(requests: Sequence[int], is_batch: bool) -> None:
        if is_batch and requests[0] == 1:
            raise KeyboardInterrupt

    service = Service(fail)
    group_commit = GroupCommit(service, leaders=1)
    callers = crowd(group_commit, service, 1, 2)
    service.gate.release(2)
    assert isinstance(callers[0].answer(), KeyboardInterrupt)
    assert callers[1].answer() == 2
    assert group_commit._free_leaders == 1


def rested(group_commit: GroupCommit[int]) -> None:
    """Wait until no leader runs."""
    for _ in range(PATIENCE * 200):
        if group_commit._free_leaders == 1:
            return
        threading.Event().wait(0.005)
    raise AssertionError("somebody still leads")


async def on_loop(group_commit: GroupCommit[int], service: "Service | Reader", *requests: int) -> list[Any]:
    """The answers of requests as in ``crowd`` that all wait on one event loop."""
    first = asyncio.ensure_future(group_commit.submit_on_loop(requests[0]))
    assert await asyncio.to_thread(service.entered.acquire, True, PATIENCE)
    others = [asyncio.ensure_future(group_commit.submit_on_loop(request)) for request in requests[1:]]
    await asyncio.to_thread(waiting, group_commit, len(others))
    service.gate.release(2)
    return await asyncio.wait_for(asyncio.gather(first, *others, return_exceptions=True), PATIENCE)


def test_requests_on_a_loop_share_the_next_batch_in_the_order_they_came() -> None:
    service = Service()
    group_commit = GroupCommit(service, leaders=1)
    first, second, refused, fourth = run(on_loop(group_commit, service, 1, 2, -3, 4))
    assert (first, second, fourth) == (1, 2, 4)
    assert isinstance(refused, QuantityLimit)
    assert service.batches == [[1], [2, -3, 4]]
    rested(group_commit)


@pytest.mark.parametrize("error", [Busy("locked"), RuntimeError("the leader's connection broke"), SystemExit()])
def test_when_a_batch_fails_each_request_on_a_loop_runs_alone_in_a_thread(error: BaseException) -> None:
    def fail(requests: Sequence[int], is_batch: bool) -> None:
        if is_batch and len(requests) > 1:
            raise error

    service = Service(fail)
    group_commit = GroupCommit(service, leaders=1)
    assert run(on_loop(group_commit, service, 1, 2, 3, 4)) == [1, 2, 3, 4]
    assert {request for request, _ in service.alone} == {2, 3, 4}
    assert all(thread.startswith("alone") for _, thread in service.alone)
    rested(group_commit)


def test_threads_and_loops_lead_for_each_other() -> None:
    service = Service()
    group_commit = GroupCommit(service, leaders=1, limit=1)
    caller = Caller(group_commit, 1)
    assert service.entered.acquire(timeout=PATIENCE)

    async def follow() -> list[Any]:
        on_loop = asyncio.ensure_future(group_commit.submit_on_loop(2))
        await asyncio.sleep(0)
        after = Caller(group_commit, 3)
        await asyncio.to_thread(waiting, group_commit, 2)
        service.gate.release(3)
        return [await asyncio.wait_for(on_loop, PATIENCE), await asyncio.to_thread(after.answer)]

    assert run(follow()) == [2, 3]
    assert caller.answer() == 1
    assert service.batches == [[1], [2], [3]]
    rested(group_commit)


def test_a_cancelled_wait_on_a_loop_delays_no_other_answer() -> None:
    service = Service()
    group_commit = GroupCommit(service, leaders=1)

    async def give_up() -> Any:
        first = asyncio.ensure_future(group_commit.submit_on_loop(1))
        second = asyncio.ensure_future(group_commit.submit_on_loop(2))
        assert await asyncio.to_thread(service.entered.acquire, True, PATIENCE)
        first.cancel()
        service.gate.release(2)
        return await asyncio.wait_for(second, PATIENCE)

    assert run(give_up()) == 2


class Reader:
    """A batch service that reads: it takes no patience, and returns each request as its outcome."""

    def __init__(self, fail: Callable[[Sequence[int]], None] | None = None) -> None:
        self.batches: list[list[int]] = []
        self.alone: list[tuple[int, str]] = []
        self.entered = threading.Semaphore(0)
        self.gate = threading.Semaphore(0)
        self._fail = fail

    def __call__(self, requests: Sequence[int]) -> list[Any]:
        name = threading.current_thread().name
        if name.startswith("reader"):
            self.batches.append(list(requests))
            self.entered.release()
            assert self.gate.acquire(timeout=PATIENCE)
        else:
            self.alone.append((requests[0], name))
        if self._fail:
            self._fail(requests)
        return [QuantityLimit(f"{request}") if request < 0 else request for request in requests]


def test_reads_that_wait_share_the_next_call_and_are_decided_each_on_its_own() -> None:
    reader = Reader()
    reads = CombinedReads(reader)
    first, second, refused, fourth = run(on_loop(reads, reader, 1, 2, -3, 4))
    assert (first, second, fourth) == (1, 2, 4)
    assert isinstance(refused, QuantityLimit)
    assert reader.batches == [[1], [2, -3, 4]]
    rested(reads)


@pytest.mark.parametrize("error", [OperationalError("the connection broke"), RuntimeError("a defect"), SystemExit()])
def test_when_a_shared_read_fails_each_request_runs_alone(error: BaseException) -> None:
    def fail(requests: Sequence[int]) -> None:
        if len(requests) > 1:
            raise error

    reader = Reader(fail)
    reads = CombinedReads(reader)
    assert run(on_loop(reads, reader, 1, 2, 3, 4)) == [1, 2, 3, 4]
    assert {request for request, _ in reader.alone} == {2, 3, 4}
    assert all(name.startswith("alone") for _, name in reader.alone)
    rested(reads)


def test_many_services_that_read_share_few_threads_and_none_waits_for_ever() -> None:
    readers = [Reader() for _ in range(5)]
    for reader in readers:
        reader.gate.release(1000)
    groups = [CombinedReads(reader, limit=2) for reader in readers]

    async def all_at_once() -> list[int]:
        return await asyncio.gather(*(reads.submit_on_loop(number) for number in range(20) for reads in groups))

    answers = run(all_at_once())
    assert answers == [number for number in range(20) for _ in groups]
    assert all(sorted(chain.from_iterable(reader.batches)) == list(range(20)) for reader in readers)
    assert len({thread.name for thread in threading.enumerate() if thread.name.startswith("reader")}) <= 2


def test_a_thread_goes_on_leading_reads_with_its_connection_while_no_other_service_waits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given_back: list[str] = []
    monkeypatch.setattr(combining, "give_back_connection", lambda: given_back.append(threading.current_thread().name))
    reader = Reader()
    reads = CombinedReads(reader)
    assert run(on_loop(reads, reader, 1, 2, 3)) == [1, 2, 3]
    rested(reads)
    for _ in range(PATIENCE * 200):
        if given_back:
            break
        threading.Event().wait(0.005)
    assert reader.batches == [[1], [2, 3]]
    assert len(given_back) == 1


def test_requests_with_a_name_in_common_are_in_different_batches_in_the_order_they_came() -> None:
    service = Service()
    group_commit: GroupCommit[int] = GroupCommit(service, leaders=1, limit=4, apart=lambda number: [number % 10])
    callers = crowd(group_commit, service, 11, 21, 2, 12, 3, 4, 5, 31)
    service.gate.release(3)
    assert [caller.answer() for caller in callers] == [11, 21, 2, 12, 3, 4, 5, 31]
    assert service.batches == [[11], [21, 2, 3, 4], [12, 5, 31]]
