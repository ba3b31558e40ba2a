"""Low-stock alerts: opened and worsened by the ledger, judged when settings change and by a periodic task, answered
by staff.

The rules are docs/explanation/rules.md, rules 6 and 14. A level has one open alert at most. Opening, worsening and
resolving an alert require the level's lock, so that they never run concurrently; the alert's row is locked after the
level's. Commands of staff lock only the alert's row, as does the digest, without waiting.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Final, Protocol
from uuid import UUID

import structlog
from django.db import Error, connection
from uuid_utils.compat import uuid7

from audit import idempotency
from audit.actions import Action
from audit.actors import Actor
from audit.db import columns
from audit.db.lookups import among
from audit.db.statements import one_statement, write
from audit.errors import Busy, Fault, Invalid, NotFound
from audit.idempotency import Claim, StoredAnswer
from audit.identifiers import NIL
from audit.metrics.definitions import LOW_STOCK_ALERTS
from audit.metrics.kinds import after_commit
from audit.preconditions import Precondition, last_write_wins
from audit.publishing import new_event_ids, publish_from
from audit.recording import Entry, record
from inventory import actions, planning, transactions
from inventory.errors import AlertResolved
from inventory.events import LowStockAlertEvent
from inventory.locking import lock_levels, read_clock
from inventory.models import LowStockAlert, Movement, StockLevel, TransferLine
from inventory.models.stock import StockLevelQuerySet
from inventory.planning import Severity
from inventory.selling import PRODUCT_IS_ACTIVE, PRODUCT_IS_LISTED

logger = structlog.get_logger(__name__)
_BATCH: Final = 500


@dataclass(frozen=True, slots=True)
class Crossing:
    """A level whose severity became LOW or worse. ``available`` in units, after the change."""

    level_id: UUID
    severity: Severity
    available: int


_RAISE: Final = f"""
INSERT INTO inventory_lowstockalert AS alert
    (id, level_id, level_warehouse_id, severity, available, reorder_point, opened_at)
SELECT t.id, t.level_id, level.warehouse_id, t.severity, t.available, level.reorder_point, %s
FROM unnest(%s::uuid[], %s::uuid[], %s::text[], %s::int[]) AS t (id, level_id, severity, available)
JOIN inventory_stocklevel level ON level.id = t.level_id
JOIN inventory_warehouse warehouse ON warehouse.id = level.warehouse_id AND warehouse.is_active
JOIN inventory_product product ON product.id = level.product_id
LEFT JOIN inventory_product parent ON parent.id = product.parent_id
WHERE {PRODUCT_IS_ACTIVE} AND {PRODUCT_IS_LISTED}
ON CONFLICT (level_id) WHERE resolved_at IS NULL DO UPDATE SET severity = EXCLUDED.severity,
    available = EXCLUDED.available, reorder_point = EXCLUDED.reorder_point, worsened_at = EXCLUDED.opened_at,
    acknowledged_at = NULL, acknowledged_by = '', snoozed_until = NULL, notified_at = NULL
WHERE alert.severity = 'LOW' AND EXCLUDED.severity = 'CRITICAL'
    OR EXCLUDED.available <= (SELECT min_stock_level FROM inventory_stocklevel level WHERE level.id = EXCLUDED.level_id)
RETURNING alert.level_id::text AS key, (
    SELECT jsonb_build_object('productId', coalesce(product.parent_id, product.id), 'warehouseId', warehouse.code,
        'currentStock', alert.available, 'reorderPoint', alert.reorder_point, 'severity', alert.severity)
        || CASE WHEN product.parent_id IS NULL THEN '{{}}' ELSE jsonb_build_object('variantId', product.id) END
    FROM inventory_stocklevel level JOIN inventory_product product ON product.id = level.product_id
    JOIN inventory_warehouse warehouse ON warehouse.id = level.warehouse_id WHERE level.id = alert.level_id
) AS payload
"""  # noqa: S608 - constants only


def raise_alerts(crossed: Sequence[Crossing], *, now: datetime) -> None:
    """Open an alert for each of these levels, or worsen its open one, and publish a ``LowStockAlertEvent``.

    An event is published only if an alert is new, became CRITICAL or its level has sold out again, not each time that a
    level goes up and down around its line. Worsening removes an acknowledgement or a snooze, which applied to what was
    known before. Levels that are ``retired`` are left out. Two statements whatever the number of levels, as parts of
    the transaction's one. Requires the levels' locks.
    """
    with one_statement():
        raised = write(
            _RAISE,
            [
                now,
                columns.uuids(uuid7() for _ in crossed),
                columns.uuids(each.level_id for each in crossed),
                columns.texts(each.severity for each in crossed),
                columns.ints(each.available for each in crossed),
            ],
        )
        rows = f"SELECT row_number() OVER (ORDER BY key)::int AS n, key, payload FROM {raised}"  # noqa: S608
        publish_from(rows, event=LowStockAlertEvent, ids=new_event_ids(len(crossed)), now=now)
    if LOW_STOCK_ALERTS.is_on:
        after_commit(partial(_count_raised, [each.level_id for each in crossed], now))


_RAISED: Final = """
SELECT count(*) FROM inventory_lowstockalert WHERE level_id = ANY(%s) AND (opened_at = %s OR worsened_at = %s)
"""


def _count_raised(level_ids: Sequence[UUID], at: datetime) -> None:
    """Count the alerts of these levels that were raised then: the statement that raises them doesn't return it."""
    try:
        with connection.cursor() as cursor:
            cursor.execute(_RAISED, [columns.uuids(level_ids), at, at])
            LOW_STOCK_ALERTS.add(cursor.fetchone()[0])
    except Error as error:
        logger.warning("alerts_not_counted", error=str(error))


# --- the state of levels, judged at once or by the periodic task -----------------------------------------------------


_RESOLVE: Final = "UPDATE inventory_lowstockalert SET resolved_at = %s WHERE id = ANY(%s)"


def judge(level_ids: Collection[UUID], *, now: datetime) -> tuple[int, int]:
    """Open, worsen and resolve the alerts of these levels by their present state.

    Returns the numbers of alerts raised and resolved. Requires an open transaction and the levels' locks.
    """
    found: Any = StockLevel.objects.filter(pk__in=level_ids).low().without_alert()
    low = [
        Crossing(level_id, Severity.CRITICAL if is_critical else Severity.LOW, available)
        for level_id, is_critical, available in found.values_list("pk", "is_critical", "available")
    ]
    if low:
        raise_alerts(low, now=now)
    over = list(LowStockAlert.objects.recovered().filter(level__in=level_ids).values_list("pk", flat=True))
    if over:
        write(_RESOLVE, [now, columns.uuids(over)])
    return len(low), len(over)


def raise_missed(levels: StockLevelQuerySet | None = None, *, wait: bool = False) -> int:
    """Open or worsen alerts that no change of stock has raised, of these levels, or of all.

    Bounded batches, in transactions of their own. Levels that another transaction has locked are left for the next run,
    unless ``wait``. Returns the number of alerts. Raises Busy if ``wait``.
    """
    found = (StockLevel.objects.all() if levels is None else levels).low().without_alert().order_by("pk")
    batches = _batches(lambda after: found.filter(pk__gt=after).values_list("pk", "pk")[:_BATCH])
    return sum(transactions.run(partial(_judge_locked, batch, wait))[0] for batch in batches)


def resolve_recovered(levels: StockLevelQuerySet | None = None, *, wait: bool = False) -> int:
    """Resolve the alerts of levels that have recovered or are ``retired``, of these levels, or of all.

    Batches and locks as ``raise_missed``. Returns the number of alerts. Raises Busy if ``wait``.
    """
    found = LowStockAlert.objects.recovered().order_by("pk")
    if levels is not None:
        found = found.filter(level__in=levels.values("pk"))
    batches = _batches(lambda after: found.filter(pk__gt=after).values_list("pk", "level_id")[:_BATCH])
    return sum(transactions.run(partial(_judge_locked, batch, wait))[1] for batch in batches)


def judge_at_once(levels: StockLevelQuerySet) -> None:
    """Judge the levels of a product or warehouse after it was changed, in transactions of their own.

    The change is committed by then: a level whose lock can't be had in time is left to the periodic task, and logged.
    """
    try:
        resolve_recovered(levels, wait=True)
        raise_missed(levels, wait=True)
    except Busy:
        logger.warning("low_stock_not_judged_at_once")


def _judge_locked(level_ids: Sequence[UUID], wait: bool) -> tuple[int, int]:
    levels = lock_levels(level_ids, wait=wait)
    return judge(levels.by_id.keys(), now=levels.now)


def _batches(read: Callable[[UUID], Any]) -> Iterator[list[UUID]]:
    """The levels of the rows that ``read`` finds after an id, one page at a time."""
    after = NIL
    while rows := list(read(after)):
        yield [level_id for _, level_id in rows]
        after = rows[-1][0]


# --- staff ---------------------------------------------------------------------------------------------------------


def acknowledge(
    alert_id: UUID, actor: Actor, *, note: str = "", claim: Claim | None = None
) -> LowStockAlert | StoredAnswer:
    """Acknowledge an alert; no more reminders are sent for it. If it is acknowledged already, nothing changes.

    Raises NotFound (also for another store's), AlertResolved, Busy and the errors of claims. Locks the alert.
    """

    def work(alert: LowStockAlert, now: datetime) -> dict[str, Any] | None:
        if alert.acknowledged_at is not None:
            return None
        alert.acknowledged_at, alert.acknowledged_by = now, actor.name
        return {"note": note}

    return _answer(alert_id, actor, actions.ALERT_ACKNOWLEDGED, work, claim)


def snooze(
    alert_id: UUID,
    until: datetime | None,
    actor: Actor,
    *,
    note: str = "",
    claim: Claim | None = None,
    precondition: Precondition = last_write_wins,
) -> LowStockAlert | StoredAnswer:
    """Leave an alert out of the mails until a moment; None ends the snooze, as does a worse severity.

    Raises Invalid for a moment in the past, VersionConflict (the precondition's), NotFound (also for another store's),
    AlertResolved, Busy and the errors of claims. Locks the alert.
    """

    def work(alert: LowStockAlert, now: datetime) -> dict[str, Any]:
        precondition(alert)
        if until is not None and until <= now:
            raise Invalid("A snooze must end in the future.", [Fault("/until", "invalid", "This time has passed.")])
        before, alert.snoozed_until = alert.snoozed_until, until
        return {"snoozedUntil": [before, until], "note": note}

    return _answer(alert_id, actor, actions.ALERT_SNOOZED, work, claim)


def _answer(
    alert_id: UUID,
    actor: Actor,
    action: Action,
    work: Callable[[LowStockAlert, datetime], dict[str, Any] | None],
    claim: Claim | None,
) -> LowStockAlert | StoredAnswer:
    """Change an open alert by ``work``, which returns its changes for the audit entry, or None if nothing changed."""

    def answered() -> LowStockAlert | StoredAnswer:
        if answer := idempotency.claim_one(claim):
            return answer
        seen = LowStockAlert.objects.visible_to(actor).described()
        alert = seen.select_for_update(of=("self",), no_key=True).filter(pk=alert_id).first()
        if alert is None:
            raise NotFound("There is no such alert.")
        if alert.resolved_at is not None:
            raise AlertResolved(f"{alert.public_id} was resolved at {alert.resolved_at:%Y-%m-%dT%H:%M:%SZ}.")
        now = read_clock()
        changes = work(alert, now)
        if changes is not None:
            alert.save(update_fields=["acknowledged_at", "acknowledged_by", "snoozed_until"])
            record([Entry(actor, action, alert.id, changes)], now=now)
        idempotency.store_all([(claim, alert)], now=now)
        return alert

    return transactions.run(answered, pipelined=False)


# --- reading -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LowPage:
    """A page of low levels, the worst first, each with its ``rank`` (``StockLevelQuerySet.low``), product and
    warehouse; and the totals over all pages."""

    levels: Sequence[Any]
    items: int
    critical: int


# Totals and page come from one aggregate, so that the table is read once. Parallel workers can compute parts of an
# aggregate only if it doesn't sort: only the low levels are sorted, afterwards.
_WORST: Final = """
WITH low AS (
    SELECT count(*) AS total, count(*) FILTER (WHERE found.is_critical) AS critical,
        array_agg(found.rank){behind} AS ranks, array_agg(found.id){behind} AS ids
    FROM ({found}) found
), page AS (
    SELECT unnest(ranks) AS rank, unnest(ids) AS id FROM low ORDER BY 1, 2 LIMIT %s
)
SELECT level.*, page.rank, low.total, low.critical
FROM low LEFT JOIN page ON true LEFT JOIN inventory_stocklevel level ON level.id = page.id
ORDER BY page.rank, page.id
"""
_BEHIND: Final = " FILTER (WHERE (found.rank, found.id) > (%s::float8, %s::uuid))"


def read_worst(found: Any, *, behind: tuple[float, UUID] | None, limit: int) -> LowPage:
    """At most ``limit`` levels of ``found``, a queryset of ``low`` levels, by ``rank``, after the given (rank, id);
    three queries.

    Products and warehouses are read only for the page; a join would read them for all levels.
    """
    sql, parameters = found.values("id", "rank", "is_critical").query.sql_with_params()
    after = [*behind, *behind] if behind else []
    statement = _WORST.format(found=sql, behind=_BEHIND if behind else "")
    rows: list[Any] = list(
        StockLevel.objects.raw(statement, [*after, *parameters, limit]).prefetch_related("product", "warehouse")
    )
    return LowPage([row for row in rows if row.pk], rows[0].total, rows[0].critical)


@dataclass(frozen=True, slots=True)
class Outlook:
    """Figures of a level for reordering; ``suggested_order`` in units, incoming units already deducted, None also for
    levels that are ``retired``."""

    percentage_remaining: float | None
    days_of_supply: int | None
    suggested_order: int | None


class Watched(planning.Settings, Protocol):
    """The fields of a level that its outlook is computed from."""

    @property
    def id(self) -> UUID: ...
    @property
    def available(self) -> int: ...


def outlooks(levels: Sequence[Watched]) -> dict[UUID, Outlook]:
    """The outlook of each of these levels; three queries, whatever their number."""
    ids = [level.id for level in levels]
    retired = set(StockLevel.objects.retired().filter(among("pk", ids)).values_list("pk", flat=True))
    shipped = Movement.objects.shipped_lately(ids)
    incoming = TransferLine.objects.filter(among("destination_level", ids), in_transit__gt=0).values_list(
        "destination_level", "in_transit"
    )
    coming: dict[UUID, int] = {}
    for level_id, quantity in incoming:
        coming[level_id] = coming.get(level_id, 0) + quantity
    return {
        level.id: Outlook(
            planning.percentage_remaining(level, level.available),
            planning.days_of_supply(level.available, shipped.get(level.id, 0)),
            None if level.id in retired else planning.suggested_order(level, level.available, coming.get(level.id, 0)),
        )
        for level in levels
    }
