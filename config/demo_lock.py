"""One demonstration at a time runs on a data folder: it holds a lock on ``demo.lock``, which says where it runs.

The kernel releases the lock when the last process of the demonstration ends, however it ends.
"""

import fcntl
import os
import sys
from pathlib import Path
from typing import Final

IS_RUNNING: Final = 3
"""The exit code where another demonstration runs on the data folder."""
_FILE: Final = "demo.lock"
_LENGTH_LIMIT: Final = 1000


def refuse_second(data_dir: Path) -> None:
    """Exit with ``IS_RUNNING`` and a sentence if a demonstration runs on this folder, which may not exist yet."""
    if (data_dir / _FILE).exists():
        os.close(_locked(data_dir))


def hold(data_dir: Path, address: str) -> None:
    """Note that this process runs the demonstration of this folder at ``address``, until it and its forks have ended.

    Exits as ``refuse_second``.
    """
    descriptor = _locked(data_dir)
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{address} (process {os.getpid()})\n".encode(), 0)


def _locked(data_dir: Path) -> int:
    """A descriptor of the file, which is locked. Exits with a sentence if it can't be."""
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(data_dir / _FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        sys.exit(f"DATA_DIR: {os.fspath(data_dir)!r} can't be used ({error.strerror}). Choose another folder.")
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        where = os.pread(descriptor, _LENGTH_LIMIT, 0).decode(errors="replace").strip() or "starting"
        sys.stderr.write(
            f"A demonstration runs on {data_dir} already, at {where}: use that one, or end it with Ctrl-C in its"
            " terminal, or start another one with another PORT and DATA_DIR.\n"
        )
        sys.exit(IS_RUNNING)
    return descriptor
