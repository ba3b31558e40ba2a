"""One run of the canary at a time."""

import enum
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import psycopg
import structlog
from django.conf import settings
from django.db import connection

from audit import heartbeats
from audit.idempotency import advisory_lock
from audit.metrics.definitions import CANARY_DURATION, CANARY_RUNS
from reservations.services.canary import goods
from reservations.services.canary.shops import Shop, WrongAnswer, shop_at

logger = structlog.get_logger(__name__)
# The connection that holds the lock is idle in its transaction while the canary sells on another one.
_PATIENCE: Final = "SET LOCAL idle_in_transaction_session_timeout = '3min'"
_LOCK: Final = advisory_lock("reservations.canary")


class Outcome(enum.StrEnum):
    """What became of a run. One that finds another going on, or the canary switched off, does nothing."""

    OK = "ok"
    FAILED = "failed"
    SKIPPED = "skipped"


class _Steps:
    """The steps of a run; ``name`` is the one that was begun last."""

    def __init__(self) -> None:
        self.name = "prepare"

    def take(self, shop: Shop) -> float:
        """Reserve, consume and return a unit. Returns the seconds that this took."""
        began = time.perf_counter()
        for self.name, step in (("reserve", shop.reserve), ("consume", shop.consume), ("return", shop.give_back)):
            step()
        return time.perf_counter() - began


def run_canary() -> Outcome:
    """Run the canary once, after clearing what a run that was cut off has left. Counts and logs a failure; raises
    nothing but errors of the heartbeat.

    Locks: an advisory lock of its own, on a connection of its own, for the whole run.
    """
    if not settings.CANARY:
        return Outcome.SKIPPED
    steps = _Steps()
    try:
        with _alone() as is_alone:
            if not is_alone:
                return Outcome.SKIPPED
            seconds = _sell(steps)
    except Exception as error:  # noqa: BLE001 - whatever stops the canary stops shops, too
        logger.warning("canary_failed", step=steps.name, error=f"{type(error).__name__}: {error}"[:500])
        CANARY_RUNS.add(1, Outcome.FAILED)
        return Outcome.FAILED
    CANARY_RUNS.add(1, Outcome.OK)
    CANARY_DURATION.observe(seconds)
    heartbeats.beat(heartbeats.CANARY, milliseconds=round(seconds * 1000, 1))
    return Outcome.OK


def _sell(steps: _Steps) -> float:
    goods.prepare()
    goods.clean()
    with shop_at(settings.CANARY_URL) as shop:
        seconds = steps.take(shop)
    steps.name = "compare"
    if (found := goods.counters()) != (goods.STOCK, 0):
        raise WrongAnswer(f"on hand and reserved are {found}, not {(goods.STOCK, 0)}")
    steps.name = "clean"
    goods.clean()
    return seconds


@contextmanager
def _alone() -> Iterator[bool]:
    """Whether no other run is going on, until the end of the block. The lock ends with this process."""
    with psycopg.connect(**connection.get_connection_params()) as own:
        own.execute(_PATIENCE)
        row = own.execute("SELECT pg_try_advisory_xact_lock(%s)", [_LOCK]).fetchone()
        yield bool(row and row[0])
