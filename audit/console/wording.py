"""How the console words refusals.

A page has sentences of its own (``Worded.wordings``) for what only it can refuse, or says in its own way. What is
refused in the same words on every page is shared.
"""

from collections.abc import Mapping
from typing import ClassVar, Final

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from audit.errors import DomainError, Fault

LazyText = str | Promise

_shared: Final[dict[str, LazyText]] = {
    "busy": _("Somebody else is working on the same stock. Nothing was changed: please try again."),
    "idempotency_in_progress": _("This is being done already. Look again in a moment."),
    "idempotency_key_reused": _("This form was sent before, with other figures. Open it again to make another change."),
    "permission_denied": _("This concerns all warehouses, and you work in some of them."),
    "not_found": _("This is not there any more, or not yours to change."),
}
"""Sentences of all pages, by the code of the error."""


def share_wordings(sentences: Mapping[str, LazyText]) -> None:
    """Add sentences for all pages, by the code of the error.

    Raises ValueError for a code that has a sentence already: where two pages differ, each has its own.
    """
    if twice := sentences.keys() & _shared.keys():
        raise ValueError(f"These codes have a sentence already: {', '.join(sorted(twice))}.")
    _shared.update(sentences)


def wording_of(refusal: DomainError | Fault) -> str:
    """A refusal as every page words it; its own detail where no sentence is shared."""
    return str(_shared.get(refusal.code, refusal.detail))


class Worded:
    """A page that may have sentences of its own, by the code of the error, besides those of its base classes."""

    wordings: ClassVar[Mapping[str, LazyText]] = {}

    @classmethod
    def wording_of(cls, refusal: DomainError | Fault) -> str:
        """A refusal in this page's words: the nearest class that has a sentence gives it, else it is the shared one."""
        own = (vars(kind).get("wordings", {}) for kind in cls.__mro__)
        found = (sentences[refusal.code] for sentences in own if refusal.code in sentences)
        return str(next(found, None) or wording_of(refusal))
