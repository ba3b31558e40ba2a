"""Settings of stock levels: reorder points, safety stock, location. For one level, or for many at once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import SimpleNamespace
from typing import Any, Final
from uuid import UUID

from audit.actors import Actor
from audit.db import columns
from audit.db.statements import Progress, batches, no_progress, write
from audit.errors import Invalid, NotFound, VersionConflict
from audit.events import OutboxRow
from audit.idempotency import Claim, StoredAnswer
from audit.preconditions import Precondition, last_write_wins
from audit.publishing import publish
from audit.recording import Entry, record
from inventory import actions
from inventory.locking import LockedLevels, lock_levels
from inventory.models import StockLevel
from inventory.services.catalogue.master_data import Saved, claimed
from inventory.services.low_stock import alerts as low_stock
from inventory.services.stock import known_levels
from inventory.services.stock.level_events import SETTINGS_CHANGED, changed_event

SETTINGS: Final = (
    "reorder_point",
    "reorder_quantity",
    "min_stock_level",
    "max_stock_level",
    "zone",
    "aisle",
    "shelf",
)
"""The fields of the model that users set."""


@dataclass(frozen=True, slots=True)
class LevelChange:
    """New settings of one level. ``changes`` are keyed by the fields in ``SETTINGS``; omitted ones stay unchanged.

    The change is refused by ``precondition``, which gets the level's version and settings, and if its settings differ
    from ``seen``, the settings as the actor saw them.
    """

    product_id: UUID
    warehouse: str
    changes: Mapping[str, Any]
    seen: Mapping[str, Any] = field(default_factory=dict)
    precondition: Precondition = last_write_wins


@dataclass(frozen=True, slots=True)
class SetLevels:
    """The changed levels, in the order of the request; a level named twice occurs twice."""

    ids: tuple[UUID, ...]


def set_level(
    actor: Actor,
    product_id: UUID,
    warehouse_code: str,
    *,
    changes: Mapping[str, Any],
    claim: Claim | None,
    precondition: Precondition = last_write_wins,
) -> Saved | StoredAnswer:
    """Change settings of one stock level and bump its version.

    Raises NotFound, VersionConflict, Invalid (a reorder point above the maximum), Busy and the errors of claims. Locks
    the level.
    """
    change = LevelChange(product_id, warehouse_code, changes, precondition=precondition)

    def work() -> Saved:
        try:
            (level_id,) = change_levels(actor, [change]).ids
        except NotFound as error:
            raise NotFound(error.detail) from error  # No list to point into.
        except VersionConflict as error:
            raise error.__cause__ or error from None  # The precondition's, which points into the body of one level.
        except Invalid as error:
            raise Invalid.at("/reorderPoint", error.detail) from error
        return Saved(StockLevel.objects.with_incoming().select_related("warehouse").get(pk=level_id), is_new=False)

    return claimed(claim, work)


def set_levels(
    actor: Actor,
    changes: Sequence[LevelChange],
    *,
    claim: Claim | None,
    progress: Progress = no_progress,
) -> SetLevels | StoredAnswer:
    """Change settings of many stock levels: all or none. ``progress`` is called with the number of levels done so far.

    Raises NotFound, VersionConflict, Invalid for a reorder point above the maximum (each with a fault at
    ``/levels/<index>`` for each level), Busy and the errors of claims. Locks the levels by id.
    """
    return claimed(claim, lambda: change_levels(actor, changes, progress))


def change_levels(actor: Actor, changes: Sequence[LevelChange], progress: Progress = no_progress) -> SetLevels:
    """The inner service; requires an open transaction. A handful of statements for each 5,000 levels.

    Bumps the version of each level, records an audit entry with the settings before and after, and opens, worsens or
    resolves the levels' alerts by the new settings (docs/explanation/rules.md, rule 14).
    """
    ids = _find(actor, changes)
    locked = lock_levels(set(ids))
    before = {row["pk"]: row for row in StockLevel.objects.filter(pk__in=set(ids)).values("pk", "version", *SETTINGS)}
    _check_seen(changes, ids, before)
    after = {level_id: dict(row) for level_id, row in before.items()}
    by_level: dict[UUID, dict[str, Any]] = {}
    for level_id, change in zip(ids, changes, strict=True):
        after[level_id] |= change.changes
        by_level.setdefault(level_id, {}).update(
            {name: [before[level_id][name], value] for name, value in change.changes.items()}
        )
    _check_order(changes, ids, after)
    done = 0
    for some in batches(list(by_level)):
        _write([after[level_id] for level_id in some], locked.now)
        publish(_events({level_id: after[level_id] for level_id in some}, locked), now=locked.now)
        record([Entry(actor, actions.LEVEL_CHANGED, level_id, by_level[level_id]) for level_id in some], now=locked.now)
        low_stock.judge(set(some), now=locked.now)
        done += len(some)
        progress(done)
    return SetLevels(tuple(ids))


def _find(actor: Actor, changes: Sequence[LevelChange]) -> list[UUID]:
    seen = StockLevel.objects.visible_to(actor).filter(
        product_id__in={change.product_id for change in changes},
        warehouse__code__in={change.warehouse for change in changes},
    )
    found = {
        (product_id, code): level_id
        for level_id, product_id, code in seen.values_list("pk", "product_id", "warehouse__code")
    }
    missing = [
        NotFound(f"There is no stock level of {change.product_id} in {change.warehouse}.").fault(f"/levels/{index}")
        for index, change in enumerate(changes)
        if (change.product_id, change.warehouse) not in found
    ]
    if missing:
        raise NotFound(missing[0].detail, missing)
    return [found[change.product_id, change.warehouse] for change in changes]


def _check_seen(
    changes: Sequence[LevelChange],
    ids: Sequence[UUID],
    before: Mapping[UUID, Mapping[str, Any]],
) -> None:
    first: VersionConflict | None = None
    conflicts = []
    for index, (level_id, change) in enumerate(zip(ids, changes, strict=True)):
        try:
            _check_level(change, before[level_id])
        except VersionConflict as error:
            first = first or error
            conflicts.append(error.fault(f"/levels/{index}"))
    if first:
        raise VersionConflict(first.detail, conflicts) from first


def _check_level(change: LevelChange, now: Mapping[str, Any]) -> None:
    change.precondition(SimpleNamespace(**now))
    different = [
        f"{name.replace('_', ' ')} was {value}, is {now[name]}"
        for name, value in change.seen.items()
        if now[name] != value
    ]
    if different:
        raise VersionConflict(f"The settings have changed since they were read: {'; '.join(different)}.")


def _check_order(changes: Sequence[LevelChange], ids: Sequence[UUID], after: Mapping[UUID, Mapping[str, Any]]) -> None:
    """Refuse a reorder point above the maximum, whichever of both is changed."""
    faults = []
    for index, (level_id, change) in enumerate(zip(ids, changes, strict=True)):
        point, most = after[level_id]["reorder_point"], after[level_id]["max_stock_level"]
        if point is not None and most is not None and point > most:
            detail = f"The reorder point {point} is above the maximum stock {most} (in {change.warehouse})."
            faults.append(Invalid(detail).fault(f"/levels/{index}"))
    if faults:
        raise Invalid(faults[0].detail, faults)


_UPDATE: Final = """
UPDATE inventory_stocklevel AS level SET
    reorder_point = t.reorder_point, reorder_quantity = t.reorder_quantity, min_stock_level = t.min_stock_level,
    max_stock_level = t.max_stock_level, zone = t.zone, aisle = t.aisle, shelf = t.shelf,
    version = level.version + 1, updated_at = %s
FROM unnest(%s::uuid[], %s::int[], %s::int[], %s::int[], %s::int[], %s::text[], %s::text[], %s::text[])
    AS t (id, reorder_point, reorder_quantity, min_stock_level, max_stock_level, zone, aisle, shelf)
WHERE level.id = t.id
"""


def _write(rows: Sequence[Mapping[str, Any]], now: datetime) -> None:
    known_levels.forget(row["pk"] for row in rows)
    write(
        _UPDATE,
        [
            now,
            columns.uuids(row["pk"] for row in rows),
            *(columns.optional_ints(row[name] for row in rows) for name in SETTINGS[:4]),
            *(columns.texts(row[name] for row in rows) for name in SETTINGS[4:]),
        ],
    )


def _events(after: Mapping[UUID, Mapping[str, Any]], locked: LockedLevels) -> list[OutboxRow]:
    events = []
    for level_id, row in after.items():
        counters = locked.by_id[level_id]
        counters.version += 1
        counters.safety_stock = row["min_stock_level"]
        if counters.facts is not None:
            events.append(changed_event(level_id, counters.facts, counters, SETTINGS_CHANGED))
    return events
