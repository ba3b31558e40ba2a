"""Cursors: places in the log, after which a reader continues. Opaque outside of this package."""

import re
from dataclasses import dataclass, replace
from typing import Final, Self

from audit.errors import Invalid
from audit.feed.snapshots import Snapshot
from audit.whole_numbers import visible

_NUMBER: Final = "([0-9]{1,18})"
_WRITTEN: Final = re.compile(
    rf"([0-9]{{1,9}})\.{_NUMBER}\.{_NUMBER}(?:\.{_NUMBER}\.{_NUMBER}\.([0-9]{{1,18}}(?:-[0-9]{{1,18}}){{1,1000}}))?",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Seen:
    """What a reader has seen in the tables themselves: the events that ``snapshot`` shows up to ``max_position``.

    Batches after ``last_tick`` contain none of them.
    """

    last_tick: int
    max_position: int
    snapshot: Snapshot

    def __str__(self) -> str:
        return f"{self.last_tick}.{self.max_position}.{self.snapshot.text.translate(_DASHES).rstrip('-')}"

    def has(self, position: int, xid: int) -> bool:
        """Whether an event is one of them."""
        return position <= self.max_position and self.snapshot.shows(xid)


_DASHES: Final = str.maketrans(":,", "--")


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place in the log: after the event with ``position`` in the batch of tick ``tick``, which is of ``epoch``.

    A cursor between two ticks leaves out the events that its reader has ``seen``.
    """

    epoch: int
    tick: int
    position: int
    seen: Seen | None = None

    @property
    def place(self) -> tuple[int, int, int]:
        """The sort key of cursors, in the order of the log."""
        return self.epoch, self.tick, self.position

    def __str__(self) -> str:
        place = f"{self.epoch}.{self.tick}.{self.position}"
        return f"{place}.{self.seen}" if self.seen else place

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse a cursor. Raises Invalid, with the text."""
        found = _WRITTEN.fullmatch(text)
        if not found:
            raise Invalid(f"“{visible(text[:100])}” is not a cursor of this feed.")
        epoch, tick, position, last_tick, max_position, snapshot = found.groups()
        seen = None
        if snapshot is not None:
            xmin, xmax, *running = snapshot.split("-")
            shown = Snapshot.parse(f"{xmin}:{xmax}:{','.join(running)}")
            seen = Seen(int(last_tick), int(max_position), shown)
        return cls(int(epoch), int(tick), int(position), seen)

    def after_having(self, seen: Seen) -> Self:
        """This cursor, with ``seen`` for as long as a batch may contain some of these events."""
        return replace(self, seen=seen) if self.tick <= seen.last_tick else self


BEGINNING: Final = Cursor(0, 0, 0)
"""The cursor before the very first event."""
