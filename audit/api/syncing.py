"""What lists take from programs that keep a copy of their rows: rows by their ids, and those updated since a moment.

Rows updated since a moment are listed in the order of their last updates: a row that is updated while pages are read
moves to a later page, and is not missed.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final
from uuid import UUID

from django.db.models import Q
from msgspec import Meta

from audit.api.contract import PageQuery
from audit.api.expectations import EXAMPLE
from audit.api.instants import Instant
from audit.api.paging import BY_MOMENT
from audit.api.scalars import Scalar
from audit.identifiers import parse_uuid
from audit.whole_numbers import visible

MOST_IDS: Final = 200
_HEX: Final = "[0-9a-fA-F]"
_UUID: Final = f"{_HEX}{{8}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{12}}"

UpdatedSince = Annotated[
    Instant | None,
    Meta(description="Only what was updated at this time or later, in the order of `updatedAt`, the oldest first."),
]


class IdList(Scalar):
    """A type of query parameters: up to ``MOST_IDS`` ids, separated by commas. Its values are tuples of different ids.

    ``prefix`` is that of public ids; empty for bare UUIDs. ``tuple`` must be registered as a virtual subclass.
    """

    prefix: ClassVar[str] = ""

    @classmethod
    def decode(cls, value: Any) -> tuple[UUID, ...]:
        texts = [text.strip() for text in str(value).split(",")]
        if len(texts) > MOST_IDS:
            raise ValueError(f"takes at most {MOST_IDS} ids, but has {len(texts)}")
        return tuple(dict.fromkeys(map(cls._id, texts)))

    @classmethod
    def expected(cls) -> str:
        return f"ids separated by commas, each such as `{cls._start()}{EXAMPLE}`"

    @classmethod
    def _id(cls, text: str) -> UUID:
        start = cls._start()
        identifier = parse_uuid(text[len(start) :])
        if identifier is None or text.lower() != f"{start}{identifier}":
            raise ValueError(f"must be {cls.expected()}, but has “{visible(text)}”")
        return identifier

    @classmethod
    def _start(cls) -> str:
        return f"{cls.prefix}-" if cls.prefix else ""

    @classmethod
    def schema(cls) -> dict[str, Any]:
        one = cls._start() + _UUID
        return {
            "type": "string",
            "pattern": f"^{one}(,{one})*$",
            "maxLength": MOST_IDS * len(f"{cls._start()}{EXAMPLE},") - 1,
            "description": f"At most {MOST_IDS} ids, separated by commas. Unknown ones are left out.",
            "examples": [cls._start() + EXAMPLE],
        }


if TYPE_CHECKING:
    UuidList = tuple[UUID, ...]
else:

    class UuidList(IdList):
        """A list of UUIDs."""

    UuidList.register(tuple)


def page_of_updated(found: Any, query: PageQuery, since: datetime) -> tuple[Sequence[Any], str | None]:
    """One page of rows updated since a moment, by ``updated_at`` and key, and the cursor of the next or None."""
    found = found.filter(updated_at__gte=since)
    if behind := BY_MOMENT.after(query):
        moment, id_ = behind
        found = found.filter(Q(updated_at__gt=moment) | Q(updated_at=moment, pk__gt=id_), updated_at__gte=moment)
    rows = list(found.order_by("updated_at", "pk")[: query.limit + 1])
    return BY_MOMENT.page(rows, query, lambda row: (row.updated_at, row.pk))
