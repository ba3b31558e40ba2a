"""Who asks: a person in the console, an API client, or a program of the service."""

from uuid import UUID

import msgspec


class Actor(msgspec.Struct, frozen=True, gc=False):
    """Who asks for a change. Part of each request value, since a batch has requests of many actors.

    ``source`` is the way in: ``api``, ``admin``, ``command``, ``sweeper`` or ``stream``. ``store_codes`` are the only
    stores whose holds and stock they may see and touch; empty means all.
    """

    name: str
    client_id: UUID | None
    request_id: str
    source: str
    store_codes: tuple[str, ...] = ()
