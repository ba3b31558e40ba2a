"""Find out whether requests may be repetitions, without a transaction and without waiting for a lock.

A repetition has the key (docs/explanation/rules.md, rule 20) or the order (rule 11) of an earlier request. What it gets
is decided under their locks, by ``placing``; this module only finds out which requests must be decided there.
"""

from collections.abc import Sequence

import msgspec
from django.conf import settings
from django.db import connection

from audit.actors import Actor
from audit.db.pipelines import sent_together
from audit.idempotency import TAKEN_LOCKS, Claim, StoredKeys
from inventory.transactions import milliseconds
from reservations.services.holds.limits import order_lock
from reservations.services.holds.orders_held import HeldOrders, Order, Question


class Origin(msgspec.Struct, frozen=True, gc=False):
    """What a request shares with its repetitions: its key, and the order that it is for. One may be None."""

    actor: Actor
    claim: Claim | None
    order: Order | None

    @property
    def locks(self) -> list[int]:
        """The advisory locks that requests with this key, or for this order, hold while they are decided."""
        of_order = [order_lock(*self.order)] if self.order else []
        return [self.claim.lock, *of_order] if self.claim else of_order


def may_be_repeated(origins: Sequence[Origin]) -> list[bool]:
    """Whether requests may be repetitions: an answer is stored for the key, the order has an active reservation, or
    another request with the key or for the order is being decided.

    At most three statements in one round trip. The locks are tried first, and for the duration of these statements
    only: a request that held one before has committed by then, and the statements after find what it wrote.

    Raises OperationalError if a table is locked for longer than a batch waits for locks.
    """
    claims = [origin.claim for origin in origins if origin.claim]
    orders = [origin.order for origin in origins if origin.order]
    locks = [origin.locks for origin in origins]
    with sent_together(), connection.cursor() as cursor:
        patience = milliseconds(settings.GROUP_COMMIT_LOCK_TIMEOUT)
        cursor.execute(TAKEN_LOCKS, [sorted({lock for each in locks for lock in each}), patience])
        of_keys = StoredKeys(claims) if claims else None
        of_orders = Question(orders) if orders else None
        taken = {lock for (lock,) in cursor.fetchall()}
        stored = of_keys.answer() if of_keys else set()
        held = of_orders.answer() if of_orders else HeldOrders()
    return [
        not taken.isdisjoint(tried)
        or (origin.claim is not None and (origin.claim.client_id, origin.claim.key) in stored)
        or (origin.order is not None and held.knows(origin.order))
        for origin, tried in zip(origins, locks, strict=True)
    ]
