"""The clients whose requests are decided alone for a while (``inventory.combining``)."""

import time
from typing import Final
from uuid import UUID

import structlog
from django.db import InterfaceError, OperationalError

from audit.errors import DomainError, Unstorable

logger = structlog.get_logger(__name__)
_ALONE_SECONDS: Final = 60.0


class Breakers:
    """The clients that made a batch fail within the last minute. Safe to use from any thread."""

    def __init__(self) -> None:
        self._until: dict[UUID | None, float] = {}

    def has(self, client_id: UUID | None) -> bool:
        """Whether a client is decided alone for now."""
        return bool(self._until) and self._until.get(client_id, 0.0) > time.monotonic()

    def note(self, client_id: UUID | None, error: Exception) -> None:
        """Note the client whose request raised an error, unless it is a refusal or the database is away."""
        is_refusal = isinstance(error, DomainError) and not isinstance(error, Unstorable)
        if is_refusal or isinstance(error, OperationalError | InterfaceError):
            return
        if not self.has(client_id):
            logger.warning("client_breaks_batches", client_id=str(client_id), error=repr(error))
        now = time.monotonic()
        self._until = {id_: until for id_, until in self._until.items() if until > now} | {
            client_id: now + _ALONE_SECONDS
        }
