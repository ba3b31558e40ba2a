"""What is where. Counters are written by ``services/ledger.py`` alone."""

import re

import pgtrigger
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now
from uuid_utils.compat import uuid7

from inventory.querysets import ProductQuerySet, StockLevelQuerySet, StoreQuerySet, WarehouseQuerySet

QUANTITY_LIMIT = 2_000_000_000
"""The most units on hand that one level may have (api.md, "Conventions", quantities)."""

CODE = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,19}\Z")
CODE_HINT = "letters, digits, dot, dash and underscore; at most 20"
validate_code = RegexValidator(CODE, CODE_HINT)


class Product(models.Model):
    """What is sold. A variant is a product with a parent; a variant has no variants of its own."""

    id = models.UUIDField(primary_key=True, default=uuid7)
    sku = models.CharField("SKU", max_length=64, unique=True)
    name = models.CharField(max_length=200)
    parent = models.ForeignKey("self", null=True, blank=True, on_delete=models.PROTECT, related_name="variants")
    barcode = models.CharField(max_length=64, blank=True, db_index=True)
    is_active = models.BooleanField(default=True)
    listing_expires_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    updated_at = models.DateTimeField(db_default=Now(), editable=False)

    objects = ProductQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=~Q(parent=F("id")), name="product_not_its_own_parent"),
        ]

    def __str__(self) -> str:
        return f"{self.sku} {self.name}"


class Warehouse(models.Model):
    """A place with stock, known to callers by its immutable code."""

    class Type(models.TextChoices):
        MAIN = "MAIN", "Main"
        SECONDARY = "SECONDARY", "Secondary"
        DROPSHIP = "DROPSHIP", "Dropship"

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
        ]
        triggers = [pgtrigger.Protect(name="never_deleted", operation=pgtrigger.Delete)]

    def __str__(self) -> str:
        return self.code


class Store(models.Model):
    """A shop: the warehouses it sells from, in order, and how long its holds live.

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

    objects = StockLevelQuerySet.as_manager()

    class Meta:
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

    def __str__(self) -> str:
        return f"{self.product_id} in {self.warehouse_id}"


class Movement(models.Model):
    """One change of on hand. Rows are never changed: the database refuses it."""

    class Type(models.TextChoices):
        RECEIPT = "RECEIPT", "Receipt"
        SHIPMENT = "SHIPMENT", "Shipment"
        ADJUSTMENT = "ADJUSTMENT", "Adjustment"
        TRANSFER = "TRANSFER", "Transfer"
        RETURN = "RETURN", "Return"

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
        indexes = [models.Index(fields=["level", "created_at"], name="movement_of_level")]
        triggers = [pgtrigger.Protect(name="append_only", operation=pgtrigger.Update | pgtrigger.Delete)]

    def __str__(self) -> str:
        return f"{self.type} {self.quantity:+d}"
