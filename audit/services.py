"""The only writers of audit entries and of the outbox.

Both write a whole batch with one statement, inside the transaction of the change they speak of.
"""

from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec
from uuid_utils import uuid7 as fast_uuid7
from uuid_utils.compat import uuid7

from audit import columns
from audit.identifiers import EVENT, public_id
from audit.statements import write


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks for a change. Travels in each request value: a batch carries many askers.

    ``source`` is the way in: ``api``, ``admin``, ``command``, ``sweeper`` or ``stream``. ``store_codes`` are the only
    stores whose holds and stock the asker may see and touch; empty means all.
    """

    actor: str
    client_id: UUID | None
    request_id: str
    source: str
    store_codes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Entry:
    """One audit entry to be written. ``changes`` holds JSON values; UUIDs and datetimes are fine."""

    asker: Asker
    action: str
    subject_id: UUID
    changes: dict[str, Any]
    store: str = ""


@dataclass(frozen=True, slots=True)
class Event:
    """One outbox event to be written. ``key`` names what it is about: events of one key are told in order."""

    type: str
    key: str
    payload: dict[str, Any]


_INSERT_ENTRIES: Final = """
INSERT INTO audit_auditentry (id, at, action, actor, client_id, source, request_id, store, subject_id, changes)
SELECT id, %s, action, actor, client_id, source, request_id, store, subject_id, changes
FROM unnest(%s::uuid[], %s::text[], %s::text[], %s::uuid[], %s::text[], %s::text[], %s::text[], %s::uuid[], %s::jsonb[])
AS t (id, action, actor, client_id, source, request_id, store, subject_id, changes)
"""

_INSERT_EVENTS: Final = """
INSERT INTO audit_outboxevent (event_id, type, key, payload, created_at)
SELECT event_id, type, key, payload, %s
FROM unnest(%s::uuid[], %s::text[], %s::text[], %s::jsonb[]) WITH ORDINALITY AS t (event_id, type, key, payload, n)
ORDER BY n
"""


_RECORD_FROM: Final = """
INSERT INTO audit_auditentry (id, at, action, actor, client_id, source, request_id, store, subject_id, changes)
SELECT (%s::uuid[])[t.n], %s, %s::text, %s::text, %s::uuid, %s::text, %s::text, t.store, t.subject_id, t.changes
FROM ({rows}) AS t
"""

_PUBLISH_FROM: Final = """
INSERT INTO audit_outboxevent (event_id, type, key, payload, created_at)
SELECT t.event_id, %s::text, t.key,
    t.payload || jsonb_build_object('eventId', '{prefix}-' || t.event_id, 'timestamp', %s::text), %s
FROM (SELECT (%s::uuid[])[t.n] AS event_id, t.n, t.key, t.payload FROM ({rows}) AS t) AS t ORDER BY t.n
"""


last_recorded: ContextVar[UUID | None] = ContextVar("last_recorded", default=None)
"""The id of the last entry that this thread wrote: by it a commit that nobody answered is found again."""


def record(entries: Sequence[Entry], *, now: datetime) -> None:
    """Write audit entries with one statement. Requires an open transaction; locks nothing."""
    if not entries:
        return
    ids = [uuid7() for _ in entries]
    write(
        _INSERT_ENTRIES,
        [
            now,
            columns.uuids(ids),
            columns.texts(entry.action for entry in entries),
            columns.texts(entry.asker.actor for entry in entries),
            columns.uuids(entry.asker.client_id for entry in entries),
            columns.texts(entry.asker.source for entry in entries),
            columns.texts(entry.asker.request_id for entry in entries),
            columns.texts(entry.store for entry in entries),
            columns.uuids(entry.subject_id for entry in entries),
            columns.documents(msgspec.json.encode(entry.changes) for entry in entries),
        ],
    )
    last_recorded.set(ids[-1])


def publish(events: Sequence[Event], *, now: datetime) -> None:
    """Write outbox events with one statement, each with an ``eventId`` and a ``timestamp`` (requirement text 002,
    "Published Events"). Requires an open transaction; locks nothing."""
    if not events:
        return
    ids = [uuid7() for _ in events]
    write(
        _INSERT_EVENTS,
        [
            now,
            columns.uuids(ids),
            columns.texts(event.type for event in events),
            columns.texts(event.key for event in events),
            columns.documents(
                msgspec.json.encode({"eventId": public_id(EVENT, identifier), **event.payload, "timestamp": now})
                for identifier, event in zip(ids, events, strict=True)
            ),
        ],
    )


def record_from(rows: str, *, asker: Asker, action: str, at_most: int, now: datetime) -> None:
    """Write an audit entry of each of these rows, as a part of a statement (``audit.statements``).

    ``rows`` is a constant SELECT of (n, store, subject_id, changes): ``n`` counts them from 1, ``changes`` is jsonb.
    ``at_most`` is how many there can be. Requires an open transaction; locks nothing.
    """
    first, ids = _new_ids(at_most)
    write(
        _RECORD_FROM.format(rows=rows),
        [
            ids,
            now,
            action,
            asker.actor,
            asker.client_id,
            asker.source,
            asker.request_id,
        ],
    )
    last_recorded.set(first)  # The one that is written if any is.


def publish_from(rows: str, *, event: str, at_most: int, now: datetime) -> None:
    """Write an outbox event of this type for each of these rows, as a part of a statement (``audit.statements``).

    ``rows`` is a constant SELECT of (n, key, payload), as ``record_from`` takes it; ``eventId`` and ``timestamp`` are
    added as ``publish`` adds them. Requires an open transaction; locks nothing.
    """
    _, ids = _new_ids(at_most)
    write(_PUBLISH_FROM.format(rows=rows, prefix=EVENT), [event, msgspec.to_builtins(now), now, ids])


def _new_ids(count: int) -> tuple[UUID, columns.UuidArray]:
    """The first of so many new ids, and all of them: made as bytes, without an object of the standard library each."""
    ids = [fast_uuid7().bytes for _ in range(count)]
    return UUID(bytes=ids[0]), columns.raw_uuids(ids)
