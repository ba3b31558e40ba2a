"""Transfers of stock between warehouses."""

from typing import Final, Self

from django.db import models
from django.db.models import (
    F,
    Q,
)
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _
from uuid_utils.compat import uuid7

from audit.actors import Actor
from audit.identifiers import TRANSFER, public_id
from inventory.models.catalogue import Product, Warehouse
from inventory.models.catalogue_querysets import in_reach
from inventory.models.documents import next_number, numbered
from inventory.models.stock import StockLevel

TRANSFER_KIND: Final = "TR"
"""The kind in the short numbers of transfers."""


class TransferQuerySet(models.QuerySet["Transfer"]):
    """Transfers; ``Now`` is the database's clock."""

    def visible_to(self, actor: Actor) -> Self:
        """The transfers with at least one end in an actor's reach."""
        return self.filter(in_reach(actor, "from_warehouse", "to_warehouse"))

    def drafted_by(self, actor: Actor) -> Self:
        """The drafts of an actor's account; none for an actor without an account."""
        return self.none() if actor.account_id is None else self.filter(status="PENDING", account_id=actor.account_id)

    def matching(self, *, status: str | None, from_warehouse: str | None, to_warehouse: str | None) -> Self:
        """Filter by status and by the codes of the source and the destination; None means any."""
        wanted = {"status": status, "from_warehouse__code": from_warehouse, "to_warehouse__code": to_warehouse}
        return self.filter(**{field: value for field, value in wanted.items() if value is not None})

    def on_the_way(self) -> Self:
        """The transfers that have left their source and are not closed."""
        return self.filter(status__in=["IN_TRANSIT", "PARTIALLY_RECEIVED"])

    def overdue(self) -> Self:
        """The transfers on the way whose expected arrival has passed."""
        return self.on_the_way().filter(expected_delivery__lt=Now())


class Transfer(models.Model):
    """A transfer of stock from one warehouse to another.

    PENDING is a draft, which changes no stock. IN_TRANSIT has left its source; PARTIALLY_RECEIVED has arrived in part;
    RECEIVED is closed after units arrived or were given up; CANCELLED is closed and no units arrived. ``closed_at`` is
    the time at which it was received or cancelled. ``number`` is drawn from a sequence. ``reverses`` is the transfer
    whose received units this one sends back.
    """

    class Status(models.TextChoices):
        PENDING = "PENDING", _("Pending")
        IN_TRANSIT = "IN_TRANSIT", _("In transit")
        PARTIALLY_RECEIVED = "PARTIALLY_RECEIVED", _("Partially received")
        RECEIVED = "RECEIVED", _("Received")
        CANCELLED = "CANCELLED", _("Cancelled")

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    status = models.CharField(max_length=18, choices=Status.choices)
    from_warehouse = models.ForeignKey(Warehouse, on_delete=models.PROTECT, related_name="+", db_index=False)
    to_warehouse = models.ForeignKey(Warehouse, on_delete=models.PROTECT, related_name="+", db_index=False)
    reason = models.CharField(max_length=500, blank=True)
    reference = models.CharField(max_length=100, blank=True)
    expected_delivery = models.DateTimeField(null=True, blank=True)
    initiated_by = models.CharField(max_length=150)
    account_id = models.BigIntegerField(null=True, editable=False)
    initiated_at = models.DateTimeField()
    shipped_at = models.DateTimeField(null=True)
    closed_at = models.DateTimeField(null=True)
    number = models.BigIntegerField(db_default=next_number("inventory_transfer_number"), editable=False)
    reverses = models.ForeignKey(
        "self", null=True, on_delete=models.PROTECT, related_name="sent_back_by", db_index=False
    )

    objects = TransferQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(name="transfer_goes_elsewhere", condition=~Q(from_warehouse=F("to_warehouse"))),
            models.CheckConstraint(
                name="transfer_status_agrees",
                condition=Q(status="PENDING", shipped_at__isnull=True, closed_at__isnull=True)
                | Q(status__in=["IN_TRANSIT", "PARTIALLY_RECEIVED"], shipped_at__isnull=False, closed_at__isnull=True)
                | Q(status="RECEIVED", shipped_at__isnull=False, closed_at__isnull=False)
                | Q(status="CANCELLED", closed_at__isnull=False),
            ),
            models.UniqueConstraint(fields=["number"], name="transfer_number_once"),
            models.UniqueConstraint(
                fields=["reverses"], name="transfer_sent_back_once", condition=~Q(status="CANCELLED")
            ),
        ]
        indexes = [
            models.Index(
                name="transfer_expected",
                fields=["expected_delivery"],
                condition=Q(status__in=["IN_TRANSIT", "PARTIALLY_RECEIVED"]),
            ),
            models.Index(name="transfer_open_from", fields=["from_warehouse"], condition=Q(closed_at__isnull=True)),
            models.Index(name="transfer_open_to", fields=["to_warehouse"], condition=Q(closed_at__isnull=True)),
        ]

    def __str__(self) -> str:
        return self.short_number

    @property
    def short_number(self) -> str:
        """``TR-1042``."""
        return numbered(TRANSFER_KIND, self.number)

    @property
    def public_id(self) -> str:
        """The id that callers use, ``tr-<uuid>``."""
        return public_id(TRANSFER, self.id)


class TransferLine(models.Model):
    """Units of one product of a transfer; ``product`` is the variant if there is one.

    Units that were shipped are received, returned to the source, lost, or still in transit. The partial index on units
    in transit finds what is coming to a level without reading closed transfers.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    transfer = models.ForeignKey(Transfer, on_delete=models.PROTECT, related_name="lines", db_index=False)
    product = models.ForeignKey(Product, on_delete=models.PROTECT, related_name="+", db_index=False)
    source_level = models.ForeignKey(
        StockLevel, null=True, on_delete=models.PROTECT, related_name="outgoing", db_index=False
    )
    destination_level = models.ForeignKey(
        StockLevel, null=True, on_delete=models.PROTECT, related_name="incoming", db_index=False
    )
    quantity = models.IntegerField()
    quantity_shipped = models.IntegerField(default=0)
    quantity_received = models.IntegerField(default=0)
    quantity_returned = models.IntegerField(default=0)
    quantity_lost = models.IntegerField(default=0)
    in_transit = models.GeneratedField(
        expression=F("quantity_shipped") - F("quantity_received") - F("quantity_returned") - F("quantity_lost"),
        output_field=models.IntegerField(),
        db_persist=True,
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["transfer", "product"], name="transfer_line_once"),
            models.CheckConstraint(
                name="transfer_line_quantities",
                condition=Q(
                    quantity__gt=0,
                    quantity_shipped__gte=0,
                    quantity_shipped__lte=F("quantity"),
                    quantity_received__gte=0,
                    quantity_returned__gte=0,
                    quantity_lost__gte=0,
                ),
            ),
            models.CheckConstraint(name="transfer_line_within_shipped", condition=Q(in_transit__gte=0)),
            models.CheckConstraint(
                name="transfer_line_shipped_has_levels",
                condition=Q(quantity_shipped=0) | Q(source_level__isnull=False, destination_level__isnull=False),
            ),
        ]
        indexes = [
            models.Index(name="transfer_line_incoming", fields=["destination_level"], condition=Q(in_transit__gt=0)),
        ]

    def __str__(self) -> str:
        return f"{self.quantity} of {self.product_id}"
