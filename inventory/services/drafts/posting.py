"""Post a draft of a delivery or an arrival: the one place where what was scanned becomes a change of stock.

The draft is marked as posted in the transaction that changes the stock, under the draft's lock, so that it is posted
exactly once, from however many tabs and however late it is sent again.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Final
from uuid import UUID

from uuid_utils.compat import uuid7

from audit import idempotency
from audit.actors import Actor
from audit.db.statements import one_statement, write
from audit.errors import Invalid
from audit.idempotency import Claim, StoredAnswer
from inventory import transactions
from inventory.errors import DraftChanged
from inventory.models import Movement, ReceivingDraft
from inventory.services.drafts.receiving import lock_draft, quantities_of
from inventory.services.stock.adjustments import Adjusted, Adjustment, AdjustRequest, adjust
from inventory.services.stock.levels import run_with_levels
from inventory.services.transfers.commands import Arrived, ReceiveRequest, receive
from inventory.services.transfers.moves import Transferred
from inventory.services.transfers.preconditions import lock_seen


@dataclass(frozen=True, slots=True)
class PostDraftRequest:
    """A request to post a draft as the person saw it: ``version`` is the draft's. ``id`` is the adjustment's, made
    before the first attempt (docs/explanation/rules.md, rule 25).

    The others are for an arrival: ``close`` and ``reason`` say whether the missing rest of the transfer is given up,
    and why; ``received`` is what the person saw of it (``TransferDocument.received_so_far``), empty not to compare it.
    """

    actor: Actor
    draft_id: UUID
    version: int
    claim: Claim | None = None
    close: bool = False
    reason: str = ""
    received: str = ""
    id: UUID = field(default_factory=uuid7)


@dataclass(frozen=True, slots=True)
class PostedBefore:
    """The draft was posted before; nothing was done."""

    draft_id: UUID
    posted_at: datetime


def post_delivery(request: PostDraftRequest) -> Adjusted | PostedBefore | StoredAnswer:
    """Receive all lines of a delivery, or none, as ``apply_adjustments`` does.

    Raises NotFound, DraftChanged, Invalid (no lines) and what ``apply_adjustments`` raises. Locks: claim, the
    draft, the levels by id.
    """
    return run_with_levels(partial(_post_delivery, request))


def post_arrival(request: PostDraftRequest) -> Transferred | PostedBefore | StoredAnswer:
    """Receive what arrived of a transfer, as ``receive_transfer`` does.

    Raises NotFound, DraftChanged, Invalid (nothing is received) and what ``receive_transfer`` raises. Locks: claim,
    the draft, the transfer, the destination's levels by id.
    """
    return transactions.run(partial(_post_arrival, request))


def _post_delivery(request: PostDraftRequest) -> Adjusted | PostedBefore | StoredAnswer:
    if answer := idempotency.claim_one(request.claim):
        return answer
    draft = lock_draft(request.actor, request.draft_id)
    if draft.posted_at is not None:
        return PostedBefore(draft.pk, draft.posted_at)
    units = _seen_lines(draft, request)
    if not units:
        raise Invalid("There is nothing to receive: the draft has no lines.")
    done = adjust(AdjustRequest(request.actor, receipts(draft, units), id=request.id))
    assert isinstance(done, Adjusted)  # noqa: S101 - without a claim there is no stored answer
    _finish(draft, request, done, done.id)
    return done


def receipts(draft: ReceivingDraft, units: Mapping[UUID, int]) -> tuple[Adjustment, ...]:
    """The lines of a delivery as receipts."""
    return tuple(
        Adjustment(
            product, None, draft.warehouse.code, quantity, Movement.Type.RECEIPT.value, draft.note, draft.reference
        )
        for product, quantity in units.items()
    )


def _post_arrival(request: PostDraftRequest) -> Transferred | PostedBefore | StoredAnswer:
    if answer := idempotency.claim_one(request.claim):
        return answer
    draft = lock_draft(request.actor, request.draft_id)
    if draft.posted_at is not None:
        return PostedBefore(draft.pk, draft.posted_at)
    if draft.transfer_id is None:
        raise Invalid("This is the draft of a delivery.")
    units = _seen_lines(draft, request)
    if request.received not in ("", lock_seen(draft.transfer_id, request.actor).received_so_far):
        raise DraftChanged("Somebody else has received units of this transfer meanwhile. Nothing was posted.")
    arrived = tuple(Arrived(product, None, quantity) for product, quantity in units.items())
    done = receive(ReceiveRequest(request.actor, draft.transfer_id, arrived, request.close, request.reason))
    assert isinstance(done, Transferred)  # noqa: S101 - without a claim there is no stored answer
    _finish(draft, request, done, None)
    return done


def _seen_lines(draft: ReceivingDraft, request: PostDraftRequest) -> dict[UUID, int]:
    """The lines of a draft. Raises DraftChanged if they are not what the person saw."""
    if draft.version != request.version:
        raise DraftChanged("The draft was changed in another tab or on another device. Nothing was posted.")
    return quantities_of(draft.pk)


_POSTED: Final = """
UPDATE inventory_receivingdraft SET posted_at = %s, changed_at = %s, adjustment_id = %s WHERE id = %s
"""


def _finish(
    draft: ReceivingDraft, request: PostDraftRequest, done: Adjusted | Transferred, adjustment_id: UUID | None
) -> None:
    """Mark a draft as posted, and store the answer of the claim."""
    with one_statement():
        write(_POSTED, [done.now, done.now, adjustment_id, draft.pk])
        idempotency.store_all([(request.claim, done)], now=done.now)
