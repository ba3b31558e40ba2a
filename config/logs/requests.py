"""The line of a request: who called what, how it ended and how long it took."""

import logging
from typing import Final

import structlog
from django.conf import settings

from config.logs.bounding import BOUNDED, REQUESTS, Cause

logger = structlog.get_logger(REQUESTS)
_FAILS_FROM: Final = 400
_OUR_FAULT_FROM: Final = 500


def log_request(
    method: str,
    route: str,
    status: int,
    seconds: float,
    *,
    size: int | None,
    client: str,
    request_id: str,
    waits: bool = False,
) -> None:
    """Log the end of a request, if ``LOG_REQUESTS`` wants it.

    ``route``: the pattern of the address; ``size``: bytes of the answer's body, None if it was sent in pieces;
    ``client``: name of the API client or id of the person, empty if unknown; ``waits``: whether it waits on purpose.
    """
    is_slow = seconds >= settings.LOG_SLOW_SECONDS and not waits
    level = logging.WARNING if status >= _OUR_FAULT_FROM or is_slow else logging.INFO
    wanted = settings.LOG_REQUESTS
    if wanted == "none" or (wanted == "errors" and status < _FAILS_FROM and not is_slow):
        return
    if wanted == "errors" and not BOUNDED.admits(Cause(REQUESTS, logging.WARNING, f"{method} {route}", str(status))):
        return
    logger.log(
        level,
        "request",
        request_id=request_id,
        client=client,
        method=method,
        route=route,
        status=status,
        duration_ms=round(seconds * 1000, 1),
        bytes=size,
    )
