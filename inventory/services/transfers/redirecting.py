"""Redirect a transfer that is on its way: what is in transit arrives at another warehouse, for example because the
destination was closed (docs/explanation/rules.md, rule 15)."""

from dataclasses import dataclass, field, replace
from functools import partial
from uuid import UUID

from uuid_utils.compat import uuid7

from audit import idempotency
from audit.actors import Actor
from audit.errors import Invalid
from audit.idempotency import Claim
from audit.preconditions import Precondition, last_write_wins
from inventory.errors import UnknownWarehouse, WarehouseInactive
from inventory.models import Warehouse
from inventory.services.stock.levels import run_with_levels
from inventory.services.transfers import documents
from inventory.services.transfers.commands import TransferOutcome, draft_entry
from inventory.services.transfers.documents import RouteEnd, TransferDocument, TransferItem, TransferStatus
from inventory.services.transfers.moves import Transferred, bring_back, entry_of, level_ids_of, reroute, ship
from inventory.services.transfers.preconditions import lock_seen, require_on_the_way, require_touchable


@dataclass(frozen=True, slots=True)
class RedirectRequest:
    """A request to redirect a transfer to the warehouse with this code. ``id`` is that of the transfer which goes on
    with the rest, if a part has arrived; it is made before the first attempt (docs/explanation/rules.md, rule 25)."""

    actor: Actor
    transfer_id: UUID
    to_warehouse: str
    reason: str = ""
    claim: Claim | None = None
    id: UUID = field(default_factory=uuid7)
    precondition: Precondition = last_write_wins
    """Called with the locked transfer, as a document."""


def redirect_transfer(request: RedirectRequest) -> TransferOutcome:
    """Let the units in transit arrive at another warehouse. Whoever may cancel the transfer may redirect it.

    If nothing has arrived yet, the transfer gets the new destination, and no on hand changes. Otherwise it ends, as
    when it is cancelled, and the rest is sent on as a new transfer from the same source, in one transaction. Returns
    the transfer that is on its way. Missing levels at the new destination are created beforehand.

    Raises NotFound, TransferNotSent, TransferClosed, WarehouseNotInStore, UnknownWarehouse, WarehouseInactive (the new
    destination is closed, too), VersionConflict (the precondition's), Invalid (to where it comes from or goes already),
    QuantityLimit, Busy and the errors of claims. Locks: claim, the transfer, the levels at all its ends by id.
    """
    return run_with_levels(partial(redirect, request))


def redirect(request: RedirectRequest) -> TransferOutcome:
    """``redirect_transfer`` inside a transaction. Raises MissingLevels if levels must be created first."""
    if answer := idempotency.claim_one(request.claim):
        return answer
    found = lock_seen(request.transfer_id, request.actor)
    require_on_the_way(found)
    request.precondition(found)
    require_touchable(request.actor, found.source)
    destination = _destination(request, found)
    if any(item.received for item in found.items):
        return _send_on(request, found, destination)
    redirected = reroute(found, request.actor, destination)
    return redirected.write("redirected", documents.update, request.claim, reason=request.reason)


def _send_on(request: RedirectRequest, found: TransferDocument, destination: RouteEnd) -> Transferred:
    """Bring the rest back to the source, and send it to the new destination as a new transfer."""
    actor, reason = request.actor, request.reason
    rest = [item for item in found.items if item.in_transit]
    ids = level_ids_of(replace(found, destination=destination, items=tuple(rest)))
    back = bring_back(found, actor, reason=reason or "transfer redirected", further=ids.values())
    drafted = replace(
        found,
        id=request.id,
        status=TransferStatus.PENDING,
        destination=destination,
        initiated_by=actor.name,
        initiated_at=back.now,
        shipped_at=None,
        number=0,
        reverses=None,
        items=tuple(TransferItem(item.product_id, item.variant_id, item.in_transit) for item in rest),
    )
    onward = ship(drafted, actor, {item.stock_id: 0 for item in rest}, after=back, level_ids=ids)
    ended = {"toWarehouseId": [found.destination.code, destination.code], "sentOnAs": drafted.public_id}
    entries = [
        entry_of(actor, "cancelled", back.document, ended | ({"reason": reason} if reason else {})),
        draft_entry(actor, "created", drafted),
    ]
    return onward.write("sent", documents.insert, request.claim, reason=reason, entries=entries, after=back)


def _destination(request: RedirectRequest, found: TransferDocument) -> RouteEnd:
    code = request.to_warehouse
    if code == found.source.code:
        raise Invalid.at("/toWarehouseId", "To bring the units back to where they come from, cancel the transfer.")
    if code == found.destination.code:
        raise Invalid.at("/toWarehouseId", f"The transfer goes to {code} already.")
    place = Warehouse.objects.destinations_for(request.actor).filter(code=code).first()
    if place is None:
        raise UnknownWarehouse.at("/toWarehouseId", f"There is no warehouse {code}.")
    if not place.is_active:
        raise WarehouseInactive.at("/toWarehouseId", f"Warehouse {code} is closed: it takes no transfers.")
    return RouteEnd(place.pk, code)
