"""Webhooks from an event to its receiver: signed, acknowledged, recorded."""

from base64 import b64decode

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from standardwebhooks import Webhook as StandardWebhook
from svix.webhooks import Webhook as SvixWebhook

from audit.models import WebhookDelivery
from audit.webhooks.keys import load
from tests.audit.webhooks.receiver import HttpReceiver, wait_until
from tests.audit.webhooks.sender import attempts_of, publish, sending, subscribed

pytestmark = pytest.mark.django_db(transaction=True)


def test_an_event_is_sent_signed_and_recorded() -> None:
    with HttpReceiver() as receiver, sending():
        made = subscribed(receiver.url())
        (event_id,) = publish("res-1", storeId="main")
        (received,) = receiver.wait_for(1)
        wait_until(lambda: not WebhookDelivery.objects.exists())
        (attempt,) = attempts_of(made.webhook)
    assert received.id == event_id
    assert received.headers["content-type"] == "application/json"
    assert received.event["type"] == "InventoryReservedEvent"
    assert received.event["key"] == "res-1"
    assert received.event["data"]["eventId"] == received.event["eventId"] == event_id
    assert received.event["data"]["storeId"] == "main"
    assert made.secret
    StandardWebhook(made.secret).verify(received.body, received.headers)
    SvixWebhook(made.secret).verify(received.body, received.headers)
    signature = next(each for each in received.headers["webhook-signature"].split() if each.startswith("v1a,"))
    public = next(key.public for key in load(made.webhook.keys) if key.scheme == "v1a")
    content = f"{received.id}.{received.headers['webhook-timestamp']}.".encode() + received.body
    key = Ed25519PublicKey.from_public_bytes(b64decode(public.removeprefix("whpk_")))
    key.verify(b64decode(signature.removeprefix("v1a,")), content)
    assert (attempt.status, attempt.number, attempt.is_delivered, attempt.bytes) == (204, 1, True, len(received.body))
    assert attempt.request["webhook-signature"] == "v1,… v1a,…"
