"""The history of a row: what was changed, from what to what, by whom and when, in words."""

from typing import Any, Final, NamedTuple
from uuid import UUID

from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _

from audit.actions import action_of
from audit.actors import source_of
from audit.console.base import ConsoleAdmin, Pages, actor_of, may_read_trail
from audit.console.changes import FieldChange, changes_in_words, names_in
from audit.console.filters import PARAMETER, Days, span_of, within
from audit.models import AuditEntry

_PER_PAGE: Final = 25
_MOST_ACTORS: Final = 50


class HistoryRow(NamedTuple):
    """An audit entry in words. ``about`` is what it changed, empty for the row itself; ``entry_page`` its own page."""

    entry: AuditEntry
    title: str
    icon: str
    about: str
    changes: list[FieldChange]
    source: Any


def answer_history(model_admin: ConsoleAdmin, request: HttpRequest, object_id: str) -> HttpResponse:
    """The page of a row's history, for users who may view the row. Raises PermissionDenied, Http404."""
    row = model_admin.get_object(request, unquote(object_id))
    if not model_admin.has_view_permission(request):
        raise PermissionDenied
    if row is None:
        raise Http404
    subjects = model_admin.history_of(request, row)
    entries = AuditEntry.objects.filter(subject_id__in=subjects)
    actors = list(entries.order_by("actor").values_list("actor", flat=True).distinct()[:_MOST_ACTORS])
    day, actor = request.GET.get(PARAMETER) or "all", request.GET.get("actor", "")
    entries = within(entries, "at", span_of(day), by_id=True)
    found = (entries.filter(actor=actor) if actor else entries).order_by("-at", "-id")
    page = Pages(found, _PER_PAGE).get_page(request.GET.get("p"))
    context = {
        **model_admin.admin_site.each_context(request),
        "title": _("History of %(row)s") % {"row": row},
        "opts": model_admin.opts,
        "original": row,
        "way_back": reverse(f"admin:{model_admin.opts.label_lower.replace('.', '_')}_change", args=[row.pk]),
        "rows": _rows(request, list(page.object_list), subjects),
        "page": page,
        "actors": actors,
        "actor": actor,
        "day": day,
        "days": [*Days.spans()],
        "query": urlencode({"day": day, "actor": actor}),
        "may_open_entries": may_read_trail(request),
    }
    return TemplateResponse(request, "console/history.html", context)


def _rows(request: HttpRequest, entries: list[AuditEntry], subjects: dict[UUID, str]) -> list[HistoryRow]:
    codes = actor_of(request).warehouse_codes or ()
    names = names_in(entries)
    made = []
    for entry in entries:
        action = action_of(entry.action)
        if not request.user.has_perm("auth.view_user"):
            entry.changes.pop("email", None)
        about = subjects.get(entry.subject_id, "")
        words = changes_in_words(entry, codes, names)
        source = source_of(entry.source).phrase
        made.append(HistoryRow(entry, str(action.label), action.icon, about, words, source))
    return made
