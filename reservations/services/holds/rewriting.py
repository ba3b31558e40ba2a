"""Write reservations whose items were replaced: by a basket, or by an order that takes over a cart's holds.

Items that stay are updated; only the others are deleted and inserted. An update that changes the quantity alone needs
no new index entries, and an item that doesn't change isn't written at all.
"""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from django.db import connection

from audit.db import columns
from audit.db.statements import write
from reservations.services.holds import documents
from reservations.services.holds.documents import HeldItem, Hold

_REWRITE: Final = """
UPDATE reservations_reservation AS r
SET customer_id = t.customer_id, order_id = t.order_id, expires_at = t.expires_at, changed_at = clock_timestamp()
FROM unnest(%s::uuid[], %s::text[], %s::text[], %s::timestamptz[]) AS t (id, customer_id, order_id, expires_at)
WHERE r.id = t.id
"""

_CHANGE_ITEMS: Final = """
UPDATE reservations_reservationitem AS item
SET quantity = t.quantity, unit_price = t.unit_price, pinned = t.pinned, held_until = t.held_until
FROM unnest(%s::uuid[], %s::uuid[], %s::int[], %s::text[]::numeric[], %s::bool[], %s::timestamptz[])
    AS t (reservation_id, level_id, quantity, unit_price, pinned, held_until)
WHERE item.reservation_id = t.reservation_id AND item.level_id = t.level_id
"""

_DELETE_ITEMS: Final = """
DELETE FROM reservations_reservationitem AS item USING unnest(%s::uuid[], %s::uuid[]) AS t (reservation_id, level_id)
WHERE item.reservation_id = t.reservation_id AND item.level_id = t.level_id
"""

Change = tuple[Hold, Hold]
"""A reservation as it was locked, and as it is to be. Both have the same id."""
_Row = tuple[Hold, HeldItem]


def rewrite(changes: Sequence[Change]) -> None:
    """Replace the items of active reservations, and their customers, orders and ends: at most four statements. Requires
    the locks of the reservations and of all levels of old and new items."""
    if not changes:
        return
    gone: list[_Row] = []
    new: list[_Row] = []
    changed: list[_Row] = []
    for old, hold in changes:
        stays = _staying(old, hold)
        same = set(old.items) if old.expires_at == hold.expires_at else set()
        gone += [(old, item) for item in old.items if item.level_id not in stays]
        new += [(hold, item) for item in hold.items if item.level_id not in stays]
        changed += [(hold, item) for item in hold.items if item.level_id in stays and item not in same]
    _delete(gone, new)
    _write_holds([hold for _, hold in changes])
    _change_items(changed)
    documents.insert_items(new)


def _staying(old: Hold, hold: Hold) -> set[UUID]:
    """The levels whose items stay. Items are read in the order in which they were inserted, so all items after the
    first one that changes its place are inserted anew."""
    places = {item.level_id: place for place, item in enumerate(old.items)}
    stays: set[UUID] = set()
    last = -1
    for item in hold.items:
        place = places.get(item.level_id, -1)
        if place <= last:
            break
        stays.add(item.level_id)
        last = place
    return stays


def _delete(gone: Sequence[_Row], new: Sequence[_Row]) -> None:
    if not gone:
        return
    values = _keys(gone)
    if {_key(row) for row in gone}.isdisjoint(map(_key, new)):
        write(_DELETE_ITEMS, values)
        return
    with connection.cursor() as cursor:
        # Sent at once, also inside one_statement: an item that is inserted anew is on the same level.
        cursor.execute(_DELETE_ITEMS, values)


def _key(row: _Row) -> tuple[UUID, UUID]:
    return row[0].id, row[1].level_id


def _keys(rows: Sequence[_Row]) -> list[bytes]:
    return [columns.uuids(hold.id for hold, _ in rows), columns.uuids(item.level_id for _, item in rows)]


def _write_holds(holds: Sequence[Hold]) -> None:
    write(
        _REWRITE,
        [
            columns.uuids(hold.id for hold in holds),
            columns.texts(hold.customer_id for hold in holds),
            columns.texts(hold.order_id for hold in holds),
            columns.times(hold.expires_at for hold in holds),
        ],
    )


def _change_items(rows: Sequence[_Row]) -> None:
    if not rows:
        return
    write(
        _CHANGE_ITEMS,
        [
            *_keys(rows),
            columns.ints(item.quantity for _, item in rows),
            columns.decimals(item.unit_price for _, item in rows),
            columns.bools(item.pinned for _, item in rows),
            columns.times(hold.expires_at for hold, _ in rows),
        ],
    )
