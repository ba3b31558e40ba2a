"""Subscriptions to mail about low stock: members of staff choose their warehouses themselves."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from uuid import UUID

from django.db.models.functions import Lower

from audit import idempotency
from audit.actors import Actor
from audit.errors import Invalid
from audit.idempotency import Claim, StoredAnswer
from audit.recording import Entry, record
from inventory import actions, transactions
from inventory.errors import UnknownWarehouse
from inventory.locking import read_clock
from inventory.models import AlertSubscription, Warehouse


@dataclass(frozen=True, slots=True)
class Subscribed:
    """The sorted codes of the warehouses that an address is subscribed to after a command."""

    codes: tuple[str, ...]


def choose_alerts(
    actor: Actor,
    user_id: int,
    email: str,
    *,
    codes: Collection[str],
    claim: Claim | None = None,
) -> Subscribed | StoredAnswer:
    """Subscribe a member of staff to these warehouses, and unsubscribe them from all others in the actor's reach.

    An address that is subscribed already is assigned to this user. Raises Invalid without an address, UnknownWarehouse
    (also for one out of reach), Busy and the errors of claims. Locks the rows that are deleted.
    """

    def work() -> Subscribed | StoredAnswer:
        if answer := idempotency.claim_one(claim):
            return answer
        if codes and not email:
            raise Invalid("The account has no e-mail address.")
        warehouses = Warehouse.objects.visible_to(actor)
        wanted = dict(warehouses.filter(code__in=codes).values_list("code", "id"))
        if unknown := sorted(set(codes) - wanted.keys()):
            raise UnknownWarehouse(f"There is no warehouse {unknown[0]}.")
        rows = AlertSubscription.objects.filter(user_id=user_id, warehouse__in=warehouses)
        before = dict(rows.values_list("warehouse__code", "warehouse_id"))
        rows.delete()
        same = AlertSubscription.objects.annotate(written=Lower("email")).filter(written=email.lower())
        same.filter(warehouse__in=wanted.values()).delete()
        AlertSubscription.objects.bulk_create(
            AlertSubscription(warehouse_id=id_, email=email, user_id=user_id) for id_ in wanted.values()
        )
        now = read_clock()
        record([_entry(actor, email, code, wanted, before) for code in sorted(wanted.keys() ^ before.keys())], now=now)
        chosen = Subscribed(tuple(sorted(wanted)))
        idempotency.store_all([(claim, chosen)], now=now)
        return chosen

    return transactions.run(work, pipelined=False)


def _entry(actor: Actor, email: str, code: str, wanted: Mapping[str, UUID], before: Mapping[str, UUID]) -> Entry:
    changes = {"email": email, "warehouseId": code, "mailed": [code in before, code in wanted]}
    return Entry(actor, actions.ALERTS_CHOSEN, wanted.get(code) or before[code], changes)
