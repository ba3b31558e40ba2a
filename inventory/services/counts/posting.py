"""Posting of counts: differences become movements, and holds give way in a shortage. With a preview."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from uuid import UUID

from uuid_utils.compat import uuid7

from audit import idempotency
from audit.actors import Actor
from audit.db.statements import one_statement
from audit.errors import Fault
from audit.idempotency import Claim, StoredAnswer
from audit.identifiers import ADJUSTMENT, public_id
from audit.recording import Entry, record
from inventory import transactions
from inventory.actions import COUNT_POSTED
from inventory.errors import CountBelowZero, QuantityLimit
from inventory.holds_port import NONE_PREFERRED, AffectedHold, Breaking, Preference, ShortageCause, holds
from inventory.locking import LockedLevels
from inventory.models import QUANTITY_LIMIT, Movement, StockCount, StockLevel
from inventory.services.counts import documents as counts_documents
from inventory.services.counts.documents import CountLine, Progress
from inventory.services.stock.adjustment_lines import Adjustment, AppliedLine, adjusted_entries, adjusted_events
from inventory.services.stock.ledger import Ledger, MovementCause

REFERENCE_TYPE: Final = "count"


@dataclass(frozen=True, slots=True)
class PostRequest:
    """A request to post a count; ``id`` is that of the resulting adjustment, made before the first attempt.

    It is refused if lines were not counted, unless ``skip_uncounted``. ``preferred`` are the holds to give way first.
    """

    actor: Actor
    count_id: UUID
    skip_uncounted: bool = False
    preferred: Preference = NONE_PREFERRED
    claim: Claim | None = None
    id: UUID = field(default_factory=uuid7)


@dataclass(frozen=True, slots=True)
class Posted:
    """A posted count: the applied differences, the broken reservations, and the public ids of the incidents."""

    id: UUID
    count: StockCount
    applied: tuple[AppliedLine, ...]
    counted: int
    skipped: int
    broken: tuple[AffectedHold, ...]
    incident_ids: tuple[str, ...]
    now: datetime

    @property
    def rows(self) -> int:
        """How many rows were written: a line and a level for each counted one, a movement, an audit entry and an event
        for each difference, and those of the broken reservations."""
        return 2 * self.counted + 3 * len(self.applied) + sum(hold.rows for hold in self.broken)


def post_count(request: PostRequest) -> Posted | StoredAnswer:
    """Post a count, all lines or none.

    Each line's difference is the one at the moment of its counting, and is added to on hand as it is now. Writes an
    ADJUSTMENT movement for each difference, and the time of the counting on each counted level.

    Raises NotFound, CountClosed, CountIncomplete, CountBelowZero, QuantityLimit, ReservationNotFound,
    HoldNotInTheWay, ReservedUnexplained, Busy and the errors of claims. Locks: claim, the count, the holds that give
    way by id, the levels of all its lines and of those holds by id.
    """
    return transactions.run(lambda: _post(request), transactions.LONG)


def _post(request: PostRequest) -> Posted | StoredAnswer:
    if answer := idempotency.claim_one(request.claim):
        return answer
    count = counts_documents.lock_open_count(request.count_id, request.actor)
    lines = counts_documents.read_lines(count.id)
    counted = counts_documents.require_complete(lines, skip_uncounted=request.skip_uncounted)
    changes = {line.level_id: line.difference or 0 for line in counted}
    cause = ShortageCause("COUNT", count.id)
    breaking = holds().lock_and_choose(request.actor, cause, changes, changes.keys(), request.preferred)
    levels = breaking.levels
    ledger = Ledger(levels)
    on_hand = {level_id: levels.by_id[level_id].on_hand for level_id in changes}
    _check_results(counted, on_hand)
    breaking.give_way(ledger)
    applied = [_apply(request, count, line, levels, ledger) for line in counted if changes[line.level_id]]
    posted = Posted(
        request.id,
        count,
        tuple(applied),
        len(counted),
        len(lines) - len(counted),
        breaking.broken,
        breaking.incident_ids,
        levels.now,
    )
    _write(request, posted, counted, ledger, breaking)
    return posted


def _check_results(lines: Sequence[CountLine], on_hand: Mapping[UUID, int]) -> None:
    """Raise an error if a difference would take on hand, as it is now, out of its limits."""
    below = [line for line in lines if on_hand[line.level_id] + (line.difference or 0) < 0]
    if below:
        faults = [
            Fault(
                "",
                CountBelowZero.code,
                f"{line.sku} has {on_hand[line.level_id]} on hand; posting would change that by {line.difference}.",
            )
            for line in below
        ]
        raise CountBelowZero(
            "More units have left since these lines were counted than were counted: count them again.", faults
        )
    if any(on_hand[line.level_id] + (line.difference or 0) > QUANTITY_LIMIT for line in lines):
        raise QuantityLimit(f"A level has at most {QUANTITY_LIMIT} units.")


def _apply(
    request: PostRequest, count: StockCount, line: CountLine, levels: LockedLevels, ledger: Ledger
) -> AppliedLine:
    change = line.difference or 0
    on_hand = levels.by_id[line.level_id].on_hand
    reason = count.note or "count"
    ledger.move(
        line.level_id,
        change,
        MovementCause(
            type=Movement.Type.ADJUSTMENT.value,
            actor=request.actor.name,
            reason=reason,
            reference_type=REFERENCE_TYPE,
            reference=count.public_id,
            adjustment_id=request.id,
        ),
    )
    adjustment = Adjustment(
        line.product_id,
        line.variant_id,
        count.warehouse.code,
        change,
        Movement.Type.ADJUSTMENT.value,
        reason,
        count.public_id,
    )
    reserved = levels.by_id[line.level_id].reserved
    return AppliedLine(adjustment, line.level_id, line.product_id, line.variant_id, on_hand, on_hand + change, reserved)


def _write(
    request: PostRequest, posted: Posted, counted: Sequence[CountLine], ledger: Ledger, breaking: Breaking
) -> None:
    now, actor = posted.now, request.actor
    adjusted = adjusted_events(actor, posted.id, posted.applied)
    with one_statement():
        ledger.write(now, [*breaking.events, *adjusted])
        breaking.write()
        counts_documents.close_posted(posted.count, counted, actor=actor.name, now=now)
        record(adjusted_entries(actor, posted.id, posted.applied), now=now)
        record([_posted_entry(actor, posted)], now=now)
        idempotency.store_all([(request.claim, posted)], now=now)
    counts_documents.mark_counted(counted)


def _posted_entry(actor: Actor, posted: Posted) -> Entry:
    changes = {
        "adjustmentId": public_id(ADJUSTMENT, posted.id),
        "warehouseId": posted.count.warehouse.code,
        "counted": posted.counted,
        "skipped": posted.skipped,
        "differences": len(posted.applied),
        "brokenReservations": [hold.public_id for hold in posted.broken],
    }
    return Entry(actor, COUNT_POSTED, posted.count.id, changes)


@dataclass(frozen=True, slots=True)
class ShortLine:
    """A line whose level would have fewer units than are held: on hand now and after, reserved, missing; in units.

    Posting is refused if ``on_hand_after`` is below zero.
    """

    line: CountLine
    on_hand: int
    on_hand_after: int
    reserved: int
    missing: int


@dataclass(frozen=True, slots=True)
class Preview:
    """The effect of posting a count in the present state."""

    count: StockCount
    progress: Progress
    differences: int
    units_added: int
    units_removed: int
    short: tuple[ShortLine, ...]
    broken: tuple[AffectedHold, ...]
    now: datetime


def preview_count(count_id: UUID, actor: Actor, preferred: Sequence[UUID] = ()) -> Preview:
    """Preview posting the lines counted so far: differences, and the holds that would give way, ``preferred`` ones
    first. Locks nothing, writes nothing. Raises NotFound.

    Due holds are dead: units held only by them don't count as missing.
    """
    count = counts_documents.read_count(count_id, actor)
    is_open = count.status == StockCount.Status.OPEN
    lines = [line for line in counts_documents.read_lines(count.id) if line.difference] if is_open else []
    changes = {line.level_id: line.difference or 0 for line in lines}
    rows = StockLevel.objects.filter(pk__in=changes).values_list("pk", "on_hand", "reserved")
    counters = {id_: (on_hand, reserved) for id_, on_hand, reserved in rows}
    foreseen = holds().foresee(changes, counters, preferred)
    short = [
        ShortLine(line, on_hand, on_hand + changes[line.level_id], reserved, foreseen.missing.get(line.level_id, 0))
        for line, (on_hand, reserved) in ((line, counters[line.level_id]) for line in lines)
        if line.level_id in foreseen.missing or on_hand + changes[line.level_id] < 0
    ]
    return Preview(
        count,
        counts_documents.progress_of([count.id])[count.id],
        len(lines),
        sum(change for change in changes.values() if change > 0),
        -sum(change for change in changes.values() if change < 0),
        tuple(short),
        foreseen.broken,
        foreseen.now,
    )
