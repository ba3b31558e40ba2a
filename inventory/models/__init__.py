"""The models, a module for each subject. Only ``services/stock/ledger.py`` writes the counters."""

from inventory.models.bookkeeping import ArchivedFile, LedgerOpening, ReconciliationFinding, ReconciliationRun
from inventory.models.catalogue import (
    CODE,
    CODE_HINT,
    Freezable,
    Product,
    Store,
    StoreWarehouse,
    Warehouse,
    validate_code,
)
from inventory.models.counts import StockCount, StockCountLine
from inventory.models.documents import StockDocument
from inventory.models.drafts import DraftCommand, ReceivingDraft, ReceivingDraftLine
from inventory.models.low_stock import AlertSubscription, LowStockAlert
from inventory.models.stock import QUANTITY_LIMIT, AdjustmentReason, Movement, StockLevel
from inventory.models.transfers import Transfer, TransferLine

__all__ = [
    "CODE",
    "CODE_HINT",
    "QUANTITY_LIMIT",
    "AdjustmentReason",
    "AlertSubscription",
    "ArchivedFile",
    "DraftCommand",
    "Freezable",
    "LedgerOpening",
    "LowStockAlert",
    "Movement",
    "Product",
    "ReceivingDraft",
    "ReceivingDraftLine",
    "ReconciliationFinding",
    "ReconciliationRun",
    "StockCount",
    "StockCountLine",
    "StockDocument",
    "StockLevel",
    "Store",
    "StoreWarehouse",
    "Transfer",
    "TransferLine",
    "Warehouse",
    "validate_code",
]
