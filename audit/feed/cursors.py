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

    Batches after ``last_tick`` have none of them.
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

    A cursor of a moment between two ticks leaves out the events that its reader has ``seen``.
    """

    epoch: int
    tick: int
    position: int
    seen: Seen | None = None

    @property
    def place(self) -> tuple[int, int, int]:
        """What orders cursors as the log is ordered."""
        return self.epoch, self.tick, self.position

    def __str__(self) -> str:
        place = f"{self.epoch}.{self.tick}.{self.position}"
        return f"{place}.{self.seen}" if self.seen else place

    @classmethod
    def parse(cls, text: str) -> Self:
        """The cursor of a text. Raises Invalid, with what was given."""
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
        """This cursor, which leaves out what was seen as long as a batch may have some of it."""
        return replace(self, seen=seen) if self.tick <= seen.last_tick else self


BEGINNING: Final = Cursor(0, 0, 0)
"""Before the first event of all."""
