"""Snapshots of PostgreSQL: which transactions were committed at a moment."""

from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A ``pg_snapshot``: transactions before ``xmax`` have ended, except those in ``running``."""

    text: str
    xmax: int
    running: frozenset[int]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse PostgreSQL's text of a snapshot, such as ``100:104:100,102``."""
        _, xmax, running = text.split(":")
        return cls(text, int(xmax), frozenset(map(int, running.split(",") if running else ())))

    def shows(self, xid: int) -> bool:
        """Whether the rows of a transaction that was committed later or earlier are visible in this snapshot."""
        return xid < self.xmax and xid not in self.running
