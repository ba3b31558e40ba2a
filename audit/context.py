"""The request id: taken from the caller or made here, bound to every log line, written to every audit entry."""

import re
from typing import Final

import structlog
from django.http import HttpRequest
from uuid_utils import uuid7

_ACCEPTED: Final = re.compile(r"[!-~]{1,128}")

ROWS_WRITTEN: Final = "inventory.rows_written"
"""The key in a request's ``META`` of the rows that it wrote and that neither its body nor its answer names."""


def begin(offered: str | None) -> str:
    """Start the log context of a request and return the request's id, as ``identify`` gives it."""
    request_id = identify(offered)
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(request_id=request_id)
    return request_id


def identify(offered: str | None) -> str:
    """The id of a request: the offered one if that is 1 to 128 printable ASCII characters, else a new one."""
    return offered if offered and _ACCEPTED.fullmatch(offered) else str(uuid7())


def request_id_of(request: HttpRequest) -> str:
    """The id of a request that has passed the middleware."""
    return str(request.META["inventory.request_id"])
