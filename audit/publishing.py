"""Publishing of events: the only writer of the outbox."""

from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import Any, Final

import msgspec

from audit import traces
from audit.actors import Actor
from audit.db import columns
from audit.db.statements import write
from audit.events import Event, OutboxRow
from audit.hidden import LEVEL_ID
from audit.identifiers import EVENT
from audit.recording import new_ids

_INSERT_EVENTS: Final = """
INSERT INTO audit_outboxevent (id, aggregatetype, aggregateid, type, payload, created_at)
SELECT id, (%s::text[])[type], key, (%s::text[])[type], payload::jsonb, %s
FROM (SELECT unnest(%s::uuid[]) AS id, unnest(%s::int[]) AS type, unnest(%s::text[]) AS key,
    unnest(%s::text[]) AS payload) AS t
"""
_INSERT_TRACED_EVENTS: Final = """
INSERT INTO audit_outboxevent (id, aggregatetype, aggregateid, type, payload, created_at, traceparent)
SELECT id, (%s::text[])[type], key, (%s::text[])[type], payload::jsonb, %s, traceparent
FROM (SELECT unnest(%s::uuid[]) AS id, unnest(%s::int[]) AS type, unnest(%s::text[]) AS key,
    unnest(%s::text[]) AS payload, unnest(%s::text[]) AS traceparent) AS t
"""

_PUBLISH_FROM: Final = """
INSERT INTO audit_outboxevent (id, aggregatetype, type, aggregateid, payload, created_at{column})
SELECT t.event_id, %s::text, %s::text, t.key,
    t.payload || jsonb_build_object('eventId', '{prefix}-' || t.event_id, 'timestamp', %s::text), %s{value}
FROM (SELECT (%s::uuid[])[t.n] AS event_id, t.n, t.key, t.payload FROM ({rows}) AS t) AS t ORDER BY t.n
"""


def traced(events: list[OutboxRow], actor: Actor) -> list[OutboxRow]:
    """The events of an actor's request, as parts of its trace: a batch has requests of several. Unchanged while traces
    are off."""
    if traces.active is None:
        return events
    traceparent = traces.active.traceparent(actor.span)
    return [event.within(traceparent) for event in events]


def publish(rows: Sequence[OutboxRow], *, now: datetime) -> None:
    """Write events to the outbox with one statement, each with an ``eventId`` and a ``timestamp``. Events about the
    canary's level are left out.

    An event belongs to the trace of its row, or else to the current one, if there is any. Requires an open transaction;
    locks nothing.
    """
    rows = [row for row in rows if LEVEL_ID not in row.about]
    if not rows:
        return
    timestamp = msgspec.json.encode(now)
    # The names of each type are sent once, and each row has the number of its type.
    types = [type(row.event) for row in rows]
    numbers = {type_: number for number, type_ in enumerate(dict.fromkeys(types), start=1)}
    parameters: list[Any] = [
        columns.texts(type_.AGGREGATE for type_ in numbers),
        columns.texts(type_.TYPE for type_ in numbers),
        now,
        columns.raw_uuids([row.event_id.bytes for row in rows]),
        columns.ints(numbers[type_] for type_ in types),
        columns.texts(row.key for row in rows),
        columns.documents(_payload(row, timestamp) for row in rows),
    ]
    if traces.active is None:
        write(_INSERT_EVENTS, parameters)
    else:
        current = traces.active.traceparent()
        write(_INSERT_TRACED_EVENTS, [*parameters, columns.texts(row.traceparent or current for row in rows)])


def _payload(row: OutboxRow, timestamp: bytes) -> bytes:
    """The JSON of an event with its id and time, joined as text to avoid building a dictionary for each event."""
    head = b'{"eventId":"%b","timestamp":%b,' % (row.public_id.encode(), timestamp)
    return head + msgspec.json.encode(row.event)[1:]


def new_event_ids(count: int) -> columns.UuidArray:
    """The ids of at most so many events, for ``publish_from``."""
    return new_ids(max(count, 1))[1]


def publish_from(rows: str, *, event: type[Event], ids: columns.UuidArray, now: datetime) -> None:
    """Write an event of this type for each selected row, as part of a statement (``audit.db.statements``).

    ``rows`` is a constant SELECT of (n, key, payload), as for ``record_from``; ``eventId``, the n-th of ``ids``, and
    ``timestamp`` are added as by ``publish``. Requires an open transaction; locks nothing.
    """
    parameters: list[Any] = [event.AGGREGATE, event.TYPE, msgspec.to_builtins(now), now]
    if traces.active is None:
        write(_publish_from(rows), [*parameters, ids])
    else:
        write(_publish_traced_from(rows), [*parameters, traces.active.traceparent(), ids])


@cache
def _publish_from(rows: str) -> str:
    return _PUBLISH_FROM.format(rows=rows, prefix=EVENT, column="", value="")


@cache
def _publish_traced_from(rows: str) -> str:
    return _PUBLISH_FROM.format(rows=rows, prefix=EVENT, column=", traceparent", value=", %s::text")
