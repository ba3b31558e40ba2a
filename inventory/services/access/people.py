"""Accounts of staff: their warehouses, and audit entries of changes by administrators."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.contrib.auth import get_user_model
from django.db import transaction

from audit.actors import Actor
from audit.models import StaffAccess
from audit.recording import Entry, record
from inventory import actions
from inventory.locking import read_clock
from inventory.services.low_stock.subscriptions import follow_account


def put_access(
    actor: Actor,
    user_id: int,
    *,
    warehouse_codes: Sequence[str] | None,
    is_new: bool,
    account_changes: Mapping[str, Any],
) -> StaffAccess:
    """Give a user these warehouses alone (None means all, empty none) and record the changes of the account. The
    user's subscriptions to mail follow at once.

    ``account_changes`` are the account's other changes, as JSON values. Requires an open transaction, in which the
    account is saved. Raises PermissionDenied. Locks the user's access.
    """
    actor.require_no_limit()
    access, _ = StaffAccess.objects.select_for_update().get_or_create(user_id=user_id)
    codes = None if warehouse_codes is None else tuple(sorted(set(warehouse_codes)))
    changes: dict[str, Any] = dict(account_changes)
    if is_new or access.codes != codes:
        had, given = _shown(access.codes), _shown(codes)
        changes["warehouses"] = given if is_new else [had, given]
        access.all_warehouses, access.warehouse_codes = codes is None, list(codes or ())
        access.save(update_fields=["all_warehouses", "warehouse_codes"])
    now = read_clock()
    if changes or is_new:
        action = actions.USER_CREATED if is_new else actions.USER_CHANGED
        record([Entry(actor, action, access.pk, changes)], now=now)
    follow_account(actor, user_id, now=now)
    return access


def _shown(codes: tuple[str, ...] | None) -> Any:
    return "all" if codes is None else list(codes)


def record_password(actor: Actor, user_id: int) -> None:
    """Record that an administrator has set a user's password, in a transaction of its own. Raises
    PermissionDenied."""
    actor.require_no_limit()
    with transaction.atomic(durable=True):
        reach = {"all_warehouses": get_user_model()._default_manager.filter(pk=user_id, is_superuser=True).exists()}
        access, _ = StaffAccess.objects.get_or_create(user_id=user_id, defaults=reach)
        record([Entry(actor, actions.USER_PASSWORD_SET, access.pk, {})], now=read_clock())
