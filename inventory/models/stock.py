"""Stock levels and the movements that explain them."""

from collections.abc import Collection
from datetime import date, datetime, time, timedelta
from typing import Any, Self
from uuid import UUID

import pgtrigger
from django.apps import apps
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import (
    BigIntegerField,
    Case,
    Exists,
    ExpressionWrapper,
    F,
    FloatField,
    OuterRef,
    Q,
    Subquery,
    Sum,
    Value,
    When,
)
from django.db.models.functions import Cast, Coalesce, Now, NullIf, TruncDate
from django.utils.timezone import make_aware
from django.utils.translation import gettext_lazy as _
from uuid_utils.compat import uuid7

from audit import hidden
from audit.actors import Actor
from audit.db.lookups import among
from audit.models import append_only
from inventory.models.catalogue import Product, Warehouse
from inventory.models.catalogue_querysets import in_reach
from inventory.models.low_lines import full_level, low_line, marking_low_levels, share_of_full
from inventory.place_keys import PlaceKey
from inventory.planning import CRITICAL_PARTS, LOW_PARTS, SALES_DAYS

_FEW = 1000
"""The most products that are found by their ids, for their levels."""


class StockLevelQuerySet(models.QuerySet["StockLevel"]):
    """Stock levels."""

    def visible_to(self, actor: Actor) -> Self:
        """The rows of warehouses in an actor's reach."""
        return self.filter(in_reach(actor, "warehouse"))

    def with_incoming(self) -> Self:
        """Annotate levels with ``incoming_quantity``, the units in transit to them."""
        lines: models.Manager[Any] = apps.get_model("inventory", "TransferLine")._default_manager
        coming = lines.filter(destination_level=OuterRef("pk"), in_transit__gt=0).order_by()
        total = coming.values("destination_level").annotate(total=Sum("in_transit")).values("total")
        return self.annotate(incoming_quantity=Coalesce(Subquery(total), 0))

    def of_product(self, product_id: UUID) -> Self:
        """The levels of one product or variant, ordered by warehouse code."""
        return self.filter(product_id=product_id).select_related("warehouse").order_by("warehouse__code")

    def with_ledger_balance(self, at: datetime | None = None) -> Self:
        """Annotate levels with ``ledger_on_hand``: the sum of the opening and the movements after it, in units; with
        ``at``, of the movements up to and including that moment.

        The value is meaningless for a moment before the level's opening: those movements are archived.
        """
        movements: models.Manager[Any] = apps.get_model("inventory", "Movement")._default_manager
        of_level = movements.filter(level=OuterRef("pk"))
        if at is not None:
            of_level = of_level.filter(created_at__lte=at)
        moved = of_level.order_by().values("level").annotate(total=Sum("quantity")).values("total")
        return self.annotate(
            ledger_on_hand=Coalesce(F("opening__on_hand"), 0) + Coalesce(Subquery(moved, BigIntegerField()), 0)
        )

    def watched(self) -> Self:
        """The watched levels: those with a setting that defines when they are low."""
        return self.filter(Q(reorder_point__isnull=False) | Q(max_stock_level__isnull=False))

    def retired(self) -> Self:
        """The levels whose stock can't be sold for good: their product or its parent is inactive or its listing has
        ended, or their warehouse is inactive. A freeze is no reason: it ends."""
        gone = Product.objects.retired().filter(pk=OuterRef("product"))
        return self.filter(Q(warehouse__is_active=False) | Exists(gone))

    def all_retired(self) -> Self:
        """``retired`` for a list: read from the few products and warehouses to their levels."""
        return self._of(Product.objects.retired(), Warehouse.objects.filter(is_active=False))

    def _of(self, products: models.QuerySet[Product], places: models.QuerySet[Warehouse]) -> Self:
        """The levels of these products, and those in these warehouses. Up to two queries besides its own: few products
        are found by their ids, for the index."""
        ids = list(products.values_list("pk", flat=True)[: _FEW + 1])
        if len(ids) > _FEW:
            return self.filter(Q(product__in=products.values("pk")) | Q(warehouse__in=places.values("pk")))
        return self.filter(Q(product__in=ids) | Q(warehouse__in=list(places.values_list("pk", flat=True))))

    def frozen(self) -> Self:
        """The levels that are frozen now, by their product, its parent or their warehouse."""
        now = Q(frozen_until__isnull=True) | Q(frozen_until__gt=Now())
        frozen = Product.objects.filter(now, frozen_at__isnull=False)
        family = Product.objects.filter(Q(pk__in=frozen.values("pk")) | Q(parent__in=frozen.values("pk")))
        places = Warehouse.objects.filter(now, frozen_at__isnull=False)
        return self._of(family, places)

    def low(self, low_parts: int = LOW_PARTS) -> Self:
        """The levels that are low by ``planning.severity`` and aren't ``retired``, annotated with ``is_critical`` and
        ``rank``.

        Ordering by ``rank`` puts the critical levels first, each by the share of its full level that is available:
        a level without sellable units is critical however large that share is. With the usual threshold, or a smaller
        one, they are found by the index of the levels that may be low.
        """
        full = full_level("")
        share = ExpressionWrapper(
            Cast("available", FloatField()) / NullIf(Cast(full, FloatField()), Value(0.0)), output_field=FloatField()
        )
        sold_out = Q(available__lte=F("min_stock_level"))
        # Marked levels are watched. Stated by the full level, as ``watched`` would read the index of all of them, too.
        is_marked = Q(may_be_low=True, full__isnull=False)
        watched = self.alias(full=full).filter(is_marked) if low_parts <= LOW_PARTS else self.watched()
        return (
            watched.filter(available__lte=low_line("", low_parts))
            # Not the negation of ``retired``: a condition of its own makes the planner join, once for all levels.
            .filter(~Exists(Product.objects.retired().filter(pk=OuterRef("product"))), warehouse__is_active=True)
            .annotate(
                is_critical=ExpressionWrapper(
                    sold_out | Q(available__lte=share_of_full(full, CRITICAL_PARTS)),
                    output_field=models.BooleanField(),
                ),
            )
            .alias(share=Coalesce(share, Value(0.0)))
            .annotate(
                rank=Case(
                    When(is_critical=True, then=Value(-1.0) / (F("share") + Value(1.0))),
                    default=F("share"),
                    output_field=FloatField(),
                )
            )
        )

    def without_alert(self) -> Self:
        """Those levels of ``low`` without an open alert, or with one that is milder than their severity."""
        unresolved: models.Manager[Any] = apps.get_model("inventory", "LowStockAlert")._default_manager
        of_level = unresolved.filter(level=OuterRef("pk"), resolved_at__isnull=True)
        return self.filter(~Exists(of_level) | Q(is_critical=True) & Exists(of_level.filter(severity="LOW")))


class MovementQuerySet(models.QuerySet["Movement"]):
    """Movements."""

    def visible_to(self, actor: Actor) -> Self:
        """The rows of warehouses in an actor's reach."""
        return self.filter(in_reach(actor, "level__warehouse"))

    def on_hand_by_day(self, level_id: UUID, first_day: date) -> dict[date, tuple[int, int]]:
        """A level's on hand by day, from ``first_day`` on: before the day's first movement and after its last.

        Days are those of the current time zone; days without movements are left out. Two queries.
        """
        since = make_aware(datetime.combine(first_day, time.min))
        of_level = self.filter(level=level_id, created_at__gte=since).annotate(day=TruncDate("created_at"))
        first = of_level.order_by("day", "created_at", "id").distinct("day").values_list("day", "quantity_before")
        last = of_level.order_by("day", "-created_at", "-id").distinct("day").values_list("day", "quantity_after")
        after = dict(last)
        return {day: (before, after[day]) for day, before in first if day in after}

    def shipped_lately(self, level_ids: Collection[UUID]) -> dict[UUID, int]:
        """Units shipped from each of these levels in the last ``planning.SALES_DAYS`` days; one query."""
        since = Now() - Value(timedelta(days=SALES_DAYS))
        shipped = self.filter(among("level", level_ids), type="SHIPMENT", created_at__gt=since)
        return {row["level"]: -row["total"] for row in shipped.values("level").annotate(total=Sum("quantity"))}


QUANTITY_LIMIT = 2_000_000_000
"""The most units on hand that one level may have (docs/explanation/rules.md, rule 18)."""


class StockLevel(models.Model):
    """One product in one warehouse. The row with the most contention in the service.

    No index contains a counter, ``version`` or ``updated_at``, so that a reserve is a heap-only update: its new row
    version goes into the free space that ``fillfactor`` leaves on each page (migration 0002).

    ``may_be_low`` is true for every level that is at or below its ``low_line``, and for some others: a trigger sets it
    when a level gets there, and resets it when the level is well above. It changes seldom, so it can have an index.

    Levels are never deleted (a trigger). Whoever writes a movement or an item of a reservation has locked its level, so
    that these need no foreign-key check.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    product = models.ForeignKey(Product, on_delete=models.PROTECT, related_name="levels", db_index=False)
    warehouse = models.ForeignKey(Warehouse, on_delete=models.PROTECT, related_name="levels", db_index=False)
    on_hand = models.IntegerField(default=0, editable=False)
    reserved = models.IntegerField(default=0, editable=False)
    available = models.GeneratedField(
        expression=F("on_hand") - F("reserved"), output_field=models.IntegerField(), db_persist=True
    )
    may_be_low = models.BooleanField(default=False, db_default=False, editable=False)
    reorder_point = models.IntegerField(null=True, blank=True)
    reorder_quantity = models.IntegerField(null=True, blank=True)
    min_stock_level = models.IntegerField("safety stock", default=0)
    max_stock_level = models.IntegerField(null=True, blank=True)
    zone = models.CharField(max_length=10, blank=True)
    aisle = models.CharField(max_length=10, blank=True)
    shelf = models.CharField(max_length=10, blank=True)
    last_counted_at = models.DateTimeField(null=True, blank=True, editable=False)
    last_movement_at = models.DateTimeField(null=True, blank=True, editable=False)
    version = models.BigIntegerField(default=1, editable=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    updated_at = models.DateTimeField(db_default=Now(), editable=False)

    incoming_quantity: int
    """Units in transit to the level; only on rows read ``with_incoming``."""

    objects = hidden.HidingManager.from_queryset(StockLevelQuerySet)("pk", hidden.LEVEL_ID)
    everything = StockLevelQuerySet.as_manager()

    class Meta:
        permissions = [
            ("receive_stock", "Can receive stock"),
            ("adjust_stock", "Can adjust stock"),
            ("ship_stock", "Can ship stock"),
            ("transfer_stock", "Can transfer stock"),
            ("count_stock", "Can count stock"),
            ("post_count", "Can post and cancel counts"),
            ("freeze_stock", "Can freeze products, warehouses and stores"),
            ("settle_alerts", "Can acknowledge and snooze alerts"),
            ("export_stock", "Can export stock, movements and alerts"),
            ("repair_stock", "Can repair what a reconciliation found"),
        ]
        constraints = [
            models.UniqueConstraint(fields=["product", "warehouse"], name="level_once"),
            models.CheckConstraint(condition=Q(on_hand__gte=0), name="level_on_hand_not_negative"),
            models.CheckConstraint(condition=Q(on_hand__lte=QUANTITY_LIMIT), name="level_on_hand_limit"),
            models.CheckConstraint(condition=Q(reserved__gte=0), name="level_reserved_not_negative"),
            models.CheckConstraint(condition=Q(reserved__lte=F("on_hand")), name="level_reserved_within_on_hand"),
            models.CheckConstraint(
                condition=Q(min_stock_level__gte=0)
                & (Q(reorder_point__isnull=True) | Q(reorder_point__gte=0))
                & (Q(reorder_quantity__isnull=True) | Q(reorder_quantity__gt=0))
                & (Q(max_stock_level__isnull=True) | Q(max_stock_level__gt=0)),
                name="level_settings_not_negative",
            ),
            models.CheckConstraint(
                condition=Q(reorder_point__isnull=True)
                | Q(max_stock_level__isnull=True)
                | Q(reorder_point__lte=F("max_stock_level")),
                name="level_reorder_point_within_maximum",
            ),
        ]
        indexes = [
            models.Index(
                name="level_watched",
                fields=["warehouse"],
                condition=Q(reorder_point__isnull=False) | Q(max_stock_level__isnull=False),
            ),
            models.Index(name="level_may_be_low", fields=["warehouse"], condition=Q(may_be_low=True)),
            models.Index(F("warehouse"), PlaceKey(), name="level_place"),
            models.Index(fields=["warehouse", "id"], name="level_of_warehouse"),
            models.Index(fields=["warehouse", "zone"], name="level_zone"),
        ]
        triggers = [pgtrigger.Protect(name="never_deleted", operation=pgtrigger.Delete), marking_low_levels()]

    def __str__(self) -> str:
        return f"{self.product} · {self.warehouse}"

    @property
    def safety_stock(self) -> int:
        """The units that are never sold to shoppers; ``planning.Settings`` names them so."""
        return self.min_stock_level

    @property
    def place(self) -> str:
        """A short text of the product and the warehouse."""
        return _("%(sku)s in %(warehouse)s") % {"sku": self.product.sku, "warehouse": self.warehouse.code}


class Movement(models.Model):
    """One change of on hand. Triggers forbid updates, and deletes by anything but ``archive``.

    ``store`` is the code of the store that it belongs to: of a sale the reservation's, of an adjustment the store that
    its client is limited to. Empty for what belongs to the warehouse, and for rows older than migration 0011.

    Rows are read from the newest and archived from the oldest, of one level or of all. New rows go to the end of the
    index on time, which costs a writer little.
    """

    class Type(models.TextChoices):
        RECEIPT = "RECEIPT", _("Receipt")
        SHIPMENT = "SHIPMENT", _("Shipment")
        ADJUSTMENT = "ADJUSTMENT", _("Adjustment")
        TRANSFER = "TRANSFER", _("Transfer")
        RETURN = "RETURN", _("Return")

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    # No constraint in the database: see StockLevel.
    level = models.ForeignKey(
        StockLevel, on_delete=models.PROTECT, related_name="movements", db_index=False, db_constraint=False
    )
    type = models.CharField(max_length=16, choices=Type.choices)
    quantity = models.IntegerField()
    quantity_before = models.IntegerField()
    quantity_after = models.IntegerField()
    reason = models.CharField(max_length=500, blank=True)
    reference_type = models.CharField(max_length=50, blank=True)
    reference = models.CharField(max_length=100, blank=True)
    cost_per_unit = models.DecimalField(max_digits=12, decimal_places=2, null=True, blank=True)
    actor = models.CharField(max_length=150)
    store = models.CharField(max_length=20, blank=True, default="", db_default="")
    adjustment_id = models.UUIDField(null=True, blank=True)
    created_at = models.DateTimeField()

    objects = hidden.HidingManager.from_queryset(MovementQuerySet)("level", hidden.LEVEL_ID)
    everything = MovementQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=~Q(quantity=0), name="movement_moves_something"),
            models.CheckConstraint(
                condition=Q(quantity_after=F("quantity_before") + F("quantity")), name="movement_adds_up"
            ),
            models.CheckConstraint(
                condition=Q(type__in=["RECEIPT", "SHIPMENT", "ADJUSTMENT", "TRANSFER", "RETURN"]),
                name="movement_type_is_known",
            ),
        ]
        indexes = [
            models.Index(fields=["level", "created_at"], name="movement_of_level"),
            models.Index(fields=["reference", "reference_type"], name="movement_reference", condition=~Q(reference="")),
            models.Index(fields=["created_at", "id"], name="movement_time"),
            models.Index(fields=["type", "created_at", "id"], name="movement_type_time"),
            models.Index(
                fields=["level"],
                name="movement_without_reference",
                condition=Q(reference="", adjustment_id__isnull=False),
            ),
        ]
        triggers = append_only()

    def __str__(self) -> str:
        return f"{self.level.place}: {self.get_type_display()} {self.quantity:+d}"


class AdjustmentReason(models.Model):
    """A reason for changes of stock that the console offers. ``kinds`` are the actions that offer it.

    A movement stores the text itself, so that changing a reason here doesn't alter history.
    """

    class Kind(models.TextChoices):
        RECEIVE = "RECEIVE", _("Receive")
        ADJUST = "ADJUST", _("Adjust")
        SHIP = "SHIP", _("Ship")
        TRANSFER = "TRANSFER", _("Transfer")
        COUNT = "COUNT", _("Count")

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    text = models.CharField(max_length=100, unique=True)
    kinds = ArrayField(models.CharField(max_length=8))
    is_active = models.BooleanField(default=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="reason_kinds_are_known",
                condition=Q(kinds__contained_by=["RECEIVE", "ADJUST", "SHIP", "TRANSFER", "COUNT"], kinds__len__gt=0),
            ),
        ]

    def __str__(self) -> str:
        return self.text
