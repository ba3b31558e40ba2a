"""The search for incidents from any page."""

import re
from collections.abc import Iterator
from typing import Any, Final

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from audit.console.base import actor_of
from audit.console.search import MOST_RESULTS, Found, Result, Subject, first_of
from audit.display import shown_time
from audit.identifiers import parse_copied_id, short_id
from audit.whole_numbers import grouped
from inventory.admin.stock.document_search import row_actions
from inventory.services.catalogue.codes import products_by_code
from reservations.models import BrokenHold, ShortageIncident
from reservations.models.shortages import ShortageIncidentQuerySet

_SHORT_ID: Final = re.compile(r"(?:…|\.{3}|#)?([0-9a-f]{6,12})", re.IGNORECASE)


def _find_incidents(request: HttpRequest, text: str) -> Found:
    """The open ones first, then the newest."""
    found: dict[Any, ShortageIncident] = {}
    for rows in _meant(ShortageIncident.objects.visible_to(actor_of(request)), text):
        described = rows.select_related("level__product", "level__warehouse").order_by("status", "-id")
        found |= {row.pk: row for row in described[: MOST_RESULTS + 1]}
    newest = sorted(found.values(), key=lambda row: row.pk, reverse=True)
    results = sorted(newest, key=lambda row: row.status != ShortageIncident.Status.OPEN)
    hint = _("There are more. Type more to narrow the search.") if len(results) > MOST_RESULTS else ""
    return first_of((_result(request, row) for row in results[:MOST_RESULTS]), hint)


def _meant(rows: ShortageIncidentQuerySet, text: str) -> Iterator[ShortageIncidentQuerySet]:
    """The incidents that a text may mean, in each of its meanings, which have an index each: the id or its end, the
    order of a cancelled reservation, and a product by its code."""
    if named := parse_copied_id(text):
        yield rows.filter(pk=named)
        return
    orders = BrokenHold.objects.filter(order_id__in=sorted({text, text.upper(), text.lower()}))
    yield rows.filter(pk__in=orders.values("incident"))
    if short := _SHORT_ID.fullmatch(text):
        yield rows.ending_so(short[1])
    if products := products_by_code(text)[:MOST_RESULTS]:
        yield rows.filter(level__product__in=[product.pk for product in products])


def _result(request: HttpRequest, incident: ShortageIncident) -> Result:
    units = _("%(units)s missing") % {"units": grouped(incident.missing_units)}
    parts = (incident.level.place, str(incident.get_status_display()), units, shown_time(incident.created_at))
    actions = row_actions(admin.site._registry[ShortageIncident], request, incident)  # type: ignore[arg-type]
    page = reverse("admin:reservations_shortageincident_change", args=[incident.pk])
    return Result(_("Incident %(id)s") % {"id": short_id(incident.pk)}, " · ".join(parts), page, actions)


INCIDENTS: Final = Subject(gettext_lazy("Incidents"), "reservations.shortageincident", _find_incidents)
