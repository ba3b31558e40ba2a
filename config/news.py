"""Whether something was published since a page of the console was made: a long poll, for lists that refresh themselves.

It reports only that there are new events, not which: the page is then requested again with the reader's permissions.
"""

from typing import Final
from uuid import UUID

from django.http import HttpRequest, HttpResponse

from audit import feed
from audit.api.following import Following, LongPoll, hub
from audit.errors import Archived, Invalid
from audit.feed import Cursor, Reach, Selected, Selection

_WAIT_SECONDS: Final = 25.0
_EVENTS: Final = 1000


def answer_news(request: HttpRequest) -> HttpResponse:
    """``{"cursor", "isNew"}`` for the events after ``?after=``, at once if there are any. An invalid or archived cursor
    is treated as the current one."""
    found = _since(request.GET.get("after", ""))
    following = Following(
        client_id=UUID(int=request.user.pk or 0),
        authorization="",
        cursor=found.cursor,
        selection=Selection(),
        limit=_EVENTS,
        wait_seconds=_WAIT_SECONDS,
        renew=Selection,
        render=_render,
    )
    return LongPoll(found, following, goes_on=not found.events and request.method == "GET")


def _since(text: str) -> Selected:
    try:
        return hub().select_from(Cursor.parse(text), Selection(), _EVENTS, is_waiting=True)
    except (Archived, Invalid):
        return Selected((), feed.cursor_now(), has_more=False)


def _render(found: Selected, _reach: Reach | None) -> bytes:
    is_new = b"true" if found.events else b"false"
    return b'{"cursor":"%b","isNew":%b}' % (str(found.cursor).encode(), is_new)
