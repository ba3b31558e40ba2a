"""Lists of what happened, millions of rows of it: days to choose from, who did it, files to take away."""

from collections.abc import Iterator
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from audit.console import ReadOnlyAdmin
from audit.exports import ExportedAdmin
from audit.spans import Days


class SetByLinks(admin.SimpleListFilter):
    """A filter that is set by links in rows, and shown only where it is set: what there is to choose is too much."""

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        chosen = request.GET.get(self.parameter_name or "")
        return [(chosen, self.name_of(chosen))] if chosen else []

    def name_of(self, chosen: str) -> str:
        """What the filter shows."""
        return chosen


class ByActor(SetByLinks):
    """What one person or program did."""

    title = _("by")
    parameter_name = "actor"

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(actor=self.value()) if self.value() else queryset


class TrailAdmin(ExportedAdmin, ReadOnlyAdmin):
    """A list of what happened, the newest first."""

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        answer = super().changelist_view(request, extra_context)
        context = getattr(answer, "context_data", None)
        if context and "cl" in context:
            changelist = context["cl"]
            context["days"] = [day for spec in changelist.filter_specs for day in _days(spec, changelist)]
        return answer

    @admin.display(description=_("by"))
    def who(self, row: Any) -> SafeString:
        return filtered(row.actor, actor=row.actor)


def _days(spec: Any, changelist: Any) -> Iterator[Any]:
    if isinstance(spec, Days):
        yield from spec.choices(changelist)


def filtered(text: Any, **query: Any) -> SafeString:
    """A link to the rows of the same list that share this with its row."""
    return format_html('<a class="console-link" href="?{}">{}</a>', urlencode(query), text)


def link(text: Any, address: str) -> SafeString:
    """A link to another page."""
    return format_html('<a class="console-link" href="{}">{}</a>', address, text)
