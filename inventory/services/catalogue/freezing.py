"""Freeze and unfreeze products, warehouses and stores: new holds are refused, existing ones are not affected.

Existing holds can still be extended, consumed and released. A freeze ends by itself at ``until``, without a write. A
periodic task records that end afterwards, with an event.

A hold reads whether its subject is frozen before it locks the levels, and the freeze may come while it waits for these
locks. Checking again under the locks would cost every hold a statement; instead, the freeze waits for such holds.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Final
from uuid import UUID

import structlog
from django.conf import settings
from django.db import connection
from django.db.models.functions import Now

from audit.actions import Action
from audit.actors import Actor
from audit.errors import Fault, Invalid, NotFound
from audit.idempotency import Claim, StoredAnswer
from audit.preconditions import Precondition, last_write_wins
from audit.publishing import publish
from audit.recording import Entry, record
from inventory import actions, transactions
from inventory.errors import Freeze
from inventory.events import InventoryFrozenEvent, InventoryUnfrozenEvent
from inventory.locking import read_clock
from inventory.models import Freezable, Product, Store, Warehouse
from inventory.services.catalogue.master_data import Saved, claimed

logger = structlog.get_logger(__name__)
_POLL_SECONDS: Final = 0.02
_CLOCK: Final = Actor(name="clock", client_id=None, request_id="", source="command")
_ACTIONS: Final[Mapping[type[Freezable], tuple[Action, Action]]] = {
    Product: (actions.PRODUCT_FROZEN, actions.PRODUCT_UNFROZEN),
    Warehouse: (actions.WAREHOUSE_FROZEN, actions.WAREHOUSE_UNFROZEN),
    Store: (actions.STORE_FROZEN, actions.STORE_UNFROZEN),
}
"""The actions of freezing and unfreezing, by model."""


@dataclass(frozen=True, slots=True)
class Subject:
    """The subject of a freeze: a product or variant by its id, a warehouse or store by its code."""

    model: type[Freezable]
    key: UUID | str

    @property
    def kind(self) -> str:
        """``product``, ``warehouse`` or ``store``."""
        return str(self.model._meta.model_name)


def product(product_id: UUID) -> Subject:
    """A product with all its variants, or a variant."""
    return Subject(Product, product_id)


def warehouse(code: str) -> Subject:
    """A warehouse, for all stores."""
    return Subject(Warehouse, code)


def store(code: str) -> Subject:
    """A store, wherever it sells from."""
    return Subject(Store, code)


def freeze(
    actor: Actor,
    subject: Subject,
    *,
    reason: str,
    until: datetime | None = None,
    claim: Claim | None = None,
    precondition: Precondition = last_write_wins,
) -> Saved | StoredAnswer:
    """Freeze a subject: new holds are refused from now on. If it is frozen already, only its reason and end change.

    A freeze of a product or warehouse is in force at once in all processes, that of a store at once in this process
    and within ``CATALOGUE_CACHE_SECONDS`` in others. Waits for holds in progress, at most ``LOCK_TIMEOUT`` seconds:
    once this returns, each such hold of a product or warehouse is either made or will be refused.

    Raises PermissionDenied, NotFound, VersionConflict (the precondition's), Invalid (``until`` isn't in the future),
    Busy and the errors of claims. Locks the row.
    """

    def work() -> Saved:
        row = _lock(actor, subject)
        precondition(row)
        now = read_clock()
        if until is not None and until <= now:
            raise Invalid(
                "A freeze must end in the future.", [Fault("/until", Invalid.code, "This time is not in the future.")]
            )
        since = row.frozen_at if row.is_frozen else now
        return _set(actor, subject, row, Freeze(reason, until), since=since, reason=reason, now=now)

    frozen = claimed(claim, work)
    _await_holds_on_their_way(subject)
    return frozen


# A transaction that changes stock has a transaction id from its first statement on. A transaction that read whether the
# subject is frozen has a lock on its table, until its end.
_ON_THEIR_WAY: Final = """
WITH held AS MATERIALIZED (SELECT * FROM pg_locks WHERE granted AND pid <> pg_backend_pid())
SELECT DISTINCT reading.virtualtransaction FROM held reading JOIN held writing USING (virtualtransaction)
WHERE reading.relation = %s::regclass
    AND reading.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND writing.locktype = 'transactionid' AND writing.mode = 'ExclusiveLock'
"""


def _await_holds_on_their_way(subject: Subject) -> None:
    """Wait for the transactions that may have read that the subject isn't frozen, at most ``LOCK_TIMEOUT`` seconds."""
    deadline = time.monotonic() + settings.LOCK_TIMEOUT
    waited_for = _on_their_way(subject)
    while waited_for:
        if time.monotonic() > deadline:
            logger.warning("freeze_not_awaited", subject=f"{subject.kind}:{subject.key}", transactions=len(waited_for))
            return
        time.sleep(_POLL_SECONDS)
        waited_for &= _on_their_way(subject)


def _on_their_way(subject: Subject) -> set[str]:
    with connection.cursor() as cursor:
        cursor.execute(_ON_THEIR_WAY, [subject.model._meta.db_table])
        return {row[0] for row in cursor.fetchall()}


def unfreeze(
    actor: Actor,
    subject: Subject,
    *,
    reason: str = "",
    claim: Claim | None = None,
    precondition: Precondition = last_write_wins,
) -> Saved | StoredAnswer:
    """Allow new holds again, at once in this process and within ``CATALOGUE_CACHE_SECONDS`` in others.

    If the subject isn't frozen, nothing is changed or recorded. Raises PermissionDenied, NotFound, VersionConflict (the
    precondition's), Busy and the errors of claims. Locks the row.
    """

    def work() -> Saved:
        row = _lock(actor, subject)
        precondition(row)
        if row.frozen_at is None:
            return Saved(row, is_new=False)
        return _set(actor, subject, row, None, since=None, reason=reason, now=read_clock())

    return claimed(claim, work)


def record_ended() -> int:
    """Record the freezes that have ended by themselves, each in a transaction of its own. Returns their number.

    Each is cleared, with an audit entry and an event. One that somebody has locked is left for the next run.
    """
    return sum(
        transactions.run(partial(_record_end, Subject(model, key)), pipelined=False)
        for model in _ACTIONS
        for key in model._default_manager.filter(frozen_until__lte=Now()).values_list(_key_of(model), flat=True)
    )


def _record_end(subject: Subject) -> bool:
    rows: Any = subject.model._default_manager
    ended = rows.filter(frozen_until__lte=Now(), **{_key_of(subject.model): subject.key})
    row = ended.select_for_update(no_key=True, skip_locked=True).first()
    if row is None:
        return False
    _set(_CLOCK, subject, row, None, since=None, reason="", now=read_clock())
    return True


def _key_of(model: type[Freezable]) -> str:
    return "id" if model is Product else "code"


def _lock(actor: Actor, subject: Subject) -> Any:
    """Lock and read the row. A product or store is frozen for all warehouses, a warehouse for all stores."""
    rows: Any = subject.model._default_manager
    if subject.model is Warehouse and not actor.store_codes:
        rows = rows.visible_to(actor)
    else:
        actor.require_no_limit()
    key = {_key_of(subject.model): subject.key}
    row = rows.with_freezes().select_for_update(no_key=True).filter(**key).first()
    if row is None:
        raise NotFound(f"There is no {subject.kind} {subject.key}.")
    return row


def _set(
    actor: Actor,
    subject: Subject,
    row: Any,
    freeze: Freeze | None,
    *,
    since: datetime | None,
    reason: str,
    now: datetime,
) -> Saved:
    """Write the freeze or its end, with an audit entry and an event; ``reason`` is the reason of this change."""
    after = {
        "frozen_at": since,
        "frozen_until": freeze.until if freeze else None,
        "freeze_reason": freeze.reason if freeze else "",
    }
    changes = {name: [getattr(row, name), value] for name, value in after.items() if getattr(row, name) != value}
    rows: Any = subject.model._default_manager
    rows.filter(pk=row.pk).update(**after, **({"updated_at": now} if subject.model is Product else {}))
    frozen, unfrozen = _ACTIONS[subject.model]
    action = frozen if freeze else unfrozen
    record([Entry(actor, action, row.pk, {**changes, "reason": reason})], now=now)
    facts: dict[str, Any] = {"subject": subject.kind.upper(), f"{subject.kind}_id": subject.key, "reason": reason}
    event = InventoryFrozenEvent(**facts, until=freeze.until) if freeze else InventoryUnfrozenEvent(**facts)
    publish([event.row()], now=now)
    return Saved(rows.with_freezes().get(pk=row.pk), is_new=False)
