"""Send back what a transfer brought: the reversal of one that was received. One that is on its way is cancelled."""

from dataclasses import dataclass, field
from functools import partial
from uuid import UUID

from uuid_utils.compat import uuid7

from audit import idempotency
from audit.actors import Actor
from audit.errors import Fault
from audit.idempotency import Claim
from inventory.errors import DocumentReversed, TransferNotReceived
from inventory.locking import read_clock
from inventory.models import Transfer
from inventory.models.documents import numbered
from inventory.models.transfers import TRANSFER_KIND
from inventory.services.stock.levels import run_with_levels
from inventory.services.transfers import documents
from inventory.services.transfers.commands import TransferOutcome, draft_entry
from inventory.services.transfers.documents import TransferDocument, TransferItem, TransferStatus
from inventory.services.transfers.moves import ship
from inventory.services.transfers.preconditions import lock_seen, require_destination, require_touchable


@dataclass(frozen=True, slots=True)
class SendBackRequest:
    """A request to send back what a transfer brought. ``id`` is that of the transfer back, made before the first
    attempt (docs/explanation/rules.md, rule 25)."""

    actor: Actor
    transfer_id: UUID
    reason: str
    claim: Claim | None = None
    id: UUID = field(default_factory=uuid7)


def send_back(request: SendBackRequest) -> TransferOutcome:
    """Send all units that a closed transfer brought back to where they came from, as a transfer of its own, once. Its
    reference is the short number of the first. If units are missing, due holds are expired first.

    Raises NotFound, TransferNotReceived (nothing arrived, or some is still on its way), DocumentReversed (sent back
    before, and not cancelled), WarehouseInactive (where it came from is closed), WarehouseNotInStore, InsufficientStock
    with each short line, QuantityLimit, Busy and the errors of claims. Locks: claim, the transfer, the levels at both
    ends by id.
    """
    return run_with_levels(partial(_send_back, request))


def _send_back(request: SendBackRequest) -> TransferOutcome:
    if answer := idempotency.claim_one(request.claim):
        return answer
    found = lock_seen(request.transfer_id, request.actor)
    require_touchable(request.actor, found.destination)
    require_destination(request.actor, found.source)
    _require_received(found)
    items = tuple(
        TransferItem(item.product_id, item.variant_id, item.received) for item in found.items if item.received
    )
    drafted = TransferDocument(
        id=request.id,
        status=TransferStatus.PENDING,
        source=found.destination,
        destination=found.source,
        reason=request.reason,
        reference=numbered(TRANSFER_KIND, found.number),
        expected_delivery=None,
        initiated_by=request.actor.name,
        initiated_at=read_clock(),
        reverses=found.id,
        items=items,
    )
    shipment = ship(drafted, request.actor, {item.stock_id: index for index, item in enumerate(items)})
    entries = [draft_entry(request.actor, "created", drafted)]
    return shipment.write("sent", documents.insert, request.claim, entries=entries)


def _require_received(found: TransferDocument) -> None:
    """Refuse a transfer that isn't closed, has received nothing, or was sent back. Requires the transfer's lock, so
    that it is sent back once."""
    name = numbered(TRANSFER_KIND, found.number)
    if found.status != TransferStatus.RECEIVED or not any(item.received for item in found.items):
        raise TransferNotReceived(f"{name} is {found.status}: what is on its way is cancelled, not sent back.")
    back = Transfer.objects.filter(reverses=found.id).exclude(status=TransferStatus.CANCELLED).first()
    if back is not None:
        detail = f"{name} was sent back before, as {back.short_number}."
        raise DocumentReversed(detail, [Fault("", DocumentReversed.code, detail, {"reversedBy": back.short_number})])
