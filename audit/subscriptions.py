"""Models of webhooks: subscriptions, deliveries that are pending or have failed, and the log of attempts
(``audit.webhooks``)."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _
from uuid_utils.compat import uuid7


class WebhookSubscription(models.Model):
    """An address that events are sent to. Empty ``types``, ``store_codes`` and ``product_ids`` mean all.

    ``cursor`` is how far the log of events has been turned into deliveries. ``keys`` are the signing keys, the newest
    first; their secrets are encrypted (``audit.webhooks.keys``). ``failing_since`` is the first failure after the last
    success; no request is sent before ``quiet_until``, which the receiver has requested. ``missed_at`` is when it was
    detected that events were deleted before they could be sent.
    """

    class Disabled(models.TextChoices):
        GONE = "gone", _("the receiver answered 410")
        FAILING = "failing", _("it failed for 5 days")

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    name = models.CharField(max_length=100)
    url = models.CharField(max_length=2000)
    types = ArrayField(models.CharField(max_length=64), default=list, blank=True)
    store_codes = ArrayField(models.CharField(max_length=20), default=list, blank=True)
    product_ids = ArrayField(models.UUIDField(), default=list, blank=True)
    fifo = models.BooleanField(default=False, db_default=False)
    is_paused = models.BooleanField(default=False, db_default=False)
    keys = models.JSONField(default=list)
    cursor = models.TextField()
    version = models.BigIntegerField(default=1, db_default=1, editable=False)
    failing_since = models.DateTimeField(null=True, editable=False)
    quiet_until = models.DateTimeField(null=True, editable=False)
    disabled_at = models.DateTimeField(null=True, editable=False)
    disabled_because = models.CharField(max_length=10, choices=Disabled.choices, default="", db_default="")
    notified_at = models.DateTimeField(null=True, editable=False)
    missed_at = models.DateTimeField(null=True, editable=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        verbose_name = "webhook"

    def __str__(self) -> str:
        return self.name

    @property
    def status(self) -> str:
        """``active``, ``paused`` or ``disabled``."""
        return "disabled" if self.disabled_at else "paused" if self.is_paused else "active"


class WebhookDelivery(models.Model):
    """An event that is to be sent to a subscription. Acknowledged ones are deleted.

    ``body`` is the body of the request, the same in each attempt; ``cursor`` is the event's place in the log, empty for
    a test. ``attempts`` counts those of the retry schedule.
    """

    class State(models.TextChoices):
        READY = "READY"
        """To be sent now; kept in the sender's memory."""
        WAITING = "WAITING"
        """To be sent at ``due_at``."""
        BLOCKED = "BLOCKED"
        """Waits for an earlier delivery of its key; only in ordered subscriptions."""
        FAILED = "FAILED"
        """Given up after the last attempt of the schedule."""

    id = models.BigAutoField(primary_key=True)
    subscription = models.ForeignKey(
        WebhookSubscription, on_delete=models.CASCADE, related_name="deliveries", db_index=False
    )
    event_id = models.UUIDField()
    type = models.CharField(max_length=64)
    key = models.CharField(max_length=80)
    cursor = models.CharField(max_length=64)
    body = models.TextField()
    state = models.CharField(max_length=8, choices=State.choices)
    attempts = models.SmallIntegerField(default=0, db_default=0)
    due_at = models.DateTimeField(db_default=Now())
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        default_permissions = ()
        indexes = [
            models.Index(fields=["subscription", "due_at"], condition=Q(state="WAITING"), name="webhook_waiting"),
            models.Index(fields=["subscription", "id"], condition=Q(state="READY"), name="webhook_ready"),
            models.Index(fields=["subscription", "id"], condition=Q(state="FAILED"), name="webhook_failed"),
            models.Index(fields=["subscription", "key", "id"], name="webhook_of_key"),
        ]

    def __str__(self) -> str:
        return f"{self.type} {self.key}"


class WebhookReplay(models.Model):
    """A request to send the events of a time again: those still to be sent are after the cursor ``cursor``, up to the
    cursor ``end``."""

    id = models.BigAutoField(primary_key=True)
    subscription = models.ForeignKey(WebhookSubscription, on_delete=models.CASCADE, related_name="replays")
    cursor = models.TextField()
    end = models.TextField()
    since = models.DateTimeField()
    until = models.DateTimeField(null=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.since}…"


class WebhookAttempt(models.Model):
    """An attempt to deliver an event. The table is partitioned by ``at``; rows outlive their subscription.

    ``request`` are the headers without signatures, ``status`` the answer's, null if there was none; ``answer`` is its
    beginning, or what went wrong. ``number`` counts the attempts of the delivery.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    at = models.DateTimeField()
    subscription_id = models.UUIDField()
    event_id = models.UUIDField()
    type = models.CharField(max_length=64)
    key = models.CharField(max_length=80)
    cursor = models.CharField(max_length=64)
    number = models.SmallIntegerField()
    url = models.CharField(max_length=2000)
    request = models.JSONField()
    bytes = models.IntegerField()
    status = models.SmallIntegerField(null=True)
    answer = models.CharField(max_length=1024)
    milliseconds = models.IntegerField()
    is_delivered = models.BooleanField()

    class Meta:
        verbose_name = "webhook attempt"
        default_permissions = ("view",)

    def __str__(self) -> str:
        return f"{self.type} {self.number}"
