"""Deprecated routes, and the headers that announce their end: ``Deprecation`` (RFC 9745) and ``Sunset`` (RFC 8594).

docs/reference/api.md has the same table.
"""

from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Final, NamedTuple
from urllib.parse import quote

from django.http import HttpResponseBase


class Deprecated(NamedTuple):
    """Deprecated routes: those below ``prefix``, deprecated from ``since`` on. They answer until ``until``, at least.
    ``instead`` replaces the prefix."""

    prefix: str
    instead: str
    since: datetime
    until: datetime


DEPRECATED: Final = (
    Deprecated(
        "/api/inventory/",
        "/api/v1/inventory/",
        since=datetime(2026, 12, 1, tzinfo=UTC),
        until=datetime(2027, 12, 1, tzinfo=UTC),
    ),
)


def headers_of(path: str) -> dict[str, str]:
    """The headers of all answers of a deprecated path; none for any other path."""
    for each in DEPRECATED:
        if path.startswith(each.prefix):
            return {
                "Deprecation": f"@{int(each.since.timestamp())}",
                "Sunset": format_datetime(each.until, usegmt=True),
                "Link": f'<{each.instead}{quote(path.removeprefix(each.prefix))}>; rel="successor-version"',
            }
    return {}


def mark(response: HttpResponseBase, path: str) -> None:
    """Add these headers to the answer if its path is deprecated."""
    for name, value in headers_of(path).items():
        response.headers[name] = value
