"""Generate four weeks of movements for the demonstration's stock levels: pure, and the same for the same seed.

Movements are generated backwards from today's on hand, so that they end exactly there and never go below zero.
"""

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

DAYS: Final = 28
_QUIET: Final = timedelta(minutes=10)
_SHARES: Final = (1.0, 0.4, 0.3)
_BUYERS: Final = ("m.keller", "j.brandt")


@dataclass(frozen=True, slots=True)
class Change:
    """One movement of a level; ``quantity`` is signed, in units."""

    at: datetime
    type: str
    quantity: int
    reason: str
    actor: str
    reference_type: str = "adjustment"
    reference: str = ""
    cost_per_unit: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """The replenishment of a level: units sold per day, reorder point and reorder quantity."""

    daily: float
    reorder_point: int
    reorder_quantity: int

    @classmethod
    def of(cls, daily: float, place: int) -> "Plan":
        """Make a plan from the daily sales of the first warehouse; ``place`` is the warehouse's index, and later ones
        sell less. The reorder point is five days' sales, the quantity eighteen days'."""
        own = daily * _SHARES[place]
        return cls(own, max(1, math.ceil(own * 5)), max(3, math.ceil(own * 18)))


def generate(seed: str, *, on_hand: int, plan: Plan, cost: Decimal, now: datetime) -> list[Change]:
    """The changes of one level up to ``now``, the oldest first, which add up to ``on_hand`` units."""
    chance = random.Random(seed)  # noqa: S311 - demonstration rows, not a secret
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    # A level that has run out had no sales in the last days.
    sold_until = chance.randint(2, 5) if on_hand == 0 else 0
    changes: list[Change] = []
    stock = on_hand
    for days_ago in range(DAYS):
        today = midnight - timedelta(days=days_ago)
        for change in _day_backwards(chance, today, stock, plan, cost, is_selling=days_ago >= sold_until):
            if change.at < now - _QUIET:
                changes.append(change)
                stock -= change.quantity
    if stock:
        opening = midnight - timedelta(days=DAYS) + timedelta(hours=6, seconds=chance.randrange(3600))
        changes.append(Change(opening, "RECEIPT", stock, "opening stock", "m.keller", cost_per_unit=cost))
    return changes[::-1]


def _day_backwards(
    chance: random.Random, day: datetime, stock: int, plan: Plan, cost: Decimal, *, is_selling: bool
) -> Iterator[Change]:
    """The changes of one day, the latest first: sales during the day, corrections and receipts in the morning."""
    sold = _units_sold(chance, plan.daily) if is_selling else 0
    if sold:
        at = day + timedelta(hours=8, seconds=int(chance.triangular(0, 15 * 3600, 8 * 3600)))
        order = f"ORD-{chance.randrange(10_000, 99_999)}"
        yield Change(at, "SHIPMENT", -sold, "sold", "shop", "order", order)
        stock += sold
    if is_selling and chance.random() < 0.04:
        change = _correction(chance, day)
        if stock - change.quantity >= 0:
            yield change
            stock -= change.quantity
    if stock > plan.reorder_point + plan.reorder_quantity and is_selling:
        at = day + timedelta(hours=5, seconds=chance.randrange(2 * 3600))
        order = f"PO-{chance.randrange(1_000, 9_999)}"
        who = chance.choice(_BUYERS)
        yield Change(at, "RECEIPT", plan.reorder_quantity, "delivery", who, "purchase_order", order, cost)


def _units_sold(chance: random.Random, daily: float) -> int:
    wanted = chance.gauss(daily, daily / 3) if daily >= 2 else daily
    whole = math.floor(max(0.0, wanted))
    return whole + (chance.random() < wanted - whole)


def _correction(chance: random.Random, day: datetime) -> Change:
    at = day + timedelta(hours=7, seconds=chance.randrange(3600))
    if chance.random() < 0.5:
        order = f"ORD-{chance.randrange(10_000, 99_999)}"
        return Change(at, "RETURN", 1, "customer return", "j.brandt", "order", order)
    if chance.random() < 0.7:
        return Change(at, "ADJUSTMENT", -1, "damaged in handling", "m.keller")
    return Change(at, "ADJUSTMENT", chance.choice((-2, -1, 1)), "bin recount", "m.keller")
