"""Search by the beginnings of words, with an index of PostgreSQL's text search.

Searching for a part in the middle of a word with an index needs an extension that not every server has.
"""

from typing import Final

from django.contrib.postgres.search import SearchQuery, SearchVectorField
from django.db.models import Func

_PARTING: Final = "-_./,:;+#&@()"
"""Characters that separate words. PostgreSQL's parser would keep some texts with them whole, as numbers or paths."""


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
