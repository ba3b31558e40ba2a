"""Plan the hold of a created order, from its own lines and the cart's holds that it adopts.

The plan is made before anything is locked, the hold under the locks (docs/explanation/rules.md, rule 41).
"""

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Final
from uuid import UUID

import msgspec
from django.db import connection
from uuid_utils.compat import uuid7

from audit.actors import Actor
from audit.db import columns
from audit.errors import DomainError
from audit.idempotency import WAIT_FOR_LOCKS
from inventory.errors import UnknownStore
from inventory.services.catalogue.lookup import Catalogue, StoreFacts, read_catalogue
from reservations.services.holds import limits, sourcing
from reservations.services.holds.placing import hold_lifetime
from reservations.services.holds.sourcing import RequestLine, SummedLine
from reservations.services.orders.incoming import OrderCreatedEvent, OrderEvent
from reservations.services.orders.messages import Received


class Plan(msgspec.Struct, frozen=True, gc=False):
    """The request of a created order, with its names resolved. ``id`` is that of the reservation, if one is made."""

    event: OrderCreatedEvent
    actor: Actor
    store: StoreFacts
    lifetime: timedelta
    wanted: list[SummedLine]
    asked: limits.Asked | None
    id: UUID

    def may_adopt(self, *, store_id: UUID, cart_id: str | None, order_id: str | None) -> bool:
        """Whether an active hold becomes the order's: its own, or its cart's unless that is for another order."""
        if store_id != self.store.id or order_id not in (None, self.event.order_id):
            return False
        return order_id is not None or (cart_id is not None and cart_id == self.event.cart_id)


_ACTIVE: Final = """
SELECT id, store_id, cart_id, order_id, customer_id FROM (
    SELECT * FROM reservations_reservation WHERE cart_id = ANY(%s::text[]) OR order_id = ANY(%s::text[]) OFFSET 0
) AS of_names
WHERE status = 'ACTIVE' ORDER BY created_at, id
"""
"""``OFFSET 0``: as in ``orders_held``."""


class _Active(msgspec.Struct, frozen=True, gc=False):
    id: UUID
    store_id: UUID
    cart_id: str | None
    order_id: str | None
    customer_id: str | None


def read_names(events: Sequence[Received]) -> Catalogue:
    """Read the stores and products that events of orders name. Two queries."""
    orders = [(each.actor, each.event.store_id) for each in events if isinstance(each.event, OrderEvent)]
    lines = [line for each in events if isinstance(each.event, OrderCreatedEvent) for line in each.event.items]
    return read_catalogue(orders, {line.variant_id or line.product_id for line in lines})


def lock_carts_and_orders(events: Sequence[Received], catalogue: Catalogue) -> list[_Active]:
    """Lock the carts of created orders, so that no basket is changed meanwhile, and the orders, so that nothing is
    reserved for them meanwhile; and find the active holds of both. Two statements, none without created orders. Nothing
    except the events may be locked yet."""
    created = [each.event for each in events if isinstance(each.event, OrderCreatedEvent)]
    if not created:
        return []
    carts = {event.cart_id for event in created if event.cart_id is not None}
    locks = [*sorted(map(limits.cart_lock, carts)), *sorted(_order_locks(events, catalogue))]
    with connection.cursor() as cursor:
        if locks:
            cursor.execute(WAIT_FOR_LOCKS, [locks])
        cursor.execute(_ACTIVE, [columns.texts(carts), columns.texts(event.order_id for event in created)])
        return [_Active(*row) for row in cursor.fetchall()]


def _order_locks(events: Sequence[Received], catalogue: Catalogue) -> set[int]:
    """The locks of the created orders in their stores; none of an order whose store is unknown."""
    locks: set[int] = set()
    for each in events:
        if isinstance(each.event, OrderCreatedEvent):
            with suppress(UnknownStore):
                store = catalogue.store_for(each.actor, each.event.store_id)
                locks.add(limits.order_lock(store.id, each.event.order_id))
    return locks


def plan_all(
    events: Sequence[Received], catalogue: Catalogue, active: Sequence[_Active]
) -> dict[tuple[UUID, str, str], Plan | DomainError]:
    """Plan each created order, or refuse it for reasons other than stock, by the key of its event."""
    plans: dict[tuple[UUID, str, str], Plan | DomainError] = {}
    for each in events:
        if isinstance(each.event, OrderCreatedEvent):
            try:
                plans[each.key] = _plan(each.event, each.actor, catalogue, active)
            except DomainError as error:
                plans[each.key] = error
    return plans


def _plan(event: OrderCreatedEvent, actor: Actor, catalogue: Catalogue, active: Sequence[_Active]) -> Plan:
    actor.require_all_warehouses()  # Units may come from any of the store's warehouses.
    store = catalogue.store_for(actor, event.store_id)
    lifetime = hold_lifetime(event.timeout_minutes, store)
    lines = tuple(
        RequestLine(line.product_id, line.variant_id, line.quantity, line.warehouse_id, line.unit_price)
        for line in event.items
    )
    wanted = sourcing.resolve_lines(lines, store, catalogue)
    plan = Plan(event, actor, store, lifetime, wanted, None, uuid7())
    customer_id = event.customer_id or next(
        (each.customer_id for each in _adopted_by(plan, active) if each.customer_id), None
    )
    shopper = limits.Shopper(store.id, customer_id, event.cart_id, event.order_id)
    return msgspec.structs.replace(plan, asked=limits.asked(shopper, store, wanted))


def _adopted_by(plan: Plan, active: Sequence[_Active]) -> list[_Active]:
    return [
        each for each in active if plan.may_adopt(store_id=each.store_id, cart_id=each.cart_id, order_id=each.order_id)
    ]


def adopted_ids(plans: Collection[Plan], active: Sequence[_Active]) -> set[UUID]:
    """The ids of the active holds that may become the orders'."""
    return {each.id for plan in plans for each in _adopted_by(plan, active)}


def lock_allowances(plans: Collection[Plan], without: Collection[UUID]) -> limits.Allowances:
    """Lock and read the shoppers of orders for which a limit is set."""
    return limits.lock_allowances([plan.asked for plan in plans if plan.asked], without=without)


def candidate_levels(plans: Collection[Plan], catalogue: Catalogue) -> set[UUID]:
    """The levels that may serve the orders."""
    return {id_ for plan in plans for id_ in sourcing.candidate_levels(plan.wanted, plan.store, catalogue).values()}


def planned(plans: Mapping[tuple[UUID, str, str], Plan | DomainError]) -> list[Plan]:
    """The plans, without the refusals."""
    return [plan for plan in plans.values() if isinstance(plan, Plan)]
