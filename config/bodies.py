"""Reading the bodies of requests into memory, within bounds.

A body is read whole before its request is answered, so large bodies could fill memory. A stranger may send 16 KiB; a
known caller may send ``BODY_LIMIT_BYTES`` to the API and ``UPLOAD_LIMIT_BYTES`` to the console. All bodies together
take at most ``BODIES_LIMIT_BYTES`` at a time, and a body that comes too slowly is refused.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from typing import Any, Final

from django.conf import settings

IMPORTS: Final = re.compile(r"/admin/.+/import-[^/]+/")
"""The addresses to which files are sent to be imported."""
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
IsKnown = Callable[[Message], Awaitable[bool]]

STRANGERS_LIMIT_BYTES: Final = 16 * 1024
_PROGRESS_BYTES: Final = 16 * 1024
"""A body may take as long as it likes while each ``PROGRESS_SECONDS`` bring 16 KiB, or its end."""
_IGNORED_BYTES: Final = 8 * 1024 * 1024
_IGNORED_SECONDS: Final = 1.0
"""How much of a body that is too large is still read, and dropped, before the connection is left."""
_LOOK_EVERY_SECONDS: Final = 0.1
"""How often waits for parts of bodies are compared with their deadlines."""
_NO_LENGTH: Final = b"0"
_MOST_DIGITS: Final = 18
"""The most digits of a Content-Length that is parsed. A body whose length has more is too large in any case."""


def _limit_of_staff(path: str) -> int:
    return settings.IMPORT_LIMIT_BYTES if IMPORTS.fullmatch(path) else settings.UPLOAD_LIMIT_BYTES


class Refused(Exception):
    """A request that is answered with this status before any view sees it."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Gone(Exception):
    """The caller went away before its body was whole."""


class Budget:
    """How many bytes of bodies a process holds at a time. For the event loop alone: it takes no lock."""

    def __init__(self, limit_bytes: int) -> None:
        self._free_bytes = limit_bytes

    def take(self, size: int) -> None:
        """Take so many bytes. Raises Refused, 503, if fewer are free."""
        if size > self._free_bytes:
            raise Refused(503)
        self._free_bytes -= size

    def give_back(self, size: int) -> None:
        """The bytes are gone: their request was answered."""
        self._free_bytes += size


class Deadlines:
    """Ends waits for parts of bodies at their deadlines, with one timer for all waits. Used on the event loop only.

    ``asyncio.timeout_at`` makes and cancels a timer for each wait, which took half of the time of reading a body.
    """

    def __init__(self) -> None:
        self._waits: dict[asyncio.Task[Any], float] = {}
        self._watched_by: asyncio.AbstractEventLoop | None = None

    async def receive(self, receive: Receive, deadline: float) -> Message:
        """Await the next message. Raises TimeoutError at most ``_LOOK_EVERY_SECONDS`` after the deadline."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - for mypy: bodies are read in tasks only
        self._waits[task] = deadline
        self._watch(asyncio.get_running_loop())
        try:
            return await receive()
        except asyncio.CancelledError:
            if task in self._waits or task.uncancel() > 0:
                raise  # Something other than the deadline cancelled it.
            raise TimeoutError from None
        finally:
            self._waits.pop(task, None)

    def _watch(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._watched_by is not loop:
            self._watched_by = loop
            loop.call_later(_LOOK_EVERY_SECONDS, self._look, loop)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        self._watched_by = None
        for task in [task for task, deadline in self._waits.items() if deadline <= loop.time()]:
            del self._waits[task]
            task.cancel()
        if self._waits:
            self._watch(loop)


_deadlines: Final = Deadlines()


def has_none(scope: Message) -> bool:
    """Whether the headers say that a request has no body, as they do over HTTP/1. Waiting for it would take a while."""
    lengths = [value for name, value in scope["headers"] if name in (b"content-length", b"transfer-encoding")]
    return str(scope.get("http_version", "")).startswith("1") and lengths in ([], [b"0"])


def _is_small(size: int) -> bool:
    """Whether any caller, known or not, may send so many bytes."""
    return size <= STRANGERS_LIMIT_BYTES


class Body:
    """The body of one request. ``is_known`` says whether the caller is somebody who may send more than a stranger."""

    __slots__ = (
        "_budget",
        "_is_api",
        "_is_known",
        "_is_whole",
        "_known",
        "_limit_bytes",
        "_receive",
        "_scope",
        "_size",
    )

    def __init__(self, scope: Message, receive: Receive, budget: Budget, is_known: IsKnown) -> None:
        self._scope, self._receive, self._budget, self._is_known = scope, receive, budget, is_known
        self._is_api = scope["path"].startswith("/api/")
        self._limit_bytes = settings.BODY_LIMIT_BYTES if self._is_api else _limit_of_staff(scope["path"])
        self._known = self._is_whole = False
        self._size = 0

    async def read(self) -> bytes:
        """The whole body. Nothing is kept of one that is too large.

        Raises Gone, or Refused: 408, 413, or 503. What is too large for the API is read as empty instead, for the
        view to refuse: with 401 a stranger, and a client with 413, by the header with the length.
        """
        length = next((value for name, value in self._scope["headers"] if name == b"content-length"), _NO_LENGTH)
        size = int(length) if length.isdigit() and len(length) <= _MOST_DIGITS else 0
        if len(length) > _MOST_DIGITS or (not _is_small(size) and not await self._may_send(size)):
            return await self._too_large()
        parts = await self._parts()
        if length is _NO_LENGTH and self._size:  # Sent in chunks.
            self._scope["headers"] = [*self._scope["headers"], (b"content-length", b"%d" % self._size)]
        return b"".join(parts) if parts is not None else await self._too_large()

    def give_back(self) -> None:
        """Give the budget its bytes back."""
        self._budget.give_back(self._size)

    async def _parts(self) -> list[bytes] | None:
        """All parts of the body; None, and the rest unread, if they are too large."""
        parts: list[bytes] = []
        in_time = 0
        deadline = asyncio.get_running_loop().time() + settings.PROGRESS_SECONDS
        while message := await self._message(deadline):
            part = message.get("body", b"")
            self._budget.take(len(part))
            self._size += len(part)
            self._is_whole = not message.get("more_body")
            if not _is_small(self._size) and not await self._may_send(self._size):
                return None
            parts.append(part)
            if self._is_whole:
                break
            if self._size - in_time >= _PROGRESS_BYTES:
                in_time = self._size
                deadline = asyncio.get_running_loop().time() + settings.PROGRESS_SECONDS
        return parts

    async def _message(self, deadline: float) -> Message:
        try:
            message = await _deadlines.receive(self._receive, deadline)
        except TimeoutError:
            raise Refused(408) from None
        if message["type"] == "http.disconnect":
            raise Gone
        return message

    async def _may_send(self, size: int) -> bool:
        """Whether this caller may send so many bytes, which are more than a stranger may."""
        if size > self._limit_bytes:
            return False
        if not self._known:
            self._known = await self._is_known(self._scope)
        return self._known

    async def _too_large(self) -> bytes:
        """Let the caller send on for a while, so that it reads the answer and not that the connection broke."""
        ignored = 0
        with suppress(Refused):
            deadline = asyncio.get_running_loop().time() + _IGNORED_SECONDS
            while not self._is_whole and ignored < _IGNORED_BYTES:
                message = await self._message(deadline)
                ignored += len(message.get("body", b""))
                self._is_whole = not message.get("more_body")
        if self._is_api:
            return b""
        raise Refused(413)
