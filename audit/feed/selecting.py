"""The events of the log that a reader gets: those that match its filter, of the stores and warehouses in its reach.

An event belongs to a store if its payload has ``storeId``, else to its warehouses (``warehouseId``,
``fromWarehouseId``, ``toWarehouseId``), else to a product, and then every reader may get it. A reader that is limited
to some stores gets no other kinds of events.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

import msgspec

from audit.feed.cursors import Cursor, Seen
from audit.feed.reading import LoggedEvent, read_after
from audit.feed.ticks import tick
from audit.identifiers import EVENT, public_id


class Reach(msgspec.Struct, frozen=True):
    """Some stores and the warehouses that they sell from, by their codes.

    Other stores sell from ``shared`` warehouses, too: actor and reason of a change there may concern another store, and
    are left out. ``is_limit`` is false if the reader may see all stores and has only filtered by these.
    """

    stores: frozenset[str]
    warehouses: frozenset[str]
    shared: frozenset[str] = frozenset()
    is_limit: bool = True


class _Line(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    product_id: str | None = None
    variant_id: str | None = None


class _Subject(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """The fields of a payload that say what the event is about."""

    store_id: str | None = None
    warehouse_id: str | None = None
    from_warehouse_id: str | None = None
    to_warehouse_id: str | None = None
    product_id: str | None = None
    variant_id: str | None = None
    items: list[_Line] = []


_SUBJECTS: Final = msgspec.json.Decoder(_Subject)
_NO_SUBJECT: Final = _Subject()
_WHO: Final = ("adjustedBy", "repairedBy")


class FeedEvent(msgspec.Struct, frozen=True, gc=False):
    """An event as the feed gives it. ``body`` is its JSON for a reader of all stores."""

    cursor: Cursor
    type: str
    key: str
    store: str | None
    warehouses: tuple[str, ...]
    product: str | None
    products: frozenset[str]
    xid: int
    body: bytes

    @classmethod
    def of(cls, event: LoggedEvent) -> Self:
        """The event of a row of the log."""
        subject = _subject(event.payload)
        places = (subject.warehouse_id, subject.from_warehouse_id, subject.to_warehouse_id)
        ids = [subject.product_id, subject.variant_id]
        for line in subject.items:
            ids += (line.product_id, line.variant_id)
        return cls(
            cursor=event.cursor,
            type=event.type,
            key=event.key,
            store=subject.store_id,
            warehouses=tuple(place for place in places if place is not None),
            product=subject.product_id,
            products=frozenset(id_ for id_ in ids if id_ is not None),
            xid=event.xid,
            body=_body(event),
        )

    def after_having(self, seen: Seen) -> Self:
        """The same event, for a reader that has seen some events in the tables: its cursor leaves these out."""
        cursor = self.cursor.after_having(seen)
        return msgspec.structs.replace(self, cursor=cursor, body=_start(cursor) + self.body[len(_start(self.cursor)) :])

    def body_for(self, reach: Reach | None) -> bytes:
        """The event's JSON for a reader, without facts of stores beyond its reach."""
        if reach is None or not reach.is_limit or self.store is not None:
            return self.body
        hides_who = not reach.shared.isdisjoint(self.warehouses)
        if not (hides_who or b'"sellable"' in self.body):
            return self.body
        decoded: dict[str, Any] = msgspec.json.decode(self.body)
        payload = decoded["payload"]
        if "sellable" in payload:
            payload["sellable"] = {
                store: units for store, units in payload["sellable"].items() if store in reach.stores
            }
        if hides_who:
            decoded.pop("traceparent", None)
        if hides_who and not payload.keys().isdisjoint(_WHO):
            payload.update({name: "" for name in ("reason", *_WHO) if name in payload})
        return msgspec.json.encode(decoded)


def _subject(payload: str) -> _Subject:
    try:
        return _SUBJECTS.decode(payload)
    except msgspec.MsgspecError:
        return _NO_SUBJECT


def _body(event: LoggedEvent) -> bytes:
    """The JSON of an event, joined as text: the payload is JSON already."""
    head: dict[str, Any] = {
        "eventId": public_id(EVENT, event.event_id),
        "type": event.type,
        "key": event.key,
        "timestamp": event.created_at,
    }
    if event.traceparent:
        head["traceparent"] = event.traceparent
    return b'%b,%b,"payload":%b}' % (_start(event.cursor), msgspec.json.encode(head)[1:-1], event.payload.encode())


def _start(cursor: Cursor) -> bytes:
    return b'{"cursor":"%b"' % str(cursor).encode()


class Selection(msgspec.Struct, frozen=True):
    """The events that a reader asks for; None means any. ``products`` are ids that an event must all be about.

    ``reach`` is None for a reader of all stores. Equal selections contain the same events.
    """

    types: frozenset[str] | None = None
    products: frozenset[str] = frozenset()
    key: str | None = None
    reach: Reach | None = None

    @property
    def is_everything(self) -> bool:
        """Whether it contains every event."""
        return self == _EVERYTHING

    def sees(self, event: FeedEvent) -> bool:
        """Whether the reader gets the event."""
        if self.types is not None and event.type not in self.types:
            return False
        if self.key is not None and event.key != self.key:
            return False
        return self.products <= event.products and (self.reach is None or _is_within(self.reach, event))


_EVERYTHING: Final = Selection()


def _is_within(reach: Reach, event: FeedEvent) -> bool:
    if not reach.stores:
        return False
    if event.store is not None:
        return event.store in reach.stores
    if event.warehouses:
        return not reach.warehouses.isdisjoint(event.warehouses)
    return event.product is not None


@dataclass(frozen=True, slots=True)
class Selected:
    """The selected events, in the order of the log. ``cursor`` continues after them, and advances even if there are
    none.

    ``has_more`` means that the log had more events when it was read, selected or not.
    """

    events: Sequence[FeedEvent]
    cursor: Cursor
    has_more: bool


_PAGES: Final = 4
_ROWS_OF_A_PAGE: Final = 1000


def select_after(cursor: Cursor, selection: Selection, limit: int) -> Selected:
    """The selected events after a cursor, from the database: at most ``limit``, of a bounded piece of the log.

    Raises Archived, and Invalid for a cursor that this log doesn't have.
    """
    rows = limit if selection.is_everything else max(limit, _ROWS_OF_A_PAGE)
    found: list[FeedEvent] = []
    for _ in range(_PAGES):
        page = read_after(cursor, rows)
        found += [event for each in page.events if selection.sees(event := FeedEvent.of(each))]
        cursor = page.cursor
        if len(found) >= limit or not page.has_more:
            break
    if len(found) > limit:
        return Selected(found[:limit], found[limit - 1].cursor, has_more=True)
    return Selected(found, cursor, page.has_more)


def select_newest_after(cursor: Cursor, selection: Selection, limit: int) -> Selected:
    """As ``select_after``; at the end of the log, a tick first adds the events committed since the last one."""
    found = select_after(cursor, selection, limit)
    if found.events or found.has_more or not tick():
        return found
    return select_after(found.cursor, selection, limit)
