"""Cycle counts: open one, enter what was counted, call it off. Whoever posts one may have to break holds, so that is
done in ``reservations``.

Lines are counted blind: what was expected is read when a count is entered, and told only then.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final
from uuid import UUID

from django.db import connection
from django.db.models import Count, Q
from uuid_utils.compat import uuid7

from audit import columns, idempotency
from audit.errors import Fault, Invalid, NotFound
from audit.idempotency import Claim, StoredAnswer
from audit.identifiers import COUNT, public_id
from audit.services import Asker, Entry, record
from audit.statements import one_statement, write
from inventory import transactions
from inventory.errors import (
    AlreadyInCount,
    CountClosed,
    CountIncomplete,
    CountTooLarge,
    NothingToCount,
    ProductNotInCount,
    QuantityLimit,
    UnknownProduct,
    UnknownWarehouse,
)
from inventory.locking import lock_levels, read_clock
from inventory.models import QUANTITY_LIMIT, StockCount, StockCountLine, StockLevel, Warehouse

MOST_LINES: Final = 10_000
"""The most levels that one count may have: posting locks and writes all of them in one transaction."""
_MOST_FAULTS: Final = 200
Scope = StockCount.Scope
Status = StockCount.Status


@dataclass(frozen=True, slots=True)
class ProductRef:
    """A product or variant as a caller names it."""

    product_id: UUID
    variant_id: UUID | None = None

    @property
    def stock_id(self) -> UUID:
        """The product whose stock it is: the variant, if there is one."""
        return self.variant_id or self.product_id


@dataclass(frozen=True, slots=True)
class OpenRequest:
    """One request to open a count; ``id`` is made before the first try (architecture 8).

    ``warehouse`` is a code. ``zone`` goes with the scope ZONE, ``products`` with PRODUCTS, ``stale_days`` with STALE
    (None: what was never counted). ``recount_share`` is the share of what was expected, 0 to 1, above which a
    difference needs a second count; None: no difference does.
    """

    asker: Asker
    warehouse: str
    scope: str
    zone: str = ""
    products: tuple[ProductRef, ...] = ()
    stale_days: int | None = None
    recount_share: Decimal | None = None
    note: str = ""
    claim: Claim | None = None
    id: UUID = field(default_factory=uuid7)


@dataclass(frozen=True, slots=True)
class EnteredCount:
    """What was counted of one product, in units. ``is_recount`` says that it is the second count of its line."""

    product: ProductRef
    counted: int
    is_recount: bool = False


@dataclass(frozen=True, slots=True)
class EnterRequest:
    """One request to enter what was counted."""

    asker: Asker
    count_id: UUID
    entries: tuple[EnteredCount, ...]
    claim: Claim | None = None


@dataclass(frozen=True, slots=True)
class CancelRequest:
    """One request to call a count off."""

    asker: Asker
    count_id: UUID
    reason: str = ""
    claim: Claim | None = None


@dataclass(frozen=True, slots=True)
class CountLine:
    """A line as it was read. ``stock_id`` is the product whose stock it is, ``parent_id`` its parent where it is a
    variant; quantities in units."""

    id: UUID
    level_id: UUID
    stock_id: UUID
    parent_id: UUID | None
    sku: str
    name: str
    zone: str
    aisle: str
    shelf: str
    counted: int | None
    counted_at: datetime | None
    counted_by: str
    expected: int | None
    needs_recount: bool
    recounted: int | None
    recounted_at: datetime | None
    recounted_by: str
    recount_expected: int | None
    posted_difference: int | None

    @property
    def product_id(self) -> UUID:
        """The parent where this is a variant."""
        return self.parent_id or self.stock_id

    @property
    def variant_id(self) -> UUID | None:
        """The variant, if it is one."""
        return self.stock_id if self.parent_id else None

    @property
    def difference(self) -> int | None:
        """Counted less expected, of the last count of this line; None before there is one. It is what posting adds."""
        if self.recounted is not None and self.recount_expected is not None:
            return self.recounted - self.recount_expected
        if self.counted is not None and self.expected is not None:
            return self.counted - self.expected
        return None

    @property
    def last_counted_at(self) -> datetime | None:
        """When its last count was entered."""
        return self.recounted_at or self.counted_at

    def facts(self) -> dict[str, object]:
        """As faults and audit entries tell it."""
        facts: dict[str, object] = {"productId": str(self.product_id)}
        if self.variant_id:
            facts["variantId"] = str(self.variant_id)
        return facts


_LINE_FIELDS: Final = (
    "id",
    "level_id",
    "level__product_id",
    "level__product__parent_id",
    "level__product__sku",
    "level__product__name",
    "level__zone",
    "level__aisle",
    "level__shelf",
    "counted",
    "counted_at",
    "counted_by",
    "expected",
    "needs_recount",
    "recounted",
    "recounted_at",
    "recounted_by",
    "recount_expected",
    "posted_difference",
)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a count is: its lines, those that were counted, and those of them that still need a second count."""

    lines: int
    counted: int
    to_recount: int


@dataclass(frozen=True, slots=True)
class Counted:
    """A count after a command, how far it is, and the lines that the command was about."""

    count: StockCount
    progress: Progress
    lines: tuple[CountLine, ...] = ()


@dataclass(frozen=True, slots=True)
class Opened:
    """A new count; ``elsewhere`` is how many levels of its scope were left out, by the open count that has them."""

    count: StockCount
    progress: Progress
    elsewhere: Mapping[UUID, int]


def read_count(count_id: UUID, store_codes: Collection[str]) -> StockCount:
    """A count, without a lock. Raises NotFound, also for one of a warehouse that these stores don't sell from."""
    return _found(StockCount.objects.visible_to(store_codes).select_related("warehouse").filter(pk=count_id).first())


def lock_open_count(count_id: UUID, store_codes: Collection[str]) -> StockCount:
    """Lock a count FOR NO KEY UPDATE and read it. Requires an open transaction that has locked no hold and no level.

    Raises NotFound as ``read_count`` does, and CountClosed.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT FROM inventory_stockcount WHERE id = %s FOR NO KEY UPDATE", [count_id])
    count = read_count(count_id, store_codes)  # By a statement of its own, which sees what the lock waited for.
    if count.status != Status.OPEN:
        raise CountClosed(f"{count.public_id} is {count.status}.")
    return count


def _found(count: StockCount | None) -> StockCount:
    if count is None:
        raise NotFound("There is no such count.")
    return count


def read_lines(count_id: UUID, *, after: UUID | None = None, limit: int | None = None) -> list[CountLine]:
    """The lines of a count by id, which is the order of their opening; one query."""
    found = StockCountLine.objects.filter(count=count_id)
    if after is not None:
        found = found.filter(pk__gt=after)
    return [CountLine(*row) for row in found.order_by("pk").values_list(*_LINE_FIELDS)[:limit]]


def progress_of(count_ids: Collection[UUID]) -> dict[UUID, Progress]:
    """How far these counts are; one query."""
    rows = (
        StockCountLine.objects.filter(count__in=count_ids)
        .values("count_id")
        .annotate(
            total=Count("pk"),
            entered=Count("pk", filter=Q(counted__isnull=False)),
            again=Count("pk", filter=Q(needs_recount=True)),
        )
    )
    found = {row["count_id"]: Progress(row["total"], row["entered"], row["again"]) for row in rows}
    return {id_: found.get(id_, Progress(0, 0, 0)) for id_ in count_ids}


# --- open ------------------------------------------------------------------------------------------------------------


def open_count(request: OpenRequest) -> Opened | StoredAnswer:
    """Open a count of the levels in its scope.

    Chosen PRODUCTS must all be free: one that is in another open count refuses the request. Of the wider scopes such
    levels are left out, and the answer says in which counts they are.

    Raises UnknownWarehouse, UnknownProduct, AlreadyInCount, NothingToCount, CountTooLarge, Busy and the errors of
    claims. Locks: claim; the lines' unique index, in order of the levels' ids.
    """
    return transactions.run(lambda: _open(request))


def count_one(request: OpenRequest, counted: int) -> Opened | StoredAnswer:
    """Open a count of one product (the scope PRODUCTS) and enter what was counted of it, both or neither.

    Raises what ``open_count`` and ``enter_counts`` raise. Locks: claim, the lines' unique index, the count, the level.
    """

    def work() -> Opened | StoredAnswer:
        opened = _open(request)
        if isinstance(opened, Opened):
            _enter(EnterRequest(request.asker, request.id, (EnteredCount(request.products[0], counted),)))
        return opened

    return transactions.run(work)


def _open(request: OpenRequest) -> Opened | StoredAnswer:
    if answer := idempotency.claim_one(request.claim):
        return answer
    seen = Warehouse.objects.visible_to(request.asker.store_codes)
    warehouse = seen.filter(code=request.warehouse).first()
    if warehouse is None:
        unknown = UnknownWarehouse(f"There is no warehouse {request.warehouse}.")
        raise UnknownWarehouse(unknown.detail, [unknown.at("/warehouseId")])
    now = read_clock()
    level_ids = _levels_in_scope(request, warehouse, now)
    _insert(request, warehouse, level_ids, now)
    lines = read_lines(request.id)
    elsewhere = _elsewhere(request, level_ids)
    if not lines:
        raise NothingToCount("Each level in this scope is in another open count." if elsewhere else _NOTHING)
    count = StockCount.objects.select_related("warehouse").get(pk=request.id)
    opened = Opened(count, Progress(len(lines), 0, 0), elsewhere)
    changes = {
        "warehouseId": warehouse.code,
        "scope": request.scope,
        "zone": request.zone,
        "staleDays": request.stale_days,
        "recountShare": None if request.recount_share is None else str(request.recount_share),
        "lines": len(lines),
    }
    with one_statement():
        record([Entry(request.asker, "inventory_count_opened", request.id, changes)], now=now)
        idempotency.store_all([(request.claim, opened)], now=now)
    return opened


_NOTHING: Final = "No level is in this scope."


def _levels_in_scope(request: OpenRequest, warehouse: Warehouse, now: datetime) -> list[UUID]:
    """The levels to count, by id."""
    found = StockLevel.objects.filter(warehouse=warehouse)
    if request.scope == Scope.PRODUCTS:
        return _levels_of_products(request, warehouse)
    if request.scope == Scope.ZONE:
        found = found.filter(zone=request.zone)
    if request.scope == Scope.STALE:
        stale = Q(last_counted_at__isnull=True)
        if request.stale_days is not None:
            stale |= Q(last_counted_at__lt=now - timedelta(days=request.stale_days))
        found = found.filter(stale)
    ids = list(found.order_by("pk").values_list("pk", flat=True)[: MOST_LINES + 1])
    if len(ids) > MOST_LINES:
        raise CountTooLarge(f"A count has at most {MOST_LINES} lines; count zone by zone.")
    if not ids:
        raise NothingToCount(_NOTHING)
    return ids


def _levels_of_products(request: OpenRequest, warehouse: Warehouse) -> list[UUID]:
    """The levels of the products named, by id; each of them must have one in the warehouse."""
    wanted = {product.stock_id for product in request.products}
    found = StockLevel.objects.filter(warehouse=warehouse, product__in=wanted)
    rows = found.values_list("pk", "product_id", "product__parent_id")
    levels = {stock_id: (id_, parent_id) for id_, stock_id, parent_id in rows}
    faults = []
    for index, product in enumerate(request.products):
        _, parent_id = levels.get(product.stock_id, (None, None))
        if product.stock_id not in levels or not _is_named(product, parent_id):
            detail = f"{warehouse.code} has no stock level of product {product.stock_id}"
            faults.append(Fault(f"/products/{index}/productId", UnknownProduct.code, detail))
    if faults:
        raise UnknownProduct(f"{faults[0].detail}.", faults)
    return sorted(id_ for id_, _ in levels.values())


def _is_named(product: ProductRef, parent_id: UUID | None) -> bool:
    """Whether a variant is the named product's, or named itself as the product."""
    return product.variant_id is None or product.product_id in (parent_id, product.stock_id)


_INSERT_COUNT: Final = """
INSERT INTO inventory_stockcount (id, warehouse_id, scope, zone, stale_days, status, recount_share, note, opened_by,
    opened_at, posted_by, cancelled_by)
VALUES (%s, %s, %s, %s, %s, 'OPEN', %s, %s, %s, %s, '', '')
"""

_INSERT_LINES: Final = """
INSERT INTO inventory_stockcountline (id, count_id, level_id, counted_by, needs_recount, recounted_by, is_open)
SELECT id, %s, level_id, '', false, '', true
FROM unnest(%s::uuid[], %s::uuid[]) WITH ORDINALITY AS t (id, level_id, n)
ORDER BY n ON CONFLICT (level_id) WHERE is_open DO NOTHING
"""


def _insert(request: OpenRequest, warehouse: Warehouse, level_ids: Sequence[UUID], now: datetime) -> None:
    """Write the count and a line for each level that no open count has; waits for a count that is being opened."""
    write(
        _INSERT_COUNT,
        [
            request.id,
            warehouse.id,
            request.scope,
            request.zone,
            request.stale_days,
            request.recount_share,
            request.note,
            request.asker.actor,
            now,
        ],
    )
    write(_INSERT_LINES, [request.id, columns.uuids(uuid7() for _ in level_ids), columns.uuids(level_ids)])


def _elsewhere(request: OpenRequest, level_ids: Sequence[UUID]) -> dict[UUID, int]:
    """How many of these levels each other open count has. Raises AlreadyInCount where they were chosen by name."""
    others = StockCountLine.objects.filter(level__in=level_ids, is_open=True).exclude(count=request.id)
    if request.scope != Scope.PRODUCTS:
        rows = others.values("count_id").annotate(total=Count("pk")).order_by("count_id")
        return {row["count_id"]: row["total"] for row in rows}
    counts = dict(others.values_list("level__product_id", "count_id"))
    faults = [
        Fault(
            f"/products/{index}/productId",
            AlreadyInCount.code,
            f"product {product.stock_id} is in {public_id(COUNT, counts[product.stock_id])}, which is open",
            {"countId": public_id(COUNT, counts[product.stock_id])},
        )
        for index, product in enumerate(request.products)
        if product.stock_id in counts
    ]
    if faults:
        raise AlreadyInCount("A product is in another open count.", faults)
    return {}


# --- enter -----------------------------------------------------------------------------------------------------------


def enter_counts(request: EnterRequest) -> Counted | StoredAnswer:
    """Enter what was counted, all of it or nothing; entries of one product are summed.

    On hand at this moment, read under the level's lock, is what was expected: what moves before or after changes
    neither. A first count may be corrected, as may a second one. A difference above the count's share needs a second
    count; entering the first one again doesn't count as that.

    Raises NotFound, CountClosed, ProductNotInCount, Invalid (a second count without a first), QuantityLimit, Busy and
    the errors of claims. Locks: claim, the count, its levels concerned by id.
    """
    return transactions.run(lambda: _enter(request))


def _enter(request: EnterRequest) -> Counted | StoredAnswer:
    if answer := idempotency.claim_one(request.claim):
        return answer
    count = lock_open_count(request.count_id, request.asker.store_codes)
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
            actor=request.asker.actor,
        )
        for stock_id, entry in entries.items()
    ]
    progress = _progress_with(count.id, entered)
    counted = Counted(count, progress, tuple(entered))
    with one_statement():
        _update(entered)
        record([_entered_entry(request, entries, entered)], now=levels.now)
        idempotency.store_all([(request.claim, counted)], now=levels.now)
    return counted


def _lines_of(request: EnterRequest) -> dict[UUID, CountLine]:
    """The lines that the entries mean, by the product whose stock it is."""
    wanted = {entry.product.stock_id for entry in request.entries}
    found = StockCountLine.objects.filter(count=request.count_id, level__product__in=wanted)
    lines = {line.stock_id: line for line in (CountLine(*row) for row in found.values_list(*_LINE_FIELDS))}
    faults = []
    for index, entry in enumerate(request.entries):
        line = lines.get(entry.product.stock_id)
        if line is None or not _is_named(entry.product, line.parent_id):
            detail = f"the count has no line of product {entry.product.stock_id}"
            faults.append(Fault(f"/lines/{index}/productId", ProductNotInCount.code, detail))
        elif entry.is_recount and line.counted is None:
            raise Invalid(
                "A second count needs a first one.", [Fault(f"/lines/{index}/recount", "invalid", "not counted yet")]
            )
    if faults:
        raise ProductNotInCount("A product is not in this count.", faults)
    return lines


def _summed(request: EnterRequest, lines: Mapping[UUID, CountLine]) -> dict[UUID, EnteredCount]:
    """One entry a product. Raises Invalid where a product has first and second counts in one request."""
    entries: dict[UUID, EnteredCount] = {}
    for index, entry in enumerate(request.entries):
        stock_id = lines[entry.product.stock_id].stock_id
        before = entries.get(stock_id)
        if before and before.is_recount != entry.is_recount:
            fault = Fault(f"/lines/{index}/recount", "invalid", "a first and a second count of one product")
            raise Invalid("A product is counted and recounted in requests of their own.", [fault])
        total = entry.counted + (before.counted if before else 0)
        if total > QUANTITY_LIMIT:
            limit = QuantityLimit(f"A level has at most {QUANTITY_LIMIT} units.")
            raise QuantityLimit(limit.detail, [limit.at(f"/lines/{index}/counted")])
        entries[stock_id] = replace(entry, counted=total)
    return entries


def _entered(
    line: CountLine, entry: EnteredCount, *, on_hand: int, share: Decimal | None, now: datetime, actor: str
) -> CountLine:
    """A line once a count of it is entered."""
    if entry.is_recount:
        return replace(
            line,
            needs_recount=False,
            recounted=entry.counted,
            recounted_at=now,
            recounted_by=actor,
            recount_expected=on_hand,
        )
    is_far = share is not None and abs(entry.counted - on_hand) > share * on_hand
    return replace(
        line,
        counted=entry.counted,
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
    """How far a count is once these lines are written."""
    others = StockCountLine.objects.filter(count=count_id).exclude(pk__in=[line.id for line in entered])
    rest = others.aggregate(
        total=Count("pk"),
        entered=Count("pk", filter=Q(counted__isnull=False)),
        again=Count("pk", filter=Q(needs_recount=True)),
    )
    again = sum(line.needs_recount for line in entered)
    return Progress(rest["total"] + len(entered), rest["entered"] + len(entered), rest["again"] + again)


def _entered_entry(request: EnterRequest, entries: Mapping[UUID, EnteredCount], lines: Sequence[CountLine]) -> Entry:
    told = [
        line.facts()
        | {
            "counted": entries[line.stock_id].counted,
            "recount": entries[line.stock_id].is_recount,
            "expected": line.recount_expected if entries[line.stock_id].is_recount else line.expected,
        }
        for line in lines
    ]
    return Entry(request.asker, "inventory_count_entered", request.count_id, {"lines": told})


# --- close -----------------------------------------------------------------------------------------------------------


def require_complete(lines: Sequence[CountLine], *, skip_uncounted: bool) -> list[CountLine]:
    """The lines to post: all that were counted. Raises CountIncomplete with the lines that miss a count, unless those
    are to be skipped, or a second count; at most 200 of them."""
    uncounted = [] if skip_uncounted else [line for line in lines if line.counted is None]
    again = [line for line in lines if line.needs_recount]
    faults = [Fault("", "not_counted", f"{line.sku} was not counted", line.facts()) for line in uncounted]
    faults += [Fault("", "needs_recount", f"{line.sku} needs a second count", line.facts()) for line in again]
    if faults:
        detail = f"{len(uncounted)} lines were not counted and {len(again)} need a second count."
        raise CountIncomplete(detail, faults[:_MOST_FAULTS])
    counted = [line for line in lines if line.counted is not None]
    if not counted:
        raise CountIncomplete("Nothing was counted; cancel the count instead.")
    return counted


def cancel_count(request: CancelRequest) -> Counted | StoredAnswer:
    """Call a count off; what was entered is kept and never posted.

    Raises NotFound, CountClosed, Busy and the errors of claims. Locks: claim, the count.
    """
    return transactions.run(lambda: _cancel(request))


def _cancel(request: CancelRequest) -> Counted | StoredAnswer:
    if answer := idempotency.claim_one(request.claim):
        return answer
    count = lock_open_count(request.count_id, request.asker.store_codes)
    count.status, count.cancelled_at, count.cancelled_by = Status.CANCELLED, read_clock(), request.asker.actor
    cancelled = Counted(count, progress_of([count.id])[count.id])
    with one_statement():
        write(
            "UPDATE inventory_stockcount SET status = 'CANCELLED', cancelled_at = %s, cancelled_by = %s WHERE id = %s",
            [count.cancelled_at, count.cancelled_by, count.id],
        )
        write("UPDATE inventory_stockcountline SET is_open = false WHERE count_id = %s", [count.id])
        changes = {"reason": request.reason}
        record([Entry(request.asker, "inventory_count_cancelled", count.id, changes)], now=count.cancelled_at)
        idempotency.store_all([(request.claim, cancelled)], now=count.cancelled_at)
    return cancelled


_POST_LINES: Final = """
UPDATE inventory_stockcountline AS line SET is_open = false, posted_difference = t.difference
FROM inventory_stockcountline AS own LEFT JOIN unnest(%s::uuid[], %s::int[]) AS t (id, difference) ON t.id = own.id
WHERE own.count_id = %s AND line.id = own.id
"""

_LEVELS_COUNTED: Final = """
UPDATE inventory_stocklevel AS level SET last_counted_at = t.at
FROM unnest(%s::uuid[], %s::timestamptz[]) AS t (id, at) WHERE level.id = t.id
"""


def close_posted(count: StockCount, lines: Sequence[CountLine], *, actor: str, now: datetime) -> None:
    """Write that a count was posted with the differences of these lines: two statements. Requires its lock."""
    count.status, count.posted_at, count.posted_by = Status.POSTED, now, actor
    write(
        "UPDATE inventory_stockcount SET status = 'POSTED', posted_at = %s, posted_by = %s WHERE id = %s",
        [now, actor, count.id],
    )
    ids = columns.uuids(line.id for line in lines)
    write(_POST_LINES, [ids, columns.optional_ints(line.difference for line in lines), count.id])


def mark_counted(lines: Sequence[CountLine]) -> None:
    """Write on these lines' levels when they were counted: one statement, which can't be part of the ledger's.

    Requires their locks.
    """
    ids = columns.uuids(line.level_id for line in lines)
    write(_LEVELS_COUNTED, [ids, columns.times(line.last_counted_at for line in lines)])
