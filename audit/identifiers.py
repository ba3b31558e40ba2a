"""Public ids: a prefix that says what it names, and a UUIDv7."""

from typing import Final
from uuid import UUID

RESERVATION: Final = "res"
ADJUSTMENT: Final = "adj"
EVENT: Final = "ev"
TRANSFER: Final = "tr"
COUNT: Final = "cnt"
INCIDENT: Final = "inc"
MOVEMENT: Final = "mv"
ALERT: Final = "alr"


def public_id(prefix: str, identifier: UUID) -> str:
    """``res-0190…`` for a reservation's UUID."""
    return f"{prefix}-{identifier}"


def parse_public_id(prefix: str, text: str) -> UUID | None:
    """The UUID of a public id; None for anything that isn't one of this prefix, written as this service writes it."""
    try:
        identifier = UUID(text[len(prefix) + 1 :])
    except ValueError:
        return None
    return identifier if text.lower() == public_id(prefix, identifier) else None
