"""Holds: who has what until when, and how each of them ended."""

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from uuid_utils.compat import uuid7

from audit.identifiers import INCIDENT, RESERVATION, public_id
from inventory.models import StockLevel, Store
from reservations.querysets import ReservationQuerySet, ShortageIncidentQuerySet


class Reservation(models.Model):
    """The document of a hold: ACTIVE, then exactly one of CONSUMED, EXPIRED and RELEASED, and never again.

    ``released_at`` is when the stock was given back (for an EXPIRED one: when that was recorded; it was dead from
    ``expires_at`` on).
    """

    class Status(models.TextChoices):
        ACTIVE = "ACTIVE", _("Active")
        CONSUMED = "CONSUMED", _("Consumed")
        EXPIRED = "EXPIRED", _("Expired")
        RELEASED = "RELEASED", _("Released")

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    # No constraint in the database: see Store.
    store = models.ForeignKey(Store, on_delete=models.PROTECT, related_name="+", db_constraint=False, db_index=False)
    status = models.CharField(max_length=8, choices=Status.choices, default=Status.ACTIVE)
    cart_id = models.CharField(max_length=64, null=True)
    order_id = models.CharField(max_length=64, null=True)
    customer_id = models.CharField(max_length=64, null=True)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    extended_at = models.DateTimeField(null=True)
    consumed_at = models.DateTimeField(null=True)
    released_at = models.DateTimeField(null=True)
    reason = models.CharField(max_length=500, blank=True)
    client_id = models.UUIDField(null=True)
    reacquired_from = models.ForeignKey("self", null=True, on_delete=models.PROTECT, related_name="+", db_index=False)

    objects = ReservationQuerySet.as_manager()

    class Meta:
        permissions = [
            ("release_reservation", "Can release reservations"),
            ("extend_reservation", "Can extend reservations"),
            ("consume_reservation", "Can consume reservations for an order"),
            ("settle_incident", "Can settle shortage incidents"),
        ]
        constraints = [
            models.CheckConstraint(
                name="reservation_status_agrees",
                condition=Q(status="ACTIVE", consumed_at__isnull=True, released_at__isnull=True)
                | Q(status="CONSUMED", consumed_at__isnull=False, released_at__isnull=True, order_id__isnull=False)
                | Q(status__in=["EXPIRED", "RELEASED"], consumed_at__isnull=True, released_at__isnull=False),
            ),
            models.CheckConstraint(
                name="reservation_is_for_something", condition=Q(cart_id__isnull=False) | Q(order_id__isnull=False)
            ),
            models.UniqueConstraint(
                name="reservation_reacquired_once",
                fields=["reacquired_from"],
                condition=Q(reacquired_from__isnull=False),
            ),
        ]
        indexes = [
            models.Index(name="reservation_due_order", fields=["expires_at", "id"], condition=Q(status="ACTIVE")),
            models.Index(name="reservation_cart", fields=["cart_id"], condition=Q(cart_id__isnull=False)),
            models.Index(name="reservation_order", fields=["order_id"], condition=Q(order_id__isnull=False)),
            models.Index(name="reservation_customer", fields=["customer_id"], condition=Q(customer_id__isnull=False)),
        ]

    def __str__(self) -> str:
        return self.public_id

    @property
    def public_id(self) -> str:
        """``res-<uuid>``, the id that callers know."""
        return public_id(RESERVATION, self.id)


class ReservationItem(models.Model):
    """Units of one stock level that a reservation holds.

    ``held_until`` is the reservation's ``expires_at`` for as long as it is ACTIVE, and null ever after: its partial
    index answers "what stands against this level, and what of it is due" without a look at closed reservations,
    however many there are. ``pinned`` says that the caller named the warehouse; if not, it was sourced.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    reservation = models.ForeignKey(Reservation, on_delete=models.PROTECT, related_name="items", db_index=False)
    level = models.ForeignKey(StockLevel, on_delete=models.PROTECT, related_name="items", db_index=False)
    quantity = models.IntegerField()
    unit_price = models.DecimalField(max_digits=12, decimal_places=2, null=True)
    pinned = models.BooleanField()
    held_until = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["reservation", "level"], name="item_once_per_level"),
            models.CheckConstraint(condition=Q(quantity__gt=0), name="item_holds_something"),
        ]
        indexes = [
            models.Index(name="item_held", fields=["level", "held_until"], condition=Q(held_until__isnull=False)),
        ]

    def __str__(self) -> str:
        return f"{self.quantity} of {self.level_id}"


class ShortageIncident(models.Model):
    """That a level had fewer units than were held on it, so that holds were broken (architecture, decision 10).

    ``missing_units`` is by how much; ``cause_id`` the count or adjustment that found it. OPEN until staff say how it
    was resolved.
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
        indexes = [models.Index(name="incident_open", fields=["created_at"], condition=Q(status="OPEN"))]

    def __str__(self) -> str:
        return self.public_id

    @property
    def public_id(self) -> str:
        """``inc-<uuid>``, the id that callers know."""
        return public_id(INCIDENT, self.id)


class BrokenHold(models.Model):
    """A hold that gave way in an incident, and for whom it was. ``quantity`` is what it held on that level."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    incident = models.ForeignKey(
        ShortageIncident, on_delete=models.PROTECT, related_name="broken_holds", db_index=False
    )
    # No constraint in the database: the incident outlives the reservation, which goes to the archive one day.
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

    def __str__(self) -> str:
        return f"{self.quantity} of {self.reservation_id}"
