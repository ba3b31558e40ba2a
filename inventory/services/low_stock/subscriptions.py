"""Subscriptions to mail about low stock: members of staff choose their warehouses themselves.

A subscription follows its owner's account: its rights, its warehouses and its address.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from django.contrib.auth import get_user_model
from django.db.models import Case, F, Q, QuerySet, When
from django.db.models.functions import Lower

from audit import idempotency
from audit.actors import Actor
from audit.errors import Invalid
from audit.idempotency import Claim, StoredAnswer
from audit.preconditions import Precondition, last_write_wins
from audit.recording import Entry, record
from inventory import actions, transactions
from inventory.errors import UnknownWarehouse
from inventory.locking import read_clock
from inventory.models import AlertSubscription, Warehouse

MAY_BE_MAILED: Final = "inventory.add_alertsubscription"
"""The permission of those who may be mailed about low stock."""
_RIGHTS: Final = "django.contrib.auth.backends.ModelBackend"


def deliverable() -> QuerySet[AlertSubscription]:
    """The subscriptions that are mailed now, each with its ``address``.

    The owner is active staff, may be mailed, reaches the warehouse, and has an address in the account, which is where
    the mail goes. An address that belongs to no account keeps its mail.
    """
    allowed = get_user_model()._default_manager.with_perm(MAY_BE_MAILED, backend=_RIGHTS).filter(is_staff=True)
    reaches = (
        Q(user__is_superuser=True, user__staff_access=None)
        | Q(user__staff_access__all_warehouses=True)
        | Q(user__staff_access__warehouse_codes__contains=[F("warehouse__code")])
    )
    found = AlertSubscription.objects.annotate(address=Case(When(user=None, then=F("email")), default=F("user__email")))
    return found.filter(Q(user=None) | Q(user__in=allowed) & reaches).exclude(address="").order_by("address", "pk")


def follow_account(actor: Actor, user_id: int, *, now: datetime) -> None:
    """End the subscriptions of a user who lost what they need, and take over a new address of the account.

    Requires an open transaction in which the account was saved; writes an audit entry for each that ends.
    """
    mine = AlertSubscription.objects.filter(user_id=user_id)
    lost = mine.exclude(pk__in=deliverable().filter(user_id=user_id).values("pk"))
    ended = list(lost.select_related("warehouse").order_by("warehouse__code"))
    mine.filter(pk__in=[row.pk for row in ended]).delete()
    record([_ended(actor, row) for row in ended], now=now)
    address = str(get_user_model()._default_manager.values_list("email", flat=True).get(pk=user_id))
    moved = mine.exclude(email=address)
    _written_as(address).filter(warehouse__in=moved.values("warehouse")).exclude(user_id=user_id).delete()
    moved.update(email=address)


def _written_as(address: str) -> QuerySet[AlertSubscription]:
    """The subscriptions of an address, in any spelling."""
    return AlertSubscription.objects.annotate(written=Lower("email")).filter(written=address.lower())


def _ended(actor: Actor, row: AlertSubscription) -> Entry:
    changes = {"email": row.email, "warehouseId": row.warehouse.code, "mailed": [True, False]}
    return Entry(actor, actions.ALERTS_CHOSEN, row.warehouse_id, changes)


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
    time_zone: str = "",
    claim: Claim | None = None,
    precondition: Precondition = last_write_wins,
) -> Subscribed | StoredAnswer:
    """Subscribe a member of staff to these warehouses, and unsubscribe them from all others in the actor's reach.

    Mails show times in ``time_zone``, an IANA name. An address that is subscribed already is assigned to this user.
    Raises Invalid without an address, UnknownWarehouse (also for one out of reach), VersionConflict (the
    precondition's, which gets the sorted codes of the present ones), Busy and the errors of claims. Locks the rows that
    are deleted.
    """

    def work() -> Subscribed | StoredAnswer:
        if answer := idempotency.claim_one(claim):
            return answer
        if codes and not email:
            raise Invalid("The account has no e-mail address.")
        warehouses = Warehouse.objects.visible_to(actor)
        wanted = _ids_of(codes, warehouses)
        rows = AlertSubscription.objects.filter(user_id=user_id, warehouse__in=warehouses)
        before = dict(rows.select_for_update(of=("self",)).values_list("warehouse__code", "warehouse_id"))
        precondition(sorted(before))
        rows.delete()
        _written_as(email).filter(warehouse__in=wanted.values()).delete()
        AlertSubscription.objects.bulk_create(
            AlertSubscription(warehouse_id=id_, email=email, user_id=user_id, time_zone=time_zone)
            for id_ in wanted.values()
        )
        now = read_clock()
        record([_entry(actor, email, code, wanted, before) for code in sorted(wanted.keys() ^ before.keys())], now=now)
        idempotency.store_all([(claim, chosen := Subscribed(tuple(sorted(wanted))))], now=now)
        return chosen

    return transactions.run(work, pipelined=False)


def _ids_of(codes: Collection[str], warehouses: QuerySet[Warehouse]) -> dict[str, UUID]:
    wanted = dict(warehouses.filter(code__in=codes).values_list("code", "id"))
    if unknown := sorted(set(codes) - wanted.keys()):
        raise UnknownWarehouse(f"There is no warehouse {unknown[0]}.")
    return wanted


def _entry(actor: Actor, email: str, code: str, wanted: Mapping[str, UUID], before: Mapping[str, UUID]) -> Entry:
    changes = {"email": email, "warehouseId": code, "mailed": [code in before, code in wanted]}
    return Entry(actor, actions.ALERTS_CHOSEN, wanted.get(code) or before[code], changes)
