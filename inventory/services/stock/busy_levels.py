"""Sums of the movements of busy levels, kept so that not all of 24 hours are counted each time the level is read.

Counting 100,000 movements takes a hundred times as long as the rest of a read, and products on sale are read most. So
a read counts only the movements that entered or left the last 24 hours since the previous count. Movements of a level
are committed in the order of their times, as they are written under its lock with the clock that was read under it.
Everything is counted anew after a minute, in case the database's clock was set back or it lost its last transactions.
"""

import time
from collections.abc import Collection
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

MOST_COUNTED: Final = 1000
"""The movements above which a level is busy."""
_RECOUNT_SECONDS: Final = 60.0
_MOST_PRODUCTS: Final = 1000


class Counted(NamedTuple):
    """The units that a level moved after ``since`` up to ``until``, the time of its newest movement when it was read.

    ``counted_at`` is when all were counted (``time.monotonic``).
    """

    since: datetime
    until: datetime
    received: int
    shipped: int
    adjusted: int
    counted_at: float

    def then(self, since_then: "Counted") -> "Counted":
        """These sums, updated by the movements that came and went since."""
        return since_then._replace(
            received=self.received + since_then.received,
            shipped=self.shipped + since_then.shipped,
            adjusted=self.adjusted + since_then.adjusted,
            counted_at=self.counted_at,
        )


_kept: dict[UUID, dict[UUID, Counted]] = {}


def recall(product_ids: Collection[UUID]) -> dict[UUID, Counted]:
    """What is known of these products' levels, by level. Safe to use from any thread."""
    oldest = time.monotonic() - _RECOUNT_SECONDS
    return {
        level_id: counted
        for product_id in product_ids
        for level_id, counted in _kept.get(product_id, {}).items()
        if counted.counted_at > oldest
    }


def keep(product_id: UUID, level_id: UUID, counted: Counted) -> None:
    """Keep what was counted."""
    if product_id not in _kept and len(_kept) >= _MOST_PRODUCTS:
        _kept.clear()
    _kept[product_id] = {**_kept.get(product_id, {}), level_id: counted}
