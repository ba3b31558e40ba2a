"""Shortage incidents and their broken holds."""

from typing import Self

from django.contrib.postgres.indexes import OpClass
from django.db import models
from django.db.models import Q
from django.db.models.functions import Cast, Reverse
from django.utils.translation import gettext_lazy as _
from uuid_utils.compat import uuid7

from audit.actors import Actor
from audit.identifiers import INCIDENT, public_id, short_id
from inventory.models import StockLevel
from inventory.models.catalogue_querysets import in_reach
from reservations.models.holds import Reservation


def _reversed_id() -> Reverse:
    """The id as text, backwards: what begins with a text there ends with it here."""
    return Reverse(Cast("id", models.TextField()))


class ShortageIncidentQuerySet(models.QuerySet["ShortageIncident"]):
    """Queries of incidents."""

    def visible_to(self, actor: Actor) -> Self:
        """Incidents in warehouses within the actor's reach."""
        return self.filter(in_reach(actor, "level__warehouse"))

    def unresolved(self) -> Self:
        """Incidents that are not resolved yet."""
        return self.filter(status="OPEN")

    def ending_so(self, end: str) -> Self:
        """Incidents whose id ends with these hexadecimal digits, at most 12."""
        return self.alias(reversed_id=_reversed_id()).filter(reversed_id__startswith=end[::-1].lower())


class ShortageIncident(models.Model):
    """The record that holds were broken because a level had fewer units than were held on it.

    See docs/explanation/rules.md, rule 17. ``missing_units`` is the difference; ``cause_id`` is the count or adjustment
    that found it. OPEN until staff record how it was resolved.
    """

    class Cause(models.TextChoices):
        COUNT = "COUNT", _("Count")
        ADJUSTMENT = "ADJUSTMENT", _("Forced adjustment")

    class Status(models.TextChoices):
        OPEN = "OPEN", _("Open")
        RESOLVED = "RESOLVED", _("Resolved")

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    level = models.ForeignKey(StockLevel, on_delete=models.PROTECT, related_name="incidents")
    missing_units = models.IntegerField()
    cause_type = models.CharField(max_length=10, choices=Cause.choices)
    cause_id = models.UUIDField()
    created_at = models.DateTimeField()
    created_by = models.CharField(max_length=150)
    request_id = models.CharField(max_length=128)
    status = models.CharField(max_length=8, choices=Status.choices, default=Status.OPEN)
    resolved_at = models.DateTimeField(null=True)
    resolved_by = models.CharField(max_length=150, blank=True, default="", db_default="")
    resolution = models.TextField(blank=True, default="", db_default="")

    objects = ShortageIncidentQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(name="incident_misses_something", condition=Q(missing_units__gt=0)),
            models.CheckConstraint(name="incident_cause_is_known", condition=Q(cause_type__in=["COUNT", "ADJUSTMENT"])),
            models.CheckConstraint(
                name="incident_status_agrees",
                condition=Q(status="OPEN", resolved_at__isnull=True, resolved_by="", resolution="")
                | (Q(status="RESOLVED", resolved_at__isnull=False) & ~Q(resolved_by="") & ~Q(resolution="")),
            ),
            models.UniqueConstraint(name="incident_once", fields=["cause_id", "level"]),
        ]
        indexes = [
            models.Index(name="incident_open", fields=["created_at"], condition=Q(status="OPEN")),
            models.Index(OpClass(_reversed_id(), name="text_pattern_ops"), name="incident_id_end"),
        ]

    def __str__(self) -> str:
        return short_id(self.id)

    @property
    def public_id(self) -> str:
        """``inc-<uuid>``, the id that callers know."""
        return public_id(INCIDENT, self.id)


class BrokenHold(models.Model):
    """A hold that was broken in an incident, with its order, cart and customer. ``quantity`` is what it held on the
    incident's level."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    incident = models.ForeignKey(
        ShortageIncident, on_delete=models.PROTECT, related_name="broken_holds", db_index=False
    )
    # No constraint in the database: the incident outlives the reservation, which is archived some day.
    reservation = models.ForeignKey(Reservation, on_delete=models.PROTECT, related_name="+", db_constraint=False)
    order_id = models.CharField(max_length=64, null=True)
    cart_id = models.CharField(max_length=64, null=True)
    customer_id = models.CharField(max_length=64, null=True)
    quantity = models.IntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(name="broken_hold_once", fields=["incident", "reservation"]),
            models.CheckConstraint(name="broken_hold_held_something", condition=Q(quantity__gt=0)),
        ]
        indexes = [
            models.Index(name="broken_hold_order", fields=["order_id"], condition=Q(order_id__isnull=False)),
        ]

    def __str__(self) -> str:
        return f"{self.quantity} of {self.reservation_id}"
