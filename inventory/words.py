"""Search by the beginnings of words, with an index of PostgreSQL's text search.

Searching for a part in the middle of a word with an index needs an extension that not every server has.
"""

from typing import Any, Final
from uuid import UUID

from django.contrib.postgres.search import SearchQuery, SearchVectorField
from django.db import connection
from django.db.models import Func, QuerySet

_PARTING: Final = "-_./,:;+#&@()"
"""Characters that separate words. PostgreSQL's parser would keep some texts with them whole, as numbers or paths."""


_SOME: Final = "WITH found AS MATERIALIZED ({found}) SELECT * FROM found LIMIT {most}"
"""Materialized, so that the planner uses the index of words: with the limit alone it scans the table, expecting
early matches, and computes the words of each row."""


class Words(Func):
    """The words of some columns, in lower case. The expression's SQL is constant, so that its index is used."""

    arg_joiner = " || ' ' || "
    template = f"to_tsvector('simple'::regconfig, translate(%(expressions)s, '{_PARTING}', '{' ' * len(_PARTING)}'))"
    output_field = SearchVectorField()


def beginning_so(text: str) -> SearchQuery | None:
    """The query for rows that have words beginning with each word of a text; None for a text without words."""
    words = text.translate(dict.fromkeys(map(ord, _PARTING), " ")).split()
    quoted = (word.replace("\\", "\\\\").replace("'", "''") for word in words if any(map(str.isalnum, word)))
    asked = " & ".join(f"'{word}':*" for word in quoted)
    return SearchQuery(asked, config="simple", search_type="raw") if asked else None


def some_ids(rows: QuerySet[Any], *, at_most: int) -> list[UUID]:
    """The ids of some of these rows, which are filtered by words. One query, which goes by the index of words."""
    found, parameters = rows.order_by().values_list("pk").query.sql_with_params()
    with connection.cursor() as cursor:
        cursor.execute(_SOME.format(found=found, most=at_most), parameters)
        return [row[0] for row in cursor.fetchall()]
