"""Returns are bounded by what was sold: of a product at most the units that its order was sold and that haven't come
back (docs/explanation/rules.md, rule 37).

An order is the reference of its shipments and returns, so that the bound is minus the sum of both. It is read under an
advisory lock, which every return of the order takes: two at the same time never return a unit twice.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from django.db import connection

from audit.actors import Actor
from audit.db import columns
from audit.errors import Fault
from audit.idempotency import advisory_lock
from inventory.errors import MoreThanSold
from inventory.services.stock.movements import SEEN

ORDER: Final = "order"
"""The reference type of movements whose reference is an order."""


@dataclass(frozen=True, slots=True)
class ReturnedUnits:
    """Units of one line that come back from an order. ``product_id`` is that of the level, ``pointer`` the line's."""

    order_id: str
    product_id: UUID
    quantity: int
    pointer: str


@dataclass(frozen=True, slots=True)
class Sold:
    """Units of a product that an order was sold, and units of them that came back."""

    sold: int = 0
    returned: int = 0

    @property
    def returnable(self) -> int:
        """The units that may still come back."""
        return max(0, self.sold - self.returned)


NOTHING_SOLD: Final = Sold()
_LOCKS: Final = 256
"""The number of locks that orders share: a file may have returns of more orders than PostgreSQL has room for locks."""

_LOCK: Final = "SELECT pg_advisory_xact_lock(k) FROM unnest(%s::bigint[]) WITH ORDINALITY AS t (k, n) ORDER BY n"
# Sales of stores out of reach don't count, as if their orders didn't exist; what came back counts wherever it did.
_SOLD: Final = f"""
SELECT m.reference, level.product_id,
    coalesce(-sum(m.quantity) FILTER (WHERE m.type = 'SHIPMENT' AND seen.is_whole), 0),
    coalesce(sum(m.quantity) FILTER (WHERE m.type = 'RETURN'), 0)
FROM (SELECT %s::text[] AS codes) asked
CROSS JOIN inventory_movement m JOIN inventory_stocklevel level ON level.id = m.level_id {SEEN}
WHERE m.reference = ANY(%s) AND m.reference <> '' AND m.type IN ('SHIPMENT', 'RETURN') AND level.product_id = ANY(%s)
GROUP BY m.reference, level.product_id
"""  # noqa: S608 - constants only
_ORDERS: Final = """
SELECT DISTINCT reference FROM inventory_movement
WHERE reference = ANY(%s) AND reference <> '' AND reference_type = %s
"""


def lock_returns(orders: Collection[str]) -> None:
    """Lock the returns of orders until the end of the transaction: after shoppers, before reservations and levels
    (docs/explanation/rules.md, rule 8)."""
    shared = {advisory_lock("returns", order) % _LOCKS for order in orders}
    with connection.cursor() as cursor:
        cursor.execute(_LOCK, [sorted(advisory_lock("returns", str(number)) for number in shared)])


def read_sold(actor: Actor, orders: Collection[str], products: Collection[UUID]) -> dict[tuple[str, UUID], Sold]:
    """What orders were sold of products, by (order, product); what they weren't sold is left out. One query.

    Exact for what comes back only with ``lock_returns``.
    """
    wanted = columns.texts(actor.store_codes), columns.texts(orders), columns.uuids(products)
    with connection.cursor() as cursor:
        cursor.execute(_SOLD, wanted)
        return {(order, product): Sold(sold, returned) for order, product, sold, returned in cursor.fetchall()}


def known_orders(references: Collection[str]) -> set[str]:
    """Those references that are orders: something was sold to them. One query."""
    with connection.cursor() as cursor:
        cursor.execute(_ORDERS, [columns.texts(references), ORDER])
        return {reference for (reference,) in cursor.fetchall()}


def require_returnable(actor: Actor, lines: Sequence[ReturnedUnits]) -> None:
    """Lock the orders of these lines, and check that no more comes back than was sold; lines of one product are summed.

    Raises MoreThanSold with each line of the products that are over their bounds. Two statements; none without lines.
    """
    if not lines:
        return
    orders = {line.order_id for line in lines}
    lock_returns(orders)
    sold = read_sold(actor, orders, {line.product_id for line in lines})
    units = _summed(lines)
    faults = [
        _fault(line, sold.get(key, NOTHING_SOLD))
        for line in lines
        if units[key := (line.order_id, line.product_id)] > sold.get(key, NOTHING_SOLD).returnable
    ]
    if faults:
        raise MoreThanSold("The return is more than the order was sold and has not returned.", faults)


class ReturnBounds:
    """What may come back of the orders among some references, used up line by line. Other references are the numbers of
    papers, and bound nothing."""

    def __init__(self, actor: Actor, wanted: Collection[tuple[str, UUID]], *, lock: bool) -> None:
        """``wanted`` are references with the products that come back. Two statements, three with ``lock``, which takes
        the locks of the orders; none if nothing comes back."""
        self._orders = known_orders({reference for reference, _ in wanted}) if wanted else set()
        self._taken: dict[tuple[str, UUID], int] = {}
        if lock and self._orders:
            lock_returns(self._orders)
        products = {product for _, product in wanted}
        self._sold = read_sold(actor, self._orders, products) if self._orders else {}

    def take(self, reference: str, product_id: UUID, quantity: int) -> Sold | None:
        """Let units come back. Returns None; what is known of the order if they are more than its bound, or than is
        left of it by earlier lines."""
        if reference not in self._orders:
            return None
        key = reference, product_id
        known, taken = self._sold.get(key, NOTHING_SOLD), self._taken.get(key, 0)
        if taken + quantity > known.returnable:
            return Sold(known.sold, known.returned + taken)
        self._taken[key] = taken + quantity
        return None


def _summed(lines: Iterable[ReturnedUnits]) -> dict[tuple[str, UUID], int]:
    units: dict[tuple[str, UUID], int] = {}
    for line in lines:
        key = line.order_id, line.product_id
        units[key] = units.get(key, 0) + line.quantity
    return units


def _fault(line: ReturnedUnits, known: Sold) -> Fault:
    detail = (
        f"This order bought {known.sold} and has returned {known.returned}: at most {known.returnable} can be returned."
    )
    facts = {
        "orderId": line.order_id,
        "requested": line.quantity,
        "sold": known.sold,
        "returned": known.returned,
        "returnable": known.returnable,
    }
    return Fault(f"{line.pointer}/quantity", MoreThanSold.code, detail, facts)
