"""The documents of events, generated from the structs: a page about all events, and a JSON Schema of each."""

import json
from collections.abc import Collection, Iterator
from textwrap import fill
from typing import Any, Final

import msgspec

import inventory.events
import reservations.events
from audit.events import Event, registered_in, with_envelope

FOLDER: Final = "docs/reference/events"
PAGE: Final = "docs/reference/events.md"
_ENVELOPE: Final = ("eventId", "timestamp")
_WIDTH: Final = 120
_DRAFT: Final = "https://json-schema.org/draft/2020-12/schema"
_TYPES: Final = {
    "string": "text",
    "boolean": "true or false",
    "integer": "integer",
    "uuid": "UUID",
    "date-time": "time",
    "null": "null",
}
_HEAD: Final = """# Events

For engineers whose programs need to know about changes of stock and reservations. Read them from the
[feed](../reference/api.md#events) or from a [Redis stream or a Kafka topic](../guides/streams.md), or have them sent to
you by [webhooks](../guides/webhooks.md). [asyncapi.json](asyncapi.json) describes all of these in AsyncAPI 3, and the
events that the service receives ([Incoming events](incoming-events.md)).

An event is a row of the table `audit_outboxevent`. It is written in the transaction of the change that it is about:
neither is committed without the other. Events are deleted after `EVENT_RETENTION_DAYS` (30). Staff see them in the
console, under Events.

| column | meaning |
| --- | --- |
| `position` | An integer that grows. It gives the order of events with the same key. |
| `id` | The UUID in `eventId`. |
| `aggregatetype` | The kind of what the event is about: {kinds}. |
| `aggregateid` | The key: the identifier of what the event is about. Each type says which one. |
| `type` | One of the types below. |
| `payload` | JSON. Each type says which fields. |
| `created_at` | The same time as `timestamp`. |
| `xid` | The id of the transaction that wrote it. |
| `traceparent` | The W3C context of the request that caused it; null if that was not [traced](../guides/trace.md). |

Of two concurrent transactions, the one with the lower position may be committed later. A program that selects
positions after the last one that it has seen therefore misses events.
[The log of events](../explanation/event-log.md) describes how events are read without a gap.

## By Debezium

The columns are those that Debezium's outbox event router expects, so that
`transforms.outbox.type=io.debezium.transforms.outbox.EventRouter` needs no further options: the topic is
`outbox.event.` and `aggregatetype`, the key `aggregateid`, the header `id` the event's id. The table has a
partition for each day, which is created and dropped automatically, so publish it as one table:

```sql
CREATE PUBLICATION inventory_events FOR TABLE audit_outboxevent
    WITH (publish = 'insert', publish_via_partition_root = true);
```

Give the connector `publication.name=inventory_events`, `publication.autocreate.mode=disabled` and
`table.include.list=public.audit_outboxevent`. Replication slots need `wal_level=logical`.

## In general

A field that may be absent is left out of the JSON if it has no value. Fields may be added to a payload: ignore those
that you don't know. Times are RFC 3339 in UTC.

This page, the JSON Schemas and the AsyncAPI document are generated from the code: `make fmt` writes them, `make check`
fails if they differ.
"""


def event_types() -> list[type[Event]]:
    """All events."""
    return [event for module in (reservations.events, inventory.events) for event in registered_in(module.__name__)]


def schema_of(event: type[Event]) -> dict[str, Any]:
    """The JSON Schema of an event's complete payload. It allows other fields, since some may be added later."""
    schema = msgspec.json.schema(with_envelope(event))
    others = schema["$defs"]
    root = others.pop(event.TYPE)
    for each in (root, *others.values()):
        each.pop("additionalProperties", None)
        each["description"] = " ".join(each["description"].split())
    return {"$schema": _DRAFT, **root, **({"$defs": others} if others else {})}


def schema_text(event: type[Event]) -> str:
    """The content of the file with an event's JSON Schema."""
    return json.dumps(schema_of(event), indent=2) + "\n"


def example_of(event: type[Event]) -> dict[str, Any]:
    """A payload made of the examples of an event's fields. Optional fields are included if they have an example."""
    schema = schema_of(event)
    example: dict[str, Any] = _example(schema, schema.get("$defs", {}))
    return example


def page() -> str:
    """The page about all events."""
    kinds = ", ".join(f"`{kind}`" for kind in sorted({event.AGGREGATE for event in event_types()}))
    head = _HEAD.replace("{kinds}", kinds)
    return "\n".join([head, *_contents(), *_common(), *(line for event in event_types() for line in _section(event))])


def _contents() -> Iterator[str]:
    yield "| type | key |\n| --- | --- |"
    for event in event_types():
        yield f"| [`{event.TYPE}`](#{event.TYPE.lower()}) | {event.KEY} |"
    yield ""


def _common() -> Iterator[str]:
    yield "## In every payload\n"
    yield from _table(schema_of(event_types()[0]), _ENVELOPE)
    yield ""


def _section(event: type[Event]) -> Iterator[str]:
    schema = schema_of(event)
    yield f"## {event.TYPE}\n"
    yield fill(schema["description"], _WIDTH) + "\n"
    yield f"Key: {event.KEY}. JSON Schema: [{event.TYPE}.schema.json](events/{event.TYPE}.schema.json).\n"
    yield from _table(schema, [name for name in schema["properties"] if name not in _ENVELOPE])
    yield f"\n```json\n{json.dumps(example_of(event), indent=2)}\n```\n"


def _table(schema: dict[str, Any], names: Collection[str]) -> Iterator[str]:
    yield "| field | type | meaning |\n| --- | --- | --- |"
    yield from _rows(schema, names, schema.get("$defs", {}))


def _rows(schema: dict[str, Any], names: Collection[str], others: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for name in names:
        field = schema["properties"][name]
        absent = "" if name in schema["required"] else ", may be absent"
        yield f"| `{prefix}{name}` | {_type(field)}{absent} | {field['description']} |"
        if item := _referred(field.get("items", {}), others):
            yield from _rows(item, item["properties"], others, f"{prefix}{name}[].")
        if part := _referred(field, others):
            yield from _rows(part, part["properties"], others, f"{prefix}{name}.")


def _type(field: dict[str, Any]) -> str:
    if "enum" in field:
        return " or ".join(f"`{value}`" for value in field["enum"])
    if "anyOf" in field:
        return " or ".join(map(_type, field["anyOf"]))
    if field.get("type") == "array":
        return "list of objects" if "$ref" in field["items"] else f"list of {_type(field['items'])}s"
    if "$ref" in field:
        return "object"
    if field["type"] == "object":
        return f"object of {_type(field['additionalProperties'])}s"
    return _TYPES[field.get("format", field["type"])]


def _referred(field: dict[str, Any], others: dict[str, Any]) -> dict[str, Any] | None:
    return others[field["$ref"].rpartition("/")[2]] if "$ref" in field else None


def _example(schema: dict[str, Any], others: dict[str, Any]) -> Any:
    if "examples" in schema:
        return schema["examples"][0]
    if schema.get("type") == "array":
        return [_example(schema["items"], others)]
    of = _referred(schema, others) or schema
    shown = [name for name, field in of["properties"].items() if name in of["required"] or "examples" in field]
    return {name: _example(of["properties"][name], others) for name in shown}
