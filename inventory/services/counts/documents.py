"""Counts and their lines: read, locked for a change, and closed when posted."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from django.db import connection
from django.db.models import Count, Q

from audit.actors import Actor
from audit.db import columns
from audit.db.statements import write
from audit.errors import Fault, NotFound
from inventory.errors import (
    CountClosed,
    CountIncomplete,
)
from inventory.models import StockCount, StockCountLine

_MOST_FAULTS: Final = 200
CountStatus = StockCount.Status


@dataclass(frozen=True, slots=True)
class ProductRef:
    """A product or variant as a caller names it."""

    product_id: UUID
    variant_id: UUID | None = None

    @property
    def stock_id(self) -> UUID:
        """The id of the variant if there is one, else of the product: stock levels belong to it."""
        return self.variant_id or self.product_id


def is_named(product: ProductRef, parent_id: UUID | None) -> bool:
    """Whether the reference fits: it names the variant's parent, or the variant itself as the product."""
    return product.variant_id is None or product.product_id in (parent_id, product.stock_id)


@dataclass(frozen=True, slots=True)
class CountLine:
    """A line as it was read. ``stock_id`` is the product or variant of the level, ``parent_id`` the variant's parent;
    quantities in units."""

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
        """The parent's id for a variant, else the product's."""
        return self.parent_id or self.stock_id

    @property
    def variant_id(self) -> UUID | None:
        """The variant's id; None for a product."""
        return self.stock_id if self.parent_id else None

    @property
    def difference(self) -> int | None:
        """Counted minus expected in the last counting of this line, which posting adds to on hand; None before it."""
        if self.recounted is not None and self.recount_expected is not None:
            return self.recounted - self.recount_expected
        if self.counted is not None and self.expected is not None:
            return self.counted - self.expected
        return None

    @property
    def last_counted_at(self) -> datetime | None:
        """The time of the last counting."""
        return self.recounted_at or self.counted_at

    def facts(self) -> dict[str, object]:
        """The line in faults and audit entries."""
        facts: dict[str, object] = {"productId": str(self.product_id)}
        if self.variant_id:
            facts["variantId"] = str(self.variant_id)
        return facts


LINE_FIELDS: Final = (
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
    """The progress of a count: the numbers of its lines, of counted ones, and of those that need a second count."""

    lines: int
    counted: int
    to_recount: int


def read_count(count_id: UUID, actor: Actor) -> StockCount:
    """A count, without a lock. Raises NotFound, also for one of a warehouse out of the actor's reach."""
    return _found(StockCount.objects.visible_to(actor).select_related("warehouse").filter(pk=count_id).first())


def lock_open_count(count_id: UUID, actor: Actor) -> StockCount:
    """Lock a count FOR NO KEY UPDATE and read it. Requires an open transaction that has locked no hold and no level.

    Raises NotFound as ``read_count`` does, and CountClosed.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT FROM inventory_stockcount WHERE id = %s FOR NO KEY UPDATE", [count_id])
    count = read_count(count_id, actor)  # A separate statement, which sees the commit that the lock waited for.
    if count.status != CountStatus.OPEN:
        raise CountClosed(f"{count.public_id} is {count.status}.")
    return count


def _found(count: StockCount | None) -> StockCount:
    if count is None:
        raise NotFound("There is no such count.")
    return count


def read_lines(count_id: UUID, *, after: UUID | None = None, limit: int | None = None) -> list[CountLine]:
    """The lines of a count by id, which is the order of creation; one query."""
    found = StockCountLine.objects.filter(count=count_id)
    if after is not None:
        found = found.filter(pk__gt=after)
    return [CountLine(*row) for row in found.order_by("pk").values_list(*LINE_FIELDS)[:limit]]


def progress_of(count_ids: Collection[UUID]) -> dict[UUID, Progress]:
    """The progress of these counts; one query."""
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


# --- close -----------------------------------------------------------------------------------------------------------


def require_complete(lines: Sequence[CountLine], *, skip_uncounted: bool) -> list[CountLine]:
    """The lines to post: all counted ones. Raises CountIncomplete with the lines, at most 200, that lack a count
    (unless these are to be skipped) or a required second count."""
    uncounted = [] if skip_uncounted else [line for line in lines if line.counted is None]
    again = [line for line in lines if line.needs_recount]
    faults = [Fault("", "not_counted", f"{line.sku} was not counted.", line.facts()) for line in uncounted]
    faults += [Fault("", "needs_recount", f"{line.sku} needs a second count.", line.facts()) for line in again]
    if faults:
        detail = f"Lines without a count: {len(uncounted)}; lines that need a second count: {len(again)}."
        raise CountIncomplete(detail, faults[:_MOST_FAULTS])
    counted = [line for line in lines if line.counted is not None]
    if not counted:
        raise CountIncomplete("Nothing was counted; cancel the count instead.")
    return counted


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
    """Mark a count as posted, with the differences of these lines: two statements. Requires its lock."""
    count.status, count.posted_at, count.posted_by = CountStatus.POSTED, now, actor
    write(
        "UPDATE inventory_stockcount SET status = 'POSTED', posted_at = %s, posted_by = %s WHERE id = %s",
        [now, actor, count.id],
    )
    ids = columns.uuids(line.id for line in lines)
    write(_POST_LINES, [ids, columns.optional_ints(line.difference for line in lines), count.id])


def mark_counted(lines: Sequence[CountLine]) -> None:
    """Set the time of the last counting of these lines' levels: one statement, which can't be part of the ledger's.

    Requires their locks.
    """
    ids = columns.uuids(line.level_id for line in lines)
    write(_LEVELS_COUNTED, [ids, columns.times(line.last_counted_at for line in lines)])
