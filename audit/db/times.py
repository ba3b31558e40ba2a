"""Read times, also those that Python can't express: the database can hold years before 1 and after 9999, and infinity.

Nothing writes such times any more (``audit.instants``), but one old row would fail every statement that reads it, and
so every list that it is on. They are read as the first or the last time of Python.

All others are read by Python itself, which takes a quarter of the time that psycopg's expression takes.
"""

from datetime import UTC, datetime
from typing import Any, Final

import psycopg
from django.db.backends.postgresql.psycopg_any import BaseTzLoader  # type: ignore[import-untyped]

_EARLIER: Final = ("BC", "-infinity")
_UTC: Final = "+00"
_FIRST: Final = datetime.min.replace(tzinfo=UTC)
_LAST: Final = datetime.max.replace(tzinfo=UTC)


def readable(column: str) -> str:
    """A time in SQL that becomes JSON there, and is read from it: as above, the first or the last time of Python."""
    first, last = (f"timestamptz '{moment.isoformat()}'" for moment in (_FIRST, _LAST))
    return f"CASE WHEN {column} < {first} THEN {first} WHEN {column} > {last} THEN {last} ELSE {column} END"


def read_text(text: str) -> datetime:
    """Parse a ``timestamptz`` that PostgreSQL cast to text; connections of this service write it in UTC."""
    return datetime.fromisoformat(text)


def register() -> None:
    """Replace Django's reading of times. Call it before the first statement."""
    read = BaseTzLoader.load

    def load(loader: Any, data: Any) -> Any:
        text = str(data, "ascii")
        if text[4] == "-" and text.endswith(_UTC):
            return datetime.fromisoformat(text[: -len(_UTC)]).replace(tzinfo=loader.timezone)
        try:
            return read(loader, data)
        except psycopg.DataError:
            nearest = _FIRST if text.endswith(_EARLIER) else _LAST
            return nearest.replace(tzinfo=loader.timezone)

    BaseTzLoader.load = load
