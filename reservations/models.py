"""Holds: who has what until when, and how each of them ended."""

from django.db import models
from django.db.models import Q
from uuid_utils.compat import uuid7

from audit.identifiers import RESERVATION, public_id
from inventory.models import StockLevel, Store
from reservations.querysets import ReservationQuerySet


class Reservation(models.Model):
    """The document of a hold: ACTIVE, then exactly one of CONSUMED, EXPIRED and RELEASED, and never again.

    ``released_at`` is when the stock was given back (for an EXPIRED one: when that was recorded; it was dead from
    ``expires_at`` on).
    """

    class Status(models.TextChoices):
        ACTIVE = "ACTIVE", "Active"
        CONSUMED = "CONSUMED", "Consumed"
        EXPIRED = "EXPIRED", "Expired"
        RELEASED = "RELEASED", "Released"

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
            models.Index(name="reservation_due", fields=["expires_at"], condition=Q(status="ACTIVE")),
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
