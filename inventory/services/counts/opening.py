"""Open a count, with a line for each level in its scope."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final
from uuid import UUID

from django.db.models import Count, Q
from uuid_utils.compat import uuid7

from audit import idempotency
from audit.actors import Actor
from audit.db import columns
from audit.db.statements import one_statement, write
from audit.errors import Fault
from audit.idempotency import Claim, StoredAnswer
from audit.identifiers import COUNT, public_id
from audit.recording import Entry, record
from inventory import actions, transactions
from inventory.errors import (
    AlreadyInCount,
    CountTooLarge,
    NothingToCount,
    UnknownProduct,
    UnknownWarehouse,
)
from inventory.locking import read_clock
from inventory.models import StockCount, StockCountLine, StockLevel, Warehouse
from inventory.services.counts.documents import ProductRef, Progress, is_named, read_lines
from inventory.services.counts.entering import EnteredCount, EnterRequest, enter

MOST_LINES: Final = 10_000
"""The most levels that one count may have: posting locks and writes all of them in one transaction."""
CountScope = StockCount.Scope


@dataclass(frozen=True, slots=True)
class OpenRequest:
    """A request to open a count; ``id`` is made before the first attempt (docs/explanation/rules.md, rule 25).

    ``warehouse`` is a code. ``zone`` goes with the scope ZONE, ``products`` with PRODUCTS, ``stale_days`` with STALE
    (None: levels that were never counted). ``recount_share`` is the share of the expected quantity, 0 to 1, above which
    a difference requires a second count; None: no difference does.
    """

    actor: Actor
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
class Opened:
    """A new count. ``elsewhere`` is the number of levels left out because of another open count, by that count's id."""

    count: StockCount
    progress: Progress
    elsewhere: Mapping[UUID, int]


# --- open ------------------------------------------------------------------------------------------------------------


def open_count(request: OpenRequest) -> Opened | StoredAnswer:
    """Open a count of the levels in its scope.

    With the scope PRODUCTS the request is refused if one of the levels is in another open count. With other scopes such
    levels are left out, and the answer names the other counts.

    Raises UnknownWarehouse, UnknownProduct, AlreadyInCount, NothingToCount, CountTooLarge, Busy and the errors of
    claims. Locks: claim; the lines' unique index, in order of the levels' ids.
    """
    return transactions.run(lambda: _open(request), transactions.LONG)


def count_one(request: OpenRequest, counted: int) -> Opened | StoredAnswer:
    """Open a count of one product (the scope PRODUCTS) and enter its counted quantity, both or neither.

    Raises what ``open_count`` and ``enter_counts`` raise. Locks: claim, the lines' unique index, the count, the level.
    """

    def work() -> Opened | StoredAnswer:
        opened = _open(request)
        if isinstance(opened, Opened):
            enter(EnterRequest(request.actor, request.id, (EnteredCount(request.products[0], counted),)))
        return opened

    return transactions.run(work)


def _open(request: OpenRequest) -> Opened | StoredAnswer:
    if answer := idempotency.claim_one(request.claim):
        return answer
    seen = Warehouse.objects.visible_to(request.actor)
    warehouse = seen.filter(code=request.warehouse).first()
    if warehouse is None:
        raise UnknownWarehouse.at("/warehouseId", f"There is no warehouse {request.warehouse}.")
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
        record([Entry(request.actor, actions.COUNT_OPENED, request.id, changes)], now=now)
        idempotency.store_all([(request.claim, opened)], now=now)
    return opened


_NOTHING: Final = "No level is in this scope."


def _levels_in_scope(request: OpenRequest, warehouse: Warehouse, now: datetime) -> list[UUID]:
    """The levels to count, by id."""
    found = StockLevel.objects.filter(warehouse=warehouse)
    if request.scope == CountScope.PRODUCTS:
        return _levels_of_products(request, warehouse)
    if request.scope == CountScope.ZONE:
        found = found.filter(zone=request.zone)
    if request.scope == CountScope.STALE:
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
    """The levels of the named products, by id; each product must have one in the warehouse."""
    wanted = {product.stock_id for product in request.products}
    found = StockLevel.objects.filter(warehouse=warehouse, product__in=wanted)
    rows = found.values_list("pk", "product_id", "product__parent_id")
    levels = {stock_id: (id_, parent_id) for id_, stock_id, parent_id in rows}
    faults = []
    for index, product in enumerate(request.products):
        _, parent_id = levels.get(product.stock_id, (None, None))
        if product.stock_id not in levels or not is_named(product, parent_id):
            detail = f"{warehouse.code} has no stock level of product {product.stock_id}."
            faults.append(Fault(f"/products/{index}/productId", UnknownProduct.code, detail))
    if faults:
        raise UnknownProduct(faults[0].detail, faults)
    return sorted(id_ for id_, _ in levels.values())


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
    """Write the count and a line for each level that is in no open count; waits for a count that is being opened."""
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
            request.actor.name,
            now,
        ],
    )
    write(_INSERT_LINES, [request.id, columns.uuids(uuid7() for _ in level_ids), columns.uuids(level_ids)])


def _elsewhere(request: OpenRequest, level_ids: Sequence[UUID]) -> dict[UUID, int]:
    """The number of these levels in other open counts, by count. Raises AlreadyInCount for the scope PRODUCTS."""
    others = StockCountLine.objects.filter(level__in=level_ids, is_open=True).exclude(count=request.id)
    if request.scope != CountScope.PRODUCTS:
        rows = others.values("count_id").annotate(total=Count("pk")).order_by("count_id")
        return {row["count_id"]: row["total"] for row in rows}
    counts = dict(others.values_list("level__product_id", "count_id"))
    faults = [
        Fault(
            f"/products/{index}/productId",
            AlreadyInCount.code,
            f"Product {product.stock_id} is already in the open count {public_id(COUNT, counts[product.stock_id])}.",
            {"countId": public_id(COUNT, counts[product.stock_id])},
        )
        for index, product in enumerate(request.products)
        if product.stock_id in counts
    ]
    if faults:
        raise AlreadyInCount("A product is in another open count.", faults)
    return {}
