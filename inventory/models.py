"""What is where. Counters are written by ``services/ledger.py`` alone."""

import re

import pgtrigger
from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Lower, Now
from django.utils.timezone import localtime
from django.utils.translation import gettext_lazy as _
from uuid_utils.compat import uuid7

from audit.identifiers import ALERT, COUNT, TRANSFER, public_id
from audit.models import append_only
from inventory.querysets import (
    LowStockAlertQuerySet,
    MovementQuerySet,
    ProductQuerySet,
    StockCountQuerySet,
    StockLevelQuerySet,
    StoreQuerySet,
    TransferQuerySet,
    WarehouseQuerySet,
)
from inventory.words import Words

QUANTITY_LIMIT = 2_000_000_000
"""The most units on hand that one level may have (api.md, "Conventions", quantities)."""

CODE = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,19}\Z")
CODE_HINT = "letters, digits, dot, dash and underscore; at most 20"
validate_code = RegexValidator(CODE, CODE_HINT)


class Freezable(models.Model):
    """What staff can freeze, so that nothing of it is held anew; what is held already goes its way.

    Frozen while ``frozen_at`` is set and ``frozen_until`` is null (until somebody lifts it) or in the future by the
    database's clock.
    """

    frozen_at = models.DateTimeField(null=True, blank=True, editable=False)
    frozen_until = models.DateTimeField(null=True, blank=True)
    freeze_reason = models.CharField(max_length=500, blank=True, default="", db_default="")

    is_frozen: bool
    """Whether it is frozen now; on rows read ``with_brakes``, and on no other."""

    class Meta:
        abstract = True


def _freeze_agrees(name: str) -> models.CheckConstraint:
    """Only what is frozen has a reason and an end of it; the end comes after the beginning."""
    return models.CheckConstraint(
        name=name,
        condition=Q(frozen_at__isnull=True, frozen_until__isnull=True, freeze_reason="")
        | Q(frozen_at__isnull=False, frozen_until__isnull=True)
        | Q(frozen_at__isnull=False, frozen_until__gt=F("frozen_at")),
    )


def _positive_or_none(name: str, *fields: str) -> models.CheckConstraint:
    """Limits are positive; null is no limit."""
    condition = Q()
    for field in fields:
        condition &= Q(**{f"{field}__isnull": True}) | Q(**{f"{field}__gt": 0})
    return models.CheckConstraint(name=name, condition=condition)


class Product(Freezable):
    """What is sold. A variant is a product with a parent; a variant has no variants of its own.

    ``max_units_per_customer`` is the most units that one customer or cart of a store may hold at a time, variants
    together.
    """

    id = models.UUIDField(primary_key=True, default=uuid7)
    sku = models.CharField("SKU", max_length=64, unique=True)
    name = models.CharField(max_length=200)
    parent = models.ForeignKey("self", null=True, blank=True, on_delete=models.PROTECT, related_name="variants")
    barcode = models.CharField(max_length=64, blank=True, db_index=True)
    is_active = models.BooleanField(default=True)
    listing_expires_at = models.DateTimeField(null=True, blank=True)
    max_units_per_customer = models.IntegerField(null=True, blank=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    updated_at = models.DateTimeField(db_default=Now(), editable=False)

    objects = ProductQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=~Q(parent=F("id")), name="product_not_its_own_parent"),
            _positive_or_none("product_limit_positive", "max_units_per_customer"),
            _freeze_agrees("product_freeze_agrees"),
        ]
        indexes = [GinIndex(Words("sku", "name"), name="product_words")]

    def __str__(self) -> str:
        return f"{self.sku} {self.name}"


class Warehouse(Freezable):
    """A place with stock, known to callers by its immutable code."""

    class Type(models.TextChoices):
        MAIN = "MAIN", _("Main")
        SECONDARY = "SECONDARY", _("Secondary")
        DROPSHIP = "DROPSHIP", _("Dropship")

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    code = models.CharField(max_length=20, unique=True, validators=[validate_code])
    name = models.CharField(max_length=100)
    type = models.CharField(max_length=16, choices=Type.choices)
    address = models.JSONField(default=dict)
    contact_info = models.JSONField(null=True, blank=True)
    capabilities = models.JSONField(null=True, blank=True)
    is_active = models.BooleanField(default=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    objects = WarehouseQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(type__in=["MAIN", "SECONDARY", "DROPSHIP"]), name="warehouse_type_is_known"
            ),
            _freeze_agrees("warehouse_freeze_agrees"),
        ]
        triggers = [pgtrigger.Protect(name="never_deleted", operation=pgtrigger.Delete)]

    def __str__(self) -> str:
        return self.code


class Store(Freezable):
    """A shop: the warehouses it sells from, in order, and how long its holds live.

    ``max_units_per_customer`` is the most units of one product or variant that one customer or cart may hold at a time;
    ``max_holds_per_customer`` the most holds that a customer or cart may open within ``hold_window_minutes``.

    Stores are never deleted (a trigger), so that reservations need no foreign-key check on their hot path: with one,
    every hold of a store would lock the same row of this table.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    code = models.CharField(max_length=20, unique=True, validators=[validate_code])
    name = models.CharField(max_length=100)
    ttl_minutes = models.PositiveSmallIntegerField(
        "hold time in minutes", null=True, blank=True, validators=[MinValueValidator(1), MaxValueValidator(60)]
    )
    is_default = models.BooleanField(default=False)
    max_units_per_customer = models.IntegerField(null=True, blank=True)
    max_holds_per_customer = models.IntegerField(null=True, blank=True)
    hold_window_minutes = models.IntegerField(null=True, blank=True)
    warehouses: "models.ManyToManyField[Warehouse, StoreWarehouse]" = models.ManyToManyField(
        Warehouse, through="StoreWarehouse", related_name="stores"
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    objects = StoreQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["is_default"], condition=Q(is_default=True), name="store_one_default"),
            models.CheckConstraint(
                condition=Q(ttl_minutes__isnull=True) | Q(ttl_minutes__gte=1), name="store_ttl_positive"
            ),
            _positive_or_none(
                "store_limits_positive", "max_units_per_customer", "max_holds_per_customer", "hold_window_minutes"
            ),
            models.CheckConstraint(
                name="store_hold_limit_has_window",
                condition=Q(max_holds_per_customer__isnull=True, hold_window_minutes__isnull=True)
                | Q(max_holds_per_customer__isnull=False, hold_window_minutes__isnull=False),
            ),
            _freeze_agrees("store_freeze_agrees"),
        ]
        triggers = [pgtrigger.Protect(name="never_deleted", operation=pgtrigger.Delete)]

    def __str__(self) -> str:
        return self.code


class StoreWarehouse(models.Model):
    """A warehouse that a store sells from. The lowest priority is tried first."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    store = models.ForeignKey(Store, on_delete=models.CASCADE, related_name="sources")
    warehouse = models.ForeignKey(Warehouse, on_delete=models.PROTECT, related_name="+")
    priority = models.PositiveSmallIntegerField()

    class Meta:
        ordering = ["priority"]
        constraints = [models.UniqueConstraint(fields=["store", "warehouse"], name="store_warehouse_once")]

    def __str__(self) -> str:
        return f"{self.store} ← {self.warehouse} ({self.priority})"


class StockLevel(models.Model):
    """One product in one warehouse. The hot row of the service.

    No index mentions a counter, ``version`` or ``updated_at``: a reserve then is a heap-only update, and the free space
    that ``fillfactor`` leaves on each page (migration 0002) is where its new row version goes.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    product = models.ForeignKey(Product, on_delete=models.PROTECT, related_name="levels", db_index=False)
    warehouse = models.ForeignKey(Warehouse, on_delete=models.PROTECT, related_name="levels")
    on_hand = models.IntegerField(default=0, editable=False)
    reserved = models.IntegerField(default=0, editable=False)
    available = models.GeneratedField(
        expression=F("on_hand") - F("reserved"), output_field=models.IntegerField(), db_persist=True
    )
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
    """Units in transit to it; on rows read ``with_incoming``, and on no other."""

    objects = StockLevelQuerySet.as_manager()

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
        ]
        indexes = [
            models.Index(
                name="level_watched",
                fields=["warehouse"],
                condition=Q(reorder_point__isnull=False) | Q(max_stock_level__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.product} · {self.warehouse}"

    @property
    def place(self) -> str:
        """Which product where, in short."""
        return _("%(sku)s in %(warehouse)s") % {"sku": self.product.sku, "warehouse": self.warehouse.code}


class Movement(models.Model):
    """One change of on hand. Rows are never changed, and only ``archive`` deletes them: by trigger.

    Rows are read from the newest and archived from the oldest, of one level or of all. New rows go to the end of the
    index of time, which costs a writer little.
    """

    class Type(models.TextChoices):
        RECEIPT = "RECEIPT", _("Receipt")
        SHIPMENT = "SHIPMENT", _("Shipment")
        ADJUSTMENT = "ADJUSTMENT", _("Adjustment")
        TRANSFER = "TRANSFER", _("Transfer")
        RETURN = "RETURN", _("Return")

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    level = models.ForeignKey(StockLevel, on_delete=models.PROTECT, related_name="movements", db_index=False)
    type = models.CharField(max_length=16, choices=Type.choices)
    quantity = models.IntegerField()
    quantity_before = models.IntegerField()
    quantity_after = models.IntegerField()
    reason = models.CharField(max_length=500, blank=True)
    reference_type = models.CharField(max_length=50, blank=True)
    reference = models.CharField(max_length=100, blank=True)
    cost_per_unit = models.DecimalField(max_digits=12, decimal_places=2, null=True, blank=True)
    actor = models.CharField(max_length=150)
    adjustment_id = models.UUIDField(null=True, blank=True)
    created_at = models.DateTimeField()

    objects = MovementQuerySet.as_manager()

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
        ]
        triggers = append_only()

    def __str__(self) -> str:
        return f"{self.level.place}: {self.get_type_display()} {self.quantity:+d}"


class Transfer(models.Model):
    """Stock on its way from one warehouse to another.

    PENDING is a draft of staff, and takes nothing. IN_TRANSIT has left its source; PARTIALLY_RECEIVED has arrived in
    part; RECEIVED is closed, with whatever arrived; CANCELLED is closed and nothing of it arrived. ``closed_at`` is
    when it was received or cancelled.
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
    initiated_at = models.DateTimeField()
    shipped_at = models.DateTimeField(null=True)
    closed_at = models.DateTimeField(null=True)

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
        return self.public_id

    @property
    def public_id(self) -> str:
        """``tr-<uuid>``, the id that callers know."""
        return public_id(TRANSFER, self.id)


class TransferLine(models.Model):
    """Units of one product (the one whose stock it is: the variant, if there is one) of a transfer.

    What was shipped is received, returned to its source, lost, or still in transit. The partial index of what is in
    transit answers "how much is coming to this level" without a look at closed transfers.
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


class StockCount(models.Model):
    """A count of a warehouse, or of a part of it: OPEN, then POSTED or CANCELLED.

    ``stale_days`` belongs to the scope STALE: levels not counted for so long, or never; null means never alone. A
    difference above ``recount_share`` (of what was expected, 0 to 1) needs a second count; null means none does.
    """

    class Scope(models.TextChoices):
        ALL = "ALL", _("All of the warehouse")
        ZONE = "ZONE", _("A zone")
        PRODUCTS = "PRODUCTS", _("Chosen products")
        STALE = "STALE", _("What was not counted for long")

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

    objects = StockCountQuerySet.as_manager()

    class Meta:
        constraints = [
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
        return self.public_id

    @property
    def public_id(self) -> str:
        """``cnt-<uuid>``, the id that callers know."""
        return public_id(COUNT, self.id)


class StockCountLine(models.Model):
    """One level of a count: what was counted, and what was expected when it was.

    ``expected`` and ``recount_expected`` are on hand at the moment of (the second) counting, read under the level's
    lock: what moves later changes neither them nor the difference. ``is_open`` is true for as long as the count is
    OPEN. A level is in one open count at most: two would post the same difference twice. ``posted_difference`` is
    what posting added to on hand, signed; 0 where the count agreed.
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


class LowStockAlert(models.Model):
    """That a level is low on stock (api.md, rule 6), from ``opened_at`` until ``resolved_at``. One open one a level.

    ``available`` and ``reorder_point`` are the level's when it was opened or worsened. ``notified_at`` is when its
    warehouse's subscribers were last told of it; null again once it worsens, which is news.
    """

    class Severity(models.TextChoices):
        LOW = "LOW", _("Low")
        CRITICAL = "CRITICAL", _("Critical")

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    level = models.ForeignKey(StockLevel, on_delete=models.PROTECT, related_name="alerts")
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

    def __str__(self) -> str:
        return f"{self.level.place}: {self.get_severity_display().lower()}"

    @property
    def public_id(self) -> str:
        """``alr-<uuid>``, the id that callers know."""
        return public_id(ALERT, self.id)


class AlertSubscription(models.Model):
    """Whom to mail about a warehouse's low stock. ``user`` is whose address it is, where it is a member of staff's."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    warehouse = models.ForeignKey(
        Warehouse, on_delete=models.PROTECT, related_name="alert_subscriptions", db_index=False
    )
    email = models.EmailField()
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.CASCADE, related_name="alert_subscriptions"
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints = [models.UniqueConstraint("warehouse", Lower("email"), name="alert_subscription_once")]

    def __str__(self) -> str:
        return f"{self.email}: {self.warehouse_id}"


class AdjustmentReason(models.Model):
    """Why stock is changed, in words that managers offer in the console. ``kinds`` are the actions that offer it.

    What was written down with a change stays with it, whatever becomes of the reason here.
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


class LedgerOpening(models.Model):
    """Where a level's movements begin once older ones are archived: on hand is this plus the movements after it.

    Everything up to and including ``as_of`` is in archives.
    """

    level = models.OneToOneField(StockLevel, primary_key=True, on_delete=models.PROTECT, related_name="opening")
    as_of = models.DateTimeField()
    on_hand = models.IntegerField()

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="opening_within_limits", condition=Q(on_hand__gte=0, on_hand__lte=QUANTITY_LIMIT)
            )
        ]

    def __str__(self) -> str:
        return f"{self.on_hand} in {self.level_id}"


class ReconciliationRun(models.Model):
    """One comparison of counters with what explains them. ``scope`` says in words what was looked at."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)
    scope = models.CharField(max_length=200, blank=True)
    actor = models.CharField(max_length=150)
    levels_checked = models.IntegerField(default=0)
    finding_count = models.IntegerField(default=0)

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="reconciliation_run_counts", condition=Q(levels_checked__gte=0, finding_count__gte=0)
            ),
            models.CheckConstraint(
                name="reconciliation_run_ends_later",
                condition=Q(finished_at__isnull=True) | Q(finished_at__gte=F("started_at")),
            ),
        ]

    def __str__(self) -> str:
        return f"{localtime(self.started_at):%Y-%m-%d %H:%M}"


class ReconciliationFinding(models.Model):
    """A difference that was still there under the level's lock.

    ``subject_id`` is what it is about: a level, a transfer, a reservation or a row whose owner is gone; it has no
    foreign key, as a finding outlives what it speaks of. ``expected`` is what the explanation adds up to, ``actual``
    what the counter says, in units; null where the finding is no difference of numbers.
    """

    class Kind(models.TextChoices):
        ON_HAND = "ON_HAND", _("On hand against the ledger")
        RESERVED = "RESERVED", _("Reserved against holds")
        IN_TRANSIT = "IN_TRANSIT", _("In transit against the ledger")
        LONG_DUE = "LONG_DUE", _("Hold long past its end")
        ORPHAN = "ORPHAN", _("Row without its owner")

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    run = models.ForeignKey(ReconciliationRun, on_delete=models.PROTECT, related_name="findings")
    kind = models.CharField(max_length=10, choices=Kind.choices)
    subject_id = models.UUIDField()
    level = models.ForeignKey(StockLevel, null=True, on_delete=models.PROTECT, related_name="findings")
    expected = models.BigIntegerField(null=True)
    actual = models.BigIntegerField(null=True)
    detail = models.TextField(blank=True)
    repaired_at = models.DateTimeField(null=True)
    repaired_by = models.CharField(max_length=150, blank=True, default="", db_default="")
    repair_reason = models.CharField(max_length=500, blank=True, default="", db_default="")

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="finding_kind_is_known",
                condition=Q(kind__in=["ON_HAND", "RESERVED", "IN_TRANSIT", "LONG_DUE", "ORPHAN"]),
            ),
            models.CheckConstraint(
                name="finding_repaired_agrees",
                condition=Q(repaired_at__isnull=True, repaired_by="", repair_reason="")
                | (Q(repaired_at__isnull=False) & ~Q(repaired_by="") & ~Q(repair_reason="")),
            ),
        ]

    def __str__(self) -> str:
        return str(self.get_kind_display())


class ArchivedFile(models.Model):
    """A file of rows that left, or are about to leave, the database.

    Written once the file is safely on disk; ``deleted_at`` is set in the transaction that deletes its rows, so a run
    that was cut off in between is finished by the next one. ``from_at`` and ``to_at`` are the oldest and the newest
    row's times; ``sha256`` is the file's, in hexadecimal.
    """

    class Kind(models.TextChoices):
        MOVEMENTS = "MOVEMENTS", _("Movements")
        RESERVATIONS = "RESERVATIONS", _("Reservations")
        AUDIT_ENTRIES = "AUDIT_ENTRIES", _("Audit entries")

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    kind = models.CharField(max_length=16, choices=Kind.choices)
    name = models.CharField(max_length=200, unique=True)
    rows = models.IntegerField()
    sha256 = models.CharField("SHA-256", max_length=64)
    from_at = models.DateTimeField()
    to_at = models.DateTimeField()
    written_at = models.DateTimeField()
    deleted_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="archived_kind_is_known", condition=Q(kind__in=["MOVEMENTS", "RESERVATIONS", "AUDIT_ENTRIES"])
            ),
            models.CheckConstraint(name="archived_something", condition=Q(rows__gt=0)),
            models.CheckConstraint(name="archived_span", condition=Q(to_at__gte=F("from_at"))),
            models.CheckConstraint(name="archived_sha256", condition=Q(sha256__regex="^[0-9a-f]{64}$")),
            models.CheckConstraint(
                name="archived_before_deleted",
                condition=Q(deleted_at__isnull=True) | Q(deleted_at__gte=F("written_at")),
            ),
        ]

    def __str__(self) -> str:
        return self.name
