"""Who asks: a person in the console, an API client, or a program of the service."""

from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Actor:
    """Who asks for a change. Part of each request value, since a batch has requests of many actors.

    ``source`` is the way in: ``api``, ``admin``, ``command``, ``sweeper`` or ``stream``. ``store_codes`` are the only
    stores whose holds and stock they may see and touch; empty means all.
    """

    name: str
    client_id: UUID | None
    request_id: str
    source: str
    store_codes: tuple[str, ...] = ()
