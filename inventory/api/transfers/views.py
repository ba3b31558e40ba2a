"""The routes of transfers: decode, one call, answer."""

from collections.abc import Mapping
from datetime import datetime
from typing import ClassVar
from uuid import UUID

from django.http import HttpResponse
from msgspec import UNSET
from rest_framework.request import Request

from audit.actors import Actor
from audit.api.http import ApiView, answered, decode, decode_query, id_in_path, rendered, respond
from audit.api.paging import page_of
from audit.api.schema import describe
from audit.api.versions import respond_unless_known
from audit.errors import NotFound
from audit.idempotency import Claim, StoredAnswer
from audit.identifiers import TRANSFER
from audit.roles import Capability
from inventory.api.filters import require_existing_warehouse
from inventory.api.transfers import contract
from inventory.errors import (
    InsufficientStock,
    MixedRoute,
    MoreThanInTransit,
    QuantityLimit,
    TransferAlreadySent,
    TransferClosed,
    TransferNotSent,
    UnknownProduct,
    UnknownWarehouse,
    WarehouseInactive,
    WarehouseNotInStore,
)
from inventory.locking import read_clock
from inventory.models import Transfer
from inventory.services.transfers import commands as transfers
from inventory.services.transfers import documents, redirecting
from inventory.services.transfers.commands import Arrived, MoveLine, TransferRequest
from inventory.services.transfers.documents import TransferDocument, TransferItem
from inventory.services.transfers.moves import Transferred


class TransferView(ApiView):
    """Make a transfer."""

    allowed: ClassVar = {"POST": Capability.KEEP_STOCK}
    created: ClassVar = "/api/v1/inventory/transfer/{transferId}"

    @describe(
        "transfer",
        "Send stock from one warehouse to another, or draft it",
        body=contract.TransferIn,
        answers={201: contract.TransferOut},
        refusals=(InsufficientStock, MixedRoute, QuantityLimit, UnknownProduct, UnknownWarehouse, WarehouseInactive),
        idempotent=True,
    )
    def post(self, request: Request) -> HttpResponse:
        """Takes stock out of one warehouse and puts it in transit to another, or only drafts the transfer."""
        body = decode(request, contract.TransferIn)
        wanted = _wanted(self.actor(request), body, self.claim(request, _made))
        outcome = transfers.draft_transfer(wanted) if body.draft else transfers.start_transfer(wanted)
        return answered(outcome, _made)


def _wanted(actor: Actor, body: contract.TransferDraftIn, claim: Claim | None) -> TransferRequest:
    return TransferRequest(
        actor=actor,
        items=tuple(
            MoveLine(line.product_id, line.variant_id, line.quantity, line.from_warehouse_id, line.to_warehouse_id)
            for line in body.items
        ),
        reason=body.reason,
        reference=body.reference,
        expected_delivery=body.expected_delivery,
        claim=claim,
    )


def _transfer_id(text: str) -> UUID:
    return id_in_path(TRANSFER, text, "a transfer")


def _made(transferred: Transferred) -> StoredAnswer:
    return rendered(_changed(transferred), 201)


def _done(transferred: Transferred) -> StoredAnswer:
    return rendered(_changed(transferred))


def _changed(transferred: Transferred) -> contract.TransferOut:
    """A transfer after a command, with the changes of on hand at both ends."""
    document = transferred.document
    items = [
        _item(
            item,
            _end(document.source.code, item.id, transferred.sources, {}),
            _end(document.destination.code, item.id, transferred.destinations, transferred.expected),
        )
        for item in document.items
    ]
    return _transfer(document, items, transferred.now)


def _read(document: TransferDocument, now: datetime) -> contract.TransferOut:
    """A transfer without a change."""
    source, destination = (contract.TransferEndOut(id=place.code) for place in (document.source, document.destination))
    return _transfer(document, [_item(item, source, destination) for item in document.items], now)


def _end(
    code: str, item_id: UUID, moved: Mapping[UUID, tuple[int, int]], expected: Mapping[UUID, int]
) -> contract.TransferEndOut:
    before, now = moved.get(item_id, (UNSET, UNSET))
    return contract.TransferEndOut(
        id=code, previous_quantity=before, new_quantity=now, expected_quantity=expected.get(item_id, UNSET)
    )


def _item(
    item: TransferItem, source: contract.TransferEndOut, destination: contract.TransferEndOut
) -> contract.TransferItemOut:
    return contract.TransferItemOut(
        product_id=item.product_id,
        variant_id=item.variant_id or UNSET,
        quantity=item.quantity,
        quantity_shipped=item.shipped,
        quantity_received=item.received,
        quantity_returned=item.returned,
        quantity_lost=item.lost,
        quantity_in_transit=item.in_transit,
        from_warehouse=source,
        to_warehouse=destination,
    )


def _transfer(document: TransferDocument, items: list[contract.TransferItemOut], now: datetime) -> contract.TransferOut:
    return contract.TransferOut(
        transfer_id=document.public_id,
        status=document.status,  # type: ignore[arg-type]
        from_warehouse_id=document.source.code,
        to_warehouse_id=document.destination.code,
        items=items,
        reason=document.reason,
        reference=document.reference,
        initiated_at=document.initiated_at,
        initiated_by=document.initiated_by,
        shipped_at=document.shipped_at,
        expected_delivery=document.expected_delivery,
        is_overdue=document.is_overdue(now),
        closed_at=document.closed_at,
    )


class OneTransferView(ApiView):
    """One transfer."""

    allowed: ClassVar = {"GET": Capability.READ, "PUT": Capability.KEEP_STOCK}

    @describe("readTransfer", "Read a transfer", answers={200: contract.TransferOut}, tagged=True)
    def get(self, request: Request, transfer_id: str) -> HttpResponse:
        """Reads a transfer in its present state."""
        identifier = _transfer_id(transfer_id)
        seen = Transfer.objects.visible_to(self.actor(request)).filter(pk=identifier)
        if not seen.exists():
            raise NotFound("There is no such transfer.")
        return respond_unless_known(request, _read(documents.read_transfers([identifier])[identifier], read_clock()))

    @describe(
        "changeDraftTransfer",
        "Replace a draft",
        body=contract.TransferDraftIn,
        answers={200: contract.TransferOut},
        refusals=(
            MixedRoute,
            TransferAlreadySent,
            TransferClosed,
            UnknownProduct,
            UnknownWarehouse,
            WarehouseInactive,
            WarehouseNotInStore,
        ),
        idempotent=True,
    )
    def put(self, request: Request, transfer_id: str) -> HttpResponse:
        """Replaces the items and details of a transfer that was not sent yet."""
        body = decode(request, contract.TransferDraftIn)
        wanted = _wanted(self.actor(request), body, self.claim(request, _done))
        return answered(transfers.change_draft(_transfer_id(transfer_id), wanted), _done)


class SendTransferView(ApiView):
    """Send a draft."""

    allowed: ClassVar = {"POST": Capability.KEEP_STOCK}

    @describe(
        "sendTransfer",
        "Send a draft",
        answers={200: contract.TransferOut},
        refusals=(
            InsufficientStock,
            QuantityLimit,
            TransferAlreadySent,
            TransferClosed,
            WarehouseInactive,
            WarehouseNotInStore,
        ),
        idempotent=True,
    )
    def post(self, request: Request, transfer_id: str) -> HttpResponse:
        """Sends a transfer that was drafted: its units leave the source."""
        command = transfers.SendRequest(self.actor(request), _transfer_id(transfer_id), self.claim(request, _done))
        return answered(transfers.send_transfer(command), _done)


class ReceiveTransferView(ApiView):
    """Receive units of a transfer."""

    allowed: ClassVar = {"POST": Capability.KEEP_STOCK}

    @describe(
        "receiveTransfer",
        "Receive a transfer in part or whole, or close it with what is missing",
        body=contract.ReceiveIn,
        answers={200: contract.TransferOut},
        refusals=(
            MoreThanInTransit,
            QuantityLimit,
            TransferClosed,
            TransferNotSent,
            UnknownProduct,
            WarehouseInactive,
            WarehouseNotInStore,
        ),
        idempotent=True,
    )
    def post(self, request: Request, transfer_id: str) -> HttpResponse:
        """Puts units that arrived on hand at the destination. With `close`, the rest is given up as missing."""
        body = decode(request, contract.ReceiveIn)
        arrived = body.items and tuple(
            Arrived(line.product_id, line.variant_id, line.quantity_received) for line in body.items
        )
        command = transfers.ReceiveRequest(
            actor=self.actor(request),
            transfer_id=_transfer_id(transfer_id),
            items=arrived or None,
            close=body.close,
            reason=body.reason,
            claim=self.claim(request, _done),
        )
        return answered(transfers.receive_transfer(command), _done)


class CancelTransferView(ApiView):
    """Cancel a transfer."""

    allowed: ClassVar = {"POST": Capability.KEEP_STOCK}

    @describe(
        "cancelTransfer",
        "Bring what is in transit back to its source",
        body=contract.CancelIn,
        answers={200: contract.TransferOut},
        refusals=(QuantityLimit, TransferClosed, WarehouseNotInStore),
        idempotent=True,
    )
    def post(self, request: Request, transfer_id: str) -> HttpResponse:
        """Brings the units in transit back to their source, and ends the transfer."""
        body = decode(request, contract.CancelIn)
        command = transfers.CancelTransferRequest(
            self.actor(request), _transfer_id(transfer_id), body.reason, self.claim(request, _done)
        )
        return answered(transfers.cancel_transfer(command), _done)


class RedirectTransferView(ApiView):
    """Redirect a transfer on its way."""

    allowed: ClassVar = {"POST": Capability.KEEP_STOCK}

    @describe(
        "redirectTransfer",
        "Redirect the units in transit to another warehouse",
        body=contract.RedirectIn,
        answers={200: contract.TransferOut},
        refusals=(
            QuantityLimit,
            TransferClosed,
            TransferNotSent,
            UnknownWarehouse,
            WarehouseInactive,
            WarehouseNotInStore,
        ),
        idempotent=True,
    )
    def post(self, request: Request, transfer_id: str) -> HttpResponse:
        """Sends the units in transit to another warehouse instead."""
        body = decode(request, contract.RedirectIn)
        command = redirecting.RedirectRequest(
            self.actor(request),
            _transfer_id(transfer_id),
            body.to_warehouse_id,
            body.reason,
            self.claim(request, _done),
        )
        return answered(redirecting.redirect_transfer(command), _done)


class TransfersView(ApiView):
    """The list of transfers."""

    allowed: ClassVar = {"GET": Capability.READ}

    @describe(
        "listTransfers",
        "List transfers, the newest first",
        query=contract.TransfersQuery,
        answers={200: contract.TransferPageOut},
        refusals=(UnknownWarehouse,),
    )
    def get(self, request: Request) -> HttpResponse:
        """Lists transfers, the newest first."""
        query = decode_query(request, contract.TransfersQuery)
        require_existing_warehouse(query.from_warehouse_id, "?fromWarehouseId")
        require_existing_warehouse(query.to_warehouse_id, "?toWarehouseId")
        found = Transfer.objects.visible_to(self.actor(request)).matching(
            status=query.status, from_warehouse=query.from_warehouse_id, to_warehouse=query.to_warehouse_id
        )
        if query.overdue:
            found = found.overdue()
        page, following = page_of(found.only("pk"), query, newest_first=True)
        read = documents.read_transfers([transfer.id for transfer in page])
        now = read_clock()
        items = [_read(read[transfer.id], now) for transfer in page]
        return respond(contract.TransferPageOut(items=items, next=following))
