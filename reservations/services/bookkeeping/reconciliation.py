"""Reconciliation: compare stock counters and held items with the rows that explain them, and repair them on request.

Differences of counters are found without locks and confirmed with the level locked: every change of reserved or on hand
writes both sides in one transaction while it holds that lock. Differences of items are confirmed with their reservation
locked. Safe beside live traffic: only a few rows are locked at a time, briefly.
"""

from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final
from uuid import UUID

from django.db import IntegrityError

from audit.actors import Actor
from audit.db import columns
from audit.db.statements import one_statement
from audit.events import OutboxRow
from audit.identifiers import RESERVATION, public_id
from audit.recording import Entry, record
from inventory import transactions
from inventory.actions import STOCK_RECONCILED
from inventory.locking import LockedLevels, lock_levels, read_clock
from inventory.services.bookkeeping import reconciliation as stock
from inventory.services.bookkeeping.orphans import check_orphans
from inventory.services.bookkeeping.reconciliation import (
    CHUNK,
    FindingKind,
    Found,
    OnHandDifference,
    ReconciliationScope,
    Repair,
    Run,
)
from inventory.services.stock.ledger import Ledger
from reservations import actions
from reservations.services.bookkeeping import repair_events
from reservations.services.holds import documents, expiry
from reservations.services.holds.due import DuePosition
from reservations.services.holds.expiry import START

LONG_DUE: Final = timedelta(minutes=5)
"""A hold that has been due for longer is a finding: no sweeper seems to run (docs/explanation/rules.md, rule 3)."""
ALL: Final = ReconciliationScope()
NIGHTLY: Final = Actor(name="reconciliation", client_id=None, request_id="", source="command")


def reconcile(
    actor: Actor,
    scope: ReconciliationScope = ALL,
    *,
    repair: Repair | None = None,
    progress: Callable[[int], None] | None = None,
) -> Run:
    """Check everything in scope once. Transfers and orphaned rows, which belong to no single level, are checked only if
    the scope is everything. ``progress`` is called with the number of levels checked so far.

    Findings are written as they are confirmed, each repair in the transaction of its finding. Raises PermissionDenied,
    and Busy if a lock wasn't granted in time; the run then stays unfinished. Locks: a few holds, levels or transfers at
    a time.
    """
    actor.require_no_limit()
    run = Run(actor, scope, repair)
    stock.begin(run)
    unheld = _check_active_holds(run)
    for level_ids in stock.level_chunks(scope):
        _check_held_items(run, level_ids)
        _check_levels(run, level_ids, unheld)
        run.levels_checked += len(level_ids)
        if progress:
            progress(run.levels_checked)
    _check_long_due(run)
    if scope.is_everything:
        stock.check_transfers(run)
        _check_items_without_level(run)
        check_orphans(run)
    stock.finish(run)
    return run


def _scoped(scope: ReconciliationScope, **parameters: Any) -> dict[str, Any]:
    return {"warehouse": scope.warehouse_id, "product": scope.product_id, "limit": CHUNK, **parameters}


_ON_LEVEL_IN_SCOPE: Final = """
    FROM inventory_stocklevel level JOIN inventory_product product ON product.id = level.product_id
    WHERE level.id = item.level_id AND (%(warehouse)s::uuid IS NULL OR level.warehouse_id = %(warehouse)s::uuid)
        AND (%(product)s::uuid IS NULL OR %(product)s::uuid IN (product.id, product.parent_id))
"""

# -------------------------------------------------------------------------------------------------------------- items

_ACTIVE: Final = """
SELECT expires_at, id FROM reservations_reservation WHERE status = 'ACTIVE' AND (expires_at, id) > (%s, %s)
ORDER BY expires_at, id LIMIT %s
"""

_UNHELD: Final = f"""
SELECT item.id, r.id FROM reservations_reservation r
JOIN reservations_reservationitem item ON item.reservation_id = r.id AND item.held_until IS NULL
WHERE r.id = ANY(%(ids)s) AND r.status = 'ACTIVE' AND EXISTS (SELECT {_ON_LEVEL_IN_SCOPE})
"""  # noqa: S608 - constants only

_WITHOUT_ITEMS: Final = """
SELECT r.id, r.expires_at FROM reservations_reservation r WHERE r.id = ANY(%s) AND r.status = 'ACTIVE'
    AND NOT EXISTS (SELECT FROM reservations_reservationitem item WHERE item.reservation_id = r.id) ORDER BY r.id
"""

_HELD_WRONGLY: Final = """
SELECT item.id, item.reservation_id FROM reservations_reservationitem item
LEFT JOIN reservations_reservation r ON r.id = item.reservation_id
WHERE item.level_id = ANY(%s) AND item.held_until IS NOT NULL
    AND item.held_until IS DISTINCT FROM CASE WHEN r.status = 'ACTIVE' THEN r.expires_at END
"""

_DISAGREEING: Final = """
SELECT item.id, item.reservation_id, item.level_id, item.held_until, r.status, r.expires_at
FROM reservations_reservationitem item LEFT JOIN reservations_reservation r ON r.id = item.reservation_id
WHERE item.id = ANY(%s) AND item.held_until IS DISTINCT FROM CASE WHEN r.status = 'ACTIVE' THEN r.expires_at END
ORDER BY item.id
"""


def _check_active_holds(run: Run) -> list[UUID]:
    """Check that each ACTIVE hold has items, and that their ``held_until`` is set. Returns the items without it, which
    the check of held items by level can't find."""
    unheld: list[UUID] = []
    place: DuePosition = START
    while active := stock.rows(_ACTIVE, [*place, CHUNK]):
        place = active[-1][0], active[-1][1]
        ids = columns.uuids(row[1] for row in active)
        items = stock.rows(_UNHELD, _scoped(run.scope, ids=ids))
        unheld += [item_id for item_id, _ in items]
        _confirm_items(run, items)
        if run.scope.is_everything and (empty := stock.rows(_WITHOUT_ITEMS, [ids])):
            run.count(transactions.run(partial(_confirm_empty, run, [row[0] for row in empty])))
    return unheld


def _confirm_empty(run: Run, ids: Sequence[UUID]) -> list[Found]:
    documents.lock_holds(ids)
    found = []
    for id_, expires_at in stock.rows(_WITHOUT_ITEMS, [columns.uuids(ids)]):
        detail = f"{public_id(RESERVATION, id_)} is ACTIVE and holds nothing; it ends by itself at {expires_at:%c} UTC"
        found.append(Found(FindingKind.ORPHAN, id_, detail))
    stock.keep(run, found, now=read_clock())
    return found


def _check_held_items(run: Run, level_ids: Collection[UUID]) -> None:
    """Check that the hold of each item with ``held_until`` is ACTIVE and ends at that time."""
    _confirm_items(run, stock.rows(_HELD_WRONGLY, [columns.uuids(level_ids)]))


def _confirm_items(run: Run, items: Sequence[tuple[UUID, UUID]]) -> None:
    for start in range(0, len(items), stock.LOCKED_AT_ONCE):
        batch = items[start : start + stock.LOCKED_AT_ONCE]
        run.count(transactions.run(partial(_confirm_items_locked, run, batch)))


def _confirm_items_locked(run: Run, items: Sequence[tuple[UUID, UUID]]) -> list[Found]:
    """Check the items again with their holds locked. A repair sets ``held_until`` from the hold."""
    documents.lock_holds({hold_id for _, hold_id in items})
    wrong = stock.rows(_DISAGREEING, [columns.uuids(item_id for item_id, _ in items)])
    now = read_clock()
    found, entries = [], []
    for item_id, hold_id, level_id, held_until, status, expires_at in wrong:
        right = expires_at if status == "ACTIVE" else None
        what = f"{public_id(RESERVATION, hold_id)} is {status or 'gone'}"
        detail = f"{what}, its item is held until {_time_text(held_until)}, not {_time_text(right)}"
        finding = Found(FindingKind.ORPHAN, item_id, detail, level_id)
        found.append(finding.repaired("the item was put right") if run.repair else finding)
        if run.repair:
            changes = {"itemId": item_id, "heldUntil": [held_until, right], "reason": run.repair.reason}
            entries.append(Entry(run.actor, actions.RESERVATION_RECONCILED, hold_id, changes))
    with one_statement():
        if entries:
            documents.mend_items([row[0] for row in wrong])
            record(entries, now=now)
        stock.keep(run, found, now=now)
    return found


def _time_text(moment: datetime | None) -> str:
    return moment.isoformat(timespec="milliseconds") if moment else "not at all"


_ITEMS_WITHOUT_LEVEL: Final = """
SELECT item.id, item.reservation_id FROM reservations_reservationitem item
WHERE item.held_until IS NOT NULL AND NOT EXISTS (SELECT FROM inventory_stocklevel WHERE id = item.level_id)
ORDER BY item.id LIMIT %s
"""


def _check_items_without_level(run: Run) -> None:
    lost = stock.rows(_ITEMS_WITHOUT_LEVEL, [CHUNK])
    found = [
        Found(FindingKind.ORPHAN, item_id, f"{public_id(RESERVATION, hold_id)} holds units of a level that is gone")
        for item_id, hold_id in lost
    ]
    if found:
        transactions.run(lambda: stock.keep(run, found, now=read_clock()))
        run.count(found)


# ------------------------------------------------------------------------------------------------------------- levels

_RESERVED: Final = """
SELECT * FROM (
    SELECT level.id, level.reserved, coalesce(held.quantity, 0) + coalesce(unheld.quantity, 0) AS quantity
    FROM inventory_stocklevel level
    LEFT JOIN LATERAL (
        SELECT sum(item.quantity) AS quantity FROM reservations_reservationitem item
        JOIN reservations_reservation r ON r.id = item.reservation_id AND r.status = 'ACTIVE'
        WHERE item.level_id = level.id AND item.held_until IS NOT NULL
    ) held ON true
    LEFT JOIN LATERAL (
        SELECT sum(item.quantity) AS quantity FROM reservations_reservationitem item
        JOIN reservations_reservation r ON r.id = item.reservation_id AND r.status = 'ACTIVE'
        WHERE item.id = ANY(%s) AND item.level_id = level.id AND item.held_until IS NULL
    ) unheld ON true
    WHERE level.id = ANY(%s)
) compared WHERE reserved <> quantity
"""


@dataclass(frozen=True, slots=True)
class ReservedDifference:
    """A level whose reserved differs from the items of its ACTIVE holds. The items are right: they were promised to
    shoppers."""

    level_id: UUID
    reserved: int
    held: int

    def found(self) -> Found:
        """The finding."""
        detail = f"reserved is {self.reserved}, active holds have {self.held}"
        return Found(FindingKind.RESERVED, self.level_id, detail, self.level_id, self.held, self.reserved)


def _reserved_differences(level_ids: Collection[UUID], unheld: Sequence[UUID]) -> list[ReservedDifference]:
    found = stock.rows(_RESERVED, [columns.uuids(unheld), columns.uuids(level_ids)])
    return [ReservedDifference(*row) for row in found]


def _check_levels(run: Run, level_ids: Collection[UUID], unheld: Sequence[UUID]) -> None:
    """Compare the counters of levels with what explains them."""
    suspects = {difference.level_id for difference in stock.on_hand_differences(level_ids)}
    suspects |= {difference.level_id for difference in _reserved_differences(level_ids, unheld)}
    for batch in stock.batches(suspects):
        run.count(transactions.run(partial(_confirm_levels, run, batch, unheld)))


def _confirm_levels(run: Run, level_ids: Sequence[UUID], unheld: Sequence[UUID]) -> list[Found]:
    """Compare the levels again with locks, and repair remaining differences if the run repairs."""
    levels = lock_levels(level_ids)
    on_hand = stock.on_hand_differences(level_ids)
    reserved = _reserved_differences(level_ids, unheld)
    if run.repair is None:
        found = [difference.found() for difference in on_hand] + [difference.found() for difference in reserved]
        stock.keep(run, found, now=levels.now)
        return found
    return _mend_levels(run, run.repair, levels, on_hand, reserved)


def _mend_levels(
    run: Run,
    repair: Repair,
    levels: LockedLevels,
    on_hand: Sequence[OnHandDifference],
    reserved: Sequence[ReservedDifference],
) -> list[Found]:
    """Repair the differences that can be repaired, with an audit entry and an event for each changed level."""
    held = {difference.level_id: difference.held for difference in reserved}
    before = {id_: (counters.on_hand, counters.reserved) for id_, counters in levels.by_id.items()}
    ledger = Ledger(levels)
    found = [_mend_on_hand(run, ledger, difference, levels, held) for difference in on_hand]
    found += [_mend_reserved(ledger, difference, levels) for difference in reserved]
    mended = {finding.subject_id for finding in found if finding.is_repaired}
    facts = repair_events.facts_of(mended)
    was = {difference.level_id: difference.ledger for difference in on_hand}
    entries: list[Entry] = []
    events: list[OutboxRow] = []
    for level_id in sorted(mended):
        counters = levels.by_id[level_id]
        changes = {
            **facts[level_id],
            "onHand": [before[level_id][0], counters.on_hand],
            "reserved": [before[level_id][1], counters.reserved],
            "ledger": [was.get(level_id, counters.on_hand), counters.on_hand],
            "reconciliationId": run.id,
            "reason": repair.reason,
        }
        entries.append(Entry(run.actor, STOCK_RECONCILED, level_id, changes))
        events += repair_events.events_of(run, repair, level_id, changes)
    with one_statement():
        ledger.write(levels.now, events)
        record(entries, now=levels.now)
        stock.keep(run, found, now=levels.now)
    return found


def _mend_on_hand(
    run: Run, ledger: Ledger, difference: OnHandDifference, levels: LockedLevels, held: dict[UUID, int]
) -> Found:
    level_id, found = difference.level_id, difference.found()
    if not difference.lacks_movement(held.get(level_id, levels.by_id[level_id].reserved)):
        ledger.set_on_hand(level_id, difference.ledger)
        return found.repaired(f"on hand was set to {difference.ledger}")
    if not difference.fits_movement:
        return found.left("no movement can be so large")
    ledger.supply_movement(level_id, difference.ledger, stock.missing_movement(run))
    return found.repaired(f"a movement of {difference.on_hand - difference.ledger:+d} was written")


def _mend_reserved(ledger: Ledger, difference: ReservedDifference, levels: LockedLevels) -> Found:
    found = difference.found()
    if difference.held > levels.by_id[difference.level_id].on_hand:
        return found.left("more is held than is on hand: count the stock, which breaks holds")
    ledger.reserve(difference.level_id, difference.held - difference.reserved)
    return found.repaired(f"reserved was set to {difference.held}")


# ---------------------------------------------------------------------------------------------------------- long due

_LONG_DUE_HOLDS: Final = f"""
SELECT r.expires_at, r.id FROM reservations_reservation r
WHERE r.status = 'ACTIVE' AND r.expires_at <= statement_timestamp() - %(long)s::interval
    AND (r.expires_at, r.id) > (%(behind)s::timestamptz, %(behind_id)s::uuid)
    AND (%(warehouse)s::uuid IS NULL AND %(product)s::uuid IS NULL OR EXISTS (
        SELECT FROM reservations_reservationitem item
        WHERE item.reservation_id = r.id AND EXISTS (SELECT {_ON_LEVEL_IN_SCOPE})))
ORDER BY r.expires_at, r.id LIMIT %(limit)s
"""  # noqa: S608 - constants only

_STILL_ACTIVE: Final = "SELECT id FROM reservations_reservation WHERE id = ANY(%s) AND status = 'ACTIVE'"


def _check_long_due(run: Run) -> None:
    """Find holds that should have been recorded as expired long ago. A repair sweeps them, and runs after the repair of
    the counters, because a wrong counter may be what stops the sweeper."""
    place: DuePosition = START
    while holds := stock.rows(_LONG_DUE_HOLDS, _scoped(run.scope, long=LONG_DUE, behind=place[0], behind_id=place[1])):
        place = holds[-1][0], holds[-1][1]
        active = _swept([row[1] for row in holds]) if run.repair else {row[1] for row in holds}
        found = []
        for expires_at, id_ in holds:
            detail = f"{public_id(RESERVATION, id_)} ended at {_time_text(expires_at)}: does a sweeper run?"
            finding = Found(FindingKind.LONG_DUE, id_, detail)
            if run.repair:
                finding = finding.left("it can't be ended") if id_ in active else finding.repaired("it was expired")
            found.append(finding)
        transactions.run(lambda found=found: stock.keep(run, found, now=read_clock()))  # type: ignore[misc]
        run.count(found)


def _swept(ids: Sequence[UUID]) -> set[UUID]:
    """Expire these due holds. Returns those that are still ACTIVE because a wrong counter or a lost item prevents their
    expiry."""
    try:
        expiry.expire_these(ids)
    except IntegrityError:
        for id_ in ids:
            with suppress(IntegrityError):
                expiry.expire_these([id_])
    return {row[0] for row in stock.rows(_STILL_ACTIVE, [columns.uuids(ids)])}
