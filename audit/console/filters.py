"""A filter by day for lists of millions of rows: it sets bounds for an index, and never scans for the days in use.

A table without an index on its time is bounded by its UUIDv7s, which begin with the time of creation, with a margin
for clocks that differ.
"""

import calendar
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any, ClassVar, Final

from django.contrib import admin
from django.contrib.admin import ListFilter
from django.contrib.admin.views.main import SEARCH_VAR
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from audit.console.base import ReadOnlyAdmin
from audit.console.exported import ExportedAdmin
from audit.identifiers import first_id_at

PARAMETER: Final = "day"
RECENT: Final = "30"
_DAYS: Final = re.compile(r"[0-9]{1,3}")
_DATE: Final = re.compile(r"([0-9]{4})(?:-([0-9]{2})(?:-([0-9]{2}))?)?")
_EPOCH: Final = 1970
"""The first year that a UUIDv7 can express."""
_CLOCKS: Final = timedelta(hours=1)
"""How far the time in an id may be from its row's time: clocks differ, and a row may have waited for a lock."""


@dataclass(frozen=True, slots=True)
class Span:
    """A span of time from ``since`` up to but excluding ``until``. None leaves that side open."""

    since: datetime | None
    until: datetime | None


def within(rows: QuerySet[Any], field: str, span: Span, *, by_id: bool) -> QuerySet[Any]:
    """Filter rows by a span of time. With ``by_id`` the ids are bounded as well, for the index."""
    bounds: dict[str, Any] = {}
    if span.since is not None:
        bounds[f"{field}__gte"] = span.since
        if by_id:
            bounds["pk__gte"] = first_id_at(span.since - _CLOCKS)
    if span.until is not None:
        bounds[f"{field}__lt"] = span.until
        if by_id:
            bounds["pk__lt"] = first_id_at(span.until + _CLOCKS)
    return rows.filter(**bounds)


def around(rows: QuerySet[Any], moment: datetime) -> QuerySet[Any]:
    """Filter rows whose ids were made within an hour of a moment."""
    return rows.filter(pk__gte=first_id_at(moment - _CLOCKS), pk__lt=first_id_at(moment + _CLOCKS))


def recent() -> Span:
    """The last 30 days: the default span of a search without an index."""
    return span_of(RECENT)


def span_of(text: str) -> Span:
    """Parse a choice: a number of days up to now, a year, a month or a day. Anything else is an open span."""
    today = timezone.localdate()
    if _DAYS.fullmatch(text):
        return Span(_midnight(today - timedelta(days=int(text))), None)
    found = _DATE.fullmatch(text)
    if not found:
        return Span(None, None)
    year, month, day = (int(part) if part else None for part in found.groups())
    if not year or year < _EPOCH:
        return Span(None, None)
    try:
        first = date(year, month or 1, day or 1)
        return Span(_midnight(first), _midnight(_next(first, month, day)))
    except (ValueError, OverflowError):
        return Span(None, None)


def _next(first: date, month: int | None, day: int | None) -> date:
    if day:
        return first + timedelta(days=1)
    if month:
        return first + timedelta(days=calendar.monthrange(first.year, first.month)[1])
    return first.replace(year=first.year + 1)


def _midnight(day: date) -> datetime:
    return timezone.make_aware(datetime.combine(day, time()))


class Days(ListFilter):
    """A filter by day, month or year. Without a choice it shows the last 30 days, or all rows of a search.

    A subclass names the time field, and sets ``by_id`` if the ids are to be bounded as well.
    """

    title = _("day")
    template = "console/lists/nothing.html"
    bounds_the_search: ClassVar[bool] = True
    """Whether the newest rows that a list is searched in are those of this filter (``lists.ConsoleList``)."""
    field: ClassVar[str]
    by_id: ClassVar[bool] = False

    def __init__(self, request: HttpRequest, params: dict[str, Any], model: Any, model_admin: Any) -> None:
        super().__init__(request, params, model, model_admin)
        given = params.pop(PARAMETER, None)
        chosen = given[-1] if isinstance(given, list) else given
        self.chosen: str = chosen or ("all" if request.GET.get(SEARCH_VAR) else RECENT)
        self.rows = model_admin.get_queryset(request)

    def has_output(self) -> bool:
        return True

    def expected_parameters(self) -> list[str | None]:
        return [PARAMETER]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return within(queryset, self.field, span_of(self.chosen), by_id=self.by_id)

    def choices(self, changelist: Any) -> Iterator[Any]:
        for text, name in (*self.spans(), *self._dates()):
            query = changelist.get_query_string({PARAMETER: text}, ["p"])
            is_open = _DATE.fullmatch(text) is not None and self.chosen.startswith(text)
            yield {"selected": text == self.chosen or is_open, "query_string": query, "display": name}

    @staticmethod
    def spans() -> Iterator[tuple[str, Any]]:
        """The choices up to today, as the parameter and its name."""
        today = timezone.localdate()
        yield f"{today:%Y-%m-%d}", _("Today")
        yield f"{today - timedelta(days=1):%Y-%m-%d}", _("Yesterday")
        yield "7", _("7 days")
        yield RECENT, _("30 days")
        yield "all", _("All")

    def _dates(self) -> Iterator[tuple[str, Any]]:
        """The choices by calendar: years, months of the chosen year, days of the chosen month, up to today."""
        today = timezone.localdate()
        for year in range(self._first_year(today), today.year + 1):
            yield str(year), str(year)
        if not (found := _DATE.fullmatch(self.chosen)) or span_of(self.chosen).since is None:
            return
        year, month = int(found[1]), int(found[2] or 0)
        for number in range(1, 13):
            first = date(year, number, 1)
            if (number == month or not month) and first <= today:
                yield f"{first:%Y-%m}", date_format(first, "F")
        if month:
            for number in range(1, calendar.monthrange(year, month)[1] + 1):
                if date(year, month, number) <= today:
                    yield f"{year}-{month:02}-{number:02}", str(number)

    def _first_year(self, today: date) -> int:
        oldest = self.rows.order_by("pk" if self.by_id else self.field).values_list(self.field, flat=True).first()
        return timezone.localtime(oldest).year if oldest else today.year


class SetByLinks(admin.SimpleListFilter):
    """A filter that links in rows set, shown only while it is set: there are too many values to offer as choices."""

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        chosen = request.GET.get(self.parameter_name or "")
        return [(chosen, self.name_of(chosen))] if chosen else []

    def name_of(self, chosen: str) -> str:
        """The text that the filter shows for a value."""
        return chosen


class ByActor(SetByLinks):
    """Filter by actor."""

    title = _("by")
    parameter_name = "actor"

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(actor=self.value()) if self.value() else queryset


class TrailAdmin(ExportedAdmin, ReadOnlyAdmin):
    """A read-only list of past events, with a filter by day and an export."""

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
    """A link that filters the same list by this query."""
    return format_html('<a class="console-link" href="?{}">{}</a>', urlencode(query), text)


def link(text: Any, address: str) -> SafeString:
    """A link to another page."""
    return format_html('<a class="console-link" href="{}">{}</a>', address, text)
