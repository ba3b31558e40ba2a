"""Search by words, each by its beginning: what an index of PostgreSQL's own text search finds among any number of rows.

A part from the middle of a word has no index without an extension, which not every server has.
"""

from typing import Final

from django.contrib.postgres.search import SearchQuery, SearchVectorField
from django.db.models import Func

_PARTING: Final = "-_./,:;+#&@()"
"""Signs between words. PostgreSQL would take some of them for numbers, addresses and paths, and keep these whole."""


class Words(Func):
    """The words of some columns, in small letters. Its text is constant, so that the index of it is found."""

    arg_joiner = " || ' ' || "
    template = f"to_tsvector('simple'::regconfig, translate(%(expressions)s, '{_PARTING}', '{' ' * len(_PARTING)}'))"
    output_field = SearchVectorField()


def beginning_so(text: str) -> SearchQuery | None:
    """What asks for all words of a text, each by its beginning; None for a text without words."""
    words = text.translate(dict.fromkeys(map(ord, _PARTING), " ")).split()
    quoted = (word.replace("\\", "\\\\").replace("'", "''") for word in words if any(map(str.isalnum, word)))
    asked = " & ".join(f"'{word}':*" for word in quoted)
    return SearchQuery(asked, config="simple", search_type="raw") if asked else None
