"""Texts of errors in the console.

A page has texts of its own (``Worded.wordings``) for errors that only it can meet, or words differently. Texts that are
the same on every page are shared.
"""

from collections.abc import Mapping
from typing import ClassVar, Final

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from audit.errors import DomainError, Fault

LazyText = str | Promise

_shared: Final[dict[str, LazyText]] = {
    "busy": _("Somebody else is working on the same stock. Nothing was changed: please try again."),
    "idempotency_in_progress": _("This is already in progress. Check again in a moment."),
    "idempotency_key_reused": _("This form was sent before, with other figures. Open it again to make another change."),
    "version_conflict": _("Somebody else has changed this since you opened it. Nothing was saved: open it again."),
    "permission_denied": _("This affects all warehouses, and you have access to some of them only."),
    "not_found": _("This no longer exists, or you don't have access."),
}
"""Texts for all pages, by error code."""


def share_wordings(sentences: Mapping[str, LazyText]) -> None:
    """Add texts for all pages, by error code.

    Raises ValueError for a code that has a text already: if two pages differ, each defines its own.
    """
    if twice := sentences.keys() & _shared.keys():
        raise ValueError(f"These codes have a sentence already: {', '.join(sorted(twice))}.")
    _shared.update(sentences)


def wording_of(refusal: DomainError | Fault) -> str:
    """The shared text of an error; its detail if there is none."""
    return str(_shared.get(refusal.code, refusal.detail))


class Worded:
    """A page with texts of its own, by error code, in addition to those of its base classes."""

    wordings: ClassVar[Mapping[str, LazyText]] = {}

    @classmethod
    def wording_of(cls, refusal: DomainError | Fault) -> str:
        """The text of an error on this page: that of the nearest class that has one, else the shared one."""
        own = (vars(kind).get("wordings", {}) for kind in cls.__mro__)
        found = (sentences[refusal.code] for sentences in own if refusal.code in sentences)
        return str(next(found, None) or wording_of(refusal))
