"""Drafts of what is being received: goods that were scanned or typed, and not posted yet."""

from typing import Self

from django.contrib.auth import get_user_model
from django.db import models
from django.db.models import Exists, OuterRef, Q
from django.utils.translation import gettext_lazy as _
from uuid_utils.compat import uuid7

from audit.actors import Actor
from inventory.models.catalogue import Product, Warehouse
from inventory.models.catalogue_querysets import in_reach
from inventory.models.transfers import Transfer


class ReceivingDraftQuerySet(models.QuerySet["ReceivingDraft"]):
    """Drafts of deliveries and arrivals."""

    def own(self, actor: Actor) -> Self:
        """The drafts of an actor's account whose warehouse is in its reach; none for an actor without an account."""
        if actor.account_id is None:
            return self.none()
        return self.filter(in_reach(actor, "warehouse"), account_id=actor.account_id)

    def left_behind(self, actor: Actor) -> Self:
        """The drafts in an actor's reach whose account is switched off or deleted, so that others may take them
        over."""
        accounts = get_user_model()._default_manager.filter(pk=OuterRef("account_id"), is_active=True)
        return self.filter(~Exists(accounts), in_reach(actor, "warehouse"))

    def open(self) -> Self:
        """The drafts that were not posted."""
        return self.filter(posted_at__isnull=True)


class ReceivingDraft(models.Model):
    """Goods that a person is receiving: a delivery, or what arrives of ``transfer``. Posting it changes the stock.

    It belongs to the account with the id ``account_id``, whatever that account is called later; ``owner`` is what it
    was called. An account has at most one open draft for each delivery (warehouse and reference) and for each transfer.
    ``version`` rises with each change. A posted draft is kept until it expires, so that its page shows what was posted.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    account_id = models.BigIntegerField(null=True)
    owner = models.CharField(max_length=150)
    warehouse = models.ForeignKey(Warehouse, on_delete=models.PROTECT, related_name="+", db_index=False)
    transfer = models.ForeignKey(Transfer, null=True, on_delete=models.PROTECT, related_name="+", db_index=False)
    reference = models.CharField(max_length=100, blank=True)
    note = models.CharField(max_length=300, blank=True)
    version = models.IntegerField(default=1)
    created_at = models.DateTimeField()
    changed_at = models.DateTimeField()
    posted_at = models.DateTimeField(null=True)
    adjustment_id = models.UUIDField(null=True)

    objects = ReceivingDraftQuerySet.as_manager()

    class Meta:
        default_permissions = ()  # Only their owner sees drafts: no role is given them.
        constraints = [
            models.UniqueConstraint(
                name="draft_once_a_delivery",
                fields=["account_id", "warehouse", "reference"],
                condition=Q(posted_at__isnull=True, transfer__isnull=True),
            ),
            models.UniqueConstraint(
                name="draft_once_a_transfer",
                fields=["account_id", "transfer"],
                condition=Q(posted_at__isnull=True, transfer__isnull=False),
            ),
        ]
        indexes = [models.Index(name="draft_changed", fields=["changed_at"])]

    def __str__(self) -> str:
        return (
            str(_("Delivery %(reference)s") % {"reference": self.reference}) if self.reference else str(_("Delivery"))
        )


class ReceivingDraftLine(models.Model):
    """Units of one product of a draft."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    draft = models.ForeignKey(ReceivingDraft, on_delete=models.CASCADE, related_name="lines", db_index=False)
    product = models.ForeignKey(Product, on_delete=models.PROTECT, related_name="+", db_index=False)
    quantity = models.IntegerField()

    class Meta:
        default_permissions = ()  # Only their owner sees drafts: no role is given them.
        constraints = [
            models.UniqueConstraint(fields=["draft", "product"], name="draft_line_once"),
            models.CheckConstraint(name="draft_line_quantity", condition=Q(quantity__gt=0)),
        ]

    def __str__(self) -> str:
        return f"{self.quantity} of {self.product_id}"


class DraftCommand(models.Model):
    """A command on the lines of a draft that was carried out, by the id that the browser gave it.

    ``draft`` is the id of a ReceivingDraft or of a Transfer. A command that is sent again is recognised by its row.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    draft = models.UUIDField()
    command = models.UUIDField()
    done_at = models.DateTimeField()

    class Meta:
        default_permissions = ()  # Only their owner sees drafts: no role is given them.
        constraints = [models.UniqueConstraint(fields=["draft", "command"], name="draft_command_once")]
        indexes = [models.Index(name="draft_command_done", fields=["done_at"])]

    def __str__(self) -> str:
        return str(self.command)
