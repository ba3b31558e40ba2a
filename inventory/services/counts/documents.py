"""Counts and their lines, read and locked for a change, and closed once posted."""

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
        """The product whose stock it is: the variant, if there is one."""
        return self.variant_id or self.product_id


def is_named(product: ProductRef, parent_id: UUID | None) -> bool:
    """Whether a variant is the named product's, or named itself as the product."""
    return product.variant_id is None or product.product_id in (parent_id, product.stock_id)


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
    """How far a count is: its lines, those that were counted, and those of them that still need a second count."""

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
    count = read_count(count_id, actor)  # By a statement of its own, which sees what the lock waited for.
    if count.status != CountStatus.OPEN:
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
    return [CountLine(*row) for row in found.order_by("pk").values_list(*LINE_FIELDS)[:limit]]


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
    count.status, count.posted_at, count.posted_by = CountStatus.POSTED, now, actor
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
