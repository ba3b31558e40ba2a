"""The facts of the service's health, read from the database in a few short statements.

Every number is either read by an index or capped, so that reading takes milliseconds with millions of rows. Probes,
``manage.py doctor`` and the dashboard read the same facts.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from django.conf import settings
from django.db import connection, transaction
from django.db.models import F
from django.db.models.functions import Now

from audit import heartbeats, streams
from audit.feed import Cursor
from audit.heartbeats import Age
from audit.hidden import STORE_ID
from audit.models import StreamCursor, WebhookDelivery
from audit.subscriptions import WebhookSubscription
from inventory.models import LowStockAlert, ReconciliationRun
from reservations.models import DeadLetter

AT_MOST: Final = 10_000
"""The highest number that is counted, except active reservations."""
ACTIVE_AT_MOST: Final = 100_000
_TIMEOUT: Final = "3s"
_SWEPT_WITHIN: Final = timedelta(seconds=60)

# The canary's hold is left out: it is gone within a second, or the heartbeat of the canary is late.
_HOLDS: Final = f"""
SELECT
    (SELECT count(*) FROM (
        SELECT FROM reservations_reservation
        WHERE status = 'ACTIVE' AND expires_at > statement_timestamp() AND store_id <> '{STORE_ID}' LIMIT %s
    ) active),
    (SELECT count(*) FROM (
        SELECT FROM reservations_reservation
        WHERE status = 'ACTIVE' AND expires_at <= statement_timestamp() - make_interval(secs => %s)
            AND store_id <> '{STORE_ID}' LIMIT %s
    ) stuck),
    (SELECT statement_timestamp() - min(expires_at) FROM reservations_reservation
        WHERE status = 'ACTIVE' AND expires_at <= statement_timestamp() AND store_id <> '{STORE_ID}')
"""  # noqa: S608 - constants only
_FEED: Final = """
SELECT statement_timestamp() - created_at FROM audit_outboxevent
WHERE position > (SELECT max_position FROM audit_tick ORDER BY number DESC LIMIT 1) ORDER BY position LIMIT 1
"""
# The batches after a cursor, and the rest of the cursor's own batch.
_BEHIND: Final = """
SELECT place.name, statement_timestamp() - (
    SELECT coalesce(created_from, created_at) FROM audit_tick
    WHERE number >= place.tick AND (number > place.tick OR max_position > place.position) AND events > 0
    ORDER BY number LIMIT 1)
FROM unnest(%s::text[], %s::bigint[], %s::bigint[]) AS place (name, tick, position)
"""
_OVERDUE: Final = """
SELECT max(statement_timestamp() - due_at) FROM audit_webhooksubscription s CROSS JOIN LATERAL (
    (SELECT due_at FROM audit_webhookdelivery WHERE subscription_id = s.id AND state = 'READY' ORDER BY id LIMIT 1)
    UNION ALL
    (SELECT due_at FROM audit_webhookdelivery WHERE subscription_id = s.id AND state = 'WAITING'
        ORDER BY due_at LIMIT 1)
) d
WHERE disabled_at IS NULL AND NOT is_paused AND coalesce(quiet_until <= statement_timestamp(), true)
    AND due_at <= statement_timestamp()
"""


@dataclass(frozen=True, slots=True)
class Reconciled:
    """The last reconciliation: when it ended, its age, and how many of its differences are not repaired."""

    finished_at: datetime
    age: timedelta
    differences: int


@dataclass(frozen=True, slots=True)
class Facts:
    """What was read. Ages and lags are zero where nothing waits; ``capped`` names numbers that may be higher.

    ``stuck`` counts the holds that are still ACTIVE ``stuck_after`` after their expiry; ``oldest_due`` is the time
    since the expiry of the oldest hold that isn't swept. ``feed_lag`` is the age of the oldest event that no reader can
    see yet, ``stream_lags`` that of the oldest event that isn't published, by stream. ``webhook_lag`` is the longest
    that an event or a due delivery has waited for a webhook.
    """

    active: int
    stuck: int
    oldest_due: timedelta
    critical: int
    feed_lag: timedelta
    stream_lags: Mapping[str, timedelta]
    webhook_lag: timedelta
    dead_letters: Mapping[str, int]
    heartbeats: Mapping[str, Age]
    reconciled: Reconciled | None
    capped: list[str] = field(default_factory=list)


def stuck_after() -> timedelta:
    """How long after its expiry a hold that is still ACTIVE counts as stuck: several sweeps should have ended it."""
    return max(_SWEPT_WITHIN, timedelta(seconds=4 * settings.SWEEP_INTERVAL_SECONDS))


def read() -> Facts:
    """Read all facts in one transaction, which the server ends after some seconds. Raises django.db.Error."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL statement_timeout = '{_TIMEOUT}'")
        cursor.execute(_HOLDS, [ACTIVE_AT_MOST, stuck_after().total_seconds(), AT_MOST])
        active, stuck, oldest_due = cursor.fetchone()
        cursor.execute(_FEED)
        feed_lag = cursor.fetchone()
        critical = _critical()
        letters = _dead_letters()
        numbers = {"activeReservations": (active, ACTIVE_AT_MOST), "stuckReservations": (stuck, AT_MOST)}
        numbers |= {"criticalStockItems": (critical, AT_MOST)}
        numbers |= {f"{name}DeadLetters": (number, AT_MOST) for name, number in letters.items()}
        return Facts(
            active=active,
            stuck=stuck,
            oldest_due=_positive(oldest_due),
            critical=critical,
            feed_lag=_positive(feed_lag and feed_lag[0]),
            stream_lags=_lags(_stream_cursors()),
            webhook_lag=_webhook_lag(cursor),
            dead_letters=letters,
            heartbeats=heartbeats.read(),
            reconciled=_reconciled(),
            capped=[name for name, (number, most) in numbers.items() if number >= most],
        )


def _positive(age: timedelta | None) -> timedelta:
    return max(age or timedelta(), timedelta())


def _critical() -> int:
    """Levels that are critically low: those with an open alert that says so."""
    critical = LowStockAlert.objects.unresolved().filter(severity=LowStockAlert.Severity.CRITICAL)
    return critical.order_by()[:AT_MOST].count()


def _dead_letters() -> dict[str, int]:
    failed = WebhookDelivery.objects.filter(state=WebhookDelivery.State.FAILED)
    return {
        "webhook": failed.order_by()[:AT_MOST].count(),
        "inbox": DeadLetter.objects.waiting().order_by()[:AT_MOST].count(),
    }


def _stream_cursors() -> dict[str, str]:
    """The cursors of the sinks of the settings; a sink without one begins with the oldest event."""
    known = dict(StreamCursor.objects.values_list("name", "cursor"))
    return {name: known.get(name, "") for name in streams.configured_names()}


def _lags(cursors: Mapping[str, str]) -> dict[str, timedelta]:
    """How old the oldest event after each cursor is, by name."""
    if not cursors:
        return {}
    places = [Cursor.parse(text) if text else None for text in cursors.values()]
    ticks = [place.tick if place else 1 for place in places]
    positions = [place.position if place else 0 for place in places]
    with connection.cursor() as cursor:
        cursor.execute(_BEHIND, [list(cursors), ticks, positions])
        return {name: _positive(lag) for name, lag in cursor.fetchall()}


def _webhook_lag(cursor: Any) -> timedelta:
    active = WebhookSubscription.objects.filter(disabled_at__isnull=True, is_paused=False)
    cursors = {str(pk): text for pk, text in active.values_list("pk", "cursor")}
    cursor.execute(_OVERDUE)
    return _longest([cursor.fetchone()[0] or timedelta(), *_lags(cursors).values()])


def _longest(lags: Iterable[timedelta]) -> timedelta:
    return max(lags, default=timedelta())


def _reconciled() -> Reconciled | None:
    """The last reconciliation that ended."""
    ended = ReconciliationRun.objects.filter(finished_at__isnull=False).order_by("-finished_at")
    run = ended.annotate(age=Now() - F("finished_at")).first()
    if run is None or run.finished_at is None:
        return None
    return Reconciled(run.finished_at, run.age, run.findings.filter(repaired_at__isnull=True)[:AT_MOST].count())
