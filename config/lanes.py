"""Threads for each kind of request, so that many of one kind don't make the others wait.

Hashing a password and reading or writing a file take a thousand times as long as a call about stock, and anybody may
ask for the first.
"""

import asyncio
import re
from collections.abc import Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

from config.bodies import Refused

T = TypeVar("T")

_PASSWORDS: Final = re.compile(r"/admin/(login/|password_change/|auth/user/add/|auth/user/\d+/password/)")
_IMPORTS: Final = re.compile(r"/admin/.+/import-[^/]+/")
_EXPORTS: Final = re.compile(r"/admin/.+/export\.[a-z]+")


class Lane:
    """Some threads of a process, and how many requests may wait for them; None for as many as come."""

    def __init__(self, name: str, threads: int, most_waiting: int | None = None) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._most = None if most_waiting is None else threads + most_waiting
        self._inside = 0

    async def run(self, function: Callable[..., T], *arguments: Any) -> T:
        """Call the function in a thread. Raises Refused, 503, if too many wait for one."""
        if self._most is not None and self._inside >= self._most:
            raise Refused(503)
        self._inside += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, function, *arguments)
        finally:
            self._inside -= 1


class Lanes:
    """The lanes of a process."""

    def __init__(self) -> None:
        self.probes = Lane("probe", 1, 64)
        self.passwords = Lane("password", 2, 32)
        self.files = Lane("file", 2, 16)
        self.others = Lane("web", 16)

    def lane_of(self, scope: MutableMapping[str, Any]) -> Lane:
        """The lane for a request, by its method and path."""
        path: str = scope["path"]
        if path.startswith("/health/"):
            return self.probes
        if not path.startswith("/admin/"):
            return self.others
        is_post = scope["method"] == "POST"
        if is_post and _PASSWORDS.fullmatch(path):
            return self.passwords
        if (_IMPORTS if is_post else _EXPORTS).fullmatch(path):
            return self.files
        return self.others
