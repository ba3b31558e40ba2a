"""Where incoming events are read from, and how an entry becomes a message."""

import base64
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

import msgspec

MOST_ENTRIES: Final = 100
"""The most entries that are read at once: they are applied in one transaction."""
READ_SECONDS: Final = 1.0
"""The longest wait for entries, and so for the end of the process."""


class Unavailable(Exception):
    """A source doesn't answer, or refuses. ``cause`` is a short name of the reason, for the log."""

    def __init__(self, cause: str, detail: str) -> None:
        super().__init__(detail)
        self.cause = cause


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One entry of a stream: its place, for dead letters and audit entries, and the JSON of its event."""

    place: str
    body: bytes
    token: Any
    """What the source acknowledges it by."""


class Source(Protocol):
    """A stream that a group of consumers shares."""

    name: str

    def read(self) -> list[Entry]:
        """Wait ``READ_SECONDS`` at most for entries. Raises Unavailable."""

    def acknowledge(self, entries: Sequence[Entry]) -> object:
        """Note that these entries were applied. Raises Unavailable; they are read once more then."""

    def close(self) -> None:
        """Leave the group."""


def body_of(attributes: Mapping[str, str], data: bytes) -> bytes:
    """The message of an entry in binary mode: attributes beside the data. Data that isn't JSON goes into the message as
    Base64, so that the dead letter still has the attributes."""
    try:
        msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return msgspec.json.encode({**attributes, "data_base64": base64.b64encode(data).decode()})
    return msgspec.json.encode({**attributes, "data": msgspec.Raw(data)})


def text(value: bytes) -> str:
    """Bytes as text; what isn't UTF-8 is replaced, and refused later."""
    return value.decode(errors="replace")
