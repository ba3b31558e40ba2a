"""A network of its own for PostgreSQL, whose cable can be cut: both ends are silent then, and see nothing of it."""

import ctypes
import os
import subprocess
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, TypeVar

T = TypeVar("T")
_NET: Final = 0x40000000  # CLONE_NEWNET
_NOWHERE: Final = "02:00:00:00:00:99"


class Unable(Exception):
    """This machine makes no network namespaces, for the reason that is said."""


class Network:
    """A namespace with an address that only this machine reaches, over a pair of virtual interfaces."""

    def __init__(self) -> None:
        self.name = f"inv{os.getpid() % 100_000}"
        self.outside = f"{self.name}a"
        # Link-local: nothing else of the machine is hidden by it.
        number = os.getpid() % 250
        self.here, self.there = f"169.254.{number}.1", f"169.254.{number}.2"
        try:
            _ip("netns", "add", self.name)
        except (OSError, subprocess.CalledProcessError) as error:
            raise Unable(f"network namespaces can't be made here ({error})") from error
        try:
            inside = ("-n", self.name)
            _ip("link", "add", self.outside, "type", "veth", "peer", "name", "veth0", "netns", self.name)
            _ip("address", "add", f"{self.here}/30", "dev", self.outside)
            _ip("link", "set", self.outside, "up")
            _ip(*inside, "address", "add", f"{self.there}/30", "dev", "veth0")
            _ip(*inside, "link", "set", "veth0", "up")
            _ip(*inside, "link", "set", "lo", "up")
        except (OSError, subprocess.CalledProcessError) as error:
            self.close()
            raise Unable(f"network namespaces can't be made here ({error})") from error

    def inside(self, work: Callable[[], T]) -> T:
        """Run in a thread that is in the namespace. What it starts is in there as well."""
        done: list[Any] = []

        def run() -> None:
            with Path(f"/run/netns/{self.name}").open() as space:
                if ctypes.CDLL(None, use_errno=True).setns(space.fileno(), _NET):
                    raise OSError(ctypes.get_errno(), "setns")
            done.append(work())

        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        return done[0]  # type: ignore[no-any-return]

    def cut(self) -> None:
        """Let both ends send to a card that nobody has: nothing arrives, and nobody is told."""
        _ip("neighbour", "replace", self.there, "lladdr", _NOWHERE, "nud", "permanent", "dev", self.outside)
        _ip("-n", self.name, "neighbour", "replace", self.here, "lladdr", _NOWHERE, "nud", "permanent", "dev", "veth0")

    def mend(self) -> None:
        """Undo ``cut``."""
        _ip("neighbour", "del", self.there, "dev", self.outside)
        _ip("-n", self.name, "neighbour", "del", self.here, "dev", "veth0")

    def close(self) -> None:
        """Delete all of it."""
        with suppress(subprocess.CalledProcessError):
            _ip("netns", "del", self.name)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)
