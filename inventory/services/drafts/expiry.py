"""Delete drafts that were not changed for a long time."""

from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from django.conf import settings
from django.db import connection

from audit.actors import Actor
from audit.recording import record
from inventory import actions, transactions
from inventory.locking import read_clock
from inventory.models import ReceivingDraft
from inventory.services.drafts.receiving import delete_drafts, entry_of_draft, quantities_of

_BEAT: Final = Actor(name="sweeper", client_id=None, request_id="", source="sweeper")
_AT_ONCE: Final = 100


def lifetime() -> timedelta:
    """How long a draft is kept after its last change, or after it was posted."""
    return timedelta(days=settings.DRAFT_DAYS)


def expire_drafts() -> int:
    """Delete drafts past their lifetime, one batch per transaction. The audit keeps the lines of those that were never
    posted. Skips drafts that are locked. Returns the number deleted."""
    total = 0
    while deleted := transactions.run(_expire_batch):
        total += deleted
    return total


def _expire_batch() -> int:
    now = read_clock()
    old = ReceivingDraft.objects.filter(changed_at__lte=now - lifetime()).order_by("changed_at")
    found = list(old.select_related("warehouse").select_for_update(skip_locked=True, of=("self",))[:_AT_ONCE])
    lines = {draft.pk: quantities_of(draft.pk) for draft in found if draft.posted_at is None}
    drafts = [draft for draft in found if lines.get(draft.pk)]
    record([entry_of_draft(_BEAT, draft, lines[draft.pk], actions.DRAFT_EXPIRED) for draft in drafts], now=now)
    ids: list[UUID] = [draft.pk for draft in found]
    if ids:
        delete_drafts(ids)
    return len(ids)


_FORGET: Final = """
DELETE FROM inventory_draftcommand WHERE id IN (
    SELECT id FROM inventory_draftcommand WHERE done_at <= %s ORDER BY done_at LIMIT %s FOR UPDATE SKIP LOCKED)
"""


def forget_commands(now: datetime, *, batch_size: int = 5000) -> int:
    """Delete commands past the lifetime of drafts: those of transfers, which don't expire. Returns the number."""
    total: int = 0
    while True:
        with connection.cursor() as cursor:
            cursor.execute(_FORGET, [now - lifetime(), batch_size])
            total += cursor.rowcount
            if cursor.rowcount < batch_size:
                return total
