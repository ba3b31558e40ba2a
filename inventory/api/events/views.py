"""The routes of the feed of events: decode, read the existing events, and let the event loop complete the response."""

from collections.abc import Sequence
from typing import ClassVar, Final

from django.http import HttpResponse
from rest_framework.request import Request

from audit import feed
from audit.api.expectations import PLUS
from audit.api.following import EventStream, Following, LongPoll, hub
from audit.api.http import ApiView, caller_of, decode_query
from audit.api.schema import describe
from audit.authentication import caller_of_header
from audit.errors import Archived, Invalid
from audit.events import registered_types
from audit.feed import Cursor, Selection
from audit.feed.rendering import HEARTBEAT_SECONDS
from audit.roles import Capability
from audit.whole_numbers import visible
from inventory.api.events import contract
from inventory.api.events.reaches import reach_of
from inventory.errors import UnknownStore

NOW: Final = "now"
_EXAMPLE: Final = "1.4711.1200034"
_EVENTS_OF_A_PIECE: Final = 200
"""The most events that a stream sends at a time."""


class _FeedView(ApiView):
    """The base of both forms of the feed."""

    def _following(self, request: Request, query: contract.FeedFilter, limit: int, wait_seconds: float) -> Following:
        """The cursor that a request starts at, and its selection. Raises Invalid, UnknownStore and Archived."""
        caller = caller_of(request)
        authorization = request.META.get("HTTP_AUTHORIZATION", "")

        def renew() -> Selection | None:
            found = caller_of_header(authorization)
            if found is None or not self.permits(found, "GET"):
                return None
            try:
                return _selection(found.store_codes, query)
            except UnknownStore:
                return None

        selection = _selection(caller.store_codes, query)
        cursor = _beginning(query, request.META.get("HTTP_LAST_EVENT_ID", ""))
        return Following(caller.client_id, authorization, cursor, selection, limit, wait_seconds, renew)

    @staticmethod
    def _select(following: Following) -> feed.Selected:
        """The events that exist already. Raises Invalid, with a pointer, and Archived."""
        is_waiting = following.wait_seconds > 0
        try:
            return hub().select_from(following.cursor, following.selection, following.limit, is_waiting=is_waiting)
        except Invalid as error:
            raise Invalid.at("?after", error.detail) from error


class EventsView(_FeedView):
    """A page of the feed of events."""

    allowed: ClassVar = {"GET": Capability.READ}

    @describe(
        "listEvents",
        "Read events after a cursor, or wait for the next ones",
        query=contract.EventsQuery,
        answers={200: contract.EventPageOut},
        refusals=(Archived, UnknownStore),
    )
    def get(self, request: Request) -> HttpResponse:
        """Reads the events after a cursor, in the order of the log. With `wait`, the answer comes with the next event
        if there is none yet."""
        query = decode_query(request, contract.EventsQuery)
        wait_seconds = 0 if request.method == "HEAD" else query.wait
        following = self._following(request, query, query.limit, wait_seconds)
        found = self._select(following)
        is_done = not wait_seconds or bool(found.events) or found.has_more
        return LongPoll(found, following, goes_on=not is_done)


class EventStreamView(_FeedView):
    """The feed of events as server-sent events."""

    allowed: ClassVar = {"GET": Capability.READ}

    @describe(
        "streamEvents",
        "Stream events after a cursor",
        query=contract.StreamQuery,
        answers={},
        refusals=(Archived, UnknownStore),
        streams=contract.FeedEventOut,
    )
    def get(self, request: Request) -> HttpResponse:
        """Sends the events after a cursor, and then each new one, as server-sent events. The connection stays open."""
        query = decode_query(request, contract.StreamQuery)
        following = self._following(request, query, _EVENTS_OF_A_PIECE, HEARTBEAT_SECONDS)
        found = self._select(following)
        goes_on = request.method != "HEAD"
        return EventStream(found, following.selection.reach, following.behind(found) if goes_on else None)


def _selection(store_codes: Sequence[str], query: contract.FeedFilter) -> Selection:
    """The events that a client limited to these stores asks for. Raises Invalid and UnknownStore."""
    ids = (query.product_id, query.variant_id)
    return Selection(
        types=_types(query.types),
        products=frozenset(str(id_) for id_ in ids if id_ is not None),
        key=query.key,
        reach=reach_of(store_codes, query.store_id),
    )


def _types(text: str | None) -> frozenset[str] | None:
    if text is None:
        return None
    types = frozenset(name.strip() for name in text.split(","))
    if unknown := sorted(types - registered_types()):
        known = ", ".join(sorted(registered_types()))
        raise Invalid.at(
            "?types", f"There is no type “{visible(unknown[0])}”. There are: {known}.{PLUS * (' ' in unknown[0])}"
        )
    return types


def _beginning(query: contract.FeedFilter, last_event_id: str) -> Cursor:
    """The cursor at which a request begins: a client that reconnects sends its last cursor as ``Last-Event-ID``."""
    if last_event_id:
        return _parsed(last_event_id, "Last-Event-ID")
    if query.since is not None:
        return feed.cursor_at(query.since)
    if query.after is None:
        return feed.cursor_oldest()
    if query.after == NOW:
        with feed.one_snapshot() as now:
            return now
    return _parsed(query.after, "?after")


def _parsed(text: str, pointer: str) -> Cursor:
    try:
        return Cursor.parse(text)
    except Invalid as error:
        hint = f"One looks like {_EXAMPLE}: send the `cursor` of an answer as it is, or `{NOW}`."
        plus = PLUS if " " in text and pointer.startswith("?") else ""
        raise Invalid.at(pointer, f"{error.detail} {hint}{plus}") from error
