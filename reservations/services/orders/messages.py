"""Read messages: a JSON text with one event, in a CloudEvents 1.0 envelope (structured mode) or in the service's own.

Own envelope: ``{"eventId": ..., "type": ..., "data": {...}}``, with an optional ``source`` and ``timestamp``.
"""

import base64
import binascii
import re
from collections.abc import Sequence
from functools import cache
from typing import Any, Final
from uuid import UUID

import msgspec

from audit.actors import Actor
from audit.api.json_bodies import canonical
from audit.api.mistakes import mistakes_in, refusal
from audit.api.scalars import decode_scalar
from audit.errors import Fault, Invalid
from audit.roles import Capability
from audit.texts import REFUSED, named
from reservations.models.orders import LONGEST_EVENT_ID, LONGEST_SOURCE
from reservations.services.orders.incoming import Incoming, incoming_types

_UNPRINTABLE: Final = re.compile(rf"[{REFUSED}]")
_JSON_TYPE: Final = re.compile(r"application/(?:[a-z0-9.!#$&^_-]+\+)?json\s*(?:;.*)?", re.IGNORECASE)
_SPEC_VERSION: Final = "1.0"


class Sender(msgspec.Struct, frozen=True, gc=False):
    """The sender of messages: the actor of their changes, the client whose event ids they have, and its permissions."""

    actor: Actor
    client_id: UUID
    capabilities: frozenset[Capability]


class Message(msgspec.Struct, frozen=True, gc=False):
    """A message as received. ``place`` is where it was read, for dead letters; ``body`` is the JSON text."""

    sender: Sender
    body: bytes
    place: str = "http"


class Received(msgspec.Struct, frozen=True, gc=False):
    """A parsed message."""

    message: Message
    source: str
    event_id: str
    event: Incoming

    @property
    def key(self) -> tuple[UUID, str, str]:
        """What is unique: the client, the source and the id of the event."""
        return self.message.sender.client_id, self.source, self.event_id

    @property
    def actor(self) -> Actor:
        """The actor of what the event changes."""
        return self.message.sender.actor


class Unreadable(Exception):
    """A message that can't be parsed. ``code`` is the stable name of the reason, ``faults`` are its single mistakes;
    ``type`` and ``event_id`` are empty if they couldn't be read."""

    def __init__(
        self, code: str, detail: str, envelope: dict[str, Any] | None = None, faults: Sequence[Fault] = ()
    ) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.faults = tuple(faults)
        self.type = _excerpt((envelope or {}).get("type"))
        self.event_id = _excerpt(event_id(envelope or {}))


def _excerpt(value: Any) -> str:
    """The first characters of a text, without those that can't be shown; empty for anything else."""
    return _UNPRINTABLE.sub("", value)[:LONGEST_EVENT_ID] if isinstance(value, str) else ""


def event_id(envelope: dict[str, Any]) -> Any:
    """The id in an envelope of either kind."""
    return envelope.get("id" if "specversion" in envelope else "eventId")


def names_in(body: bytes) -> tuple[str | None, str | None]:
    """The type and the id in a message, as far as they can be read: None for each that can't."""
    try:
        envelope = _envelope(body)
    except Unreadable:
        return None, None
    return _excerpt(envelope.get("type")) or None, _excerpt(event_id(envelope)) or None


def read(message: Message) -> Received:
    """Parse a message. Raises Unreadable."""
    envelope = _envelope(message.body)
    _refuse_repetitions(message.body, envelope)
    is_cloud_event = "specversion" in envelope
    if is_cloud_event and envelope["specversion"] != _SPEC_VERSION:
        raise Unreadable("unknown_version", "CloudEvents of specversion 1.0 are understood.", envelope)
    identifier = _text(envelope, "id" if is_cloud_event else "eventId", LONGEST_EVENT_ID)
    source = _text(envelope, "source", LONGEST_SOURCE) if is_cloud_event or envelope.get("source") is not None else ""
    kind = _type_of(envelope)
    content = _data(envelope)
    try:
        event = _decoder(kind).decode(content)
    except msgspec.ValidationError as error:
        raise _invalid(kind, content, envelope, error) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Unreadable("malformed", f"The data is not JSON: {error or 'nested too deeply'}.", envelope) from error
    return Received(message, source, identifier, event)


def _refuse_repetitions(body: bytes, envelope: dict[str, Any]) -> None:
    """Raise Unreadable if a name stands twice in an object of a message."""
    try:
        canonical(body)
    except Invalid as error:
        raise Unreadable("invalid", error.detail, envelope, error.faults) from error


def _invalid(kind: type[Incoming], content: bytes, envelope: dict[str, Any], error: Exception) -> Unreadable:
    """The refusal of data that is JSON of the wrong shape, with each mistake."""
    faults = mistakes_in(msgspec.json.decode(content), kind, "/data", "`data`")
    detail = refusal(faults).detail if faults else f"The data is not valid: {error}."
    return Unreadable("invalid", f"The data of the {kind.TYPE} is wrong. {detail}", envelope, faults)


def _envelope(body: bytes) -> dict[str, Any]:
    try:
        envelope = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        detail = f"The message is not JSON in UTF-8: {error or 'nested too deeply'}."
        raise Unreadable("malformed", detail) from error
    if not isinstance(envelope, dict):
        raise Unreadable("malformed", "A message is a JSON object: one event with its envelope.")
    return envelope


def _text(envelope: dict[str, Any], name: str, most: int) -> str:
    value = envelope.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= most:
        raise Unreadable("invalid_envelope", f"`{name}` is a text of 1 to {most} characters.", envelope)
    if found := _UNPRINTABLE.search(value):
        raise Unreadable("invalid_envelope", f"`{name}` has {named(found.group())}.", envelope)
    return value


def _type_of(envelope: dict[str, Any]) -> type[Incoming]:
    """The type that the envelope names; it may have a reverse DNS name in front: ``com.example.OrderCreatedEvent``."""
    name = _text(envelope, "type", LONGEST_EVENT_ID)
    found = incoming_types().get(name.rpartition(".")[2])
    if found is None:
        raise Unreadable("unknown_type", f"There is no incoming event {name}.", envelope)
    return found


def _data(envelope: dict[str, Any]) -> bytes:
    """The JSON of the event itself."""
    if "specversion" not in envelope:
        return msgspec.json.encode(envelope.get("data"))
    media_type = envelope.get("datacontenttype")
    if media_type is not None and not (isinstance(media_type, str) and _JSON_TYPE.fullmatch(media_type)):
        raise Unreadable("unknown_content", "The data of an event is JSON: `datacontenttype` says otherwise.", envelope)
    if "data_base64" in envelope:
        try:
            return base64.b64decode(envelope["data_base64"], validate=True)
        except (TypeError, ValueError, binascii.Error) as error:
            raise Unreadable("malformed", "`data_base64` is not Base64.", envelope) from error
    return msgspec.json.encode(envelope.get("data"))


@cache
def _decoder(kind: type[Incoming]) -> msgspec.json.Decoder[Incoming]:
    return msgspec.json.Decoder(kind, dec_hook=decode_scalar)
