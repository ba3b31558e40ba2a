"""Listeners of the feed over real sockets, many in one thread."""

import asyncio
import contextlib
import json
from collections.abc import Iterable
from typing import Any, Self

from tests.faults.house import PATIENCE_SECONDS, House


class Stream:
    """A stream of server-sent events, as a browser reads it: it knows the ``id`` to come back with."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self.events: list[dict[str, Any]] = []
        self.last_event_id = ""
        self.has_ended = False

    @classmethod
    async def open(cls, house: House, query: str = "after=now", *, token: str = "", last_event_id: str = "") -> Self:
        """Open a stream, and wait until it is there. Asks again where the service is busy, as clients do."""
        headers = [
            f"GET /api/v1/events/stream?{query} HTTP/1.1",
            "Host: localhost",
            f"Authorization: Bearer {token or house.token}",
        ]
        if last_event_id:
            headers.append(f"Last-Event-ID: {last_event_id}")
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                reader, writer = await asyncio.open_connection("127.0.0.1", house.port, limit=2**20)
                stream = cls(reader, writer)
                writer.write("\r\n".join([*headers, "", ""]).encode())
                head = await reader.readuntil(b"\r\n\r\n")
                if b" 503 " not in head:
                    break
                await stream.close()
                await asyncio.sleep(0.1)
            assert b" 200 " in head, head + await reader.read(1000)
            assert b"text/event-stream" in head, head
            await stream._read_block()
        return stream

    async def read_until(self, count: int, seconds: float = PATIENCE_SECONDS) -> list[dict[str, Any]]:
        """Read until so many events have come."""
        async with asyncio.timeout(seconds):
            while len(self.events) < count:
                await self._read_block()
                assert not self.has_ended, f"ended after {len(self.events)} events"
        return self.events

    async def read_to_end(self, seconds: float = PATIENCE_SECONDS) -> None:
        """Read until the server ends the stream as it should: with its last chunk."""
        async with asyncio.timeout(seconds):
            while not self.has_ended:
                await self._read_block()

    async def close(self) -> None:
        """Go away."""
        self._writer.transport.abort()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()

    async def _read_block(self) -> None:
        """Read a chunk, with all blocks in it."""
        size = int(await self._reader.readuntil(b"\r\n"), 16)
        chunk = await self._reader.readexactly(size + 2)
        self.has_ended = not size
        for block in chunk[:-2].decode().split("\n\n"):
            for line in block.split("\n"):
                name, _, value = line.partition(": ")
                if name == "id":
                    self.last_event_id = value
                elif name == "data":
                    self.events.append(json.loads(value))


async def open_many(house: House, count: int, query: str = "after=now") -> list[Stream]:
    """Open so many streams, 50 at a time."""
    room = asyncio.Semaphore(50)

    async def one() -> Stream:
        async with room:
            return await Stream.open(house, query)

    return await asyncio.gather(*(one() for _ in range(count)))


async def close_all(streams: Iterable[Stream]) -> None:
    """Go away with all of them."""
    for stream in streams:
        await stream.close()
