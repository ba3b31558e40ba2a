"""Products, warehouses and stores: what can be sold, and from where."""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, Self

import pgtrigger
from django.contrib.postgres.indexes import GinIndex
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _
from uuid_utils.compat import uuid7

from audit import hidden
from inventory.codes import barcode_key, sku_key
from inventory.models.catalogue_querysets import ProductQuerySet, StoreQuerySet, WarehouseQuerySet
from inventory.words import Words

_LONGEST_KEY: Final = 200
"""The key of a code is up to three times as long: some letters have a longer spelling without case."""

CODE = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,19}\Z")
CODE_HINT = "letters, digits, dot, dash and underscore; at most 20"
validate_code = RegexValidator(CODE, CODE_HINT)


class Freezable(models.Model):
    """A row that staff can freeze: new holds are then refused, existing ones are not affected.

    A row is frozen while ``frozen_at`` is set and ``frozen_until`` is null (until it is unfrozen) or in the future by
    the database's clock.
    """

    frozen_at = models.DateTimeField(null=True, blank=True, editable=False)
    frozen_until = models.DateTimeField(null=True, blank=True)
    freeze_reason = models.CharField(max_length=500, blank=True, default="", db_default="")

    is_frozen: bool
    """Whether the row is frozen now; only on rows read ``with_freezes``."""

    class Meta:
        abstract = True


def _freeze_agrees(name: str) -> models.CheckConstraint:
    """Only a frozen row has a reason and an end of its freeze; the end comes after the beginning."""
    return models.CheckConstraint(
        name=name,
        condition=Q(frozen_at__isnull=True, frozen_until__isnull=True, freeze_reason="")
        | Q(frozen_at__isnull=False, frozen_until__isnull=True)
        | Q(frozen_at__isnull=False, frozen_until__gt=F("frozen_at")),
    )


def _positive_or_none(name: str, *fields: str) -> models.CheckConstraint:
    """Limits are positive; null means no limit."""
    condition = Q()
    for field in fields:
        condition &= Q(**{f"{field}__isnull": True}) | Q(**{f"{field}__gt": 0})
    return models.CheckConstraint(name=name, condition=condition)


def _rising_version(*columns: str) -> pgtrigger.Trigger:
    """Raise ``version`` with each change of these columns, whoever makes it: a command, a file, a form or SQL.

    It never falls, whatever an update writes to it.
    """
    old, new = (", ".join(f"{row}.{column}" for column in columns) for row in ("OLD", "NEW"))
    return pgtrigger.Trigger(
        name="version_rises",
        when=pgtrigger.Before,
        operation=pgtrigger.Update,
        func=f"""
            IF ROW({old}) IS DISTINCT FROM ROW({new}) THEN
                NEW.version = OLD.version + 1;
            ELSE
                NEW.version = GREATEST(OLD.version, NEW.version);
            END IF;
            RETURN NEW;
        """,
    )


def _rising_time(*columns: str) -> pgtrigger.Trigger:
    """Set ``updated_at`` with each change of these columns, whoever makes it.

    To the time of the change and not of the transaction, which may have begun long before it is committed.
    """
    old, new = (", ".join(f"{row}.{column}" for column in columns) for row in ("OLD", "NEW"))
    return pgtrigger.Trigger(
        name="updated_at_rises",
        when=pgtrigger.Before,
        operation=pgtrigger.Update,
        func=f"""
            IF ROW({old}) IS DISTINCT FROM ROW({new}) THEN
                NEW.updated_at = GREATEST(NEW.updated_at, clock_timestamp());
            END IF;
            RETURN NEW;
        """,
    )


class KeyField(models.CharField):  # type: ignore[type-arg]
    """The key of a code in another field of the row, computed whenever the row is saved."""

    def __init__(self, source: str, key: Callable[[str], str]) -> None:
        super().__init__(max_length=_LONGEST_KEY, editable=False)
        self.source = source
        self.key = key

    def pre_save(self, model_instance: models.Model, add: bool) -> str:
        """Compute the key and set it on the row."""
        computed = self.key(getattr(model_instance, self.source))
        setattr(model_instance, self.attname, computed)
        return computed

    def deconstruct(self) -> tuple[str, str, Sequence[Any], dict[str, Any]]:
        """For migrations, an ordinary field of characters."""
        return self.name, "django.db.models.CharField", (), {"max_length": _LONGEST_KEY, "editable": False}

    def clone(self) -> Self:
        """A copy of the field; Django would make it from what ``deconstruct`` returns."""
        return type(self)(self.source, self.key)


_SET_BY_USERS: Final = (
    "sku",
    "name",
    "parent_id",
    "barcode",
    "is_active",
    "listing_expires_at",
    "max_units_per_customer",
)


class Product(Freezable):
    """A product that is sold. A variant is a product with a parent; a variant has no variants of its own.

    ``max_units_per_customer`` is the most units that one customer or cart of a store may hold at a time, summed over
    variants. ``sku_key`` and ``barcode_key`` are what codes are compared by (``inventory/codes.py``). ``sku_twin`` is
    0; it is higher only for a product whose SKU was the same as an older one's when SKUs began to be compared by their
    keys, until one of the two gets another SKU. ``version`` rises with each change of what users set, but for freezes;
    ``updated_at`` changes with those, too.
    """

    id = models.UUIDField(primary_key=True, default=uuid7)
    sku = models.CharField("SKU", max_length=64, unique=True)
    sku_key = KeyField("sku", sku_key)
    sku_twin = models.PositiveSmallIntegerField(default=0, db_default=0, editable=False)
    name = models.CharField(max_length=200)
    parent = models.ForeignKey("self", null=True, blank=True, on_delete=models.PROTECT, related_name="variants")
    barcode = models.CharField(max_length=64, blank=True, db_index=True)
    barcode_key = KeyField("barcode", barcode_key)
    is_active = models.BooleanField(default=True)
    listing_expires_at = models.DateTimeField(null=True, blank=True)
    max_units_per_customer = models.IntegerField(null=True, blank=True)
    version = models.BigIntegerField(default=1, db_default=1, editable=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    updated_at = models.DateTimeField(db_default=Now(), editable=False)

    objects = hidden.HidingManager.from_queryset(ProductQuerySet)("pk", hidden.PRODUCT_ID)
    everything = ProductQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=~Q(parent=F("id")), name="product_not_its_own_parent"),
            models.UniqueConstraint(fields=["sku_key", "sku_twin"], name="product_sku_once"),
            _positive_or_none("product_limit_positive", "max_units_per_customer"),
            _freeze_agrees("product_freeze_agrees"),
        ]
        indexes = [
            GinIndex(Words("sku", "name"), name="product_words"),
            models.Index(fields=["barcode_key"], name="product_barcode_key"),
            models.Index(fields=["updated_at", "id"], name="product_updated"),
            models.Index(
                name="product_may_be_retired",
                fields=["id"],
                condition=Q(is_active=False) | Q(listing_expires_at__isnull=False),
            ),
        ]
        triggers = [
            _rising_version(*_SET_BY_USERS),
            _rising_time(*_SET_BY_USERS, "frozen_at", "frozen_until", "freeze_reason"),
        ]

    def __str__(self) -> str:
        return f"{self.sku} {self.name}"

    def save(self, *args: Any, update_fields: Iterable[str] | None = None, **options: Any) -> None:
        """Save the row; the keys of its codes always go with them."""
        if update_fields is not None:
            update_fields = {*update_fields, "sku_key", "barcode_key"}
        super().save(*args, update_fields=update_fields, **options)


class Warehouse(Freezable):
    """A place with stock, known to callers by its immutable code.

    ``version`` rises with each change of what users set, but for freezes.
    """

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
    version = models.BigIntegerField(default=1, db_default=1, editable=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    objects = hidden.HidingManager.from_queryset(WarehouseQuerySet)("pk", hidden.WAREHOUSE_ID)
    everything = WarehouseQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(type__in=["MAIN", "SECONDARY", "DROPSHIP"]), name="warehouse_type_is_known"
            ),
            _freeze_agrees("warehouse_freeze_agrees"),
        ]
        triggers = [
            pgtrigger.Protect(name="never_deleted", operation=pgtrigger.Delete),
            _rising_version("name", "type", "address", "contact_info", "capabilities", "is_active"),
        ]

    def __str__(self) -> str:
        return self.code


class Store(Freezable):
    """A shop, with the warehouses it sells from, in order, and the lifetime of its holds.

    ``max_units_per_customer`` is the most units of one product or variant that one customer or cart may hold at a time;
    ``max_holds_per_customer`` the most holds that a customer or cart may open within ``hold_window_minutes``.
    ``version`` rises with each change of what users set, its warehouses among it, but for freezes.

    Stores are never deleted (a trigger), so that reservations need no foreign-key check on their hot path: with one,
    every hold of a store would lock the same row of this table.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    code = models.CharField(max_length=20, unique=True, validators=[validate_code])
    name = models.CharField(max_length=100)
    ttl_minutes = models.PositiveSmallIntegerField(
        "reservation time in minutes", null=True, blank=True, validators=[MinValueValidator(1), MaxValueValidator(60)]
    )
    is_default = models.BooleanField(default=False)
    max_units_per_customer = models.IntegerField(null=True, blank=True)
    max_holds_per_customer = models.IntegerField(null=True, blank=True)
    hold_window_minutes = models.IntegerField(null=True, blank=True)
    version = models.BigIntegerField(default=1, db_default=1, editable=False)
    warehouses: "models.ManyToManyField[Warehouse, StoreWarehouse]" = models.ManyToManyField(
        Warehouse, through="StoreWarehouse", related_name="stores"
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    objects = hidden.HidingManager.from_queryset(StoreQuerySet)("pk", hidden.STORE_ID)
    everything = StoreQuerySet.as_manager()

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
        triggers = [
            pgtrigger.Protect(name="never_deleted", operation=pgtrigger.Delete),
            _rising_version(
                "name",
                "ttl_minutes",
                "is_default",
                "max_units_per_customer",
                "max_holds_per_customer",
                "hold_window_minutes",
            ),
        ]

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
        triggers = [
            pgtrigger.Trigger(
                name="store_version_rises",
                when=pgtrigger.After,
                operation=pgtrigger.Insert | pgtrigger.Update | pgtrigger.Delete,
                func="""
                    UPDATE inventory_store SET version = version + 1 WHERE id IN (OLD.store_id, NEW.store_id);
                    RETURN NULL;
                """,
            )
        ]

    def __str__(self) -> str:
        return f"{self.store} ← {self.warehouse} ({self.priority})"
