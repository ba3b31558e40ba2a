"""When a delivery is tried again: the schedule of Standard Webhooks 1.0, with jitter. Pure."""

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final

_SECOND: Final = timedelta(seconds=1)
_MINUTE: Final = timedelta(minutes=1)
_HOUR: Final = timedelta(hours=1)
DELAYS: Final = (
    5 * _SECOND,
    5 * _MINUTE,
    30 * _MINUTE,
    2 * _HOUR,
    5 * _HOUR,
    10 * _HOUR,
    14 * _HOUR,
    20 * _HOUR,
    24 * _HOUR,
)
"""The delays after the first, second, … attempt: ten attempts within a little more than three days."""
LONGEST_RETRY_AFTER: Final = 24 * _HOUR
"""The longest ``Retry-After`` that is respected."""
FAILING_FOR: Final = timedelta(days=5)
"""How long a subscription may fail without one success before it is disabled."""
_JITTER: Final = 0.1


def next_attempt(
    attempts: int,
    *,
    now: datetime,
    retry_after: timedelta | None = None,
    is_endless: bool = False,
    chance: Callable[[], float] = random.random,
) -> datetime | None:
    """When to try again after so many attempts; None if that was the last one of the schedule.

    The delay is up to a tenth longer or shorter, so that deliveries that failed at the same time aren't sent at the
    same time again. The receiver's ``retry_after`` can extend it. With ``is_endless`` the last delay is repeated for
    ever.
    """
    if attempts > len(DELAYS) and not is_endless:
        return None
    delay = DELAYS[min(attempts, len(DELAYS)) - 1] * (1 + _JITTER * (2 * chance() - 1))
    if retry_after is not None:
        delay = max(delay, retry_after)
    return now + delay


def parse_retry_after(text: str | None, *, now: datetime) -> timedelta | None:
    """The time of a ``Retry-After``, at most ``LONGEST_RETRY_AFTER``. It is a number of seconds or a date; None for
    anything else."""
    text = (text or "").strip()
    if text.isascii() and text.isdigit():
        return min(timedelta(seconds=int(text[:9])), LONGEST_RETRY_AFTER)
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return min(max(at - now, timedelta()), LONGEST_RETRY_AFTER)
