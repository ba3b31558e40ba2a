"""The memory-mapped files of prometheus_client, allocated before they are written."""

import os
from pathlib import Path
from typing import Final

from prometheus_client.mmap_dict import MmapedDict

_FIRST_BYTES: Final = 1 << 16


class AllocatedDict(MmapedDict):
    """The library's dict, with all of its file's blocks allocated.

    The library makes files with holes. Where the disk is full, writing into one is no error: the kernel ends the
    process (SIGBUS). Here the error is an OSError, before anything is written.

    Overrides private methods: tests/audit/test_metrics.py fails if a new version changes them.
    """

    def __init__(self, filename: str, read_mode: bool = False) -> None:
        if not read_mode:
            with Path(filename).open("ab") as file:
                _allocate(file.fileno(), _FIRST_BYTES)
        super().__init__(filename, read_mode)  # type: ignore[no-untyped-call]

    def _init_value(self, key: str) -> None:
        # A value takes less than twice the length of its key, plus 64 bytes.
        if self._used + 2 * len(key.encode()) + 64 > self._capacity:
            _allocate(self._f.fileno(), 2 * self._capacity)
        super()._init_value(key)  # type: ignore[no-untyped-call]


def _allocate(descriptor: int, length: int) -> None:
    """Allocate the first bytes of a file. Raises OSError if the disk is full."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, length)
