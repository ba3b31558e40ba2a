"""The verbs, each in a transaction that locks what it changes."""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone
from rest_framework.exceptions import APIException, NotFound

from benchmarks.plain.models import AuditEntry, Movement, OutboxEvent, Reservation, ReservationItem, StockLevel

SWEEP_BATCH_SIZE = 500


class Conflict(APIException):
    """409."""

    status_code = 409
    default_detail = "Not possible now."


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
    for item in items:
        level = levels.get(item["product_id"])
        if level is None or level.available < item["quantity"]:
            raise Conflict("Not enough stock.")
        level.reserved += item["quantity"]
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
