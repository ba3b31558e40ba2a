"""The audit actions of reservations and shortages, and their descriptions in a reservation's timeline."""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any, Final

from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from audit.actions import Action, SubjectKind, register
from audit.display import NOTHING, shown_time
from inventory.actions import MOVEMENTS

RESERVATION: Final = SubjectKind(_("reservation"), "reservations_reservation")
RECEIVED_EVENT: Final = SubjectKind(_("incoming event"), "reservations_receivedevent")
DEAD_LETTER: Final = SubjectKind(_("dead letter"), "reservations_deadletter")
SHORTAGE: Final = SubjectKind(_("incident"), "reservations_shortageincident")


def _units(items: Iterable[Mapping[str, Any]] | None, codes: Collection[str]) -> str:
    """The number of units of the items in these warehouses, in words."""
    units = sum(item["quantity"] for item in items or () if not codes or item["warehouseId"] in codes)
    return ngettext("%(units)d unit", "%(units)d units", units) % {"units": units}


def _time(text: str) -> str:
    return shown_time(datetime.fromisoformat(text))


def _made(changes: Mapping[str, Any], codes: Collection[str]) -> str:
    units = _units(changes.get("items"), codes)
    until = changes.get("expiresAt")
    return str(_("%(units)s, until %(time)s")) % {"units": units, "time": _time(until)} if until else units


def _extended(changes: Mapping[str, Any], codes: Collection[str]) -> str:
    before, after = changes["expiresAt"]
    return str(_("until %(after)s, instead of %(before)s")) % {"after": _time(after), "before": _time(before)}


def _changed(changes: Mapping[str, Any], codes: Collection[str]) -> str:
    before, after = (_units(items, codes) for items in changes["items"])
    return f"{before} → {after}"


def _sold(changes: Mapping[str, Any], codes: Collection[str]) -> str:
    facts = {"units": _units(changes.get("items"), codes), "order": changes.get("orderId") or NOTHING}
    return str(_("%(units)s for order %(order)s")) % facts


def _ended(changes: Mapping[str, Any], codes: Collection[str]) -> str:
    return str(_("recorded; it had ended %(time)s")) % {"time": _time(changes["expiresAt"])}


RESERVATION_CREATED: Final = register(
    Action(
        "inventory_reservation_created",
        _("Reservation made"),
        "add_shopping_cart",
        RESERVATION,
        short_label=_("Made"),
        sentence=_made,
    )
)
RESERVATION_EXTENDED: Final = register(
    Action(
        "inventory_reservation_extended",
        _("Reservation extended"),
        "more_time",
        RESERVATION,
        short_label=_("Extended"),
        sentence=_extended,
    )
)
RESERVATION_CHANGED: Final = register(
    Action(
        "inventory_reservation_changed",
        _("Reservation changed"),
        "edit",
        RESERVATION,
        short_label=_("Changed"),
        sentence=_changed,
    )
)
RESERVATION_CONSUMED: Final = register(
    Action(
        "inventory_reservation_consumed",
        _("Reservation sold"),
        "check",
        RESERVATION,
        short_label=_("Sold"),
        tone="good",
        sentence=_sold,
        related=MOVEMENTS,
    )
)
RESERVATION_RELEASED: Final = register(
    Action("inventory_reservation_released", _("Reservation released"), "undo", RESERVATION, short_label=_("Released"))
)
RESERVATION_EXPIRED: Final = register(
    Action(
        "inventory_reservation_expired",
        _("Reservation expired"),
        "timer_off",
        RESERVATION,
        short_label=_("Expired"),
        tone="bad",
        sentence=_ended,
    )
)
RESERVATION_RECONCILED: Final = register(
    Action(
        "inventory_reservation_reconciled",
        _("Reservation corrected"),
        "build",
        RESERVATION,
        short_label=_("Corrected by a reconciliation"),
    )
)
SHORTAGE_FOUND: Final = register(Action("inventory_shortage_found", _("Shortage found"), "report", SHORTAGE))
SHORTAGE_RESOLVED: Final = register(Action("inventory_shortage_resolved", _("Shortage resolved"), "task_alt", SHORTAGE))


def _received(changes: Mapping[str, Any], codes: Collection[str]) -> str:
    facts = {"type": changes.get("type", ""), "about": changes.get("about", ""), "result": changes.get("result", "")}
    return str(_("%(type)s of %(about)s: %(result)s")) % facts


EVENT_RECEIVED: Final = register(
    Action("inventory_event_received", _("Event received"), "move_to_inbox", RECEIVED_EVENT, sentence=_received)
)
EVENT_PUT_ASIDE: Final = register(
    Action("inventory_event_put_aside", _("Event put aside"), "unsubscribe", DEAD_LETTER, tone="bad")
)
EVENT_REPLAYED: Final = register(
    Action("inventory_event_replayed", _("Dead letter replayed"), "replay", DEAD_LETTER, tone="good")
)
EVENT_DISCARDED: Final = register(
    Action("inventory_event_discarded", _("Dead letter discarded"), "delete", DEAD_LETTER)
)
