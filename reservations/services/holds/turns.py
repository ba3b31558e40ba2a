"""Let a batch of reserves grow while other processes sell the same product.

The batches of several processes queue for the lock of a hot level. A batch that is complete before it waits leaves out
the requests that arrive meanwhile, so that each process commits small batches. So if locks were waited for a moment
ago, a batch first waits for its turn, an advisory lock of its first product, and then takes the requests that have
arrived.
"""

import time
from collections.abc import Sequence
from typing import Final
from uuid import UUID

from django.conf import settings
from django.db import connection

from audit.idempotency import advisory_lock
from inventory.batches import Batch
from inventory.transactions import milliseconds
from reservations.services.holds.sourcing import RequestLine

LONG_SECONDS: Final = 0.002
"""A wait for locks that is long, compared to a round trip to the database."""
REMEMBERED_SECONDS: Final = 0.25
"""How long batches wait for their turn after a long wait."""
PATIENCE_SECONDS: Final = 1.0
"""How long a batch waits for its turn at most."""
_SHARE: Final = 0.25
"""How much of ``LOCK_TIMEOUT`` a batch waits for its turn at most: its requests need time to be decided alone."""
_WAIT: Final = """
SELECT set_config('lock_timeout', %s, true), pg_advisory_xact_lock(%s), set_config('lock_timeout', %s, true),
    extract(epoch FROM clock_timestamp() - statement_timestamp())::float8
"""
"""Waits for a turn, longer than the batch waits for other locks: it holds none yet. Returns how long that took, in
seconds, by the database's clock."""


class _Contention:
    """Until when (``time.monotonic``) batches of this process wait for their turn."""

    until = 0.0


def turn_at(product_id: UUID) -> int:
    """The key of the advisory lock of a product's turn."""
    return advisory_lock("turn", str(product_id))


def note_wait(seconds: float) -> None:
    """Note how long the locks of a batch's levels took."""
    if seconds > LONG_SECONDS:
        _Contention.until = time.monotonic() + REMEMBERED_SECONDS


def await_turn(requests: Sequence[object], lines: Sequence[RequestLine]) -> None:
    """Wait for the turn of a batch whose first request has these lines, if locks were waited for a moment ago; then
    let the batch grow.

    Locks the turn at the first product until the end of the transaction, which must have locked nothing yet
    (docs/explanation/rules.md, rule 8).
    """
    if not isinstance(requests, Batch) or time.monotonic() >= _Contention.until or not lines:
        return
    with connection.cursor() as cursor:
        timeouts = (min(PATIENCE_SECONDS, _SHARE * settings.LOCK_TIMEOUT), settings.GROUP_COMMIT_LOCK_TIMEOUT)
        longer, usual = map(milliseconds, timeouts)
        cursor.execute(_WAIT, [longer, turn_at(lines[0].variant_id or lines[0].product_id), usual])
        note_wait(cursor.fetchone()[3])
    requests.grow()
