"""The search of the console: what a subject answers to a text (``config/search.py`` has the table of subjects)."""

from collections.abc import Callable, Iterable
from typing import Final

import msgspec
from django.http import HttpRequest
from django.utils.functional import Promise

MOST_RESULTS: Final = 5
"""The most results of one subject."""
LONGEST_TEXT: Final = 100
"""The most characters that are searched for; what comes after them is ignored."""


class ResultAction(msgspec.Struct, frozen=True):
    """What the person may do with a result: a page of the console, or a dialog that opens over the page."""

    label: str
    address: str
    is_dialog: bool = False


class Result(msgspec.Struct, frozen=True):
    """Something that was found: its title, a note about it, its page, and what the person may do with it."""

    title: str
    note: str
    address: str
    actions: tuple[ResultAction, ...] = ()


class Found(msgspec.Struct, frozen=True):
    """The results of one subject, at most ``MOST_RESULTS``; ``hint`` says what was not searched, empty if all was."""

    results: tuple[Result, ...] = ()
    hint: str = ""


class Subject(msgspec.Struct, frozen=True):
    """A subject of the search. Users who may view ``model`` ("app.model") get its results.

    ``find`` gets the request and the text, which is not empty, and answers only with what is in the user's reach.
    """

    label: Promise
    model: str
    find: Callable[[HttpRequest, str], Found]


def allowed_actions(
    request: HttpRequest, *offered: tuple[str, Promise | str, str], are_dialogs: bool = False
) -> tuple[ResultAction, ...]:
    """The actions that the user may take, of those offered: permission, label and address of each."""
    may = request.user.has_perm
    return tuple(ResultAction(str(label), page, are_dialogs) for needed, label, page in offered if may(needed))


def first_of(results: Iterable[Result], hint: str = "") -> Found:
    """The first results, with a hint."""
    return Found(tuple(results)[:MOST_RESULTS], hint)
