"""Cursors: places in the log, after which a reader continues. Opaque outside of this package."""

import re
from dataclasses import dataclass
from typing import Final, Self

from audit.errors import Invalid
from audit.whole_numbers import visible

_WRITTEN: Final = re.compile(r"([0-9]{1,9})\.([0-9]{1,18})\.([0-9]{1,18})", re.ASCII)


@dataclass(frozen=True, slots=True, order=True)
class Cursor:
    """A place in the log: after the event with ``position`` in the batch of tick ``tick``, which is of ``epoch``."""

    epoch: int
    tick: int
    position: int

    def __str__(self) -> str:
        return f"{self.epoch}.{self.tick}.{self.position}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """The cursor of a text. Raises Invalid, with what was given."""
        found = _WRITTEN.fullmatch(text)
        if not found:
            raise Invalid(f"“{visible(text[:100])}” is not a cursor of this feed.")
        return cls(*map(int, found.groups()))


BEGINNING: Final = Cursor(0, 0, 0)
"""Before the first event of all."""
