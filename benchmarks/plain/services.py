"""The verbs, each in a transaction that locks what it changes."""

import csv
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.db import transaction
from django.db.models import ExpressionWrapper, F, FloatField, OuterRef, Q, QuerySet, Subquery, Sum
from django.db.models.functions import Cast, Coalesce
from django.utils import timezone
from rest_framework.exceptions import APIException, NotFound

from benchmarks.plain.models import (
    AuditEntry,
    Delivery,
    Movement,
    OutboxEvent,
    Reservation,
    ReservationItem,
    StockLevel,
)

SWEEP_BATCH_SIZE = 500
LOW_SHARE = 0.2
CRITICAL_SHARE = 0.1
SALES_DAYS = 30


class Conflict(APIException):
    """409."""

    status_code = 409
    default_detail = "Not possible now."


class Short(Conflict):
    """409 with the lines that lack units."""

    def __init__(self, lines: Sequence[dict[str, int]]) -> None:
        super().__init__()
        self.detail: Any = {"detail": "Not enough stock.", "items": list(lines)}


def lock_levels(product_ids: Iterable[int]) -> dict[int, StockLevel]:
    """The levels of products, locked in one order."""
    levels = StockLevel.objects.select_for_update().filter(product_id__in=set(product_ids)).order_by("pk")
    return {level.product_id: level for level in levels}


def lock_reservation(reservation_id: int) -> Reservation:
    """An active reservation, locked."""
    try:
        reservation = Reservation.objects.select_for_update().get(pk=reservation_id)
    except Reservation.DoesNotExist as error:
        raise NotFound from error
    if reservation.status != Reservation.Status.ACTIVE or reservation.expires_at <= timezone.now():
        raise Conflict(f"The reservation is {reservation.status}.")
    return reservation


def tell(action: str, event: str, reservation: Reservation, actor: str, facts: dict[str, Any]) -> None:
    """The audit entry and the outbox event of a change."""
    AuditEntry.objects.create(action=action, actor=actor, subject=f"reservation-{reservation.pk}", changes=facts)
    payload = {"reservation_id": reservation.pk, "cart_id": reservation.cart_id, **facts}
    OutboxEvent.objects.create(type=event, key=f"reservation-{reservation.pk}", payload=payload)


@transaction.atomic
def reserve(cart_id: str, items: Sequence[dict[str, int]], minutes: int, actor: str) -> Reservation:
    """Hold every line, or none."""
    levels = lock_levels(item["product_id"] for item in items)
    short = []
    for item in items:
        level = levels.get(item["product_id"])
        available = level.available if level else 0
        if level is None or available < item["quantity"]:
            short.append({"product_id": item["product_id"], "requested": item["quantity"], "available": available})
        else:
            level.reserved += item["quantity"]
    if short:
        raise Short(short)
    expires_at = timezone.now() + timedelta(minutes=minutes)
    reservation = Reservation.objects.create(cart_id=cart_id, expires_at=expires_at)
    ReservationItem.objects.bulk_create(
        ReservationItem(reservation=reservation, level=levels[item["product_id"]], quantity=item["quantity"])
        for item in items
    )
    for level in levels.values():
        level.save(update_fields=["reserved", "updated_at"])
    facts = {"items": [dict(item) for item in items], "expires_at": expires_at.isoformat()}
    tell("reservation_created", "InventoryReservedEvent", reservation, actor, facts)
    return reservation


@transaction.atomic
def put_basket(cart_id: str, items: Sequence[dict[str, int]], minutes: int, actor: str) -> Reservation:
    """Make a cart's hold exactly these lines; its time goes on."""
    active = Reservation.objects.filter(
        cart_id=cart_id, status=Reservation.Status.ACTIVE, expires_at__gt=timezone.now()
    )
    reservation = active.select_for_update().order_by("pk").first()
    if reservation is None:
        return reserve(cart_id, items, minutes, actor)
    wanted = {item["product_id"]: item["quantity"] for item in items}
    held = {item.level.product_id: item for item in reservation.items.select_related("level")}
    levels = lock_levels({*wanted, *held})
    for product_id in {*wanted, *held}:
        level = levels.get(product_id)
        change = wanted.get(product_id, 0) - (held[product_id].quantity if product_id in held else 0)
        if level is None or change > level.available:
            raise Conflict("Not enough stock.")
        level.reserved += change
    StockLevel.objects.bulk_update(levels.values(), ["reserved"])
    reservation.items.all().delete()
    ReservationItem.objects.bulk_create(
        ReservationItem(reservation=reservation, level=levels[product_id], quantity=quantity)
        for product_id, quantity in wanted.items()
    )
    facts = {"items": [dict(item) for item in items], "expires_at": reservation.expires_at.isoformat()}
    tell("basket_changed", "InventoryReservedEvent", reservation, actor, facts)
    return reservation


@transaction.atomic
def extend(reservation_id: int, minutes: int, actor: str) -> Reservation:
    """Give a hold more time, once."""
    reservation = lock_reservation(reservation_id)
    if reservation.extended_at is not None:
        raise Conflict("Extended before.")
    reservation.expires_at += timedelta(minutes=minutes)
    reservation.extended_at = timezone.now()
    reservation.save(update_fields=["expires_at", "extended_at"])
    facts = {"expires_at": reservation.expires_at.isoformat()}
    tell("reservation_extended", "InventoryExtendedEvent", reservation, actor, facts)
    return reservation


def _items_and_levels(reservation: Reservation) -> tuple[list[ReservationItem], dict[int, StockLevel]]:
    items = list(reservation.items.select_related("level"))
    return items, lock_levels(item.level.product_id for item in items)


@transaction.atomic
def release(reservation_id: int, reason: str, actor: str) -> Reservation:
    """Give stock back."""
    reservation = lock_reservation(reservation_id)
    items, levels = _items_and_levels(reservation)
    for item in items:
        level = levels[item.level.product_id]
        level.reserved -= item.quantity
        level.save(update_fields=["reserved", "updated_at"])
    reservation.status, reservation.closed_at = Reservation.Status.RELEASED, timezone.now()
    reservation.reason = reason
    reservation.save(update_fields=["status", "closed_at", "reason"])
    tell("reservation_released", "InventoryReleasedEvent", reservation, actor, {"reason": reason})
    return reservation


@transaction.atomic
def consume(reservation_id: int, order_id: str, actor: str) -> Reservation:
    """Turn a hold into a sale."""
    reservation = lock_reservation(reservation_id)
    items, levels = _items_and_levels(reservation)
    for item in items:
        level = levels[item.level.product_id]
        level.reserved -= item.quantity
        level.on_hand -= item.quantity
        level.save(update_fields=["reserved", "on_hand", "updated_at"])
    Movement.objects.bulk_create(
        Movement(level_id=item.level_id, type="SHIPMENT", quantity=-item.quantity, reference=order_id, actor=actor)
        for item in items
    )
    reservation.status, reservation.closed_at = Reservation.Status.CONSUMED, timezone.now()
    reservation.order_id = order_id
    reservation.save(update_fields=["status", "closed_at", "order_id"])
    tell("reservation_consumed", "InventoryConsumedEvent", reservation, actor, {"order_id": order_id})
    return reservation


def check(items: Sequence[dict[str, int]]) -> list[dict[str, Any]]:
    """What may be held of each line: one query."""
    levels = StockLevel.objects.filter(product_id__in={item["product_id"] for item in items})
    available = {level.product_id: max(0, level.available) for level in levels}
    return [
        {**item, "available": available.get(item["product_id"], 0)}
        | {"is_available": available.get(item["product_id"], 0) >= item["quantity"]}
        for item in items
    ]


@transaction.atomic
def adjust(adjustments: Sequence[dict[str, Any]], actor: str) -> list[dict[str, Any]]:
    """Change on hand, all lines or none, with one statement a table."""
    levels = lock_levels(line["product_id"] for line in adjustments)
    answers = []
    for line in adjustments:
        level = levels.get(line["product_id"])
        change = -line["quantity"] if line["type"] == "SHIPMENT" else line["quantity"]
        if level is None or level.on_hand + change < level.reserved:
            raise Conflict("Not enough stock.")
        answers.append({**line, "before": level.on_hand, "after": level.on_hand + change})
        level.on_hand += change
    StockLevel.objects.bulk_update(levels.values(), ["on_hand"])
    Movement.objects.bulk_create(
        Movement(
            level=levels[line["product_id"]],
            type=line["type"],
            quantity=line["after"] - line["before"],
            reason=line["reason"],
            actor=actor,
        )
        for line in answers
    )
    AuditEntry.objects.bulk_create(
        AuditEntry(action="stock_adjusted", actor=actor, subject=f"level-{levels[line['product_id']].pk}", changes=line)
        for line in answers
    )
    OutboxEvent.objects.bulk_create(
        OutboxEvent(type="StockAdjustedEvent", key=f"level-{levels[line['product_id']].pk}", payload=line)
        for line in answers
    )
    return answers


def levels_of(product_id: int) -> QuerySet[StockLevel]:
    """The levels of a product with their warehouses, and the units on their way to each as ``incoming``."""
    coming = Delivery.objects.filter(level=OuterRef("pk"), arrived_at=None).values("level")
    incoming = Coalesce(Subquery(coming.annotate(total=Sum("quantity")).values("total")), 0)
    levels = StockLevel.objects.filter(product_id=product_id).select_related("warehouse").order_by("warehouse__code")
    return levels.annotate(incoming=incoming)


def moved_in_a_day(product_id: int) -> dict[str, int]:
    """The units of a product that moved in the last 24 hours, by kind."""

    def total(*types: str) -> Coalesce:
        return Coalesce(Sum("quantity", filter=Q(type__in=types)), 0)

    moved = Movement.objects.filter(level__product_id=product_id, created_at__gt=timezone.now() - timedelta(days=1))
    found: dict[str, int] = moved.aggregate(
        received=total("RECEIPT", "RETURN"), shipped=-total("SHIPMENT"), adjusted=total("ADJUSTMENT")
    )
    return found


def reservations() -> QuerySet[Reservation]:
    """Reservations with their items, and these with their levels and warehouses."""
    return Reservation.objects.prefetch_related("items__level__warehouse")


def active_of_cart(cart_id: str) -> QuerySet[Reservation]:
    """What a cart holds, the oldest first."""
    active = reservations().filter(cart_id=cart_id, status=Reservation.Status.ACTIVE, expires_at__gt=timezone.now())
    return active.order_by("created_at", "pk")


def low_stock() -> QuerySet[StockLevel]:
    """The levels at their reorder point, or at a share of a full level, the emptiest first."""
    free, full = F("on_hand") - F("reserved"), F("reorder_point") + F("reorder_quantity")
    share = ExpressionWrapper(Cast(free, FloatField()) / Cast(full, FloatField()), output_field=FloatField())
    watched = StockLevel.objects.filter(reorder_point__isnull=False).annotate(free=free, share=share)
    low = watched.filter(Q(free__lte=F("reorder_point")) | Q(share__lte=LOW_SHARE))
    return low.select_related("product", "warehouse").order_by("share", "pk")


def with_sales(levels: QuerySet[StockLevel]) -> QuerySet[StockLevel]:
    """Each with ``sold``: its shipments of the last days, negative."""
    since = timezone.now() - timedelta(days=SALES_DAYS)
    shipped = Movement.objects.filter(level=OuterRef("pk"), type="SHIPMENT", created_at__gt=since)
    return levels.annotate(sold=Subquery(shipped.values("level").annotate(total=Sum("quantity")).values("total")))


@transaction.atomic
def import_stock(file: Path, actor: str) -> int:
    """Change on hand by the lines of a CSV file, all or none. Returns how many lines."""
    lines = 0
    with file.open(newline="") as opened:
        for row in csv.DictReader(opened):
            quantity = int(row["quantity"])
            change = -quantity if row["type"] == "SHIPMENT" else quantity
            level = StockLevel.objects.select_for_update(of=("self",)).get(
                product__sku=row["sku"], warehouse__code=row["warehouse"]
            )
            if level.on_hand + change < level.reserved:
                raise Conflict("Not enough stock.")
            level.on_hand += change
            level.save(update_fields=["on_hand", "updated_at"])
            Movement.objects.create(
                level=level,
                type=row["type"],
                quantity=change,
                reason=row["reason"],
                reference=row["reference"],
                actor=actor,
            )
            facts = {**row, "after": level.on_hand}
            AuditEntry.objects.create(action="stock_adjusted", actor=actor, subject=f"level-{level.pk}", changes=facts)
            OutboxEvent.objects.create(type="StockAdjustedEvent", key=f"level-{level.pk}", payload=facts)
            lines += 1
    return lines


def expire_due() -> int:
    """Expire all due holds, a batch a transaction. Returns how many."""
    total = 0
    while expired := _expire_batch():
        total += expired
    return total


@transaction.atomic
def _expire_batch() -> int:
    due = Reservation.objects.filter(status=Reservation.Status.ACTIVE, expires_at__lte=timezone.now())
    reservations = list(due.select_for_update(skip_locked=True).order_by("expires_at")[:SWEEP_BATCH_SIZE])
    held: Counter[int] = Counter()
    items = ReservationItem.objects.filter(reservation__in=reservations)
    for level_id, quantity in items.values_list("level_id", "quantity"):
        held[level_id] += quantity
    levels = list(StockLevel.objects.select_for_update().filter(pk__in=held).order_by("pk"))
    for level in levels:
        level.reserved -= held[level.pk]
    StockLevel.objects.bulk_update(levels, ["reserved"])
    ids = [reservation.pk for reservation in reservations]
    Reservation.objects.filter(pk__in=ids).update(status=Reservation.Status.EXPIRED, closed_at=timezone.now())
    AuditEntry.objects.bulk_create(
        AuditEntry(action="reservation_expired", actor="sweeper", subject=f"reservation-{id_}", changes={})
        for id_ in ids
    )
    OutboxEvent.objects.bulk_create(
        OutboxEvent(type="InventoryReleasedEvent", key=f"reservation-{id_}", payload={"reservation_id": id_})
        for id_ in ids
    )
    return len(ids)
