"""Dialogs that replace values which are there already, and carry what was seen of them
(docs/explanation/rules.md, rule 36)."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeVar, cast

from django import forms
from django.core import signing
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext, ngettext

from audit.console.base import ConsoleAdmin
from audit.console.dialogs import Dialog, DialogForm
from audit.console.seen import SEEN, changed_by
from audit.console.wording import LazyText
from audit.errors import DomainError, VersionConflict
from audit.identifiers import parse_uuid
from audit.whole_numbers import grouped

R = TypeVar("R")
_NOT_CARRIED: Final = object()
_MOST_SHOWN: Final = 20
"""The most rows whose differences are shown one by one, with who made them: each costs a query, under the locks."""


class EditForm(DialogForm):
    """The form of a dialog that replaces values. ``seen`` are the values that it was opened with, signed."""

    seen = forms.CharField(widget=forms.HiddenInput, required=False)


class EditDialog(Dialog[R]):
    """A dialog that replaces values.

    Its ``perform`` passes ``unchanged`` to the service as the precondition. If a value differs by then, the form says
    what was seen and what it is now, and can be sent again.
    """

    form_class = EditForm

    def __init__(self, model_admin: ConsoleAdmin, request: HttpRequest, object_id: str | None = None) -> None:
        super().__init__(model_admin, request, object_id)
        self._found: dict[str, Mapping[str, str]] = {}
        """The values of rows that differ from what was seen, by id."""

    @abstractmethod
    def values(self, row: Any) -> Mapping[LazyText, str]:
        """The values of a row that this dialog replaces, as people read them, by label; also of a locked row."""

    def rows(self) -> Sequence[Any]:
        """The rows that this dialog changes."""
        return [self.subject]

    def unchanged(self, row: Any) -> None:
        """The precondition: the row is as the form carries it. Raises VersionConflict."""
        now = self._texts(row)
        carried = self._carried().get(_key(row), {})
        different = [label for label, text in now.items() if carried.get(label, _NOT_CARRIED) != text]
        if different:
            self._found[_key(row)] = now
            by = changed_by(parse_uuid(_key(row)))("") if len(self._found) <= _MOST_SHOWN else ""
            raise VersionConflict(" ".join(_text(label, carried.get(label), now[label], by) for label in different))

    def refuse(self, form: DialogForm, error: DomainError) -> None:
        if not isinstance(error, VersionConflict):
            super().refuse(form, error)
            return
        details = [fault.detail for fault in error.faults] or [error.detail]
        for detail in details[:_MOST_SHOWN]:
            form.add_error(None, detail)
        if (more := len(details) - _MOST_SHOWN) > 0:
            words = ngettext("%(count)s more row differs.", "%(count)s more rows differ.", more)
            form.add_error(None, words % {"count": grouped(more)})
        form.add_error(None, gettext("Nothing was changed. Check it, then send it again."))
        sent = cast(Any, form.data).copy()
        sent[SEEN] = self._signed({**self._carried(), **self._found})
        form.data = sent

    def _page(self, form: DialogForm, status: int = 200) -> HttpResponse:
        if not form.is_bound:
            form.initial[SEEN] = self._signed({_key(row): self._texts(row) for row in self.rows()})
        return super()._page(form, status)

    def _texts(self, row: Any) -> dict[str, str]:
        return {str(label): str(text) for label, text in self.values(row).items()}

    def _signed(self, values: Mapping[str, Mapping[str, str]]) -> str:
        return signing.dumps(values, salt=self._salt, compress=True)

    def _carried(self) -> Mapping[str, Mapping[str, str]]:
        """The values that the sent form carries, by id of the row; none if they are missing, or not signed for it."""
        try:
            found = signing.loads(self.request.POST.get(SEEN, ""), salt=self._salt)
        except signing.BadSignature:
            return {}
        return cast(Mapping[str, Mapping[str, str]], found)

    @property
    def _salt(self) -> str:
        return f"{SEEN} {self.address}"


def _key(row: Any) -> str:
    """The id of a row or of its document; empty if it has none."""
    return str(getattr(row, "pk", None) or getattr(row, "id", ""))


def _text(label: str, carried: str | None, now: str, by: str) -> str:
    facts = {"label": label, "seen": carried, "now": now, "by": by}
    if carried is None:
        return gettext("%(label)s: it is now “%(now)s”%(by)s.") % facts
    return gettext("%(label)s: you saw “%(seen)s”, it is now “%(now)s”%(by)s.") % facts
