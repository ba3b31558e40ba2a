"""The only row lock on stock.

Lock order is law (docs/explanation/rules.md, rule 8): levels come last, by primary key, all of a transaction's levels
in one statement.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

import msgspec
from django.conf import settings
from django.db import connection

from audit.db import columns, times
from audit.metrics.definitions import LOCK_WAIT
from inventory.selling import PRODUCT_MAY_BE_SOLD, STORE_MAY_SELL, WAREHOUSE_MAY_SELL

_COLUMNS: Final = "id, on_hand, reserved, min_stock_level, version, reorder_point, reorder_quantity, max_stock_level"
_LOCK: Final = f"""
WITH locked AS MATERIALIZED (
    SELECT {_COLUMNS} FROM inventory_stocklevel WHERE id = ANY(%s) ORDER BY id FOR NO KEY UPDATE
)
SELECT clock_timestamp()::text, * FROM locked
"""  # noqa: S608 - constants only
_LOCK_AND_LOOK: Final = f"""
WITH locked AS MATERIALIZED (
    SELECT {_COLUMNS}, product_id, warehouse_id
    FROM inventory_stocklevel WHERE id = ANY(%s) ORDER BY id FOR NO KEY UPDATE
)
SELECT clock_timestamp()::text, {", ".join(f"locked.{name}" for name in _COLUMNS.split(", "))},
    {WAREHOUSE_MAY_SELL} AND {PRODUCT_MAY_BE_SOLD}{{facts}}
FROM locked JOIN inventory_warehouse warehouse ON warehouse.id = locked.warehouse_id
JOIN inventory_product product ON product.id = locked.product_id
LEFT JOIN inventory_product parent ON parent.id = product.parent_id
"""  # noqa: S608 - constants only
_STORES: Final = f"""ARRAY(
    SELECT CASE WHEN {STORE_MAY_SELL} THEN '+' ELSE '-' END || store.code FROM inventory_storewarehouse source
    JOIN inventory_store store ON store.id = source.store_id WHERE source.warehouse_id = {{warehouse}}
)"""  # noqa: S608 - constants only
_LOCK_SELLABLE: Final = _LOCK_AND_LOOK.format(facts="")
_LOCK_WITH_FACTS: Final = _LOCK_AND_LOOK.format(
    facts=f", product.id, product.parent_id, warehouse.code, {_STORES.format(warehouse='locked.warehouse_id')}"
)
_WAREHOUSES: Final = {
    # By whether the facts for events are read.
    is_with: f"""
SELECT warehouse.code, warehouse.id, warehouse.is_active, {WAREHOUSE_MAY_SELL},
    {_STORES.format(warehouse="warehouse.id") if is_with else "NULL"}
FROM inventory_warehouse warehouse WHERE warehouse.code = ANY(%s::text[])
"""  # noqa: S608 - constants only
    for is_with in (False, True)
}
_LOCK_NAMED: Final = f"""
WITH locked AS MATERIALIZED (
    SELECT {_COLUMNS}, product_id, warehouse_id FROM inventory_stocklevel WHERE id = ANY(ARRAY(
        SELECT level.id FROM unnest(%s::uuid[], %s::text[]) AS named (product_id, code)
        JOIN inventory_warehouse warehouse ON warehouse.code = named.code
        JOIN inventory_stocklevel level ON level.product_id = named.product_id AND level.warehouse_id = warehouse.id
    )) ORDER BY id FOR NO KEY UPDATE
)
SELECT clock_timestamp()::text, {", ".join(f"locked.{name}" for name in _COLUMNS.split(", "))},
    {PRODUCT_MAY_BE_SOLD}, product.id, product.parent_id, warehouse.code
FROM locked JOIN inventory_warehouse warehouse ON warehouse.id = locked.warehouse_id
JOIN inventory_product product ON product.id = locked.product_id
LEFT JOIN inventory_product parent ON parent.id = product.parent_id
"""  # noqa: S608 - constants only


def _passing_over(lock: str) -> str:
    return lock.replace("FOR NO KEY UPDATE", "FOR NO KEY UPDATE SKIP LOCKED")


_LOCKS: Final = {
    # (with facts, wait)
    (False, True): _LOCK,
    (False, False): _passing_over(_LOCK),
    (True, True): _LOCK_WITH_FACTS,
    (True, False): _passing_over(_LOCK_WITH_FACTS),
}

_LOCK_FROM: Final = """
WITH locked AS MATERIALIZED (
    SELECT id FROM inventory_stocklevel WHERE id = ANY(ARRAY({ids})) ORDER BY id FOR NO KEY UPDATE{skip}
)
SELECT array_agg(id)::text, max(clock_timestamp()), count(*)::int FROM locked
"""


class LevelFacts(msgspec.Struct, frozen=True, gc=False):
    """Where a level is and who may sell from it, as of the start of the statement that locked it.

    ``stores`` are the codes of the stores of its warehouse, each behind a ``+`` if it may sell, else a ``-``. An array
    of texts is made and read faster than pairs.
    """

    may_be_sold: bool
    product_id: UUID
    parent_id: UUID | None
    warehouse: str
    stores: list[str]


class LevelChange(msgspec.Struct, gc=False):
    """What a transaction does to a level: units added to its counters, how often its version rises, whether
    anything moved, and the public ids of the events that caused it."""

    on_hand: int = 0
    reserved: int = 0
    bumps: int = 0
    moved: bool = False
    causes: list[str] = msgspec.field(default_factory=list)


class Counters(msgspec.Struct, gc=False):
    """The counters of one locked level, in units. Mutable: a batch decides one request after the other on them.

    The fields behind ``version`` are the settings that define when the level is low (``planning.Settings``), and the
    facts for the level's event; None if ``LEVEL_EVENTS`` is off. ``change`` is what the transaction's ``Ledger`` has
    done to the level so far; it is kept here so that no level is looked up twice.
    """

    on_hand: int
    reserved: int
    safety_stock: int
    version: int
    reorder_point: int | None = None
    reorder_quantity: int | None = None
    max_stock_level: int | None = None
    facts: LevelFacts | None = None
    change: LevelChange | None = None


class NamedLevel(NamedTuple):
    """A level that was locked by its product and its warehouse. ``is_open`` is whether the warehouse is active."""

    level_id: UUID
    parent_id: UUID | None
    warehouse_id: UUID
    is_open: bool


class _WarehouseFacts(NamedTuple):
    """What ``lock_named_levels`` reads of a warehouse. ``stores`` are those of ``LevelFacts``."""

    id: UUID
    is_open: bool
    may_sell: bool
    stores: list[str]


class _Sellable(Mapping[UUID, int]):
    """Sellable units by level, of counters as they are when a level is asked for."""

    __slots__ = ("_by_id",)

    def __init__(self, by_id: Mapping[UUID, Counters]) -> None:
        self._by_id = by_id

    def __getitem__(self, level_id: UUID) -> int:
        counters = self._by_id[level_id]
        return max(0, counters.on_hand - counters.reserved - counters.safety_stock)

    def __iter__(self) -> Iterator[UUID]:
        return iter(self._by_id)

    def __len__(self) -> int:
        return len(self._by_id)


class LockedLevels(msgspec.Struct, frozen=True, gc=False):
    """Locked levels by id, and the database's clock, read when the last lock was held."""

    now: datetime
    by_id: dict[UUID, Counters]

    @property
    def sellable_now(self) -> Mapping[UUID, int]:
        """Sellable units by level, always of the present counters, without a copy of them: a batch decides each of its
        requests on few of its levels."""
        return _Sellable(self.by_id)

    def sellable(
        self, given_back: Iterable[tuple[UUID, int]] = (), *, of: Iterable[UUID] | None = None
    ) -> dict[UUID, int]:
        """Sellable units by level, as if the units in ``given_back`` (level, units) were no longer reserved.

        ``of`` are the levels wanted, None for all; those that are not locked are left out.
        """
        freed: dict[UUID, int] = {}
        for level_id, quantity in given_back:
            freed[level_id] = freed.get(level_id, 0) + quantity
        counters = self.by_id if of is None else {id_: self.by_id[id_] for id_ in of if id_ in self.by_id}
        return {
            level_id: max(0, c.on_hand - c.reserved - c.safety_stock + freed.get(level_id, 0))
            for level_id, c in counters.items()
        }


@dataclass(frozen=True, slots=True)
class LockedIds:
    """Locked levels whose rows were not read: ``ids`` is a PostgreSQL array of their ``count`` UUIDs, as text.

    ``now`` is the database's clock, read when the last lock was held.
    """

    now: datetime
    ids: str
    count: int


def read_clock() -> datetime:
    """Read the database's clock, in a statement that starts when all locks taken before it are held.

    This is docs/explanation/rules.md, rule 4.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        now: datetime = cursor.fetchone()[0]
        return now


def lock_sellable_levels(level_ids: Collection[UUID]) -> LockedLevels | None:
    """Lock levels as ``lock_levels`` does. Returns None, with the levels locked, unless all exist and may be sold from.

    When a level may be sold from is docs/explanation/rules.md, rule 1. It is decided as of the statement's start: a
    product, warehouse or store that is closed during the wait for the locks is still sold this once.
    """
    with LOCK_WAIT.time(), connection.cursor() as cursor:
        cursor.execute(_LOCK_WITH_FACTS if settings.LEVEL_EVENTS else _LOCK_SELLABLE, [columns.uuids(level_ids)])
        rows = cursor.fetchall()
    if len(rows) < len(level_ids) or not all(row[9] for row in rows):
        return None
    return _locked(rows, with_facts=settings.LEVEL_EVENTS)


def lock_levels(level_ids: Collection[UUID], *, wait: bool = True) -> LockedLevels:
    """Lock stock levels FOR NO KEY UPDATE in order of their ids, and read them and the clock.

    ``clock_timestamp()`` is read for each row as its lock is acquired, outside the locking subquery: the last value
    was read when every lock was held. ``statement_timestamp()`` would be the time before any wait (rule 4). Unknown
    ids are left out; without ``wait``, levels locked by another transaction are left out as well. Requires an open
    transaction; nothing else may be locked after it.
    """
    with LOCK_WAIT.time(), connection.cursor() as cursor:
        cursor.execute(_LOCKS[settings.LEVEL_EVENTS, wait], [columns.uuids(level_ids)])
        rows = cursor.fetchall()
    return _locked(rows, with_facts=settings.LEVEL_EVENTS)


def lock_named_levels(
    names: Iterable[tuple[UUID, str]],
) -> tuple[dict[tuple[int, str], NamedLevel], LockedLevels]:
    """Lock the levels of these products in the warehouses with these codes, as ``lock_levels`` does.

    Returns those that exist, by the product's id as an integer and the warehouse's code: ``uuid.UUID`` computes
    its hash in Python.
    """
    product_ids, codes = zip(*names, strict=True)
    with LOCK_WAIT.time(), connection.cursor() as of_warehouses, connection.cursor() as of_levels:
        # What all levels of a warehouse have in common, in the same round trip. Read before the levels, which are
        # locked last.
        of_warehouses.execute(_WAREHOUSES[settings.LEVEL_EVENTS], [columns.texts(set(codes))])
        of_levels.execute(_LOCK_NAMED, [columns.uuids(product_ids), columns.texts(codes)])
        warehouses = {code: _WarehouseFacts(*row) for code, *row in of_warehouses.fetchall()}
        rows = [row for row in of_levels.fetchall() if row[12] in warehouses]  # One may have been made in between.
    levels = _locked(rows, with_facts=False)
    named = {}
    for row, (level_id, counters) in zip(rows, levels.by_id.items(), strict=True):
        may_be_sold, product_id, parent_id, code = row[9:]
        warehouse = warehouses[code]
        if settings.LEVEL_EVENTS:
            may_be_sold = may_be_sold and warehouse.may_sell
            counters.facts = LevelFacts(may_be_sold, product_id, parent_id, code, warehouse.stores)
        named[product_id.int, code] = NamedLevel(level_id, parent_id, warehouse.id, warehouse.is_open)
    return named, levels


def _locked(rows: Sequence[tuple[Any, ...]], *, with_facts: bool) -> LockedLevels:
    """The locked levels. The clock of the last row was read last, and only that one is parsed."""
    if not rows:
        return LockedLevels(now=read_clock(), by_id={})
    by_id = {row[1]: Counters(*row[2:9]) for row in rows}
    if with_facts:
        for counters, row in zip(by_id.values(), rows, strict=True):
            counters.facts = LevelFacts(*row[9:14])
    return LockedLevels(now=times.read_text(rows[-1][0]), by_id=by_id)


def lock_levels_from(ids: str, parameters: Sequence[Any], *, wait: bool = True) -> LockedIds:
    """Lock the stock levels whose ids a constant SELECT returns, as ``lock_levels`` does, without reading them.

    For batches of thousands: transferring the ids to Python and back would cost more than the locks. Requires an open
    transaction; nothing else may be locked after it.
    """
    with LOCK_WAIT.time(), connection.cursor() as cursor:
        cursor.execute(_LOCK_FROM.format(ids=ids, skip="" if wait else " SKIP LOCKED"), parameters)
        locked, now, count = cursor.fetchone()
    return LockedIds(now=now or read_clock(), ids=locked or "{}", count=count)
