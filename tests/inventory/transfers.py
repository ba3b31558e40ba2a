"""Helpers for tests that send, receive and cancel transfers."""

from typing import Any

from uuid_utils.compat import uuid7

from audit.actors import Actor
from inventory.models import Movement, Product, StockLevel, Transfer, TransferLine
from inventory.services.transfers.commands import (
    Arrived,
    CancelTransferRequest,
    MoveLine,
    ReceiveRequest,
    TransferRequest,
    cancel_transfer,
    draft_transfer,
    receive_transfer,
    start_transfer,
)
from inventory.services.transfers.moves import Transferred
from tests.factories import (
    ACTOR,
)

CLERK = Actor("clerk", uuid7(), "request-1", "api")


def wanted(what: StockLevel | Product, units: int, source: str = "wh-001", target: str = "wh-002") -> MoveLine:
    product_id = what.product_id if isinstance(what, StockLevel) else what.id
    return MoveLine(product_id, None, units, source, target)


def done(outcome: Any) -> Transferred:
    assert isinstance(outcome, Transferred)
    return outcome


def sent(*items: MoveLine, **fields: Any) -> Transferred:
    return done(start_transfer(TransferRequest(**{"actor": ACTOR, "items": items, **fields})))


def received(transfer: Transferred, *arrived: tuple[StockLevel, int], **fields: Any) -> Transferred:
    items = tuple(Arrived(level.product_id, None, units) for level, units in arrived) or None
    request = ReceiveRequest(**{"actor": ACTOR, "transfer_id": transfer.document.id, "items": items, **fields})
    return done(receive_transfer(request))


def cancelled(transfer: Transferred, **fields: Any) -> Transferred:
    return done(
        cancel_transfer(CancelTransferRequest(**{"actor": ACTOR, "transfer_id": transfer.document.id, **fields}))
    )


def there(level: StockLevel, warehouse: str = "wh-002") -> StockLevel:
    return StockLevel.objects.with_incoming().get(product=level.product_id, warehouse__code=warehouse)


def moved(level: StockLevel, reference_type: str = "transfer") -> list[tuple[str, int, int, int]]:
    rows = Movement.objects.filter(level=level, reference_type=reference_type).order_by("id")
    return list(rows.values_list("type", "quantity", "quantity_before", "quantity_after"))


def became(transfer: Transferred) -> tuple[str, list[tuple[int, int, int, int]]]:
    """Read the status, and for each line the units received, returned, lost and in transit."""
    rows = TransferLine.objects.filter(transfer=transfer.document.id).order_by("id")
    figures = rows.values_list("quantity_received", "quantity_returned", "quantity_lost", "in_transit")
    return Transfer.objects.get(pk=transfer.document.id).status, list(figures)


def drafted(*items: MoveLine, **fields: Any) -> Transferred:
    return done(draft_transfer(TransferRequest(**{"actor": ACTOR, "items": items, **fields})))
