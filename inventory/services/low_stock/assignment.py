"""Assigning open low-stock alerts to members of staff, many at once."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from django.contrib.auth import get_user_model
from django.db.models import Q, QuerySet

from audit import idempotency
from audit.actors import Actor
from audit.errors import Fault, Invalid, VersionConflict
from audit.idempotency import Claim, StoredAnswer
from audit.preconditions import Precondition, last_write_wins
from audit.recording import Entry, record
from inventory import actions, transactions
from inventory.locking import read_clock
from inventory.models import LowStockAlert

MAY_SEE: Final = "inventory.view_lowstockalert"
"""The permission of those to whom alerts can be assigned."""
MOST_ALERTS: Final = 500
"""The most alerts that are assigned at once: all are locked together, and each gets an audit entry."""
_RIGHTS: Final = "django.contrib.auth.backends.ModelBackend"


@dataclass(frozen=True, slots=True)
class Assigned:
    """What an assignment did, in numbers of alerts. ``left_out`` were resolved meanwhile, or are out of reach."""

    username: str
    assigned: int
    unchanged: int
    left_out: int


def assignees(codes: Collection[str]) -> QuerySet[Any]:
    """The active members of staff who may see alerts and reach all of these warehouses, by username."""
    allowed = get_user_model()._default_manager.with_perm(MAY_SEE, backend=_RIGHTS).filter(is_staff=True)
    reaches = (
        Q(is_superuser=True, staff_access=None)
        | Q(staff_access__all_warehouses=True)
        | Q(staff_access__warehouse_codes__contains=sorted(codes))
    )
    return allowed.filter(reaches).order_by("username")


def assign(
    alert_ids: Collection[UUID],
    username: str,
    actor: Actor,
    *,
    note: str = "",
    claim: Claim | None = None,
    precondition: Precondition = last_write_wins,
) -> Assigned | StoredAnswer:
    """Assign the open ones of these alerts to a member of staff; no more reminders are sent for them.

    Alerts that are assigned to this person already stay as they are. Each other one gets an audit entry with the name
    before. ``precondition`` is called with each alert that would change. Raises Invalid for more than ``MOST_ALERTS``,
    or for a person who may not see all of the alerts, VersionConflict (the precondition's, with a fault at
    ``/alerts/<id>`` for each alert; none is assigned in either case), Busy and the errors of claims. Locks the alerts,
    in the order of their levels.
    """
    if len(alert_ids) > MOST_ALERTS:
        detail = f"At most {MOST_ALERTS} alerts are assigned at once."
        raise Invalid(detail, [Fault("/alerts", "too_long", detail)])

    def work() -> Assigned | StoredAnswer:
        if answer := idempotency.claim_one(claim):
            return answer
        seen = LowStockAlert.objects.visible_to(actor).unresolved().filter(pk__in=alert_ids).described()
        alerts = list(seen.select_for_update(of=("self",), no_key=True).order_by("level_id"))
        _require_may_see(username, {alert.level.warehouse.code for alert in alerts})
        changed = [alert for alert in alerts if alert.acknowledged_by != username]
        _check_seen(changed, precondition)
        now = read_clock()
        LowStockAlert.objects.filter(pk__in=[alert.pk for alert in changed]).update(
            acknowledged_at=now, acknowledged_by=username
        )
        record([_entry(actor, alert, username, note) for alert in changed], now=now)
        left_out = len(set(alert_ids)) - len(alerts)
        done = Assigned(username, len(changed), len(alerts) - len(changed), left_out)
        idempotency.store_all([(claim, done)], now=now)
        return done

    return transactions.run(work, pipelined=False)


def _require_may_see(username: str, codes: Collection[str]) -> None:
    if not assignees(codes).filter(username=username).exists():
        fault = Fault("/assignee", "invalid", "The person may not see all of these alerts.")
        raise Invalid(f"{username} may not see alerts in all of {', '.join(sorted(codes))}.", [fault])


def _check_seen(alerts: Collection[LowStockAlert], precondition: Precondition) -> None:
    conflicts = []
    for alert in alerts:
        try:
            precondition(alert)
        except VersionConflict as error:
            conflicts.append(error.fault(f"/alerts/{alert.pk}"))
    if conflicts:
        raise VersionConflict(conflicts[0].detail or "", conflicts)


def _entry(actor: Actor, alert: LowStockAlert, username: str, note: str) -> Entry:
    """The audit entry of an alert, with the values before and after."""
    changes = {"acknowledgedBy": [alert.acknowledged_by or None, username], "note": note}
    return Entry(actor, actions.ALERT_ACKNOWLEDGED, alert.id, changes)
