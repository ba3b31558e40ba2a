"""The search for documents, transfers and counts by their short numbers, from any page."""

from collections.abc import Collection
from typing import Any, Final

from django.contrib import admin
from django.db.models import Model, Q
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import strip_tags
from django.utils.translation import gettext_lazy as _

from audit.console.base import ConsoleAdmin
from audit.console.search import MOST_RESULTS, Found, Result, ResultAction, Subject, first_of
from audit.display import shown_time
from audit.identifiers import parse_copied_id
from inventory.models import StockCount, StockDocument, Transfer
from inventory.models.counts import COUNT_KIND
from inventory.models.documents import MOST_DIGITS, parse_number
from inventory.models.transfers import TRANSFER_KIND

_KINDS: Final[dict[type[Model], Collection[str]]] = {
    StockDocument: StockDocument.Kind.values,
    Transfer: (TRANSFER_KIND,),
    StockCount: (COUNT_KIND,),
}
_NOTES: Final[dict[type[Model], tuple[str, ...]]] = {
    StockDocument: ("what", "state", "warehouses", "reference"),
    Transfer: ("route", "state"),
    StockCount: ("warehouse", "state", "what"),
}
"""The columns of each list that make up the note of a result."""


def _numbered(model: type[Model], text: str) -> Q:
    """A condition: this short number, this number without its kind, or this id. None fits other texts."""
    if named := parse_copied_id(text):
        return Q(pk=named)
    if found := parse_number(text, _KINDS[model]):
        kind, number = found
        return Q(kind=kind, number=number) if model is StockDocument else Q(number=number)
    if text.isascii() and text.isdigit() and len(text) <= MOST_DIGITS:
        of_kinds = Q(kind__in=_KINDS[model]) if model is StockDocument else Q()
        return of_kinds & Q(number=int(text))
    return Q(reference=text) if model is StockDocument else Q(pk__in=())


def _of(label: Any, model: type[Model]) -> Subject:
    def find(request: HttpRequest, text: str) -> Found:
        model_admin: Any = admin.site._registry[model]
        rows = model_admin.get_queryset(request).filter(_numbered(model, text)).order_by("-pk")[:MOST_RESULTS]
        return first_of(_result(model_admin, request, row) for row in rows)

    return Subject(label, model._meta.label_lower, find)


def _result(model_admin: Any, request: HttpRequest, row: Any) -> Result:
    parts = [_column(model_admin, row, name) for name in _NOTES[type(row)]]
    moment = getattr(row, "created_at", None) or getattr(row, "opened_at", None)
    note = " · ".join(part for part in [*parts, shown_time(moment) if moment else ""] if part)
    page = reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=[row.pk])
    return Result(row.short_number, note, page, row_actions(model_admin, request, row))


def _column(model_admin: Any, row: Any, name: str) -> str:
    """The plain text of a column; of a badge, its label."""
    column = getattr(model_admin, name, None)
    if column is None:
        return str(getattr(row, name))
    badge = getattr(column, "__wrapped__", None)
    return str(badge(model_admin, row)[1]) if badge else strip_tags(str(column(row)))


def row_actions(model_admin: ConsoleAdmin, request: HttpRequest, row: Any) -> tuple[ResultAction, ...]:
    """The actions that the page of this row offers to this user now."""
    offered = model_admin.get_actions_detail(request, row.pk)
    return tuple(
        ResultAction(str(each.description), reverse(f"admin:{each.action_name}", args=[row.pk]))
        for each in offered
        if not each.action_name.endswith("_labels")
    )


DOCUMENTS: Final = _of(_("Documents"), StockDocument)
TRANSFERS: Final = _of(_("Transfers"), Transfer)
COUNTS: Final = _of(_("Counts"), StockCount)
