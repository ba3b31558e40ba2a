"""Reservations and their items."""

from collections.abc import Collection, Iterable
from typing import Any, Final, Self
from uuid import UUID

import pgtrigger
from django.db import models
from django.db.models import Exists, F, OuterRef, Q, Subquery
from django.db.models.functions import Greatest, Now
from django.db.models.lookups import IsNull
from django.utils.translation import gettext_lazy as _
from uuid_utils.compat import uuid7

from audit import hidden
from audit.actors import Actor
from audit.identifiers import RESERVATION, public_id, short_id
from inventory.models import Product, StockLevel, Store, Warehouse

_FEW: Final = 2000
"""The most reservations of a product that are found by their ids."""


def updated_at() -> Greatest:
    """When a reservation last changed: the latest of the times that it has. SQL leaves null out."""
    return Greatest("created_at", "extended_at", "changed_at", "consumed_at", "released_at")


class ReservationQuerySet(models.QuerySet["Reservation"]):
    """Queries of reservations. ``Now`` is the database's clock."""

    def visible_to(self, actor: Actor) -> Self:
        """Reservations in the actor's reach: of its stores, and with an item in one of its warehouses."""
        seen = self.of_stores(actor.store_codes) if actor.store_codes else self
        return seen if actor.warehouse_codes is None else seen.with_item_in(actor.warehouse_codes)

    def with_item_in(self, warehouse_codes: Collection[str]) -> Self:
        """Reservations with an item in one of these warehouses.

        Looked up for each reservation that the other conditions leave: PostgreSQL makes a join of an EXISTS, and then
        reads all items there ever were. One query besides its own, for the ids of the warehouses.
        """
        ids = list(Warehouse.objects.filter(code__in=warehouse_codes).values_list("pk", flat=True))
        here = ReservationItem.objects.filter(level__warehouse__in=ids, reservation=OuterRef("pk")).order_by()
        return self.filter(IsNull(Subquery(here.values("pk")[:1]), False))

    def holding_in(self, warehouse_codes: Collection[str]) -> Self:
        """Active reservations with an item in one of these warehouses, found by the items that are held."""
        held = ReservationItem.objects.filter(level__warehouse__code__in=warehouse_codes, held_until__isnull=False)
        return self.filter(status="ACTIVE", pk__in=held.values("reservation"))

    def of_stores(self, codes: Collection[str]) -> Self:
        """Reservations of these stores. One query besides its own: by their ids, the planner knows how many there are,
        and whether to read them by the index of their store or from the newest of all."""
        return self.filter(store_id__in=list(Store.objects.filter(code__in=codes).values_list("pk", flat=True)))

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
            products = Product.objects.filter(pk=variant_id) if variant_id else Product.objects.all()
            if product_id:
                products = products.filter(Q(pk=product_id) | Q(parent=product_id))
            found = found.of_products(products.values_list("pk", flat=True))
        return found

    def of_products(self, product_ids: Iterable[UUID]) -> Self:
        """Reservations of these products. One query besides its own, and that of the ids.

        Few are found by their ids first: the planner, which doesn't know how few they are, would walk all reservations
        from the newest. Many are found soon that way.
        """
        levels = StockLevel.objects.filter(product__in=list(product_ids)).values("pk")
        ids = ReservationItem.objects.reservation_ids(levels, at_most=_FEW + 1)
        if len(ids) <= _FEW:
            return self.filter(pk__in=ids)
        return self.filter(Exists(ReservationItem.objects.filter(level__in=levels, reservation=OuterRef("pk"))))


def _by_bytes(name: str) -> models.Index:
    """An index of one of the shops' ids that finds equal ids and, in any collation of the database, what begins with a
    text."""
    return models.Index(
        name=f"reservation_{name}_start",
        fields=[f"{name}_id"],
        opclasses=["varchar_pattern_ops"],
        condition=Q(**{f"{name}_id__isnull": False}),
    )


def _kept_while_it_has_items() -> pgtrigger.Trigger:
    """Refuse the deletion of a reservation whose items are not deleted in the same transaction."""
    return pgtrigger.Trigger(
        name="kept_with_items",
        when=pgtrigger.After,
        operation=pgtrigger.Delete,
        timing=pgtrigger.Deferred,
        func=(
            "IF EXISTS (SELECT FROM reservations_reservationitem WHERE reservation_id = OLD.id) THEN "
            "RAISE foreign_key_violation USING MESSAGE = 'Reservation ' || OLD.id || ' has items.'; "
            "END IF; RETURN NULL;"
        ),
    )


class Reservation(models.Model):
    """The document of a hold. Its status is ACTIVE, then finally one of CONSUMED, EXPIRED and RELEASED.

    ``changed_at`` is when its items, customer or order were last changed, null if they never were.
    ``released_at`` is when the stock was given back. For an EXPIRED one it is when the expiry was recorded; the hold
    ended at ``expires_at``.

    Items are written with their reservation or under its lock, and a trigger refuses to delete one that has items, so
    that these need no foreign-key check (docs/explanation/adr/0020).
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
    changed_at = models.DateTimeField(null=True)
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
            models.Index(name="reservation_of_store", fields=["store", "id"]),
            models.Index(F("store"), updated_at(), F("id"), name="reservation_updated"),
            *map(_by_bytes, ("cart", "order", "customer")),
        ]
        triggers = [_kept_while_it_has_items()]

    def __str__(self) -> str:
        return short_id(self.id)

    @property
    def public_id(self) -> str:
        """``res-<uuid>``, the id that callers know."""
        return public_id(RESERVATION, self.id)


class ReservationItemQuerySet(models.QuerySet["ReservationItem"]):
    """Queries of items."""

    def reservation_ids(self, levels: models.QuerySet[Any], *, at_most: int) -> list[UUID]:
        """Some reservations of these levels, by the indexes of open and of closed items, which are partial. One query.
        An id comes as often as the reservation has such items."""
        of_levels = self.filter(level__in=levels).order_by()
        is_open, is_closed = (
            of_levels.filter(held_until__isnull=empty).values_list("reservation", flat=True) for empty in (False, True)
        )
        return list(is_open.union(is_closed, all=True)[:at_most])


class ReservationItem(models.Model):
    """Units of one stock level that a reservation holds.

    ``held_until`` is the reservation's ``expires_at`` while it is ACTIVE, and null afterwards: with its partial index
    the active and due holds on a level are found without reading closed reservations, however many there are. Closed
    ones have an index of the level alone: with the reservation in it, it would be five times as large.
    ``pinned`` means that the caller named the warehouse; otherwise it was sourced.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    # No constraints in the database: see Reservation and StockLevel.
    reservation = models.ForeignKey(
        Reservation, on_delete=models.PROTECT, related_name="items", db_index=False, db_constraint=False
    )
    level = models.ForeignKey(
        StockLevel, on_delete=models.PROTECT, related_name="items", db_index=False, db_constraint=False
    )
    quantity = models.IntegerField()
    unit_price = models.DecimalField(max_digits=12, decimal_places=2, null=True)
    pinned = models.BooleanField()
    held_until = models.DateTimeField(null=True)

    objects = ReservationItemQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["reservation", "level"], name="item_once_per_level"),
            models.CheckConstraint(condition=Q(quantity__gt=0), name="item_holds_something"),
        ]
        indexes = [
            models.Index(name="item_held", fields=["level", "held_until"], condition=Q(held_until__isnull=False)),
            models.Index(name="item_closed", fields=["level"], condition=Q(held_until__isnull=True)),
        ]

    def __str__(self) -> str:
        return f"{self.quantity} of {self.level_id}"
