"""Chainable reads of what is where, and of what happens to it."""

from collections.abc import Collection
from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any, Self
from uuid import UUID

from django.apps import apps
from django.db import models
from django.db.models import (
    BigIntegerField,
    BooleanField,
    Exists,
    ExpressionWrapper,
    F,
    FloatField,
    OuterRef,
    Q,
    Subquery,
    Sum,
    Value,
)
from django.db.models.functions import Cast, Coalesce, Greatest, Now, NullIf, TruncDate
from django.utils.timezone import make_aware

from inventory.planning import CRITICAL_PARTS, LOW_PARTS, PARTS, SALES_DAYS, SLACK_DIVISOR
from inventory.words import Words, beginning_so

if TYPE_CHECKING:
    from inventory.models import (  # noqa: F401 - named in the bases' strings
        LowStockAlert,
        Movement,
        Product,
        StockCount,
        StockLevel,
        Store,
        Transfer,
        Warehouse,
    )


def warehouses_of(store_codes: Collection[str]) -> models.QuerySet[Any]:
    """The ids of the warehouses that these stores sell from, as a subquery."""
    sources: models.Manager[Any] = apps.get_model("inventory", "StoreWarehouse")._default_manager
    return sources.filter(store__code__in=store_codes).values("warehouse")


def _whole(expression: Any) -> Any:
    """An expression of whole numbers of 64 bits."""
    return ExpressionWrapper(expression, output_field=BigIntegerField())


def _full_level(path: str) -> Coalesce:
    """``planning.full_level`` in SQL, for a level at this path."""
    ordered = _whole(Cast(f"{path}reorder_point", BigIntegerField()) + Coalesce(F(f"{path}reorder_quantity"), 0))
    return Coalesce(Cast(f"{path}max_stock_level", BigIntegerField()), ordered)


def _share(full: Any, parts: int) -> Any:
    return _whole(full * Value(parts, BigIntegerField()) / Value(PARTS, BigIntegerField()))


def _low_line(path: str, low_parts: int) -> Greatest:
    """``planning.low_line`` in SQL, for a level at this path."""
    full, low = _full_level(path), max(low_parts, CRITICAL_PARTS)
    reorder_point = Cast(Coalesce(F(f"{path}reorder_point"), 0), BigIntegerField())
    return Greatest(reorder_point, _share(full, low))


class _Freezables(models.QuerySet[Any]):
    """What staff can freeze."""

    def with_brakes(self) -> Self:
        """With ``is_frozen``: ``selling.frozen`` for a row of this table, by the database's clock."""
        lasts = Q(frozen_until__isnull=True) | Q(frozen_until__gt=Now())
        return self.annotate(
            is_frozen=ExpressionWrapper(Q(frozen_at__isnull=False) & lasts, output_field=BooleanField())
        )


class ProductQuerySet(_Freezables, models.QuerySet["Product"]):
    """Products and variants."""

    def search(self, text: str) -> Self:
        """By a part of SKU or name, or by the whole barcode."""
        return self.filter(Q(sku__icontains=text) | Q(name__icontains=text) | Q(barcode=text))

    def meant(self, text: str) -> Self:
        """What a person means by a text: a whole barcode, else all its words by their beginnings in SKU and name; only
        where nothing begins so, a part of SKU or name, which no index finds. Up to two queries besides its own."""
        scanned, words = self.filter(barcode=text), beginning_so(text)
        if text and scanned.exists():
            return scanned
        worded = self.alias(words=Words("sku", "name")).filter(words=words) if words is not None else self.none()
        return worded if worded.exists() else self.search(text)

    def scanned(self, text: str) -> list[UUID]:
        """The ids of products with exactly this SKU or barcode, and of their variants. Two queries."""
        found = list(self.filter(Q(sku=text) | Q(barcode=text)).values_list("pk", flat=True)) if text else []
        return found and [*found, *self.filter(parent__in=found).values_list("pk", flat=True)]


class WarehouseQuerySet(_Freezables, models.QuerySet["Warehouse"]):
    """Warehouses."""

    def visible_to(self, store_codes: Collection[str]) -> Self:
        """Those that these stores sell from; all where no store is named."""
        return self.filter(stores__code__in=store_codes).distinct() if store_codes else self


class StoreQuerySet(_Freezables, models.QuerySet["Store"]):
    """Stores."""

    def visible_to(self, store_codes: Collection[str]) -> Self:
        """Those with these codes; all where none is named."""
        return self.filter(code__in=store_codes) if store_codes else self


class StockLevelQuerySet(models.QuerySet["StockLevel"]):
    """Stock levels."""

    def visible_to(self, store_codes: Collection[str]) -> Self:
        """Those in warehouses that these stores sell from; all where no store is named."""
        return self.filter(warehouse__in=warehouses_of(store_codes)) if store_codes else self

    def with_incoming(self) -> Self:
        """Each with ``incoming_quantity``: units that are in transit to it."""
        lines: models.Manager[Any] = apps.get_model("inventory", "TransferLine")._default_manager
        coming = lines.filter(destination_level=OuterRef("pk"), in_transit__gt=0).order_by()
        total = coming.values("destination_level").annotate(total=Sum("in_transit")).values("total")
        return self.annotate(incoming_quantity=Coalesce(Subquery(total), 0))

    def of_product(self, product_id: UUID) -> Self:
        """The levels of one product or variant, in order of their warehouses' codes."""
        return self.filter(product_id=product_id).select_related("warehouse").order_by("warehouse__code")

    def with_ledger_balance(self, at: datetime | None = None) -> Self:
        """Each with ``ledger_on_hand``: what its opening and the movements after it add up to, in units; with ``at``,
        those up to and including that moment.

        It means nothing for a moment before the level's opening: those movements are archived.
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
        """Those with a setting that says when they are low."""
        return self.filter(Q(reorder_point__isnull=False) | Q(max_stock_level__isnull=False))

    def low(self, low_parts: int = LOW_PARTS) -> Self:
        """Those that ``planning.severity`` calls low, annotated with what puts the worst first.

        ``share`` is available as a part of the full level, 0 to 1, and with it the order by severity, as a level is
        critical at a tenth of it. ``is_critical`` says so in words.
        """
        full = _full_level("")
        share = ExpressionWrapper(
            Cast("available", FloatField()) / NullIf(Cast(full, FloatField()), Value(0.0)), output_field=FloatField()
        )
        return (
            self.watched()
            .filter(available__lte=_low_line("", low_parts))
            .annotate(
                share=Coalesce(share, Value(0.0)),
                is_critical=ExpressionWrapper(
                    Q(available__lte=_share(full, CRITICAL_PARTS)), output_field=models.BooleanField()
                ),
            )
        )

    def without_alert(self) -> Self:
        """Those of ``low`` that have no open alert, or a milder one than they are."""
        unresolved: models.Manager[Any] = apps.get_model("inventory", "LowStockAlert")._default_manager
        of_level = unresolved.filter(level=OuterRef("pk"), resolved_at__isnull=True)
        return self.filter(~Exists(of_level) | Q(is_critical=True) & Exists(of_level.filter(severity="LOW")))


class MovementQuerySet(models.QuerySet["Movement"]):
    """Movements."""

    def visible_to(self, store_codes: Collection[str]) -> Self:
        """Those in warehouses that these stores sell from; all where no store is named."""
        return self.filter(level__warehouse__in=warehouses_of(store_codes)) if store_codes else self

    def on_hand_by_day(self, level_id: UUID, first_day: date) -> dict[date, tuple[int, int]]:
        """By day, from ``first_day`` on: what a level had on hand before its first movement and after its last one.

        Days are those of the current time zone; one without movements is left out. Two queries.
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
        shipped = self.filter(level__in=level_ids, type="SHIPMENT", created_at__gt=since)
        return {row["level"]: -row["total"] for row in shipped.values("level").annotate(total=Sum("quantity"))}


class TransferQuerySet(models.QuerySet["Transfer"]):
    """Transfers; ``Now`` is the database's clock."""

    def visible_to(self, store_codes: Collection[str]) -> Self:
        """Those from or to a warehouse that these stores sell from; all where no store is named."""
        if not store_codes:
            return self
        seen = warehouses_of(store_codes)
        return self.filter(Q(from_warehouse__in=seen) | Q(to_warehouse__in=seen))

    def matching(self, *, status: str | None, from_warehouse: str | None, to_warehouse: str | None) -> Self:
        """By status and by the codes of the warehouses at either end; None means any."""
        wanted = {"status": status, "from_warehouse__code": from_warehouse, "to_warehouse__code": to_warehouse}
        return self.filter(**{field: value for field, value in wanted.items() if value is not None})

    def on_the_way(self) -> Self:
        """Those that have left their source and are not closed."""
        return self.filter(status__in=["IN_TRANSIT", "PARTIALLY_RECEIVED"])

    def overdue(self) -> Self:
        """Those on the way that should have arrived."""
        return self.on_the_way().filter(expected_delivery__lt=Now())


class StockCountQuerySet(models.QuerySet["StockCount"]):
    """Counts."""

    def visible_to(self, store_codes: Collection[str]) -> Self:
        """Those of warehouses that these stores sell from; all where no store is named."""
        return self.filter(warehouse__in=warehouses_of(store_codes)) if store_codes else self


class LowStockAlertQuerySet(models.QuerySet["LowStockAlert"]):
    """Alerts of low stock."""

    def visible_to(self, store_codes: Collection[str]) -> Self:
        """Those of levels in warehouses that these stores sell from; all where no store is named."""
        return self.filter(level__warehouse__in=warehouses_of(store_codes)) if store_codes else self

    def described(self) -> Self:
        """With their levels, products and warehouses."""
        return self.select_related("level__product", "level__warehouse")

    def unresolved(self) -> Self:
        """Those that are open."""
        return self.filter(resolved_at__isnull=True)

    def recovered(self) -> Self:
        """The open ones whose level ``planning.has_recovered``, or isn't watched any more."""
        line = _low_line("level__", LOW_PARTS)
        slack = Greatest(_whole(line / Value(SLACK_DIVISOR, BigIntegerField())), Value(1, BigIntegerField()))
        is_watched = Q(level__reorder_point__isnull=False) | Q(level__max_stock_level__isnull=False)
        return self.unresolved().filter(~is_watched | Q(level__available__gt=_whole(line + slack)))

    def audible(self) -> Self:
        """The open ones that nobody has snoozed; ``Now`` is the database's clock."""
        return self.unresolved().filter(Q(snoozed_until__isnull=True) | Q(snoozed_until__lte=Now()))

    def news(self, reminder: timedelta) -> Self:
        """The audible ones that a mail is due for: untold (since they became worse), back from a snooze, or told longer
        ago than ``reminder`` and not acknowledged."""
        told_long_ago = Q(acknowledged_at__isnull=True, notified_at__lte=Now() - Value(reminder))
        is_back = Q(snoozed_until__gt=F("notified_at"))
        return self.audible().filter(Q(notified_at__isnull=True) | is_back | told_long_ago)
