"""What a caller requires of a row before a command changes it: that it is still as the caller saw it."""

from collections.abc import Callable
from typing import Any

Precondition = Callable[[Any], None]
"""Called with the row under its lock, before anything is written; with None if there is no row yet.

Raises VersionConflict if the row isn't as the caller saw it.
"""


def last_write_wins(row: Any) -> None:
    """The precondition of a caller who doesn't say what it saw."""
