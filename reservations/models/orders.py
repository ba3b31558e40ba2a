"""What the inbox of order events remembers: events it has received, what it knows of orders, and dead letters."""

from typing import Self

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from uuid_utils.compat import uuid7

LONGEST_SOURCE = 300
LONGEST_EVENT_ID = 255


class Result(models.TextChoices):
    """What became of an incoming event."""

    APPLIED = "applied", _("Applied")
    UNCHANGED = "unchanged", _("Nothing to change")
    REMEMBERED = "remembered", _("Remembered for later")
    REFUSED = "refused", _("Refused")
    DEAD_LETTER = "dead_letter", _("Dead letter")


class ReceivedEvent(models.Model):
    """An incoming event that was decided, written in the transaction that acted on it.

    A sender may send an event again: the second one finds this row, does nothing, and gets ``outcome``. ``source`` and
    ``event_id`` are unique for each client, so that no client can use up the ids of another one.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    client_id = models.UUIDField()
    source = models.CharField(max_length=LONGEST_SOURCE, blank=True)
    event_id = models.CharField(max_length=LONGEST_EVENT_ID)
    type = models.CharField(max_length=64)
    subject = models.CharField(max_length=64)
    result = models.CharField(max_length=11, choices=Result.choices)
    outcome = models.JSONField()
    received_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(name="event_received_once", fields=["client_id", "source", "event_id"])]
        indexes = [
            models.Index(name="received_at", fields=["received_at"]),
            models.Index(name="received_about", fields=["subject"]),
        ]

    def __str__(self) -> str:
        return f"{self.type} {self.event_id}"


class OrderNote(models.Model):
    """One thing that is known of an order from its events, whether or not it has reservations.

    ``stores`` are the codes of the stores that the note holds for, separated by commas; empty means all stores. It is
    the store of a created order, and otherwise the stores in the sender's reach, as the event names no store.
    """

    class Kind(models.TextChoices):
        CREATED = "CREATED", _("Created")
        CANCELLED = "CANCELLED", _("Cancelled")
        COMPLETED = "COMPLETED", _("Completed")
        PAYMENT_EXPIRED = "PAYMENT_EXPIRED", _("Payment expired")

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    order_id = models.CharField(max_length=64)
    kind = models.CharField(max_length=15, choices=Kind.choices)
    stores = models.TextField(blank=True)
    reason = models.CharField(max_length=500, blank=True)
    noted_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(name="order_noted_once", fields=["order_id", "kind", "stores"])]
        indexes = [models.Index(name="noted_at", fields=["noted_at"])]

    def __str__(self) -> str:
        return f"{self.order_id} {self.kind}"


class DeadLetterQuerySet(models.QuerySet["DeadLetter"]):
    """Queries of dead letters."""

    def waiting(self) -> Self:
        """Letters that nobody has replayed or discarded yet."""
        return self.filter(status="WAITING")


class DeadLetter(models.Model):
    """An incoming message that was put aside, with the reason, so that those after it go on.

    ``place`` names where it came from: ``http``, or the stream and the position in it. ``digest`` is the SHA-256 of the
    client, the place and the message: a message that is read again, after a crash, is not put aside twice.
    """

    class Status(models.TextChoices):
        WAITING = "WAITING", _("Waiting")
        REPLAYED = "REPLAYED", _("Replayed")
        DISCARDED = "DISCARDED", _("Discarded")

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    digest = models.BinaryField(unique=True)
    client_id = models.UUIDField()
    place = models.CharField(max_length=300)
    type = models.CharField(max_length=255, blank=True)
    event_id = models.CharField(max_length=LONGEST_EVENT_ID, blank=True)
    message = models.BinaryField()
    code = models.CharField(max_length=64)
    reason = models.TextField()
    received_at = models.DateTimeField()
    status = models.CharField(max_length=9, choices=Status.choices, default=Status.WAITING)
    settled_at = models.DateTimeField(null=True)
    settled_by = models.CharField(max_length=150, blank=True, default="", db_default="")

    objects = DeadLetterQuerySet.as_manager()

    class Meta:
        permissions = [("settle_deadletter", "Can replay and discard dead letters")]
        constraints = [
            models.CheckConstraint(
                name="letter_status_agrees", condition=Q(status="WAITING") ^ Q(settled_at__isnull=False)
            )
        ]
        indexes = [models.Index(name="letter_by_time", fields=["received_at"])]

    def __str__(self) -> str:
        return f"{self.type or self.place}: {self.code}"
