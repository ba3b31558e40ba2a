"""Answers that are made piece by piece: no thread and no connection waits for their reader."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator, MutableMapping
from typing import Any

import pytest
from django.conf import LazySettings
from django.db import OperationalError
from django.http import StreamingHttpResponse
from django.utils import timezone

from audit.console.exports import csv_file
from config import streams
from config.bodies import Refused
from config.lanes import Lane
from config.streams import send_stream
from tests.loops import run

START = {"type": "http.response.start", "status": 200, "headers": []}
PIECE = b"x" * 65536
Messages = list[MutableMapping[str, Any]]


class Reader:
    """Somebody who takes ``takes`` messages, and then no more until it ``goes_on``; who may be ``gone``."""

    def __init__(self, takes: int = 1000) -> None:
        self.takes = takes
        self.taken: Messages = []
        self.waits, self.goes_on, self.gone = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def send(self, message: MutableMapping[str, Any]) -> None:
        if len(self.taken) >= self.takes:
            self.waits.set()
            await self.goes_on.wait()
        self.taken.append(message)

    async def receive(self) -> MutableMapping[str, Any]:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    def read(self, response: StreamingHttpResponse, lane: Lane) -> Coroutine[Any, Any, None]:
        return send_stream(response, lane, START, self.receive, self.send)

    @property
    def has_all(self) -> bool:
        return self.taken[-1:] == [{"type": "http.response.body", "body": b""}]


def run_in_a_lane(scenario: Callable[[Lane], Coroutine[Any, Any, None]], **options: Any) -> None:
    run(scenario(Lane("test", 1, 0, **options)))


def test_slow_reader_takes_no_thread_and_no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    given_up: list[int] = []
    monkeypatch.setattr(streams, "close_old_connections", lambda: given_up.append(1))

    async def scenario(lane: Lane) -> None:
        slow = [Reader(takes) for takes in (0, 1, 2)]
        reading = [asyncio.ensure_future(one.read(StreamingHttpResponse([PIECE] * 3), lane)) for one in slow]
        quick = Reader()
        await quick.read(StreamingHttpResponse([PIECE] * 3), lane)
        assert quick.has_all
        assert len(given_up) >= 4 + 3
        assert await lane.run(lambda: "free") == "free"
        for one in slow:
            one.goes_on.set()
        await asyncio.gather(*reading)
        assert [b"".join(message.get("body", b"") for message in one.taken) for one in slow] == [PIECE * 3] * 3
        assert all(one.has_all for one in slow)

    run_in_a_lane(scenario)


@pytest.mark.parametrize("is_gone", [True, False])
def test_reader_that_is_gone_or_takes_nothing_is_left(settings: LazySettings, *, is_gone: bool) -> None:
    settings.PROGRESS_SECONDS = 60 if is_gone else 0.05
    made, closed = [], []

    def pieces() -> Iterator[bytes]:
        try:
            for number in range(1000):
                made.append(number)
                yield PIECE
        finally:
            closed.append(True)

    async def scenario(lane: Lane) -> None:
        reader = Reader(takes=3)
        reading = asyncio.ensure_future(reader.read(StreamingHttpResponse(pieces()), lane))
        if is_gone:
            await reader.waits.wait()
            reader.gone.set()
            reader.goes_on.set()
        await reading
        assert not reader.has_all
        with lane.open_answer():
            pass

    run_in_a_lane(scenario, most_open=1)
    assert closed == [True]
    assert len(made) < 10


def test_no_more_answers_are_open_than_a_lane_may_have() -> None:
    async def scenario(lane: Lane) -> None:
        slow, late = Reader(0), Reader()
        reading = asyncio.ensure_future(slow.read(StreamingHttpResponse([PIECE]), lane))
        await asyncio.sleep(0)
        with pytest.raises(Refused) as refused:
            await late.read(StreamingHttpResponse([PIECE]), lane)
        assert (refused.value.status, late.taken) == (503, [])
        slow.goes_on.set()
        await reading
        await late.read(StreamingHttpResponse([PIECE]), lane)
        assert late.has_all

    run_in_a_lane(scenario, most_open=1)


def test_export_whose_database_is_away_is_refused_before_anything_is_sent() -> None:
    def away() -> Iterator[bytes]:
        raise OperationalError("away")
        yield b""

    async def scenario(lane: Lane) -> None:
        reader = Reader()
        with pytest.raises(Refused) as refused:
            await reader.read(StreamingHttpResponse(away()), lane)
        assert (refused.value.status, reader.taken) == (503, [])

    run_in_a_lane(scenario)


def test_each_piece_of_a_file_has_the_zone_of_its_reader() -> None:
    """Whatever thread makes it; and the zone doesn't stay with that thread."""
    moment = timezone.now()
    with timezone.override("Asia/Tokyo"):
        expected = f"{timezone.localtime(moment):%Y-%m-%d %H:%M}"
        file = csv_file("file", ["When", "What"], ((moment, "x" * 300) for _ in range(1200)))
    seen = []

    async def scenario(lane: Lane) -> None:
        pieces = iter(file)
        while piece := await lane.run(next, pieces, b""):
            seen.append(piece.decode())
            assert await lane.run(timezone.get_current_timezone_name) == "UTC"

    run_in_a_lane(scenario)
    assert len(seen) >= 5
    assert max(map(len, seen)) < 66_000
    assert "".join(seen).count(expected) == 1200
