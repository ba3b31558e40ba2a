"""Locks, reads and writes reservations and their items. Only ``due`` and ``rewriting`` write them besides.

All statements are set-based: their number doesn't depend on the number of reservations.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import msgspec
from django.db import connection
from msgspec import UNSET
from msgspec.structs import replace
from uuid_utils.compat import uuid7

from audit.actors import Actor
from audit.db import columns
from audit.db.statements import write
from audit.identifiers import RESERVATION, public_id
from audit.metrics.definitions import RESERVATION_EXTENDED
from reservations.events import ReservedItem
from reservations.models import Reservation
from reservations.services.holds.counting import PAYMENT_EXPIRED, count_ended, count_made

Status = Reservation.Status


class HeldItem(msgspec.Struct, frozen=True, gc=False):
    """Units of one level. ``product_id`` is the parent where ``variant_id`` is set; ``warehouse`` is a code."""

    level_id: UUID
    product_id: UUID
    variant_id: UUID | None
    warehouse_id: UUID
    warehouse: str
    quantity: int
    unit_price: Decimal | None
    pinned: bool

    @property
    def stock_id(self) -> UUID:
        """The id of the product whose stock is held: the variant, if there is one."""
        return self.variant_id or self.product_id

    def facts(self) -> ReservedItem:
        """The item as audit entries and events contain it."""
        return ReservedItem(
            product_id=self.product_id,
            variant_id=self.variant_id or UNSET,
            quantity=self.quantity,
            warehouse_id=self.warehouse,
        )


class Hold(msgspec.Struct, frozen=True, gc=False):
    """A reservation as it was read, under its lock if it is about to change. Immutable."""

    id: UUID
    store_id: UUID
    store: str
    status: str
    cart_id: str | None
    order_id: str | None
    customer_id: str | None
    created_at: datetime
    expires_at: datetime
    extended_at: datetime | None = None
    consumed_at: datetime | None = None
    released_at: datetime | None = None
    reason: str = ""
    client_id: UUID | None = None
    reacquired_from: UUID | None = None
    changed_at: datetime | None = None
    items: tuple[HeldItem, ...] = ()

    @property
    def public_id(self) -> str:
        """``res-<uuid>``."""
        return public_id(RESERVATION, self.id)

    def is_active(self, now: datetime) -> bool:
        """Whether the reservation holds stock; a due one doesn't (docs/explanation/rules.md, rule 3)."""
        return self.status == Status.ACTIVE and self.expires_at > now

    def is_due(self, now: datetime) -> bool:
        """Whether the reservation has passed its end and is not yet recorded EXPIRED."""
        return self.status == Status.ACTIVE and self.expires_at <= now

    def updated_at(self, now: datetime) -> datetime:
        """When the reservation last changed; a due one changed when it ended."""
        times = (self.created_at, self.extended_at, self.changed_at, self.consumed_at, self.released_at)
        return self.expires_at if self.is_due(now) else max(moment for moment in times if moment)

    def is_within_reach_of(self, actor: Actor) -> bool:
        """Whether its store and the warehouses of all its items are in the actor's reach."""
        return actor.sees_store(self.store) and actor.sees_warehouses(item.warehouse for item in self.items)

    @property
    def level_ids(self) -> list[UUID]:
        """The levels of its items."""
        return [item.level_id for item in self.items]

    def facts(self) -> dict[str, Any]:
        """The fields common to all events of the reservation."""
        return {
            "reservation_id": self.public_id,
            "store_id": self.store,
            "cart_id": self.cart_id,
            "order_id": self.order_id,
            "items": [item.facts() for item in self.items],
        }


def is_lapsed(hold: Hold) -> bool:
    """Whether the hold ended because nobody paid in time: a late payment may re-acquire it."""
    return hold.status == Status.EXPIRED or (hold.status == Status.RELEASED and hold.reason == PAYMENT_EXPIRED)


COLUMNS: Final = """r.id, r.store_id, s.code, r.status, r.cart_id, r.order_id, r.customer_id, r.created_at,
r.expires_at, r.extended_at, r.consumed_at, r.released_at, r.reason, r.client_id, r.reacquired_from_id, r.changed_at"""

LOCK: Final = f"""
SELECT {COLUMNS} FROM reservations_reservation r JOIN inventory_store s ON s.id = r.store_id
WHERE r.id = ANY(%s) ORDER BY r.id FOR NO KEY UPDATE OF r
"""  # noqa: S608 - constants only

_LOCK_FREE: Final = LOCK.strip() + " SKIP LOCKED"

_READ: Final = f"""
SELECT {COLUMNS} FROM reservations_reservation r JOIN inventory_store s ON s.id = r.store_id WHERE r.id = ANY(%s)
"""  # noqa: S608 - constants only

ITEMS: Final = """
SELECT item.reservation_id, item.level_id, product.id, product.parent_id, level.warehouse_id, warehouse.code,
    item.quantity, item.unit_price, item.pinned
FROM reservations_reservationitem item
JOIN inventory_stocklevel level ON level.id = item.level_id
JOIN inventory_product product ON product.id = level.product_id
JOIN inventory_warehouse warehouse ON warehouse.id = level.warehouse_id
WHERE item.reservation_id = ANY(%s) ORDER BY item.reservation_id, item.id
"""


def lock_holds(ids: Collection[UUID], *, wait: bool = True) -> dict[UUID, Hold]:
    """Lock reservations FOR NO KEY UPDATE in order of their ids and read them with their items. Two statements.

    Requires an open transaction that has locked no stock level yet (docs/explanation/rules.md, rule 8). With
    ``wait=False`` it may have locked levels: reservations that another transaction has locked are skipped. Unknown ids
    are skipped.
    """
    return _fetch(LOCK if wait else _LOCK_FREE, ids) if ids else {}


def read_holds(ids: Collection[UUID]) -> dict[UUID, Hold]:
    """Read reservations with their items, without locks. Two statements."""
    return _fetch(_READ, ids) if ids else {}


def _fetch(statement: str, ids: Collection[UUID]) -> dict[UUID, Hold]:
    return read_with_items(statement, ITEMS, [columns.uuids(ids)])


def item_of(row: Sequence[Any]) -> HeldItem:
    """An item from a row of ``ITEMS``, without the reservation's id in front."""
    level_id, stock_id, parent_id, *others = row
    return HeldItem(level_id, parent_id or stock_id, stock_id if parent_id else None, *others)


def read_with_items(of_holds_sql: str, of_items_sql: str, parameters: Sequence[Any]) -> dict[UUID, Hold]:
    """Read reservations, then their items, with two statements of the same parameters, which return ``COLUMNS`` and
    what ``ITEMS`` returns. In a pipelined transaction they take one round trip."""
    with connection.cursor() as of_holds, connection.cursor() as of_items:
        of_holds.execute(of_holds_sql, parameters)
        of_items.execute(of_items_sql, parameters)
        return with_items(of_holds.fetchall(), of_items.fetchall())


def with_items(rows: Sequence[Sequence[Any]], item_rows: Sequence[Sequence[Any]]) -> dict[UUID, Hold]:
    """Reservations from rows of ``COLUMNS``, with their items from rows of ``ITEMS``."""
    items: dict[UUID, list[HeldItem]] = {}
    for reservation_id, *item in item_rows:
        items.setdefault(reservation_id, []).append(item_of(item))
    return {row[0]: Hold(*(*row, tuple(items.get(row[0], ())))) for row in rows}


_INSERT_HOLDS: Final = """
INSERT INTO reservations_reservation (id, store_id, status, cart_id, order_id, customer_id, created_at, expires_at,
    consumed_at, reason, client_id, reacquired_from_id)
SELECT * FROM unnest(%s::uuid[], %s::uuid[], %s::text[], %s::text[], %s::text[], %s::text[], %s::timestamptz[],
    %s::timestamptz[], %s::timestamptz[], %s::text[], %s::uuid[], %s::uuid[])
"""

_INSERT_ITEMS: Final = """
INSERT INTO reservations_reservationitem (id, reservation_id, level_id, quantity, unit_price, pinned, held_until)
SELECT *
FROM unnest(%s::uuid[], %s::uuid[], %s::uuid[], %s::int[], %s::text[]::numeric[], %s::bool[], %s::timestamptz[])
"""


def insert(holds: Sequence[Hold]) -> None:
    """Write new reservations and their items: two statements. Requires the items' levels locked."""
    if not holds:
        return
    write(
        _INSERT_HOLDS,
        [
            columns.uuids(hold.id for hold in holds),
            columns.uuids(hold.store_id for hold in holds),
            columns.texts(hold.status for hold in holds),
            columns.texts(hold.cart_id for hold in holds),
            columns.texts(hold.order_id for hold in holds),
            columns.texts(hold.customer_id for hold in holds),
            columns.times(hold.created_at for hold in holds),
            columns.times(hold.expires_at for hold in holds),
            columns.times(hold.consumed_at for hold in holds),
            columns.texts(hold.reason for hold in holds),
            columns.uuids(hold.client_id for hold in holds),
            columns.uuids(hold.reacquired_from for hold in holds),
        ],
    )
    insert_items((hold, item) for hold in holds for item in hold.items)
    count_made(holds)


def insert_items(items: Iterable[tuple[Hold, HeldItem]]) -> None:
    """Write new items of reservations: one statement, none without items. Requires the items' levels locked."""
    rows = list(items)
    if not rows:
        return
    write(
        _INSERT_ITEMS,
        [
            columns.uuids(uuid7() for _ in rows),
            columns.uuids(hold.id for hold, _ in rows),
            columns.uuids(item.level_id for _, item in rows),
            columns.ints(item.quantity for _, item in rows),
            columns.decimals(item.unit_price for _, item in rows),
            columns.bools(item.pinned for _, item in rows),
            columns.times(hold.expires_at if hold.status == Status.ACTIVE else None for hold, _ in rows),
        ],
    )


_CLOSE: Final = """
UPDATE reservations_reservation AS r SET status = t.status, order_id = coalesce(t.order_id, r.order_id),
    reason = t.reason, consumed_at = CASE WHEN t.status = 'CONSUMED' THEN %s::timestamptz END,
    released_at = CASE WHEN t.status <> 'CONSUMED' THEN %s::timestamptz END
FROM unnest(%s::uuid[], %s::text[], %s::text[], %s::text[])
    AS t (id, status, order_id, reason)
WHERE r.id = t.id AND r.status = 'ACTIVE'
"""

_LET_GO: Final = """
UPDATE reservations_reservationitem SET held_until = NULL WHERE reservation_id = ANY(%s) AND held_until IS NOT NULL
"""


def close(holds: Sequence[Hold], *, now: datetime) -> None:
    """Write the end of active reservations, as ``ended`` returned them: two statements. Requires their locks."""
    if not holds:
        return
    ids = columns.uuids(hold.id for hold in holds)
    write(
        _CLOSE,
        [
            now,
            now,
            ids,
            columns.texts(hold.status for hold in holds),
            columns.texts(hold.order_id for hold in holds),
            columns.texts(hold.reason for hold in holds),
        ],
    )
    write(_LET_GO, [ids])
    count_ended(holds)


def ended(hold: Hold, status: str, *, now: datetime, reason: str = "", order_id: str | None = None) -> Hold:
    """A copy of the hold, ended with ``status``."""
    sold = status == Status.CONSUMED
    return replace(
        hold,
        status=str(status),
        reason=reason,
        order_id=order_id or hold.order_id,
        consumed_at=now if sold else None,
        released_at=None if sold else now,
    )


_EXTEND: Final = """
UPDATE reservations_reservation AS r SET expires_at = t.expires_at, extended_at = t.extended_at
FROM unnest(%s::uuid[], %s::timestamptz[], %s::timestamptz[]) AS t (id, expires_at, extended_at)
WHERE r.id = t.id
"""

_HOLD_LONGER: Final = """
UPDATE reservations_reservationitem AS item SET held_until = t.expires_at
FROM unnest(%s::uuid[], %s::timestamptz[]) AS t (id, expires_at)
WHERE item.reservation_id = t.id
"""


def extend(holds: Sequence[Hold]) -> None:
    """Write the new ``expires_at`` and ``extended_at`` of active reservations: two statements. Requires their locks."""
    ids = columns.uuids(hold.id for hold in holds)
    ends = columns.times(hold.expires_at for hold in holds)
    write(_EXTEND, [ids, ends, columns.times(hold.extended_at for hold in holds)])
    write(_HOLD_LONGER, [ids, ends])
    RESERVATION_EXTENDED.add_after_commit(len(holds))


_MEND_ITEMS: Final = """
UPDATE reservations_reservationitem AS item SET held_until = (
    SELECT r.expires_at FROM reservations_reservation r WHERE r.id = item.reservation_id AND r.status = 'ACTIVE')
WHERE item.id = ANY(%s)
"""


def mend_items(ids: Collection[UUID]) -> None:
    """Set the items' ``held_until`` from their reservations. Only for repairs. Requires the reservations' locks."""
    write(_MEND_ITEMS, [columns.uuids(ids)])
