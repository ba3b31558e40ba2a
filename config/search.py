"""The search on every page of the console: its subjects, the page of results, and the same as JSON for the palette."""

from collections.abc import Iterator
from typing import Final

import msgspec
from django.apps import apps
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from audit.console.scans import json_answer
from audit.console.search import LONGEST_TEXT, Result, Subject
from audit.texts import without_refused
from inventory.admin.access import search as access
from inventory.admin.catalogue import search as catalogue
from inventory.admin.stock import document_search as documents
from inventory.admin.stock import search as stock
from reservations.admin.holds import search as holds
from reservations.admin.shortages import search as shortages

SUBJECTS: Final[tuple[Subject, ...]] = (
    catalogue.PRODUCTS,
    stock.LEVELS,
    stock.PLACES,
    documents.DOCUMENTS,
    documents.TRANSFERS,
    documents.COUNTS,
    holds.ORDERS,
    holds.CARTS,
    holds.CUSTOMERS,
    holds.RESERVATIONS,
    shortages.INCIDENTS,
    catalogue.WAREHOUSES,
    catalogue.STORES,
    access.PEOPLE,
)
"""What is searched for, in the order of the results."""


class Group(msgspec.Struct, frozen=True):
    """The results of one subject."""

    label: str
    results: tuple[Result, ...]
    hint: str


class Answer(msgspec.Struct, frozen=True):
    """The results for a text, and how many there are in words."""

    text: str
    groups: tuple[Group, ...]
    summary: str


def answer_search(request: HttpRequest) -> HttpResponse:
    """The results for the parameter ``q``: as a page, or as JSON for a program that accepts nothing else."""
    text = without_refused(request.GET.get("q", ""))[:LONGEST_TEXT].strip()
    found = search(request, text)
    if request.headers.get("Accept") == "application/json":
        return json_answer(found)
    context = {**admin.site.each_context(request), "title": _("Search"), "found": found}
    return TemplateResponse(request, "console/search/page.html", context)


def search(request: HttpRequest, text: str) -> Answer:
    """The results of all subjects that the user may view."""
    groups = tuple(_groups(request, text)) if text else ()
    count = sum(len(group.results) for group in groups)
    words = ngettext("%(count)s result", "%(count)s results", count) % {"count": count}
    return Answer(text, groups, words if count else _("No results. Try fewer words."))


def _groups(request: HttpRequest, text: str) -> Iterator[Group]:
    for subject in SUBJECTS:
        model_admin = admin.site._registry[apps.get_model(subject.model)]
        if not model_admin.has_view_permission(request):
            continue
        found = subject.find(request, text)
        if found.results or found.hint:
            yield Group(str(subject.label), found.results, found.hint)
