"""Responses that are completed later: a long poll, which waits for events, and a stream of server-sent events.

A view reads the existing events and returns one of these; the ASGI application sends the rest on the event loop
(``config.listening``), without a thread. Elsewhere, as in Django's test client, they contain only the existing events.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Self
from uuid import UUID

from django.http import HttpResponse

from audit.authentication import reread_tokens
from audit.feed import Cursor, Hub, Reach, Selected, Selection
from audit.feed.rendering import page_of, stream_of


@cache
def hub() -> Hub:
    """The hub of this process, which serves its listeners."""
    return Hub(reread_tokens)


@dataclass(frozen=True, slots=True)
class Following:
    """How to continue: after ``cursor``, with at most ``limit`` events at a time, for ``wait_seconds``.

    ``renew`` looks up again which events the client of ``authorization`` may see, and returns None if it may no longer
    listen. ``render`` makes the body of a long poll.
    """

    client_id: UUID
    authorization: str
    cursor: Cursor
    selection: Selection
    limit: int
    wait_seconds: float
    renew: Callable[[], Selection | None]
    render: Callable[[Selected, Reach | None], bytes] = page_of

    def behind(self, selected: Selected) -> Self:
        """The same, after the selected events."""
        return replace(self, cursor=selected.cursor)


class FollowingResponse(HttpResponse):
    """A response that the event loop completes. Without a ``following`` it is sent as it is."""

    following: Following | None


class LongPoll(FollowingResponse):
    """A page of the existing events, or of those that come within ``wait_seconds`` if it ``goes_on``."""

    def __init__(self, selected: Selected, following: Following, *, goes_on: bool) -> None:
        super().__init__(following.render(selected, following.selection.reach), content_type="application/json")
        self.following = following.behind(selected) if goes_on else None


class EventStream(FollowingResponse):
    """A stream of server-sent events, beginning with the existing ones."""

    def __init__(self, selected: Selected, reach: Reach | None, following: Following | None) -> None:
        super().__init__(stream_of(selected, reach), content_type="text/event-stream")
        self.headers["X-Accel-Buffering"] = "no"  # Otherwise nginx buffers events until it has a few kilobytes.
        self.following = following
