"""Move stock from one warehouse to another: draft, send, receive, close, cancel.

Units that are sent leave the source's on hand at once, and enter the destination's only when they are received. In
between they are in transit: reported as incoming, never sellable. Every change of on hand is a TRANSFER movement; lost
units are received and adjusted away at the destination, so that the ledger adds up (docs/explanation/rules.md, rule
15).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from uuid import UUID

from uuid_utils.compat import uuid7

from audit import idempotency
from audit.actors import Actor
from audit.db.statements import one_statement
from audit.errors import Fault, Invalid, raise_together
from audit.idempotency import Claim, StoredAnswer
from audit.preconditions import Precondition, last_write_wins
from audit.recording import Entry, record
from inventory import transactions
from inventory.actions import TransferVerb
from inventory.errors import (
    DraftChanged,
    MixedRoute,
    MoreThanInTransit,
    UnknownProduct,
)
from inventory.locking import read_clock
from inventory.models import Product
from inventory.services.stock.levels import run_with_levels
from inventory.services.transfers import documents
from inventory.services.transfers.documents import RouteEnd, TransferDocument, TransferItem, TransferStatus
from inventory.services.transfers.moves import Transferred, arrive, bring_back, entry_of, ship
from inventory.services.transfers.preconditions import (
    lock_seen,
    require_destination,
    require_draft,
    require_on_the_way,
    require_open,
    require_receiving,
    require_touchable,
)
from inventory.services.transfers.routes import route_between


@dataclass(frozen=True, slots=True)
class MoveLine:
    """One line of a requested transfer, in units; warehouses by code."""

    product_id: UUID
    variant_id: UUID | None
    quantity: int
    from_warehouse: str
    to_warehouse: str


@dataclass(frozen=True, slots=True)
class TransferRequest:
    """A request for a transfer. ``id`` is made before the first attempt (docs/explanation/rules.md, rule 25)."""

    actor: Actor
    items: tuple[MoveLine, ...]
    reason: str = ""
    reference: str = ""
    expected_delivery: datetime | None = None
    claim: Claim | None = None
    id: UUID = field(default_factory=uuid7)


@dataclass(frozen=True, slots=True)
class SendRequest:
    """A request to send a draft. ``seen`` is its version (``TransferDocument.version``) as a person saw it, if one
    did."""

    actor: Actor
    transfer_id: UUID
    claim: Claim | None = None
    seen: str | None = None


@dataclass(frozen=True, slots=True)
class Arrived:
    """Units of a product that arrived."""

    product_id: UUID
    variant_id: UUID | None
    quantity: int


@dataclass(frozen=True, slots=True)
class ReceiveRequest:
    """A request to receive units; without ``items``, all that are in transit. ``close`` gives up the missing rest."""

    actor: Actor
    transfer_id: UUID
    items: tuple[Arrived, ...] | None = None
    close: bool = False
    reason: str = ""
    claim: Claim | None = None


@dataclass(frozen=True, slots=True)
class CancelTransferRequest:
    """A request to cancel a transfer and return its units in transit."""

    actor: Actor
    transfer_id: UUID
    reason: str = ""
    claim: Claim | None = None
    precondition: Precondition = last_write_wins
    """Called with the locked transfer, as a document."""


TransferOutcome = Transferred | StoredAnswer


# --- commands, each in a transaction of its own ----------------------------------------------------------------------


def start_transfer(request: TransferRequest) -> TransferOutcome:
    """Make a transfer and send it at once: take all items off the source's on hand and put them in transit, or none.

    Items of one product become one line. Missing levels at the destination are created beforehand. Reserved units can't
    leave the source; if units are missing, due holds are expired first (docs/explanation/rules.md, rule 3).

    Raises MixedRoute, Invalid (to where it comes from), UnknownProduct, UnknownWarehouse (also where the actor's stores
    don't sell from it), WarehouseInactive (the destination is closed), InsufficientStock, QuantityLimit,
    IdempotencyKeyReused, IdempotencyInProgress, Busy. Locks: claim, the levels at both ends by id.
    """
    return run_with_levels(partial(start, request))


def draft_transfer(request: TransferRequest) -> TransferOutcome:
    """Make a draft of a transfer, which changes no stock.

    Raises what ``start_transfer`` raises, except the errors that depend on stock. Locks: claim.
    """
    return transactions.run(partial(draft, request))


def change_draft(transfer_id: UUID, request: TransferRequest) -> TransferOutcome:
    """Replace a draft.

    Raises what ``draft_transfer`` raises, NotFound, TransferAlreadySent, TransferClosed, WarehouseNotInStore. Locks:
    claim, the transfer.
    """
    return transactions.run(partial(change, transfer_id, request))


def send_transfer(request: SendRequest) -> TransferOutcome:
    """Send a draft, as ``start_transfer`` does.

    Raises NotFound, TransferAlreadySent, TransferClosed, WarehouseNotInStore, DraftChanged (it isn't what was seen),
    Invalid (it has no items), InsufficientStock, QuantityLimit, Busy and the errors of claims. Locks: claim, the
    transfer, the levels at both ends by id.
    """
    return run_with_levels(partial(send, request))


def receive_transfer(request: ReceiveRequest) -> TransferOutcome:
    """Add arrived units to the destination's on hand; with ``close``, give up the missing ones and end the transfer.

    Missing units are received by a TRANSFER movement and taken off by an ADJUSTMENT, in the same transaction.

    Raises NotFound, TransferNotSent, TransferClosed, WarehouseNotInStore, WarehouseInactive, UnknownProduct,
    MoreThanInTransit, Invalid (nothing is received), QuantityLimit, Busy and the errors of claims. Locks: claim, the
    transfer, the destination's levels by id.
    """
    return transactions.run(partial(receive, request))


def cancel_transfer(request: CancelTransferRequest) -> TransferOutcome:
    """Return the units in transit to the source and end the transfer: CANCELLED, or RECEIVED if some had arrived.

    Raises NotFound, TransferClosed, WarehouseNotInStore, VersionConflict (the precondition's), QuantityLimit, Busy and
    the errors of claims. Locks: claim, the transfer, the levels at both ends by id.
    """
    return transactions.run(partial(cancel, request))


# --- the inner services; each requires an open transaction -----------------------------------------------------------


def start(request: TransferRequest) -> TransferOutcome:
    """``start_transfer`` inside a transaction. Raises MissingLevels if levels must be created first."""
    if answer := idempotency.claim_one(request.claim):
        return answer
    drafted = _drafted(request)
    shipment = ship(drafted, request.actor, _places(request.items))
    created = draft_entry(request.actor, "created", drafted)
    return shipment.write("sent", documents.insert, request.claim, entries=[created])


def draft(request: TransferRequest) -> TransferOutcome:
    """``draft_transfer`` inside a transaction."""
    if answer := idempotency.claim_one(request.claim):
        return answer
    drafted = _drafted(request)
    return _written_draft(request, drafted, drafted.initiated_at, "created")


def change(transfer_id: UUID, request: TransferRequest) -> TransferOutcome:
    """``change_draft`` inside a transaction."""
    if answer := idempotency.claim_one(request.claim):
        return answer
    found = lock_seen(transfer_id, request.actor)
    require_draft(found)
    require_touchable(request.actor, found.source)
    anew = _drafted(request)
    kept = {name: getattr(found, name) for name in ("id", "initiated_by", "initiated_at", "account_id")}
    drafted = replace(anew, **kept)
    return _written_draft(request, drafted, anew.initiated_at, "changed")


def send(request: SendRequest) -> TransferOutcome:
    """``send_transfer`` inside a transaction. Raises MissingLevels if levels must be created first."""
    if answer := idempotency.claim_one(request.claim):
        return answer
    found = lock_seen(request.transfer_id, request.actor)
    require_draft(found)
    require_touchable(request.actor, found.source)
    require_destination(request.actor, found.destination)
    if request.seen not in (None, found.version):
        raise DraftChanged("The draft was changed in another tab or on another device. Nothing was sent.")
    if not found.items:
        raise Invalid("There is nothing to send: the draft has no items.")
    return ship(found, request.actor, _places(found.items)).write("sent", documents.update, request.claim)


def receive(request: ReceiveRequest) -> TransferOutcome:
    """``receive_transfer`` inside a transaction."""
    if answer := idempotency.claim_one(request.claim):
        return answer
    found = lock_seen(request.transfer_id, request.actor)
    require_on_the_way(found)
    require_touchable(request.actor, found.destination)
    arrived = _arrived(request, found)
    if any(arrived.values()):
        require_receiving(found.destination)
    lost = {item.id: item.in_transit - arrived.get(item.id, 0) for item in found.items} if request.close else {}
    places = _places(request.items or ())
    arrival = arrive(found, request.actor, arrived, lost, reason=request.reason, places=places)
    verb: TransferVerb = "closed" if request.close else "received"
    return arrival.write(verb, documents.update, request.claim, reason=request.reason)


def cancel(request: CancelTransferRequest) -> TransferOutcome:
    """``cancel_transfer`` inside a transaction."""
    if answer := idempotency.claim_one(request.claim):
        return answer
    found = lock_seen(request.transfer_id, request.actor)
    require_open(found)
    require_touchable(request.actor, found.source)
    request.precondition(found)
    returned = bring_back(found, request.actor, reason=request.reason)
    return returned.write("cancelled", documents.update, request.claim, reason=request.reason)


def _written_draft(
    request: TransferRequest, drafted: TransferDocument, now: datetime, verb: TransferVerb
) -> Transferred:
    """Record a draft that was written: an audit entry, and no event, since nothing moves."""
    done = Transferred(drafted, now)
    save = documents.insert if verb == "created" else documents.rewrite
    with one_statement():
        save(drafted)
        record([draft_entry(request.actor, verb, drafted)], now=now)
        idempotency.store_all([(request.claim, done)], now=now)
    return done


def draft_entry(actor: Actor, verb: TransferVerb, drafted: TransferDocument) -> Entry:
    """The audit entry of a draft that was made or changed."""
    changes = {
        "items": [{**item.facts(), "quantity": item.quantity} for item in drafted.items],
        "reason": drafted.reason,
        "reference": drafted.reference,
        "expectedDelivery": drafted.expected_delivery,
    }
    return entry_of(actor, verb, drafted, changes)


# --- reading of requests ---------------------------------------------------------------------------------------------


def _places(lines: Sequence[MoveLine | Arrived | TransferItem]) -> dict[UUID, int]:
    """The index of the first line of each product, for pointers."""
    places: dict[UUID, int] = {}
    for index, line in enumerate(lines):
        places.setdefault(line.variant_id or line.product_id, index)
    return places


def _drafted(request: TransferRequest) -> TransferDocument:
    """The requested transfer, as a draft: names are looked up, lines of one product summed."""
    source, destination = _route(request)
    parents = _parents(request.items)
    units: dict[UUID, int] = {}
    for wanted in request.items:
        stock_id = wanted.variant_id or wanted.product_id
        units[stock_id] = units.get(stock_id, 0) + wanted.quantity
    return TransferDocument(
        id=request.id,
        status=TransferStatus.PENDING,
        source=source,
        destination=destination,
        reason=request.reason,
        reference=request.reference,
        expected_delivery=request.expected_delivery,
        initiated_by=request.actor.name,
        initiated_at=read_clock(),
        account_id=request.actor.account_id,
        items=tuple(
            TransferItem(parents[stock_id] or stock_id, stock_id if parents[stock_id] else None, quantity)
            for stock_id, quantity in units.items()
        ),
    )


def _route(request: TransferRequest) -> tuple[RouteEnd, RouteEnd]:
    """The two warehouses, which all items must share. One query."""
    first = request.items[0]
    strays = [
        Fault(
            f"/items/{index}",
            MixedRoute.code,
            f"This item doesn't go from {first.from_warehouse} to {first.to_warehouse}.",
        )
        for index, wanted in enumerate(request.items)
        if (wanted.from_warehouse, wanted.to_warehouse) != (first.from_warehouse, first.to_warehouse)
    ]
    if strays:
        raise MixedRoute("All items of a transfer go from one warehouse to one other.", strays)
    return route_between(request.actor, first.from_warehouse, first.to_warehouse)


def _parents(items: Sequence[MoveLine]) -> dict[UUID, UUID | None]:
    """The products of the lines, with their parents. One query. Raises UnknownProduct."""
    wanted = [line.variant_id or line.product_id for line in items]
    parents: dict[UUID, UUID | None] = dict(Product.objects.filter(id__in=wanted).values_list("id", "parent_id"))
    unknown = [
        _unknown_product(index, f"There is no product {stock_id}.", is_variant=bool(line.variant_id))
        for index, (stock_id, line) in enumerate(zip(wanted, items, strict=True))
        if stock_id not in parents or (line.variant_id and line.product_id not in (parents[stock_id], stock_id))
    ]
    raise_together(unknown)
    return parents


def _unknown_product(index: int, detail: str, *, is_variant: bool) -> UnknownProduct:
    return UnknownProduct.at(f"/items/{index}/{'variantId' if is_variant else 'productId'}", detail)


def _arrived(request: ReceiveRequest, document: TransferDocument) -> dict[UUID, int]:
    """The units that arrived, by item; lines of one product are summed.

    Raises UnknownProduct, MoreThanInTransit, and Invalid if nothing would happen.
    """
    if request.items is None:
        return {item.id: item.in_transit for item in document.items}
    items = {item.stock_id: item for item in document.items}
    units: dict[UUID, int] = {}
    faults: list[Fault] = []
    for index, line in enumerate(request.items):
        stock_id = line.variant_id or line.product_id
        item = items.get(stock_id)
        if item is None or (line.variant_id and line.product_id not in (item.product_id, stock_id)):
            detail = f"Product {stock_id} is not in this transfer."
            raise _unknown_product(index, detail, is_variant=bool(line.variant_id))
        units[item.id] = units.get(item.id, 0) + line.quantity
        if units[item.id] > item.in_transit:
            plain = {name: str(value) for name, value in item.facts().items()}
            facts = {**plain, "requested": units[item.id], "inTransit": item.in_transit}
            detail = f"The request receives {units[item.id]}, but the transfer has only {item.in_transit} in transit."
            faults.append(Fault(f"/items/{index}/quantityReceived", MoreThanInTransit.code, detail, facts))
    if faults:
        raise MoreThanInTransit("More arrived than is in transit.", faults)
    if not any(units.values()) and not request.close:
        raise Invalid("Nothing was received.", [Fault("/items", "invalid", "No line has a quantity above 0.")])
    return units
