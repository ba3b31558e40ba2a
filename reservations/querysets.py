"""Chainable reads of reservations."""

from collections.abc import Collection
from typing import TYPE_CHECKING, Self
from uuid import UUID

from django.apps import apps
from django.db import models
from django.db.models import Exists, OuterRef, Q
from django.db.models.functions import Now

from inventory.querysets import warehouses_of

if TYPE_CHECKING:
    from reservations.models import Reservation, ShortageIncident  # noqa: F401 - named in the bases' strings


class ReservationQuerySet(models.QuerySet["Reservation"]):
    """Reservations; ``Now`` is the database's clock."""

    def visible_to(self, store_codes: Collection[str]) -> Self:
        """Those of these stores; of all stores where none are named."""
        return self.filter(store__code__in=store_codes) if store_codes else self

    def due(self) -> Self:
        """ACTIVE and past their end: dead, whether swept or not (api.md, rule 3)."""
        return self.filter(status="ACTIVE", expires_at__lte=Now())

    def in_state(self, status: str) -> Self:
        """By status as it reads: due ones are EXPIRED."""
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
        """By the caller's own ids, and by product (a parent stands for its variants) or variant; None means any."""
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


class ShortageIncidentQuerySet(models.QuerySet["ShortageIncident"]):
    """Incidents in which holds were broken."""

    def visible_to(self, store_codes: Collection[str]) -> Self:
        """Those of levels in warehouses that these stores sell from; all where no store is named."""
        return self.filter(level__warehouse__in=warehouses_of(store_codes)) if store_codes else self

    def unresolved(self) -> Self:
        """Those that nobody has resolved."""
        return self.filter(status="OPEN")
