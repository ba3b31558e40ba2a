"""The connections that one address may have open to a web process that no proxy protects.

The web server accepts a number of connections at a time (``GRANIAN_BACKPRESSURE``), and passes on those alone that have
sent their headers: whoever opens many and sends nothing would keep everybody out. So a thread of each web process looks
at the process's own sockets, and shuts down the newest of an address that has too many.
"""

import os
import resource
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import structlog
from django.conf import settings

from config.addresses import network_of

logger = structlog.get_logger(__name__)
_DESCRIPTORS: Final = Path("/dev/fd")
_MOST: Final = 4096
"""The most connections that a process accepts, if it may open enough files."""
_OTHER_FILES: Final = 512
"""What a process opens beside its connections: modules, the database, uploads, logs."""
_GRANIAN_DEFAULT: Final = 1024
_LOOK_EVERY_SECONDS: Final = 0.2
_WARN_EVERY_SECONDS: Final = 60.0

Peer = tuple[str, int]


def make_room() -> int:
    """Raise the process's limit of open files to what it may be. Returns how many connections it can accept then."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST + _OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return _MOST if soft == resource.RLIM_INFINITY else max(128, min(_MOST, soft - _OTHER_FILES))


class Guard:
    """Shuts down the newest connections of each address that has more than ``per_address``.

    If all addresses together have more than ``in_all``, each may have fewer, so that those with most lose connections.
    """

    def __init__(self, per_address: int, in_all: int) -> None:
        self._per_address, self._in_all = per_address, in_all
        self._seen: dict[Peer, int] = {}
        """The connections in the order in which they were first seen."""
        self._number = 0
        self._warn_at = 0.0

    def look(self) -> int:
        """Look at the sockets of this process once. Returns how many connections were shut down."""
        descriptors = _descriptors()
        if len(descriptors) <= min(self._per_address, self._in_all):
            self._seen.clear()
            return 0
        _, open_now = _sockets(descriptors)
        excess = self._excess(list(open_now))
        for peer in excess:
            _shut_down(open_now[peer], peer)
        if excess and time.monotonic() >= self._warn_at:
            self._warn_at = time.monotonic() + _WARN_EVERY_SECONDS
            logger.warning("too_many_connections", addresses=sorted({_name(peer) for peer in excess})[:10])
        return len(excess)

    def _excess(self, peers: list[Peer]) -> list[Peer]:
        """The newest connections of the addresses that have too many."""
        self._seen = {peer: self._seen.get(peer) or self._next() for peer in peers}
        open_of = Counter(_name(peer) for peer in peers)
        allowed = self._per_address
        while allowed > 1 and sum(min(number, allowed) for number in open_of.values()) > self._in_all:
            allowed = allowed * 3 // 4
        kept = Counter[str]()
        excess = []
        for peer in sorted(peers, key=self._seen.__getitem__):
            kept[_name(peer)] += 1
            if kept[_name(peer)] > allowed:
                excess.append(peer)
        return excess

    def _next(self) -> int:
        self._number += 1
        return self._number


def _name(peer: Peer) -> str:
    return network_of(peer[0]) or peer[0]


def accepted() -> int:
    """How many connections this process has accepted and not closed; 0 where the system doesn't say."""
    return len(_sockets(_descriptors())[1])


def listeners() -> list[int]:
    """The descriptors of the sockets that this process listens on for other machines' connections."""
    return _sockets(_descriptors())[0]


def _descriptors() -> list[int]:
    if not _DESCRIPTORS.is_dir():
        return []
    with os.scandir(_DESCRIPTORS) as entries:
        return [int(entry.name) for entry in entries]


def _sockets(descriptors: list[int]) -> tuple[list[int], dict[Peer, int]]:
    """The listening sockets, and the connections that were accepted: those to a port that this process listens on."""
    listens: dict[int, int] = {}
    ends: list[tuple[int, int, Peer]] = []
    for descriptor in descriptors:
        with borrowed(descriptor) as own:
            if own is None or own.family not in (socket.AF_INET, socket.AF_INET6):
                continue
            port = own.getsockname()[1]
            if own.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                listens[descriptor] = port
            else:
                ends.append((descriptor, port, own.getpeername()[:2]))
    ports = set(listens.values())
    return list(listens), {peer: descriptor for descriptor, port, peer in ends if port in ports}


@contextmanager
def borrowed(descriptor: int) -> Iterator[socket.socket | None]:
    """The socket of a descriptor that stays its owner's; None if it is no socket, or was closed meanwhile."""
    try:
        own = socket.socket(fileno=descriptor)
    except OSError:
        yield None
        return
    try:
        with suppress(OSError):
            yield own
    finally:
        own.detach()


def _shut_down(descriptor: int, peer: Peer) -> None:
    """End a connection, if the descriptor is still that connection's. Its owner sees that the caller is gone."""
    with suppress(OSError), socket.socket(fileno=os.dup(descriptor)) as own:
        if own.getpeername()[:2] == peer:
            own.shutdown(socket.SHUT_RDWR)


def watch() -> None:
    """Guard this process in a thread of its own, unless a proxy does (``TRUSTED_PROXIES``) or it is switched off."""
    per_address = settings.CONNECTIONS_PER_ADDRESS
    if settings.TRUSTED_PROXIES or not per_address or not _DESCRIPTORS.is_dir():
        return
    accepts = settings.GRANIAN_BACKPRESSURE or _GRANIAN_DEFAULT
    guard = Guard(per_address, accepts * 3 // 4)
    threading.Thread(target=_look_on, args=(guard,), name="connections", daemon=True).start()


def _look_on(guard: Guard) -> None:
    """Look for as long as the process runs. An error is logged once a minute: the next look may succeed."""
    warn_at = 0.0
    while True:
        time.sleep(_LOOK_EVERY_SECONDS)
        try:
            guard.look()
        except Exception:
            if time.monotonic() >= warn_at:
                warn_at = time.monotonic() + _WARN_EVERY_SECONDS
                logger.exception("connections_not_looked_at")
