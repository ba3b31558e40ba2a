"""Adjustments: change on hand by receipts, shipments, returns and corrections."""

from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID

from uuid_utils.compat import uuid7

from audit import idempotency
from audit.actors import Actor
from audit.db.statements import MOST_ROWS, one_statement
from audit.errors import Fault, VersionConflict
from audit.idempotency import Claim, StoredAnswer
from audit.recording import Entry, record
from inventory import actions
from inventory.errors import (
    InsufficientStock,
    QuantityLimit,
    Shortage,
)
from inventory.holds_port import AffectedHold, Breaking, ShortageCause, holds
from inventory.locking import Counters, LockedLevels, lock_levels
from inventory.models import QUANTITY_LIMIT
from inventory.services.stock.adjusted_levels import lock_at_once, resolve
from inventory.services.stock.adjustment_lines import (
    AdjustedLevel,
    Adjustment,
    AppliedLine,
    adjusted_entries,
    adjusted_events,
    check_lines,
)
from inventory.services.stock.documents import NewDocument, draw_document, write_document
from inventory.services.stock.frozen_goods import require_unfrozen
from inventory.services.stock.ledger import Ledger, MovementCause
from inventory.services.stock.levels import MissingLevels, run_with_levels
from inventory.services.stock.returns import ORDER, ReturnedUnits, require_returnable

__all__ = [
    "AdjustRequest",
    "Adjusted",
    "AdjustedLevel",
    "Adjustment",
    "AppliedLine",
    "adjust",
    "adjust_claimed",
    "apply_adjustments",
    "write_placed",
]


@dataclass(frozen=True, slots=True)
class AdjustRequest:
    """A request to adjust stock; ``id`` is made before the first attempt (docs/explanation/rules.md, rule 25).

    ``freeze_override`` is why somebody ships frozen goods by hand; it is recorded. ``reverses`` is the id of the
    document that it takes back, if it does.
    """

    actor: Actor
    adjustments: tuple[Adjustment, ...]
    claim: Claim | None = None
    id: UUID = field(default_factory=uuid7)
    freeze_override: str = ""
    reverses: UUID | None = None


@dataclass(frozen=True, slots=True)
class Adjusted:
    """The applied lines, in the order of the request, and the broken reservations. ``document`` is the short number of
    what was posted by hand, ``RC-1042``; empty for anything else."""

    id: UUID
    lines: tuple[AppliedLine, ...]
    actor: str
    now: datetime
    broken: tuple[AffectedHold, ...] = ()
    document: str = ""


def apply_adjustments(request: AdjustRequest) -> Adjusted | StoredAnswer:
    """Apply all lines, or none. Lines of one level are checked by their sum and applied additions first, unless on hand
    would exceed the limit of a level in between. If units are missing, due holds are expired first
    (docs/explanation/rules.md, rule 3). Holds of a level give way if any of its lines is forced (rule 17).

    Missing stock levels of additions are created in a transaction of their own, sorted, before anything is locked
    (docs/explanation/rules.md, rule 8).

    Raises UnknownProduct, UnknownWarehouse (also for one out of the actor's reach), WarehouseInactive (a receipt or
    return in a closed one), ProductFrozen or WarehouseFrozen (shipped by hand without an override), Invalid for a
    quantity of the wrong sign and for another type with ``force`` or an order, MoreThanSold, InsufficientStock (on hand
    would fall below reserved), QuantityLimit, VersionConflict, IdempotencyKeyReused, IdempotencyInProgress, Busy; with
    ``force`` also ReservedUnexplained. Locks: claim, the orders of returns, the holds that give way by id, the levels
    by id.
    """
    check_lines(request.adjustments)
    return run_with_levels(lambda: adjust(request))


def adjust(request: AdjustRequest) -> Adjusted | StoredAnswer:
    """The inner service; requires an open transaction. Raises MissingLevels if levels must be created first."""
    return idempotency.claim_one(request.claim) or adjust_claimed(request)


def adjust_claimed(request: AdjustRequest) -> Adjusted:
    """``adjust`` after its claim."""
    if at_once := lock_at_once(request.actor, request.adjustments):
        places, levels = at_once
        _require_levels(request.adjustments, places)
        document = breaking = None
    else:
        places, document = _prepare(request)
        levels, breaking = _lock(request, places)
    ledger = Ledger(levels)
    _check_versions(request.adjustments, places, levels)
    if breaking:
        breaking.give_way(ledger)
    _check_quantities(request.adjustments, places, levels)
    applied = _write_all_but_last(request, places, levels, ledger)
    rest = replace(request, adjustments=request.adjustments[len(applied) :]) if applied else request
    with nullcontext() if applied else one_statement():
        last = write_placed(rest, places[len(applied) :], levels, ledger)
        events = adjusted_events(request.actor, request.id, last)
        ledger.write(levels.now, [*breaking.events, *events] if breaking else events)
        if breaking:
            breaking.write()
        applied += last
        broken = breaking.broken if breaking else ()
        number = _write_document(request, document, levels.now) if document else ""
        adjusted = Adjusted(request.id, tuple(applied), request.actor.name, levels.now, broken, number)
        idempotency.store_all([(request.claim, adjusted)], now=levels.now)
    return adjusted


def _prepare(request: AdjustRequest) -> tuple[list[AdjustedLevel], NewDocument | None]:
    """The levels of the lines, after the checks that come before their locks, and the document if it is posted by hand.
    Locks the orders of returns."""
    places = resolve(request.actor, request.adjustments)
    _require_levels(request.adjustments, places)
    if not request.freeze_override:
        booked = zip(request.adjustments, places, strict=True)
        require_unfrozen(request.actor, [(line.type, place.level_id) for line, place in booked])
    require_returnable(request.actor, _returned(request.adjustments, places))
    return places, draw_document(request.actor, request.adjustments, request.reverses)


def _lock(request: AdjustRequest, places: Sequence[AdjustedLevel]) -> tuple[LockedLevels, Breaking | None]:
    """Lock the levels, and before them the holds that give way to forced lines."""
    changes, forced = _changes(request.adjustments, places)
    if not forced:
        return lock_levels(changes), None
    breaking = holds().lock_and_choose(request.actor, ShortageCause("ADJUSTMENT", request.id), changes, forced)
    return breaking.levels, breaking


def _require_levels(adjustments: Sequence[Adjustment], places: Sequence[AdjustedLevel]) -> None:
    """Raise MissingLevels if lines add units to levels that don't exist."""
    lines = zip(places, adjustments, strict=True)
    if missing := {place[:2] for place, line in lines if place.level_id is None and line.change > 0}:
        raise MissingLevels(missing)


def _write_all_but_last(
    request: AdjustRequest, places: Sequence[AdjustedLevel], levels: LockedLevels, ledger: Ledger
) -> list[AppliedLine]:
    """Write the movements of a large reversal in pieces, a statement each, but for the last piece; no other request has
    as many lines. The levels follow with the last piece."""
    applied: list[AppliedLine] = []
    while len(places) - len(applied) > MOST_ROWS:
        piece = slice(len(applied), len(applied) + MOST_ROWS)
        with one_statement():
            some = replace(request, adjustments=request.adjustments[piece])
            written = write_placed(some, places[piece], levels, ledger)
            ledger.write_part(levels.now, adjusted_events(request.actor, request.id, written))
            applied += written
    return applied


def _write_document(request: AdjustRequest, document: NewDocument, now: datetime) -> str:
    """Write the document of what was posted by hand, and the audit entry of a reversal. Returns its short number."""
    write_document(document, request.id, request.actor, request.adjustments, now)
    if request.reverses:
        changes = {"reversedBy": document.short_number, "reason": request.adjustments[0].reason}
        record([Entry(request.actor, actions.DOCUMENT_REVERSED, request.reverses, changes)], now=now)
    return document.short_number


def write_placed(
    request: AdjustRequest,
    places: Sequence[AdjustedLevel],
    levels: LockedLevels,
    ledger: Ledger,
) -> list[AppliedLine]:
    """Write checked lines to the ledger, and their audit entries. The caller writes the ledger with their
    ``adjusted_events``. Requires the levels' locks.
    """
    now = levels.now
    applied = _apply(request, places, levels, ledger)
    record(adjusted_entries(request.actor, request.id, applied, request.freeze_override), now=now)
    return applied


def _returned(adjustments: Sequence[Adjustment], places: Sequence[AdjustedLevel]) -> list[ReturnedUnits]:
    lines = zip(adjustments, places, strict=True)
    return [
        line.returned(place.product_id, f"/adjustments/{index}")
        for index, (line, place) in enumerate(lines)
        if line.order_id
    ]


def _changes(adjustments: Sequence[Adjustment], places: Sequence[AdjustedLevel]) -> tuple[dict[UUID, int], set[UUID]]:
    """The sum of the lines by existing level, and the levels with a forced line."""
    changes: dict[UUID, int] = {}
    forced = set()
    for line, place in zip(adjustments, places, strict=True):
        if place.level_id:
            changes[place.level_id] = changes.get(place.level_id, 0) + line.change
            if line.force:
                forced.add(place.level_id)
    return changes, forced


def _check_versions(adjustments: Sequence[Adjustment], places: Sequence[AdjustedLevel], levels: LockedLevels) -> None:
    faults = []
    for index, (adjustment, place) in enumerate(zip(adjustments, places, strict=True)):
        if adjustment.expected_version is None:
            continue
        version = levels.by_id[place.level_id].version if place.level_id else 0
        if adjustment.expected_version != version:
            detail = f"The level has version {version}, not {adjustment.expected_version}."
            facts = {"expected": str(adjustment.expected_version), "version": version}
            faults.append(Fault(f"/adjustments/{index}/expectedVersion", VersionConflict.code, detail, facts))
    if faults:
        raise VersionConflict("A stock level has changed since it was read.", faults)


def _check_quantities(adjustments: Sequence[Adjustment], places: Sequence[AdjustedLevel], levels: LockedLevels) -> None:
    """Check each level by the sum of its lines. On hand must not fall below reserved, which is promised."""
    lines: dict[UUID | tuple[UUID, UUID], list[int]] = {}
    for index, place in enumerate(places):
        lines.setdefault(place.level_id or (place.product_id, place.warehouse_id), []).append(index)
    shortages: list[Shortage] = []
    short_levels: list[UUID] = []
    for indexes in lines.values():
        place = places[indexes[0]]
        counters = levels.by_id[place.level_id] if place.level_id else Counters(0, 0, 0, 0)
        change = sum(adjustments[index].change for index in indexes)
        free = counters.on_hand - counters.reserved
        if change < -free:
            pointer = f"/adjustments/{indexes[0]}"
            parent, own = place.parent_id or place.product_id, place.product_id if place.parent_id else None
            shortages.append(Shortage(pointer, parent, own, adjustments[indexes[0]].warehouse, -change, free))
            short_levels += [place.level_id] if place.level_id else []
        if counters.on_hand + change > QUANTITY_LIMIT:
            pointer = f"/adjustments/{indexes[0]}/quantity"
            raise QuantityLimit.at(pointer, f"A level has at most {QUANTITY_LIMIT} units.")
    if shortages:
        raise InsufficientStock(shortages, short_levels)


def _within_bounds(changes: Sequence[int], on_hand: int) -> list[int]:
    """An order of signed changes of one level, as indexes, in which on hand stays between 0 and ``QUANTITY_LIMIT``.

    Additions come first; a subtraction comes earlier only where the next addition would exceed the limit. ``on_hand``
    is the quantity before. The final quantity must be within the bounds, and no change may be larger than half their
    distance.
    """
    taking = iter([place for place, change in enumerate(changes) if change < 0])
    ordered: list[int] = []
    for place, change in enumerate(changes):
        if change < 0:
            continue
        while on_hand + change > QUANTITY_LIMIT:
            taken = next(taking)
            ordered.append(taken)
            on_hand += changes[taken]
        ordered.append(place)
        on_hand += change
    return [*ordered, *taking]


def _apply(
    request: AdjustRequest, places: Sequence[AdjustedLevel], levels: LockedLevels, ledger: Ledger
) -> list[AppliedLine]:
    """Apply the lines to the ledger, those of one level in an order that keeps on hand within its bounds."""
    applied: dict[int, AppliedLine] = {}
    for index in _order(request.adjustments, places, levels):
        line, place = request.adjustments[index], places[index]
        level_id, change = place.level_id, line.change
        assert level_id is not None  # noqa: S101 - quantities were checked: only additions need a new level
        counters = levels.by_id[level_id]
        before = counters.on_hand
        parent, own = place.parent_id or place.product_id, place.product_id if place.parent_id else None
        applied[index] = AppliedLine(line, level_id, parent, own, before, before + change, counters.reserved)
        ledger.move(level_id, change, _cause(request, line))
    return [applied[index] for index in range(len(places))]


def _order(adjustments: Sequence[Adjustment], places: Sequence[AdjustedLevel], levels: LockedLevels) -> Iterable[int]:
    """The indexes of the lines in the order in which to apply them: the request's if no two lines share a level."""
    ids = [place.level_id for place in places]
    if len(set(ids)) == len(ids):
        return range(len(ids))
    indexes_of: dict[UUID, list[int]] = {}
    for index, level_id in enumerate(ids):
        assert level_id is not None  # noqa: S101 - quantities were checked: only additions need a new level
        indexes_of.setdefault(level_id, []).append(index)
    return [
        indexes[place_in_level]
        for level_id, indexes in indexes_of.items()
        for place_in_level in _within_bounds(
            [adjustments[index].change for index in indexes], levels.by_id[level_id].on_hand
        )
    ]


def _cause(request: AdjustRequest, line: Adjustment) -> MovementCause:
    return MovementCause(
        type=line.movement_type or line.type,
        actor=request.actor.name,
        reason=line.full_reason,
        reference_type=ORDER if line.order_id else "adjustment",
        reference=line.order_id or line.reference,
        cost_per_unit=line.cost_per_unit,
        adjustment_id=request.id,
        store=request.actor.only_store,
    )
