"""The only writer of the outbox."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import msgspec
from uuid_utils.compat import uuid7

from audit.db import columns
from audit.db.statements import write
from audit.identifiers import EVENT, public_id
from audit.recording import new_ids


@dataclass(frozen=True, slots=True)
class Event:
    """One outbox event to be written. ``key`` names what it is about: events of one key are told in order."""

    type: str
    key: str
    payload: dict[str, Any]


_INSERT_EVENTS: Final = """
INSERT INTO audit_outboxevent (event_id, type, key, payload, created_at)
SELECT event_id, type, key, payload, %s
FROM unnest(%s::uuid[], %s::text[], %s::text[], %s::jsonb[]) WITH ORDINALITY AS t (event_id, type, key, payload, n)
ORDER BY n
"""

_PUBLISH_FROM: Final = """
INSERT INTO audit_outboxevent (event_id, type, key, payload, created_at)
SELECT t.event_id, %s::text, t.key,
    t.payload || jsonb_build_object('eventId', '{prefix}-' || t.event_id, 'timestamp', %s::text), %s
FROM (SELECT (%s::uuid[])[t.n] AS event_id, t.n, t.key, t.payload FROM ({rows}) AS t) AS t ORDER BY t.n
"""


def publish(events: Sequence[Event], *, now: datetime) -> None:
    """Write outbox events with one statement, each with an ``eventId`` and a ``timestamp``.

    Requires an open transaction; locks nothing.
    """
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


def publish_from(rows: str, *, event: str, at_most: int, now: datetime) -> None:
    """Write an outbox event of this type for each of these rows, as a part of a statement (``audit.db.statements``).

    ``rows`` is a constant SELECT of (n, key, payload), as ``record_from`` takes it; ``eventId`` and ``timestamp`` are
    added as ``publish`` adds them. Requires an open transaction; locks nothing.
    """
    _, ids = new_ids(at_most)
    write(_PUBLISH_FROM.format(rows=rows, prefix=EVENT), [event, msgspec.to_builtins(now), now, ids])
