"""The search for reservations by the beginning of a cart, order or customer, and by a short id. Read only.

The ids are the shops' own, in any spelling. Their indexes order them by bytes, for the hot path; none of them ignores
case. A search without regard to case extends the prefix one character at a time instead, and looks up whether any id
begins with its lower or its upper case. Spellings that no id has end after one look-up, so that a search takes a few
dozen look-ups, and writing holds needs no further index.
"""

from dataclasses import dataclass
from typing import Any, Final, Literal
from uuid import UUID

from django.db import connection

from audit.texts import LAST_CHARACTER

IdField = Literal["cart_id", "order_id", "customer_id"]
ID_FIELDS: Final[tuple[IdField, ...]] = ("order_id", "cart_id", "customer_id")
LONGEST_ID: Final = 64
NEWEST: Final = 20_000
"""A short id is searched among so many of the newest reservations, and of the active ones that end last."""

_SPELLED: Final = """
WITH RECURSIVE spelled (start, place) AS (
    SELECT ''::text, 0
    UNION ALL
    SELECT spelled.start || letter, place + 1
    FROM spelled
    CROSS JOIN LATERAL string_to_table((%(letters)s::text[])[place + 1], NULL) AS letter
    CROSS JOIN LATERAL (
        SELECT FROM reservations_reservation
        WHERE {field}::text ~>=~ (spelled.start || letter) AND {field}::text ~<~ (spelled.start || letter || %(last)s)
        ORDER BY {field}::text USING ~<~ LIMIT 1
    ) AS used
    WHERE place < cardinality(%(letters)s::text[])
), found (id_, last) AS (
    SELECT first.id_, start || %(last)s FROM spelled CROSS JOIN LATERAL (
        SELECT {field}::text AS id_ FROM reservations_reservation
        WHERE {field}::text ~>=~ start AND {field}::text ~<~ (start || %(last)s)
        ORDER BY {field}::text USING ~<~ LIMIT 1
    ) AS first
    WHERE place = cardinality(%(letters)s::text[])
    UNION ALL
    SELECT next.id_, last FROM found CROSS JOIN LATERAL (
        SELECT {field}::text AS id_ FROM reservations_reservation
        WHERE {field}::text ~>~ found.id_ AND {field}::text ~<~ last
        ORDER BY {field}::text USING ~<~ LIMIT 1
    ) AS next
)
SELECT id_ FROM found LIMIT %(most)s
"""

_ENDING_SO: Final = """
SELECT DISTINCT id FROM (
    (SELECT id FROM reservations_reservation ORDER BY id DESC LIMIT %(newest)s)
    UNION ALL
    (SELECT id FROM reservations_reservation WHERE status = 'ACTIVE' ORDER BY expires_at DESC, id DESC LIMIT %(newest)s)
) AS searched
WHERE right(id::text, %(length)s) = %(end)s LIMIT %(most)s
"""


@dataclass(frozen=True, slots=True)
class FoundIds:
    """The ids of carts, orders or customers that begin with a text; ``has_more`` if there are others."""

    ids: tuple[str, ...]
    has_more: bool


def ids_beginning_so(field: IdField, text: str, *, at_most: int) -> FoundIds:
    """The values of a field that begin with a text, in any case. One query, whose cost doesn't grow with the table."""
    if not 0 < len(text) <= LONGEST_ID:
        return FoundIds((), has_more=False)
    letters = [_cases(letter) for letter in text]
    asked: dict[str, Any] = {"letters": letters, "last": LAST_CHARACTER, "most": at_most + 1}
    with connection.cursor() as cursor:
        cursor.execute(_SPELLED.format(field=field), asked)
        found = [row[0] for row in cursor.fetchall()]
    return FoundIds(tuple(found[:at_most]), len(found) > at_most)


def ids_ending_so(end: str, *, at_most: int) -> list[UUID]:
    """The reservations whose ids end with these hexadecimal digits, among the ``NEWEST`` ones and as many active ones.
    One query: an index for it would cost each hold something.
    """
    asked: dict[str, Any] = {"newest": NEWEST, "length": len(end), "end": end.lower(), "most": at_most}
    with connection.cursor() as cursor:
        cursor.execute(_ENDING_SO, asked)
        return [row[0] for row in cursor.fetchall()]


def _cases(letter: str) -> str:
    """A character in each case that is one character."""
    return "".join(dict.fromkeys(case for case in (letter, letter.lower(), letter.upper()) if len(case) == 1))
