"""Sellable units of stock levels that this process read a moment ago, under the levels' locks.

A request for more than these units is refused without a lock or a transaction (docs/explanation/rules.md, rule 42).
Nothing is ever held because of them.

Both ``remember`` and ``forget`` require the level's lock. So a level that a transaction of this process changes is
forgotten before the change can be committed, and can't be remembered as it was before. Changes of other processes are
unknown here, so levels are forgotten after ``SOLD_OUT_CACHE_SECONDS``.
"""

import time
from collections.abc import Collection, Iterable, Mapping
from itertools import count
from typing import Final, NamedTuple
from uuid import UUID

from django.conf import settings

_MOST_LEVELS: Final = 20_000


class _Level(NamedTuple):
    """Sellable units until a time of ``time.monotonic``."""

    sellable: int
    until: float


class Recalled(NamedTuple):
    """Sellable units by level, as they were together at one moment."""

    sellable: dict[UUID, int]
    until: float
    change: int

    def is_known(self) -> bool:
        """Whether all of it is still remembered, and nothing was forgotten since."""
        return self.change == _last_change and time.monotonic() < self.until


_levels: Final[dict[UUID, _Level]] = {}
_products: Final[dict[UUID, float]] = {}
"""Products that were short, each with the time until which its levels may still be remembered."""
_numbers: Final = count(1)
_last_change = 0
"""A number that changes each time that something is forgotten."""


def remember(sellable: Mapping[UUID, int], until: Mapping[UUID, float]) -> None:
    """Remember sellable units by level, each until a time of ``time.monotonic``.

    Requires the levels' locks, and that this transaction has not changed these levels.
    """
    if len(_levels) > _MOST_LEVELS:
        forget_all()
    for level_id, units in sellable.items():
        _levels[level_id] = _Level(units, until[level_id])


def forget(level_ids: Iterable[UUID]) -> None:
    """Forget levels, before a transaction that has locked them changes their sellable units."""
    global _last_change  # noqa: PLW0603 - one memory for each process
    forgotten = [level_id for level_id in level_ids if _levels.pop(level_id, None)] if _levels else []
    if forgotten:
        _last_change = next(_numbers)


def forget_all() -> None:
    """Forget all levels, as ``forget`` does."""
    global _last_change  # noqa: PLW0603 - one memory for each process
    _levels.clear()
    _products.clear()
    _last_change = next(_numbers)


def note_short(product_ids: Iterable[UUID]) -> None:
    """Note that requests for these products were short just now."""
    if len(_products) > _MOST_LEVELS:
        _products.clear()
    until = time.monotonic() + lasts_seconds()
    for product_id in product_ids:
        _products[product_id] = until


def is_any_short() -> bool:
    """Whether any product is remembered as short, however long ago."""
    return bool(_products)


def were_short(product_ids: Iterable[UUID]) -> bool:
    """Whether one of these products was short a moment ago. Says nothing about its levels now."""
    now = time.monotonic()
    return any(_products.get(product_id, 0.0) > now for product_id in product_ids)


def recall(level_ids: Collection[UUID]) -> Recalled | None:
    """The sellable units of levels; None unless all of them are known."""
    change = _last_change
    levels = {level_id: known for level_id in level_ids if (known := _levels.get(level_id))}
    if len(levels) < len(set(level_ids)):
        return None
    sellable = {level_id: known.sellable for level_id, known in levels.items()}
    recalled = Recalled(sellable, min((known.until for known in levels.values()), default=0.0), change)
    return recalled if recalled.is_known() else None


def lasts_seconds() -> float:
    """How long levels are remembered, in seconds; 0 for never."""
    seconds: float = settings.SOLD_OUT_CACHE_SECONDS
    return seconds
