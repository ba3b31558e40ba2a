"""The cards about the service itself: its books, its events and its background processes."""

from datetime import timedelta
from typing import Final

from django.db import Error
from django.db.models import Subquery
from django.db.models.functions import Coalesce
from django.urls import reverse
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from audit import heartbeats
from audit.models import OutboxEvent, Tick
from audit.whole_numbers import grouped
from config.dashboard.parts import Card, Figure, LazyText, Reader, link, reservations
from config.health import facts
from config.health.components import Component, Status, of_facts
from inventory.models import ReconciliationRun

_OUTBOX_AT_MOST: Final = 10_000
_NOTICED: Final = timedelta(seconds=5)
"""The least lag that is shown, so that the page doesn't change at each refresh."""


def service_cards(reader: Reader, due: int, lag: timedelta | None) -> list[Card]:
    """The state of the service itself, for users who may see it."""
    cards: list[Card] = []
    if reader.actor.sees_all_warehouses and reader.request.user.has_perm("inventory.view_reconciliationrun"):
        cards.append(_reconciliation_card(reader))
    own: list[Figure] = []
    if reader.may_open("audit.auditentry") and reader.may_open("reservations.reservation"):
        late = lag if due and lag else timedelta()
        tone = "bad" if late > timedelta(minutes=2) else ""
        own.append(Figure(_("Expiry delay"), _span(late), reservations(time="due"), tone))
    if reader.may_open("audit.outboxevent"):
        own.append(Figure(_("Pending events"), _outbox(), link("audit.outboxevent")))
    if own:
        cards.append(Card(_("The service"), "monitor_heart", own))
    if reader.actor.sees_all_warehouses and reader.may_open("audit.outboxevent"):
        cards.append(_background_card(reader))
    return cards


_PROCESSES: Final[dict[str, LazyText]] = {
    heartbeats.BEAT: _("Scheduler"),
    heartbeats.SWEEPER: _("Sweeper"),
    heartbeats.WORKER: _("Worker"),
    heartbeats.RELAY: _("Relay"),
    heartbeats.CANARY: _("Canary"),
}


def _background_card(reader: Reader) -> Card:
    """How far behind events are, and when each background process last worked."""
    title = _("Events and background processes")
    try:
        found = reader.kept("background", facts.read)
    except Error:
        return Card(title, "sync", [Figure(_("Could not be read"), "–")])
    components = of_facts(found)
    shown = [_lag(_("Feed"), components["feed"], link("audit.outboxevent"))]
    shown += [
        _lag(format_lazy(_("Stream {name}"), name=name), components[f"stream {name}"]) for name in found.stream_lags
    ]
    shown.append(_lag(_("Webhooks"), components["webhooks"], _list(reader, "audit.webhooksubscription")))
    failed, letters = found.dead_letters["webhook"], found.dead_letters["inbox"]
    webhooks = _list(reader, "audit.webhooksubscription")
    shown.append(Figure(_("Failed deliveries"), failed, webhooks, "warn" if failed else ""))
    waiting = _list(reader, "reservations.deadletter")
    shown.append(Figure(_("Dead letters"), letters, waiting, "warn" if letters else ""))
    shown += [_process(name, components[name]) for name in heartbeats.expected()]
    return Card(title, "sync", shown)


def _list(reader: Reader, model: str) -> str:
    """The address of a list; empty for a user who may not open it."""
    return link(model) if reader.may_open(model) else ""


def _lag(label: LazyText, component: Component, address: str = "") -> Figure:
    lag = timedelta(seconds=component.details["lagSeconds"])
    shown = str(_("%(span)s behind")) % {"span": _span(lag)} if lag >= _NOTICED else str(_("up to date"))
    return Figure(label, shown, address, _tone(component))


def _process(name: str, component: Component) -> Figure:
    """Whether a process runs, or the time since it last worked."""
    age = component.details["ageSeconds"]
    if component.status is Status.UP:
        shown = str(_("running"))
    elif age is None:
        shown = str(_("never seen"))
    else:
        shown = str(_("stopped %(span)s ago")) % {"span": _span(timedelta(seconds=age))}
    return Figure(_PROCESSES[name], shown, "", _tone(component))


def _tone(component: Component) -> str:
    return "" if component.status is Status.UP else "bad"


def _reconciliation_card(reader: Reader) -> Card:
    last = ReconciliationRun.objects.filter(finished_at__isnull=False).order_by("-finished_at").first()
    finding, run = "inventory.reconciliationfinding", "inventory.reconciliationrun"
    runs = link(run) if reader.may_open(run) else ""
    if last is None:
        return Card(_("Reconciliation"), "balance", [Figure(_("Never run"), "–", runs)])
    findings = link(finding, run=last.pk) if reader.may_open(finding) else ""
    its_page = reverse("admin:inventory_reconciliationrun_change", args=[last.pk]) if runs else ""
    return Card(
        _("Reconciliation"),
        "balance",
        [
            Figure(_("Differences found"), last.finding_count, findings, "bad" if last.finding_count else ""),
            Figure(_("Levels looked at"), last.levels_checked, its_page),
            Figure(_("Last run"), last.finished_at, runs),
        ],
    )


def _outbox() -> str:
    """How many events no reader can see yet, capped: few, unless nothing ticks."""
    seen = Tick.objects.order_by("-number").values("max_position")[:1]
    number = OutboxEvent.objects.filter(position__gt=Coalesce(Subquery(seen), 0))[: _OUTBOX_AT_MOST + 1].count()
    return f"{grouped(_OUTBOX_AT_MOST)}+" if number > _OUTBOX_AT_MOST else grouped(number)


def _span(span: timedelta) -> str:
    """A span of time in words."""
    seconds = int(span.total_seconds())
    if seconds < 120:
        return str(_("%(number)d s")) % {"number": seconds}
    if seconds < 7200:
        return str(_("%(number)d min")) % {"number": seconds // 60}
    return str(_("%(number)d h")) % {"number": seconds // 3600}
