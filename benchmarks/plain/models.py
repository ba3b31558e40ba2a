"""The tables."""

from django.db import models
from django.db.models import F, Q


class Product(models.Model):
    """What is sold."""

    sku = models.CharField(max_length=64, unique=True)
    name = models.CharField(max_length=200)
    is_active = models.BooleanField(default=True)


class Warehouse(models.Model):
    """A place with stock."""

    code = models.CharField(max_length=20, unique=True)
    name = models.CharField(max_length=100)


class StockLevel(models.Model):
    """One product in one warehouse."""

    product = models.ForeignKey(Product, on_delete=models.PROTECT, related_name="levels")
    warehouse = models.ForeignKey(Warehouse, on_delete=models.PROTECT, related_name="levels")
    on_hand = models.PositiveIntegerField(default=0)
    reserved = models.PositiveIntegerField(default=0)
    safety_stock = models.PositiveIntegerField(default=0)
    reorder_point = models.PositiveIntegerField(null=True)
    reorder_quantity = models.PositiveIntegerField(null=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["product", "warehouse"], name="plain_level_once"),
            models.CheckConstraint(condition=Q(reserved__lte=F("on_hand")), name="plain_reserved_within_on_hand"),
        ]

    @property
    def available(self) -> int:
        """What may still be held."""
        return self.on_hand - self.reserved - self.safety_stock


class Delivery(models.Model):
    """Units on their way to a stock level."""

    level = models.ForeignKey(StockLevel, on_delete=models.PROTECT, related_name="deliveries")
    quantity = models.PositiveIntegerField()
    arrived_at = models.DateTimeField(null=True)


class Movement(models.Model):
    """One change of on hand."""

    level = models.ForeignKey(StockLevel, on_delete=models.PROTECT, related_name="movements")
    type = models.CharField(max_length=16)
    quantity = models.IntegerField()
    reason = models.CharField(max_length=500, blank=True)
    reference = models.CharField(max_length=100, blank=True)
    actor = models.CharField(max_length=150)
    created_at = models.DateTimeField(auto_now_add=True)


class Reservation(models.Model):
    """A hold."""

    class Status(models.TextChoices):
        ACTIVE = "ACTIVE"
        CONSUMED = "CONSUMED"
        EXPIRED = "EXPIRED"
        RELEASED = "RELEASED"

    status = models.CharField(max_length=8, choices=Status.choices, default=Status.ACTIVE)
    cart_id = models.CharField(max_length=64, blank=True, db_index=True)
    order_id = models.CharField(max_length=64, blank=True, db_index=True)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    extended_at = models.DateTimeField(null=True)
    closed_at = models.DateTimeField(null=True)
    reason = models.CharField(max_length=500, blank=True)

    class Meta:
        indexes = [models.Index(fields=["status", "expires_at"], name="plain_reservation_due")]


class ReservationItem(models.Model):
    """Units of one stock level that a reservation holds."""

    reservation = models.ForeignKey(Reservation, on_delete=models.CASCADE, related_name="items")
    level = models.ForeignKey(StockLevel, on_delete=models.PROTECT, related_name="items")
    quantity = models.PositiveIntegerField()


class AuditEntry(models.Model):
    """What was done, by whom and when."""

    at = models.DateTimeField(auto_now_add=True)
    action = models.CharField(max_length=64)
    actor = models.CharField(max_length=150)
    subject = models.CharField(max_length=64, db_index=True)
    changes = models.JSONField()


class OutboxEvent(models.Model):
    """An event to be told."""

    type = models.CharField(max_length=64)
    key = models.CharField(max_length=80)
    payload = models.JSONField()
    created_at = models.DateTimeField(auto_now_add=True)
