"""Reservations and their items."""

from typing import Self
from uuid import UUID

from django.apps import apps
from django.db import models
from django.db.models import Exists, OuterRef, Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _
from uuid_utils.compat import uuid7

from audit import hidden
from audit.actors import Actor
from audit.identifiers import RESERVATION, public_id, short_id
from inventory.models import StockLevel, Store


class ReservationQuerySet(models.QuerySet["Reservation"]):
    """Queries of reservations. ``Now`` is the database's clock."""

    def visible_to(self, actor: Actor) -> Self:
        """Reservations in the actor's reach: of its stores, and with an item in one of its warehouses."""
        seen = self.filter(store__code__in=actor.store_codes) if actor.store_codes else self
        if actor.warehouse_codes is not None:
            here = ReservationItem.objects.filter(level__warehouse__code__in=actor.warehouse_codes)
            seen = seen.filter(Exists(here.filter(reservation=OuterRef("pk"))))
        return seen

    def due(self) -> Self:
        """Reservations that are ACTIVE and past ``expires_at`` (docs/explanation/rules.md, rule 3)."""
        return self.filter(status="ACTIVE", expires_at__lte=Now())

    def in_state(self, status: str) -> Self:
        """Reservations with this status, due ones counting as EXPIRED."""
        if status == "ACTIVE":
            return self.filter(status="ACTIVE", expires_at__gt=Now())
        if status == "EXPIRED":
            return self.filter(Q(status="EXPIRED") | Q(status="ACTIVE", expires_at__lte=Now()))
        return self.filter(status=status)

    def matching(
        self,
        *,
        cart_id: str | None,
        order_id: str | None,
        customer_id: str | None,
        product_id: UUID | None,
        variant_id: UUID | None,
    ) -> Self:
        """Reservations with these caller's ids, of this product (with its variants) or variant. None means any."""
        found = self
        for field, value in (("cart_id", cart_id), ("order_id", order_id), ("customer_id", customer_id)):
            if value is not None:
                found = found.filter(**{field: value})
        if product_id is not None or variant_id is not None:
            items = apps.get_model("reservations", "ReservationItem")._default_manager
            of_product = Q(level__product_id=variant_id) if variant_id else Q()
            if product_id:
                of_product &= Q(level__product_id=product_id) | Q(level__product__parent_id=product_id)
            found = found.filter(Exists(items.filter(of_product, reservation_id=OuterRef("pk"))))
        return found


def _by_bytes(name: str) -> models.Index:
    """An index of one of the shops' ids that finds equal ids and, in any collation of the database, what begins with a
    text."""
    return models.Index(
        name=f"reservation_{name}_start",
        fields=[f"{name}_id"],
        opclasses=["varchar_pattern_ops"],
        condition=Q(**{f"{name}_id__isnull": False}),
    )


class Reservation(models.Model):
    """The document of a hold. Its status is ACTIVE, then finally one of CONSUMED, EXPIRED and RELEASED.

    ``released_at`` is when the stock was given back. For an EXPIRED one it is when the expiry was recorded; the hold
    ended at ``expires_at``.
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

    objects = hidden.HidingManager.from_queryset(ReservationQuerySet)("store", hidden.STORE_ID)
    everything = ReservationQuerySet.as_manager()

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
            *map(_by_bytes, ("cart", "order", "customer")),
        ]

    def __str__(self) -> str:
        return short_id(self.id)

    @property
    def public_id(self) -> str:
        """``res-<uuid>``, the id that callers know."""
        return public_id(RESERVATION, self.id)


class ReservationItem(models.Model):
    """Units of one stock level that a reservation holds.

    ``held_until`` is the reservation's ``expires_at`` while it is ACTIVE, and null afterwards: with its partial index
    the active and due holds on a level are found without reading closed reservations, however many there are.
    ``pinned`` means that the caller named the warehouse; otherwise it was sourced.
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
