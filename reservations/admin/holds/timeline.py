"""The life of a hold, told from its audit entries: what was done, by whom, from where."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from audit.actions import words_of
from audit.console.base import NOTHING, shown_time
from audit.models import AuditEntry
from reservations.models import Reservation

_AT_MOST: Final = 200

SOURCES: Final[dict[str, Promise]] = {
    "api": _("through the API"),
    "admin": _("in the console"),
    "command": _("with a command"),
    "sweeper": _("of the service"),
    "stream": _("through an event"),
}
"""How the ways in are told."""


@dataclass(frozen=True, slots=True)
class TimelineEntry:
    """One thing that happened. ``tone`` is ``good``, ``bad`` or plain; ``actor`` is empty where nobody did it."""

    at: datetime
    title: Any
    icon: str
    tone: str = ""
    detail: str = ""
    actor: str = ""
    source: Any = ""
    request_id: str = ""


_Detail = Callable[[dict[str, Any], Collection[str]], str]


def _units(items: Any, codes: Collection[str]) -> int:
    """Of the items in the reader's warehouses; an empty ``codes`` is all."""
    return sum(item["quantity"] for item in items or () if not codes or item["warehouseId"] in codes)


def _counted(units: int) -> str:
    return ngettext("%(units)d unit", "%(units)d units", units) % {"units": units}


def _time(text: str) -> str:
    return shown_time(datetime.fromisoformat(text))


def _made(changes: dict[str, Any], codes: Collection[str]) -> str:
    told = _counted(_units(changes.get("items"), codes))
    until = changes.get("expiresAt")
    return str(_("%(units)s, until %(time)s")) % {"units": told, "time": _time(until)} if until else told


def _extended(changes: dict[str, Any], codes: Collection[str]) -> str:
    before, after = changes["expiresAt"]
    return str(_("until %(after)s, instead of %(before)s")) % {"after": _time(after), "before": _time(before)}


def _changed(changes: dict[str, Any], codes: Collection[str]) -> str:
    before, after = (_units(items, codes) for items in changes["items"])
    return f"{_counted(before)} → {_counted(after)}"


def _sold(changes: dict[str, Any], codes: Collection[str]) -> str:
    facts = {"units": _counted(_units(changes.get("items"), codes)), "order": changes.get("orderId") or NOTHING}
    return str(_("%(units)s for order %(order)s")) % facts


def _reason(changes: dict[str, Any], codes: Collection[str]) -> str:
    return str(changes.get("reason") or "")


def _ended(changes: dict[str, Any], codes: Collection[str]) -> str:
    return str(_("recorded; it had ended %(time)s")) % {"time": _time(changes["expiresAt"])}


_TOLD: Final[dict[str, tuple[Any, str, str, _Detail]]] = {
    "inventory_reservation_created": (_("Made"), "add_shopping_cart", "", _made),
    "inventory_reservation_extended": (_("Extended"), "more_time", "", _extended),
    "inventory_reservation_changed": (_("Changed"), "edit", "", _changed),
    "inventory_reservation_consumed": (_("Sold"), "check", "good", _sold),
    "inventory_reservation_released": (_("Released"), "undo", "", _reason),
    "inventory_reservation_expired": (_("Expired"), "timer_off", "bad", _ended),
    "inventory_reservation_reconciled": (_("Put right by a reconciliation"), "build", "", _reason),
}


def life_of(reservation: Reservation, codes: Collection[str], *, is_due: bool) -> list[TimelineEntry]:
    """What happened to a reservation, the oldest first; one query. ``codes`` are the reader's warehouses; none is all.

    Entries that are in the archive are told by the reservation's own times, without who it was. A due hold that no
    sweep has recorded yet ended all the same (docs/explanation/rules.md, rule 3).
    """
    entries = AuditEntry.objects.filter(subject_id=reservation.pk).order_by("-at", "-id")[:_AT_MOST]
    told = [_moment(entry, codes) for entry in reversed(entries)]
    actions = {entry.action for entry in entries}
    kept = {
        "inventory_reservation_created": reservation.created_at,
        "inventory_reservation_extended": reservation.extended_at,
        "inventory_reservation_consumed": reservation.consumed_at,
        f"inventory_reservation_{reservation.status.lower()}": reservation.released_at,
    }
    for action, moment in kept.items():
        if moment is not None and action not in actions:
            title, icon, tone, _detail = _TOLD[action]
            told.append(TimelineEntry(moment, title, icon, tone))
    if is_due:
        detail = str(_("Its units are free for others. The next sweep records it."))
        told.append(TimelineEntry(reservation.expires_at, _("Time was up"), "timer_off", "bad", detail))
    return sorted(told, key=lambda moment: moment.at)


def _moment(entry: AuditEntry, codes: Collection[str]) -> TimelineEntry:
    title, icon, tone, detail = _TOLD.get(entry.action, (words_of(entry.action), "history", "", _reason))
    source = SOURCES.get(entry.source, entry.source)
    return TimelineEntry(
        entry.at, title, icon, tone, detail(entry.changes, codes), entry.actor, source, entry.request_id
    )
