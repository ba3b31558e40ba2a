"""The names of places in SQL that an index can have: by them, places are found among millions of stock levels."""

from typing import Any, Final

from django.db.models import CharField, Func

KEY_SQL: Final = (
    "(upper({zone} || CASE WHEN {zone} <> '' AND {aisle} || {shelf} <> '' THEN '-' ELSE '' END"
    " || {aisle} || CASE WHEN {aisle} <> '' AND {shelf} <> '' THEN '-' ELSE '' END || {shelf}) COLLATE \"C\")"
)
"""Zone, aisle and shelf, those that are set, joined by dashes, in capitals, and compared byte by byte, so that an index
also finds what begins with a text. ``concat_ws`` would be shorter, but no index may have it."""


class PlaceKey(Func):
    """The key of a level's place: its name in capitals. Constant SQL, so that its index is used."""

    output_field = CharField()

    def __init__(self) -> None:
        super().__init__("zone", "aisle", "shelf")

    def as_sql(self, compiler: Any, connection: Any, **_context: Any) -> tuple[str, tuple[()]]:  # type: ignore[override]
        """The SQL, without parameters."""
        columns = [compiler.compile(column)[0] for column in self.source_expressions]
        return KEY_SQL.format(**dict(zip(("zone", "aisle", "shelf"), columns, strict=True))), ()
