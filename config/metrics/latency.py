"""How long answers take: those of one turn of the event loop are counted together, as one transaction decides many."""

import asyncio
from typing import Final

from audit.metrics.definitions import HTTP_REQUEST_DURATION

_answered: Final[dict[tuple[str, str, str], list[float]]] = {}
"""The times of requests that were answered in this turn of the loop, by method, route and status."""


def note(seconds: float, method: str, route: str, status: int) -> None:
    """Count an answer at the end of this turn of the loop. To be called on the event loop."""
    if not HTTP_REQUEST_DURATION.is_on:
        return
    labels = (method, route, str(status))
    known = _answered.get(labels)
    if known is not None:
        known.append(seconds)
        return
    if not _answered:
        asyncio.get_running_loop().call_soon(_count)
    _answered[labels] = [seconds]


def _count() -> None:
    for labels, seconds in _answered.items():
        HTTP_REQUEST_DURATION.observe_all(seconds, *labels)
    _answered.clear()
