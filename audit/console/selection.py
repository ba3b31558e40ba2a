"""Rows that were selected in a list: ticked, or all that fit, within a bound."""

from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from audit.console.base import Pages
from audit.identifiers import parse_uuid
from audit.whole_numbers import grouped


def selected_ids(request: HttpRequest, rows: QuerySet[Any], most: int) -> list[UUID] | None:
    """The ids of the selected rows, in their order; None, with a message, if they are more than ``most``."""
    ids: list[UUID] = list(rows.values_list("pk", flat=True)[: most + 1])
    if len(ids) <= most:
        return ids
    words = _("Nothing was done: %(selected)s rows are selected, and at most %(most)s can be. Filter the list first.")
    messages.warning(request, words % {"selected": Pages(rows, most).shown_count, "most": grouped(most)})
    return None


class SelectedField(forms.CharField):
    """The ids of selected rows, separated by commas. Its value is a list of ``most`` distinct UUIDs at most."""

    widget = forms.HiddenInput

    def __init__(self, *, most: int, **options: Any) -> None:
        self.most = most
        super().__init__(**options)

    def clean(self, value: Any) -> Any:
        text = super().clean(value)
        parsed = [parse_uuid(part) for part in text.split(",") if part]
        ids = [] if None in parsed else list(dict.fromkeys(parsed))
        if self.required and not ids:
            raise forms.ValidationError(_("Select rows in the list first."))
        if len(ids) > self.most:
            raise forms.ValidationError(_("Select at most %(most)s rows.") % {"most": grouped(self.most)})
        return ids
