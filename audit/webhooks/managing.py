"""The commands to manage webhooks. Each opens its own transaction and writes an audit entry.

Clients that are limited to some stores manage the webhooks of these stores alone.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from django.db.models import QuerySet
from uuid_utils.compat import uuid7

from audit import actions, feed
from audit.actors import Actor
from audit.clients import claimed
from audit.errors import DomainError, Fault, Invalid, NotFound, PermissionDenied
from audit.events import registered_types
from audit.feed import Cursor
from audit.idempotency import Claim, StoredAnswer
from audit.identifiers import EVENT, HOOK, public_id
from audit.preconditions import Precondition, last_write_wins
from audit.recording import Entry, record
from audit.subscriptions import WebhookDelivery, WebhookReplay, WebhookSubscription
from audit.webhooks import keys, queue
from audit.webhooks.addresses import check_url
from audit.webhooks.bodies import Filter, test_delivery
from audit.webhooks.finding import find_event

MOST_WEBHOOKS: Final = 100
MOST_OVERLAP_HOURS: Final = 168
_MOST_KEYS: Final = 10
_STATES: Final = WebhookDelivery.State


class WebhookDisabled(DomainError):
    """The webhook is disabled: resume it first."""


class TooManyWebhooks(DomainError):
    """The maximum number of webhooks is reached."""


class TooManySecrets(DomainError):
    """Several secrets of the webhook are still valid: wait until some have ended, or end them all."""


@dataclass(frozen=True, slots=True)
class Changed:
    """A webhook after a command. ``secret`` is a new secret in clear text, which is shown only once."""

    webhook: WebhookSubscription
    secret: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Queued:
    """What a command has added to a webhook's deliveries: an event's id, or how many; None for those still to be
    read from the log."""

    webhook: WebhookSubscription
    event_id: UUID | None = None
    count: int | None = None


def visible_to(actor: Actor) -> QuerySet[WebhookSubscription]:
    """The webhooks in an actor's reach."""
    actor.require_all_warehouses()
    found = WebhookSubscription.objects.all()
    if not actor.store_codes:
        return found
    return found.filter(store_codes__contained_by=list(actor.store_codes)).exclude(store_codes=[])


def create(
    actor: Actor, fields: dict[str, Any], *, start: Cursor | None = None, claim: Claim | None = None
) -> Changed | StoredAnswer:
    """Add a webhook. It starts with the events after ``start``, or with new events.

    ``fields`` are the model's. Raises Invalid, PermissionDenied, TooManyWebhooks and the errors of claims.
    """
    _check(actor, fields)
    if start is None:
        feed.tick(waits=True)
        start = feed.cursor_now()

    def work(now: datetime) -> Changed:
        if WebhookSubscription.objects.count() >= MOST_WEBHOOKS:
            raise TooManyWebhooks(f"There are {MOST_WEBHOOKS} webhooks, which is the most.")
        id_ = uuid7()
        made, secret = keys.new_keys(id_)
        webhook = WebhookSubscription.objects.create(id=id_, cursor=str(start), keys=keys.stored(made), **fields)
        record([Entry(actor, actions.WEBHOOK_CREATED, id_, _told(fields))], now=now)
        webhook.refresh_from_db()
        return Changed(webhook, secret)

    return claimed(claim, work)


def change(
    actor: Actor,
    webhook_id: UUID,
    fields: dict[str, Any],
    *,
    claim: Claim | None = None,
    precondition: Precondition = last_write_wins,
) -> Changed | StoredAnswer:
    """Replace fields of a webhook. ``status``, ``active`` or ``paused``, resumes or pauses it; ``active`` also enables
    a disabled webhook, and sends waiting deliveries at once.

    Raises Invalid, NotFound, PermissionDenied, VersionConflict (the precondition's) and the errors of claims.
    """
    status = fields.pop("status", None)
    _check(actor, fields)

    def work(now: datetime) -> Changed:
        webhook = _locked(actor, webhook_id)
        precondition(webhook)
        new = {name: value for name, value in fields.items() if getattr(webhook, name) != value}
        if status and status != webhook.status:
            new |= _status(webhook, status)
        if not new:
            return Changed(webhook)
        for name, value in new.items():
            setattr(webhook, name, value)
        webhook.version += 1
        webhook.save(update_fields=[*new, "version"])
        if "fifo" in new:
            queue.reorder(webhook_id, fifo=webhook.fifo)
        if status == "active":
            queue.hurry(webhook_id)
        told = _told({name: new[name] for name in new if name in fields}) | ({"status": status} if status else {})
        record([Entry(actor, actions.WEBHOOK_CHANGED, webhook_id, {"webhook": webhook.name, **told})], now=now)
        return Changed(webhook)

    return claimed(claim, work)


def _status(webhook: WebhookSubscription, status: str) -> dict[str, Any]:
    """The fields that pause or resume a webhook."""
    if status == "paused":
        return {"is_paused": True}
    healthy = dict.fromkeys(("disabled_at", "failing_since", "quiet_until", "notified_at"))
    return {"is_paused": False, "disabled_because": "", **healthy}


def delete(actor: Actor, webhook_id: UUID, *, claim: Claim | None = None) -> None | StoredAnswer:
    """Delete a webhook with its waiting deliveries. Raises NotFound, PermissionDenied and the errors of claims."""

    def work(now: datetime) -> None:
        webhook = _locked(actor, webhook_id)
        record([Entry(actor, actions.WEBHOOK_DELETED, webhook_id, {"webhook": webhook.name})], now=now)
        webhook.delete()

    return claimed(claim, work)


def rotate(actor: Actor, webhook_id: UUID, *, overlap_hours: int, claim: Claim | None = None) -> Changed | StoredAnswer:
    """Make new signing keys. The present ones also sign for ``overlap_hours``; with 0 they end at once.

    Raises NotFound, PermissionDenied, TooManySecrets and the errors of claims.
    """

    def work(now: datetime) -> Changed:
        webhook = _locked(actor, webhook_id)
        kept = keys.replaced(keys.load(webhook.keys), now=now, ends_at=now + timedelta(hours=overlap_hours))
        made, secret = keys.new_keys(webhook_id)
        if len(kept) + len(made) > _MOST_KEYS:
            raise TooManySecrets("Four secrets of this webhook are still valid. Wait, or end them: 0 hours.")
        webhook.keys = keys.stored([*made, *kept])
        webhook.version += 1
        webhook.save(update_fields=["keys", "version"])
        changes = {"webhook": webhook.name, "overlapHours": overlap_hours}
        record([Entry(actor, actions.WEBHOOK_ROTATED, webhook_id, changes)], now=now)
        return Changed(webhook, secret)

    return claimed(claim, work)


def send_test(actor: Actor, webhook_id: UUID, *, claim: Claim | None = None) -> Queued | StoredAnswer:
    """Send a test event once, even if the webhook is paused.

    Raises NotFound, PermissionDenied, WebhookDisabled and the errors of claims.
    """

    def work(now: datetime) -> Queued:
        webhook = _enabled(actor, webhook_id)
        delivery = test_delivery(now)
        queue.add(webhook_id, [delivery], fifo=False, state=_STATES.WAITING)
        _record_resent(actor, webhook, {"event": public_id(EVENT, delivery.event_id)}, now)
        return Queued(webhook, delivery.event_id)

    return claimed(claim, work)


def resend_event(
    actor: Actor, webhook_id: UUID, event_id: UUID, *, claim: Claim | None = None
) -> Queued | StoredAnswer:
    """Send an event again, whether or not it was acknowledged; one that was given up starts its schedule again.

    Raises NotFound (also for an event that this webhook doesn't get), Archived, PermissionDenied, WebhookDisabled and
    the errors of claims.
    """
    _require_visible(actor, webhook_id)
    event = find_event(webhook_id, event_id)

    def work(now: datetime) -> Queued:
        webhook = _enabled(actor, webhook_id)
        given = Filter.of(webhook).deliveries([event] if event else [])
        if not given:
            raise NotFound(f"There is no event {public_id(EVENT, event_id)} for this webhook.")
        WebhookDelivery.objects.filter(subscription=webhook, event_id=event_id, state=_STATES.FAILED).delete()
        queue.add(webhook_id, given, fifo=webhook.fifo, state=_STATES.WAITING)
        _record_resent(actor, webhook, {"event": public_id(EVENT, event_id)}, now)
        return Queued(webhook, event_id)

    return claimed(claim, work)


def resend_since(
    actor: Actor, webhook_id: UUID, since: datetime, until: datetime | None, *, claim: Claim | None = None
) -> Queued | StoredAnswer:
    """Send again all events of this webhook from ``since`` to before ``until``, or to now.

    Raises Archived, Invalid, NotFound, PermissionDenied, WebhookDisabled and the errors of claims.
    """
    if until is not None and until <= since:
        raise Invalid.at("/until", "The end is not after the beginning.")
    _require_visible(actor, webhook_id)
    feed.tick(waits=True)
    start, end = feed.cursor_at(since), feed.cursor_now()

    def work(now: datetime) -> Queued:
        webhook = _enabled(actor, webhook_id)
        WebhookReplay.objects.create(subscription=webhook, cursor=str(start), end=str(end), since=since, until=until)
        _record_resent(actor, webhook, {"since": since, "until": until}, now)
        return Queued(webhook)

    return claimed(claim, work)


def resend_failed(actor: Actor, webhook_id: UUID, *, claim: Claim | None = None) -> Queued | StoredAnswer:
    """Send events that were given up again, each with the whole schedule, and waiting ones at once.

    Raises NotFound, PermissionDenied, WebhookDisabled and the errors of claims.
    """

    def work(now: datetime) -> Queued:
        webhook = _enabled(actor, webhook_id)
        count = queue.hurry(webhook_id) + queue.retry_failed(webhook)
        _record_resent(actor, webhook, {"events": count}, now)
        return Queued(webhook, count=count)

    return claimed(claim, work)


def _record_resent(actor: Actor, webhook: WebhookSubscription, changes: dict[str, Any], now: datetime) -> None:
    record([Entry(actor, actions.WEBHOOK_RESENT, webhook.pk, {"webhook": webhook.name, **changes})], now=now)


def _locked(actor: Actor, webhook_id: UUID) -> WebhookSubscription:
    found = visible_to(actor).select_for_update(no_key=True).filter(pk=webhook_id).first()
    if found is None:
        raise _not_found(webhook_id)
    return found


def _require_visible(actor: Actor, webhook_id: UUID) -> None:
    """Raises NotFound. For reads before the transaction, in which it is checked again."""
    if not visible_to(actor).filter(pk=webhook_id).exists():
        raise _not_found(webhook_id)


def _not_found(webhook_id: UUID) -> NotFound:
    return NotFound(f"There is no webhook {public_id(HOOK, webhook_id)}.")


def _enabled(actor: Actor, webhook_id: UUID) -> WebhookSubscription:
    webhook = _locked(actor, webhook_id)
    if webhook.disabled_at:
        raise WebhookDisabled("The webhook is disabled. Resume it first.")
    return webhook


def _check(actor: Actor, fields: dict[str, Any]) -> None:
    """Check fields that were given. Raises Invalid and PermissionDenied."""
    actor.require_all_warehouses()
    if "url" in fields:
        check_url(fields["url"])
    unknown = sorted(set(fields.get("types", ())) - registered_types())
    if unknown:
        faults = [Fault("/types", Invalid.code, f"There is no type {name}.") for name in unknown[:20]]
        raise Invalid(f"There is no type {unknown[0]}. There are: {', '.join(sorted(registered_types()))}.", faults)
    if actor.store_codes and "store_codes" in fields:
        beyond = sorted(set(fields["store_codes"]) - set(actor.store_codes))
        if beyond or not fields["store_codes"]:
            raise PermissionDenied("A client that is limited to some stores adds webhooks of these stores alone.")


def _told(fields: dict[str, Any]) -> dict[str, Any]:
    """Fields as an audit entry has them."""
    names = {"store_codes": "stores", "product_ids": "products", "is_paused": "paused"}
    return {names.get(name, name): value for name, value in fields.items()}
