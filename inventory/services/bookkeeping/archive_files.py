"""Files of archived rows: gzipped JSON Lines. A file has its final name only once it is complete and on disk."""

import fcntl
import gzip
import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from inventory.errors import ArchiveBusy, ArchiveRefused

_DRAFT: Final = ".partial"
_LOCK: Final = ".lock"
_FOR_THE_OWNER: Final = 0o700  # The rows name customers.


@contextmanager
def one_at_a_time(folder: Path) -> Iterator[None]:
    """Make the folder, lock it against other archive runs, and remove incomplete files of a killed run.

    Raises ArchiveBusy while another run has the folder locked.
    """
    folder.mkdir(_FOR_THE_OWNER, parents=True, exist_ok=True)
    _sync(folder.parent)
    with (folder / _LOCK).open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ArchiveBusy(f"Another run is archiving into {folder}.") from error
        for draft in folder.glob(f"*{_DRAFT}"):
            draft.unlink()
        yield


def write(folder: Path, name: str, lines: Sequence[str]) -> str:
    """Write a file, sync it to disk, and read it back. Returns its SHA-256, in hexadecimal.

    Replaces a file of this name that a killed run left behind. Raises ArchiveRefused if the content read back differs
    from the content written, OSError if the disk is full or unavailable.
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
    """The lines of a file. Raises ArchiveRefused if it is missing, or its number of lines or SHA-256 differs."""
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
    """Sync the folder's entries to disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
