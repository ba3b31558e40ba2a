"""List the reservations of carts and orders, for many requests in one statement. Takes no locks."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec
from django.db import connection

from audit import hidden
from audit.actors import Actor
from audit.db import columns
from reservations.services.holds import snapshots
from reservations.services.holds.documents import Hold


class ListRequest(msgspec.Struct, frozen=True, gc=False):
    """A request for the newest reservations of a cart or an order, or of an order in a cart: at most ``most``."""

    actor: Actor
    most: int
    cart_id: str | None = None
    order_id: str | None = None


_LIST: Final = """
SELECT asked.n::int - 1, found.id
FROM unnest(%s::text[], %s::text[], %s::text[], %s::int[]) WITH ORDINALITY AS asked (cart_id, order_id, stores, most, n)
CROSS JOIN LATERAL (
    SELECT r.id FROM (
        SELECT id, store_id FROM reservations_reservation
            WHERE cart_id = asked.cart_id AND (asked.order_id IS NULL OR order_id = asked.order_id)
        UNION ALL SELECT id, store_id FROM reservations_reservation
            WHERE order_id = asked.order_id AND asked.cart_id IS NULL
    ) r
    WHERE r.store_id <> %s AND (asked.stores IS NULL OR r.store_id IN (
        SELECT store.id FROM inventory_store store WHERE store.code = ANY(string_to_array(asked.stores, E'\\n'))))
    ORDER BY r.id DESC LIMIT asked.most
) found
ORDER BY asked.n, found.id DESC
"""


def list_holds(requests: Sequence[ListRequest]) -> list[tuple[list[Hold], datetime]]:
    """The reservations of each request, the newest first, and the database's time. Two statements for all.

    Raises PermissionDenied for an actor limited to some warehouses.
    """
    for request in requests:
        request.actor.require_all_warehouses()
    with connection.cursor() as cursor:
        cursor.execute(
            _LIST,
            [
                columns.texts(request.cart_id for request in requests),
                columns.texts(request.order_id for request in requests),
                columns.texts(columns.joined(request.actor.store_codes) or None for request in requests),
                columns.ints(request.most for request in requests),
                hidden.STORE_ID,
            ],
        )
        found: list[tuple[int, UUID]] = cursor.fetchall()
    read, now = snapshots.read({id_ for _, id_ in found})
    lists: list[list[Hold]] = [[] for _ in requests]
    for number, id_ in found:
        if id_ in read:  # Otherwise it was archived in between.
            lists[number].append(read[id_])
    return [(holds, now) for holds in lists]
