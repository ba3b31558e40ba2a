"""Base of all events: each type is a struct of its own, in the ``events.py`` of the package that publishes it.

The structs are the contract with readers of the outbox. docs/reference/events.md and the JSON Schemas are generated
from them: a docstring describes when an event is written, the fields describe themselves.
"""

from datetime import datetime
from typing import Annotated, Any, ClassVar, Final, TypeVar
from uuid import UUID

import msgspec
import uuid_utils
from msgspec import Meta

from audit.identifiers import EVENT

E = TypeVar("E", bound="type[Event]")


class Event(msgspec.Struct, frozen=True, gc=False, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """The payload of an event, without ``eventId`` and ``timestamp``, which ``publish`` adds.

    A subclass has a method ``row``, which makes the outbox row with its key.
    """

    TYPE: ClassVar[str]
    """The type's name in the outbox, which is the name of the class."""
    AGGREGATE: ClassVar[str]
    """The kind of what the event is about, such as ``reservation``."""
    KEY: ClassVar[str]
    """A description of the outbox row's key: events with the same key are published in order."""


class OutboxRow(msgspec.Struct, frozen=True, gc=False):
    """An event to be written, with its key.

    ``about`` are the ids of the rows whose change it describes: the events of these rows can name its ``event_id`` as
    their cause. The id is a UUID of uuid_utils, which is made and formatted five times as fast as one of the standard
    library. ``traceparent`` is the trace that it belongs to; None for that of the code that publishes it.
    """

    key: str
    event: Event
    about: tuple[UUID, ...] = ()
    event_id: uuid_utils.UUID = msgspec.field(default_factory=uuid_utils.uuid7)
    traceparent: str | None = None

    @property
    def public_id(self) -> str:
        """``ev-<uuid>``."""
        return f"{EVENT}-{self.event_id}"

    def within(self, traceparent: str | None) -> "OutboxRow":
        """The same event, as a part of this trace."""
        return msgspec.structs.replace(self, traceparent=traceparent)


_registered: Final[dict[str, type[Event]]] = {}


def register(event: E) -> E:
    """Register the class of an event, as a decorator: only registered events can be published and are documented.

    Raises ValueError if another class has its name.
    """
    if event.__name__ in _registered:
        raise ValueError(f"There is an event {event.__name__} already, in {_registered[event.__name__].__module__}.")
    event.TYPE = event.__name__
    _registered[event.TYPE] = event
    return event


def registered_types() -> frozenset[str]:
    """The names of all events."""
    return frozenset(_registered)


def registered_in(module: str) -> list[type[Event]]:
    """The events of a module, such as ``inventory.events``, in the order of their definition."""
    return [event for event in _registered.values() if event.__module__ == module]


ENVELOPE: Final = (
    (
        "event_id",
        Annotated[
            str,
            Meta(
                description="The event's own id, `ev-<uuid>`.",
                examples=["ev-0199a3c5-7c1e-7d7a-9d40-1f6f0f9b2a11"],
            ),
        ],
    ),
    (
        "timestamp",
        Annotated[
            datetime,
            Meta(
                tz=True,
                description="When the change was made, by the database's clock.",
                examples=["2026-01-15T10:00:00.123456Z"],
            ),
        ],
    ),
)
"""The fields that ``publish`` adds to each payload."""


def with_envelope(event: type[Event]) -> Any:
    """The struct of an event's complete payload, as stored in the outbox."""
    namespace = {"__doc__": event.__doc__}
    return msgspec.defstruct(event.__name__, ENVELOPE, bases=(event,), namespace=namespace, frozen=True, kw_only=True)
