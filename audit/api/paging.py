"""Paging of API lists: cursors, and the rows that follow one (docs/reference/api.md#lists)."""

import base64
import struct
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Generic, TypeVar
from uuid import UUID

from audit.api.contract import PageQuery
from audit.api.expectations import PLUS
from audit.errors import Invalid

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
K = TypeVar("K")
R = TypeVar("R")


class Cursor(Generic[K]):
    """The cursors of lists with one sort key: the key of a page's last item, packed and in base64.

    ``pack`` turns a key into the values that ``struct`` packs with ``layout``; ``unpack`` turns them back into a key.
    """

    def __init__(self, layout: str, pack: Callable[[K], tuple[Any, ...]], unpack: Callable[..., K]) -> None:
        self._layout = struct.Struct(layout)
        self._pack = pack
        self._unpack = unpack

    def after(self, query: PageQuery) -> K | None:
        """The key after which a page starts. Raises Invalid for a cursor that this service did not make."""
        if query.cursor is None:
            return None
        try:
            padded = query.cursor + "=" * (-len(query.cursor) % 4)
            packed = base64.b64decode(padded, altchars=b"-_", validate=True)
            return self._unpack(*self._layout.unpack(packed))
        except (ValueError, OverflowError, struct.error) as error:
            detail = "This is not a cursor of this list. Send the `next` of the previous page unchanged."
            raise Invalid.at("?cursor", detail + PLUS * (" " in query.cursor)) from error

    def page(self, found: Sequence[R], query: PageQuery, key: Callable[[R], K]) -> tuple[Sequence[R], str | None]:
        """One page of rows, and the cursor of the next page or None. ``found`` has up to one row more than a page."""
        rows = found[: query.limit]
        return rows, self.of(key(rows[-1])) if len(found) > query.limit else None

    def of(self, key: K) -> str:
        """The cursor of the page after the item with this key."""
        return base64.urlsafe_b64encode(self._layout.pack(*self._pack(key))).decode().rstrip("=")


def _micros(at: datetime) -> int:
    return (at - _EPOCH) // timedelta(microseconds=1)


BY_ID: Final = Cursor[UUID]("!16s", lambda id_: (id_.bytes,), lambda id_: UUID(bytes=id_))
BY_MOMENT: Final = Cursor[tuple[datetime, UUID]](
    "!q16s",
    lambda key: (_micros(key[0]), key[1].bytes),
    lambda micros, id_: (_EPOCH + timedelta(microseconds=micros), UUID(bytes=id_)),
)
BY_RANK: Final = Cursor[tuple[float, UUID]](
    "!d16s", lambda key: (key[0], key[1].bytes), lambda rank, id_: (rank, UUID(bytes=id_))
)


def page_of(found: Any, query: PageQuery, *, newest_first: bool = False) -> tuple[Sequence[Any], str | None]:
    """One page of rows, ordered by primary key (the order of creation), and the cursor of the next page or None."""
    if behind := BY_ID.after(query):
        found = found.filter(**{"pk__lt" if newest_first else "pk__gt": behind})
    rows = list(found.order_by("-pk" if newest_first else "pk")[: query.limit + 1])
    return BY_ID.page(rows, query, lambda row: row.pk)
