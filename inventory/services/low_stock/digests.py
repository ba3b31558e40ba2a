"""One mail for each warehouse to those who asked for it: what is low, once it is news.

News is what is new, became CRITICAL, has come back from a snooze, or is open and unacknowledged for longer than the
reminder. A mail with news names what else is open, too; without news there is none. What is snoozed is left out.
"""

import smtplib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final
from uuid import UUID

import structlog
from django.conf import settings
from django.core.mail import EmailMultiAlternatives, get_connection
from django.db import connection
from django.template.loader import render_to_string

from audit.db import columns
from audit.db.statements import write
from audit.idempotency import advisory_lock
from inventory import transactions
from inventory.locking import read_clock
from inventory.models import AlertSubscription, LowStockAlert, Warehouse
from inventory.services.low_stock.alerts import Outlook, outlooks

logger = structlog.get_logger(__name__)

MOST_LINES: Final = 100
"""The most levels that a mail names; it counts the rest."""
_TITLES: Final = {"new": "New", "worse": "Became critical", "open": "Still open"}
_KINDS: Final = tuple(_TITLES)


@dataclass(frozen=True, slots=True)
class _Place:
    """An alert's place in the mail: its kind's, the critical first, the oldest first."""

    kind: str
    severity: str
    alert_id: UUID

    @property
    def order(self) -> tuple[int, bool, UUID]:
        return _KINDS.index(self.kind), self.severity != "CRITICAL", self.alert_id


@dataclass(frozen=True, slots=True)
class _Digest:
    """What is to be told of a warehouse: all places in order, and when each alert was told before."""

    now: datetime
    places: tuple[_Place, ...]
    told_before: Mapping[UUID, datetime | None]


@dataclass(frozen=True, slots=True)
class DigestLine:
    """A level in a mail."""

    alert: LowStockAlert
    outlook: Outlook


def send_digests() -> int:
    """Send what is news, a mail to each subscriber of each warehouse. Returns how many mails were sent.

    Alerts are marked as told before the mail goes out, so that two runs at once send it once; if it reaches nobody, the
    mark is taken back and the next run tries again.
    """
    addresses: dict[UUID, list[str]] = {}
    active = AlertSubscription.objects.exclude(user__is_active=False).order_by("email")
    for warehouse_id, email in active.values_list("warehouse_id", "email"):
        addresses.setdefault(warehouse_id, []).append(email)
    sent = 0
    for warehouse in Warehouse.objects.filter(pk__in=addresses).order_by("code"):
        digest = transactions.run(partial(_claim, warehouse.id), pipelined=False)
        if digest is None:
            continue
        delivered = 0
        try:
            delivered = _deliver(warehouse, digest, addresses[warehouse.id])
        finally:
            if not delivered:
                transactions.run(partial(_take_back, digest))
        sent += delivered
    return sent


_MARK: Final = "UPDATE inventory_lowstockalert SET notified_at = %s WHERE id = ANY(%s)"
_TAKE_BACK: Final = """
UPDATE inventory_lowstockalert AS alert SET notified_at = t.at FROM unnest(%s::uuid[], %s::timestamptz[]) AS t (id, at)
WHERE alert.id = t.id AND alert.notified_at = %s
"""


def _claim(warehouse_id: UUID) -> _Digest | None:
    """Mark a warehouse's open alerts as told, if there is news; None if not, or if another run is about to tell it.

    Locks the alerts, without a wait: one that is just becoming worse is left for the next run, whose news it is.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [advisory_lock("low-stock-digest", str(warehouse_id))])
        if not cursor.fetchone()[0]:
            return None
    audible = LowStockAlert.objects.audible().filter(level__warehouse=warehouse_id)
    if not audible.news(timedelta(hours=settings.LOW_STOCK_REMINDER_HOURS)).exists():
        return None
    unlocked = audible.select_for_update(of=("self",), no_key=True, skip_locked=True)
    rows = list(unlocked.values_list("pk", "severity", "worsened_at", "notified_at"))
    if not rows:
        return None
    now = read_clock()
    write(_MARK, [now, columns.uuids(row[0] for row in rows)])
    places = [_Place(_kind(worsened_at, told), severity, pk) for pk, severity, worsened_at, told in rows]
    places.sort(key=lambda place: place.order)
    return _Digest(now, tuple(places), {row[0]: row[3] for row in rows})


def _kind(worsened_at: datetime | None, told: datetime | None) -> str:
    if told is not None:
        return "open"
    return "new" if worsened_at is None else "worse"


def _take_back(digest: _Digest) -> None:
    told = digest.told_before
    write(_TAKE_BACK, [columns.uuids(told), columns.times(told.values()), digest.now])


def _deliver(warehouse: Warehouse, digest: _Digest, addresses: Sequence[str]) -> int:
    """Mail a digest to each address by itself: nobody sees the others', and one that is refused stops no other."""
    context = _context(warehouse, digest)
    text = render_to_string("mail/low_stock.txt", context)
    html = render_to_string("mail/low_stock.html", context)
    subject = f"Low stock in {' '.join(warehouse.name.split())}: {context['critical']} critical, {context['low']} low"
    mailbox = get_connection()
    delivered = 0
    for address in addresses:
        mail = EmailMultiAlternatives(
            subject, text, to=[address], connection=mailbox, headers={"Auto-Submitted": "auto-generated"}
        )
        mail.attach_alternative(html, "text/html")
        try:
            delivered += mail.send()
        except (smtplib.SMTPException, OSError) as error:
            logger.warning("digest_not_sent", warehouse=warehouse.code, error=str(error))
    return delivered


def _context(warehouse: Warehouse, digest: _Digest) -> dict[str, Any]:
    shown = digest.places[:MOST_LINES]
    found = LowStockAlert.objects.described().in_bulk([place.alert_id for place in shown])
    outlook = outlooks([alert.level for alert in found.values()])
    sections = [
        (_TITLES[kind], [DigestLine(alert, outlook[alert.level_id]) for alert in _of_kind(kind, shown, found)])
        for kind in _KINDS
    ]
    critical = sum(place.severity == "CRITICAL" for place in digest.places)
    return {
        "warehouse": warehouse,
        "now": digest.now,
        "sections": [(title, lines) for title, lines in sections if lines],
        "critical": critical,
        "low": len(digest.places) - critical,
        "left_out": len(digest.places) - len(shown),
    }


def _of_kind(kind: str, shown: Sequence[_Place], found: Mapping[UUID, LowStockAlert]) -> list[LowStockAlert]:
    return [found[place.alert_id] for place in shown if place.kind == kind]
