"""`python -m benchmarks.receiver`: a receiver of webhooks on a free port of the loopback interface.

It prints the port, and ends with its standard input. ``/fast`` acknowledges at once, ``/hang`` never answers, and
``/received`` answers with the counts so far (``Received``) as JSON.
"""

import asyncio
import dataclasses
import json
import sys
import time
from contextlib import suppress


@dataclasses.dataclass
class Received:
    """What was received so far.

    ``events`` counts the different events at ``/fast``, of which the last came at ``last_at``, in seconds of the
    machine's monotonic clock. ``hanging`` counts the requests that wait for an answer.
    """

    events: int = 0
    last_at: float = 0.0
    hanging: int = 0


class Receiver:
    """The server."""

    def __init__(self) -> None:
        self._received = Received()
        self._ids: set[str] = set()

    async def serve(self) -> None:
        """Serve until standard input ends."""
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.buffer.read)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
                await reader.readexactly(int(headers.get("content-length", 0)))
                writer.write(await self._answer(head[0].split(" ")[1], headers, reader))
                await writer.drain()
        writer.close()

    async def _answer(self, path: str, headers: dict[str, str], reader: asyncio.StreamReader) -> bytes:
        if path == "/received":
            body = json.dumps(dataclasses.asdict(self._received)).encode()
            return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
        if path == "/hang":
            await self._hang(reader)
        elif headers["webhook-id"] not in self._ids:
            self._ids.add(headers["webhook-id"])
            self._received.events += 1
            self._received.last_at = time.monotonic()
        return b"HTTP/1.1 204 No Content\r\n\r\n"

    async def _hang(self, reader: asyncio.StreamReader) -> None:
        """Wait until the sender closes the connection."""
        self._received.hanging += 1
        try:
            await reader.readexactly(1)
        finally:
            self._received.hanging -= 1


if __name__ == "__main__":
    asyncio.run(Receiver().serve())
