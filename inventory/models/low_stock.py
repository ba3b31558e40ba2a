"""Alerts of low stock, and the subscriptions to mail about them."""

from datetime import timedelta
from typing import Self
from uuid import UUID

import pgtrigger
from django.conf import settings
from django.db import models
from django.db.models import Exists, F, OuterRef, Q, Value
from django.db.models.functions import Lower, Now
from django.utils.translation import gettext_lazy as _
from uuid_utils.compat import uuid7

from audit.actors import Actor
from audit.identifiers import ALERT, public_id
from inventory.models.catalogue import Warehouse
from inventory.models.catalogue_querysets import in_reach
from inventory.models.low_lines import resolve_line
from inventory.models.stock import StockLevel


class LowStockAlertQuerySet(models.QuerySet["LowStockAlert"]):
    """Alerts of low stock."""

    def visible_to(self, actor: Actor) -> Self:
        """The alerts of levels in warehouses in an actor's reach."""
        return self.filter(in_reach(actor, "level_warehouse"))

    def newest_in(self, warehouse_id: UUID, *, behind: UUID | None, limit: int) -> Self:
        """The newest of these alerts in a warehouse, older than the alert ``behind``. For use as a subquery.

        The warehouse is written as a range of one id and is the first column of the order, so that the planner uses
        the index of a warehouse's alerts. Otherwise it would often read the alerts of all warehouses from the newest
        on, and come late to those of a quiet warehouse.
        """
        here = self.filter(level_warehouse__gte=warehouse_id, level_warehouse__lte=warehouse_id)
        if behind is not None:
            here = here.filter(pk__lt=behind)
        return here.order_by("-level_warehouse_id", "-pk")[:limit]

    def described(self) -> Self:
        """Select levels, products and warehouses along with the alerts."""
        return self.select_related("level__product", "level__warehouse")

    def unresolved(self) -> Self:
        """The open alerts."""
        return self.filter(resolved_at__isnull=True)

    def recovered(self) -> Self:
        """The open alerts whose level is above its ``planning.resolve_line``, isn't watched any more, or is
        ``retired``."""
        is_watched = Q(level__reorder_point__isnull=False) | Q(level__max_stock_level__isnull=False)
        retired = Exists(StockLevel.objects.retired().filter(pk=OuterRef("level")))
        return self.unresolved().filter(~is_watched | Q(level__available__gt=resolve_line("level__")) | retired)

    def without_retired(self) -> Self:
        """Without the alerts of ``retired`` levels, which the periodic task may not have resolved yet."""
        return self.exclude(Exists(StockLevel.objects.retired().filter(pk=OuterRef("level"))))

    def not_snoozed(self) -> Self:
        """The open alerts that aren't snoozed now, by the database's clock."""
        return self.unresolved().filter(Q(snoozed_until__isnull=True) | Q(snoozed_until__lte=Now()))

    def due_for_mail(self, reminder: timedelta) -> Self:
        """The alerts that aren't snoozed and for which a mail is due: none was sent since they were opened or became
        worse, a snooze has ended since the last one, or the last one is older than ``reminder`` and the alert isn't
        acknowledged."""
        reminder_due = Q(acknowledged_at__isnull=True, notified_at__lte=Now() - Value(reminder))
        is_back = Q(snoozed_until__gt=F("notified_at"))
        return self.not_snoozed().filter(Q(notified_at__isnull=True) | is_back | reminder_due)


class LowStockAlert(models.Model):
    """The record that a level is low on stock (docs/explanation/rules.md, rule 6), from ``opened_at`` until
    ``resolved_at``. A level has at most one open alert.

    ``available`` and ``reorder_point`` are the level's values when the alert was opened or became worse.
    ``notified_at`` is the time of the last mail to the warehouse's subscribers; it is set to null when the alert
    becomes worse, so that another mail is due.

    ``level_warehouse`` is a copy of the level's warehouse, so that an index finds the alerts of a warehouse. Otherwise
    the few alerts of a quiet warehouse would be searched for among all. The statement that opens alerts sets it; a
    trigger sets it for rows that lack it, which processes of the release before write during an upgrade. A level's
    warehouse never changes, so the copy needs no constraint.
    """

    class Severity(models.TextChoices):
        LOW = "LOW", _("Low")
        CRITICAL = "CRITICAL", _("Critical")

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    level = models.ForeignKey(StockLevel, on_delete=models.PROTECT, related_name="alerts")
    level_warehouse = models.ForeignKey(
        Warehouse,
        on_delete=models.PROTECT,
        related_name="+",
        db_index=False,
        db_constraint=False,
        null=True,
        editable=False,
    )
    severity = models.CharField(max_length=8, choices=Severity.choices)
    available = models.IntegerField()
    reorder_point = models.IntegerField(null=True)
    opened_at = models.DateTimeField()
    worsened_at = models.DateTimeField(null=True)
    acknowledged_at = models.DateTimeField(null=True)
    acknowledged_by = models.CharField(max_length=150, blank=True, default="", db_default="")
    snoozed_until = models.DateTimeField(null=True)
    notified_at = models.DateTimeField(null=True)
    resolved_at = models.DateTimeField(null=True)

    objects = LowStockAlertQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["level"], condition=Q(resolved_at__isnull=True), name="alert_one_open"),
            models.CheckConstraint(
                name="alert_severity_is_known",
                condition=Q(severity="LOW", worsened_at__isnull=True) | Q(severity="CRITICAL"),
            ),
            models.CheckConstraint(
                name="alert_acknowledged_agrees",
                condition=Q(acknowledged_at__isnull=True, acknowledged_by="")
                | (Q(acknowledged_at__isnull=False) & ~Q(acknowledged_by="")),
            ),
            models.CheckConstraint(
                name="alert_resolved_after_opened",
                condition=Q(resolved_at__isnull=True) | Q(resolved_at__gte=F("opened_at")),
            ),
        ]
        indexes = [
            models.Index(name="alert_of_warehouse", fields=["level_warehouse", "id"]),
            models.Index(
                name="alert_open_in_warehouse", fields=["level_warehouse", "id"], condition=Q(resolved_at__isnull=True)
            ),
        ]
        triggers = [
            pgtrigger.Trigger(
                name="of_warehouse",
                when=pgtrigger.Before,
                operation=pgtrigger.Insert,
                condition=pgtrigger.Condition("NEW.level_warehouse_id IS NULL"),
                func="NEW.level_warehouse_id = "
                "(SELECT warehouse_id FROM inventory_stocklevel WHERE id = NEW.level_id); RETURN NEW;",
            )
        ]

    def __str__(self) -> str:
        return f"{self.level.place}: {self.get_severity_display().lower()}"

    @property
    def public_id(self) -> str:
        """The id that callers use, ``alr-<uuid>``."""
        return public_id(ALERT, self.id)


class AlertSubscription(models.Model):
    """A mail address that gets the alerts of a warehouse. ``user`` is the member of staff with this address, if any.

    ``time_zone`` is the IANA name of the zone in which mails show times; UTC if empty.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    warehouse = models.ForeignKey(
        Warehouse, on_delete=models.PROTECT, related_name="alert_subscriptions", db_index=False
    )
    email = models.EmailField()
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.CASCADE, related_name="alert_subscriptions"
    )
    time_zone = models.CharField(max_length=64, blank=True, default="", db_default="")
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints = [models.UniqueConstraint("warehouse", Lower("email"), name="alert_subscription_once")]

    def __str__(self) -> str:
        return f"{self.email}: {self.warehouse_id}"
