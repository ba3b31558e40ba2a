"""The implementation of ``inventory.holds_port``: operations on holds for counts, adjustments and transfers."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from audit.actors import Actor
from inventory.holds_port import NONE_PREFERRED, Breaking, HoldInTheWay, Preference, ShortageCause, ShortageForecast
from reservations.models import ReservationItem
from reservations.services.holds import expiry
from reservations.services.shortages import shortage


class HoldsAdapter:
    """Forwards each operation of ``HoldsPort`` to its service."""

    def free_due(self, level_ids: Collection[UUID]) -> None:
        expiry.free_due_holds(level_ids)

    def lock_and_choose(
        self,
        actor: Actor,
        cause: ShortageCause,
        changes: Mapping[UUID, int],
        may_give_way: Collection[UUID],
        preferred: Preference = NONE_PREFERRED,
    ) -> Breaking:
        return shortage.lock_and_choose(actor, cause, changes, may_give_way, preferred)

    def foresee(
        self, changes: Mapping[UUID, int], counters: Mapping[UUID, tuple[int, int]], preferred: Sequence[UUID] = ()
    ) -> ShortageForecast:
        return shortage.foresee(changes, counters, preferred)

    def in_the_way(self, level_ids: Collection[UUID], now: datetime, *, limit: int) -> list[HoldInTheWay]:
        items = ReservationItem.objects.filter(level__in=level_ids, held_until__gt=now)
        rows = items.order_by("level__product__sku", "-pk").values_list(
            "reservation_id", "level__product__sku", "quantity", "reservation__order_id", "reservation__cart_id"
        )
        return [HoldInTheWay(*row) for row in rows[:limit]]
