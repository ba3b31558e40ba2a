"""Pages of lists: what a cursor says, and what stands behind it (docs/reference/api.md#lists)."""

import base64
import binascii
import struct
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from audit.api.contract import PageQuery
from audit.errors import Fault, Invalid

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MOMENT: Final = struct.Struct("!q16s")
_SHARE: Final = struct.Struct("!d16s")


def page_of(found: Any, query: PageQuery, *, newest_first: bool = False) -> tuple[list[Any], str | None]:
    """One page of a queryset's rows by primary key, which is the order of their making, and the cursor of the next."""
    if behind := after(query):
        found = found.filter(**{"pk__lt" if newest_first else "pk__gt": behind})
    rows = list(found.order_by("-pk" if newest_first else "pk")[: query.limit + 1])
    return rows[: query.limit], cursor_of(rows[query.limit - 1].pk) if len(rows) > query.limit else None


def after(query: PageQuery) -> UUID | None:
    """The id that a page starts behind. Raises Invalid for a cursor that isn't one of this service."""
    if query.cursor is None:
        return None
    try:
        return UUID(bytes=base64.urlsafe_b64decode(query.cursor + "=="))
    except (ValueError, binascii.Error) as error:
        raise Invalid("This cursor is not one.", [Fault("?cursor", "invalid", "not a cursor")]) from error


def cursor_of(identifier: UUID) -> str:
    """The cursor of the page after the item with this id."""
    return base64.urlsafe_b64encode(identifier.bytes).decode().rstrip("=")


def cursor_of_moment(at: datetime, identifier: UUID) -> str:
    """The cursor of the page after the item of this moment with this id."""
    micros = (at - _EPOCH) // timedelta(microseconds=1)
    return base64.urlsafe_b64encode(_MOMENT.pack(micros, identifier.bytes)).decode().rstrip("=")


def after_moment(query: PageQuery) -> tuple[datetime, UUID] | None:
    """The (moment, id) that a page starts behind. Raises Invalid for a cursor that isn't one of this service."""
    if query.cursor is None:
        return None
    try:
        micros, identifier = _MOMENT.unpack(base64.urlsafe_b64decode(query.cursor + "=="))
        return _EPOCH + timedelta(microseconds=micros), UUID(bytes=identifier)
    except (ValueError, OverflowError, struct.error) as error:
        raise Invalid("This cursor is not one.", [Fault("?cursor", "invalid", "not a cursor")]) from error


def cursor_of_share(share: float, identifier: UUID) -> str:
    """The cursor of the page after the item with this share and id."""
    return base64.urlsafe_b64encode(_SHARE.pack(share, identifier.bytes)).decode().rstrip("=")


def after_share(query: PageQuery) -> tuple[float, UUID] | None:
    """The (share, id) that a page starts behind. Raises Invalid for a cursor that isn't one of this service."""
    if query.cursor is None:
        return None
    try:
        share, identifier = _SHARE.unpack(base64.urlsafe_b64decode(query.cursor + "=="))
        return share, UUID(bytes=identifier)
    except (ValueError, struct.error) as error:
        raise Invalid("This cursor is not one.", [Fault("?cursor", "invalid", "not a cursor")]) from error
