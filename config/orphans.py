"""Has processes end with the one that started them: a worker whose server was killed must not go on answering."""

import ctypes
import multiprocessing
import os
import signal
import sys
import threading
import time
from typing import Final

_LIBC: Final = ctypes.CDLL(None) if sys.platform == "linux" else None
_PR_SET_PDEATHSIG: Final = 1
_LOOK_EVERY_SECONDS: Final = 0.25


def die_with_parent(signal_number: int, parent: int) -> None:
    """Have the kernel send ``signal_number`` to this process when the *thread* that forked it ends (only on Linux).

    ``parent`` is the expected parent: if it is gone already, this process ends at once. The kernel forgets the signal
    when the process executes a program that changes its user.
    """
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal_number)
        if os.getppid() != parent:
            os._exit(1)


def watch(signal_number: int, parent: int) -> None:
    """Start a thread that sends ``signal_number`` to this process once ``parent`` is no longer its parent."""
    threading.Thread(target=_look_on, args=(signal_number, parent), name="parent", daemon=True).start()


def end_with_server() -> None:
    """Have this process, a worker that its server spawned without forking, end with the server."""
    server = multiprocessing.parent_process()
    if _LIBC is None and server is not None and server.pid is not None:
        watch(signal.SIGKILL, server.pid)


def _look_on(signal_number: int, parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_LOOK_EVERY_SECONDS)
    os.kill(os.getpid(), signal_number)


def end_forks_with_this_process() -> None:
    """Have each process that is forked from now on, here or in a fork, killed when its parent ends.

    For programs whose forks are made by a thread that lives as long as they do. Programs that are started
    (``subprocess``) are not affected.
    """
    parent = [os.getpid()]
    end = die_with_parent if _LIBC is not None else watch

    def note_parent() -> None:
        parent[0] = os.getpid()

    os.register_at_fork(before=note_parent, after_in_child=lambda: end(signal.SIGKILL, parent[0]))
