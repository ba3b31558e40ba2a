"""Mails about low stock: one mail per warehouse and subscriber, when at least one alert is due for it.

A mail is due for an alert that is new, became CRITICAL or sold out again, has come back from a snooze, or is open and
unacknowledged for longer than the reminder. The mail lists the other open alerts as well, but not the snoozed ones.
"""

import smtplib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache, partial
from typing import Any, Final
from uuid import UUID

import structlog
from django.conf import settings
from django.core.mail import EmailMultiAlternatives, get_connection
from django.db import connection
from django.template.loader import render_to_string
from django.utils import timezone

from audit.db import columns
from audit.db.statements import write
from audit.idempotency import advisory_lock
from audit.instants import readers_zone
from inventory import transactions
from inventory.locking import read_clock
from inventory.models import LowStockAlert, Warehouse
from inventory.services.low_stock.alerts import Outlook, outlooks
from inventory.services.low_stock.subscriptions import deliverable

logger = structlog.get_logger(__name__)

MOST_LINES: Final = 100
"""The most levels that a mail lists; of the rest it gives the number."""
_TITLES: Final = {"new": "New", "worse": "Became critical or sold out again", "open": "Still open"}
_KINDS: Final = tuple(_TITLES)


@dataclass(frozen=True, slots=True)
class _MailedAlert:
    """An alert in the mail. Ordered by kind, the critical first, the oldest first."""

    kind: str
    severity: str
    alert_id: UUID

    @property
    def order(self) -> tuple[int, bool, UUID]:
        return _KINDS.index(self.kind), self.severity != "CRITICAL", self.alert_id


@dataclass(frozen=True, slots=True)
class _Digest:
    """The content of a warehouse's mail: all alerts in order, and the time of the mail before, by alert."""

    now: datetime
    alerts: tuple[_MailedAlert, ...]
    notified_before: Mapping[UUID, datetime | None]


@dataclass(frozen=True, slots=True)
class DigestLine:
    """A line of the mail: an alert, and the outlook of its level."""

    alert: LowStockAlert
    outlook: Outlook


def send_digests() -> int:
    """Send the mails that are due, one to each recipient of each warehouse. Returns the number of mails sent.

    Alerts are marked as notified before the mail is sent, so that two concurrent runs send it once; if no address
    accepts it, the mark is reset and the next run tries again.
    """
    sent = 0
    for warehouse in Warehouse.objects.filter(alert_subscriptions__isnull=False).distinct().order_by("code"):
        if not _recipients(warehouse).exists():
            continue
        digest = transactions.run(partial(_claim, warehouse.id), pipelined=False)
        if digest is None:
            continue
        delivered = 0
        try:
            delivered = _deliver(warehouse, digest)
        finally:
            if not delivered:
                transactions.run(partial(_take_back, digest))
        sent += delivered
    return sent


def _recipients(warehouse: Warehouse) -> Any:
    """The subscriptions of a warehouse that are mailed now, each with its ``address``."""
    return deliverable().filter(warehouse=warehouse)


_MARK: Final = "UPDATE inventory_lowstockalert SET notified_at = %s WHERE id = ANY(%s)"
_TAKE_BACK: Final = """
UPDATE inventory_lowstockalert AS alert SET notified_at = t.at FROM unnest(%s::uuid[], %s::timestamptz[]) AS t (id, at)
WHERE alert.id = t.id AND alert.notified_at = %s
"""


def _claim(warehouse_id: UUID) -> _Digest | None:
    """Mark a warehouse's open alerts as notified, if a mail is due; None if not, or if another run is sending it.

    Locks the alerts, without waiting: an alert that is just becoming worse is left for the next run.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [advisory_lock("low-stock-digest", str(warehouse_id))])
        if not cursor.fetchone()[0]:
            return None
    not_snoozed = LowStockAlert.objects.not_snoozed().without_retired().filter(level_warehouse=warehouse_id)
    if not not_snoozed.due_for_mail(timedelta(hours=settings.LOW_STOCK_REMINDER_HOURS)).exists():
        return None
    unlocked = not_snoozed.select_for_update(of=("self",), no_key=True, skip_locked=True)
    rows = list(unlocked.values_list("pk", "severity", "worsened_at", "notified_at"))
    if not rows:
        return None
    now = read_clock()
    write(_MARK, [now, columns.uuids(row[0] for row in rows)])
    alerts = [
        _MailedAlert(_kind(worsened_at, notified_at), severity, pk) for pk, severity, worsened_at, notified_at in rows
    ]
    alerts.sort(key=lambda alert: alert.order)
    return _Digest(now, tuple(alerts), {row[0]: row[3] for row in rows})


def _kind(worsened_at: datetime | None, notified_at: datetime | None) -> str:
    if notified_at is not None:
        return "open"
    return "new" if worsened_at is None else "worse"


def _take_back(digest: _Digest) -> None:
    before = digest.notified_before
    write(_TAKE_BACK, [columns.uuids(before), columns.times(before.values()), digest.now])


def _deliver(warehouse: Warehouse, digest: _Digest) -> int:
    """Send a mail to each address separately, so that addresses stay private and a refused one does not stop the rest.
    Rights and address of each are read just before: a slow mail server may take minutes for the others.

    Returns the number of mails sent.
    """
    context = _context(warehouse, digest)
    rendered = cache(partial(_rendered, context))
    subject = f"Low stock in {' '.join(warehouse.name.split())}: {context['critical']} critical, {context['low']} low"
    mailbox = get_connection()
    delivered = 0
    mailed: set[str] = set()
    for key in list(_recipients(warehouse).values_list("pk", flat=True)):
        address, zone = _recipients(warehouse).filter(pk=key).values_list("address", "time_zone").first() or ("", "")
        if not address or address.lower() in mailed:
            continue
        mailed.add(address.lower())
        text, html = rendered(zone)
        mail = EmailMultiAlternatives(
            subject, text, to=[address], connection=mailbox, headers={"Auto-Submitted": "auto-generated"}
        )
        mail.attach_alternative(html, "text/html")
        try:
            delivered += mail.send()
        except (smtplib.SMTPException, OSError) as error:
            logger.warning("digest_not_sent", warehouse=warehouse.code, error=str(error))
    return delivered


def _rendered(context: dict[str, Any], zone: str) -> tuple[str, str]:
    """The mail as text and as HTML, with times in this zone; in UTC if it is empty or no longer known."""
    with timezone.override(readers_zone(zone)):
        return render_to_string("mail/low_stock.txt", context), render_to_string("mail/low_stock.html", context)


def _context(warehouse: Warehouse, digest: _Digest) -> dict[str, Any]:
    shown = digest.alerts[:MOST_LINES]
    found = LowStockAlert.objects.described().in_bulk([mailed.alert_id for mailed in shown])
    outlook = outlooks([alert.level for alert in found.values()])
    sections = [
        (_TITLES[kind], [DigestLine(alert, outlook[alert.level_id]) for alert in _of_kind(kind, shown, found)])
        for kind in _KINDS
    ]
    critical = sum(mailed.severity == "CRITICAL" for mailed in digest.alerts)
    return {
        "warehouse": warehouse,
        "now": digest.now,
        "sections": [(title, lines) for title, lines in sections if lines],
        "critical": critical,
        "low": len(digest.alerts) - critical,
        "left_out": len(digest.alerts) - len(shown),
    }


def _of_kind(kind: str, shown: Sequence[_MailedAlert], found: Mapping[UUID, LowStockAlert]) -> list[LowStockAlert]:
    return [found[mailed.alert_id] for mailed in shown if mailed.kind == kind]
