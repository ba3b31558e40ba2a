"""The documents of incoming events, generated from the structs: a page, and a JSON Schema of each event's data."""

import json
from collections.abc import Iterator
from textwrap import fill
from typing import Any, Final

import msgspec

from audit.api.schema import scalar_with_note
from config.openapi.fields import complete_schema
from reservations.services.orders.incoming import Incoming, incoming_types

FOLDER: Final = "docs/reference/incoming-events"
PAGE: Final = "docs/reference/incoming-events.md"
_WIDTH: Final = 120
_DRAFT: Final = "https://json-schema.org/draft/2020-12/schema"
_TYPES: Final = {
    "string": "text",
    "integer": "integer",
    "uuid": "UUID",
    "decimal": "decimal",
    "array": "list of objects",
    "null": "null",
}
_HEAD: Final = """# Incoming events

For engineers whose order system or catalogue sends events to this service. The guide is [Drive reservations by order
events](../guides/order-events.md).

Events come by `POST /api/v1/inbox`, or from Redis Streams or Kafka by `manage.py consume_events`. Each is one JSON
object: an envelope, and in its `data` the fields below. Fields that aren't listed are ignored.

| attribute | CloudEvents 1.0 | own envelope |
| --- | --- | --- |
| version | `specversion`, always `1.0` | – |
| id | `id`, 1 to 255 characters | `eventId` |
| source | `source`, 1 to 300 characters | `source`, may be absent |
| type | `type`: a name below, which may have a reverse DNS name in front (`com.example.OrderCreatedEvent`) | `type` |
| data | `data`, or `data_base64` | `data` |

An event is identified by its client, source and id. If it is sent again within `INBOX_RETENTION_DAYS` (30), nothing
changes, and the answer has the first outcome. Events of one order are applied in the order in which they come.

This page and the JSON Schemas are generated from the code: `make fmt` writes them, `make check` fails if they differ.
"""


def schema_of(event: type[Incoming]) -> dict[str, Any]:
    """The JSON Schema of an event's data. It allows other fields, which are ignored."""
    schema = msgspec.json.schema(event, schema_hook=scalar_with_note)
    others = {name: complete_schema(each) for name, each in schema["$defs"].items()}
    root = others.pop(event.TYPE)
    return {"$schema": _DRAFT, **root, **({"$defs": others} if others else {})}


def schema_text(event: type[Incoming]) -> str:
    """The content of the file with an event's JSON Schema."""
    return json.dumps(schema_of(event), indent=2) + "\n"


def page() -> str:
    """The page about all incoming events."""
    return "\n".join([_HEAD, *(line for event in incoming_types().values() for line in _section(event))])


def _section(event: type[Incoming]) -> Iterator[str]:
    schema = schema_of(event)
    yield f"## {event.TYPE}\n"
    yield fill(" ".join(schema["description"].split()), _WIDTH) + "\n"
    yield f"JSON Schema of its `data`: [{event.TYPE}.schema.json](incoming-events/{event.TYPE}.schema.json).\n"
    yield "| field | type | meaning |\n| --- | --- | --- |"
    yield from _rows(schema, schema.get("$defs", {}))
    yield ""


def _rows(schema: dict[str, Any], others: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for name, field in schema["properties"].items():
        kind, *null = field["type"] if isinstance(field["type"], list) else [field["type"]]
        absent = "" if name in schema.get("required", ()) else ", may be absent or null" if null else ", may be absent"
        meaning = field.get("description", "")
        yield f"| `{prefix}{name}` | {_TYPES[field.get('format', kind)]}{absent} | {meaning} |"
        if reference := field.get("items", {}).get("$ref"):
            item = others[reference.rpartition("/")[2]]
            yield from _rows(item, others, f"{prefix}{name}[].")
