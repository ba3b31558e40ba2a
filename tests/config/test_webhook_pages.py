"""Webhooks in the console: added with a secret that is shown once, changed, tested, paused, sent again, deleted."""

import pytest
from django.test import Client
from django.urls import reverse

from audit.models import WebhookDelivery, WebhookReplay, WebhookSubscription
from inventory.models import Store
from tests.config.test_admin import make_webhook
from tests.factories import make_product
from tests.forms import open_form
from tests.staff import browser_of, make_staff, post

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("store")]


@pytest.fixture
def administrator() -> Client:
    return browser_of(make_staff("administrator"))


def url(action: str, webhook: WebhookSubscription) -> str:
    return reverse(f"admin:audit_webhooksubscription_{action}", args=[webhook.pk])


def test_a_webhook_is_added_with_a_secret_on_the_page_and_changed(administrator: Client, store: Store) -> None:
    product = make_product(sku="A-1")
    sent = {
        "name": "robot",
        "url": "https://example.com/hook",
        "reach": "some",
        "stores": ["main"],
        "event_types": ["InventoryReservedEvent"],
        "products": "a-1",
        "fifo": "on",
    }
    page = administrator.post(reverse("admin:audit_webhooksubscription_add"), sent)
    assert page.status_code == 200
    assert "no-store" in page.headers["Cache-Control"]
    assert "whsec_" in page.content.decode()
    webhook = WebhookSubscription.objects.get()
    assert (webhook.store_codes, webhook.types, webhook.product_ids, webhook.fifo) == (
        ["main"],
        ["InventoryReservedEvent"],
        [product.pk],
        True,
    )
    change = reverse("admin:audit_webhooksubscription_change", args=[webhook.pk])
    shown = administrator.get(change).content.decode()
    assert "whsec_" not in shown
    assert "whpk_" in shown
    assert administrator.post(change, open_form(administrator, change, name="other", products="")).status_code == 302
    webhook.refresh_from_db()
    assert (webhook.name, webhook.product_ids, webhook.types) == ("other", [], ["InventoryReservedEvent"])
    for wrong in ({"url": "https://10.0.0.1/"}, {"products": "no such"}, {"stores": []}):
        refused = administrator.post(reverse("admin:audit_webhooksubscription_add"), {**sent, "name": "x", **wrong})
        assert (refused.status_code, WebhookSubscription.objects.count()) == (200, 1), wrong


def test_the_dialogs_of_a_webhook(administrator: Client) -> None:
    webhook = make_webhook()
    assert "is paused" in post(administrator, url("pause", webhook)).content.decode()
    webhook.refresh_from_db()
    assert webhook.status == "paused"
    assert "is active" in post(administrator, url("resume", webhook)).content.decode()
    post(administrator, url("send_test", webhook))
    assert WebhookDelivery.objects.get().type == "WebhookTestEvent"
    WebhookDelivery.objects.update(state="FAILED")
    assert "sent again" in post(administrator, url("resend", webhook), what="failed").content.decode()
    post(administrator, url("resend", webhook), what="time", since="2199-01-01T00:00")
    assert WebhookReplay.objects.count() == 1
    assert post(administrator, url("resend", webhook), what="time").status_code == 422
    assert post(administrator, url("resend", webhook), what="event", event="ev-1").status_code == 422
    secret = post(administrator, url("replace_secret", webhook), hours="24")
    assert "whsec_" in secret.content.decode()
    assert "no-store" in secret.headers["Cache-Control"]
    assert len(WebhookSubscription.objects.get().keys) == 4
    assert "was deleted" in post(administrator, url("remove", webhook)).content.decode()
    assert not WebhookSubscription.objects.exists()


def test_a_disabled_webhook_can_be_resumed_alone() -> None:
    webhook = make_webhook()
    WebhookSubscription.objects.update(disabled_at="2026-01-01T00:00:00Z", disabled_because="gone")
    browser = browser_of(make_staff("administrator"))
    page = browser.get(reverse("admin:audit_webhooksubscription_change", args=[webhook.pk])).content.decode()
    assert "answered 410" in page
    assert url("resume", webhook) in page
    assert url("pause", webhook) not in page
    assert url("send_test", webhook) not in page
    refused = post(browser, url("send_test", webhook))
    assert refused.status_code == 422


def test_an_auditor_reads_webhooks_and_changes_none() -> None:
    webhook = make_webhook()
    browser = browser_of(make_staff("auditor"))
    page = browser.get(reverse("admin:audit_webhooksubscription_change", args=[webhook.pk]))
    assert page.status_code == 200
    assert "https://example.com/" in page.content.decode()
    for action in ("pause", "resume", "send_test", "resend", "replace_secret", "remove"):
        assert post(browser, url(action, webhook)).status_code == 403
