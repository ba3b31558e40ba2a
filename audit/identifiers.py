"""Ids: UUIDs as texts, public ids (a prefix for the kind of object, and a UUIDv7), and the times in UUIDv7s."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
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
HOOK: Final = "hook"

NIL: Final = UUID(int=0)
"""The nil UUID: lower than all ids, and the id of no row."""
SHORT: Final = 8
"""How many characters of an id people see: its last ones, in which ids differ."""
_ID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_IN_TEXT: Final = re.compile(rf"(?:\b[a-z]+-)?{_ID.pattern}", re.IGNORECASE)
_COPIED: Final = re.compile(r"(?:[a-z]+-)?([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})", re.IGNORECASE)


def public_id(prefix: str, identifier: UUID) -> str:
    """The public id of a UUID, such as ``res-0190…`` for a reservation."""
    return f"{prefix}-{identifier}"


def short_id(identifier: UUID | str) -> str:
    """The end of an id, as people see it: ``…3d5e3d21``."""
    return f"…{str(identifier)[-SHORT:]}"


def with_short_ids(text: str) -> str:
    """A text with each id in it cut to its end."""
    return _ID.sub(lambda found: short_id(found[0]), text)


def parts_with_ids(text: str) -> Iterator[tuple[str, str]]:
    """A text as pairs of what stands before an id and the id, with its prefix; the last id is empty."""
    end = 0
    for found in _IN_TEXT.finditer(text):
        yield text[end : found.start()], found[0]
        end = found.end()
    yield text[end:], ""


def parse_public_id(prefix: str, text: str) -> UUID | None:
    """The UUID of a public id; None unless the text has this prefix and is written as this service writes it."""
    identifier = parse_uuid(text[len(prefix) + 1 :])
    return identifier if identifier and text.lower() == public_id(prefix, identifier) else None


def parse_copied_id(text: str) -> UUID | None:
    """The UUID of a copied id, bare or with any prefix (``res-…``); None for anything else."""
    found = _COPIED.fullmatch(text.strip())
    return UUID(found[1]) if found else None


def parse_uuid(text: str) -> UUID | None:
    """Parse a UUID in any form that Python accepts; None for anything else."""
    try:
        return UUID(text)
    except ValueError:
        return None


def first_id_at(moment: datetime) -> UUID:
    """The lowest UUIDv7 of a moment: UUIDv7s begin with the milliseconds since 1970."""
    return UUID(int=max(0, int(moment.timestamp() * 1000)) << 80)


def moment_of(identifier: object) -> datetime | None:
    """The moment at which a UUIDv7 was made; None for anything else."""
    if not isinstance(identifier, UUID) or identifier.version != 7:
        return None
    return datetime.fromtimestamp((identifier.int >> 80) / 1000, UTC)
