"""Counts of stock."""

from typing import Final, Self

from django.db import models
from django.db.models import (
    Q,
)
from django.utils.translation import gettext_lazy as _
from uuid_utils.compat import uuid7

from audit.actors import Actor
from audit.identifiers import COUNT, public_id
from inventory.models.catalogue import Warehouse
from inventory.models.catalogue_querysets import in_reach
from inventory.models.documents import next_number, numbered
from inventory.models.stock import QUANTITY_LIMIT, StockLevel

COUNT_KIND: Final = "CO"
"""The kind in the short numbers of counts."""


class StockCountQuerySet(models.QuerySet["StockCount"]):
    """Counts."""

    def visible_to(self, actor: Actor) -> Self:
        """The counts of warehouses in an actor's reach."""
        return self.filter(in_reach(actor, "warehouse"))


class StockCount(models.Model):
    """A count of a warehouse, or of a part of it: OPEN, then POSTED or CANCELLED.

    ``stale_days`` belongs to the scope STALE: levels not counted for this many days, or never; null means only those
    never counted. A difference above ``recount_share`` (of the expected quantity, 0 to 1) requires a second count; null
    means that none does.
    """

    class Scope(models.TextChoices):
        ALL = "ALL", _("All of the warehouse")
        ZONE = "ZONE", _("A zone")
        PRODUCTS = "PRODUCTS", _("Chosen products")
        STALE = "STALE", _("Not counted recently")

    class Status(models.TextChoices):
        OPEN = "OPEN", _("Open")
        POSTED = "POSTED", _("Posted")
        CANCELLED = "CANCELLED", _("Cancelled")

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    warehouse = models.ForeignKey(Warehouse, on_delete=models.PROTECT, related_name="counts")
    scope = models.CharField(max_length=8, choices=Scope.choices)
    zone = models.CharField(max_length=10, blank=True)
    stale_days = models.IntegerField(null=True, blank=True)
    status = models.CharField(max_length=9, choices=Status.choices, default=Status.OPEN)
    recount_share = models.DecimalField(max_digits=5, decimal_places=4, null=True, blank=True)
    note = models.CharField(max_length=500, blank=True)
    opened_by = models.CharField(max_length=150)
    opened_at = models.DateTimeField()
    posted_by = models.CharField(max_length=150, blank=True)
    posted_at = models.DateTimeField(null=True)
    cancelled_by = models.CharField(max_length=150, blank=True)
    cancelled_at = models.DateTimeField(null=True)
    number = models.BigIntegerField(db_default=next_number("inventory_count_number"), editable=False)

    objects = StockCountQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["number"], name="count_number_once"),
            models.CheckConstraint(
                name="count_status_agrees",
                condition=Q(status="OPEN", posted_at__isnull=True, cancelled_at__isnull=True)
                | Q(status="POSTED", posted_at__isnull=False, cancelled_at__isnull=True)
                | Q(status="CANCELLED", posted_at__isnull=True, cancelled_at__isnull=False),
            ),
            models.CheckConstraint(
                name="count_scope_agrees",
                condition=Q(scope__in=["ALL", "PRODUCTS"], zone="", stale_days__isnull=True)
                | (Q(scope="ZONE", stale_days__isnull=True) & ~Q(zone=""))
                | (Q(scope="STALE", zone="") & (Q(stale_days__isnull=True) | Q(stale_days__gt=0))),
            ),
            models.CheckConstraint(
                name="count_recount_share",
                condition=Q(recount_share__isnull=True) | Q(recount_share__gte=0, recount_share__lte=1),
            ),
        ]

    def __str__(self) -> str:
        return self.short_number

    @property
    def short_number(self) -> str:
        """``CO-1042``."""
        return numbered(COUNT_KIND, self.number)

    @property
    def public_id(self) -> str:
        """The id that callers use, ``cnt-<uuid>``."""
        return public_id(COUNT, self.id)


class StockCountLine(models.Model):
    """One level of a count, with the counted and the expected quantity.

    ``expected`` and ``recount_expected`` are on hand at the moment of the first and the second counting, read under the
    level's lock: later movements change neither them nor the difference. ``is_open`` is true while the count is OPEN. A
    level is in one open count at most: two would post the same difference twice. ``posted_difference`` is the signed
    quantity that posting added to on hand; 0 if there was no difference.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    count = models.ForeignKey(StockCount, on_delete=models.PROTECT, related_name="lines", db_index=False)
    level = models.ForeignKey(StockLevel, on_delete=models.PROTECT, related_name="count_lines")
    counted = models.IntegerField(null=True)
    counted_at = models.DateTimeField(null=True)
    counted_by = models.CharField(max_length=150, blank=True)
    expected = models.IntegerField(null=True)
    needs_recount = models.BooleanField(default=False)
    recounted = models.IntegerField(null=True)
    recounted_at = models.DateTimeField(null=True)
    recounted_by = models.CharField(max_length=150, blank=True)
    recount_expected = models.IntegerField(null=True)
    is_open = models.BooleanField(default=True)
    posted_difference = models.IntegerField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["count", "level"], name="count_line_once"),
            models.UniqueConstraint(fields=["level"], condition=Q(is_open=True), name="count_line_one_open"),
            models.CheckConstraint(
                name="count_line_counted_agrees",
                condition=Q(counted__isnull=True, counted_at__isnull=True, expected__isnull=True)
                | Q(counted__isnull=False, counted_at__isnull=False, expected__isnull=False),
            ),
            models.CheckConstraint(
                name="count_line_recounted_agrees",
                condition=Q(recounted__isnull=True, recounted_at__isnull=True, recount_expected__isnull=True)
                | Q(
                    counted__isnull=False,
                    recounted__isnull=False,
                    recounted_at__isnull=False,
                    recount_expected__isnull=False,
                ),
            ),
            models.CheckConstraint(
                name="count_line_within_limits",
                condition=Q(counted__isnull=True) | Q(counted__gte=0, counted__lte=QUANTITY_LIMIT),
            ),
            models.CheckConstraint(
                name="count_line_recount_within_limits",
                condition=Q(recounted__isnull=True) | Q(recounted__gte=0, recounted__lte=QUANTITY_LIMIT),
            ),
            models.CheckConstraint(
                name="count_line_open_is_not_posted", condition=Q(is_open=False) | Q(posted_difference__isnull=True)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.level_id}: {self.counted}"
