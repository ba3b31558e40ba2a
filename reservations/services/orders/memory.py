"""The inbox's tables, written in the transaction that applies the events: received events, and notes of orders.

The locks of this module are a transaction's first (docs/explanation/rules.md, rule 8): the ids of its events and of
what they are about. So events of one order are decided one after the other, in all processes, and no transaction waits
for a row of these tables.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec
from django.conf import settings
from django.db import connection
from uuid_utils.compat import uuid7

from audit.db import columns
from audit.db.statements import write
from audit.errors import DomainError, Fault
from audit.idempotency import WAIT_FOR_LOCKS, advisory_lock
from audit.recording import Entry, record
from reservations import actions
from reservations.models import OrderNote
from reservations.models.orders import Result
from reservations.services.orders.messages import Received, Unreadable

Kind = OrderNote.Kind
EventKey = tuple[UUID, str, str]


class Outcome(msgspec.Struct, frozen=True, gc=False, kw_only=True, rename="camel", omit_defaults=True):
    """The outcome of an event. ``code`` and ``detail`` are the reason, if it wasn't applied."""

    result: str
    code: str = ""
    detail: str = ""
    errors: tuple[dict[str, Any], ...] = ()
    reservation_ids: tuple[str, ...] = ()
    is_duplicate: bool = False
    """Whether the event was decided before, so that this is its first outcome."""


def refusal(error: DomainError | Unreadable, result: str = Result.REFUSED) -> Outcome:
    """The outcome of an event that is refused."""
    errors = tuple(_error(fault) for fault in error.faults)
    return Outcome(result=result, code=error.code, detail=error.detail, errors=errors)


def _error(fault: Fault) -> dict[str, Any]:
    return {"pointer": fault.pointer, "code": fault.code, "detail": fault.detail, **fault.facts}


_SEEN: Final = """
SELECT r.client_id, r.source, r.event_id, r.outcome::text
FROM reservations_receivedevent r JOIN unnest(%s::uuid[], %s::text[], %s::text[]) AS t (client_id, source, event_id)
    USING (client_id, source, event_id)
"""
_NOTES: Final = """
SELECT order_id, kind, stores, reason FROM reservations_ordernote WHERE order_id = ANY(%s::text[]) ORDER BY noted_at
"""
_INSERT_RECEIVED: Final = """
INSERT INTO reservations_receivedevent (id, client_id, source, event_id, type, subject, result, outcome, received_at)
SELECT id, client_id, source, event_id, type, subject, result, outcome::jsonb, %s
FROM unnest(%s::uuid[], %s::uuid[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[])
AS t (id, client_id, source, event_id, type, subject, result, outcome)
"""
_INSERT_NOTES: Final = """
INSERT INTO reservations_ordernote (id, order_id, kind, stores, reason, noted_at)
SELECT t.*, %s FROM unnest(%s::uuid[], %s::text[], %s::text[], %s::text[], %s::text[]) AS t
ON CONFLICT DO NOTHING
"""
_PURGE: Final = """
DELETE FROM {table} WHERE id IN (
    SELECT id FROM {table} WHERE {time} < statement_timestamp() - make_interval(days => %s) {further}
    ORDER BY {time} LIMIT %s FOR UPDATE SKIP LOCKED)
"""
_FORGOTTEN: Final = (
    ("reservations_receivedevent", "received_at", ""),
    ("reservations_ordernote", "noted_at", ""),
    ("reservations_deadletter", "received_at", "AND status <> 'WAITING'"),
)


def lock_events(events: Collection[Received]) -> dict[EventKey, Outcome]:
    """Lock the ids of events and of what they are about, waiting for others that have them, and return the outcomes of
    those that were decided before. Two statements. Requires an open transaction that has locked nothing yet."""
    locks = {advisory_lock("event", str(client), source, id_) for client, source, id_ in (e.key for e in events)}
    locks |= {advisory_lock("event subject", each.event.subject) for each in events}
    with connection.cursor() as cursor:
        cursor.execute(WAIT_FOR_LOCKS, [sorted(locks)])
        cursor.execute(
            _SEEN,
            [
                columns.uuids(each.key[0] for each in events),
                columns.texts(each.source for each in events),
                columns.texts(each.event_id for each in events),
            ],
        )
        rows = cursor.fetchall()
    return {(client, source, id_): _first_outcome(outcome) for client, source, id_, outcome in rows}


def _first_outcome(text: str) -> Outcome:
    return msgspec.structs.replace(msgspec.json.decode(text, type=Outcome), is_duplicate=True)


def undecided(events: Sequence[Received], decided: Mapping[EventKey, Outcome]) -> list[Received]:
    """The events that weren't decided before, in order, each once."""
    first: dict[EventKey, Received] = {}
    for each in events:
        if each.key not in decided:
            first.setdefault(each.key, each)
    return list(first.values())


def outcomes_of(events: Sequence[Received], decided: Mapping[EventKey, Outcome]) -> list[Outcome]:
    """The outcome of each event, in order. The second occurrence of an event in the batch counts as decided before."""
    found: list[Outcome] = []
    given: set[EventKey] = set()
    for each in events:
        outcome = decided[each.key]
        found.append(msgspec.structs.replace(outcome, is_duplicate=True) if each.key in given else outcome)
        given.add(each.key)
    return found


class _Note(msgspec.Struct, frozen=True, gc=False):
    order_id: str
    kind: str
    stores: str
    reason: str

    def holds_for(self, store: str | None) -> bool:
        """Whether the note holds for a store; for one that isn't known, whether it holds for all."""
        return not self.stores or store in self.stores.split(",")


class Notes:
    """The notes of a batch's orders. New notes are effective at once, and written with ``write``."""

    def __init__(self, known: Iterable[_Note]) -> None:
        self._known: dict[str, list[_Note]] = {}
        self._new: list[_Note] = []
        for note in known:
            self._known.setdefault(note.order_id, []).append(note)

    def find(self, order_id: str, store: str | None, *kinds: Kind) -> str | None:
        """The reason of the first note of these kinds that holds for the order in a store; None without one."""
        found = (note for note in self._known.get(order_id, ()) if note.kind in kinds and note.holds_for(store))
        return next((note.reason for note in found), None)

    def add(self, order_id: str, kind: Kind, stores: Collection[str], reason: str = "") -> None:
        """Add a note to an order, for these stores or, if there are none, for all."""
        note = _Note(order_id, str(kind), ",".join(sorted(stores)), reason)
        known = self._known.setdefault(order_id, [])
        if all((other.kind, other.stores) != (note.kind, note.stores) for other in known):
            known.append(note)
            self._new.append(note)

    def write(self, now: datetime) -> None:
        """Write the new notes with one statement."""
        if self._new:
            write(
                _INSERT_NOTES,
                [
                    now,
                    columns.uuids(uuid7() for _ in self._new),
                    columns.texts(note.order_id for note in self._new),
                    columns.texts(note.kind for note in self._new),
                    columns.texts(note.stores for note in self._new),
                    columns.texts(note.reason for note in self._new),
                ],
            )


def read_notes(order_ids: Collection[str]) -> Notes:
    """Read the notes of orders. One statement. Requires their locks."""
    with connection.cursor() as cursor:
        cursor.execute(_NOTES, [columns.texts(order_ids)])
        return Notes(_Note(*row) for row in cursor.fetchall())


def remember(decided: Sequence[tuple[Received, Outcome]], *, now: datetime) -> None:
    """Write the events that were decided, and an audit entry of each."""
    if not decided:
        return
    ids = [uuid7() for _ in decided]
    write(
        _INSERT_RECEIVED,
        [
            now,
            columns.uuids(ids),
            columns.uuids(each.key[0] for each, _ in decided),
            columns.texts(each.source for each, _ in decided),
            columns.texts(each.event_id for each, _ in decided),
            columns.texts(each.event.TYPE for each, _ in decided),
            columns.texts(each.event.subject for each, _ in decided),
            columns.texts(outcome.result for _, outcome in decided),
            columns.documents(msgspec.json.encode(outcome) for _, outcome in decided),
        ],
    )
    record([_entry(id_, each, outcome) for id_, (each, outcome) in zip(ids, decided, strict=True)], now=now)


def _entry(id_: UUID, each: Received, outcome: Outcome) -> Entry:
    changes = {"type": each.event.TYPE, "eventId": each.event_id, "about": each.event.subject, "result": outcome.result}
    if outcome.code:
        changes["code"] = outcome.code
    return Entry(each.actor, actions.EVENT_RECEIVED, id_, changes)


def purge(*, batch_size: int = 5000) -> int:
    """Delete what is older than ``INBOX_RETENTION_DAYS``, but for dead letters that wait, in batches with a transaction
    each. Skips locked rows. Returns the number of rows deleted."""
    total = 0
    for table, time, further in _FORGOTTEN:
        statement = _PURGE.format(table=table, time=time, further=further)
        deleted = batch_size
        while deleted == batch_size:
            with connection.cursor() as cursor:
                cursor.execute(statement, [settings.INBOX_RETENTION_DAYS, batch_size])
                deleted = cursor.rowcount
            total += deleted
    return total
