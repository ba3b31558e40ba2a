"""Movements of units by the commands of transfers, under the locks, with their audit entries and events."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from msgspec import UNSET

from audit import idempotency
from audit.actors import Actor
from audit.db.statements import one_statement
from audit.events import OutboxRow
from audit.idempotency import Claim
from audit.recording import Entry, record
from inventory.actions import TRANSFER_ACTIONS, TransferVerb
from inventory.errors import InsufficientStock, QuantityLimit, Shortage
from inventory.events import InventoryTransferredEvent, TransferredItem
from inventory.locking import LockedLevels, lock_levels
from inventory.models import QUANTITY_LIMIT, Movement, StockLevel
from inventory.services.stock.ledger import Ledger, MovementCause
from inventory.services.stock.levels import MissingLevels
from inventory.services.transfers import documents
from inventory.services.transfers.documents import RouteEnd, TransferDocument, TransferItem, TransferStatus

LOST: Final = "lost in transit"
_REASON_LENGTH: Final = 500


@dataclass(frozen=True, slots=True)
class Transferred:
    """A transfer after a command. ``sources`` and ``destinations`` are on hand (before, after) by item id.

    ``expected`` is on hand at the destination plus all units in transit to it, for items whose level there was read.
    """

    document: TransferDocument
    now: datetime
    sources: Mapping[UUID, tuple[int, int]] = field(default_factory=dict)
    destinations: Mapping[UUID, tuple[int, int]] = field(default_factory=dict)
    expected: Mapping[UUID, int] = field(default_factory=dict)


class Moves:
    """Collects one command's moves between locked levels, audit entries and event."""

    def __init__(
        self, actor: Actor, document: TransferDocument, levels: LockedLevels, ledger: Ledger | None = None
    ) -> None:
        self.document = document
        self.ledger = ledger or Ledger(levels)
        self.now = levels.now
        self.sources: dict[UUID, tuple[int, int]] = {}
        self.destinations: dict[UUID, tuple[int, int]] = {}
        self.expected: dict[UUID, int] = {}
        self._before = document
        self._moved: list[TransferredItem] = []
        self._moved_levels: dict[UUID, None] = {}
        self._changed: list[dict[str, Any]] = []
        self._actor = actor
        self.levels = levels

    def on_hand(self, level_id: UUID) -> int:
        """On hand of a level, including the moves so far."""
        return self.levels.by_id[level_id].on_hand

    def move(self, level_id: UUID, units: int, reason: str, kind: str = Movement.Type.TRANSFER.value) -> None:
        """Change on hand by a signed number of units, with a movement that names the transfer."""
        cause = MovementCause(kind, self._actor.name, reason, "transfer", self.document.public_id)
        self.ledger.move(level_id, units, cause)
        self._moved_levels[level_id] = None

    def touch(self, *level_ids: UUID | None) -> None:
        """Mark levels as updated whose incoming units change."""
        for level_id in level_ids:
            if level_id:
                self.ledger.touch(level_id)

    def note(self, item: TransferItem, before: int, after: int, *, quantity: int, lost: int = 0) -> None:
        """Note the moved and lost units of an item, and on hand, for the event and the audit entry."""
        moved = TransferredItem(
            product_id=item.product_id,
            variant_id=item.variant_id or UNSET,
            quantity=quantity,
            quantity_lost=lost or UNSET,
        )
        self._moved.append(moved)
        units = {"quantity": quantity, **({"quantityLost": lost} if lost else {})}
        self._changed.append({**item.facts(), **units, "onHand": [before, after]})

    def write(
        self,
        verb: TransferVerb,
        save: Callable[[TransferDocument], None],
        claim: Claim | None,
        *,
        reason: str = "",
        entries: Sequence[Entry] = (),
        after: "Moves | None" = None,
    ) -> Transferred:
        """Write everything in one statement: counters, movements, the transfer by ``save``, the given audit entries and
        the command's own, an event if anything moved, and the answer.

        ``after`` are the moves that first returned the units of another transfer, with the same ledger; they are
        written, too.
        """
        done = Transferred(self.document, self.now, self.sources, self.destinations, self.expected)
        changes: dict[str, Any] = {"status": [self._before.status, self.document.status], "items": self._changed}
        if self._before.destination.id != self.document.destination.id:
            changes["toWarehouseId"] = [self._before.destination.code, self.document.destination.code]
        entry = entry_of(self._actor, verb, self.document, changes | ({"reason": reason} if reason else {}))
        events = [after._event("cancelled", reason)] if after else []
        events += [self._event(verb, reason)] if self._moved else []
        with one_statement():
            self.ledger.write(self.now, events)
            if after:
                documents.update(after.document)
            save(self.document)
            record([*entries, entry], now=self.now)
            idempotency.store_all([(claim, done)], now=self.now)
        return done

    def _event(self, verb: TransferVerb, reason: str) -> OutboxRow:
        return InventoryTransferredEvent(
            transfer_id=self.document.public_id,
            status=self.document.status,
            from_warehouse_id=self.document.source.code,
            to_warehouse_id=self.document.destination.code,
            change=verb.upper(),
            items=self._moved,
            reason=reason or self.document.reason,
        ).row(self._moved_levels)


def entry_of(actor: Actor, verb: TransferVerb, document: TransferDocument, changes: Mapping[str, Any]) -> Entry:
    """The audit entry of a command on a transfer."""
    return Entry(actor, TRANSFER_ACTIONS[verb], document.id, {**document.facts(), **changes})


def ship(
    drafted: TransferDocument,
    actor: Actor,
    places: Mapping[UUID, int],
    *,
    after: Moves | None = None,
    level_ids: Mapping[tuple[UUID, UUID], UUID] | None = None,
) -> Moves:
    """Move a draft's items from their source into transit. ``places`` are the lines' indexes by product, for pointers.

    The units in transit to the destination are read under the levels' locks, so that of two transfers to one level the
    later one counts the earlier. ``after`` are the moves that returned the units first. They have locked all levels, so
    that ``level_ids`` (as from ``level_ids_of``) must be given: after a lock of levels only counters may be read.
    """
    ids = level_ids_of(drafted) if level_ids is None else level_ids
    source = {item.id: ids.get((item.stock_id, drafted.source.id)) for item in drafted.items}
    destination = {item.id: ids.get((item.stock_id, drafted.destination.id)) for item in drafted.items}
    levels = after.levels if after else lock_levels(set(ids.values()))
    _require_units(drafted, source, levels, places)
    missing = {(item.stock_id, drafted.destination.id) for item in drafted.items if not destination[item.id]}
    if missing:
        raise MissingLevels(missing)
    incoming = documents.in_transit_to([id_ for id_ in destination.values() if id_])
    moves = Moves(actor, drafted, levels, after.ledger if after else None)
    items: list[TransferItem] = []
    for item in drafted.items:
        leaves, enters = source[item.id], destination[item.id]
        assert leaves is not None  # noqa: S101 - there are units of it
        assert enters is not None  # noqa: S101 - none is missing
        expected = moves.on_hand(enters) + incoming.get(enters, 0) + item.quantity
        _require_room(expected, f"/items/{places[item.stock_id]}/quantity")
        before = moves.on_hand(leaves)
        moves.move(leaves, -item.quantity, drafted.reason)
        moves.touch(enters)
        moves.sources[item.id], moves.expected[item.id] = (before, before - item.quantity), expected
        moves.note(item, before, before - item.quantity, quantity=item.quantity)
        items.append(replace(item, source_level_id=leaves, destination_level_id=enters, shipped=item.quantity))
    moves.document = replace(drafted, status=TransferStatus.IN_TRANSIT, shipped_at=levels.now, items=tuple(items))
    return moves


def level_ids_of(document: TransferDocument) -> dict[tuple[UUID, UUID], UUID]:
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
    """Refuse to move reserved units, which are promised to customers. Raises InsufficientStock with all short items."""
    shortages: list[Shortage] = []
    short_levels: list[UUID] = []
    for item in document.items:
        level_id = source[item.id]
        counters = levels.by_id[level_id] if level_id else None
        free = counters.on_hand - counters.reserved if counters else 0
        if item.quantity > free:
            pointer = f"/items/{places[item.stock_id]}"
            shortages.append(
                Shortage(pointer, item.product_id, item.variant_id, document.source.code, item.quantity, free)
            )
            short_levels += [level_id] if level_id else []
    if shortages:
        raise InsufficientStock(shortages, short_levels)


def _require_room(units: int, pointer: str) -> None:
    if units > QUANTITY_LIMIT:
        raise QuantityLimit.at(pointer, f"A level has at most {QUANTITY_LIMIT} units.")


def arrive(
    found: TransferDocument,
    actor: Actor,
    arrived: Mapping[UUID, int],
    lost: Mapping[UUID, int],
    *,
    reason: str,
    places: Mapping[UUID, int],
) -> Moves:
    """Move units, by item, from transit to the destination, and lost units to it and off it again.

    ``places`` are the lines' indexes by product, for pointers.
    """
    touched = [item.destination_level_id for item in found.items if item.in_transit and item.destination_level_id]
    moves = Moves(actor, found, lock_levels(touched))
    incoming = documents.in_transit_to(touched)
    items: list[TransferItem] = []
    for item in found.items:
        here, missing = arrived.get(item.id, 0), lost.get(item.id, 0)
        items.append(replace(item, received=item.received + here, lost=item.lost + missing))
        level_id = item.destination_level_id
        if level_id is None or not here + missing:
            continue
        before, place = moves.on_hand(level_id), places.get(item.stock_id)
        _require_room(before + here + missing, "" if place is None else f"/items/{place}/quantityReceived")
        moves.move(level_id, here + missing, found.reason)
        if missing:
            moves.move(level_id, -missing, _lost(reason), Movement.Type.ADJUSTMENT.value)
        moves.destinations[item.id] = before, before + here
        moves.expected[item.id] = before + incoming.get(level_id, 0) - missing
        moves.note(item, before, before + here, quantity=here, lost=missing)
    is_closed = not any(item.in_transit for item in items)
    moves.document = replace(
        found,
        status=TransferStatus.RECEIVED if is_closed else TransferStatus.PARTIALLY_RECEIVED,
        closed_at=moves.now if is_closed else None,
        items=tuple(items),
    )
    return moves


def _lost(reason: str) -> str:
    """The reason of the movement that takes lost units off, cut to its limit; the audit entry has the full reason."""
    return f"{LOST}: {reason}"[:_REASON_LENGTH] if reason else LOST


def reroute(found: TransferDocument, actor: Actor, destination: RouteEnd) -> Moves:
    """Let the units in transit, all that were shipped, arrive at another warehouse; nothing moves on hand.

    The levels at the old and the new destination are locked, because the quantity expected at both changes.
    """
    enters = level_ids_at(found, destination)
    touched = {id_ for item in found.items for id_ in (item.destination_level_id, enters[item.stock_id]) if id_}
    moves = Moves(actor, found, lock_levels(touched))
    incoming = documents.in_transit_to(touched)
    items: list[TransferItem] = []
    for item in found.items:
        level_id = enters[item.stock_id]
        on_hand = moves.on_hand(level_id)
        moves.expected[item.id] = on_hand + incoming.get(level_id, 0) + item.in_transit
        _require_room(moves.expected[item.id], "/toWarehouseId")
        moves.note(item, on_hand, on_hand, quantity=item.in_transit)
        moves.touch(item.destination_level_id, level_id)
        items.append(replace(item, destination_level_id=level_id))
    moves.document = replace(found, destination=destination, items=tuple(items))
    return moves


def level_ids_at(document: TransferDocument, place: RouteEnd) -> dict[UUID, UUID]:
    """The levels of a transfer's products in a warehouse, by product. One query. Raises MissingLevels."""
    found = StockLevel.objects.filter(product__in=[item.stock_id for item in document.items], warehouse=place.id)
    ids: dict[UUID, UUID] = dict(found.values_list("product_id", "id"))
    if missing := {(item.stock_id, place.id) for item in document.items if item.stock_id not in ids}:
        raise MissingLevels(missing)
    return ids


def bring_back(found: TransferDocument, actor: Actor, *, reason: str, further: Collection[UUID] = ()) -> Moves:
    """Move the units in transit back to the source. The destination's levels are locked as well, because the quantity
    expected there changes, and so are ``further`` ones."""
    away = [item for item in found.items if item.in_transit]
    touched = {id_ for item in away for id_ in (item.source_level_id, item.destination_level_id) if id_}
    moves = Moves(actor, found, lock_levels(touched.union(further)))
    for item in away:
        level_id = item.source_level_id
        assert level_id is not None  # noqa: S101 - what was shipped has levels: a constraint
        before = moves.on_hand(level_id)
        _require_room(before + item.in_transit, "")
        moves.move(level_id, item.in_transit, reason or "transfer cancelled")
        moves.touch(item.destination_level_id)
        moves.sources[item.id] = before, before + item.in_transit
        moves.note(item, before, before + item.in_transit, quantity=item.in_transit)
    arrived = any(item.received for item in found.items)
    moves.document = replace(
        found,
        status=TransferStatus.RECEIVED if arrived else TransferStatus.CANCELLED,
        closed_at=moves.now,
        items=tuple(replace(item, returned=item.returned + item.in_transit) for item in found.items),
    )
    return moves
