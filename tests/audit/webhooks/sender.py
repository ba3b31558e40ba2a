"""Runs the sender of webhooks in a thread, and makes subscriptions and events."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import msgspec
from uuid_utils.compat import uuid7

from audit.models import WebhookAttempt, WebhookDelivery, WebhookSubscription
from audit.webhooks import managing
from audit.webhooks.running import run_webhooks
from tests.audit.feed.writers import Writer
from tests.audit.webhooks.receiver import PATIENCE_SECONDS
from tests.factories import ACTOR


@contextmanager
def sending() -> Iterator[None]:
    """The sender runs within the block; at its end, what is under way ends."""
    stop: list[Any] = []
    ready = threading.Event()

    async def main() -> None:
        stop.extend((asyncio.Event(), asyncio.get_running_loop()))
        ready.set()
        await run_webhooks(stop[0])

    thread = threading.Thread(target=lambda: asyncio.run(main()))
    thread.start()
    assert ready.wait(PATIENCE_SECONDS)
    try:
        yield
    finally:
        stop[1].call_soon_threadsafe(stop[0].set)
        thread.join(PATIENCE_SECONDS)
        assert not thread.is_alive()


def subscribe(url: str, **fields: Any) -> WebhookSubscription:
    """A subscription to what comes from now on."""
    return subscribed(url, **fields).webhook


def subscribed(url: str, **fields: Any) -> managing.Changed:
    """``subscribe``, with the secret."""
    made = managing.create(ACTOR, {"name": "receiver", "url": url, **fields})
    assert isinstance(made, managing.Changed)
    return made


_INSERT = """
INSERT INTO audit_outboxevent (id, aggregatetype, aggregateid, type, payload) VALUES (%s, 'test', %s, %s, %s::jsonb)
"""


def publish(*keys: str, of_type: str = "InventoryReservedEvent", **payload: Any) -> list[str]:
    """Write and commit an event for each key. Returns their ids."""
    ids = []
    with Writer() as writer:
        for key in keys:
            id_ = uuid7()
            ids.append(f"ev-{id_}")
            full = {"eventId": ids[-1], "timestamp": datetime.now(UTC).isoformat(), "n": len(ids), **payload}
            writer._connection.execute(_INSERT, [id_, key, of_type, msgspec.json.encode(full).decode()])
    return ids


def attempts_of(webhook: WebhookSubscription) -> list[WebhookAttempt]:
    """The attempts of a subscription in their order."""
    return list(WebhookAttempt.objects.filter(subscription_id=webhook.pk).order_by("at", "id"))


def make_due(webhook: WebhookSubscription) -> None:
    """Let what waits for another attempt be due."""
    WebhookDelivery.objects.filter(subscription=webhook, state="WAITING").update(due_at=datetime.now(UTC))


def states_of(webhook: WebhookSubscription) -> list[tuple[str, str, int]]:
    """Key, state and attempts of what is not acknowledged, in its order."""
    rows = WebhookDelivery.objects.filter(subscription=webhook).order_by("id")
    return list(rows.values_list("key", "state", "attempts"))
