"""Reverse what was posted by hand: take back all of a document, once (docs/explanation/rules.md, rule 39)."""

from dataclasses import dataclass, field
from functools import partial
from uuid import UUID

from uuid_utils.compat import uuid7

from audit import idempotency
from audit.actors import Actor
from audit.errors import Archived, Fault
from audit.idempotency import Claim, StoredAnswer
from inventory.errors import DocumentReversed, ReversalIsFinal
from inventory.models import Movement, StockDocument
from inventory.services.stock.adjustments import Adjusted, Adjustment, AdjustRequest, adjust_claimed
from inventory.services.stock.documents import lock_document, taken_back
from inventory.services.stock.levels import run_with_levels


@dataclass(frozen=True, slots=True)
class ReverseRequest:
    """A request to reverse a document. ``id`` is that of the reversal, made before the first attempt
    (docs/explanation/rules.md, rule 25)."""

    actor: Actor
    document_id: UUID
    reason: str
    claim: Claim | None = None
    id: UUID = field(default_factory=uuid7)


def reverse_document(request: ReverseRequest) -> Adjusted | StoredAnswer:
    """Post the opposite of each movement of a document, all or none, as a document of its own.

    A movement of a reversal has the type of the one that it takes back and the opposite quantity, so that sums by type
    are as if neither had been; its event is an ADJUSTMENT. Units that are reserved, or not there any more, can't be
    taken back; if units are missing, due holds are expired first (docs/explanation/rules.md, rule 3).

    Raises NotFound, DocumentReversed (with the number of the reversal), ReversalIsFinal, Archived, InsufficientStock
    with each short line, QuantityLimit, Busy and the errors of claims. Locks: claim, the document, the levels by id.
    """
    return run_with_levels(partial(_reverse, request))


def _reverse(request: ReverseRequest) -> Adjusted | StoredAnswer:
    if answer := idempotency.claim_one(request.claim):
        return answer
    document = lock_document(request.actor, request.document_id)
    _require_reversible(document)
    lines = tuple(_opposite(movement, request.reason) for movement in taken_back(document))
    if not lines:
        raise Archived(f"The movements of {document.short_number} are archived: adjust the stock instead.")
    return adjust_claimed(AdjustRequest(request.actor, lines, request.claim, request.id, reverses=document.pk))


def _require_reversible(document: StockDocument) -> None:
    if document.kind == StockDocument.Kind.REVERSAL:
        raise ReversalIsFinal(f"{document.short_number} is a reversal: post the change again instead.")
    if reversal := document.reversal:
        detail = f"{document.short_number} was reversed before, by {reversal.short_number}."
        facts = {"reversedBy": reversal.short_number}
        raise DocumentReversed(detail, [Fault("", DocumentReversed.code, detail, facts)])


def _opposite(movement: Movement, reason: str) -> Adjustment:
    return Adjustment(
        movement.level.product_id,
        None,
        movement.level.warehouse.code,
        -movement.quantity,
        Movement.Type.ADJUSTMENT.value,
        reason,
        movement.reference,
        movement.cost_per_unit,
        movement_type=movement.type,
    )
