"""Listeners of the feed, on the event loop: long polls and streams of server-sent events.

A view has read the existing events (``audit.api.following``). From then on a listener needs no thread and no database
connection: it waits for the hub of its process, or until its connection accepts data. Each gets one chunk at a time,
and is disconnected if it accepts none for ``PROGRESS_SECONDS``. So a slow listener only costs the memory of one chunk,
and doesn't delay others.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final
from uuid import UUID

import structlog
from django.conf import settings
from django.db import Error as DatabaseError

from audit.api.following import EventStream, Following, FollowingResponse, hub
from audit.errors import Busy, DomainError
from audit.feed import Listener, Selected
from audit.feed.rendering import heartbeat_of, stream_of
from config import compression, draining
from config.bodies import Message, Receive, Refused
from config.streams import Send

logger = structlog.get_logger(__name__)
_RECONNECT_MS: Final = (1000, 3000)
"""After how long clients reconnect: at random, as a restart ends all streams at once."""
_RETRY_SECONDS: Final = 1.0
_open: Final = Counter[UUID]()
"""The number of listeners of each client. Used on the event loop alone."""


async def follow(
    response: FollowingResponse, start: Message, receive: Receive, send: Send, *, accept_encoding: str = ""
) -> None:
    """Complete a response as events come, until the client disconnects or may no longer listen, or the process stops.

    A long poll is compressed where the client accepts that (``accept_encoding``), a stream never.

    Raises Refused (503) if there are too many listeners. For a long poll, also raises Busy, Archived, Invalid and
    errors of the database, before anything is sent.
    """
    following = response.following
    assert following is not None  # noqa: S101 - for the type checker: others are sent as they are
    listener = Listener(following.cursor, following.selection, following.authorization, following.renew)
    with _counted(following.client_id), hub().listening(listener):
        gone = asyncio.ensure_future(receive())
        gone.add_done_callback(lambda _: listener.end())
        try:
            if isinstance(response, EventStream):
                await _stream(listener, following, response.content, start, send)
            else:
                await _poll(listener, following, start, gone, send, accept_encoding=accept_encoding)
        except TimeoutError:
            logger.info("listener_cut_off", reason="it took no event for too long")
        finally:
            gone.cancel()


@contextmanager
def _counted(client_id: UUID) -> Iterator[None]:
    """Count a listener. A client has at most half of those that a process serves. Raises Refused, 503."""
    most = settings.EVENT_LISTENERS
    if _open.total() >= most or _open[client_id] >= (most + 1) // 2:
        raise Refused(503)
    _open[client_id] += 1
    try:
        yield
    finally:
        _open[client_id] -= 1
        if not _open[client_id]:
            del _open[client_id]


async def _poll(
    listener: Listener,
    following: Following,
    start: Message,
    gone: asyncio.Future[Message],
    send: Send,
    *,
    accept_encoding: str,
) -> None:
    found = await hub().next(listener, following.limit, following.wait_seconds)
    if gone.done():
        return
    if not found.events and not hub().is_closed and not hub().has_read_lately():
        raise Busy("The newest events can't be read. Try again.")
    body, headers = compression.packed(following.render(found, listener.selection.reach), accept_encoding)
    await send(_with_length({**start, "headers": [*start["headers"], *headers]}, len(body)))
    await send({"type": "http.response.body", "body": body})


async def _stream(listener: Listener, following: Following, there: bytes, start: Message, send: Send) -> None:
    piece = b"retry: %d\n\n" % random.randint(*_RECONNECT_MS) + there  # noqa: S311 - no secret
    await send(_with_length(start, None))
    while True:
        async with asyncio.timeout(settings.PROGRESS_SECONDS):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        if listener.is_ended:
            break
        try:
            found = await hub().next(listener, following.limit, following.wait_seconds)
        except DatabaseError:
            await listener.wait(_RETRY_SECONDS)
            found = Selected((), listener.cursor, has_more=True)
        except DomainError as error:
            # Its cursor is no longer valid. A client that reconnects with it is refused with the reason.
            logger.info("listener_cut_off", reason=error.detail)
            break
        piece = stream_of(found, listener.selection.reach) or heartbeat_of(listener.cursor)
    await send({"type": "http.response.body", "body": b""})


def _with_length(start: Message, length: int | None) -> Message:
    """The start of a response, with the length of its body; None for a stream, whose length isn't known."""
    headers = [(name, value) for name, value in start["headers"] if name not in (b"content-length", b"connection")]
    if length is not None:
        headers.append((b"content-length", b"%d" % length))
    return {**start, "headers": draining.closing(headers)}
