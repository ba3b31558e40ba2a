"""Move stock from one warehouse to another: draft, send, receive, close, cancel.

What was sent is off the source's on hand at once and on the destination's only when it is received. In between it is
in transit: told as incoming, never sellable. Every change of on hand is a TRANSFER movement; what never arrives is
received and adjusted away at the destination, so that the ledger adds up (api.md, "Commands").
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Any, Final
from uuid import UUID

from uuid_utils.compat import uuid7

from audit import idempotency
from audit.errors import DomainError, Fault, Invalid, NotFound
from audit.idempotency import Claim, StoredAnswer
from audit.services import Asker, Entry, Event, publish, record
from audit.statements import one_statement
from inventory import transactions
from inventory.errors import (
    InsufficientStock,
    MixedRoute,
    MoreThanInTransit,
    QuantityLimit,
    Shortage,
    TransferAlreadySent,
    TransferClosed,
    TransferNotSent,
    UnknownProduct,
    UnknownWarehouse,
    WarehouseNotInStore,
)
from inventory.locking import LockedLevels, lock_levels, read_clock
from inventory.models import QUANTITY_LIMIT, Movement, Product, StockLevel, Warehouse
from inventory.services import transfer_documents as documents
from inventory.services.ledger import Cause, Ledger
from inventory.services.levels import MissingLevels, run_with_levels
from inventory.services.transfer_documents import Place, Status, TransferDocument, TransferItem

LOST: Final = "lost in transit"
_REASON_LENGTH: Final = 500


@dataclass(frozen=True, slots=True)
class Wanted:
    """One line of a transfer to be made, in units; warehouses by code."""

    product_id: UUID
    variant_id: UUID | None
    quantity: int
    from_warehouse: str
    to_warehouse: str


@dataclass(frozen=True, slots=True)
class TransferRequest:
    """A transfer as it is to be. ``id`` is made before the first try (architecture 8)."""

    asker: Asker
    items: tuple[Wanted, ...]
    reason: str = ""
    reference: str = ""
    expected_delivery: datetime | None = None
    claim: Claim | None = None
    id: UUID = field(default_factory=uuid7)


@dataclass(frozen=True, slots=True)
class SendRequest:
    """One request to send a draft."""

    asker: Asker
    transfer_id: UUID
    claim: Claim | None = None


@dataclass(frozen=True, slots=True)
class Arrived:
    """Units of a product that arrived now."""

    product_id: UUID
    variant_id: UUID | None
    quantity: int


@dataclass(frozen=True, slots=True)
class ReceiveRequest:
    """What arrived now; without ``items`` all that is left. ``close`` gives up what is then still missing."""

    asker: Asker
    transfer_id: UUID
    items: tuple[Arrived, ...] | None = None
    close: bool = False
    reason: str = ""
    claim: Claim | None = None


@dataclass(frozen=True, slots=True)
class CancelRequest:
    """One request to bring back what is in transit."""

    asker: Asker
    transfer_id: UUID
    reason: str = ""
    claim: Claim | None = None


@dataclass(frozen=True, slots=True)
class Transferred:
    """A transfer after a command, and by item id what the command made of on hand (before, after) at either end.

    ``expected`` is the destination's on hand and all in transit to it, of the items whose level there was looked at.
    """

    document: TransferDocument
    now: datetime
    sources: Mapping[UUID, tuple[int, int]] = field(default_factory=dict)
    destinations: Mapping[UUID, tuple[int, int]] = field(default_factory=dict)
    expected: Mapping[UUID, int] = field(default_factory=dict)


Outcome = Transferred | StoredAnswer


# --- commands, each in a transaction of its own ----------------------------------------------------------------------


def start_transfer(request: TransferRequest) -> Outcome:
    """Take the items out of their warehouse at once and put them in transit to the other: all, or nothing.

    Items of one product are one line. A product's first level at the destination is made beforehand. What is reserved
    at the source can't leave.

    Raises MixedRoute, Invalid (to where it comes from), UnknownProduct, UnknownWarehouse (also where the asker's stores
    don't sell from it), InsufficientStock, QuantityLimit, IdempotencyKeyReused, IdempotencyInProgress, Busy. Locks:
    claim, the levels at both ends by id.
    """
    return run_with_levels(partial(start, request))


def draft_transfer(request: TransferRequest) -> Outcome:
    """Write a transfer down without taking anything.

    Raises what ``start_transfer`` does, but for what depends on stock. Locks: claim.
    """
    return transactions.run(partial(draft, request))


def change_draft(transfer_id: UUID, request: TransferRequest) -> Outcome:
    """Make a draft exactly this.

    Raises what ``draft_transfer`` does, NotFound, TransferAlreadySent, TransferClosed, WarehouseNotInStore. Locks:
    claim, the transfer.
    """
    return transactions.run(partial(change, transfer_id, request))


def send_transfer(request: SendRequest) -> Outcome:
    """Send a draft, as ``start_transfer`` sends what it is given.

    Raises NotFound, TransferAlreadySent, TransferClosed, WarehouseNotInStore, InsufficientStock, QuantityLimit, Busy
    and the errors of claims. Locks: claim, the transfer, the levels at both ends by id.
    """
    return run_with_levels(partial(send, request))


def receive_transfer(request: ReceiveRequest) -> Outcome:
    """Put what arrived on the destination's on hand; with ``close``, end the transfer with what is missing.

    What is missing is received by a TRANSFER movement and taken off by an ADJUSTMENT, in the same transaction.

    Raises NotFound, TransferNotSent, TransferClosed, WarehouseNotInStore, UnknownProduct (not in the transfer),
    MoreThanInTransit, Invalid (nothing is received), QuantityLimit, Busy and the errors of claims. Locks: claim, the
    transfer, the destination's levels by id.
    """
    return transactions.run(partial(receive, request))


def cancel_transfer(request: CancelRequest) -> Outcome:
    """Bring what is in transit back to its source. It ends CANCELLED, or RECEIVED where a part had arrived.

    Raises NotFound, TransferClosed, WarehouseNotInStore, QuantityLimit, Busy and the errors of claims. Locks: claim,
    the transfer, the levels at both ends by id.
    """
    return transactions.run(partial(cancel, request))


# --- the inner services; each requires an open transaction -----------------------------------------------------------


def start(request: TransferRequest) -> Outcome:
    """``start_transfer`` inside a transaction. Raises MissingLevels where some are to be made first."""
    if answer := _first_answer(request.claim):
        return answer
    drafted = _drafted(request)
    shipment = _ship(drafted, request.asker, _first_places(request))
    sent = shipment.document
    entries = [_entry(request.asker, "created", drafted, _listed(drafted)), shipment.entry("sent")]
    return shipment.write(request.claim, partial(documents.insert, sent), entries, _event(sent, "SENT", shipment.moved))


def draft(request: TransferRequest) -> Outcome:
    """``draft_transfer`` inside a transaction."""
    if answer := _first_answer(request.claim):
        return answer
    drafted = _drafted(request)
    return _written_draft(request, drafted, drafted.initiated_at, "created")


def change(transfer_id: UUID, request: TransferRequest) -> Outcome:
    """``change_draft`` inside a transaction."""
    if answer := _first_answer(request.claim):
        return answer
    found = _locked(transfer_id, request.asker)
    _require_draft(found)
    _require_touchable(request.asker, found.source, found.destination)
    anew = _drafted(request)
    drafted = replace(anew, id=found.id, initiated_by=found.initiated_by, initiated_at=found.initiated_at)
    return _written_draft(request, drafted, anew.initiated_at, "changed")


def send(request: SendRequest) -> Outcome:
    """``send_transfer`` inside a transaction. Raises MissingLevels where some are to be made first."""
    if answer := _first_answer(request.claim):
        return answer
    found = _locked(request.transfer_id, request.asker)
    _require_draft(found)
    _require_touchable(request.asker, found.source, found.destination)
    shipment = _ship(found, request.asker, {item.stock_id: index for index, item in enumerate(found.items)})
    sent = shipment.document
    event = _event(sent, "SENT", shipment.moved)
    return shipment.write(request.claim, partial(documents.update, sent), [shipment.entry("sent")], event)


def receive(request: ReceiveRequest) -> Outcome:
    """``receive_transfer`` inside a transaction."""
    if answer := _first_answer(request.claim):
        return answer
    found = _locked(request.transfer_id, request.asker)
    _require_on_the_way(found)
    _require_touchable(request.asker, found.destination)
    arrived = _arrived(request, found)
    lost = {item.id: item.in_transit - arrived.get(item.id, 0) for item in found.items} if request.close else {}
    arrival = _arrive(found, request, arrived, lost)
    received = arrival.document
    event = _event(received, "CLOSED" if request.close else "RECEIVED", arrival.moved, request.reason)
    entries = [arrival.entry("closed" if request.close else "received", request.reason)]
    return arrival.write(request.claim, partial(documents.update, received), entries, event)


def cancel(request: CancelRequest) -> Outcome:
    """``cancel_transfer`` inside a transaction."""
    if answer := _first_answer(request.claim):
        return answer
    found = _locked(request.transfer_id, request.asker)
    if found.closed_at is not None:
        raise _closed(found)
    _require_touchable(request.asker, found.source)
    returned = _return(found, request)
    cancelled = returned.document
    event = _event(cancelled, "CANCELLED", returned.moved, request.reason) if found.is_on_the_way else None
    entries = [returned.entry("cancelled", request.reason)]
    return returned.write(request.claim, partial(documents.update, cancelled), entries, event)


def _first_answer(claim: Claim | None) -> StoredAnswer | None:
    verdict = idempotency.claim_all([claim])[0]
    if isinstance(verdict, DomainError):
        raise verdict
    return verdict


def _written_draft(request: TransferRequest, drafted: TransferDocument, now: datetime, verb: str) -> Transferred:
    """Nothing moves: there is an audit entry of it, and no event."""
    done = Transferred(drafted, now)
    save = documents.insert if verb == "created" else documents.rewrite
    with one_statement():
        save(drafted)
        record([_entry(request.asker, verb, drafted, _listed(drafted))], now=now)
        idempotency.store_all([(request.claim, done)], now=now)
    return done


# --- what is asked for -----------------------------------------------------------------------------------------------


def _first_places(request: TransferRequest) -> dict[UUID, int]:
    """Where in the body each product stands first, for pointers."""
    places: dict[UUID, int] = {}
    for index, wanted in enumerate(request.items):
        places.setdefault(wanted.variant_id or wanted.product_id, index)
    return places


def _drafted(request: TransferRequest) -> TransferDocument:
    """The transfer that is asked for, as a draft: its names looked up, the lines of one product summed."""
    source, destination = _route(request)
    parents = _parents(request.items)
    units: dict[UUID, int] = {}
    for wanted in request.items:
        stock_id = wanted.variant_id or wanted.product_id
        units[stock_id] = units.get(stock_id, 0) + wanted.quantity
    return TransferDocument(
        id=request.id,
        status=Status.PENDING,
        source=source,
        destination=destination,
        reason=request.reason,
        reference=request.reference,
        expected_delivery=request.expected_delivery,
        initiated_by=request.asker.actor,
        initiated_at=read_clock(),
        items=tuple(
            TransferItem(parents[stock_id] or stock_id, stock_id if parents[stock_id] else None, quantity)
            for stock_id, quantity in units.items()
        ),
    )


def _route(request: TransferRequest) -> tuple[Place, Place]:
    """The two ends, which all items share. One query."""
    first = request.items[0]
    strays = [
        Fault(f"/items/{index}", MixedRoute.code, f"not from {first.from_warehouse} to {first.to_warehouse}")
        for index, wanted in enumerate(request.items)
        if (wanted.from_warehouse, wanted.to_warehouse) != (first.from_warehouse, first.to_warehouse)
    ]
    if strays:
        raise MixedRoute("All items of a transfer go from one warehouse to one other.", strays)
    if first.from_warehouse == first.to_warehouse:
        fault = Fault("/items/0/toWarehouseId", "invalid", "the warehouse it comes from")
        raise Invalid("A transfer goes to another warehouse.", [fault])
    seen = Warehouse.objects.visible_to(request.asker.store_codes)
    ids = dict(seen.filter(code__in=[first.from_warehouse, first.to_warehouse]).values_list("code", "id"))
    for code, name in ((first.from_warehouse, "fromWarehouseId"), (first.to_warehouse, "toWarehouseId")):
        if code not in ids:
            unknown = UnknownWarehouse(f"There is no warehouse {code}.")
            raise UnknownWarehouse(unknown.detail, [unknown.at(f"/items/0/{name}")])
    return Place(ids[first.from_warehouse], first.from_warehouse), Place(ids[first.to_warehouse], first.to_warehouse)


def _parents(items: Sequence[Wanted]) -> dict[UUID, UUID | None]:
    """The products that lines name, with their parents. One query. Raises UnknownProduct."""
    wanted = [line.variant_id or line.product_id for line in items]
    parents: dict[UUID, UUID | None] = dict(Product.objects.filter(id__in=wanted).values_list("id", "parent_id"))
    for index, (stock_id, line) in enumerate(zip(wanted, items, strict=True)):
        if stock_id not in parents or (line.variant_id and line.product_id not in (parents[stock_id], stock_id)):
            raise _unknown_product(index, f"There is no product {stock_id}.", is_variant=bool(line.variant_id))
    return parents


def _unknown_product(index: int, detail: str, *, is_variant: bool) -> UnknownProduct:
    unknown = UnknownProduct(detail)
    return UnknownProduct(detail, [unknown.at(f"/items/{index}/{'variantId' if is_variant else 'productId'}")])


def _locked(transfer_id: UUID, asker: Asker) -> TransferDocument:
    """The transfer under its lock. Raises NotFound, also where the asker's stores sell from neither of its ends."""
    found = documents.lock_transfers([transfer_id]).get(transfer_id)
    if found is None or not _seen(asker, found.source, found.destination):
        raise NotFound("There is no such transfer.")
    return found


def _seen(asker: Asker, *places: Place) -> set[UUID]:
    ids = {place.id for place in places}
    if not asker.store_codes:
        return ids
    return set(Warehouse.objects.visible_to(asker.store_codes).filter(id__in=ids).values_list("id", flat=True))


def _require_touchable(asker: Asker, *places: Place) -> None:
    """Refuse to touch the stock of a warehouse that isn't the asker's. Raises WarehouseNotInStore."""
    seen = _seen(asker, *places)
    for place in places:
        if place.id not in seen:
            raise WarehouseNotInStore(f"This client's stores don't sell from warehouse {place.code}.")


def _closed(document: TransferDocument) -> TransferClosed:
    return TransferClosed(f"{document.public_id} is {document.status}: nothing of it is in transit any more.")


def _require_draft(document: TransferDocument) -> None:
    if document.closed_at is not None:
        raise _closed(document)
    if document.status != Status.PENDING:
        raise TransferAlreadySent(f"{document.public_id} was sent: only a draft is changed or sent.")


def _require_on_the_way(document: TransferDocument) -> None:
    if document.closed_at is not None:
        raise _closed(document)
    if document.status == Status.PENDING:
        raise TransferNotSent(f"{document.public_id} is a draft: nothing of it is in transit.")


def _arrived(request: ReceiveRequest, document: TransferDocument) -> dict[UUID, int]:
    """Units that arrived, by item; lines of one product are summed.

    Raises UnknownProduct, MoreThanInTransit and, where nothing would happen, Invalid.
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
            facts = {**_plain(item.facts()), "requested": units[item.id], "inTransit": item.in_transit}
            detail = f"{units[item.id]} received, {item.in_transit} in transit"
            faults.append(Fault(f"/items/{index}/quantityReceived", MoreThanInTransit.code, detail, facts))
    if faults:
        raise MoreThanInTransit("More arrived than is in transit.", faults)
    if not any(units.values()) and not request.close:
        raise Invalid("Nothing was received.", [Fault("/items", "invalid", "no line has a quantity above 0")])
    return units


def _plain(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {name: str(value) for name, value in facts.items()}


# --- under the locks -------------------------------------------------------------------------------------------------


class _Moves:
    """What a command moves between levels that it has locked, and what it says of it."""

    def __init__(self, asker: Asker, document: TransferDocument, levels: LockedLevels) -> None:
        self.document = document
        self.now = levels.now
        self.moved: list[dict[str, Any]] = []
        self.sources: dict[UUID, tuple[int, int]] = {}
        self.destinations: dict[UUID, tuple[int, int]] = {}
        self.expected: dict[UUID, int] = {}
        self._before = document
        self._changed: list[dict[str, Any]] = []
        self._asker = asker
        self._levels = levels
        self._ledger = Ledger(levels)

    def on_hand(self, level_id: UUID) -> int:
        """Units there now, with what was moved so far."""
        return self._levels.by_id[level_id].on_hand

    def move(self, level_id: UUID, units: int, reason: str, kind: str = Movement.Type.TRANSFER.value) -> None:
        """Change on hand by a signed number of units, with a movement that names the transfer."""
        cause = Cause(kind, self._asker.actor, reason, "transfer", self.document.public_id)
        self._ledger.move(level_id, units, cause)

    def tell(self, item: TransferItem, before: int, after: int, **facts: int) -> None:
        """Note what happened to an item and to on hand, for the event and the audit entry."""
        self.moved.append({**item.facts(), **facts})
        self._changed.append({**item.facts(), **facts, "onHand": [before, after]})

    def entry(self, verb: str, reason: str = "") -> Entry:
        """The audit entry of the command."""
        changes = {"status": [self._before.status, self.document.status], "items": self._changed}
        return _entry(self._asker, verb, self.document, changes | ({"reason": reason} if reason else {}))

    def write(
        self, claim: Claim | None, save: Callable[[], None], entries: Sequence[Entry], event: Event | None
    ) -> Transferred:
        """Write all of it as one statement, and the answer to it."""
        done = Transferred(self.document, self.now, self.sources, self.destinations, self.expected)
        with one_statement():
            self._ledger.write(self.now)
            save()
            record(entries, now=self.now)
            publish([event] if event else [], now=self.now)
            idempotency.store_all([(claim, done)], now=self.now)
        return done


def _ship(drafted: TransferDocument, asker: Asker, places: Mapping[UUID, int]) -> _Moves:
    """Move a draft's items from their source into transit. ``places`` is where each product stands, for pointers.

    What is in transit to the destination is read under the levels' locks: of two transfers to one level, each counts
    the other, or comes before it.
    """
    ids = _level_ids(drafted)
    source = {item.id: ids.get((item.stock_id, drafted.source.id)) for item in drafted.items}
    destination = {item.id: ids.get((item.stock_id, drafted.destination.id)) for item in drafted.items}
    levels = lock_levels(set(ids.values()))
    _require_units(drafted, source, levels, places)
    missing = {(item.stock_id, drafted.destination.id) for item in drafted.items if not destination[item.id]}
    if missing:
        raise MissingLevels(missing)
    incoming = documents.in_transit_to([id_ for id_ in destination.values() if id_])
    moves = _Moves(asker, drafted, levels)
    items: list[TransferItem] = []
    for item in drafted.items:
        leaves, enters = source[item.id], destination[item.id]
        assert leaves is not None  # noqa: S101 - there are units of it
        assert enters is not None  # noqa: S101 - none is missing
        expected = moves.on_hand(enters) + incoming.get(enters, 0) + item.quantity
        _require_room(expected, f"/items/{places[item.stock_id]}/quantity")
        before = moves.on_hand(leaves)
        moves.move(leaves, -item.quantity, drafted.reason)
        moves.sources[item.id], moves.expected[item.id] = (before, before - item.quantity), expected
        moves.tell(item, before, before - item.quantity, quantity=item.quantity)
        items.append(
            replace(item, source_level_id=leaves, destination_level_id=enters, shipped=item.quantity),
        )
    moves.document = replace(drafted, status=Status.IN_TRANSIT, shipped_at=levels.now, items=tuple(items))
    return moves


def _level_ids(document: TransferDocument) -> dict[tuple[UUID, UUID], UUID]:
    """The levels of the items' products at both ends, by (product, warehouse). One query."""
    found = StockLevel.objects.filter(
        product__in=[item.stock_id for item in document.items],
        warehouse__in=[document.source.id, document.destination.id],
    )
    return {(product, place): id_ for id_, product, place in found.values_list("id", "product_id", "warehouse_id")}


def _require_units(
    document: TransferDocument,
    source: Mapping[UUID, UUID | None],
    levels: LockedLevels,
    places: Mapping[UUID, int],
) -> None:
    """What is reserved can't leave: physical stock that is promised. Raises InsufficientStock with every short item."""
    shortages: list[Shortage] = []
    for item in document.items:
        level_id = source[item.id]
        counters = levels.by_id[level_id] if level_id else None
        free = counters.on_hand - counters.reserved if counters else 0
        if item.quantity > free:
            pointer = f"/items/{places[item.stock_id]}"
            shortages.append(
                Shortage(pointer, item.product_id, item.variant_id, document.source.code, item.quantity, free)
            )
    if shortages:
        raise InsufficientStock(shortages, levels.by_id)


def _require_room(units: int, pointer: str) -> None:
    if units > QUANTITY_LIMIT:
        limit = QuantityLimit(f"A level has at most {QUANTITY_LIMIT} units.")
        raise QuantityLimit(limit.detail, [limit.at(pointer)])


def _arrive(
    found: TransferDocument, request: ReceiveRequest, arrived: Mapping[UUID, int], lost: Mapping[UUID, int]
) -> _Moves:
    """Move units from transit onto the destination, and those that are lost on and off it."""
    touched = {item.id: item.destination_level_id for item in found.items if item.in_transit}
    moves = _Moves(request.asker, found, lock_levels([id_ for id_ in touched.values() if id_]))
    incoming = documents.in_transit_to([id_ for id_ in touched.values() if id_])
    items: list[TransferItem] = []
    for item in found.items:
        here, missing = arrived.get(item.id, 0), lost.get(item.id, 0)
        items.append(replace(item, received=item.received + here, lost=item.lost + missing))
        level_id = item.destination_level_id
        if level_id is None or not here + missing:
            continue
        before = moves.on_hand(level_id)
        _require_room(before + here + missing, _place_of(item, request))
        moves.move(level_id, here + missing, found.reason)
        if missing:
            moves.move(level_id, -missing, _lost(request.reason), Movement.Type.ADJUSTMENT.value)
        moves.destinations[item.id] = before, before + here
        moves.expected[item.id] = before + incoming.get(level_id, 0) - missing
        moves.tell(item, before, before + here, quantity=here, **({"quantityLost": missing} if missing else {}))
    is_closed = not any(item.in_transit for item in items)
    moves.document = replace(
        found,
        status=Status.RECEIVED if is_closed else Status.PARTIALLY_RECEIVED,
        closed_at=moves.now if is_closed else None,
        items=tuple(items),
    )
    return moves


def _place_of(item: TransferItem, request: ReceiveRequest) -> str:
    """Where the body speaks of an item; the body as a whole where it names none."""
    lines = request.items or ()
    found = [index for index, line in enumerate(lines) if (line.variant_id or line.product_id) == item.stock_id]
    return f"/items/{found[0]}/quantityReceived" if found else ""


def _lost(reason: str) -> str:
    """The reason of the movement that takes what never arrived off the books; the audit entry has all of a long one."""
    return f"{LOST}: {reason}"[:_REASON_LENGTH] if reason else LOST


def _return(found: TransferDocument, request: CancelRequest) -> _Moves:
    """Move what is in transit back onto its source. The destination's levels are locked, as what is expected there
    changes."""
    away = [item for item in found.items if item.in_transit]
    touched = {id_ for item in away for id_ in (item.source_level_id, item.destination_level_id) if id_}
    moves = _Moves(request.asker, found, lock_levels(touched))
    for item in away:
        level_id = item.source_level_id
        assert level_id is not None  # noqa: S101 - what was shipped has levels: a constraint
        before = moves.on_hand(level_id)
        _require_room(before + item.in_transit, "")
        moves.move(level_id, item.in_transit, request.reason or "transfer cancelled")
        moves.sources[item.id] = before, before + item.in_transit
        moves.tell(item, before, before + item.in_transit, quantity=item.in_transit)
    arrived = any(item.received for item in found.items)
    moves.document = replace(
        found,
        status=Status.RECEIVED if arrived else Status.CANCELLED,
        closed_at=moves.now,
        items=tuple(replace(item, returned=item.returned + item.in_transit) for item in found.items),
    )
    return moves


# --- what is told of it ----------------------------------------------------------------------------------------------


def _listed(document: TransferDocument) -> dict[str, Any]:
    """What a draft says, for its audit entry."""
    return {
        "items": [{**item.facts(), "quantity": item.quantity} for item in document.items],
        "reason": document.reason,
        "reference": document.reference,
        "expectedDelivery": document.expected_delivery,
    }


def _entry(asker: Asker, verb: str, document: TransferDocument, changes: Mapping[str, Any]) -> Entry:
    return Entry(asker, f"inventory_transfer_{verb}", document.id, {**document.facts(), **changes})


def _event(document: TransferDocument, change: str, moved: Sequence[dict[str, Any]], reason: str = "") -> Event:
    """``quantity`` of an item is what left, arrived or came back by this command."""
    payload = {**document.facts(), "change": change, "items": moved, "reason": reason or document.reason}
    return Event("InventoryTransferredEvent", document.public_id, payload)
