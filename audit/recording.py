"""Recording of changes: the only writer of audit entries."""

from collections.abc import Sequence
from contextvars import ContextVar
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec
from uuid_utils import uuid7 as fast_uuid7

from audit.actions import Action
from audit.actors import Actor
from audit.db import columns
from audit.db.statements import write


class Entry(msgspec.Struct, frozen=True, gc=False):
    """An audit entry to record. ``changes`` holds JSON values, UUIDs and datetimes."""

    actor: Actor
    action: Action
    subject_id: UUID
    changes: dict[str, Any]
    store: str = ""


# In the SELECT list, unnest returns row by row; of an unnest in FROM, PostgreSQL would store all rows first.
_INSERT_ENTRIES: Final = """
INSERT INTO audit_auditentry (at, id, action, actor, client_id, source, request_id, store, subject_id, changes)
SELECT %s, unnest(%s::uuid[]), unnest(%s::text[]), unnest(%s::text[]), unnest(%s::uuid[]), unnest(%s::text[]),
    unnest(%s::text[]), unnest(%s::text[]), unnest(%s::uuid[]), unnest(%s::text[])::jsonb
"""


_RECORD_FROM: Final = """
INSERT INTO audit_auditentry (id, at, action, actor, client_id, source, request_id, store, subject_id, changes)
SELECT (%s::uuid[])[t.n], %s, %s::text, %s::text, %s::uuid, %s::text, %s::text, t.store, t.subject_id, t.changes
FROM ({rows}) AS t
"""


last_recorded: ContextVar[UUID | None] = ContextVar("last_recorded", default=None)
"""The id of the last entry that this thread wrote: it shows whether a COMMIT without an answer succeeded."""


def record(entries: Sequence[Entry], *, now: datetime) -> None:
    """Write audit entries with one statement. Requires an open transaction; locks nothing."""
    if not entries:
        return
    last, ids = new_ids(len(entries), shown=-1)
    write(
        _INSERT_ENTRIES,
        [
            now,
            ids,
            columns.texts(entry.action.name for entry in entries),
            columns.texts(entry.actor.name for entry in entries),
            columns.uuids(entry.actor.client_id for entry in entries),
            columns.texts(entry.actor.source for entry in entries),
            columns.texts(entry.actor.request_id for entry in entries),
            columns.texts(entry.store for entry in entries),
            columns.uuids(entry.subject_id for entry in entries),
            columns.documents(msgspec.json.encode(entry.changes) for entry in entries),
        ],
    )
    last_recorded.set(last)


def record_from(rows: str, *, actor: Actor, action: Action, at_most: int, now: datetime) -> None:
    """Write an audit entry for each selected row, as part of a statement (``audit.db.statements``).

    ``rows`` is a constant SELECT of (n, store, subject_id, changes): ``n`` numbers the rows from 1, ``changes`` is
    jsonb. ``at_most`` is the largest possible number of rows. Requires an open transaction; locks nothing.
    """
    first, ids = new_ids(at_most)
    write(
        _RECORD_FROM.format(rows=rows),
        [
            ids,
            now,
            action.name,
            actor.name,
            actor.client_id,
            actor.source,
            actor.request_id,
        ],
    )
    last_recorded.set(first)  # The entry that is written if any is.


def new_ids(count: int, *, shown: int = 0) -> tuple[UUID, columns.UuidArray]:
    """Make ids: one as a UUID, the first unless ``shown`` is the index of another, and all as an array of bytes, which
    avoids making a UUID object for each."""
    ids = [fast_uuid7().bytes for _ in range(count)]
    return UUID(bytes=ids[shown]), columns.raw_uuids(ids)
