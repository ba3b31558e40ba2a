"""What a body may cost: bytes, time, and a place among all the others."""

import asyncio
from collections.abc import Iterable
from typing import Any

import pytest
from django.conf import LazySettings

from config import bodies
from config.bodies import Body, Budget, Gone, Refused
from tests.loops import run

KIB = 1024
LOGIN, RESERVE = "/admin/login/", "/api/v1/inventory/reserve"


def part(size: int, *, more: bool = True) -> dict[str, Any]:
    return {"type": "http.request", "body": b"x" * size, "more_body": more}


@pytest.fixture(autouse=True)
def _soon_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "_IGNORED_SECONDS", 0.05)


class Caller:
    """Somebody who sends these parts, and then nothing more."""

    def __init__(self, parts: Iterable[dict[str, Any]], *, known: bool = False, pause_seconds: float = 0.0) -> None:
        self.parts, self.known, self.pause_seconds = list(parts), known, pause_seconds
        self.asked = 0

    async def receive(self) -> dict[str, Any]:
        if not self.parts:
            await asyncio.sleep(60)
        await pass_seconds(self.pause_seconds)
        return self.parts.pop(0)

    async def is_known(self, _scope: Any) -> bool:
        self.asked += 1
        return self.known


async def pass_seconds(seconds: float) -> None:
    """Set the loop's clock ahead by these seconds, and let timers that are due by then run."""
    loop = asyncio.get_running_loop()
    clock = loop.time
    loop.time = lambda: clock() + seconds  # type: ignore[method-assign]
    for _ in range(2):
        await asyncio.sleep(0)


def read(caller: Caller, path: str, *, length: int | None = None, budget: Budget | None = None) -> tuple[bytes, Any]:
    """The body that is read, and the headers then."""
    headers = [] if length is None else [(b"content-length", str(length).encode())]
    scope: dict[str, Any] = {"path": path, "headers": headers}
    body = Body(scope, caller.receive, budget or Budget(64 * KIB * KIB), caller.is_known)
    return run(body.read()), dict(scope["headers"])


def refusal(caller: Caller, path: str, **options: Any) -> int:
    with pytest.raises(Refused) as refused:
        read(caller, path, **options)
    return refused.value.status


@pytest.mark.parametrize("length", [31 * KIB * KIB, 16 * KIB + 1, 10**19])
def test_what_a_stranger_announces_is_refused_and_none_of_it_is_kept(length: int) -> None:
    assert refusal(Caller([part(8 * KIB)] * 2), LOGIN, length=length, budget=Budget(0)) == 413


def test_what_a_stranger_sends_unannounced_is_kept_to_the_limit_alone() -> None:
    assert refusal(Caller([part(8 * KIB)] * 5), LOGIN, budget=Budget(24 * KIB)) == 413


def test_who_sends_on_is_listened_to_for_a_while_but_not_for_ever() -> None:
    ends = Caller([part(KIB * KIB)] * 3 + [part(1, more=False)])
    assert refusal(ends, LOGIN, length=4 * KIB * KIB) == 413
    assert not ends.parts
    goes_on = Caller([part(KIB * KIB)] * 12)
    assert refusal(goes_on, LOGIN, length=12 * KIB * KIB) == 413
    assert len(goes_on.parts) == 4


@pytest.mark.parametrize("announced", [True, False])
def test_a_stranger_may_send_what_a_form_needs_and_nobody_asks_who_it_is(announced: bool) -> None:
    caller = Caller([part(8 * KIB), part(8 * KIB, more=False)])
    content, _ = read(caller, LOGIN, length=16 * KIB if announced else None)
    assert (len(content), caller.asked) == (16 * KIB, 0)


@pytest.mark.parametrize("announced", [True, False])
def test_somebody_known_may_send_two_mib_and_is_asked_for_once(announced: bool) -> None:
    parts = [part(512 * KIB)] * 3 + [part(512 * KIB, more=False)]
    caller = Caller(parts, known=True)
    content, _ = read(caller, LOGIN, length=2048 * KIB if announced else None)
    assert (len(content), caller.asked) == (2048 * KIB, 1)
    more = Caller([part(2048 * KIB + 1)], known=True)
    assert refusal(more, LOGIN, length=2048 * KIB + 1 if announced else None) == 413


@pytest.mark.parametrize(("known", "size"), [(False, 17 * KIB), (True, 257 * KIB)])
def test_what_is_too_large_for_the_api_is_left_to_the_view_with_its_length(known: bool, size: int) -> None:
    for length in (size, None):
        content, headers = read(Caller([part(size)], known=known), RESERVE, length=length)
        assert (content, headers[b"content-length"]) == (b"", str(size).encode())


def test_all_bodies_together_stay_within_the_budget_until_they_are_given_back() -> None:
    budget = Budget(20 * KIB)
    caller = Caller([part(12 * KIB, more=False)])
    body = Body({"path": LOGIN, "headers": []}, caller.receive, budget, caller.is_known)
    assert len(run(body.read())) == 12 * KIB
    assert refusal(Caller([part(12 * KIB, more=False)]), LOGIN, budget=budget) == 503
    body.give_back()
    assert len(read(Caller([part(12 * KIB, more=False)]), LOGIN, budget=budget)[0]) == 12 * KIB


def test_a_refused_body_leaves_the_budget_as_it_was() -> None:
    budget = Budget(20 * KIB)
    caller = Caller([part(12 * KIB)] * 2)
    body = Body({"path": LOGIN, "headers": []}, caller.receive, budget, caller.is_known)
    with pytest.raises(Refused):
        run(body.read())
    body.give_back()
    budget.take(20 * KIB)


def test_who_brings_too_little_in_time_is_refused_and_who_brings_enough_may_go_on(
    settings: LazySettings,
) -> None:
    settings.PROGRESS_SECONDS = 600
    slow = Caller([part(1)] * 1000, pause_seconds=50)
    assert refusal(slow, LOGIN) == 408
    assert len(slow.parts) > 980
    parts = [part(16 * KIB)] * 6 + [part(1, more=False)]
    assert len(read(Caller(parts, known=True, pause_seconds=300), LOGIN)[0]) == 6 * 16 * KIB + 1


def started(caller: Caller) -> asyncio.Task[bytes]:
    """A task that reads a body, on the running event loop."""
    body = Body({"path": LOGIN, "headers": []}, caller.receive, Budget(64 * KIB), caller.is_known)
    return asyncio.create_task(body.read())


def test_each_of_many_bodies_has_a_deadline_of_its_own(settings: LazySettings) -> None:
    settings.PROGRESS_SECONDS = 0.5
    whole, begun = part(1, more=False), part(1)

    async def outcomes() -> list[Any]:
        reads = [started(Caller([whole])), started(Caller([begun])), started(Caller([whole], pause_seconds=0.2))]
        await asyncio.gather(*reads, return_exceptions=True)
        # No wait is left, so the timer has ended: the next reads must start another one.
        reads += [started(Caller([])), started(Caller([whole], pause_seconds=0.2))]
        return await asyncio.gather(*reads, return_exceptions=True)

    found = run(outcomes())
    assert [each.status if isinstance(each, Refused) else each for each in found] == [b"x", 408, b"x", 408, b"x"]


def test_a_reading_that_is_cancelled_is_not_taken_for_a_slow_caller() -> None:
    async def is_cancelled() -> bool:
        reading = started(Caller([]))
        await asyncio.sleep(0)
        reading.cancel()
        await asyncio.wait([reading])
        return reading.cancelled()

    assert run(is_cancelled())


def test_a_caller_who_is_gone_is_gone() -> None:
    with pytest.raises(Gone):
        read(Caller([part(1), {"type": "http.disconnect"}]), LOGIN)


@pytest.mark.parametrize(
    ("version", "headers", "has_none"),
    [
        ("1.1", [], True),
        ("1.0", [(b"host", b"localhost")], True),
        ("1.1", [(b"content-length", b"0")], True),
        ("1.1", [(b"content-length", b"1")], False),
        ("1.1", [(b"content-length", b"00")], False),
        ("1.1", [(b"content-length", b"0"), (b"content-length", b"0")], False),
        ("1.1", [(b"transfer-encoding", b"chunked")], False),
        ("1.1", [(b"content-length", b"0"), (b"transfer-encoding", b"chunked")], False),
        ("2", [], False),
    ],
)
def test_only_headers_that_are_sure_say_that_there_is_no_body(
    version: str, headers: list[tuple[bytes, bytes]], has_none: bool
) -> None:
    assert bodies.has_none({"http_version": version, "headers": headers}) is has_none
