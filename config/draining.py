"""How a web process stops without losing a request that a proxy sends it meanwhile.

A proxy notices only after a while that a web server is about to stop, and doesn't repeat a POST that it has sent. So
the process must answer whatever it accepts. After SIGTERM it

1. answers 503 to ``/health/ready`` and goes on with everything else for ``SHUTDOWN_GRACE_SECONDS``. Each answer ends
   its connection (``Connection: close``), so that a proxy sends its next request on a new one, or elsewhere;
2. waits until no connection is without a request: a proxy closes those that it doesn't use;
3. has the kernel ignore further attempts to connect, while those that it accepted before are answered;
4. ends the long polls and streams of the feed, and lets the web server close the port, complete what is open, and end.
   A client whose attempt was ignored repeats it after a second, is refused, and goes elsewhere.

With a grace of 0, or after SIGINT, only the last step is taken.
"""

import asyncio
import ctypes
import signal
import socket
import struct
import sys
import threading
from typing import Any, Final

import structlog
from django.conf import settings

from audit.api.following import hub
from config import connections
from config.serve import SETTLE_SECONDS

Headers = list[tuple[bytes, bytes]]

logger = structlog.get_logger(__name__)
_LAST_SECONDS: Final = 1.0
"""The longest wait for the requests of the last connections."""
_HANDSHAKE_SECONDS: Final = 0.1
_LOOK_EVERY_SECONDS: Final = 0.05
_CLOSE: Final = (b"connection", b"close")
_SO_ATTACH_FILTER: Final = 26
# Of a packet's TCP header: drop it if the flag SYN is set, which asks for a new connection; else let it pass.
_NO_SYN: Final = b"".join(
    struct.pack("HBBI", *instruction)
    for instruction in ((0x30, 0, 0, 13), (0x45, 0, 1, 0x02), (0x06, 0, 0, 0), (0x06, 0, 0, 0xFFFFFFFF))
)


class Requests:
    """Counts the requests that a process has begun and not yet answered. For the event loop's thread."""

    def __init__(self) -> None:
        self.open = 0

    def __enter__(self) -> None:
        self.open += 1

    def __exit__(self, *_: object) -> None:
        self.open -= 1


requests: Final = Requests()
_is_stopping = False
_task: asyncio.Task[None] | None = None


def is_stopping() -> bool:
    """Whether this process was told to stop: no proxy should send it requests any more."""
    return _is_stopping


def closing(headers: Headers) -> Headers:
    """The headers of an answer, with one that ends its connection if this process is stopping."""
    return [*headers, _CLOSE] if _is_stopping else headers


def at_signals() -> None:
    """Handle SIGTERM and SIGINT in the event loop's thread; does nothing in another one, where no signals come.

    The web server's own handlers run, too: at once for SIGINT, at the end for SIGTERM.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        _end_listeners_at(number, loop)
    if settings.SHUTDOWN_GRACE_SECONDS and callable(signal.getsignal(signal.SIGTERM)):
        loop.add_signal_handler(signal.SIGTERM, _begin)


def _end_listeners_at(number: int, loop: asyncio.AbstractEventLoop) -> None:
    """End all waits of the feed at a signal, since the server waits for open answers before it ends."""
    previous = signal.getsignal(number)
    if not callable(previous):
        return  # The signal has no handler: the process ends at once.

    def stop(number: int, frame: Any, previous: Any = previous) -> None:
        loop.call_soon_threadsafe(_stop)
        previous(number, frame)

    # The event loop's own handlers are called by its wake-up descriptor, which gets each signal that has a handler.
    signal.signal(number, stop)
    signal.siginterrupt(number, False)


def _stop() -> None:
    global _is_stopping  # noqa: PLW0603 - a process stops once
    _is_stopping = True
    hub().close()


def _begin() -> None:
    """Begin to stop. A further SIGTERM changes nothing: it may be sent to the whole group of processes again."""
    global _is_stopping, _task  # noqa: PLW0603
    if not _is_stopping:
        _is_stopping = True
        _task = asyncio.get_running_loop().create_task(_drain())


async def _drain() -> None:
    logger.info("stopping", grace_seconds=settings.SHUTDOWN_GRACE_SECONDS, open_requests=requests.open)
    try:
        await asyncio.sleep(settings.SHUTDOWN_GRACE_SECONDS)
        await _until_none_is_idle(SETTLE_SECONDS)
        for descriptor in connections.listeners():
            _ignore_attempts(descriptor)
        await asyncio.sleep(_HANDSHAKE_SECONDS)
        await _until_none_is_idle(_LAST_SECONDS)
    finally:
        # The web server still handles this one, and so does `_stop`.
        signal.raise_signal(signal.SIGINT)


async def _until_none_is_idle(most_seconds: float) -> None:
    """Wait until each connection has a request, for some seconds at most."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + most_seconds
    # There is no event for the end of the last connection.
    while connections.accepted() > requests.open and loop.time() < deadline:  # noqa: ASYNC110
        await asyncio.sleep(_LOOK_EVERY_SECONDS)


def _ignore_attempts(descriptor: int) -> None:
    """Have the kernel drop what asks a listening socket for a connection (only on Linux).

    Those that it has accepted already are kept for the web server, which would lose them if it closed the socket now.
    """
    if sys.platform != "linux":
        return
    code = ctypes.create_string_buffer(_NO_SYN, len(_NO_SYN))
    program = struct.pack("HP", len(_NO_SYN) // 8, ctypes.addressof(code))
    with connections.borrowed(descriptor) as own:
        if own is not None:
            own.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)
