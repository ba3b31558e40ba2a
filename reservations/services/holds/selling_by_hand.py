"""Sell holds by hand, as ``consume_holds`` does. Frozen goods leave only for a reason (docs/explanation/rules.md, rule
12). Programs consume what was held before a freeze without being asked.
"""

from collections.abc import Collection, Sequence
from uuid import UUID

from inventory.services.catalogue.stock_warnings import StockWarning
from inventory.services.stock.frozen_goods import frozen_error, frozen_levels
from reservations.models import ReservationItem
from reservations.services.holds.resolution import ConsumeRequest, ResolutionOutcome, consume_holds


def frozen_holds(reservation_ids: Collection[UUID]) -> dict[UUID, StockWarning]:
    """A freeze of the goods of each of these reservations that holds frozen ones, by reservation. Two queries."""
    held = ReservationItem.objects.filter(reservation__in=reservation_ids)
    items = list(held.order_by("id").values_list("reservation_id", "level_id"))
    frozen = frozen_levels([level_id for _, level_id in items])
    return {reservation_id: frozen[level_id] for reservation_id, level_id in items if level_id in frozen}


def sell_by_hand(requests: Sequence[ConsumeRequest]) -> list[ResolutionOutcome]:
    """Consume holds that are named by their reservations, each decided on its own, as ``consume_holds`` does.

    A request for frozen goods without a ``freeze_override`` is refused with ProductFrozen or WarehouseFrozen.
    """
    asked = [request.selector.reservation_id for request in requests if not request.freeze_override]
    frozen = frozen_holds([id_ for id_ in asked if id_ is not None])
    refused = {
        index: frozen_error(frozen[request.selector.reservation_id])
        for index, request in enumerate(requests)
        if not request.freeze_override and request.selector.reservation_id in frozen
    }
    allowed = [request for index, request in enumerate(requests) if index not in refused]
    outcomes = iter(consume_holds(allowed) if allowed else [])
    return [refused[index] if index in refused else next(outcomes) for index in range(len(requests))]
