"""Scenes of events: the feed, the inbox and webhooks."""

from typing import Any, Final

from django.utils import timezone

from audit import feed
from audit.models import Tick, WebhookAttempt, WebhookSubscription
from audit.webhooks import managing
from tests.contract.scenes.stage import TENT, UNKNOWN, Asked, Stage, item, scene

_HOOK: Final = {"name": "order service", "url": "https://orders.example.com/inventory"}
_EVENT: Final = "InventoryReservedEvent"
_LONG_AGO: Final = "2020-01-01T00:00:00Z"


def _tick(stage: Stage) -> None:
    """Store a snapshot that shows what this transaction has written: a later transaction must have ended for that."""
    stage.rival.execute("SELECT pg_current_xact_id()")
    feed.tick()


@scene("listEvents", "200")
def _(stage: Stage) -> Asked:
    stage.hold(2)
    _tick(stage)
    return Asked(query=f"types={_EVENT}")


@scene("listEvents", "unknown_store")
@scene("streamEvents", "unknown_store")
def _(stage: Stage) -> Asked:
    return Asked(query="storeId=nowhere")


def _delete_events(stage: Stage) -> None:
    """Delete all events but the last, as those past their retention are."""
    for quantity in (1, 2):
        stage.stock(quantity)
        _tick(stage)
    Tick.objects.exclude(number=Tick.objects.latest("number").number).delete()


@scene("listEvents", "archived")
@scene("streamEvents", "archived")
def _(stage: Stage) -> Asked:
    _delete_events(stage)
    return Asked(query="after=0.0.0")


_ORDERED: Final = {"orderId": "order-1001", "storeId": "main", "items": [item(2)]}
_CREATED: Final = {"eventId": "order-1001-created", "type": "OrderCreatedEvent", "data": _ORDERED}
_CLOUD_EVENT: Final = {
    "specversion": "1.0",
    "id": "order-1001-created",
    "source": "/orders",
    "type": "OrderCreatedEvent",
    "data": _ORDERED,
}
_RECEIVED: Final[dict[str, tuple[str, Any]]] = {
    "202": ("application/json", [_CREATED]),
    "202 cloud event": ("application/cloudevents+json", _CLOUD_EVENT),
    "202 cloud events": ("application/cloudevents-batch+json", [_CLOUD_EVENT]),
}
for _answer, (_media_type, _events) in _RECEIVED.items():

    @scene("receiveEvents", _answer)
    def _(stage: Stage, media_type: str = _media_type, body: Any = _events) -> Asked:
        stage.stock(10)
        return Asked(body, headers={"Content-Type": media_type})


# ----------------------------------------------------------------------------------------------------------- webhooks


def _webhook(stage: Stage) -> dict[str, str]:
    """A webhook, as the name in the path."""
    return {"webhookId": stage.done("POST", "/api/v1/webhooks", _HOOK)["webhookId"]}


def _disabled(stage: Stage) -> dict[str, str]:
    names = _webhook(stage)
    WebhookSubscription.objects.update(disabled_at=timezone.now(), disabled_because="gone")
    return names


@scene("listWebhooks", "200")
def _(stage: Stage) -> Asked:
    _webhook(stage)
    return Asked()


@scene("createWebhook", "201")
def _(stage: Stage) -> Asked:
    return Asked({**_HOOK, "types": [_EVENT]})


@scene("createWebhook", "archived")
def _(stage: Stage) -> Asked:
    _delete_events(stage)
    return Asked({**_HOOK, "since": _LONG_AGO})


@scene("createWebhook", "too_many_webhooks")
def _(stage: Stage) -> Asked:
    stage.patch.setattr(managing, "MOST_WEBHOOKS", 0)
    return Asked(_HOOK)


for _code, _field in {
    "unknown_product": {"productIds": [str(UNKNOWN)]},
    "unknown_store": {"storeIds": ["nowhere"]},
}.items():

    @scene("createWebhook", _code)
    def _(stage: Stage, field: dict[str, Any] = _field) -> Asked:
        return Asked({**_HOOK, **field})

    @scene("changeWebhook", _code)
    def _(stage: Stage, field: dict[str, Any] = _field) -> Asked:
        return Asked(field, _webhook(stage))


@scene("readWebhook", "200")
def _(stage: Stage) -> Asked:
    return Asked(names=_webhook(stage))


@scene("deleteWebhook", "200")
@scene("testWebhook", "202")
def _(stage: Stage) -> Asked:
    return Asked(names=_webhook(stage))


@scene("changeWebhook", "200")
def _(stage: Stage) -> Asked:
    return Asked({"status": "paused"}, _webhook(stage))


@scene("listWebhookAttempts", "200")
def _(stage: Stage) -> Asked:
    names = _webhook(stage)
    WebhookAttempt.objects.create(
        at=timezone.now(),
        subscription_id=WebhookSubscription.objects.get().pk,
        event_id=TENT,
        type=_EVENT,
        key=f"res-{TENT}",
        cursor="",
        number=1,
        url=_HOOK["url"],
        request={"webhook-id": f"ev-{TENT}"},
        bytes=412,
        status=204,
        answer="",
        milliseconds=12,
        is_delivered=True,
    )
    return Asked(names=names)


@scene("testWebhook", "webhook_disabled")
def _(stage: Stage) -> Asked:
    return Asked(names=_disabled(stage))


@scene("resendWebhookEvents", "202")
def _(stage: Stage) -> Asked:
    return Asked({"failed": True}, _webhook(stage))


@scene("resendWebhookEvents", "webhook_disabled")
def _(stage: Stage) -> Asked:
    return Asked({"failed": True}, _disabled(stage))


@scene("resendWebhookEvents", "archived")
def _(stage: Stage) -> Asked:
    names = _webhook(stage)
    _delete_events(stage)
    return Asked({"since": _LONG_AGO}, names)


@scene("rotateWebhookSecret", "200")
def _(stage: Stage) -> Asked:
    return Asked({"overlapHours": 24}, _webhook(stage))


@scene("rotateWebhookSecret", "too_many_secrets")
def _(stage: Stage) -> Asked:
    names = _webhook(stage)
    for _ in range(4):
        stage.done("POST", f"/api/v1/webhooks/{names['webhookId']}/rotate", {"overlapHours": 24})
    return Asked({"overlapHours": 24}, names)
