"""Payloads of events, compared with their structs and JSON Schemas."""

import json
from typing import Any

import jsonschema
import msgspec

from audit.events import Event, with_envelope
from config.documents.events import event_types, schema_of

EVENTS = {event.TYPE: event for event in event_types()}


def assert_is_of_struct(payload: dict[str, Any], event: type[Event]) -> None:
    """Check that a payload has exactly the struct's fields and types, whether Python or SQL wrote it."""
    decoded = msgspec.json.decode(json.dumps(payload), type=with_envelope(event), strict=True)
    assert msgspec.to_builtins(decoded) == payload
    jsonschema.validate(payload, schema_of(event), jsonschema.Draft202012Validator)
