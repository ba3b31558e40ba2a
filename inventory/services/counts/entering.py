"""Entering of counted quantities, and cancelling of counts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import Final
from uuid import UUID

from django.db.models import Count, Q

from audit import idempotency
from audit.actors import Actor
from audit.db import columns
from audit.db.statements import one_statement, write
from audit.errors import Fault, Invalid
from audit.idempotency import Claim, StoredAnswer
from audit.recording import Entry, record
from inventory import actions, transactions
from inventory.errors import (
    ProductNotInCount,
    QuantityLimit,
)
from inventory.locking import lock_levels, read_clock
from inventory.models import QUANTITY_LIMIT, StockCount, StockCountLine
from inventory.services.counts.documents import (
    LINE_FIELDS,
    CountLine,
    CountStatus,
    ProductRef,
    Progress,
    is_named,
    lock_open_count,
    progress_of,
)
from inventory.services.counts.sold import sold_before


@dataclass(frozen=True, slots=True)
class EnteredCount:
    """The counted quantity of one product, in units. ``is_recount`` marks the second count of its line.

    With ``is_added`` the units are added to the line's present count, as when units are scanned one by one.
    """

    product: ProductRef
    counted: int
    is_recount: bool = False
    is_added: bool = False


@dataclass(frozen=True, slots=True)
class EnterRequest:
    """A request to enter counted quantities."""

    actor: Actor
    count_id: UUID
    entries: tuple[EnteredCount, ...]
    claim: Claim | None = None


@dataclass(frozen=True, slots=True)
class CancelCountRequest:
    """A request to cancel a count."""

    actor: Actor
    count_id: UUID
    reason: str = ""
    claim: Claim | None = None


@dataclass(frozen=True, slots=True)
class Counted:
    """A count after a command, its progress, and the lines that the command changed.

    ``sold``: the units sold in the 24 hours before each of these lines was counted, by its id (``sold_before``).
    """

    count: StockCount
    progress: Progress
    lines: tuple[CountLine, ...] = ()
    sold: Mapping[UUID, int] = field(default_factory=dict)


# --- enter -----------------------------------------------------------------------------------------------------------


def enter_counts(request: EnterRequest) -> Counted | StoredAnswer:
    """Enter counted quantities, all or none; entries of one product are summed.

    The expected quantity is on hand at this moment, read under the level's lock: movements before or after it don't
    matter. First and second counts can be corrected. A difference above the count's share requires a second count;
    entering the first count again is not a second one.

    Raises NotFound, CountClosed, ProductNotInCount, Invalid (a second count without a first), QuantityLimit, Busy and
    the errors of claims. Locks: claim, the count, its levels concerned by id.
    """
    return transactions.run(lambda: enter(request))


def enter(request: EnterRequest) -> Counted | StoredAnswer:
    if answer := idempotency.claim_one(request.claim):
        return answer
    count = lock_open_count(request.count_id, request.actor)
    lines = _lines_of(request)
    entries = _summed(request, lines)
    levels = lock_levels({line.level_id for line in lines.values()})
    entered = [
        _entered(
            lines[stock_id],
            entry,
            on_hand=levels.by_id[lines[stock_id].level_id].on_hand,
            share=count.recount_share,
            now=levels.now,
            actor=request.actor.name,
        )
        for stock_id, entry in entries.items()
    ]
    progress = _progress_with(count.id, entered)
    counted = Counted(count, progress, tuple(entered), sold_before(entered))
    with one_statement():
        _update(entered)
        record([_entered_entry(request, entries, entered)], now=levels.now)
        idempotency.store_all([(request.claim, counted)], now=levels.now)
    return counted


def _lines_of(request: EnterRequest) -> dict[UUID, CountLine]:
    """The lines of the entries, by product or variant."""
    wanted = {entry.product.stock_id for entry in request.entries}
    found = StockCountLine.objects.filter(count=request.count_id, level__product__in=wanted)
    lines = {line.stock_id: line for line in (CountLine(*row) for row in found.values_list(*LINE_FIELDS))}
    faults = []
    for index, entry in enumerate(request.entries):
        line = lines.get(entry.product.stock_id)
        if line is None or not is_named(entry.product, line.parent_id):
            detail = f"The count has no line of product {entry.product.stock_id}."
            faults.append(Fault(f"/lines/{index}/productId", ProductNotInCount.code, detail))
        elif entry.is_recount and line.counted is None:
            raise Invalid(
                "A second count needs a first one.",
                [Fault(f"/lines/{index}/recount", "invalid", "This line was not counted yet.")],
            )
    if faults:
        raise ProductNotInCount("A product is not in this count.", faults)
    return lines


def _summed(request: EnterRequest, lines: Mapping[UUID, CountLine]) -> dict[UUID, EnteredCount]:
    """One entry per product. Raises Invalid if a request has first and second counts of the same product."""
    entries: dict[UUID, EnteredCount] = {}
    for index, entry in enumerate(request.entries):
        stock_id = lines[entry.product.stock_id].stock_id
        before = entries.get(stock_id)
        if before and before.is_recount != entry.is_recount:
            fault = Fault(
                f"/lines/{index}/recount", "invalid", "The request has a first and a second count of this product."
            )
            raise Invalid("A product is counted and recounted in requests of their own.", [fault])
        total = entry.counted + (before.counted if before else 0)
        if total > QUANTITY_LIMIT:
            raise QuantityLimit.at(f"/lines/{index}/counted", f"A level has at most {QUANTITY_LIMIT} units.")
        entries[stock_id] = replace(entry, counted=total)
    return entries


def _entered(
    line: CountLine, entry: EnteredCount, *, on_hand: int, share: Decimal | None, now: datetime, actor: str
) -> CountLine:
    """A copy of a line with this entry applied. Raises QuantityLimit."""
    before = (line.recounted if entry.is_recount else line.counted) or 0
    counted = entry.counted + (before if entry.is_added else 0)
    if counted > QUANTITY_LIMIT:
        raise QuantityLimit.at("/lines/0/counted", f"A level has at most {QUANTITY_LIMIT} units.")
    if entry.is_recount:
        return replace(
            line,
            needs_recount=False,
            recounted=counted,
            recounted_at=now,
            recounted_by=actor,
            recount_expected=on_hand,
        )
    is_far = share is not None and abs(counted - on_hand) > share * on_hand
    return replace(
        line,
        counted=counted,
        counted_at=now,
        counted_by=actor,
        expected=on_hand,
        needs_recount=is_far and line.recounted is None,
    )


_UPDATE_LINES: Final = """
UPDATE inventory_stockcountline AS line SET counted = t.counted, counted_at = t.counted_at, counted_by = t.counted_by,
    expected = t.expected, needs_recount = t.needs_recount, recounted = t.recounted, recounted_at = t.recounted_at,
    recounted_by = t.recounted_by, recount_expected = t.recount_expected
FROM unnest(%s::uuid[], %s::int[], %s::timestamptz[], %s::text[], %s::int[], %s::bool[], %s::int[], %s::timestamptz[],
    %s::text[], %s::int[]) AS t (id, counted, counted_at, counted_by, expected, needs_recount, recounted, recounted_at,
    recounted_by, recount_expected)
WHERE line.id = t.id
"""


def _update(lines: Sequence[CountLine]) -> None:
    write(
        _UPDATE_LINES,
        [
            columns.uuids(line.id for line in lines),
            columns.optional_ints(line.counted for line in lines),
            columns.times(line.counted_at for line in lines),
            columns.texts(line.counted_by for line in lines),
            columns.optional_ints(line.expected for line in lines),
            columns.bools(line.needs_recount for line in lines),
            columns.optional_ints(line.recounted for line in lines),
            columns.times(line.recounted_at for line in lines),
            columns.texts(line.recounted_by for line in lines),
            columns.optional_ints(line.recount_expected for line in lines),
        ],
    )


def _progress_with(count_id: UUID, entered: Sequence[CountLine]) -> Progress:
    """The progress of a count, as if these lines were written."""
    others = StockCountLine.objects.filter(count=count_id).exclude(pk__in=[line.id for line in entered])
    rest = others.aggregate(
        total=Count("pk"),
        entered=Count("pk", filter=Q(counted__isnull=False)),
        again=Count("pk", filter=Q(needs_recount=True)),
    )
    again = sum(line.needs_recount for line in entered)
    return Progress(rest["total"] + len(entered), rest["entered"] + len(entered), rest["again"] + again)


def _entered_entry(request: EnterRequest, entries: Mapping[UUID, EnteredCount], lines: Sequence[CountLine]) -> Entry:
    facts = [
        line.facts()
        | {
            "counted": line.recounted if entries[line.stock_id].is_recount else line.counted,
            "recount": entries[line.stock_id].is_recount,
            "expected": line.recount_expected if entries[line.stock_id].is_recount else line.expected,
        }
        for line in lines
    ]
    return Entry(request.actor, actions.COUNT_ENTERED, request.count_id, {"lines": facts})


def cancel_count(request: CancelCountRequest) -> Counted | StoredAnswer:
    """Cancel a count. The entered quantities are kept, and never posted.

    Raises NotFound, CountClosed, Busy and the errors of claims. Locks: claim, the count.
    """
    return transactions.run(lambda: _cancel(request))


def _cancel(request: CancelCountRequest) -> Counted | StoredAnswer:
    if answer := idempotency.claim_one(request.claim):
        return answer
    count = lock_open_count(request.count_id, request.actor)
    count.status, count.cancelled_at, count.cancelled_by = CountStatus.CANCELLED, read_clock(), request.actor.name
    cancelled = Counted(count, progress_of([count.id])[count.id])
    with one_statement():
        write(
            "UPDATE inventory_stockcount SET status = 'CANCELLED', cancelled_at = %s, cancelled_by = %s WHERE id = %s",
            [count.cancelled_at, count.cancelled_by, count.id],
        )
        write("UPDATE inventory_stockcountline SET is_open = false WHERE count_id = %s", [count.id])
        changes = {"reason": request.reason}
        record([Entry(request.actor, actions.COUNT_CANCELLED, count.id, changes)], now=count.cancelled_at)
        idempotency.store_all([(request.claim, cancelled)], now=count.cancelled_at)
    return cancelled
