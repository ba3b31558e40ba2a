"""Break holds if fewer units are on hand than are reserved (docs/explanation/rules.md, rule 17).

Used by counts and forced adjustments, through ``inventory.holds_port``. Due holds are expired first; then the holds
that staff chose are broken, then the newest. Each hold is broken as a whole, in the transaction that changes on hand.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from django.db import connection

from audit.actors import Actor
from audit.db import columns
from audit.errors import Fault
from audit.events import OutboxRow
from audit.identifiers import RESERVATION, public_id
from audit.recording import record
from inventory.holds_port import (
    NONE_PREFERRED,
    AffectedHold,
    AffectedItem,
    Breaking,
    Preference,
    ShortageCause,
    ShortageForecast,
)
from inventory.locking import LockedLevels, lock_levels, read_clock
from inventory.models import StockLevel
from inventory.services.stock.ledger import Ledger
from inventory.transactions import LockedElsewhere
from reservations.errors import HoldNotInTheWay, ReservationNotFound, ReservedUnexplained
from reservations.events import InventoryReservationBrokenEvent
from reservations.models import Reservation
from reservations.services.holds import documents, expiry
from reservations.services.holds.counting import SHORTAGE
from reservations.services.holds.documents import Hold, Status
from reservations.services.holds.resolution import released_entry
from reservations.services.shortages import incidents
from reservations.services.shortages.incidents import Incident

REASON: Final = SHORTAGE


@dataclass(frozen=True, slots=True)
class HeldUnits:
    """Units of a level that an ACTIVE reservation holds, due or not."""

    level_id: UUID
    reservation_id: UUID
    quantity: int
    held_until: datetime
    made_at: datetime


def choose_holds(
    missing: Mapping[UUID, int], held: Sequence[HeldUnits], preferred: Sequence[UUID], now: datetime
) -> tuple[list[UUID], bool]:
    """Choose the reservations that give way, so that ``missing`` units of each level become free. Returns their ids,
    and whether they suffice.

    The levels are taken in order of their ids; on each, due holds come first, then the preferred ones in their order,
    then the newest. A reservation that gives way on one level also frees its units on all others.
    """
    rank = {id_: index for index, id_ in enumerate(preferred)}
    newest_first = sorted(held, key=lambda units: (units.made_at, units.reservation_id), reverse=True)

    def place(units: HeldUnits) -> int:
        return -1 if units.held_until <= now else rank.get(units.reservation_id, len(rank))

    chosen: dict[UUID, None] = {}
    is_enough = True
    for level_id in sorted(missing):
        here = sorted((units for units in newest_first if units.level_id == level_id), key=place)
        needed = missing[level_id] - sum(units.quantity for units in here if units.reservation_id in chosen)
        for units in here:
            if needed <= 0:
                break
            if units.reservation_id not in chosen:
                chosen[units.reservation_id] = None
                needed -= units.quantity
        is_enough = is_enough and needed <= 0
    return list(chosen), is_enough


_HELD_ON: Final = """
SELECT item.level_id, item.reservation_id, item.quantity, item.held_until, r.created_at
FROM reservations_reservationitem item JOIN reservations_reservation r ON r.id = item.reservation_id
WHERE item.level_id = ANY(%s) AND item.held_until IS NOT NULL
"""


def _held_on(level_ids: Collection[UUID]) -> list[HeldUnits]:
    with connection.cursor() as cursor:
        cursor.execute(_HELD_ON, [columns.uuids(level_ids)])
        return [HeldUnits(*row) for row in cursor.fetchall()]


def _missing(
    changes: Mapping[UUID, int], may_give_way: Collection[UUID], counters: Mapping[UUID, tuple[int, int]]
) -> dict[UUID, int]:
    """By level, the units by which reserved will exceed on hand. ``counters`` are (on hand, reserved) by level."""
    missing = {}
    for level_id in may_give_way:
        on_hand, reserved = counters[level_id]
        shortfall = reserved - max(0, on_hand + changes[level_id])
        if shortfall > 0:
            missing[level_id] = shortfall
    return missing


class LockedBreaking(Breaking):
    """Locked levels whose on hand is about to change, and the locked holds that give way, with all their levels.

    ``missing`` is, by level, the units by which reserved will exceed on hand.
    """

    def __init__(
        self,
        actor: Actor,
        cause: ShortageCause,
        levels: LockedLevels,
        missing: Mapping[UUID, int],
        holds: Sequence[Hold],
    ) -> None:
        self._actor = actor
        self._cause = cause
        self._missing = missing
        self._giving_way = holds
        self._ended: list[Hold] = []
        self._broken: list[Hold] = []
        self._incidents: list[Incident] = []
        self._events: tuple[OutboxRow, ...] = ()
        self.levels = levels

    @property
    def broken(self) -> tuple[AffectedHold, ...]:
        return tuple(affected(hold) for hold in self._broken)

    @property
    def incident_ids(self) -> tuple[str, ...]:
        return tuple(incident.public_id for incident in self._incidents)

    @property
    def events(self) -> tuple[OutboxRow, ...]:
        return self._events

    def give_way(self, ledger: Ledger) -> None:
        now = self.levels.now
        due = [hold for hold in self._giving_way if hold.is_due(now)]
        active = [hold for hold in self._giving_way if not hold.is_due(now)]
        for hold in active:
            for item in hold.items:
                ledger.reserve(item.level_id, -item.quantity)
        self._broken = [documents.ended(hold, Status.RELEASED, now=now, reason=REASON) for hold in active]
        self._ended = [*expiry.expire(due, ledger, now), *self._broken]
        freed = [(item.level_id, item.quantity) for hold in due for item in hold.items]
        for level_id, units in sorted(self._missing.items()):
            left = units - sum(quantity for id_, quantity in freed if id_ == level_id)
            lost = tuple(hold for hold in self._broken if any(item.level_id == level_id for item in hold.items))
            if left > 0 and lost:
                self._incidents.append(Incident(level_id, left, lost))
        self._events = (*map(expiry.released_event, self._ended), *map(self._broken_event, self._broken))

    def write(self) -> None:
        now = self.levels.now
        documents.close(self._ended, now=now)
        incidents.insert(self._incidents, self._cause, self._actor, now=now)
        ends = [
            released_entry(self._actor, hold)
            if hold.status == Status.RELEASED
            else expiry.expired_entry(hold, self._actor)
            for hold in self._ended
        ]
        found = [incidents.opened_entry(incident, self._cause, self._actor) for incident in self._incidents]
        record([*ends, *found], now=now)

    def _broken_event(self, hold: Hold) -> OutboxRow:
        incidents_of_hold = [
            incident.public_id
            for incident in self._incidents
            if any(item.level_id == incident.level_id for item in hold.items)
        ]
        return InventoryReservationBrokenEvent(
            **hold.facts(),
            customer_id=hold.customer_id,
            reason=REASON,
            cause=self._cause.public_id,
            incidents=incidents_of_hold,
            broken_by=self._actor.name,
        ).row(hold.level_ids)


def lock_and_choose(
    actor: Actor,
    cause: ShortageCause,
    changes: Mapping[UUID, int],
    may_give_way: Collection[UUID],
    preferred: Preference = NONE_PREFERRED,
) -> LockedBreaking:
    """Lock the levels of these changes (signed units by level), and the holds that must give way, with all their
    levels. Requires an open transaction that has locked neither reservations nor levels.

    Holds are first chosen without locks, then locked in the order of docs/explanation/rules.md, rule 8: holds, then
    levels. With the levels locked the choice is repeated; additional holds are locked with SKIP LOCKED only. Holds that
    another transaction has locked are passed over; if the others don't suffice, the transaction is rolled back and
    tried again.

    Raises LockedElsewhere (``transactions.run`` tries again), ReservedUnexplained, and for preferred holds
    ReservationNotFound or, if they hold none of the missing units, HoldNotInTheWay.
    """
    guess = _guess(changes, may_give_way, preferred)
    holds = documents.lock_holds(guess)
    levels = lock_levels({*changes, *(item.level_id for hold in holds.values() for item in hold.items)})
    counters = {id_: (levels.by_id[id_].on_hand, levels.by_id[id_].reserved) for id_ in may_give_way}
    missing = _missing(changes, may_give_way, counters)
    passed_over: set[UUID] = set()
    while True:
        held = [units for units in _held_on(missing) if units.reservation_id not in passed_over] if missing else []
        chosen, is_enough = choose_holds(missing, held, preferred.ids, levels.now)
        if not is_enough and not passed_over:
            raise ReservedUnexplained("More units are reserved than the active reservations have; run reconcile first.")
        if not is_enough:
            raise LockedElsewhere
        added = [id_ for id_ in chosen if id_ not in holds]
        if not added:
            break
        more = documents.lock_holds(added, wait=False)
        passed_over.update(set(added) - more.keys())
        holds |= more
        levels = _lock_further(levels, more.values())
    _require_in_the_way(preferred, actor, held, passed_over, levels.now)
    return LockedBreaking(actor, cause, levels, missing, [holds[id_] for id_ in chosen])


def _guess(changes: Mapping[UUID, int], may_give_way: Collection[UUID], preferred: Preference) -> list[UUID]:
    """Choose the reservations that would give way now, without locks."""
    falling = [id_ for id_ in may_give_way if changes[id_] < 0]
    if not falling:
        return []
    missing = _missing(changes, falling, _read_counters(falling))
    return choose_holds(missing, _held_on(missing), preferred.ids, read_clock())[0] if missing else []


def _read_counters(level_ids: Collection[UUID]) -> dict[UUID, tuple[int, int]]:
    rows = StockLevel.objects.filter(pk__in=level_ids).values_list("pk", "on_hand", "reserved")
    return {id_: (on_hand, reserved) for id_, on_hand, reserved in rows}


def _lock_further(levels: LockedLevels, holds: Collection[Hold]) -> LockedLevels:
    """Lock, without waiting, the holds' other levels, and read the clock again."""
    further = {item.level_id for hold in holds for item in hold.items} - levels.by_id.keys()
    more = lock_levels(further, wait=False) if further else LockedLevels(read_clock(), {})
    if further - more.by_id.keys():
        raise LockedElsewhere
    return LockedLevels(more.now, {**levels.by_id, **more.by_id})


def _require_in_the_way(
    preferred: Preference, actor: Actor, held: Sequence[HeldUnits], passed_over: Collection[UUID], now: datetime
) -> None:
    """Raise ReservationNotFound or HoldNotInTheWay if a preferred reservation holds none of the missing units."""
    if not preferred.ids:
        return
    in_the_way = {units.reservation_id for units in held if units.held_until > now}
    wrong = [id_ for id_ in preferred.ids if id_ not in in_the_way]
    if any(id_ in passed_over for id_ in wrong):
        raise LockedElsewhere
    seen = Reservation.objects.visible_to(actor).filter(pk__in=preferred.ids)
    known = set(seen.values_list("pk", flat=True))
    for index, id_ in enumerate(preferred.ids):
        if id_ not in known:
            detail = f"There is no reservation {public_id(RESERVATION, id_)}."
            raise ReservationNotFound.at(f"{preferred.pointer}/{index}", detail)
    if wrong:
        faults = [
            Fault(
                f"{preferred.pointer}/{preferred.ids.index(id_)}",
                HoldNotInTheWay.code,
                f"{public_id(RESERVATION, id_)} has none of the missing units.",
                {"reservationId": public_id(RESERVATION, id_)},
            )
            for id_ in wrong
        ]
        raise HoldNotInTheWay("A reservation that was chosen has none of the missing units.", faults)


def foresee(
    changes: Mapping[UUID, int], counters: Mapping[UUID, tuple[int, int]], preferred: Sequence[UUID] = ()
) -> ShortageForecast:
    """Forecast, without locks, which holds these changes (signed units by level) would break.

    ``counters`` are (on hand, reserved) by level; ``preferred`` are the reservations that staff want to give way first.
    Units of due holds don't count as missing.
    """
    now = read_clock()
    missing = _missing(changes, changes.keys(), counters)
    held = _held_on(missing) if missing else []
    due = {units.reservation_id for units in held if units.held_until <= now}
    for units in held:
        if units.reservation_id in due:
            missing[units.level_id] -= units.quantity
    missing = {level_id: units for level_id, units in missing.items() if units > 0}
    alive = [units for units in held if units.reservation_id not in due]
    chosen, _ = choose_holds(missing, alive, preferred, now)
    read = documents.read_holds(chosen)
    return ShortageForecast(missing, tuple(affected(read[id_]) for id_ in chosen if id_ in read), now)


def affected(hold: Hold) -> AffectedHold:
    """The hold as counts and adjustments show it."""
    items = (AffectedItem(item.product_id, item.variant_id, item.warehouse, item.quantity) for item in hold.items)
    return AffectedHold(
        hold.id,
        hold.store,
        hold.order_id,
        hold.cart_id,
        hold.customer_id,
        hold.created_at,
        hold.expires_at,
        tuple(items),
    )
