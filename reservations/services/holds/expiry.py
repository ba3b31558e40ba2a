"""Record due holds as EXPIRED and give their stock back.

A hold is dead from ``expires_at`` on, swept or not (docs/explanation/rules.md, rule 3). Correctness doesn't depend on
the sweeper: a request that is short expires the due holds on its levels itself.
"""

from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final, TypeVar
from uuid import UUID

from django.conf import settings
from django.db import connection

from audit.actors import Actor
from audit.db import columns
from audit.db.statements import rfc3339, write_about
from audit.errors import Busy
from audit.events import OutboxRow
from audit.identifiers import NIL, RESERVATION
from audit.publishing import new_event_ids, publish_from
from audit.recording import Entry, record_from
from inventory import transactions
from inventory.errors import InsufficientStock
from inventory.locking import LockedIds, lock_levels_from
from inventory.services.stock.ledger import Ledger, give_back_from
from inventory.transactions import PATIENT, Patience
from reservations import actions
from reservations.events import InventoryReleasedEvent
from reservations.services.holds import documents, due
from reservations.services.holds.counting import count_expired
from reservations.services.holds.documents import Hold, Status
from reservations.services.holds.due import DuePosition, LockedHolds

R = TypeVar("R")

SWEEPER: Final = Actor(name="sweeper", client_id=None, request_id="", source="sweeper")
REASON: Final = "expired"
_FREED_AT_ONCE: Final = 1000
_SWEEP_PATIENCE: Final = Patience(lock_timeout_seconds=1.0, retries=0)
START: Final[DuePosition] = (datetime.min.replace(tzinfo=UTC), NIL)

_DUE_ON_LEVELS: Final = """
SELECT DISTINCT reservation_id FROM reservations_reservationitem
WHERE level_id = ANY(%s) AND held_until <= statement_timestamp() LIMIT %s
"""

_ENTRIES: Final = f"""
SELECT n, store, id AS subject_id, jsonb_build_object('expiresAt', {rfc3339("expires_at")}, 'items', items) AS changes
FROM due
"""  # noqa: S608 - constants only
_EVENTS: Final = f"""
SELECT n, '{RESERVATION}-' || id AS key, jsonb_build_object('reservationId', '{RESERVATION}-' || id, 'storeId', store,
    'cartId', cart_id, 'orderId', order_id, 'items', items, 'reason', '{REASON}') AS payload
FROM due
"""  # noqa: S608 - constants only


def with_due_holds_freed(
    work: Callable[[Sequence[R]], list[Any]],
    requests: Sequence[R],
    patience: Patience = PATIENT,
    again: Callable[[Sequence[R]], list[Any]] | None = None,
) -> list[Any]:
    """Run a batch in a transaction. If requests are short and there are due holds on their levels, expire these in a
    second transaction and decide the short requests again in a third.

    ``work`` is an inner batch service that returns an outcome per request and writes nothing for one that is short.
    ``again``, by default ``work``, decides the short requests the second time. An error after the first commit becomes
    the outcome of the short requests only.
    """
    outcomes, levels = transactions.run(partial(_decided, work, requests), patience)
    if not levels:
        return outcomes
    short = [index for index, outcome in enumerate(outcomes) if isinstance(outcome, InsufficientStock)]
    decided: list[Any]
    try:
        free_due_holds(levels, patience)
        decided = transactions.run(partial(again or work, [requests[index] for index in short]), patience)
    except Exception as error:  # noqa: BLE001 - each becomes a problem document
        decided = [error] * len(short)
    for index, outcome in zip(short, decided, strict=True):
        outcomes[index] = outcome
    return outcomes


def _decided(work: Callable[[Sequence[R]], list[Any]], requests: Sequence[R]) -> tuple[list[Any], set[UUID]]:
    """The outcomes of a batch, and the levels of short requests if there are due holds on them.

    The due holds are read while the levels are still locked: afterwards a sweeper may end them, and it would be unknown
    that they had caused the shortage.
    """
    outcomes = work(requests)
    levels = {level for outcome in outcomes if isinstance(outcome, InsufficientStock) for level in outcome.levels}
    return outcomes, levels if levels and has_due(levels) else set()


def has_due(level_ids: Collection[UUID]) -> bool:
    """Whether there are due holds on these levels. Reliable only while the levels are locked."""
    return bool(_due_on(level_ids, limit=1))


def free_due_holds(level_ids: Collection[UUID], patience: Patience = PATIENT) -> None:
    """Expire the due holds on these levels, in bounded batches with a transaction each.

    Waits for holds that another transaction is ending: when this returns, these no longer count as reserved.
    """
    freed: list[UUID] = []
    while (ids := _due_on(level_ids, limit=_FREED_AT_ONCE)) and ids != freed:
        transactions.run(partial(_expire_these, ids), patience)
        freed = ids


def _due_on(level_ids: Collection[UUID], *, limit: int) -> list[UUID]:
    with connection.cursor() as cursor:
        cursor.execute(_DUE_ON_LEVELS, [columns.uuids(level_ids), limit])
        return [row[0] for row in cursor.fetchall()]


def expire_these(ids: Collection[UUID]) -> None:
    """Expire the holds that are due, in one transaction. Raises Busy. Locks: the holds by id, then their levels."""
    transactions.run(partial(_expire_these, sorted(ids)))


def _expire_these(ids: Sequence[UUID]) -> None:
    """Lock the holds and their levels, and expire the holds that are still due."""
    holds = due.lock_for_expiry(ids)
    if holds:
        _expire_locked(holds, _lock_levels_of(holds))


def expire(holds: Sequence[Hold], ledger: Ledger, now: datetime) -> list[Hold]:
    """Give the stock of due holds back on the ledger, and return the ended holds. Requires the locks of the holds and
    of their levels.

    The caller writes the ledger, the ended holds, each ``expired_entry`` and each ``released_event``.
    """
    for hold in holds:
        for item in hold.items:
            ledger.reserve(item.level_id, -item.quantity)
    return [documents.ended(hold, Status.EXPIRED, now=now, reason=REASON) for hold in holds]


def expired_entry(hold: Hold, actor: Actor) -> Entry:
    """The audit entry of a hold that is recorded EXPIRED."""
    changes = {"expiresAt": hold.expires_at, "items": [item.facts() for item in hold.items]}
    return Entry(actor, actions.RESERVATION_EXPIRED, hold.id, changes, store=hold.store)


def released_event(hold: Hold) -> OutboxRow:
    """The event of a hold that ended without a sale."""
    return InventoryReleasedEvent(**hold.facts(), reason=hold.reason).row(hold.level_ids)


def _lock_levels_of(holds: LockedHolds, *, wait: bool = True) -> LockedIds:
    return lock_levels_from(due.LEVELS_OF, [holds.ids], wait=wait)


def _expire_locked(holds: LockedHolds, levels: LockedIds) -> int:
    """Expire the holds that are due and whose levels are locked, with one statement. Returns how many there were.

    The rows are never loaded into Python: the statement itself writes the audit entries and events, with the same
    contents as ``expired_entry`` and ``released_event``.
    """

    def write() -> None:
        now, event_ids = levels.now, new_event_ids(holds.count)
        give_back_from(due.HELD_BY_DUE, levels=levels, event_ids=event_ids)
        due.expire_due(reason=REASON, now=now)
        record_from(_ENTRIES, actor=SWEEPER, action=actions.RESERVATION_EXPIRED, at_most=holds.count, now=now)
        publish_from(_EVENTS, event=InventoryReleasedEvent, ids=event_ids, now=now)

    expired, delays_seconds = write_about(due.due_among(holds, levels), write)
    count_expired(delays_seconds)
    return int(expired)


def expire_due_holds(batch_size: int | None = None) -> int:
    """Sweep all due holds once, the longest due first, in bounded batches with a transaction each. Returns how many
    were expired.

    If the first batch is full, a second connection sweeps in parallel, because one connection uses only one core of the
    database.

    Safe to run concurrently: each run skips holds that another has locked. Levels that can't be locked in time are
    left, with all holds on them, for the next sweep.
    """
    limit = batch_size or settings.SWEEP_BATCH_SIZE
    place, expired = _sweep_batch(START, limit)
    if place is None or expired < limit:
        return expired + _sweep_from(place, limit)
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="sweep") as second:
        helped = second.submit(_sweep_aside, place, limit)
        expired += _sweep_from(place, limit)
        return expired + helped.result()


def _sweep_aside(place: DuePosition, limit: int) -> int:
    try:
        return _sweep_from(place, limit)
    finally:
        connection.close()


def _sweep_from(place: DuePosition | None, limit: int) -> int:
    total = 0
    while place is not None:
        place, expired = _sweep_batch(place, limit)
        total += expired
    return total


def _sweep_batch(place: DuePosition, limit: int) -> tuple[DuePosition | None, int]:
    """Expire one batch in a transaction. Returns the result of ``_sweep``."""
    sweep = partial(_sweep, place, limit)
    try:
        return transactions.run(partial(sweep, wait=True), _SWEEP_PATIENCE)
    except Busy:
        return transactions.run(partial(sweep, wait=False))


def _sweep(after: DuePosition, limit: int, *, wait: bool) -> tuple[DuePosition | None, int]:
    """Expire one batch. Returns the position of its last hold (None if there was none) and how many were expired."""
    holds = due.lock_due_holds(after, limit)
    if not holds:
        return None, 0
    return holds.last, _expire_locked(holds, _lock_levels_of(holds, wait=wait))
