"""Mail to the people who manage webhooks when one was disabled."""

from typing import Final
from uuid import UUID

from django.contrib.auth import get_user_model
from django.core.mail import send_mail
from django.db import connection, transaction
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from audit.subscriptions import WebhookSubscription

MANAGES: Final = "audit.change_webhooksubscription"
"""The permission of those who manage webhooks."""
_RIGHTS: Final = "django.contrib.auth.backends.ModelBackend"


_ALONE: Final = "SELECT pg_try_advisory_xact_lock(hashtextextended('audit.webhooks.notices ' || %s, 0))"


def notify_of_disabled(subscription_id: UUID) -> None:
    """Send a mail to the people who manage webhooks that one was disabled, and record that it was sent. Does nothing
    while another process does. Opens the transaction, which locks the row at its end alone.

    Raises errors of the mail server; it is tried again then.
    """
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(_ALONE, [str(subscription_id)])
            if cursor.fetchone()[0]:
                _notify(subscription_id)
    finally:
        connection.close()  # The thread ends.


def _notify(subscription_id: UUID) -> None:
    disabled = WebhookSubscription.objects.filter(pk=subscription_id, disabled_at__isnull=False, notified_at=None)
    webhook = disabled.first()
    if webhook is None:
        return
    if addresses := _addresses():
        subject = _("Webhook “%(name)s” was disabled") % {"name": webhook.name}
        send_mail(subject, _text(webhook), None, addresses)
    disabled.filter(disabled_at=webhook.disabled_at).update(notified_at=Now())


def _addresses() -> list[str]:
    found = get_user_model()._default_manager.with_perm(MANAGES, backend=_RIGHTS).filter(is_staff=True)
    return sorted({address for address in found.values_list("email", flat=True) if address})


def _text(webhook: WebhookSubscription) -> str:
    why = (
        _("Its receiver answered 410 Gone: it no longer accepts events.")
        if webhook.disabled_because == WebhookSubscription.Disabled.GONE
        else _("Its receiver has acknowledged nothing for 5 days.")
    )
    return _(
        "Events are no longer sent to %(url)s.\n\n%(why)s\n\nThey are kept for the time of EVENT_RETENTION_DAYS. Once"
        " the receiver is in order, resume the webhook in the console, or with PATCH /api/v1/webhooks/%(id)s and"
        ' {"status": "active"}: it goes on where it stopped.\n'
    ) % {"url": webhook.url, "why": why, "id": f"hook-{webhook.pk}"}
