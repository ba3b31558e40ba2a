"""The names of schemas in the OpenAPI document, from which client generators name their classes.

A body is a ``…Request`` and an answer is what it is: ``FreezeIn`` is documented as ``FreezeRequest``, ``FreezeOut`` as
``Freeze``. Where that says too little, the name is in the table here.
"""

import re
from typing import Any, Final

_REFERENCE: Final = "#/components/schemas/"
_PARTICULAR: Final = {
    "AcknowledgeIn": "AcknowledgeAlertRequest",
    "AdjustedOut": "AdjustResult",
    "AttemptOut": "DeliveryAttempt",
    "AttemptPageOut": "DeliveryAttemptPage",
    "BasketIn": "CartRequest",
    "BlockOut": "SaleBlock",
    "CancelIn": "CancelTransferRequest",
    "CheckIn": "AvailabilityRequest",
    "CheckLineIn": "AvailabilityRequestLine",
    "CheckOut": "Availability",
    "CheckedLineOut": "LineAvailability",
    "CountLineIn": "CountedLineRequest",
    "CountProductIn": "CountedProduct",
    "CountedLinesOut": "EnterCountsResult",
    "CountLinesIn": "EnterCountsRequest",
    "ElsewhereOut": "OverlappingCount",
    "EventIn": "IncomingEvent",
    "ExplainOut": "Explanation",
    "HeldOut": "HeldReservation",
    "InboxOut": "EventOutcomes",
    "IncomingOut": "IncomingUnits",
    "ItemOut": "ReservationItem",
    "LevelOut": "StockLevel",
    "LevelPageOut": "StockLevelPage",
    "LineIn": "ReserveRequestLine",
    "ListedLevelOut": "ListedStockLevel",
    "MovedOut": "MovedUnits",
    "MovementsOut": "RecentMovements",
    "PlanOut": "ReservationPlan",
    "ProductLevelsOut": "ProductStock",
    "ProgressOut": "CountProgress",
    "QueuedOut": "QueuedEvents",
    "ReceiveIn": "ReceiveTransferRequest",
    "ReceivedItemIn": "ReceivedItem",
    "RedirectIn": "RedirectTransferRequest",
    "ResendIn": "ResendEventsRequest",
    "RotateIn": "RotateSecretRequest",
    "ShortLineOut": "ShortLevel",
    "SnoozeIn": "SnoozeAlertRequest",
    "SourceIn": "StoreWarehouseRequest",
    "SourceOut": "StoreWarehouse",
    "WebhookDeletedOut": "DeletedWebhook",
    "WebhookPatch": "WebhookChangeRequest",
    "WebhookSecretOut": "WebhookWithSecret",
}
"""Names in the document, by the struct's name."""


def document_name(struct: str) -> str:
    """The name in the document of a struct with this name."""
    name = re.sub(r"Out$", "", re.sub(r"In$", "Request", struct))
    return _PARTICULAR.get(struct, name)


def renamed(part: Any) -> Any:
    """A part of the document with the document's names in its references."""
    if isinstance(part, dict):
        return {key: _target(value) if key == "$ref" else renamed(value) for key, value in part.items()}
    return [renamed(each) for each in part] if isinstance(part, list) else part


def _target(reference: str) -> str:
    prefix, schema, name = reference.rpartition(_REFERENCE)
    return f"{prefix}{schema}{document_name(name)}" if schema else reference
