"""Checks of the parameters that filter a list, before they reach a query: numbers, times, and lookups that would fail.

Django's lists filter by any field of the model, ``?on_hand__gte=10``. Bad values are ``int()``ed, or fail in the
middle of a query.
"""

import re
from collections.abc import Iterator
from typing import Any, Final

from django.contrib import messages
from django.contrib.admin.options import BaseModelAdmin, IncorrectLookupParameters
from django.core.exceptions import FieldDoesNotExist, ValidationError
from django.db import models
from django.http import HttpRequest, QueryDict
from django.utils import timezone
from django.utils.translation import gettext

from audit.instants import EARLIEST, LATEST, parse_instant
from audit.whole_numbers import parse_whole_number, visible

_COMPARED: Final = frozenset({"exact", "gt", "gte", "lt", "lte", "in"})
_MOST: Final = 10**12
_PARTS: Final = {
    "year": (EARLIEST.year, LATEST.year),
    "iso_year": (EARLIEST.year, LATEST.year),
    "quarter": (1, 4),
    "month": (1, 12),
    "week": (1, 53),
    "day": (1, 31),
    "week_day": (1, 7),
    "iso_week_day": (1, 7),
    "hour": (0, 23),
    "minute": (0, 59),
    "second": (0, 59),
}
_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


class CheckedFilters(BaseModelAdmin):  # type: ignore[type-arg]
    """A list that shows a message for each invalid filter in its address."""

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """Raises IncorrectLookupParameters, after a message; Django then shows the list without filters."""
        faults: list[str] = list(faults_of(self.model, request.GET))
        try:
            if not faults:
                return super().get_changelist_instance(request)  # type: ignore[misc]
        except (IncorrectLookupParameters, ValidationError):
            faults = [gettext("A filter in the address is invalid.")]
        for fault in faults:
            messages.error(request, fault)
        raise IncorrectLookupParameters


def faults_of(model: type[models.Model], parameters: QueryDict) -> Iterator[str]:
    """A sentence for each parameter that filters by a number or a time and has no such value."""
    for name, values in parameters.lists():
        field, lookups = _resolved(model, name)
        if field is None:
            continue
        for value in values:
            try:
                _check(field, lookups, str(value))
            except ValueError as error:
                yield gettext("The filter %(name)s is invalid: %(why)s") % {"name": visible(name), "why": error}


def _resolved(model: Any, name: str) -> tuple[Any | None, list[str]]:
    """The field at the end of a filter's path and the lookups behind it; None if the path leads nowhere."""
    parts = name.split("__")
    while parts and model:
        try:
            field = model._meta.get_field(parts[0])
        except FieldDoesNotExist:
            return None, []
        parts = parts[1:]
        model = field.related_model
        if not model:
            return field, parts
    return None, []


def _check(field: Any, lookups: list[str], value: str) -> None:
    """Raises ValueError, with a sentence."""
    last = lookups[-1] if lookups else "exact"
    if last == "range":
        raise ValueError(gettext("use __gte and __lte in place of __range."))
    if last not in _COMPARED:
        lookups, last = [*lookups, "exact"], "exact"
    values = value.split(",") if last == "in" else [value]
    before = lookups[-2] if len(lookups) > 1 else ""
    for each in values:
        if isinstance(field, models.IntegerField) and not before:
            parse_whole_number(each, least=-_MOST, most=_MOST)
        elif isinstance(field, models.DateField):
            _check_time(before, each)


def _check_time(part: str, value: str) -> None:
    if part in _PARTS:
        least, most = _PARTS[part]
        parse_whole_number(value, least=least, most=most)
    elif part == "date" and not _DAY.fullmatch(value):
        raise ValueError(gettext("“%(typed)s” is not a day such as 2030-12-31.") % {"typed": visible(value)})
    elif part in {"", "date"}:
        parse_instant(value, timezone.get_current_timezone())
