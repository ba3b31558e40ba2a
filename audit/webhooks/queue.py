"""Deliveries in the database: pending and failed ones. All state of webhooks is stored here.

A subscription is sent by one process at a time, which holds its advisory lock in the session that also writes: if the
session is lost, so is the lock. Every transaction first locks the subscription's row, so that adding a delivery behind
another of its key, and acknowledging that one, can't miss each other.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec
from django.db import connection, transaction

from audit.db import columns
from audit.errors import Archived
from audit.feed import Cursor, LoggedEvent, Page, cursor_oldest, read_after
from audit.subscriptions import WebhookDelivery, WebhookReplay, WebhookSubscription
from audit.traces import traceparent_in
from audit.webhooks.bodies import TEST_EVENT, Filter, NewDelivery

State = WebhookDelivery.State
EVENTS_AT_A_TIME: Final = 500
"""The most events of the log that become deliveries in one transaction."""
COLUMNS: Final = "id, event_id, type, key, cursor, body, attempts, created_at"


class Delivery(msgspec.Struct, frozen=True, gc=False):
    """A delivery that is to be sent now."""

    id: int
    event_id: UUID
    type: str
    key: str
    cursor: str
    body: str
    attempts: int
    created_at: datetime

    @property
    def traceparent(self) -> str | None:
        """The trace that the event belongs to, if any."""
        return traceparent_in(self.body)


class Surveyed(msgspec.Struct, frozen=True, gc=False):
    """The state of a subscription, by which a process decides whether to start, stop or wake its sender."""

    id: UUID
    version: int
    is_enabled: bool
    is_mine: bool
    has_due: bool
    has_replay: bool
    must_notify: bool


_SURVEY: Final = """
SELECT s.id, version, disabled_at IS NULL, CASE WHEN s.id = ANY(%(held)s) THEN true WHEN disabled_at IS NULL
        THEN pg_try_advisory_lock(hashtextextended('audit.webhooks ' || s.id, 0)) ELSE false END,
    EXISTS (SELECT FROM audit_webhookdelivery d
        WHERE d.subscription_id = s.id AND state = 'WAITING' AND due_at <= statement_timestamp()),
    EXISTS (SELECT FROM audit_webhookreplay r WHERE r.subscription_id = s.id),
    disabled_at IS NOT NULL AND notified_at IS NULL
FROM audit_webhooksubscription s
WHERE disabled_at IS NULL OR notified_at IS NULL OR s.id = ANY(%(held)s)
"""
_RELEASE: Final = """
SELECT pg_advisory_unlock(hashtextextended('audit.webhooks ' || id, 0)) FROM unnest(%s::uuid[]) id
"""
LOCK: Final = """
SELECT version FROM audit_webhooksubscription WHERE id = %s FOR NO KEY UPDATE
"""
_ADD: Final = """
WITH given AS (
    SELECT * FROM unnest(%(event_ids)s::uuid[], %(types)s::text[], %(keys)s::text[], %(cursors)s::text[],
        %(bodies)s::text[]) WITH ORDINALITY AS t (event_id, type, key, cursor, body, n)
)
INSERT INTO audit_webhookdelivery (subscription_id, event_id, type, key, cursor, body, state)
SELECT %(subscription)s::uuid, event_id, type, key, cursor, body,
    CASE WHEN %(fifo)s AND (row_number() OVER (PARTITION BY key ORDER BY n) > 1 OR EXISTS (
        SELECT FROM audit_webhookdelivery d
        WHERE d.subscription_id = %(subscription)s::uuid AND d.key = given.key AND d.state <> 'FAILED'))
    THEN 'BLOCKED' ELSE %(state)s::text END
FROM given ORDER BY n
RETURNING id, event_id, created_at, state
"""
_READY: Final = f"""
SELECT {COLUMNS} FROM audit_webhookdelivery WHERE subscription_id = %s AND state = 'READY' ORDER BY id
"""  # noqa: S608
_DUE: Final = f"""
SELECT {COLUMNS} FROM audit_webhookdelivery
WHERE subscription_id = %s AND state = 'WAITING' AND due_at <= statement_timestamp() AND id <> ALL(%s::bigint[])
    AND (type = %s OR NOT %s)
ORDER BY due_at, id LIMIT %s
"""  # noqa: S608
# In an ordered subscription, all deliveries of a key but the first are blocked.
_BLOCK: Final = """
UPDATE audit_webhookdelivery d SET state = 'BLOCKED'
WHERE subscription_id = %s AND state IN ('READY', 'WAITING') AND EXISTS (
    SELECT FROM audit_webhookdelivery e
    WHERE e.subscription_id = d.subscription_id AND e.key = d.key AND e.id < d.id AND e.state <> 'FAILED')
"""
_UNBLOCK_ALL: Final = """
UPDATE audit_webhookdelivery SET state = 'WAITING', due_at = statement_timestamp()
WHERE subscription_id = %s AND state = 'BLOCKED'
"""
_RETRY_FAILED: Final = """
UPDATE audit_webhookdelivery SET attempts = 0, due_at = statement_timestamp(),
    state = CASE WHEN %s THEN 'BLOCKED' ELSE 'WAITING' END
WHERE subscription_id = %s AND state = 'FAILED'
"""
_FREE_HEADS: Final = """
UPDATE audit_webhookdelivery d SET state = 'WAITING'
WHERE subscription_id = %s AND state = 'BLOCKED' AND id IN (
    SELECT min(id) FROM audit_webhookdelivery WHERE subscription_id = %s AND state <> 'FAILED' GROUP BY key)
    AND NOT EXISTS (SELECT FROM audit_webhookdelivery e
        WHERE e.subscription_id = d.subscription_id AND e.key = d.key AND e.state IN ('READY', 'WAITING'))
"""
_HURRY_NOW: Final = """
UPDATE audit_webhookdelivery SET due_at = statement_timestamp(), attempts = greatest(attempts - 1, 0)
WHERE subscription_id = %s AND state = 'WAITING' AND due_at > statement_timestamp()
"""


class Lost(Exception):
    """The subscription was changed or deleted meanwhile: read it again."""


def survey(held: Collection[UUID]) -> list[Surveyed]:
    """All subscriptions that need a sender or a notice. Locks those that no other process holds."""
    with connection.cursor() as cursor:
        cursor.execute(_SURVEY, {"held": columns.uuids(held)})
        return [Surveyed(*row) for row in cursor.fetchall()]


def release(subscription_ids: Collection[UUID]) -> None:
    """Release the locks of these subscriptions."""
    with connection.cursor() as cursor:
        cursor.execute(_RELEASE, [columns.uuids(subscription_ids)])


def take(subscription_id: UUID) -> tuple[WebhookSubscription, list[Delivery]] | None:
    """A subscription and its ready deliveries, for the process that holds its lock; None if it was deleted."""
    subscription = WebhookSubscription.objects.filter(pk=subscription_id).first()
    return (subscription, _deliveries(_READY, [subscription_id])) if subscription else None


def due(subscription_id: UUID, known: Collection[int], limit: int, *, tests_only: bool) -> list[Delivery]:
    """Due deliveries, except those in ``known``, which are being sent."""
    return _deliveries(_DUE, [subscription_id, list(known), TEST_EVENT, tests_only, limit])


def _deliveries(sql: str, parameters: Sequence[Any]) -> list[Delivery]:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return [Delivery(*row) for row in cursor.fetchall()]


_COUNT_OPEN: Final = """
SELECT count(*) FROM (SELECT FROM audit_webhookdelivery WHERE subscription_id = %s AND state <> 'FAILED' LIMIT %s) d
"""


def count_open(subscription_id: UUID, most: int) -> int:
    """The number of deliveries that are neither acknowledged nor given up, capped at ``most``."""
    with connection.cursor() as cursor:
        cursor.execute(_COUNT_OPEN, [subscription_id, most])
        count: int = cursor.fetchone()[0]
        return count


def lock(subscription_id: UUID, version: int | None = None) -> None:
    """Lock a subscription's row. Raises Lost if it was deleted or has another version. Requires an open transaction."""
    with connection.cursor() as cursor:
        cursor.execute(LOCK, [subscription_id])
        row = cursor.fetchone()
    if row is None or version not in (None, row[0]):
        raise Lost


def add(subscription_id: UUID, given: Sequence[NewDelivery], *, fifo: bool, state: State) -> list[Delivery]:
    """Add deliveries; with ``fifo``, those behind another one of their key are blocked. Returns the others.

    Requires an open transaction in which the subscription is locked.
    """
    if not given:
        return []
    with connection.cursor() as cursor:
        cursor.execute(
            _ADD,
            {
                "event_ids": columns.uuids(each.event_id for each in given),
                "types": columns.texts(each.type for each in given),
                "keys": columns.texts(each.key for each in given),
                "cursors": columns.texts(each.cursor for each in given),
                "bodies": columns.texts(each.body for each in given),
                "subscription": subscription_id,
                "fifo": fifo,
                "state": str(state),
            },
        )
        rows = cursor.fetchall()
    by_event = {each.event_id: each for each in given}
    ready = [(by_event[event_id], id_, created_at) for id_, event_id, created_at, added in rows if added == state]
    return [
        Delivery(id_, each.event_id, each.type, each.key, each.cursor, each.body, 0, created_at)
        for each, id_, created_at in ready
    ]


def reorder(subscription_id: UUID, *, fifo: bool) -> None:
    """Block or unblock the pending deliveries of a subscription whose ``fifo`` was switched on or off.

    Requires an open transaction in which the subscription is locked.
    """
    _update(_BLOCK if fifo else _UNBLOCK_ALL, [subscription_id])


def hurry(subscription_id: UUID) -> int:
    """Send deliveries that wait for another attempt at once; this attempt doesn't count in the schedule. Returns their
    number."""
    return _update(_HURRY_NOW, [subscription_id])


def retry_failed(subscription: WebhookSubscription) -> int:
    """Send deliveries that were given up again, each with the whole schedule. Returns their number.

    An ordered subscription gives nothing up, but it may have become ordered since: then the deliveries are sent in
    order.
    """
    count = _update(_RETRY_FAILED, [subscription.fifo, subscription.pk])
    if subscription.fifo and count:
        _update(_FREE_HEADS, [subscription.pk, subscription.pk])
    return count


def _update(sql: str, parameters: Sequence[Any]) -> int:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        count: int = cursor.rowcount
        return count


class Planned(msgspec.Struct, frozen=True, gc=False):
    """What a piece of the log has become: deliveries that are ready, and where the log goes on."""

    ready: list[Delivery]
    cursor: Cursor
    has_more: bool


def plan(subscription: WebhookSubscription, after: Cursor, limit: int) -> Planned:
    """Turn the next events of the log into deliveries, and move the subscription's cursor after them.

    Opens the transaction. Raises Lost. Events that were deleted before they could be read are recorded in
    ``missed_at``.
    """
    is_missed = False
    try:
        page = read_after(after, limit)
    except Archived:
        page, is_missed = Page((), cursor_oldest(), has_more=True), True
    given = Filter.of(subscription).deliveries(page.events)
    if page.cursor == after:
        return Planned([], after, page.has_more)
    with transaction.atomic():
        lock(subscription.pk, subscription.version)
        ready = add(subscription.pk, given, fifo=subscription.fifo, state=State.READY)
        moved: dict[str, Any] = {"cursor": str(page.cursor)} | ({"missed_at": now()} if is_missed else {})
        if not WebhookSubscription.objects.filter(pk=subscription.pk, cursor=str(after)).update(**moved):
            raise Lost
    return Planned(ready, page.cursor, page.has_more)


def replay(subscription: WebhookSubscription) -> bool:
    """Turn the next events that are to be sent again into deliveries. Returns whether there are more.

    Opens the transaction. Raises Lost.
    """
    wanted = WebhookReplay.objects.filter(subscription=subscription).order_by("pk").first()
    if wanted is None:
        return False
    end = Cursor.parse(wanted.end)
    try:
        page = read_after(Cursor.parse(wanted.cursor), EVENTS_AT_A_TIME)
    except Archived:
        page = Page((), cursor_oldest(), has_more=True)
    given = Filter.of(subscription).deliveries(event for event in page.events if _is_wanted(event, wanted, end))
    with transaction.atomic():
        lock(subscription.pk, subscription.version)
        add(subscription.pk, given, fifo=subscription.fifo, state=State.WAITING)
        rows = WebhookReplay.objects.filter(pk=wanted.pk)
        if page.cursor.place >= end.place or not page.has_more:
            rows.delete()
        else:
            rows.update(cursor=str(page.cursor))
    return True


def _is_wanted(event: LoggedEvent, wanted: WebhookReplay, end: Cursor) -> bool:
    if event.cursor.place > end.place or event.created_at < wanted.since:
        return False
    return wanted.until is None or event.created_at < wanted.until


def now() -> datetime:
    with connection.cursor() as cursor:
        cursor.execute("SELECT statement_timestamp()")
        now: datetime = cursor.fetchone()[0]
        return now
