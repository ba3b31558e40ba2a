"""Apply a batch of events of orders in one transaction, in sequence (docs/explanation/rules.md, rule 41)."""

from collections.abc import Sequence
from functools import partial

from inventory import transactions
from inventory.transactions import PATIENT, Patience
from reservations.services.holds import expiry, resolution, selecting
from reservations.services.orders import creating, memory
from reservations.services.orders.deciding import DueHolds, OrderBatch, request_of
from reservations.services.orders.memory import Outcome
from reservations.services.orders.messages import Received


def apply_orders(events: Sequence[Received], patience: Patience = PATIENT) -> list[Outcome]:
    """Decide events of orders one by one in sequence, all in one transaction.

    An event that was decided before isn't decided again: its outcome is the first one. An order that can't be held or
    sold is refused, which publishes an InventoryReservationFailedEvent. If an order is short and there are due holds on
    its levels, these are recorded as expired in a transaction of their own, and the batch is decided once more.

    Raises Busy. Locks: the events and their orders (``memory.lock_events``), the carts of created orders, these orders,
    shoppers if a limit is set, the reservations of the orders and carts by id, then all their levels and the candidate
    levels by id.
    """
    try:
        return transactions.run(partial(_apply, events, may_free_due=True), patience)
    except DueHolds as due:
        expiry.free_due_holds(due.level_ids, patience)
        return transactions.run(partial(_apply, events, may_free_due=False), patience)


def _apply(events: Sequence[Received], *, may_free_due: bool) -> list[Outcome]:
    """The inner service of ``apply_orders``; requires an open transaction. Raises DueHolds, with nothing written."""
    outcomes = memory.lock_events(events)
    if fresh := memory.undecided(events, outcomes):
        batch = _lock(fresh, may_free_due=may_free_due)
        decided = [(each, batch.apply(each)) for each in fresh]
        batch.write_with(decided)
        outcomes |= {each.key: outcome for each, outcome in decided}
    return memory.outcomes_of(events, outcomes)


def _lock(events: Sequence[Received], *, may_free_due: bool) -> OrderBatch:
    """Plan the created orders and lock all rows that the events concern. The number of statements doesn't depend on the
    number of events."""
    catalogue = creating.read_names(events)
    active = creating.lock_carts_and_orders(events, catalogue)
    plans = creating.plan_all(events, catalogue, active)
    planned = creating.planned(plans)
    adopted = creating.adopted_ids(planned, active)
    allowances = creating.lock_allowances(planned, adopted)
    notes = memory.read_notes({each.event.subject for each in events})
    requests = [request_of(each) for each in events]
    level_ids = creating.candidate_levels(planned, catalogue)
    ids = selecting.find(request.selector for request in requests) | adopted
    locked = resolution.lock_for(requests, ids, level_ids)
    return OrderBatch(locked, catalogue, notes, plans, allowances, may_free_due=may_free_due)
