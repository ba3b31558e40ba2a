"""Sending of answers that are made piece by piece: exports, and static files.

A thread makes each piece, and then gives its database connection back. While the piece is sent, it needs neither the
thread nor a connection: a slow reader costs a piece in memory and one of the answers that the lane may have open.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Final

import structlog
from django.conf import settings
from django.db import DatabaseError, close_old_connections
from django.http import HttpResponseBase

from config.bodies import Message, Receive, Refused
from config.lanes import Lane

Send = Callable[[Message], Awaitable[None]]

logger = structlog.get_logger(__name__)
_PIECE_BYTES: Final = 64 * 1024


async def send_stream(response: HttpResponseBase, lane: Lane, start: Message, receive: Receive, send: Send) -> None:
    """Send a streaming response until its end, or until its reader is gone, or takes no piece for ``PROGRESS_SECONDS``.

    A reader sees that an answer was cut off, because its last chunk is missing. Raises Refused, 503, before anything is
    sent, where the lane has too many answers open or the database is away.
    """
    pieces = iter(response)
    gone = asyncio.ensure_future(receive())
    try:
        with lane.open_answer():
            await _send_all(pieces, lane, start, gone, send)
    except TimeoutError:
        logger.warning("answer_cut_off", reason="its reader took no piece for too long")
    finally:
        gone.cancel()
        await lane.go_on(response.close)


async def _send_all(
    pieces: Iterator[bytes], lane: Lane, start: Message, gone: asyncio.Future[Message], send: Send
) -> None:
    try:
        piece = await lane.go_on(_next, pieces)
    except DatabaseError as error:
        raise Refused(503) from error
    await send(start)
    while piece and not gone.done():
        async with asyncio.timeout(settings.PROGRESS_SECONDS):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        piece = await lane.go_on(_next, pieces)
    if not piece:
        await send({"type": "http.response.body", "body": b""})


def _next(pieces: Iterator[bytes]) -> bytes:
    """The next 64 KiB or more, as they come; empty at the end."""
    parts: list[bytes] = []
    size = 0
    try:
        for part in pieces:
            parts.append(part)
            size += len(part)
            if size >= _PIECE_BYTES:
                break
    finally:
        close_old_connections()
    return b"".join(parts)
