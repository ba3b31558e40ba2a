"""Sellable units of stock levels that this process read a moment ago, under the levels' locks.

A request that is short by them is refused without a lock or a transaction (docs/explanation/rules.md, rule 42); nothing
is ever held because of them.

Both ``remember`` and ``forget`` require the level's lock. So a level that a transaction of this process changes is
forgotten before the change can be committed, and can't be remembered as it was before. Changes of other processes are
unknown here: what is remembered ends after ``SOLD_OUT_CACHE_SECONDS``.
"""

import time
from collections.abc import Collection, Iterable, Mapping
from itertools import count
from typing import Final, NamedTuple
from uuid import UUID

from django.conf import settings

_MOST_LEVELS: Final = 20_000


class _Known(NamedTuple):
    """Sellable units, in units, until a time of ``time.monotonic``."""

    sellable: int
    until: float


_levels: Final[dict[UUID, _Known]] = {}
_products: Final[dict[UUID, float]] = {}
"""Products that were short, each with the time until which it is worth asking for its levels."""
_numbers: Final = count(1)
_last_change = 0
"""Another number after each time that something was forgotten."""


def remember(sellable: Mapping[UUID, int], until: Mapping[UUID, float]) -> None:
    """Remember sellable units by level, each until a time of ``time.monotonic``.

    Requires the levels' locks, and that this transaction has not changed these levels.
    """
    if len(_levels) > _MOST_LEVELS:
        forget_all()
    for level_id, units in sellable.items():
        _levels[level_id] = _Known(units, until[level_id])


def forget(level_ids: Iterable[UUID]) -> None:
    """Forget levels, before a transaction that has locked them changes their sellable units."""
    global _last_change  # noqa: PLW0603 - one memory for each process
    if not _levels:
        return
    for level_id in level_ids:
        _levels.pop(level_id, None)
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


def were_short(product_ids: Iterable[UUID]) -> bool:
    """Whether one of these products was short a moment ago. Says nothing about its levels now."""
    if not _products:
        return False
    now = time.monotonic()
    return any(_products.get(product_id, 0.0) > now for product_id in product_ids)


def recall(level_ids: Collection[UUID]) -> dict[UUID, int] | None:
    """Sellable units by level, as they were together at one moment; None unless all of these levels are known."""
    change, now = _last_change, time.monotonic()
    recalled: dict[UUID, int] = {}
    for level_id in level_ids:
        known = _levels.get(level_id)
        if known is None or known.until <= now:
            return None
        recalled[level_id] = known.sellable
    return recalled if change == _last_change else None


def lasts_seconds() -> float:
    """How long levels are remembered, in seconds; 0 for never."""
    seconds: float = settings.SOLD_OUT_CACHE_SECONDS
    return seconds
