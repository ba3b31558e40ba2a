"""Files of archived rows: gzipped JSON Lines that are whole and on disk, or aren't there under their name at all."""

import fcntl
import gzip
import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from inventory.errors import ArchiveRefused

_DRAFT: Final = ".partial"
_LOCK: Final = ".lock"
_FOR_THE_OWNER: Final = 0o700  # The rows name customers.


@contextmanager
def one_at_a_time(folder: Path) -> Iterator[None]:
    """Make the folder, keep other archives out of it, and clear away what a killed one left half written.

    Raises ArchiveRefused while another one is at work in it.
    """
    folder.mkdir(_FOR_THE_OWNER, parents=True, exist_ok=True)
    _sync(folder.parent)
    with (folder / _LOCK).open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ArchiveRefused(f"Another archive is at work in {folder}.") from error
        for draft in folder.glob(f"*{_DRAFT}"):
            draft.unlink()
        yield


def write(folder: Path, name: str, lines: Sequence[str]) -> str:
    """Write a file, see that it is on disk, and read it back. Returns its SHA-256, in hexadecimal.

    A file of this name that a killed archive left behind gives way. Raises ArchiveRefused where what is read back
    isn't what was written, OSError where the disk is full or away.
    """
    packed = gzip.compress("".join(f"{line}\n" for line in lines).encode(), mtime=0)
    sha256 = hashlib.sha256(packed).hexdigest()
    draft = folder / f"{name}{_DRAFT}"
    with draft.open("wb") as file:
        file.write(packed)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(folder / name)
    _sync(folder)
    if read(folder, name, rows=len(lines), sha256=sha256) != lines:
        raise ArchiveRefused(f"{folder / name} reads as something else than what was written.")
    return sha256


def read(folder: Path, name: str, *, rows: int, sha256: str) -> list[str]:
    """The lines of a file. Raises ArchiveRefused where it is missing, or not of so many lines with this SHA-256."""
    path = folder / name
    try:
        packed = path.read_bytes()
    except FileNotFoundError as error:
        raise ArchiveRefused(
            f"{path} is missing: is ARCHIVE_DIR the folder that it was written to? Its rows are still in the database."
        ) from error
    if hashlib.sha256(packed).hexdigest() != sha256:
        raise ArchiveRefused(f"{path} is not as it was written: its SHA-256 is another one.")
    lines = gzip.decompress(packed).decode().split("\n")[:-1]
    if len(lines) != rows:
        raise ArchiveRefused(f"{path} has {len(lines)} lines instead of {rows}.")
    return lines


def _sync(folder: Path) -> None:
    """See that the folder's names are on disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
