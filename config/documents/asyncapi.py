"""The AsyncAPI 3 document of all events, generated from the structs: where they are read, sent and received."""

import json
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from audit.streams.cloudevents import CONTENT_TYPE
from audit.webhooks.bodies import TEST_EVENT
from config.documents import events
from inventory.api.events.contract import EventPageOut, FeedEventOut
from reservations.services.orders.incoming import incoming_types

DOCUMENT: Final = "docs/reference/asyncapi.json"
_TEXT: Final = {"type": "string"}
_TIME: Final = {"type": "string", "format": "date-time"}
_DESCRIPTION: Final = (
    "Events of stock and reservations, and events of orders and products that the service acts on. Each event is"
    " delivered at least once: remember the ids that you have acted on. Events with the same key are delivered in"
    " order; the order of events of different keys is undefined."
)
_ATTRIBUTES: Final = {
    "specversion": {"const": "1.0"},
    "id": {**_TEXT, "description": "The payload's `eventId`."},
    "source": {**_TEXT, "format": "uri-reference", "description": "The setting `EVENT_SOURCE`."},
    "type": {**_TEXT, "description": "The type of the event."},
    "time": {**_TIME, "description": "The payload's `timestamp`."},
    "subject": {**_TEXT, "description": "The kind and the identifier of what the event is about."},
    "partitionkey": {**_TEXT, "description": "The key: events with the same key are delivered in order."},
    "feedcursor": {**_TEXT, "description": "The cursor after which the feed continues."},
    "traceparent": {**_TEXT, "description": "The W3C trace context of the request that caused it, if it was traced."},
}
"""The attributes of CloudEvents 1.0 that published events have, but for ``datacontenttype``."""
_OPTIONAL: Final = frozenset({"traceparent", "ce_traceparent"})
_TOO_LARGE: Final = {
    "tooLarge": {"const": True},
    "bytes": {"type": "integer", "description": "The size of the complete body."},
    "path": {**_TEXT, "description": "Where the event can be read, with a token."},
}
_WEBHOOK_HEADERS: Final = {
    "webhook-id": {**_TEXT, "description": "The event's id, the same in each attempt."},
    "webhook-timestamp": {**_TEXT, "description": "When this attempt was made, in seconds since 1970."},
    "webhook-signature": {**_TEXT, "description": "Signatures of Standard Webhooks: `v1,…` and `v1a,…`."},
    "traceparent": {**_TEXT, "description": "The W3C trace context of this attempt, if the event belongs to a trace."},
}
_CHANNELS: Final = {
    "feed": ("/api/v1/events", ["http"], "A page of the feed, at once or by long poll: `GET` with `after`."),
    "stream": ("/api/v1/events/stream", ["http"], "The feed as server-sent events; the `id` of each is its `cursor`."),
    "webhooks": (None, [], "The address of each webhook. Requests are signed according to Standard Webhooks 1.0."),
    "redis": ("inventory:events", ["redis"], "The Redis stream `EVENT_STREAM`. Attributes and `data` are fields."),
    "kafka": ("inventory.events", ["kafka"], "The Kafka topic `KAFKA_TOPIC`, in binary content mode."),
    "inbox": ("/api/v1/inbox", ["http"], "Incoming events by HTTP: `POST` of one event or a batch."),
    "inboxRedis": ("{stream}", ["redis"], "Incoming events from the Redis stream `INBOX_STREAM`."),
    "inboxKafka": ("{topic}", ["kafka"], "Incoming events from a Kafka topic of `INBOX_TOPICS`."),
}
"""Address, servers and description of each channel."""
_PARAMETERS: Final = {
    "inboxRedis": {"stream": {"description": "The setting `INBOX_STREAM`."}},
    "inboxKafka": {"topic": {"description": "One of the setting `INBOX_TOPICS`."}},
}
_RECEIVING: Final = ("inbox", "inboxRedis", "inboxKafka")
_WITH_HEADERS: Final = ("webhooks", "redis", "kafka")


def document() -> str:
    """The text of the AsyncAPI document. Its schemas are the files beside it."""
    test = {f"webhooks.{TEST_EVENT}": _test_event()}
    messages = {**dict(_published()), **test, "feed.Page": _page(), **dict(_incoming())}
    content = {
        "asyncapi": "3.0.0",
        "info": {"title": "Inventory reservation: events", "version": "1", "description": _DESCRIPTION},
        "defaultContentType": CONTENT_TYPE,
        "servers": _servers(),
        "channels": {name: _channel(name, messages) for name in _CHANNELS},
        "operations": {_operation_id(name): _operation(name) for name in _CHANNELS},
        "components": {
            "messages": messages,
            "messageTraits": _traits(),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def _servers() -> dict[str, Any]:
    def server(protocol: str, description: str, default: str, **more: Any) -> dict[str, Any]:
        variables = {"host": {"default": default, "description": "Host and port."}}
        return {"host": "{host}", "protocol": protocol, "description": description, "variables": variables, **more}

    token = [{"$ref": "#/components/securitySchemes/token"}]
    return {
        "http": server("https", "The service.", "localhost:8000", security=token),
        "redis": server("redis", "`EVENT_STREAM_URL` and `INBOX_STREAM_URL`.", "localhost:6379"),
        "kafka": server("kafka", "`KAFKA_SERVERS`.", "localhost:9092"),
    }


def _channel(name: str, messages: dict[str, Any]) -> dict[str, Any]:
    address, servers, description = _CHANNELS[name]
    group = "incoming" if name in _RECEIVING else name
    own = [each for each in messages if each.startswith(f"{group}.")]
    channel: dict[str, Any] = {
        "address": address,
        "description": description,
        "messages": {each.partition(".")[2]: {"$ref": f"#/components/messages/{each}"} for each in own},
    }
    if servers:
        channel["servers"] = [{"$ref": f"#/servers/{server}"} for server in servers]
    if name in _PARAMETERS:
        channel["parameters"] = _PARAMETERS[name]
    return channel


def _operation_id(channel: str) -> str:
    return f"{'receive' if channel in _RECEIVING else 'send'}By{channel[0].upper()}{channel[1:]}"


def _operation(channel: str) -> dict[str, Any]:
    """What the service does at a channel."""
    operation: dict[str, Any] = {
        "action": "receive" if channel in _RECEIVING else "send",
        "channel": {"$ref": f"#/channels/{channel}"},
        "summary": _CHANNELS[channel][2],
    }
    methods = {"feed": "GET", "stream": "GET", "webhooks": "POST", "inbox": "POST"}
    if channel in methods:
        operation["bindings"] = {"http": {"method": methods[channel], "bindingVersion": "0.3.0"}}
    return operation


def _published() -> Iterator[tuple[str, dict[str, Any]]]:
    """The message of each event at each channel that it is published at."""
    envelope = _fields_of(FeedEventOut)
    del envelope["payload"]
    for event in events.event_types():
        payload = {"$ref": f"events/{event.TYPE}.schema.json"}
        common = {**envelope, "type": {"const": event.TYPE}}
        carried = {
            "stream": _object({**common, "payload": payload}),
            "webhooks": _object({**common, "data": {"anyOf": [payload, _object(_TOO_LARGE)]}}),
            "redis": payload,
            "kafka": payload,
        }
        for channel, body in carried.items():
            yield f"{channel}.{event.TYPE}", _message(event.TYPE, body, channel)


def _test_event() -> dict[str, Any]:
    """The message that a webhook's test sends: it isn't in the log."""
    fields = _fields_of(FeedEventOut)
    common = {name: fields[name] for name in ("eventId", "key", "timestamp")}
    data = _object({"eventId": _TEXT, "timestamp": _TIME, "message": _TEXT})
    return _message(TEST_EVENT, _object({**common, "type": {"const": TEST_EVENT}, "data": data}), "webhooks")


def _page() -> dict[str, Any]:
    """The message of a page of the feed, with events as in the stream."""
    listed = [{"$ref": f"#/components/messages/stream.{event.TYPE}/payload"} for event in events.event_types()]
    fields = _fields_of(EventPageOut)
    return _message("Page", _object({**fields, "events": {"type": "array", "items": {"oneOf": listed}}}))


def _incoming() -> Iterator[tuple[str, dict[str, Any]]]:
    """The message of each incoming event: a CloudEvent in structured mode, or the service's own envelope."""
    for event in incoming_types().values():
        named, fields = {"type": {"const": event.TYPE}}, {"$ref": f"incoming-events/{event.TYPE}.schema.json"}
        cloud = {"specversion": {"const": "1.0"}, "id": _TEXT, "source": _TEXT, **named, "data": fields}
        own = {"eventId": _TEXT, **named, "data": fields}
        yield f"incoming.{event.TYPE}", _message(event.TYPE, {"oneOf": [_object(cloud), _object(own)]})


def _message(name: str, payload: dict[str, Any], channel: str = "") -> dict[str, Any]:
    """A message; those of some channels have headers, which are in a trait."""
    traits = [{"$ref": f"#/components/messageTraits/{channel}"}] if channel in _WITH_HEADERS else []
    return {"name": name, "title": name, "payload": payload, **({"traits": traits} if traits else {})}


def _fields_of(struct: type[msgspec.Struct]) -> dict[str, Any]:
    """The JSON Schemas of a struct's fields."""
    fields: dict[str, Any] = msgspec.json.schema(struct)["$defs"][struct.__name__]["properties"]
    return fields


def _object(fields: dict[str, Any]) -> dict[str, Any]:
    """The schema of an object that has all these fields but for those of ``_OPTIONAL``, and may have others."""
    required = [name for name in fields if name not in _OPTIONAL]
    return {"type": "object", "required": required, "properties": fields}


def _traits() -> dict[str, Any]:
    """The headers of messages, and the key of those in Kafka."""
    redis = {**_ATTRIBUTES, "datacontenttype": {"const": CONTENT_TYPE}}
    kafka = {**{f"ce_{name}": field for name, field in _ATTRIBUTES.items()}, "content-type": {"const": CONTENT_TYPE}}
    kafka["traceparent"] = kafka["ce_traceparent"]
    key = {"type": "string", "description": "The key of the event."}
    return {
        "webhooks": {"headers": _object(_WEBHOOK_HEADERS)},
        "redis": {"headers": _object(redis)},
        "kafka": {"headers": _object(kafka), "bindings": {"kafka": {"key": key, "bindingVersion": "0.5.0"}}},
    }
