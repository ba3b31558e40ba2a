"""The timeline of a reservation, made from its audit entries: what was done, by which actor, from which source."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.utils.translation import gettext_lazy as _

from audit.actions import action_of
from audit.actors import source_of
from audit.models import AuditEntry
from reservations import actions
from reservations.models import Reservation

_AT_MOST: Final = 200


@dataclass(frozen=True, slots=True)
class TimelineEntry:
    """One change. ``tone`` is ``good``, ``bad`` or plain; ``actor`` is empty if the change had none."""

    at: datetime
    title: Any
    icon: str
    tone: str = ""
    detail: str = ""
    actor: str = ""
    source: Any = ""
    request_id: str = ""


def life_of(reservation: Reservation, codes: Collection[str], *, is_due: bool) -> list[TimelineEntry]:
    """The changes of a reservation, the oldest first; one query. ``codes`` are the reader's warehouses, empty for all.

    Archived audit entries are replaced by the reservation's own times, without an actor. A due hold is shown as ended
    even if no sweep has recorded it yet (docs/explanation/rules.md, rule 3).
    """
    entries = AuditEntry.objects.filter(subject_id=reservation.pk).order_by("-at", "-id")[:_AT_MOST]
    told = [_moment(entry, codes) for entry in reversed(entries)]
    recorded = {entry.action for entry in entries}
    is_expired = reservation.status == Reservation.Status.EXPIRED
    kept = [
        (actions.RESERVATION_CREATED, reservation.created_at),
        (actions.RESERVATION_EXTENDED, reservation.extended_at),
        (actions.RESERVATION_CONSUMED, reservation.consumed_at),
        (actions.RESERVATION_EXPIRED if is_expired else actions.RESERVATION_RELEASED, reservation.released_at),
    ]
    for action, moment in kept:
        if moment is not None and action.name not in recorded:
            told.append(TimelineEntry(moment, action.short_label, action.icon, action.tone))
    if is_due:
        detail = str(_("Its units are available to others. The expiry is recorded within minutes."))
        told.append(TimelineEntry(reservation.expires_at, _("Expired"), "timer_off", "bad", detail))
    return sorted(told, key=lambda moment: moment.at)


def _moment(entry: AuditEntry, codes: Collection[str]) -> TimelineEntry:
    action = action_of(entry.action)
    return TimelineEntry(
        entry.at,
        action.short_label or action.label,
        action.icon,
        action.tone,
        action.sentence(entry.changes, codes),
        entry.actor,
        source_of(entry.source).phrase,
        entry.request_id,
    )
