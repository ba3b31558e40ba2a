"""Locks, finds and expires due reservations in bulk, by statements that leave the rows in the database."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.db import connection

from audit.db import columns
from audit.db.statements import Relation, write
from audit.hidden import STORE_ID
from audit.metrics.definitions import EXPIRY_DELAY
from inventory.locking import LockedIds

DuePosition = tuple[datetime, UUID]
"""A position in the sweeper's order: (expires_at, id)."""


@dataclass(frozen=True, slots=True)
class LockedHolds:
    """Locked reservations whose rows stay in the database. ``ids`` is the text of a PostgreSQL array of UUIDs.

    ``last`` is the position of the last one, in the order in which they were locked.
    """

    count: int
    ids: str
    last: DuePosition


_LOCKED: Final = """
WITH locked AS MATERIALIZED ({select})
SELECT count(*)::int, array_agg(id)::text, (array_agg(expires_at))[count(*)::int], (array_agg(id))[count(*)::int]
FROM locked
"""

_LOCK_THESE: Final = _LOCKED.format(
    select="SELECT id, expires_at FROM reservations_reservation WHERE id = ANY(%s) ORDER BY id FOR NO KEY UPDATE"
)

_LOCK_DUE: Final = _LOCKED.format(
    # The canary ends its own hold, so that no event is written about it.
    select=f"""
    SELECT id, expires_at FROM reservations_reservation
    WHERE status = 'ACTIVE' AND expires_at <= statement_timestamp() AND (expires_at, id) > (%s, %s)
        AND store_id <> '{STORE_ID}'
    ORDER BY expires_at, id LIMIT %s FOR NO KEY UPDATE SKIP LOCKED
"""  # noqa: S608 - constants only
)

# In both statements the subquery hides the number of ids from the planner, and CASE hides how many holds may be due.
# The planner then expects few rows and uses index look-ups, whose cost per hold depends neither on the number of holds
# nor on the length of the history or the age of the statistics. When it knew the number, it once compared each item
# with each id.
LEVELS_OF: Final = """
SELECT DISTINCT item.level_id FROM unnest((SELECT %s::text::uuid[])) AS locked (id)
JOIN reservations_reservationitem item ON item.reservation_id = locked.id
"""
"""Selects the levels of locked holds; its parameter is ``LockedHolds.ids``. Until they are locked their items may
change, so run it afterwards.
"""

_DUE: Final = """
SELECT row_number() OVER ()::int AS n, hold.id, store.code AS store, hold.cart_id, hold.order_id, hold.expires_at,
    held.items
FROM unnest((SELECT %s::text::uuid[])) AS locked (id)
JOIN reservations_reservation hold ON hold.id = locked.id
JOIN inventory_store store ON store.id = hold.store_id
CROSS JOIN LATERAL (
    SELECT bool_and(item.level_id IN (SELECT unnest(%s::text::uuid[]))) AS is_locked,
        jsonb_agg(CASE WHEN product.parent_id IS NULL
            THEN jsonb_build_object('productId', product.id, 'quantity', item.quantity, 'warehouseId', warehouse.code)
            ELSE jsonb_build_object('productId', product.parent_id, 'variantId', product.id,
                'quantity', item.quantity, 'warehouseId', warehouse.code)
            END ORDER BY item.id) AS items
    FROM reservations_reservationitem item
    JOIN inventory_stocklevel level ON level.id = item.level_id
    JOIN inventory_product product ON product.id = level.product_id
    JOIN inventory_warehouse warehouse ON warehouse.id = level.warehouse_id
    WHERE item.reservation_id = hold.id
) held
WHERE CASE WHEN hold.status = 'ACTIVE' THEN hold.expires_at <= %s AND held.is_locked ELSE false END
"""
"""``items`` are the items as JSON, as ``HeldItem.facts`` returns them."""

HELD_BY_DUE: Final = """
SELECT item.level_id, item.quantity, due.n
FROM due JOIN reservations_reservationitem item ON item.reservation_id = due.id
"""
"""Selects (level_id, quantity, n) of all items of the relation ``due``."""

_EXPIRE: Final = """
UPDATE reservations_reservation AS r SET status = 'EXPIRED', reason = %s::text, released_at = %s
FROM due WHERE r.id = due.id
"""

_LET_GO_OF_DUE: Final = """
UPDATE reservations_reservationitem AS item SET held_until = NULL
FROM due WHERE item.reservation_id = due.id
"""


def lock_for_expiry(ids: Collection[UUID]) -> LockedHolds | None:
    """Lock reservations FOR NO KEY UPDATE in order of their ids, skipping unknown ids. None if there are none.

    Requires an open transaction that has locked no stock level yet.
    """
    return _locked(_LOCK_THESE, [columns.uuids(ids)])


def lock_due_holds(after: DuePosition, limit: int) -> LockedHolds | None:
    """Lock at most ``limit`` due reservations, the longest due first, skipping those that another transaction locked.

    Starts behind the position ``after``. Returns None if there are no more. Requires an open transaction; never waits.
    """
    return _locked(_LOCK_DUE, [*after, limit])


def _locked(statement: str, parameters: list[Any]) -> LockedHolds | None:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        count, ids, expires_at, id_ = cursor.fetchone()
    return LockedHolds(count, ids, (expires_at, id_)) if count else None


_FIRST_ENDS: Final = """
SELECT level.id, extract(epoch FROM first.held_until - statement_timestamp())::float8
FROM unnest(%s::uuid[]) AS level (id) CROSS JOIN LATERAL (
    SELECT held_until FROM reservations_reservationitem item
    WHERE item.level_id = level.id AND held_until <= statement_timestamp() + make_interval(secs => %s)
    ORDER BY held_until LIMIT 1
) AS first
"""


def first_ends(level_ids: Collection[UUID], *, within_seconds: float) -> dict[UUID, float]:
    """In how many seconds the first hold on each of these levels ends, by the database's clock: 0 or less if it is due.

    Levels on which no hold ends in that time are left out. Reliable only while the levels are locked.
    """
    with connection.cursor() as cursor:
        cursor.execute(_FIRST_ENDS, [columns.uuids(level_ids), within_seconds])
        return dict(cursor.fetchall())


_DELAYS: Final = "count(*)::int, coalesce(array_agg(extract(epoch FROM clock_timestamp() - expires_at)::float8), '{}')"


def due_among(holds: LockedHolds, levels: LockedIds) -> Relation:
    """The relation ``due``: the locked holds that are still due and whose levels are all locked. Its columns are n
    (counting from 1), id, store, cart_id, order_id, expires_at, and items as jsonb.

    Its figures are the number of holds, and for each the time since its end, in seconds, unless metrics are off.
    """
    figures = _DELAYS if EXPIRY_DELAY.is_on else "count(*)::int, '{}'::float8[]"
    return Relation("due", _DUE, [holds.ids, levels.ids, levels.now], figures)


def expire_due(*, reason: str, now: datetime) -> None:
    """Record the holds of ``due_among`` as EXPIRED: two statements, parts of ``audit.db.statements.write_about``."""
    write(_EXPIRE, [reason, now])
    write(_LET_GO_OF_DUE, [])
