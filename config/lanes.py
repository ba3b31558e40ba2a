"""Threads for each kind of request, so that many of one kind don't make the others wait.

Hashing a password and reading or writing a file take a thousand times as long as a call about stock, and anybody may
ask for the first. A page of the console takes ten times as long as a call about stock, nearly all of it Python code, of
which a process runs only one thread at a time: the more threads make pages, the longer every call waits for its turn.
"""

import asyncio
import re
from collections.abc import Callable, Iterator, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Final, TypeVar

from config.bodies import IMPORTS, Refused

T = TypeVar("T")

_API: Final = "/api/"
_CONSOLE: Final = "/admin/"
_PASSWORDS: Final = re.compile(r"/admin/(login/|password_change/|auth/user/add/|auth/user/\d+/password/)")
_READY: Final = "/health/ready"
_EVENTS: Final = "/api/v1/events"
_EXPORTS: Final = re.compile(r"/admin/.+/export\.[a-z]+")


class Lane:
    """Some threads of a process, and how many requests may wait for them; None for as many as come.

    ``most_open`` is how many answers may be open at a time that are made piece by piece.
    """

    def __init__(self, name: str, threads: int, most_waiting: int | None = None, *, most_open: int = 256) -> None:
        self.threads = threads
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._most = None if most_waiting is None else threads + most_waiting
        self._most_open = most_open
        self._inside = self._open = 0

    async def run(self, function: Callable[..., T], *arguments: Any) -> T:
        """Call the function in a thread. Raises Refused, 503, if too many wait for one."""
        if self._most is not None and self._inside >= self._most:
            raise Refused(503)
        self._inside += 1
        try:
            return await self.go_on(function, *arguments)
        finally:
            self._inside -= 1

    async def go_on(self, function: Callable[..., T], *arguments: Any) -> T:
        """Call the function in a thread, for a request that this lane has begun to answer: it isn't refused."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *arguments)

    @contextmanager
    def open_answer(self) -> Iterator[None]:
        """Count an answer that is made piece by piece while it is sent. Raises Refused, 503, if too many are open."""
        if self._open >= self._most_open:
            raise Refused(503)
        self._open += 1
        try:
            yield
        finally:
            self._open -= 1


class Lanes:
    """The lanes of a process, which serves ``all``, only the ``api`` or only the ``console`` (``WEB_SERVES``)."""

    def __init__(self, serves: str = "all") -> None:
        self._elsewhere = {"all": (), "api": (_CONSOLE,), "console": (_API,)}[serves]
        self.probes = Lane("probe", 1, 64)
        self.passwords = Lane("password", 2, 32)
        self.files = Lane("file", 2, 16, most_open=32)
        self.events = Lane("event", 4, 4096)
        self.console = Lane("console", 8 if serves == "console" else 2)
        self.others = Lane("web", 16)

    def refuse_misdirected(self, path: str) -> None:
        """Raise Refused, 421, for a path that other processes serve."""
        if path.startswith(self._elsewhere):
            raise Refused(421)

    def lane_of(self, scope: MutableMapping[str, Any]) -> Lane:
        """The lane for a request, by its method and path."""
        path: str = scope["path"]
        if path == _READY:
            return self.probes
        if path.startswith(_EVENTS):
            return self.events
        if not path.startswith(_CONSOLE):
            return self.others
        is_post = scope["method"] == "POST"
        if is_post and _PASSWORDS.fullmatch(path):
            return self.passwords
        if (IMPORTS if is_post else _EXPORTS).fullmatch(path):
            return self.files
        return self.console
