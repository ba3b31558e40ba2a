"""The only writer of on hand and reserved, and of the movements that explain on hand.

Callers hold the levels' locks (``locking.lock_levels``) and have made their decisions on the counters read under them.
A ``Ledger`` collects the changes and writes them once: two statements, whatever the number of levels and movements, and
two more if a level becomes low.
"""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Final
from uuid import UUID

import msgspec
from uuid_utils.compat import uuid7

from audit.db import columns
from audit.db.statements import write
from inventory import planning
from inventory.locking import LockedLevels
from inventory.services.low_stock.alerts import Crossing, raise_alerts

_UPDATE_LEVELS: Final = """
UPDATE inventory_stocklevel AS level SET
    on_hand = level.on_hand + t.on_hand, reserved = level.reserved + t.reserved, version = level.version + t.bumps,
    updated_at = %s, last_movement_at = CASE WHEN t.moved THEN %s ELSE level.last_movement_at END
FROM {changes} AS t (id, on_hand, reserved, bumps, moved)
WHERE level.id = t.id
"""
_WRITE: Final = _UPDATE_LEVELS.format(changes="unnest(%s::uuid[], %s::int[], %s::int[], %s::int[], %s::bool[])")
_GIVE_BACK: Final = _UPDATE_LEVELS.format(
    changes="""(
    SELECT held.level_id, 0, -sum(held.quantity)::int, count(*)::int, false FROM ({held}) AS held GROUP BY 1
)"""
)

_INSERT_MOVEMENTS: Final = """
INSERT INTO inventory_movement (id, level_id, type, quantity, quantity_before, quantity_after, reason, reference_type,
    reference, cost_per_unit, actor, adjustment_id, store, created_at)
SELECT t.*, %s FROM unnest(%s::uuid[], %s::uuid[], %s::text[], %s::int[], %s::int[], %s::int[], %s::text[], %s::text[],
    %s::text[], %s::text[]::numeric[], %s::text[], %s::uuid[], %s::text[]) AS t
"""


class MovementCause(msgspec.Struct, frozen=True, gc=False):
    """The cause of a movement. ``type`` is a ``Movement.Type`` value; ``reference`` is the caller's name for it.

    ``store`` is the code of the store that the movement belongs to, empty if it belongs to none.
    """

    type: str
    actor: str
    reason: str = ""
    reference_type: str = ""
    reference: str = ""
    cost_per_unit: Decimal | None = None
    adjustment_id: UUID | None = None
    store: str = ""


class _Change(msgspec.Struct, gc=False):
    on_hand: int = 0
    reserved: int = 0
    bumps: int = 0
    moved: bool = False


def give_back_from(held: str, *, now: datetime) -> None:
    """Lower reserved by the quantities of these rows, as a part of ``audit.db.statements.write_about``.

    ``held`` is a constant SELECT of (level_id, quantity), in units. Each row bumps the level's version, as
    ``Ledger.reserve`` does. Requires the levels' locks.
    """
    write(_GIVE_BACK.format(held=held), [now, now])


class Ledger:
    """The changes of one transaction to levels that it has locked.

    Each call changes the counters in memory at once, so that the next decision of the batch includes it; ``write``
    writes all changes. The database's constraints also refuse invalid counters.
    """

    def __init__(self, levels: LockedLevels) -> None:
        self._levels = levels
        self._changes: dict[UUID, _Change] = {}
        self._movements: list[tuple[UUID, int, int, MovementCause]] = []

    def reserve(self, level_id: UUID, quantity: int) -> None:
        """Raise reserved by a number of units; a negative quantity lowers it."""
        self._levels.by_id[level_id].reserved += quantity
        change = self._change(level_id)
        change.reserved += quantity

    def move(self, level_id: UUID, quantity: int, cause: MovementCause) -> None:
        """Change on hand by a signed quantity, in units, and write its movement."""
        counters = self._levels.by_id[level_id]
        before = counters.on_hand
        counters.on_hand += quantity
        change = self._change(level_id)
        change.on_hand += quantity
        change.moved = True
        self._movements.append((level_id, quantity, before, cause))

    def set_on_hand(self, level_id: UUID, on_hand: int) -> None:
        """Set on hand to the sum of the movements. Only for repairs: the only change of on hand without a movement,
        because nothing moved."""
        counters = self._levels.by_id[level_id]
        self._change(level_id).on_hand += on_hand - counters.on_hand
        counters.on_hand = on_hand

    def supply_movement(self, level_id: UUID, before: int, cause: MovementCause) -> None:
        """Write the missing movement between the sum of the movements and on hand, which stays unchanged. Only for
        repairs."""
        self._change(level_id).moved = True
        self._movements.append((level_id, self._levels.by_id[level_id].on_hand - before, before, cause))

    def write(self, now: datetime) -> None:
        """Write all changes: one UPDATE of levels, one INSERT of movements. Requires the levels' locks.

        Raises an alert, with its event, for levels whose severity became worse (docs/explanation/rules.md, rule 14).
        It compares available before and after all changes of the transaction, which is known here without a query.
        """
        changes = {level: c for level, c in self._changes.items() if c.moved or c.reserved or c.on_hand}
        if changes:
            write(
                _WRITE,
                [
                    now,
                    now,
                    columns.uuids(changes),
                    columns.ints(change.on_hand for change in changes.values()),
                    columns.ints(change.reserved for change in changes.values()),
                    columns.ints(change.bumps for change in changes.values()),
                    columns.bools(change.moved for change in changes.values()),
                ],
            )
        if self._movements:
            write(_INSERT_MOVEMENTS, [now, *self._movement_columns()])
        if crossed := self._crossed(changes):
            raise_alerts(crossed, now=now)

    def _crossed(self, changes: Mapping[UUID, _Change]) -> list[Crossing]:
        crossed: list[Crossing] = []
        for level_id, change in changes.items():
            if change.on_hand >= change.reserved:
                continue
            counters = self._levels.by_id[level_id]
            if counters.reorder_point is None and counters.max_stock_level is None:
                continue
            after = counters.on_hand - counters.reserved
            severity = planning.crossing(counters, after - change.on_hand + change.reserved, after)
            if severity is not None:
                crossed.append(Crossing(level_id, severity, after))
        return crossed

    def _movement_columns(self) -> list[bytes]:
        movements = self._movements
        causes = [cause for _, _, _, cause in movements]
        return [
            columns.uuids(uuid7() for _ in movements),
            columns.uuids(level_id for level_id, _, _, _ in movements),
            columns.texts(cause.type for cause in causes),
            columns.ints(quantity for _, quantity, _, _ in movements),
            columns.ints(before for _, _, before, _ in movements),
            columns.ints(before + quantity for _, quantity, before, _ in movements),
            columns.texts(cause.reason for cause in causes),
            columns.texts(cause.reference_type for cause in causes),
            columns.texts(cause.reference for cause in causes),
            columns.decimals(cause.cost_per_unit for cause in causes),
            columns.texts(cause.actor for cause in causes),
            columns.uuids(cause.adjustment_id for cause in causes),
            columns.texts(cause.store for cause in causes),
        ]

    def _change(self, level_id: UUID) -> _Change:
        change = self._changes.get(level_id)
        if change is None:
            change = self._changes[level_id] = _Change()
        change.bumps += 1
        self._levels.by_id[level_id].version += 1
        return change
