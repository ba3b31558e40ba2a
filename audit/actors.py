"""Who asks: a person in the console, an API client, or a program of the service."""

from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks for a change. Travels in each request value: a batch carries many askers.

    ``source`` is the way in: ``api``, ``admin``, ``command``, ``sweeper`` or ``stream``. ``store_codes`` are the only
    stores whose holds and stock the asker may see and touch; empty means all.
    """

    actor: str
    client_id: UUID | None
    request_id: str
    source: str
    store_codes: tuple[str, ...] = ()
