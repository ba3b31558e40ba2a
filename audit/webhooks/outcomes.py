"""Record the outcomes of attempts: deliveries end or get their next attempt, attempts are logged, and the receiver's
health is updated."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
from django.db import connection, transaction
from uuid_utils.compat import uuid7

from audit import actions
from audit.actors import Actor
from audit.db import columns
from audit.recording import Entry, record
from audit.subscriptions import WebhookSubscription
from audit.webhooks import queue
from audit.webhooks.bodies import TEST_EVENT
from audit.webhooks.schedule import FAILING_FOR
from audit.webhooks.sending import Outcome

_SENDER: Final = Actor("webhooks", None, "", "sweeper")
_OUTAGE: Final = timedelta(minutes=5)
"""How long a receiver must have failed for waiting deliveries to be sent early once it answers again."""

_ACKNOWLEDGE: Final = """
DELETE FROM audit_webhookdelivery WHERE subscription_id = %s AND id = ANY(%s::bigint[]) RETURNING key
"""
_POSTPONE: Final = """
UPDATE audit_webhookdelivery d SET state = given.state, attempts = given.attempts, due_at = given.due_at
FROM unnest(%s::bigint[], %s::text[], %s::int[], %s::timestamptz[]) AS given (id, state, attempts, due_at)
WHERE d.id = given.id AND d.subscription_id = %s
"""
_UNBLOCK: Final = f"""
UPDATE audit_webhookdelivery SET state = 'READY'
WHERE state = 'BLOCKED' AND id IN (
    SELECT min(id) FROM audit_webhookdelivery
    WHERE subscription_id = %s AND key = ANY(%s::text[]) AND state <> 'FAILED' GROUP BY key)
RETURNING {queue.COLUMNS}
"""  # noqa: S608
# After an outage, waiting deliveries are sent within a minute. Such an attempt doesn't count in the schedule.
_HURRY: Final = """
UPDATE audit_webhookdelivery
SET due_at = statement_timestamp() + random() * interval '60 s', attempts = greatest(attempts - 1, 1)
WHERE subscription_id = %s AND state = 'WAITING' AND due_at > statement_timestamp() + interval '60 s'
"""
_LOG: Final = """
INSERT INTO audit_webhookattempt (id, at, subscription_id, event_id, type, key, cursor, number, url, request, bytes,
    status, answer, milliseconds, is_delivered)
SELECT id, at, %s, event_id, type, key, cursor, number, url, request::jsonb, bytes, status, answer, milliseconds,
    is_delivered
FROM unnest(%s::uuid[], %s::timestamptz[], %s::uuid[], %s::text[], %s::text[], %s::text[], %s::int[], %s::text[],
    %s::text[], %s::int[], %s::int[], %s::text[], %s::int[], %s::boolean[])
AS t (id, at, event_id, type, key, cursor, number, url, request, bytes, status, answer, milliseconds, is_delivered)
"""


class Result(msgspec.Struct, frozen=True, gc=False):
    """An attempt that has ended. ``request`` are the headers to be logged; ``due_at`` is the next attempt, None if
    there is none."""

    delivery: queue.Delivery
    outcome: Outcome
    request: dict[str, str]
    url: str
    due_at: datetime | None


class Health:
    """The health of a receiver: updated by each outcome, then saved."""

    def __init__(self, subscription: WebhookSubscription, now: datetime) -> None:
        self._subscription = subscription
        self._now = now
        self._failing_since = subscription.failing_since
        self._quiet_until = subscription.quiet_until
        self._reason = ""
        self.has_recovered = False

    def note(self, outcome: Outcome) -> None:
        """Take an outcome into account."""
        if outcome.is_delivered:
            if self._failing_since and outcome.at - self._failing_since > _OUTAGE:
                self.has_recovered = True
            self._failing_since = self._quiet_until = None
            return
        self._failing_since = self._failing_since or outcome.at
        if outcome.wants_pause and outcome.retry_after:
            self._quiet_until = max(self._now + outcome.retry_after, self._quiet_until or self._now)
        if outcome.is_gone:
            self._reason = WebhookSubscription.Disabled.GONE
        elif self._now - self._failing_since >= FAILING_FOR:
            self._reason = self._reason or WebhookSubscription.Disabled.FAILING

    def save(self) -> None:
        """Write the changes to the locked row and to the object. Writes an audit entry if the subscription is
        disabled."""
        subscription = self._subscription
        health: dict[str, Any] = {"failing_since": self._failing_since, "quiet_until": self._quiet_until}
        is_disabled = bool(self._reason) and not subscription.disabled_at
        if is_disabled:
            health |= {"disabled_at": self._now, "disabled_because": self._reason, "notified_at": None}
        changes = {name: value for name, value in health.items() if getattr(subscription, name) != value}
        if changes:
            WebhookSubscription.objects.filter(pk=subscription.pk).update(**changes)
            for name, value in changes.items():
                setattr(subscription, name, value)
        if is_disabled:
            changed = {"webhook": subscription.name, "because": str(self._reason)}
            record([Entry(_SENDER, actions.WEBHOOK_DISABLED, subscription.pk, changed)], now=self._now)


def save(subscription: WebhookSubscription, results: Sequence[Result]) -> list[queue.Delivery]:
    """Record the outcomes of attempts, in the order in which they ended. Returns the deliveries that they have
    unblocked.

    Acknowledged deliveries are deleted, and tests in any case; others get their next attempt or are given up. Opens the
    transaction. Raises Lost if the subscription was changed; the outcomes are written nevertheless.
    """
    ended = [each.delivery for each in results if each.outcome.is_delivered or each.delivery.type == TEST_EVENT]
    failed = [each for each in results if each.delivery not in ended]
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(queue.LOCK, [subscription.pk])
        version = cursor.fetchone()
        keys = []
        if ended:
            cursor.execute(_ACKNOWLEDGE, [subscription.pk, [each.id for each in ended]])
            keys = [row[0] for row in cursor.fetchall()]
        if failed:
            cursor.execute(_POSTPONE, [*_postponed(failed), subscription.pk])
        unblocked = []
        if keys and subscription.fifo:
            cursor.execute(_UNBLOCK, [subscription.pk, columns.texts(keys)])
            unblocked = [queue.Delivery(*row) for row in cursor.fetchall()]
        cursor.execute(_LOG, [subscription.pk, *_logged(results)])
        if version:
            _note_health(subscription, results)
    if version is None or version[0] != subscription.version:
        raise queue.Lost
    return unblocked


def _postponed(failed: Sequence[Result]) -> tuple[Any, ...]:
    return (
        [each.delivery.id for each in failed],
        columns.texts(queue.State.FAILED if each.due_at is None else queue.State.WAITING for each in failed),
        columns.ints(each.delivery.attempts + 1 for each in failed),
        columns.times(each.due_at or each.outcome.at for each in failed),
    )


def _logged(results: Sequence[Result]) -> tuple[Any, ...]:
    tried = [(each.delivery, each.outcome) for each in results]
    return (
        columns.uuids(uuid7() for _ in tried),
        columns.times(outcome.at for _, outcome in tried),
        columns.uuids(delivery.event_id for delivery, _ in tried),
        columns.texts(delivery.type for delivery, _ in tried),
        columns.texts(delivery.key for delivery, _ in tried),
        columns.texts(delivery.cursor for delivery, _ in tried),
        columns.ints(delivery.attempts + 1 for delivery, _ in tried),
        columns.texts(each.url for each in results),
        columns.documents(msgspec.json.encode(each.request) for each in results),
        columns.ints(len(delivery.body.encode()) for delivery, _ in tried),
        columns.optional_ints(outcome.status for _, outcome in tried),
        columns.texts(outcome.answer for _, outcome in tried),
        columns.ints(outcome.milliseconds for _, outcome in tried),
        columns.bools(outcome.is_delivered for _, outcome in tried),
    )


def _note_health(subscription: WebhookSubscription, results: Sequence[Result]) -> None:
    health = Health(subscription, queue.now())
    for each in results:
        health.note(each.outcome)
    if health.has_recovered:
        with connection.cursor() as cursor:
            cursor.execute(_HURRY, [subscription.pk])
    health.save()
