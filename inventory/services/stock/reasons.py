"""The reasons for changes of stock that the console offers."""

from collections.abc import Collection
from uuid import UUID

from django.db import IntegrityError, transaction

from audit.actors import Actor
from audit.errors import Invalid
from audit.preconditions import Precondition, last_write_wins
from audit.recording import Entry, record
from inventory import actions, transactions
from inventory.locking import read_clock
from inventory.models import AdjustmentReason


def put_reason(
    actor: Actor,
    reason_id: UUID,
    *,
    text: str,
    kinds: Collection[str],
    is_active: bool,
    precondition: Precondition = last_write_wins,
) -> AdjustmentReason:
    """Create a reason, or replace its fields. ``kinds`` are those of ``AdjustmentReason.Kind`` that offer it.

    Raises Invalid (another reason has this text), PermissionDenied, VersionConflict (the precondition's), Busy. Locks
    the reason.
    """
    fields = {"text": text, "kinds": sorted(kinds), "is_active": is_active}

    def work() -> AdjustmentReason:
        actor.require_no_limit()
        reasons = AdjustmentReason.objects.select_for_update(no_key=True)
        precondition(reasons.filter(id=reason_id).first())
        try:
            with transaction.atomic():
                row, is_new = reasons.update_or_create(id=reason_id, defaults=fields)
        except IntegrityError as error:
            if "reason_text" not in str(error):
                raise
            raise Invalid("There is a reason with this text.") from error
        action = actions.REASON_CREATED if is_new else actions.REASON_CHANGED
        record([Entry(actor, action, row.pk, dict(fields))], now=read_clock())
        return row

    return transactions.run(work, pipelined=False)
