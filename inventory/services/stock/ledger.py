"""The only writer of on hand and reserved, and of the movements that explain on hand.

Callers hold the levels' locks (``locking.lock_levels``) and have made their decisions on the counters read under them.
A ``Ledger`` collects the changes and writes them once: two statements, whatever the number of levels and movements, one
for the events, and two more if a level becomes low.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final
from uuid import UUID

import msgspec
from django.conf import settings

from audit import traces
from audit.db import columns
from audit.db.statements import batches, write
from audit.events import OutboxRow
from audit.identifiers import EVENT
from audit.metrics.definitions import MOVEMENT_PROCESSED
from audit.publishing import publish
from audit.recording import new_ids
from inventory import planning
from inventory.events import InventoryLevelChangedEvent
from inventory.locking import Counters, LevelChange, LockedIds, LockedLevels
from inventory.services.low_stock.alerts import Crossing, raise_alerts
from inventory.services.stock import known_levels, level_events

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

_HELD_WITH_CAUSES: Final = f"""(
    SELECT held.level_id, 0, -sum(held.quantity)::int, count(*)::int, false,
        to_jsonb((array_agg('{EVENT}-' || (%s::uuid[])[held.n]))[:{level_events.MOST_CAUSES}]), row_number() OVER ()
    FROM ({{held}}) AS held GROUP BY held.level_id
)"""  # noqa: S608 - constants only
_RETURNING: Final = f"""RETURNING t.n::int, {level_events.LEVEL_COLUMNS}, t.on_hand AS on_hand_change,
    t.reserved AS reserved_change, t.bumps, t.cause
"""
_GIVE_BACK_AND_RETURN: Final = (
    _UPDATE_LEVELS.replace("moved)", "moved, cause, n)").format(changes=_HELD_WITH_CAUSES) + _RETURNING
)
"""The same, returning what ``level_events.publish_changes`` reads."""

# In the SELECT list, unnest returns row by row; of an unnest in FROM, PostgreSQL would store all rows first.
_INSERT_MOVEMENTS: Final = """
INSERT INTO inventory_movement (created_at, id, level_id, type, quantity, quantity_before, quantity_after, reason,
    reference_type, reference, cost_per_unit, actor, adjustment_id, store)
SELECT %s, unnest(%s::uuid[]), unnest(%s::uuid[]), unnest(%s::text[]), unnest(%s::int[]), unnest(%s::int[]),
    unnest(%s::int[]), unnest(%s::text[]), unnest(%s::text[]), unnest(%s::text[]), unnest(%s::text[])::numeric,
    unnest(%s::text[]), unnest(%s::uuid[]), unnest(%s::text[])
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


def give_back_from(held: str, *, levels: LockedIds, event_ids: columns.UuidArray) -> None:
    """Lower reserved by the quantities of these rows, as a part of ``audit.db.statements.write_about``.

    ``held`` is a constant SELECT of (level_id, quantity, n): quantity in units, and which of ``event_ids``, counting
    from 1, is the event that says why. Each row bumps the level's version, as ``Ledger.reserve`` does. Requires the
    levels' locks.
    """
    known_levels.forget_all()
    now = levels.now
    if not settings.LEVEL_EVENTS:
        write(_GIVE_BACK.format(held=held), [now, now])
        return
    changed = write(_GIVE_BACK_AND_RETURN.format(held=held), [now, now, event_ids])
    level_events.publish_changes(changed, at_most=levels.count, now=now)


class Ledger:
    """The changes of one transaction to levels that it has locked.

    Each call changes the counters in memory at once, so that the next decision of the batch includes it; ``write``
    writes all changes. The database's constraints also refuse invalid counters.
    """

    def __init__(self, levels: LockedLevels) -> None:
        self._levels = levels
        self._changed: list[tuple[UUID, Counters, LevelChange]] = []
        self._movements: list[tuple[UUID, int, int, MovementCause]] = []
        self._touched: set[UUID] = set()

    def reserve(self, level_id: UUID, quantity: int) -> None:
        """Raise reserved by a number of units; a negative quantity lowers it."""
        counters, change = self._change(level_id)
        counters.reserved += quantity
        change.reserved += quantity

    def move(self, level_id: UUID, quantity: int, cause: MovementCause) -> None:
        """Change on hand by a signed quantity, in units, and write its movement."""
        counters, change = self._change(level_id)
        before = counters.on_hand
        counters.on_hand += quantity
        change.on_hand += quantity
        change.moved = True
        self._movements.append((level_id, quantity, before, cause))

    def set_on_hand(self, level_id: UUID, on_hand: int) -> None:
        """Set on hand to the sum of the movements. Only for repairs: the only change of on hand without a movement,
        because nothing moved."""
        counters, change = self._change(level_id)
        change.on_hand += on_hand - counters.on_hand
        counters.on_hand = on_hand

    def supply_movement(self, level_id: UUID, before: int, cause: MovementCause) -> None:
        """Write the missing movement between the sum of the movements and on hand, which stays unchanged. Only for
        repairs."""
        counters, change = self._change(level_id)
        change.moved = True
        self._movements.append((level_id, counters.on_hand - before, before, cause))

    def touch(self, level_id: UUID) -> None:
        """Mark a level as updated, though neither its counters nor its version change: its incoming units do."""
        self._touched.add(level_id)

    def has_changed(self, level_id: UUID) -> bool:
        """Whether there are changes to the counters of a level, written or not."""
        counters = self._levels.by_id.get(level_id)
        return counters is not None and counters.change is not None

    def write(self, now: datetime, events: Sequence[OutboxRow]) -> None:
        """Write all changes: one UPDATE of levels, one INSERT of movements. Requires the levels' locks.

        Publishes these events, which say why, and an event for each changed level, whose cause are those of the events
        that are about it. To be called once in a transaction, so that each level has one event.

        Raises an alert, with its event, for levels whose severity became worse (docs/explanation/rules.md, rule 14).
        It compares available before and after all changes of the transaction, which is known here without a query.
        """
        known_levels.forget(level_id for level_id, _, _ in self._changed)
        changes = [entry for entry in self._changed if entry[2].moved or entry[2].reserved or entry[2].on_hand]
        written = [(level_id, change) for level_id, _, change in changes]
        if self._touched:
            unchanged = self._touched.difference(level_id for level_id, _ in written)
            written += [(level_id, LevelChange()) for level_id in sorted(unchanged)]
        for some in batches(written):
            _write_levels(some, now)
        self._write_movements(now)
        self._note(events)
        changed: Iterable[OutboxRow] = _level_events(changes)
        if traces.active is not None:
            changed = _traced(changed, events)
        for rows in batches([*events, *changed]):
            publish(rows, now=now)
        for crossed in batches(self._crossed(changes)):
            raise_alerts(crossed, now=now)

    def write_part(self, now: datetime, events: Sequence[OutboxRow]) -> None:
        """Write the movements so far and publish these events, where all of them are too much for one statement.
        ``write`` follows, which writes the changes of the levels."""
        self._write_movements(now)
        self._note(events)
        publish(events, now=now)

    def _write_movements(self, now: datetime) -> None:
        if self._movements:
            write(_INSERT_MOVEMENTS, [now, *self._movement_columns()])
            MOVEMENT_PROCESSED.add_each_after_commit(cause.type for *_, cause in self._movements)
            self._movements.clear()

    def _note(self, events: Sequence[OutboxRow]) -> None:
        if settings.LEVEL_EVENTS:
            by_id = self._levels.by_id
            for row in events:
                cause = row.public_id
                for level_id in row.about:
                    counters = by_id.get(level_id)
                    if counters is not None and counters.change is not None:
                        counters.change.causes.append(cause)

    def _crossed(self, changes: Iterable[tuple[UUID, Counters, LevelChange]]) -> list[Crossing]:
        crossed: list[Crossing] = []
        for level_id, counters, change in changes:
            if change.on_hand >= change.reserved:
                continue
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
            new_ids(len(movements))[1],
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

    def _change(self, level_id: UUID) -> tuple[Counters, LevelChange]:
        """The counters of a level and its change so far, both with one more change of its version."""
        counters = self._levels.by_id[level_id]
        change = counters.change
        if change is None:
            change = counters.change = LevelChange()
            self._changed.append((level_id, counters, change))
        change.bumps += 1
        counters.version += 1
        return counters, change


def _level_events(changes: Iterable[tuple[UUID, Counters, LevelChange]]) -> Iterator[OutboxRow]:
    for level_id, counters, change in changes:
        if counters.facts is not None:
            yield level_events.changed_event(level_id, counters.facts, counters, change)


def _traced(changed: Iterable[OutboxRow], causes: Sequence[OutboxRow]) -> Iterator[OutboxRow]:
    """Events of levels, each in the trace of its causes, or in the current trace if its causes are in several."""
    traceparents = {row.public_id: row.traceparent for row in causes}
    for row in changed:
        assert isinstance(row.event, InventoryLevelChangedEvent)  # noqa: S101 - for the type checker
        of_causes = {traceparents.get(cause) for cause in row.event.cause}
        yield row.within(of_causes.pop()) if len(of_causes) == 1 else row


def _write_levels(changes: Sequence[tuple[UUID, LevelChange]], now: datetime) -> None:
    write(
        _WRITE,
        [
            now,
            now,
            columns.uuids(level_id for level_id, _ in changes),
            columns.ints(change.on_hand for _, change in changes),
            columns.ints(change.reserved for _, change in changes),
            columns.ints(change.bumps for _, change in changes),
            columns.bools(change.moved for _, change in changes),
        ],
    )
