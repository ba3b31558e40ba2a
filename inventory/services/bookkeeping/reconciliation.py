"""Reconciliation: compare the counters with the rows that explain them, and store the differences as findings.

This module compares what needs no holds: on hand with the ledger, and transfers with their movements; ``orphans.py``
finds rows whose owner is gone or closed. ``reservations/services/bookkeeping/reconciliation.py`` adds holds and runs
everything.

Reads are bounded by key and take no locks. A difference is a finding only if it is found again under the lock that
every change of it takes (level, transfer or count).
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Any, Final
from uuid import UUID

from django.db import connection
from uuid_utils.compat import uuid7

from audit.actors import Actor
from audit.db import columns
from audit.db.statements import write
from audit.identifiers import NIL, TRANSFER, public_id
from inventory import transactions
from inventory.locking import read_clock
from inventory.models import QUANTITY_LIMIT, ReconciliationFinding, ReconciliationRun
from inventory.services.stock.ledger import MovementCause

FindingKind = ReconciliationFinding.Kind

EVERYTHING: Final = "everything"
CHUNK: Final = 1000
"""The number of rows that one statement reads."""
LOCKED_AT_ONCE: Final = 100
"""The most rows that one transaction locks to check differences again."""
REFERENCE_TYPE: Final = "reconciliation"
_KEPT_OF_A_KIND: Final = 1000
_INT: Final = 2**31


@dataclass(frozen=True, slots=True)
class ReconciliationScope:
    """The levels to compare; None means all. A parent includes its variants. ``words`` describes the scope in words."""

    warehouse_id: UUID | None = None
    product_id: UUID | None = None
    words: str = EVERYTHING

    @property
    def is_everything(self) -> bool:
        """Whether all levels are in scope, so that rows without a level are checked as well."""
        return self.warehouse_id is None and self.product_id is None


@dataclass(frozen=True, slots=True)
class Repair:
    """The request to repair findings, with its reason."""

    reason: str


@dataclass(frozen=True, slots=True)
class Found:
    """A finding to be stored (see ``ReconciliationFinding``). ``is_repaired`` is whether it was repaired."""

    kind: str
    subject_id: UUID
    detail: str
    level_id: UUID | None = None
    expected: int | None = None
    actual: int | None = None
    is_repaired: bool = False

    def repaired(self, how: str) -> "Found":
        """A copy, marked as repaired, with how."""
        return replace(self, detail=f"{self.detail}; {how}", is_repaired=True)

    def left(self, why: str) -> "Found":
        """A copy, marked as not repaired, with why."""
        return replace(self, detail=f"{self.detail}; {why}")


@dataclass(slots=True)
class Run:
    """A run in progress. ``kept`` counts the findings by kind: the first thousand of each kind are stored as rows."""

    actor: Actor
    scope: ReconciliationScope
    repair: Repair | None = None
    id: UUID = field(default_factory=uuid7)
    levels_checked: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    unrepaired: int = 0

    @property
    def finding_count(self) -> int:
        """The number of findings, stored or not."""
        return sum(self.counts.values())

    def count(self, found: Sequence[Found]) -> None:
        """Count findings once they are committed."""
        for finding in found:
            self.counts[finding.kind] = self.counts.get(finding.kind, 0) + 1
            self.unrepaired += not finding.is_repaired


def begin(run: Run) -> None:
    """Write that a run has begun."""
    ReconciliationRun.objects.create(id=run.id, started_at=read_clock(), scope=run.scope.words, actor=run.actor.name)


def finish(run: Run) -> None:
    """Write that a run has ended, and its result."""
    ReconciliationRun.objects.filter(pk=run.id).update(
        finished_at=read_clock(), levels_checked=run.levels_checked, finding_count=run.finding_count
    )


_INSERT_FINDINGS: Final = """
INSERT INTO inventory_reconciliationfinding (id, run_id, kind, subject_id, level_id, expected, actual, detail,
    repaired_at, repaired_by, repair_reason)
SELECT id, %s::uuid, kind, subject_id,
    (SELECT level.id FROM inventory_stocklevel level WHERE level.id = t.level_id),
    expected::bigint, actual::bigint, detail,
    CASE WHEN is_repaired THEN %s::timestamptz END, CASE WHEN is_repaired THEN %s::text ELSE '' END,
    CASE WHEN is_repaired THEN %s::text ELSE '' END
FROM unnest(%s::uuid[], %s::text[], %s::uuid[], %s::uuid[], %s::text[], %s::text[], %s::text[], %s::bool[])
AS t (id, kind, subject_id, level_id, expected, actual, detail, is_repaired)
"""


def keep(run: Run, found: Sequence[Found], *, now: datetime) -> None:
    """Write findings with one statement, at most a thousand of each kind. Requires an open transaction."""
    room = {kind: max(0, _KEPT_OF_A_KIND - run.counts.get(kind, 0)) for kind in FindingKind.values}
    kept = []
    for finding in found:
        if room[finding.kind] > 0:
            room[finding.kind] -= 1
            kept.append(finding)
    if not kept:
        return
    write(
        _INSERT_FINDINGS,
        [
            run.id,
            now,
            run.actor.name,
            run.repair.reason if run.repair else "",
            columns.uuids(uuid7() for _ in kept),
            columns.texts(finding.kind for finding in kept),
            columns.uuids(finding.subject_id for finding in kept),
            columns.uuids(finding.level_id for finding in kept),
            columns.texts(None if finding.expected is None else str(finding.expected) for finding in kept),
            columns.texts(None if finding.actual is None else str(finding.actual) for finding in kept),
            columns.texts(finding.detail for finding in kept),
            columns.bools(finding.is_repaired for finding in kept),
        ],
    )


def rows(sql: str, parameters: Sequence[Any] | Mapping[str, Any]) -> list[Any]:
    """The rows of a query."""
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return list(cursor.fetchall())


def batches(ids: Collection[UUID]) -> Iterator[list[UUID]]:
    """Sort ids and split them into batches of ``LOCKED_AT_ONCE``."""
    ordered = sorted(ids)
    for start in range(0, len(ordered), LOCKED_AT_ONCE):
        yield ordered[start : start + LOCKED_AT_ONCE]


# ------------------------------------------------------------------------------------------------------------- levels

_LEVELS: Final = """
SELECT level.id FROM inventory_stocklevel level JOIN inventory_product product ON product.id = level.product_id
WHERE level.id > %s AND (%s::uuid IS NULL OR level.warehouse_id = %s::uuid)
    AND (%s::uuid IS NULL OR %s::uuid IN (product.id, product.parent_id))
ORDER BY level.id LIMIT %s
"""

_COUNT_LEVELS: Final = """
SELECT count(*) FROM inventory_stocklevel level JOIN inventory_product product ON product.id = level.product_id
WHERE (%s::uuid IS NULL OR level.warehouse_id = %s::uuid)
    AND (%s::uuid IS NULL OR %s::uuid IN (product.id, product.parent_id))
"""

_ON_HAND: Final = """
SELECT * FROM (
    SELECT level.id, level.on_hand, coalesce(opening.on_hand, 0) + coalesce(moved.quantity, 0) AS ledger,
        newest.quantity_after
    FROM inventory_stocklevel level
    LEFT JOIN inventory_ledgeropening opening ON opening.level_id = level.id
    LEFT JOIN LATERAL (
        SELECT sum(quantity) AS quantity FROM inventory_movement
        WHERE level_id = level.id AND created_at > coalesce(opening.as_of, '-infinity')
    ) moved ON true
    LEFT JOIN LATERAL (
        SELECT quantity_after FROM inventory_movement
        WHERE level_id = level.id AND created_at > coalesce(opening.as_of, '-infinity')
        ORDER BY created_at DESC, id DESC LIMIT 1
    ) newest ON level.on_hand <> coalesce(opening.on_hand, 0) + coalesce(moved.quantity, 0)
    WHERE level.id = ANY(%s)
) compared WHERE on_hand <> ledger
"""


@dataclass(frozen=True, slots=True)
class OnHandDifference:
    """A level whose on hand differs from the sum of its opening and the movements after it.

    ``newest_after`` is the newest movement's ``quantity_after``; None without movements.
    """

    level_id: UUID
    on_hand: int
    ledger: int
    newest_after: int | None

    def found(self) -> Found:
        """The finding."""
        detail = f"on hand is {self.on_hand}, the ledger adds up to {self.ledger}"
        return Found(FindingKind.ON_HAND, self.level_id, detail, self.level_id, self.ledger, self.on_hand)

    @property
    def fits_movement(self) -> bool:
        """Whether the figures are within the limits of a movement."""
        return -_INT <= self.ledger < _INT and self.on_hand - self.ledger < _INT

    def lacks_movement(self, reserved: int) -> bool:
        """Whether a movement is missing, rather than on hand being wrong. ``reserved`` are the units held.

        Each movement stores on hand after it and can't be changed. If the newest movement agrees with on hand, the gap
        is before it: a movement is missing. Otherwise on hand was changed from outside and the ledger is right, unless
        the ledger's sum is impossible: below zero, over the limit or below the units held (docs/explanation/adr/0004).
        """
        return self.newest_after == self.on_hand or not reserved <= self.ledger <= QUANTITY_LIMIT


def count_levels(scope: ReconciliationScope) -> int:
    """The number of levels in scope."""
    return int(rows(_COUNT_LEVELS, [scope.warehouse_id] * 2 + [scope.product_id] * 2)[0][0])


def level_chunks(scope: ReconciliationScope) -> Iterator[list[UUID]]:
    """The ids of the levels in bounded chunks, by primary key."""
    behind = NIL
    while ids := [row[0] for row in rows(_LEVELS, [behind, *[scope.warehouse_id] * 2, *[scope.product_id] * 2, CHUNK])]:
        yield ids
        behind = ids[-1]


def on_hand_differences(level_ids: Collection[UUID]) -> list[OnHandDifference]:
    """Those of these levels whose on hand differs from the ledger; one statement."""
    return [OnHandDifference(*row) for row in rows(_ON_HAND, [columns.uuids(level_ids)])]


def missing_movement(run: Run) -> MovementCause:
    """The cause of a movement that a repair supplies."""
    return MovementCause(
        type="ADJUSTMENT",
        actor=run.actor.name,
        reason=run.repair.reason if run.repair else "",
        reference_type=REFERENCE_TYPE,
        reference=str(run.id),
    )


# ---------------------------------------------------------------------------------------------------------- transfers

_TRANSFERS: Final = "SELECT id FROM inventory_transfer WHERE id > %s ORDER BY id LIMIT %s"
_LOCK_TRANSFERS: Final = "SELECT id FROM inventory_transfer WHERE id = ANY(%s) ORDER BY id FOR NO KEY UPDATE"

# A line's TRANSFER movements subtract shipped units at the source, and add units that arrive, return or are lost
# (docs/explanation/rules.md, rule 15): their sum is minus the units in transit. Lines with archived movements are left
# out.
_IN_TRANSIT: Final = """
SELECT line.id, transfer.id, transfer.status, line.destination_level_id, line.in_transit,
    -coalesce(moved.quantity, 0) AS ledger
FROM inventory_transferline line
JOIN inventory_transfer transfer ON transfer.id = line.transfer_id
LEFT JOIN LATERAL (
    SELECT sum(movement.quantity) AS quantity FROM inventory_movement movement
    WHERE movement.reference_type = 'transfer' AND movement.reference = %s || transfer.id::text
        AND movement.reference <> '' AND movement.type = 'TRANSFER'
        AND movement.level_id IN (line.source_level_id, line.destination_level_id)
) moved ON true
WHERE line.transfer_id = ANY(%s)
    AND (line.in_transit <> -coalesce(moved.quantity, 0)
        OR (line.in_transit > 0 AND transfer.status NOT IN ('IN_TRANSIT', 'PARTIALLY_RECEIVED')))
    AND NOT EXISTS (
        SELECT FROM inventory_ledgeropening opening
        WHERE opening.level_id IN (line.source_level_id, line.destination_level_id)
            AND opening.as_of >= transfer.shipped_at)
"""


def check_transfers(run: Run) -> None:
    """Compare the units in transit, over all warehouses, with the movements of each transfer.

    Differences are never repaired: staff know where the units are, and receive, cancel or close the transfer, or count.
    Locks: the transfers that differ.
    """
    behind = NIL
    while ids := [row[0] for row in rows(_TRANSFERS, [behind, CHUNK])]:
        behind = ids[-1]
        for batch in batches({found.subject_id for found in _in_transit(ids)}):
            run.count(transactions.run(partial(_confirm_transfers, run, batch)))


def _in_transit(transfer_ids: Collection[UUID]) -> list[Found]:
    found = []
    for _, transfer_id, status, level_id, actual, ledger in rows(
        _IN_TRANSIT, [f"{TRANSFER}-", columns.uuids(transfer_ids)]
    ):
        if actual == ledger:
            detail = f"{public_id(TRANSFER, transfer_id)} is {status}, with {actual} units in transit"
            expected = 0
        else:
            detail = f"{public_id(TRANSFER, transfer_id)} has {actual} units in transit, its movements {ledger}"
            expected = ledger
        found.append(Found(FindingKind.IN_TRANSIT, transfer_id, detail, level_id, expected, actual))
    return found


def _confirm_transfers(run: Run, ids: Sequence[UUID]) -> list[Found]:
    rows(_LOCK_TRANSFERS, [columns.uuids(ids)])
    found = _in_transit(ids)
    if run.repair:
        found = [finding.left("receive, cancel or close the transfer, or count the stock") for finding in found]
    keep(run, found, now=read_clock())
    return found
