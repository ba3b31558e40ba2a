"""Listeners on the event loop: slow ones, gone ones, and those whose database is away."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest
from django.db import OperationalError

from audit.api.following import EventStream, Following, LongPoll
from audit.errors import Busy, Invalid
from audit.feed import Cursor, Hub, Selected, Selection
from audit.feed import hub as hubs
from audit.feed.tail import Tail
from config import listening
from config.bodies import Message, Refused
from tests import loops
from tests.audit.feed.test_tail import event, made

HERE = Cursor(1, 1, 10)
START: Message = {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"7")]}


@pytest.fixture(autouse=True)
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub of its own, whose log is empty."""
    own = Hub(lambda _: None)
    monkeypatch.setattr(listening, "hub", lambda: own)
    monkeypatch.setattr(hubs, "_look", lambda known: (known or made(end=HERE), False))
    yield own
    own.close()


class Caller:
    """The other end of a request: what it was sent, until it goes away."""

    def __init__(self, *, takes: int = 1000, goes_after: int = 1000) -> None:
        self.sent: list[Message] = []
        self.gone = asyncio.Event()
        self._takes, self._goes_after = takes, goes_after

    async def receive(self) -> Message:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        if len(self.sent) == self._takes:
            await asyncio.Event().wait()
        self.sent.append(message)
        if len(self.sent) == self._goes_after:
            self.gone.set()

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.sent)


def following(wait_seconds: float = 0.05, renew: Callable[[], Selection | None] = Selection) -> Following:
    return Following(uuid4(), "Bearer t", HERE, Selection(), 10, wait_seconds, renew)


async def follow(caller: Caller, where: Following, kind: type[LongPoll] | type[EventStream] = LongPoll) -> None:
    nothing = Selected((), HERE, has_more=False)
    response = EventStream(nothing, None, where) if kind is EventStream else LongPoll(nothing, where, goes_on=True)
    await asyncio.wait_for(listening.follow(response, START, caller.receive, caller.send), 20)


def test_a_poll_without_events_is_an_empty_page_with_its_own_length() -> None:
    async def story() -> None:
        caller = Caller()
        await follow(caller, following())
        start, body = caller.sent
        assert body["body"] == b'{"events":[],"cursor":"1.1.10","hasMore":false}'
        assert start["headers"] == [(b"content-length", b"%d" % len(body["body"]))]

    loops.run(story())


def test_a_stream_shows_that_it_lives_and_where_it_is_until_its_reader_goes() -> None:
    async def story() -> None:
        caller = Caller(goes_after=4)
        await follow(caller, following(), EventStream)
        assert caller.sent[0]["headers"] == []
        assert caller.sent[1]["body"].startswith(b"retry: ")
        assert caller.sent[2]["body"] == b": heartbeat\nid: 1.1.10\n\n"
        assert not listening._open

    loops.run(story())


def test_a_reader_that_takes_nothing_is_left_and_delays_nobody(hub: Hub, settings: Any) -> None:
    settings.PROGRESS_SECONDS = 0.1

    async def story() -> None:
        slow, other = Caller(takes=2), Caller()
        slow_one = asyncio.ensure_future(follow(slow, following(), EventStream))
        await follow(other, following())
        assert other.sent
        await slow_one
        assert (len(slow.sent), len(hub), listening._open.total()) == (2, 0, 0)

    loops.run(story())


def test_a_poll_whose_caller_is_gone_is_not_answered() -> None:
    async def story() -> None:
        caller = Caller()
        caller.gone.set()
        await follow(caller, following(wait_seconds=30))
        assert not caller.sent

    loops.run(story())


def test_a_poll_is_refused_while_the_log_can_not_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    def look(known: Tail | None) -> Any:
        raise OperationalError("away")

    monkeypatch.setattr(hubs, "_look", look)

    async def story() -> None:
        with pytest.raises(Busy):
            await follow(Caller(), following())

    loops.run(story())


def test_the_log_is_read_again_after_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[Tail | None] = []

    def look(known: Tail | None) -> Any:
        looks.append(known)
        if len(looks) in {2, 3}:
            raise OperationalError("away") if len(looks) == 2 else Invalid("a restored log")
        if known is None:
            return made(end=HERE), False
        return known.extended([event(5, 50)], Cursor(1, 5, 50)), True

    monkeypatch.setattr(hubs, "_look", look)

    async def story() -> None:
        caller = Caller()
        await follow(caller, following(wait_seconds=20))
        assert b'"key":"50"' in caller.body
        assert [known is None for known in looks] == [True, False, False, True, False]

    loops.run(story())


def test_what_a_client_may_see_is_looked_up_again(hub: Hub, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.TOKEN_CACHE_SECONDS = 0
    monkeypatch.setattr(hubs, "_SHORTEST_RENEWAL_SECONDS", 0.01)

    async def story() -> None:
        answers = iter([Selection(key="mine"), None])
        caller = Caller()
        await follow(caller, following(wait_seconds=30, renew=lambda: next(answers)), EventStream)
        assert caller.sent[-1]["body"] == b""  # It was ended as it should.

    loops.run(story())


def test_many_listeners_are_refused(settings: Any) -> None:
    settings.EVENT_LISTENERS = 4
    where = following(wait_seconds=30)

    async def story() -> None:
        callers = [Caller() for _ in range(4)]
        own = [asyncio.ensure_future(follow(caller, where)) for caller in callers[:2]]
        await asyncio.sleep(0)
        with pytest.raises(Refused):
            await follow(Caller(), where)  # Half of all are one client's.
        others = [asyncio.ensure_future(follow(caller, following(wait_seconds=30))) for caller in callers[2:]]
        await asyncio.sleep(0)
        with pytest.raises(Refused):
            await follow(Caller(), following())
        for caller in callers:
            caller.gone.set()
        await asyncio.gather(*own, *others)
        assert not listening._open

    loops.run(story())
