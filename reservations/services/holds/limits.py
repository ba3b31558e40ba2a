"""Limits against hoarding: the most units that a shopper may hold, and the most holds that one may open in a while.

A shopper is the customer in a store; without a customer the cart, and without a cart the order. Units that a cart held
before its request named a customer count for that customer, too. Units count while their hold is active.

There is no limit unless a store or product sets one; then nothing is locked or read. If one is set, the carts,
customers and orders of a batch are locked, so that two requests of one shopper are decided one after the other.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack
from typing import Any, Final, NamedTuple
from uuid import UUID

import msgspec
from django.db import connection
from django.db.backends.utils import CursorWrapper

from audit.db import columns
from audit.errors import Fault
from audit.idempotency import WAIT_FOR_LOCKS, advisory_lock
from inventory.services.catalogue.lookup import ProductFacts, StoreFacts
from reservations.errors import HoldLimitExceeded
from reservations.services.holds.sourcing import SummedLine


class Shopper(NamedTuple):
    """The shopper of a hold."""

    store_id: UUID
    customer_id: str | None
    cart_id: str | None
    order_id: str | None

    def owns(self, other: "Shopper") -> bool:
        """Whether holds for ``other`` count for this shopper. The same rule as in the SQL of ``_RESERVATIONS``."""
        if self.store_id != other.store_id:
            return False
        if self.customer_id is not None and other.customer_id is not None:
            return self.customer_id == other.customer_id
        if self.cart_id is not None:
            return self.cart_id == other.cart_id
        return self.customer_id is None and self.order_id == other.order_id


class _Counted(NamedTuple):
    """What a limit counts the units of: one product or variant, or (``is_family``) a product with all its variants."""

    product_id: UUID
    is_family: bool


def _counted(product: ProductFacts) -> tuple[_Counted, _Counted]:
    return _Counted(product.id, is_family=False), _Counted(product.parent_id or product.id, is_family=True)


class Asked(msgspec.Struct, frozen=True, gc=False):
    """A shopper's request to hold lines for which a limit is set."""

    shopper: Shopper
    store: StoreFacts
    wanted: Sequence[SummedLine]

    def units(self) -> Counter[_Counted]:
        """The requested units by product and by family."""
        units: Counter[_Counted] = Counter()
        for want in self.wanted:
            for counted in _counted(want.product):
                units[counted] += want.quantity
        return units

    def unit_limits(self) -> Iterator[tuple[SummedLine, _Counted, int]]:
        """The unit limits that are set, each with the first line it applies to."""
        seen: set[_Counted] = set()
        for want in self.wanted:
            for counted in _counted(want.product):
                limit = _limit(counted, want.product, self.store)
                if limit is not None and counted not in seen:
                    seen.add(counted)
                    yield want, counted, limit


def _limit(counted: _Counted, product: ProductFacts, store: StoreFacts) -> int | None:
    """The unit limit, if any. A store's is per product or variant, a product's is for all its variants together."""
    if counted.is_family:
        return product.parent_max_units if product.parent_id else product.max_units
    both = [store.max_units, product.max_units if product.parent_id else None]
    return min((limit for limit in both if limit is not None), default=None)


def asked(shopper: Shopper, store: StoreFacts, wanted: Sequence[SummedLine]) -> Asked | None:
    """The request to check against limits; None if no limit is set."""
    if store.max_units is None and store.max_holds is None:
        products = (want.product for want in wanted)
        if all(product.max_units is None and product.parent_max_units is None for product in products):
            return None
    return Asked(shopper, store, wanted)


class Allowances:
    """The units that the shoppers of a batch hold and the holds they opened, updated as the batch is decided."""

    def __init__(self, units: dict[Shopper, "_Units"], opened: dict[Shopper, dict[UUID | None, int]]) -> None:
        self._units = units
        self._opened = opened
        self._replaced: set[UUID | None] = set()
        self._moved: set[UUID | None] = set()
        self._taken: list[tuple[Shopper, Counter[_Counted], bool]] = []

    def require(
        self,
        asked: Asked,
        *,
        growing: Collection[UUID] | None = None,
        opens: bool = True,
        replaces: Collection[UUID] = (),
    ) -> None:
        """Check a request against its limits. Raises HoldLimitExceeded with a fault for every limit that it exceeds.

        Unit limits are checked only for the ``growing`` products (None for all), the limit of holds only if the request
        opens one. The reservations that it ``replaces`` are not counted.
        """
        requested = asked.units()
        taken = [(units, opened) for shopper, units, opened in self._taken if asked.shopper.owns(shopper)]
        ended = self._replaced.union(replaces)
        before = [units for id_, units in self._units.get(asked.shopper, {}).items() if id_ not in ended]
        faults: list[Fault] = []
        for want, counted, limit in asked.unit_limits():
            held = sum(units[counted] for units in before) + sum(units[counted] for units, _ in taken)
            if held + requested[counted] > limit and (growing is None or _concerns(counted, asked.wanted, growing)):
                faults.append(_unit_fault(want, counted, limit=limit, held=held, requested=requested[counted]))
        most = asked.store.max_holds
        before_opened = self._opened.get(asked.shopper, {})
        opened = sum(count for id_, count in before_opened.items() if id_ not in self._moved)
        opened += sum(opened for _, opened in taken)
        if opens and most is not None and opened >= most:
            faults.append(_hold_fault(asked, limit=most, opened=opened))
        if faults:
            raise HoldLimitExceeded(f"Over a limit: {faults[0].detail}.", faults)

    def take(self, asked: Asked, *, opens: bool = True) -> None:
        """Count what a request holds, for the later requests of the batch. ``opens`` says whether it opened a hold."""
        self._taken.append((asked.shopper, asked.units(), opens))

    def replace(self, ids: Collection[UUID], *, moved: UUID | None = None) -> None:
        """Stop counting the units of these ``replaceable`` reservations: a request of the batch has replaced or ended
        them. One that was ``moved`` may have another shopper now, who then counts as the one that opened it."""
        self._replaced.update(ids)
        if moved is not None:
            self._moved.add(moved)


def _concerns(counted: _Counted, wanted: Iterable[SummedLine], growing: Collection[UUID]) -> bool:
    return any(want.product.id in growing and counted in _counted(want.product) for want in wanted)


def _unit_fault(want: SummedLine, counted: _Counted, *, limit: int, held: int, requested: int) -> Fault:
    product = want.product
    facts: dict[str, Any] = {"productId": str(product.parent_id or product.id)}
    if product.parent_id and not counted.is_family:
        facts["variantId"] = str(product.id)
    facts |= {"limit": limit, "held": held, "requested": requested}
    detail = f"At most {limit} units of a product may be held at a time: {held} are held, {requested} requested."
    return Fault(want.pointer, HoldLimitExceeded.code, detail, facts)


def _hold_fault(asked: Asked, *, limit: int, opened: int) -> Fault:
    minutes = asked.store.hold_window_minutes
    shopper = asked.shopper
    pointer = "/customerId" if shopper.customer_id else "/cartId" if shopper.cart_id else "/orderId"
    detail = f"At most {limit} reservations may be made in {minutes} minutes: {opened} were made."
    facts = {"limit": limit, "held": opened, "requested": 1, "windowMinutes": minutes}
    return Fault(pointer, HoldLimitExceeded.code, detail, facts)


# --- what shoppers hold ----------------------------------------------------------------------------------------------

_Units = dict[UUID | None, Counter[_Counted]]
"""The units that a shopper holds: those of each ``replaceable`` reservation, and under None those of all others."""
_REPLACEABLE: Final = "LEFT JOIN unnest(%s::uuid[]) AS replaceable (id) ON replaceable.id = r.id"

_RESERVATIONS: Final = """
FROM unnest(%s::uuid[], %s::text[], %s::text[], %s::text[], %s::int[]) WITH ORDINALITY
    AS shopper (store_id, customer_id, cart_id, order_id, minutes, n)
CROSS JOIN LATERAL (
    SELECT * FROM reservations_reservation r WHERE r.customer_id = shopper.customer_id
    UNION ALL SELECT * FROM reservations_reservation r WHERE r.cart_id = shopper.cart_id
        AND (shopper.customer_id IS NULL OR r.customer_id IS NULL)
    UNION ALL SELECT * FROM reservations_reservation r WHERE r.order_id = shopper.order_id
        AND shopper.customer_id IS NULL AND shopper.cart_id IS NULL
) r
"""
_HELD: Final = f"""
SELECT shopper.n, product.id, product.parent_id, replaceable.id, sum(item.quantity)::int
{_RESERVATIONS}
JOIN reservations_reservationitem item ON item.reservation_id = r.id AND item.held_until > statement_timestamp()
JOIN inventory_stocklevel level ON level.id = item.level_id
JOIN inventory_product product ON product.id = level.product_id
{_REPLACEABLE}
WHERE r.store_id = shopper.store_id AND r.status = 'ACTIVE' AND r.id <> ALL(%s)
GROUP BY shopper.n, product.id, product.parent_id, replaceable.id
"""
_OPENED: Final = f"""
SELECT shopper.n, replaceable.id, count(*)::int
{_RESERVATIONS}
{_REPLACEABLE}
WHERE r.store_id = shopper.store_id AND r.reacquired_from_id IS NULL
    AND r.created_at > statement_timestamp() - make_interval(mins => shopper.minutes)
GROUP BY shopper.n, replaceable.id
"""


def lock_allowances(
    asked: Sequence[Asked],
    *,
    orders: Collection[tuple[UUID, str]] = (),
    without: Collection[UUID] = (),
    replaceable: Collection[UUID] = (),
) -> Allowances:
    """Lock the carts, orders and customers of a batch, in this order and each sorted, and read what they hold.

    Further ``orders``, each with its store, are locked with them. Without ``asked`` this costs no round trip of its own
    in a pipelined transaction.

    The reservations in ``without`` are not counted: they are about to be replaced. Those that are ``replaceable`` are
    counted by themselves, until a request of the batch replaces them. At most three statements in one
    round trip, none for an empty batch. Requires an open transaction that has locked no reservation and no stock level
    yet (docs/explanation/rules.md, rule 8).
    """
    if not asked and not orders:
        return Allowances({}, {})
    return _read(asked, _locks({each.shopper for each in asked}, orders), without, replaceable)


def read_allowances(asked: Sequence[Asked]) -> Allowances:
    """``lock_allowances`` without locks, for a dry run."""
    return _read(asked, [])


def lock_carts(cart_ids: Iterable[str]) -> None:
    """Take carts' advisory locks, sorted, so that concurrent requests for one cart are decided one after the other.

    Costs no round trip of its own in a pipelined transaction. Requires an open transaction that has locked no order, no
    customer, no reservation and no stock level yet (docs/explanation/rules.md, rule 8).
    """
    with connection.cursor() as cursor:
        cursor.execute(WAIT_FOR_LOCKS, [sorted(map(cart_lock, set(cart_ids)))])


def cart_lock(cart_id: str) -> int:
    """The key of a cart's advisory lock."""
    return advisory_lock("cart", cart_id)


def order_lock(store_id: UUID, order_id: str) -> int:
    """The key of the advisory lock of an order in a store."""
    return advisory_lock("order", str(store_id), order_id)


def _locks(shoppers: Collection[Shopper], orders: Collection[tuple[UUID, str]]) -> list[int]:
    carts = {cart_lock(each.cart_id) for each in shoppers if each.cart_id is not None}
    of_orders = {order_lock(*order) for order in orders}
    of_orders |= {order_lock(each.store_id, each.order_id) for each in shoppers if each.order_id is not None}
    customers = {
        advisory_lock("customer", str(each.store_id), each.customer_id)
        for each in shoppers
        if each.customer_id is not None
    }
    return [*sorted(carts), *sorted(of_orders), *sorted(customers)]


def _read(
    asked: Sequence[Asked],
    locks: Sequence[int],
    without: Collection[UUID] = (),
    replaceable: Collection[UUID] = (),
) -> Allowances:
    stores = {each.shopper: each.store for each in asked}
    counting = dict.fromkeys(each.shopper for each in asked if any(each.unit_limits()))
    opening = [shopper for shopper, store in stores.items() if store.max_holds is not None]
    if locks:
        with connection.cursor() as cursor:
            cursor.execute(WAIT_FOR_LOCKS, [list(locks)])
    with ExitStack() as cursors:  # Both are sent before one is read, and none is opened for what isn't asked.
        ended, known = columns.uuids(without), columns.uuids(replaceable)
        of_units = _sent(cursors, _HELD, [*_columns(counting, stores), known, ended]) if counting else None
        of_opened = _sent(cursors, _OPENED, [*_columns(opening, stores), known]) if opening else None
        held = of_units.fetchall() if of_units else []
        opened = of_opened.fetchall() if of_opened else []
    units: dict[Shopper, _Units] = {shopper: {} for shopper in counting}
    by_number = list(counting)
    for n, product_id, parent_id, reservation_id, quantity in held:
        counter = units[by_number[n - 1]].setdefault(reservation_id, Counter())
        counter[_Counted(product_id, is_family=False)] += quantity
        counter[_Counted(parent_id or product_id, is_family=True)] += quantity
    counts: dict[Shopper, dict[UUID | None, int]] = {}
    for n, reservation_id, count in opened:
        counts.setdefault(opening[n - 1], {})[reservation_id] = count
    return Allowances(units, counts)


def _sent(cursors: ExitStack, sql: str, parameters: Sequence[Any]) -> CursorWrapper:
    cursor: CursorWrapper = cursors.enter_context(connection.cursor())
    cursor.execute(sql, parameters)
    return cursor


def _columns(shoppers: Collection[Shopper], stores: dict[Shopper, StoreFacts]) -> list[Any]:
    return [
        columns.uuids(shopper.store_id for shopper in shoppers),
        columns.texts(shopper.customer_id for shopper in shoppers),
        columns.texts(shopper.cart_id for shopper in shoppers),
        columns.texts(shopper.order_id for shopper in shoppers),
        columns.optional_ints(stores[shopper].hold_window_minutes for shopper in shoppers),
    ]
