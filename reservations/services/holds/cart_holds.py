"""What carts hold: their ACTIVE reservations, locked for a basket or read for an answer."""

from collections.abc import Collection
from datetime import datetime
from typing import Final
from uuid import UUID

from django.db import connection

from audit import hidden
from audit.db import columns
from reservations.services.holds import documents, snapshots
from reservations.services.holds.documents import Hold

_ACTIVE: Final = """
SELECT id FROM (SELECT * FROM reservations_reservation WHERE cart_id = ANY(%s::text[]) OFFSET 0) AS of_carts
WHERE status = 'ACTIVE' AND store_id {stores}
"""
"""``OFFSET 0`` makes the planner search by cart, as in ``orders_held``."""

_OF_STORES: Final = f"ANY(ARRAY({_ACTIVE.format(stores='= ANY(%s)')}))"
_LOCK: Final = documents.LOCK.replace("ANY(%s)", f"{_OF_STORES} AND r.status = 'ACTIVE'")
_ITEMS: Final = documents.ITEMS.replace("ANY(%s)", _OF_STORES)


def lock(cart_ids: Collection[str], store_ids: Collection[UUID]) -> dict[UUID, Hold]:
    """``documents.lock_holds`` for the ACTIVE reservations of carts in stores: due ones, too. Two statements.

    Requires the carts' advisory locks (``limits.lock_carts``): the reservations are looked up after them.
    """
    return documents.read_with_items(_LOCK, _ITEMS, [columns.texts(cart_ids), columns.uuids(store_ids)])


_OWNERS: Final = f"""
SELECT r.id, r.cart_id, r.store_id, r.customer_id, r.expires_at > statement_timestamp()
FROM reservations_reservation r WHERE r.id = {_OF_STORES} ORDER BY r.created_at, r.id
"""  # noqa: S608 - constants only
Owners = dict[tuple[str, UUID], str | None]
"""The customer of a cart in a store: that of its oldest reservation that isn't due."""


def read_owners(cart_ids: Collection[str], store_ids: Collection[UUID]) -> tuple[list[UUID], Owners]:
    """The ids of the ACTIVE reservations of carts in stores, and the carts' customers. No locks; one statement."""
    with connection.cursor() as cursor:
        cursor.execute(_OWNERS, [columns.texts(cart_ids), columns.uuids(store_ids)])
        rows = cursor.fetchall()
    owners: Owners = {}
    for _, cart_id, store_id, customer_id, is_live in rows:
        if is_live:
            owners.setdefault((cart_id, store_id), customer_id)
    return [row[0] for row in rows], owners


_READ: Final = snapshots.statement(_ACTIVE.format(stores=f"<> '{hidden.STORE_ID}'"))


def read(cart_ids: Collection[str]) -> tuple[list[Hold], datetime]:
    """The ACTIVE reservations of carts, due ones, too, the oldest first, and the database's time. One statement."""
    return snapshots.fetch(_READ, [columns.texts(cart_ids)])
