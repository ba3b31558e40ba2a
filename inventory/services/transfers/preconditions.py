"""Preconditions of commands on a transfer: the actor's reach, and the transfer's status."""

from uuid import UUID

import msgspec

from audit.actors import Actor
from audit.errors import NotFound
from inventory.errors import (
    TransferAlreadySent,
    TransferClosed,
    TransferNotSent,
    WarehouseInactive,
    WarehouseNotInStore,
)
from inventory.models import Warehouse
from inventory.services.transfers import documents
from inventory.services.transfers.documents import RouteEnd, TransferDocument, TransferStatus


def lock_seen(transfer_id: UUID, actor: Actor) -> TransferDocument:
    """Lock and read a transfer. Raises NotFound, also if neither of its ends is in the actor's reach."""
    found = documents.lock_transfers([transfer_id]).get(transfer_id)
    if found is None or not _seen(actor, found.source, found.destination):
        raise NotFound("There is no such transfer.")
    return found


def _seen(actor: Actor, *places: RouteEnd) -> set[UUID]:
    ids = {place.id for place in places if actor.sees_warehouse(place.code)}
    if not actor.store_codes:
        return ids
    return set(Warehouse.objects.visible_to(actor).filter(id__in=ids).values_list("id", flat=True))


def require_touchable(actor: Actor, *places: RouteEnd) -> None:
    """Refuse changes of stock in a warehouse out of the actor's reach. Raises NotFound for an actor limited to other
    warehouses, WarehouseNotInStore for one limited to other stores."""
    if not actor.sees_warehouses(place.code for place in places):
        raise NotFound("There is no such transfer.")
    seen = _seen(actor, *places)
    for place in places:
        if place.id not in seen:
            raise WarehouseNotInStore(f"This client's stores don't sell from warehouse {place.code}.")


def require_destination(actor: Actor, place: RouteEnd) -> None:
    """Refuse to send to a warehouse. Raises WarehouseNotInStore for an actor limited to other stores, and
    WarehouseInactive for a closed one. Being limited to other warehouses is no obstacle."""
    require_touchable(msgspec.structs.replace(actor, warehouse_codes=None), place)
    if not place.is_active:
        raise WarehouseInactive(f"Warehouse {place.code} is closed: it takes no transfers.")


def require_receiving(place: RouteEnd) -> None:
    """Refuse arrivals in a closed warehouse. Raises WarehouseInactive."""
    if not place.is_active:
        raise WarehouseInactive(f"Warehouse {place.code} is closed: redirect the transfer, or cancel it.")


def require_open(document: TransferDocument) -> None:
    """Refuse a closed transfer. Raises TransferClosed."""
    if document.closed_at is not None:
        detail = f"{document.public_id} is {document.status}: nothing of it is in transit any more."
        raise TransferClosed(detail)


def require_draft(document: TransferDocument) -> None:
    """Refuse all but drafts. Raises TransferClosed or TransferAlreadySent."""
    require_open(document)
    if document.status != TransferStatus.PENDING:
        raise TransferAlreadySent(f"{document.public_id} was sent: only a draft is changed or sent.")


def require_on_the_way(document: TransferDocument) -> None:
    """Refuse all but transfers on the way. Raises TransferClosed or TransferNotSent."""
    require_open(document)
    if document.status == TransferStatus.PENDING:
        raise TransferNotSent(f"{document.public_id} is a draft: nothing of it is in transit.")
